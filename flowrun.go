package orion

import "strconv"

// FlowRun is one execution of a flow.
type FlowRun struct {
	ID                       ID            `json:"id"`
	Created                  Time          `json:"created"`
	Updated                  Time          `json:"updated"`
	Name                     string        `json:"name"`
	FlowID                   ID            `json:"flow_id"`
	StateID                  ID            `json:"state_id"`
	DeploymentID             ID            `json:"deployment_id"`
	DeploymentVersion        *string       `json:"deployment_version"`
	WorkQueueID              ID            `json:"work_queue_id"`
	WorkQueueName            *string       `json:"work_queue_name"`
	FlowVersion              *string       `json:"flow_version"`
	Parameters               JSON          `json:"parameters"`
	IdempotencyKey           *string       `json:"idempotency_key"`
	Context                  JSON          `json:"context"`
	EmpiricalPolicy          FlowRunPolicy `json:"empirical_policy"`
	Tags                     []string      `json:"tags"`
	Labels                   JSON          `json:"labels,omitzero"`
	ParentTaskRunID          ID            `json:"parent_task_run_id"`
	StateType                *string       `json:"state_type"`
	StateName                *string       `json:"state_name"`
	RunCount                 int64         `json:"run_count"`
	ExpectedStartTime        Time          `json:"expected_start_time"`
	NextScheduledStartTime   Time          `json:"next_scheduled_start_time"`
	StartTime                Time          `json:"start_time"`
	EndTime                  Time          `json:"end_time"`
	TotalRunTime             Seconds       `json:"total_run_time"`
	EstimatedRunTime         Seconds       `json:"estimated_run_time"`
	EstimatedStartTimeDelta  Seconds       `json:"estimated_start_time_delta"`
	AutoScheduled            bool          `json:"auto_scheduled"`
	InfrastructureDocumentID ID            `json:"infrastructure_document_id"`
	InfrastructurePID        *string       `json:"infrastructure_pid"`
	CreatedBy                JSON          `json:"created_by"`
	JobVariables             JSON          `json:"job_variables"`
	WorkPoolID               ID            `json:"work_pool_id"`
	WorkPoolName             *string       `json:"work_pool_name"`
	State                    *State        `json:"state"`

	// StateTimestamp is when the present state was entered.
	StateTimestamp Time `json:"-"`
	// ClaimOwner and ClaimExpires: the agent that took the run and until when
	// it may stay PENDING without being renewed.
	ClaimOwner   string `json:"-"`
	ClaimExpires Time   `json:"-"`
}

// Type is the present state's type, "" when the run has no state.
func (r *FlowRun) Type() StateType {
	if r.StateType == nil {
		return ""
	}
	return StateType(*r.StateType)
}

// Estimate fills the two fields that depend on the present moment.
func (r *FlowRun) Estimate(now Time) {
	r.EstimatedRunTime, r.EstimatedStartTimeDelta = estimate(now, r.Type(), r.StateTimestamp, r.TotalRunTime, r.ExpectedStartTime, r.StartTime)
}

func estimate(now Time, t StateType, since Time, total Seconds, expected, start Time) (runTime, lateness Seconds) {
	runTime = total
	if t == Running && !since.IsZero() {
		runTime += Seconds(now.Sub(since))
	}
	switch {
	case !start.IsZero() && start.After(expected):
		lateness = Seconds(start.Sub(expected))
	case start.IsZero() && !expected.IsZero() && expected.Before(now) && !t.Final():
		lateness = Seconds(now.Sub(expected))
	}
	return runTime, lateness
}

// RetryPolicy is how often a run is tried again, and after how long: whole
// seconds, for a task run also a list of them. The first two are the spelling
// of clients before 2.4.
type RetryPolicy struct {
	MaxRetries        int64   `json:"max_retries"`
	RetryDelaySeconds float64 `json:"retry_delay_seconds"`
	Retries           *int64  `json:"retries"`
	RetryDelay        JSON    `json:"retry_delay"`
}

// Normalise copies the older spellings to the present ones.
func (p *RetryPolicy) Normalise() {
	if p.Retries == nil && p.MaxRetries != 0 {
		n := p.MaxRetries
		p.Retries = &n
	}
	if IsNull(p.RetryDelay) && p.RetryDelaySeconds != 0 {
		p.RetryDelay = JSON(strconv.FormatInt(int64(p.RetryDelaySeconds), 10))
	}
}

