package store

import (
	"github.com/orionflows/orion"
)

// runKind tells flow runs and task runs apart where they are stored alike.
type runKind struct {
	table, states string
}

var (
	flowRuns = runKind{"flow_run", "flow_run_state"}
	taskRuns = runKind{"task_run", "task_run_state"}
)

const stateColumns = "s.id, s.type, s.name, s.timestamp, s.message, s.data, s.details"

func scanState(r *Row) (s orion.State, err error) {
	var t string
	err = r.Scan(&s.ID, &t, &s.Name, &s.Timestamp, &s.Message, &s.Data, asJSON(&s.Details))
	s.Type = orion.StateType(t)
	return s, err
}

// stateScan holds the columns of a state that may be missing from a join.
type stateScan struct {
	s orion.State
	t string
}

func (j *stateScan) dest() []any {
	return []any{&j.s.ID, &j.t, &j.s.Name, &j.s.Timestamp, &j.s.Message, &j.s.Data, asJSON(&j.s.Details)}
}

func (j *stateScan) state() *orion.State {
	if j.s.ID.IsZero() {
		return nil
	}
	s := j.s
	s.Type = orion.StateType(j.t)
	return &s
}

// FlowRunStates lists the states a flow run has been in, oldest first.
func (tx *Tx) FlowRunStates(run orion.ID) ([]orion.State, error) { return tx.states(flowRuns, run) }

// TaskRunStates lists the states a task run has been in, oldest first.
func (tx *Tx) TaskRunStates(run orion.ID) ([]orion.State, error) { return tx.states(taskRuns, run) }

func (tx *Tx) states(k runKind, run orion.ID) ([]orion.State, error) {
	return list(tx, "SELECT "+stateColumns+" FROM "+k.states+" s WHERE s.workspace_id = ? AND s.run_id = ? ORDER BY s.timestamp, s.id", []any{tx.ws, run}, scanState)
}

// FlowRunState reads one state; nil when there is none.
func (tx *Tx) FlowRunState(id orion.ID) (*orion.State, error) { return tx.oneState(flowRuns, id) }

// TaskRunState reads one state; nil when there is none.
func (tx *Tx) TaskRunState(id orion.ID) (*orion.State, error) { return tx.oneState(taskRuns, id) }

func (tx *Tx) oneState(k runKind, id orion.ID) (*orion.State, error) {
	return first(tx, "SELECT "+stateColumns+" FROM "+k.states+" s WHERE s.workspace_id = ? AND s.id = ?", []any{tx.ws, id}, scanState)
}

// insertState stores a state. Data that is a result leaves an artifact, which
// the artifact lists show.
func (tx *Tx) insertState(k runKind, run orion.ID, s *orion.State) error {
	var artifact orion.ID
	if t := s.DataType(); t != "" && t != "unpersisted" {
		var err error
		if artifact, err = tx.resultArtifact(s); err != nil {
			return err
		}
	}
	data := s.Data
	if s.DataType() == "unpersisted" {
		data = nil // there is nothing to read again; only the answer to the client says it
	}
	return tx.later("INSERT INTO "+k.states+" (workspace_id, id, run_id, actor, type, name, timestamp, message, details, data, result_artifact_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		tx.ws, s.ID, run, tx.actor, s.Type, s.Name, s.Timestamp, s.Message, s.Details, data, artifact)
}

// resultArtifact makes the artifact of a state's result. Type, key and
// description travel in the data and are taken out of it.
func (tx *Tx) resultArtifact(s *orion.State) (orion.ID, error) {
	var d map[string]orion.JSON
	if err := orion.Decode(s.Data, &d); err != nil {
		return orion.ID{}, nil // not an object: there is nothing to show
	}
	take := func(key string) *string {
		v, ok := d[key]
		if !ok {
			return nil
		}
		delete(d, key)
		var out *string
		orion.Decode(v, &out)
		return out
	}
	typ, key, description := take("artifact_type"), take("artifact_key"), take("artifact_description")
	if typ == nil {
		t := "result"
		typ = &t
	}
	data, err := orion.Encode(d)
	if err != nil {
		return orion.ID{}, err
	}
	s.Data = data
	a, err := tx.CreateArtifact(&orion.ArtifactCreate{Key: key, Type: typ, Description: description, Data: s.Data,
		FlowRunID: s.Details.FlowRunID, TaskRunID: s.Details.TaskRunID})
	if err != nil {
		return orion.ID{}, err
	}
	return a.ID, nil
}
