package store

import (
	"github.com/orionflows/orion"
)

const inputColumns = "id, created, updated, flow_run_id, key, value, sender"

func scanInput(r *Row) (i orion.FlowRunInput, err error) {
	err = r.Scan(&i.ID, &i.Created, &i.Updated, &i.FlowRunID, &i.Key, &i.Value, &i.Sender)
	return i, err
}

// FlowRunInput reads an input of a run by its key; nil when there is none.
func (tx *Tx) FlowRunInput(run orion.ID, key string) (*orion.FlowRunInput, error) {
	return first(tx, "SELECT "+inputColumns+" FROM flow_run_input WHERE workspace_id = ? AND flow_run_id = ? AND key = ?", []any{tx.ws, run, key}, scanInput)
}

// FlowRunInputs lists a run's inputs whose keys start with prefix, the oldest
// first.
func (tx *Tx) FlowRunInputs(run orion.ID, prefix string, except []string, limit int64) ([]orion.FlowRunInput, error) {
	w := all(where("workspace_id = ? AND flow_run_id = ?", tx.ws, run), where(tx.d.like("key"), escapeLike(prefix)+"%"), notIn("key", except))
	return list(tx, "SELECT "+inputColumns+" FROM flow_run_input WHERE "+w.sql+" ORDER BY created, id LIMIT ?", append(w.args, limit), scanInput)
}

// CreateFlowRunInput stores an input; a key that is taken is a Conflict error.
func (tx *Tx) CreateFlowRunInput(run orion.ID, c *orion.FlowRunInputCreate) error {
	n, err := tx.exec("INSERT INTO flow_run_input (workspace_id, id, created, updated, actor, flow_run_id, key, value, sender) VALUES ("+marks(9)+") ON CONFLICT DO NOTHING",
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, run, c.Key, c.Value, c.Sender)
	if err == nil && n == 0 {
		err = orion.Errorf(orion.Conflict, "A flow run input with this key already exists.")
	}
	return err
}

// DeleteFlowRunInput removes an input of a run.
func (tx *Tx) DeleteFlowRunInput(run orion.ID, key string) (bool, error) {
	n, err := tx.exec("DELETE FROM flow_run_input WHERE workspace_id = ? AND flow_run_id = ? AND key = ?", tx.ws, run, key)
	return n > 0, err
}
