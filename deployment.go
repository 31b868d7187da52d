package orion

// Deployment says how, when and where a flow runs.
type Deployment struct {
	ID                       ID                   `json:"id"`
	Created                  Time                 `json:"created"`
	Updated                  Time                 `json:"updated"`
	InfraOverrides           JSON                 `json:"infra_overrides"`
	Name                     string               `json:"name"`
	Version                  *string              `json:"version"`
	Description              *string              `json:"description"`
	FlowID                   ID                   `json:"flow_id"`
	Schedule                 *Schedule            `json:"schedule"`
	IsScheduleActive         bool                 `json:"is_schedule_active"`
	Paused                   bool                 `json:"paused"`
	Schedules                []DeploymentSchedule `json:"schedules"`
	JobVariables             JSON                 `json:"job_variables"`
	Parameters               JSON                 `json:"parameters"`
	Tags                     []string             `json:"tags"`
	Labels                   JSON                 `json:"labels,omitzero"`
	WorkQueueName            *string              `json:"work_queue_name"`
	LastPolled               Time                 `json:"last_polled"`
	ParameterOpenapiSchema   JSON                 `json:"parameter_openapi_schema"`
	Path                     *string              `json:"path"`
	PullSteps                JSON                 `json:"pull_steps"`
	Entrypoint               *string              `json:"entrypoint"`
	ManifestPath             *string              `json:"manifest_path"`
	StorageDocumentID        ID                   `json:"storage_document_id"`
	InfrastructureDocumentID ID                   `json:"infrastructure_document_id"`
	CreatedBy                JSON                 `json:"created_by"`
	UpdatedBy                JSON                 `json:"updated_by"`
	WorkPoolName             *string              `json:"work_pool_name"`
	Status                   string               `json:"status"`
	EnforceParameterSchema   bool                 `json:"enforce_parameter_schema"`

	WorkQueueID ID `json:"-"`
	// Extra are fields of newer clients, kept and answered again.
	Extra JSON `json:",embed"`
}

// Deployment statuses, set by polling.
const (
	Ready    = "READY"
	NotReady = "NOT_READY"
)

// DeploymentCreate makes a deployment or updates the one of that flow and
// name: only the fields that are set are written.
type DeploymentCreate struct {
	Name                     string                          `json:"name"`
	FlowID                   ID                              `json:"flow_id"`
	IsScheduleActive         Opt[bool]                       `json:"is_schedule_active,omitzero"`
	Paused                   Opt[bool]                       `json:"paused,omitzero"`
	Schedules                Opt[[]DeploymentScheduleCreate] `json:"schedules,omitzero"`
	Schedule                 Opt[Schedule]                   `json:"schedule,omitzero"`
	EnforceParameterSchema   Opt[bool]                       `json:"enforce_parameter_schema,omitzero"`
	ParameterOpenapiSchema   Opt[JSON]                       `json:"parameter_openapi_schema,omitzero"`
	Parameters               Opt[JSON]                       `json:"parameters,omitzero"`
	Tags                     Opt[[]string]                   `json:"tags,omitzero"`
	Labels                   Opt[JSON]                       `json:"labels,omitzero"`
	PullSteps                Opt[JSON]                       `json:"pull_steps,omitzero"`
	ManifestPath             Opt[string]                     `json:"manifest_path,omitzero"`
	WorkQueueName            Opt[string]                     `json:"work_queue_name,omitzero"`
	WorkPoolName             Opt[string]                     `json:"work_pool_name,omitzero"`
	StorageDocumentID        Opt[ID]                         `json:"storage_document_id,omitzero"`
	InfrastructureDocumentID Opt[ID]                         `json:"infrastructure_document_id,omitzero"`
	Description              Opt[string]                     `json:"description,omitzero"`
	Path                     Opt[string]                     `json:"path,omitzero"`
	Version                  Opt[string]                     `json:"version,omitzero"`
	Entrypoint               Opt[string]                     `json:"entrypoint,omitzero"`
	InfraOverrides           Opt[JSON]                       `json:"infra_overrides,omitzero"`
	JobVariables             Opt[JSON]                       `json:"job_variables,omitzero"`
	Extra                    JSON                            `json:",embed"`
}

