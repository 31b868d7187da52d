package orion

// TaskRun is one execution of a task within a flow run.
type TaskRun struct {
	ID                      ID            `json:"id"`
	Created                 Time          `json:"created"`
	Updated                 Time          `json:"updated"`
	Name                    string        `json:"name"`
	FlowRunID               ID            `json:"flow_run_id"`
	TaskKey                 string        `json:"task_key"`
	DynamicKey              string        `json:"dynamic_key"`
	CacheKey                *string       `json:"cache_key"`
	CacheExpiration         Time          `json:"cache_expiration"`
	TaskVersion             *string       `json:"task_version"`
	EmpiricalPolicy         TaskRunPolicy `json:"empirical_policy"`
	Tags                    []string      `json:"tags"`
	Labels                  JSON          `json:"labels,omitzero"`
	StateID                 ID            `json:"state_id"`
	TaskInputs              JSON          `json:"task_inputs"`
	StateType               *string       `json:"state_type"`
	StateName               *string       `json:"state_name"`
	RunCount                int64         `json:"run_count"`
	FlowRunRunCount         int64         `json:"flow_run_run_count"`
	ExpectedStartTime       Time          `json:"expected_start_time"`
	NextScheduledStartTime  Time          `json:"next_scheduled_start_time"`
	StartTime               Time          `json:"start_time"`
	EndTime                 Time          `json:"end_time"`
	TotalRunTime            Seconds       `json:"total_run_time"`
	EstimatedRunTime        Seconds       `json:"estimated_run_time"`
	EstimatedStartTimeDelta Seconds       `json:"estimated_start_time_delta"`
	State                   *State        `json:"state"`

	// StateTimestamp is when the present state was entered.
	StateTimestamp Time `json:"-"`
}

// Type is the present state's type, "" when the run has no state.
func (r *TaskRun) Type() StateType {
	if r.StateType == nil {
		return ""
	}
	return StateType(*r.StateType)
}

// Estimate fills the two fields that depend on the present moment.
func (r *TaskRun) Estimate(now Time) {
	r.EstimatedRunTime, r.EstimatedStartTimeDelta = estimate(now, r.Type(), r.StateTimestamp, r.TotalRunTime, r.ExpectedStartTime, r.StartTime)
}

// TaskRunCreate finds or makes a task run by its natural key: the flow run,
// the task key and the dynamic key.
type TaskRunCreate struct {
	ID              ID             `json:"id,omitzero"`
	Name            *string        `json:"name,omitzero"`
	FlowRunID       ID             `json:"flow_run_id"`
	TaskKey         *string        `json:"task_key"`
	DynamicKey      *string        `json:"dynamic_key"`
	CacheKey        *string        `json:"cache_key,omitzero"`
	CacheExpiration Time           `json:"cache_expiration,omitzero"`
	TaskVersion     *string        `json:"task_version,omitzero"`
	EmpiricalPolicy *TaskRunPolicy `json:"empirical_policy,omitzero"`
	Tags            []string       `json:"tags,omitzero"`
	Labels          JSON           `json:"labels,omitzero"`
	TaskInputs      JSON           `json:"task_inputs,omitzero"`
	State           *StateCreate   `json:"state,omitzero"`
}

// Validate refuses a run without keys, and cache keys too long to look up.
func (c *TaskRunCreate) Validate() error {
	switch {
	case c.TaskKey == nil:
		return Required("task_key")
	case c.DynamicKey == nil:
		return Required("dynamic_key")
	case c.CacheKey != nil && len(*c.CacheKey) > 2000:
		return Refuse("cache_key", "Cache key exceeded maximum allowed length of 2000 characters.")
	}
	if c.State != nil {
		return c.State.Validate()
	}
	return nil
}

// TaskRunUpdate is a task run's patch.
type TaskRunUpdate struct {
	Name Opt[string] `json:"name,omitzero"`
}
