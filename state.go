package orion

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON is a value that Orion keeps as it came.
type JSON = jsontext.Value

// StateType is the kind of a state; its name is free text within the kind.
type StateType string

// The nine state types.
const (
	Scheduled  StateType = "SCHEDULED"
	Pending    StateType = "PENDING"
	Running    StateType = "RUNNING"
	Completed  StateType = "COMPLETED"
	Failed     StateType = "FAILED"
	Cancelled  StateType = "CANCELLED"
	Crashed    StateType = "CRASHED"
	Paused     StateType = "PAUSED"
	Cancelling StateType = "CANCELLING"
)

// StateTypes lists them in the order Prefect does.
var StateTypes = []StateType{Scheduled, Pending, Running, Completed, Failed, Cancelled, Crashed, Paused, Cancelling}

// Final reports whether a run in this state has ended.
func (t StateType) Final() bool {
	return t == Completed || t == Cancelled || t == Failed || t == Crashed
}

// Known reports whether t is one of the nine.
func (t StateType) Known() bool {
	for _, k := range StateTypes {
		if k == t {
			return true
		}
	}
	return false
}

// DefaultName is the name a state has when the client gives none.
func (t StateType) DefaultName() string {
	if t == "" {
		return ""
	}
	return string(t[0]) + strings.ToLower(string(t[1:]))
}

// State is where a flow run or task run is. Stored states never change.
type State struct {
	ID        ID           `json:"id"`
	Type      StateType    `json:"type"`
	Name      string       `json:"name"`
	Timestamp Time         `json:"timestamp"`
	Message   *string      `json:"message"`
	Data      JSON         `json:"data"`
	Details   StateDetails `json:"state_details"`
}

// StateDetails are the facts that the orchestration rules read. Keys this
// server does not know are kept in Extra and answered again.
type StateDetails struct {
	FlowRunID         ID      `json:"flow_run_id"`
	TaskRunID         ID      `json:"task_run_id"`
	ChildFlowRunID    ID      `json:"child_flow_run_id"`
	ScheduledTime     Time    `json:"scheduled_time"`
	CacheKey          *string `json:"cache_key"`
	CacheExpiration   Time    `json:"cache_expiration"`
	UntrackableResult bool    `json:"untrackable_result"`
	PauseTimeout      Time    `json:"pause_timeout"`
	PauseReschedule   bool    `json:"pause_reschedule"`
	PauseKey          *string `json:"pause_key"`
	RunInputKeyset    JSON    `json:"run_input_keyset"`
	RefreshCache      *bool   `json:"refresh_cache"`
	Retriable         *bool   `json:"retriable"`
	TransitionID      ID      `json:"transition_id"`
	TaskParametersID  ID      `json:"task_parameters_id"`
	Extra             JSON    `json:",embed"`
}

// StateCreate is a state as a client proposes it. The server makes its id and
// its timestamp; those a client sends are ignored.
type StateCreate struct {
	Type    StateType    `json:"type"`
	Name    *string      `json:"name,omitzero"`
	Message *string      `json:"message,omitzero"`
	Data    JSON         `json:"data,omitzero"`
	Details StateDetails `json:"state_details"`
}

// Validate refuses unknown types.
func (s *StateCreate) Validate() error {
	if s.Type == "" {
		return Required("state.type")
	}
	if !s.Type.Known() {
		return Refuse("state.type", "value is not a valid enumeration member; permitted: 'SCHEDULED', 'PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED', 'PAUSED', 'CANCELLING'")
	}
	return nil
}

// State gives the proposal an id and the present time, and the defaults a
// scheduled state needs.
func (s *StateCreate) State(now Time) *State {
	st := &State{ID: NewID(), Type: s.Type, Timestamp: now, Message: s.Message, Data: s.Data, Details: s.Details}
	if s.Name != nil && *s.Name != "" {
		st.Name = *s.Name
	} else {
		st.Name = s.Type.DefaultName()
	}
	if st.Type == Scheduled && st.Details.ScheduledTime.IsZero() {
		st.Details.ScheduledTime = now
	}
	if len(st.Data) > 0 && st.Data.Kind() == 'n' {
		st.Data = nil
	}
	return st
}

// DataType is the "type" of a result reference in data, "" when there is none.
func (s *State) DataType() string {
	if s == nil || len(s.Data) == 0 {
		return ""
	}
	var d struct {
		Type string `json:"type"`
	}
	if unmarshalLoose(s.Data, &d) != nil {
		return ""
	}
	return d.Type
}

// SetStateRequest is the body of set_state.
type SetStateRequest struct {
	State *StateCreate `json:"state"`
	Force *bool        `json:"force,omitzero"`
}

// Validate refuses a body without a state.
func (r *SetStateRequest) Validate() error {
	if r.State == nil {
		return Required("state")
	}
	return r.State.Validate()
}

// Decision is what orchestration made of a proposed state.
type Decision string

// The four decisions.
const (
	Accept Decision = "ACCEPT"
	Reject Decision = "REJECT"
	Abort  Decision = "ABORT"
	Wait   Decision = "WAIT"
)

// OrchestrationResult is the answer to set_state.
type OrchestrationResult struct {
	State   *State          `json:"state"`
	Status  Decision        `json:"status"`
	Details DecisionDetails `json:"details"`
}

// DecisionDetails say why, and how long to wait.
type DecisionDetails struct {
	Type         string `json:"type"`
	Reason       string `json:"reason,omitzero"`
	DelaySeconds *int   `json:"delay_seconds,omitzero"`
}
