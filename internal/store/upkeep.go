package store

import (
	"github.com/orionflows/orion"
)

// What the background services look for.

// OverdueRuns lists scheduled runs that should have started before a time and
// are not called late yet.
func (tx *Tx) OverdueRuns(before orion.Time, limit int64) ([]*orion.FlowRun, error) {
	return tx.flowRunsWhereSQL("flow_run.state_type = 'SCHEDULED' AND flow_run.next_scheduled_start_time <= ? AND flow_run.state_name = 'Scheduled' ORDER BY flow_run.next_scheduled_start_time LIMIT ?", before, limit)
}

// ExpiredPauses lists paused runs whose time to be resumed is over.
func (tx *Tx) ExpiredPauses(limit int64) ([]*orion.FlowRun, error) {
	runs, err := tx.flowRunsWhereSQL("flow_run.state_type = 'PAUSED'" + tx.few(" ORDER BY flow_run.expected_start_time", true) + " LIMIT 1000")
	out := runs[:0]
	for _, r := range runs {
		if t := r.State.Details.PauseTimeout; !t.IsZero() && t.Before(tx.now) && int64(len(out)) < limit {
			out = append(out, r)
		}
	}
	return out, err
}

// ExpiredClaims lists pending runs whose agent has not been heard from.
func (tx *Tx) ExpiredClaims(limit int64) ([]*orion.FlowRun, error) {
	return tx.flowRunsWhereSQL("flow_run.state_type = 'PENDING' AND flow_run.claim_expires < ? ORDER BY flow_run.claim_expires LIMIT ?", tx.now, limit)
}

// TasksOfCancelled lists task runs that are still open though their flow run
// was cancelled since a time.
func (tx *Tx) TasksOfCancelled(since orion.Time, limit int64) ([]*orion.TaskRun, error) {
	return list(tx, selectTaskRun+` WHERE task_run.workspace_id = ? AND task_run.flow_run_id IN
		(SELECT id FROM flow_run WHERE workspace_id = ? AND state_type = 'CANCELLED' AND end_time >= ?)
		AND task_run.state_type NOT IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')`+tx.few(" ORDER BY task_run.id", true)+" LIMIT ?",
		[]any{tx.ws, tx.ws, since, limit}, tx.scanTaskRun)
}

// SubflowsOfCancelled lists flow runs that are still open though the flow run
// that started them was cancelled.
func (tx *Tx) SubflowsOfCancelled(limit int64) ([]*orion.FlowRun, error) {
	return tx.flowRunsWhereSQL(`flow_run.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED') AND flow_run.parent_task_run_id IS NOT NULL AND EXISTS
		(SELECT 1 FROM task_run t JOIN flow_run p ON p.workspace_id = t.workspace_id AND p.id = t.flow_run_id
		 WHERE t.workspace_id = flow_run.workspace_id AND t.id = flow_run.parent_task_run_id AND p.state_type = 'CANCELLED')`+tx.few(" ORDER BY flow_run.id", true)+" LIMIT ?", limit)
}

// Resign gives a lease back.
func (tx *Tx) Resign(name, holder string) error {
	_, err := tx.exec("DELETE FROM lease WHERE name = ? AND holder = ?", name, holder)
	return err
}
