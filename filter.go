package orion

// Cond is the condition on one field of a filter. Prefect has a class for each
// field with one or two of these operators; Orion has one type with all of
// them, so that a client newer than the server may use any operator on any
// field. Absent operators do not restrict. Before and After include the bound.
type Cond[T any] struct {
	Any        *[]T      `json:"any_,omitzero"`
	NotAny     *[]T      `json:"not_any_,omitzero"`
	All        *[]string `json:"all_,omitzero"`
	Like       *string   `json:"like_,omitzero"`
	StartsWith *[]string `json:"startswith_,omitzero"`
	Before     Time      `json:"before_,omitzero"`
	After      Time      `json:"after_,omitzero"`
	IsNull     *bool     `json:"is_null_,omitzero"`
	Exists     *bool     `json:"exists_,omitzero"`
	Eq         *bool     `json:"eq_,omitzero"`
	Ge         *int64    `json:"ge_,omitzero"`
	Le         *int64    `json:"le_,omitzero"`
	Operator   *Operator `json:"operator,omitzero"`
}

// Operator joins conditions: "and_" (also when absent) or "or_".
type Operator string

// Or reports the "or_" operator.
func (o *Operator) Or() bool { return o != nil && *o == "or_" }

// StateFilter is the condition on a run's state.
type StateFilter struct {
	Type     *Cond[string] `json:"type,omitzero"`
	Name     *Cond[string] `json:"name,omitzero"`
	Operator *Operator     `json:"operator,omitzero"`
}

// FlowFilter selects flows.
type FlowFilter struct {
	Operator   *Operator     `json:"operator,omitzero"`
	ID         *Cond[ID]     `json:"id,omitzero"`
	Deployment *Cond[ID]     `json:"deployment,omitzero"`
	Name       *Cond[string] `json:"name,omitzero"`
	Tags       *Cond[string] `json:"tags,omitzero"`
}

// FlowRunFilter selects flow runs.
type FlowRunFilter struct {
	Operator               *Operator     `json:"operator,omitzero"`
	ID                     *Cond[ID]     `json:"id,omitzero"`
	Name                   *Cond[string] `json:"name,omitzero"`
	Tags                   *Cond[string] `json:"tags,omitzero"`
	DeploymentID           *Cond[ID]     `json:"deployment_id,omitzero"`
	WorkQueueName          *Cond[string] `json:"work_queue_name,omitzero"`
	State                  *StateFilter  `json:"state,omitzero"`
	FlowVersion            *Cond[string] `json:"flow_version,omitzero"`
	StartTime              *Cond[ID]     `json:"start_time,omitzero"`
	EndTime                *Cond[ID]     `json:"end_time,omitzero"`
	ExpectedStartTime      *Cond[ID]     `json:"expected_start_time,omitzero"`
	NextScheduledStartTime *Cond[ID]     `json:"next_scheduled_start_time,omitzero"`
	ParentFlowRunID        *Cond[ID]     `json:"parent_flow_run_id,omitzero"`
	ParentTaskRunID        *Cond[ID]     `json:"parent_task_run_id,omitzero"`
	IdempotencyKey         *Cond[string] `json:"idempotency_key,omitzero"`
}

// TaskRunFilter selects task runs.
type TaskRunFilter struct {
	Operator    *Operator     `json:"operator,omitzero"`
	ID          *Cond[ID]     `json:"id,omitzero"`
	Name        *Cond[string] `json:"name,omitzero"`
	Tags        *Cond[string] `json:"tags,omitzero"`
	State       *StateFilter  `json:"state,omitzero"`
	StartTime   *Cond[ID]     `json:"start_time,omitzero"`
	SubflowRuns *Cond[ID]     `json:"subflow_runs,omitzero"`
	FlowRunID   *Cond[ID]     `json:"flow_run_id,omitzero"`
}

// DeploymentFilter selects deployments.
type DeploymentFilter struct {
	Operator             *Operator     `json:"operator,omitzero"`
	ID                   *Cond[ID]     `json:"id,omitzero"`
	Name                 *Cond[string] `json:"name,omitzero"`
	Paused               *Cond[ID]     `json:"paused,omitzero"`
	IsScheduleActive     *Cond[ID]     `json:"is_schedule_active,omitzero"`
	Tags                 *Cond[string] `json:"tags,omitzero"`
	WorkQueueName        *Cond[string] `json:"work_queue_name,omitzero"`
	FlowOrDeploymentName *Cond[string] `json:"flow_or_deployment_name,omitzero"`
}

// WorkPoolFilter selects pools.
type WorkPoolFilter struct {
	Operator *Operator     `json:"operator,omitzero"`
	ID       *Cond[ID]     `json:"id,omitzero"`
	Name     *Cond[string] `json:"name,omitzero"`
	Type     *Cond[string] `json:"type,omitzero"`
}

