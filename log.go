package orion

// Log is one line that a run wrote. Level is Python's: 10 debug to 50 critical.
type Log struct {
	ID        ID     `json:"id"`
	Created   Time   `json:"created"`
	Updated   Time   `json:"updated"`
	Name      string `json:"name"`
	Level     int64  `json:"level"`
	Message   string `json:"message"`
	Timestamp Time   `json:"timestamp"`
	FlowRunID ID     `json:"flow_run_id"`
	TaskRunID ID     `json:"task_run_id"`
}

// LogCreate is one line as a client sends it.
type LogCreate struct {
	Name      string `json:"name"`
	Level     int64  `json:"level"`
	Message   string `json:"message"`
	Timestamp Time   `json:"timestamp"`
	FlowRunID ID     `json:"flow_run_id,omitzero"`
	TaskRunID ID     `json:"task_run_id,omitzero"`
	WorkerID  ID     `json:"worker_id,omitzero"`
}
