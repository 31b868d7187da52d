package api

import "net/http"

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// table is the whole API at a glance, sorted by resource. Paths are Prefect's;
// those of Orion alone are below /orion.
func (a *API) table() []*route {
	return []*route{
		// method, path, status, handler
		{method: get, path: "/health", status: 200, h: do(a.health), open: true},
		{method: get, path: "/hello", status: 200, h: do(a.hello), open: true},
		{method: get, path: "/ready", status: 200, h: do(a.ready), open: true},
		{method: get, path: "/version", status: 200, h: do(a.protocolVersion), open: true},
		{method: get, path: "/csrf-token", status: 200, h: do(a.csrfToken)},
		{method: get, path: "/openapi.json", raw: a.serveOpenAPI, open: true},
		{method: get, path: "/admin/version", status: 200, h: do(a.adminVersion)},
		{method: get, path: "/admin/settings", status: 200, h: do(a.adminSettings)},
		{method: post, path: "/admin/database/clear", status: 204, h: do(a.clearDatabase)},
		{method: post, path: "/admin/database/create", status: 204, h: do(a.createDatabase)},
		{method: post, path: "/admin/database/drop", status: 204, h: do(a.clearDatabase)},

		{method: post, path: "/flows/", h: do(a.createFlow)},
		{method: post, path: "/flows/filter", status: 200, h: do(a.filterFlows)},
		{method: post, path: "/flows/count", status: 200, h: do(a.countFlows)},
		{method: get, path: "/flows/name/{name}", status: 200, h: do(a.readFlowByName)},
		{method: get, path: "/flows/{id}", status: 200, h: do(a.readFlow)},
		{method: patch, path: "/flows/{id}", status: 204, h: do(a.updateFlow)},
		{method: remove, path: "/flows/{id}", status: 204, h: do(a.deleteFlow)},

		{method: post, path: "/flow_runs/", h: do(a.createFlowRun)},
		{method: post, path: "/flow_runs/filter", status: 200, h: do(a.filterFlowRuns)},
		{method: post, path: "/flow_runs/count", status: 200, h: do(a.countFlowRuns)},
		{method: post, path: "/flow_runs/history", status: 200, h: do(a.flowRunHistory)},
		{method: post, path: "/flow_runs/lateness", status: 200, h: do(a.flowRunLateness)},
		{method: get, path: "/flow_runs/{id}", status: 200, h: do(a.readFlowRun)},
		{method: patch, path: "/flow_runs/{id}", status: 204, h: do(a.updateFlowRun)},
		{method: remove, path: "/flow_runs/{id}", status: 204, h: do(a.deleteFlowRun)},
		{method: post, path: "/flow_runs/{id}/set_state", h: do(a.setFlowRunState)},
		{method: get, path: "/flow_runs/{id}/graph", status: 200, h: do(a.flowRunGraphV1)},
		{method: get, path: "/flow_runs/{id}/graph-v2", status: 200, h: do(a.flowRunGraph)},
		{method: get, path: "/flow_run_states/", status: 200, h: do(a.listFlowRunStates)},
		{method: get, path: "/flow_run_states/{id}", status: 200, h: do(a.readFlowRunState)},
		{method: post, path: "/orion/claims/renew", status: 200, h: do(a.renewClaims)},

		{method: post, path: "/task_runs/", h: do(a.createTaskRun)},
		{method: post, path: "/task_runs/filter", status: 200, h: do(a.filterTaskRuns)},
		{method: post, path: "/task_runs/count", status: 200, h: do(a.countTaskRuns)},
		{method: post, path: "/task_runs/history", status: 200, h: do(a.taskRunHistory)},
		{method: get, path: "/task_runs/{id}", status: 200, h: do(a.readTaskRun)},
		{method: patch, path: "/task_runs/{id}", status: 204, h: do(a.updateTaskRun)},
		{method: remove, path: "/task_runs/{id}", status: 204, h: do(a.deleteTaskRun)},
		{method: post, path: "/task_runs/{id}/set_state", h: do(a.setTaskRunState)},
		{method: get, path: "/task_run_states/", status: 200, h: do(a.listTaskRunStates)},
		{method: get, path: "/task_run_states/{id}", status: 200, h: do(a.readTaskRunState)},

		{method: post, path: "/deployments/", h: do(a.createDeployment)},
		{method: post, path: "/deployments/filter", status: 200, h: do(a.filterDeployments)},
		{method: post, path: "/deployments/count", status: 200, h: do(a.countDeployments)},
		{method: post, path: "/deployments/get_scheduled_flow_runs", status: 200, h: do(a.deploymentRuns)},
		{method: get, path: "/deployments/name/{flow_name}/{deployment_name}", status: 200, h: do(a.readDeploymentByName)},
		{method: get, path: "/deployments/{id}", status: 200, h: do(a.readDeployment)},
		{method: patch, path: "/deployments/{id}", status: 204, h: do(a.updateDeployment)},
		{method: remove, path: "/deployments/{id}", status: 204, h: do(a.deleteDeployment)},
		{method: post, path: "/deployments/{id}/create_flow_run", h: do(a.createDeploymentRun)},
		{method: post, path: "/deployments/{id}/pause_deployment", status: 200, h: do(a.pauseDeployment)},
		{method: post, path: "/deployments/{id}/resume_deployment", status: 200, h: do(a.resumeDeployment)},
		{method: post, path: "/deployments/{id}/set_schedule_active", status: 200, h: do(a.resumeDeployment)},
		{method: post, path: "/deployments/{id}/set_schedule_inactive", status: 200, h: do(a.pauseDeployment)},
		{method: post, path: "/deployments/{id}/schedule", status: 200, h: do(a.scheduleDeployment)},
		{method: get, path: "/deployments/{id}/schedules", status: 200, h: do(a.listSchedules)},
		{method: post, path: "/deployments/{id}/schedules", status: 201, h: do(a.addSchedules)},
		{method: patch, path: "/deployments/{id}/schedules/{schedule_id}", status: 204, h: do(a.updateSchedule)},
		{method: remove, path: "/deployments/{id}/schedules/{schedule_id}", status: 204, h: do(a.deleteSchedule)},
		{method: get, path: "/deployments/{id}/work_queue_check", status: 200, h: do(a.workQueueCheck)},

		{method: post, path: "/work_queues/", status: 201, h: do(a.createWorkQueue)},
		{method: post, path: "/work_queues/filter", status: 200, h: do(a.filterWorkQueues)},
		{method: get, path: "/work_queues/name/{name}", status: 200, h: do(a.readWorkQueueByName)},
		{method: get, path: "/work_queues/{id}", status: 200, h: do(a.readWorkQueue)},
		{method: patch, path: "/work_queues/{id}", status: 204, h: do(a.updateWorkQueue)},
		{method: remove, path: "/work_queues/{id}", status: 204, h: do(a.deleteWorkQueue)},
		{method: get, path: "/work_queues/{id}/status", status: 200, h: do(a.workQueueStatus)},
		{method: post, path: "/work_queues/{id}/get_runs", status: 200, h: do(a.queueRuns)},

		{method: post, path: "/work_pools/", status: 201, h: do(a.createWorkPool)},
		{method: post, path: "/work_pools/filter", status: 200, h: do(a.filterWorkPools)},
		{method: post, path: "/work_pools/count", status: 200, h: do(a.countWorkPools)},
		{method: get, path: "/work_pools/{name}", status: 200, h: do(a.readWorkPool)},
		{method: patch, path: "/work_pools/{name}", status: 204, h: do(a.updateWorkPool)},
		{method: remove, path: "/work_pools/{name}", status: 204, h: do(a.deleteWorkPool)},
		{method: post, path: "/work_pools/{name}/get_scheduled_flow_runs", status: 200, h: do(a.poolRuns)},
		{method: post, path: "/work_pools/{work_pool_name}/queues", status: 201, h: do(a.createPoolQueue)},
		{method: post, path: "/work_pools/{work_pool_name}/queues/filter", status: 200, h: do(a.filterPoolQueues)},
		{method: get, path: "/work_pools/{work_pool_name}/queues/{name}", status: 200, h: do(a.readPoolQueue)},
		{method: patch, path: "/work_pools/{work_pool_name}/queues/{name}", status: 204, h: do(a.updatePoolQueue)},
		{method: remove, path: "/work_pools/{work_pool_name}/queues/{name}", status: 204, h: do(a.deletePoolQueue)},
		{method: post, path: "/work_pools/{work_pool_name}/workers/heartbeat", status: 204, h: do(a.workerHeartbeat)},
		{method: post, path: "/work_pools/{work_pool_name}/workers/filter", status: 200, h: do(a.filterWorkers)},
		{method: remove, path: "/work_pools/{work_pool_name}/workers/{name}", status: 204, h: do(a.deleteWorker)},

		{method: post, path: "/logs/", status: 201, h: do(a.createLogs)},
		{method: post, path: "/logs/filter", status: 200, h: do(a.filterLogs)},

		{method: get, path: "/block_capabilities/", status: 200, h: do(a.blockCapabilities)},
		{method: post, path: "/block_types/", status: 201, h: do(a.createBlockType)},
		{method: post, path: "/block_types/filter", status: 200, h: do(a.filterBlockTypes)},
		{method: post, path: "/block_types/install_system_block_types", status: 200, h: do(a.installBlockTypes)},
		{method: get, path: "/block_types/slug/{slug}", status: 200, h: do(a.readBlockTypeBySlug)},
		{method: get, path: "/block_types/slug/{slug}/block_documents", status: 200, h: do(a.listTypeDocuments)},
		{method: get, path: "/block_types/slug/{slug}/block_documents/name/{block_document_name}", status: 200, h: do(a.readTypeDocument)},
		{method: get, path: "/block_types/{id}", status: 200, h: do(a.readBlockType)},
		{method: patch, path: "/block_types/{id}", status: 204, h: do(a.updateBlockType)},
		{method: remove, path: "/block_types/{id}", status: 204, h: do(a.deleteBlockType)},
		{method: post, path: "/block_schemas/", h: do(a.createBlockSchema)},
		{method: post, path: "/block_schemas/filter", status: 200, h: do(a.filterBlockSchemas)},
		{method: get, path: "/block_schemas/checksum/{checksum}", status: 200, h: do(a.readBlockSchemaByChecksum)},
		{method: get, path: "/block_schemas/{id}", status: 200, h: do(a.readBlockSchema)},
		{method: remove, path: "/block_schemas/{id}", status: 204, h: do(a.deleteBlockSchema)},
		{method: post, path: "/block_documents/", status: 201, h: do(a.createBlockDocument)},
		{method: post, path: "/block_documents/filter", status: 200, h: do(a.filterBlockDocuments)},
		{method: post, path: "/block_documents/count", status: 200, h: do(a.countBlockDocuments)},
		{method: get, path: "/block_documents/{id}", status: 200, h: do(a.readBlockDocument)},
		{method: patch, path: "/block_documents/{id}", status: 204, h: do(a.updateBlockDocument)},
		{method: remove, path: "/block_documents/{id}", status: 204, h: do(a.deleteBlockDocument)},
	}
}