// FlowRunPolicy is a flow run's retry policy, and what its pauses left behind.
type FlowRunPolicy struct {
	RetryPolicy
	PauseKeys []string `json:"pause_keys"`
	Resuming  bool     `json:"resuming"`
	RetryType *string  `json:"retry_type"`
	Extra     JSON     `json:",embed"`
}

// TaskRunPolicy is a task run's retry policy.
type TaskRunPolicy struct {
	RetryPolicy
	RetryJitterFactor *float64 `json:"retry_jitter_factor"`
	Extra             JSON     `json:",embed"`
}

// FlowRunCreate makes an ad-hoc run or a subflow run.
type FlowRunCreate struct {
	ID                       ID             `json:"id,omitzero"`
	Name                     *string        `json:"name,omitzero"`
	FlowID                   ID             `json:"flow_id"`
	DeploymentID             ID             `json:"deployment_id,omitzero"`
	FlowVersion              *string        `json:"flow_version,omitzero"`
	Parameters               JSON           `json:"parameters,omitzero"`
	Context                  JSON           `json:"context,omitzero"`
	ParentTaskRunID          ID             `json:"parent_task_run_id,omitzero"`
	InfrastructureDocumentID ID             `json:"infrastructure_document_id,omitzero"`
	EmpiricalPolicy          *FlowRunPolicy `json:"empirical_policy,omitzero"`
	Tags                     []string       `json:"tags,omitzero"`
	Labels                   JSON           `json:"labels,omitzero"`
	IdempotencyKey           *string        `json:"idempotency_key,omitzero"`
	State                    *StateCreate   `json:"state,omitzero"`
	WorkPoolName             *string        `json:"work_pool_name,omitzero"`
	WorkQueueName            *string        `json:"work_queue_name,omitzero"`
	JobVariables             JSON           `json:"job_variables,omitzero"`
}

// Validate refuses a run without a flow.
func (c *FlowRunCreate) Validate() error {
	if c.FlowID.IsZero() {
		return Required("flow_id")
	}
	if c.State != nil {
		return c.State.Validate()
	}
	return nil
}

// FlowRunUpdate is a flow run's patch.
type FlowRunUpdate struct {
	Name              Opt[string]        `json:"name,omitzero"`
	FlowVersion       Opt[string]        `json:"flow_version,omitzero"`
	Parameters        Opt[JSON]          `json:"parameters,omitzero"`
	EmpiricalPolicy   Opt[FlowRunPolicy] `json:"empirical_policy,omitzero"`
	Tags              Opt[[]string]      `json:"tags,omitzero"`
	InfrastructurePID Opt[string]        `json:"infrastructure_pid,omitzero"`
	JobVariables      Opt[JSON]          `json:"job_variables,omitzero"`
}

// FlowRunInput is a value left for a run to read, for instance the answer to
// a pause that asked for input.
type FlowRunInput struct {
	ID        ID      `json:"id"`
	Created   Time    `json:"created"`
	Updated   Time    `json:"updated"`
	FlowRunID ID      `json:"flow_run_id"`
	Key       string  `json:"key"`
	Value     string  `json:"value"`
	Sender    *string `json:"sender"`
}

// FlowRunInputCreate stores an input.
type FlowRunInputCreate struct {
	Key    string  `json:"key"`
	Value  string  `json:"value"`
	Sender *string `json:"sender,omitzero"`
}

// Validate checks the key's characters.
func (c *FlowRunInputCreate) Validate() error {
	if c.Key == "" {
		return Required("key")
	}
	return validSlug("key", c.Key)
}

// HistoryBucket is one interval of a run history.
type HistoryBucket struct {
	IntervalStart Time           `json:"interval_start"`
	IntervalEnd   Time           `json:"interval_end"`
	States        []HistoryState `json:"states"`
}

// HistoryState counts the runs of one state in a bucket.
type HistoryState struct {
	StateType            string  `json:"state_type"`
	StateName            string  `json:"state_name"`
	CountRuns            int64   `json:"count_runs"`
	SumEstimatedRunTime  Seconds `json:"sum_estimated_run_time"`
	SumEstimatedLateness Seconds `json:"sum_estimated_lateness"`
}