// WorkQueueFilter selects queues.
type WorkQueueFilter struct {
	Operator *Operator     `json:"operator,omitzero"`
	ID       *Cond[ID]     `json:"id,omitzero"`
	Name     *Cond[string] `json:"name,omitzero"`
}

// WorkerFilter selects workers.
type WorkerFilter struct {
	Operator          *Operator     `json:"operator,omitzero"`
	LastHeartbeatTime *Cond[ID]     `json:"last_heartbeat_time,omitzero"`
	Status            *Cond[string] `json:"status,omitzero"`
}

// LogFilter selects log lines.
type LogFilter struct {
	Operator  *Operator     `json:"operator,omitzero"`
	Level     *Cond[ID]     `json:"level,omitzero"`
	Timestamp *Cond[ID]     `json:"timestamp,omitzero"`
	FlowRunID *Cond[ID]     `json:"flow_run_id,omitzero"`
	TaskRunID *Cond[ID]     `json:"task_run_id,omitzero"`
	Text      *Cond[string] `json:"text,omitzero"`
}

// ArtifactFilter selects artifacts, or with LatestID the latest of each key.
type ArtifactFilter struct {
	Operator  *Operator     `json:"operator,omitzero"`
	ID        *Cond[ID]     `json:"id,omitzero"`
	LatestID  *Cond[ID]     `json:"latest_id,omitzero"`
	Key       *Cond[string] `json:"key,omitzero"`
	FlowRunID *Cond[ID]     `json:"flow_run_id,omitzero"`
	TaskRunID *Cond[ID]     `json:"task_run_id,omitzero"`
	Type      *Cond[string] `json:"type,omitzero"`
}

// VariableFilter selects variables.
type VariableFilter struct {
	Operator *Operator     `json:"operator,omitzero"`
	ID       *Cond[ID]     `json:"id,omitzero"`
	Name     *Cond[string] `json:"name,omitzero"`
	Value    *Cond[string] `json:"value,omitzero"`
	Tags     *Cond[string] `json:"tags,omitzero"`
}

// BlockTypeFilter selects block types.
type BlockTypeFilter struct {
	Name *Cond[string] `json:"name,omitzero"`
	Slug *Cond[string] `json:"slug,omitzero"`
}

// BlockSchemaFilter selects block schemas.
type BlockSchemaFilter struct {
	Operator          *Operator     `json:"operator,omitzero"`
	BlockTypeID       *Cond[ID]     `json:"block_type_id,omitzero"`
	BlockCapabilities *Cond[string] `json:"block_capabilities,omitzero"`
	ID                *Cond[ID]     `json:"id,omitzero"`
	Version           *Cond[string] `json:"version,omitzero"`
}

// BlockDocumentFilter selects blocks. Anonymous ones are left out unless
// IsAnonymous says otherwise.
type BlockDocumentFilter struct {
	Operator    *Operator     `json:"operator,omitzero"`
	ID          *Cond[ID]     `json:"id,omitzero"`
	IsAnonymous Opt[Cond[ID]] `json:"is_anonymous,omitzero"`
	BlockTypeID *Cond[ID]     `json:"block_type_id,omitzero"`
	Name        *Cond[string] `json:"name,omitzero"`
}

// RunFilters are the filters that the run, flow and deployment routes share:
// each restricts the answer through the relation between the objects.
type RunFilters struct {
	Flows          *FlowFilter       `json:"flows,omitzero"`
	FlowRuns       *FlowRunFilter    `json:"flow_runs,omitzero"`
	TaskRuns       *TaskRunFilter    `json:"task_runs,omitzero"`
	Deployments    *DeploymentFilter `json:"deployments,omitzero"`
	WorkPools      *WorkPoolFilter   `json:"work_pools,omitzero"`
	WorkPoolQueues *WorkQueueFilter  `json:"work_pool_queues,omitzero"`
	WorkQueues     *WorkQueueFilter  `json:"work_queues,omitzero"`
}

// Page is the part of a list that is asked for. Limit is 200 when absent, and
// at most 200.
type Page struct {
	Limit  *int64 `json:"limit,omitzero"`
	Offset *int64 `json:"offset,omitzero"`
}

// MaxLimit is the most rows a list answers at once.
const MaxLimit = 200

// Resolve checks the page and fills the defaults.
func (p Page) Resolve() (limit, offset int64, err error) {
	limit = MaxLimit
	if p.Limit != nil {
		limit = *p.Limit
	}
	if p.Offset != nil {
		offset = *p.Offset
	}
	switch {
	case limit > MaxLimit:
		return 0, 0, &Error{Kind: Invalid, Message: "Invalid limit: must be less than or equal to 200."}
	case limit < 0:
		return 0, 0, Refuse("limit", "ensure this value is greater than or equal to 0")
	case offset < 0:
		return 0, 0, Refuse("offset", "ensure this value is greater than or equal to 0")
	}
	return limit, offset, nil
}
