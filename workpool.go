package orion

import "strings"

// DefaultAgentPool is the pool of every queue that names none.
const DefaultAgentPool = "default-agent-pool"

// WorkPool is a group of queues served by workers of one type.
type WorkPool struct {
	ID               ID      `json:"id"`
	Created          Time    `json:"created"`
	Updated          Time    `json:"updated"`
	Name             string  `json:"name"`
	Description      *string `json:"description"`
	Type             string  `json:"type"`
	BaseJobTemplate  JSON    `json:"base_job_template"`
	IsPaused         bool    `json:"is_paused"`
	ConcurrencyLimit *int64  `json:"concurrency_limit"`
	Status           *string `json:"status"`
	DefaultQueueID   ID      `json:"default_queue_id"`
}

// WorkPoolCreate makes a pool and its default queue.
type WorkPoolCreate struct {
	Name             string  `json:"name"`
	Description      *string `json:"description,omitzero"`
	Type             *string `json:"type,omitzero"`
	BaseJobTemplate  JSON    `json:"base_job_template,omitzero"`
	IsPaused         *bool   `json:"is_paused,omitzero"`
	ConcurrencyLimit *int64  `json:"concurrency_limit,omitzero"`
}

// Validate checks name and limit.
func (c *WorkPoolCreate) Validate() error {
	if err := validName("name", c.Name); err != nil {
		return err
	}
	if c.ConcurrencyLimit != nil && *c.ConcurrencyLimit < 0 {
		return Refuse("concurrency_limit", "ensure this value is greater than or equal to 0")
	}
	return nil
}

// Reserved reports names that only the server may use.
func Reserved(name string) bool { return strings.HasPrefix(strings.ToLower(name), "prefect") }

// WorkPoolUpdate is a pool's patch.
type WorkPoolUpdate struct {
	Description      Opt[string] `json:"description,omitzero"`
	IsPaused         Opt[bool]   `json:"is_paused,omitzero"`
	BaseJobTemplate  Opt[JSON]   `json:"base_job_template,omitzero"`
	ConcurrencyLimit Opt[int64]  `json:"concurrency_limit,omitzero"`
}

// WorkQueue is a lane of a pool with its own priority and limit.
type WorkQueue struct {
	ID               ID      `json:"id"`
	Created          Time    `json:"created"`
	Updated          Time    `json:"updated"`
	Name             string  `json:"name"`
	Description      *string `json:"description"`
	IsPaused         bool    `json:"is_paused"`
	ConcurrencyLimit *int64  `json:"concurrency_limit"`
	Priority         int64   `json:"priority"`
	WorkPoolID       ID      `json:"work_pool_id"`
	Filter           JSON    `json:"filter"`
	LastPolled       Time    `json:"last_polled"`
	WorkPoolName     *string `json:"work_pool_name"`
	Status           string  `json:"status"`
}

// PausedStatus is the status of a paused pool or queue.
const PausedStatus = "PAUSED"

// WorkQueueCreate makes a queue.
type WorkQueueCreate struct {
	Name             string  `json:"name"`
	Description      *string `json:"description,omitzero"`
	IsPaused         *bool   `json:"is_paused,omitzero"`
	ConcurrencyLimit *int64  `json:"concurrency_limit,omitzero"`
	Priority         *int64  `json:"priority,omitzero"`
	Filter           JSON    `json:"filter,omitzero"`
}

// Validate checks the name and the numbers.
func (c *WorkQueueCreate) Validate() error {
	if err := validName("name", c.Name); err != nil {
		return err
	}
	if c.ConcurrencyLimit != nil && *c.ConcurrencyLimit < 0 {
		return Refuse("concurrency_limit", "ensure this value is greater than or equal to 0")
	}
	if c.Priority != nil && *c.Priority < 1 {
		return Refuse("priority", "ensure this value is greater than 0")
	}
	return nil
}

// WorkQueueUpdate is a queue's patch.
type WorkQueueUpdate struct {
	Name             Opt[string] `json:"name,omitzero"`
	Description      Opt[string] `json:"description,omitzero"`
	IsPaused         Opt[bool]   `json:"is_paused,omitzero"`
	ConcurrencyLimit Opt[int64]  `json:"concurrency_limit,omitzero"`
	Priority         Opt[int64]  `json:"priority,omitzero"`
	Filter           Opt[JSON]   `json:"filter,omitzero"`
	LastPolled       Opt[Time]   `json:"last_polled,omitzero"`
}

// Worker is a process that polls a pool.
type Worker struct {
	ID                       ID     `json:"id"`
	Created                  Time   `json:"created"`
	Updated                  Time   `json:"updated"`
	Name                     string `json:"name"`
	WorkPoolID               ID     `json:"work_pool_id"`
	LastHeartbeatTime        Time   `json:"last_heartbeat_time"`
	HeartbeatIntervalSeconds *int64 `json:"heartbeat_interval_seconds"`
	Status                   string `json:"status"`
}

// ScheduledRun is a run that a pool's worker may start.
type ScheduledRun struct {
	WorkPoolID  ID       `json:"work_pool_id"`
	WorkQueueID ID       `json:"work_queue_id"`
	FlowRun     *FlowRun `json:"flow_run"`
}