// Validate checks the name and each schedule's form.
func (c *DeploymentCreate) Validate() error {
	if err := validName("name", c.Name); err != nil {
		return err
	}
	if c.FlowID.IsZero() {
		return Required("flow_id")
	}
	return validSchedules(&c.Schedule, c.Schedules)
}

// validSchedules fills the defaults of the schedules, too.
func validSchedules(one *Opt[Schedule], many Opt[[]DeploymentScheduleCreate]) error {
	if one.Has() {
		if err := one.V.Validate(); err != nil {
			return err
		}
	}
	for i := range many.V {
		if err := many.V[i].Validate(); err != nil {
			return err
		}
	}
	return nil
}

// DeploymentUpdate is a deployment's patch.
type DeploymentUpdate struct {
	Version                  Opt[string]                     `json:"version,omitzero"`
	Schedule                 Opt[Schedule]                   `json:"schedule,omitzero"`
	Description              Opt[string]                     `json:"description,omitzero"`
	IsScheduleActive         Opt[bool]                       `json:"is_schedule_active,omitzero"`
	Paused                   Opt[bool]                       `json:"paused,omitzero"`
	Schedules                Opt[[]DeploymentScheduleCreate] `json:"schedules,omitzero"`
	Parameters               Opt[JSON]                       `json:"parameters,omitzero"`
	ParameterOpenapiSchema   Opt[JSON]                       `json:"parameter_openapi_schema,omitzero"`
	PullSteps                Opt[JSON]                       `json:"pull_steps,omitzero"`
	Tags                     Opt[[]string]                   `json:"tags,omitzero"`
	Labels                   Opt[JSON]                       `json:"labels,omitzero"`
	WorkQueueName            Opt[string]                     `json:"work_queue_name,omitzero"`
	WorkPoolName             Opt[string]                     `json:"work_pool_name,omitzero"`
	Path                     Opt[string]                     `json:"path,omitzero"`
	InfraOverrides           Opt[JSON]                       `json:"infra_overrides,omitzero"`
	JobVariables             Opt[JSON]                       `json:"job_variables,omitzero"`
	Entrypoint               Opt[string]                     `json:"entrypoint,omitzero"`
	ManifestPath             Opt[string]                     `json:"manifest_path,omitzero"`
	StorageDocumentID        Opt[ID]                         `json:"storage_document_id,omitzero"`
	InfrastructureDocumentID Opt[ID]                         `json:"infrastructure_document_id,omitzero"`
	EnforceParameterSchema   Opt[bool]                       `json:"enforce_parameter_schema,omitzero"`
	Extra                    JSON                            `json:",embed"`
}

// Validate checks each schedule's form.
func (u *DeploymentUpdate) Validate() error { return validSchedules(&u.Schedule, u.Schedules) }

// DeploymentFlowRunCreate starts a run of a deployment.
type DeploymentFlowRunCreate struct {
	State                    *StateCreate   `json:"state,omitzero"`
	Name                     *string        `json:"name,omitzero"`
	Parameters               JSON           `json:"parameters,omitzero"`
	EnforceParameterSchema   *bool          `json:"enforce_parameter_schema,omitzero"`
	Context                  JSON           `json:"context,omitzero"`
	InfrastructureDocumentID ID             `json:"infrastructure_document_id,omitzero"`
	EmpiricalPolicy          *FlowRunPolicy `json:"empirical_policy,omitzero"`
	Tags                     []string       `json:"tags,omitzero"`
	Labels                   JSON           `json:"labels,omitzero"`
	IdempotencyKey           *string        `json:"idempotency_key,omitzero"`
	ParentTaskRunID          ID             `json:"parent_task_run_id,omitzero"`
	WorkQueueName            *string        `json:"work_queue_name,omitzero"`
	JobVariables             JSON           `json:"job_variables,omitzero"`
}

// Validate checks the state, if one is given.
func (c *DeploymentFlowRunCreate) Validate() error {
	if c.State != nil {
		return c.State.Validate()
	}
	return nil
}
