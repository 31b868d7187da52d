package store

import (
	"github.com/orionflows/orion"
)

// TaskRunCount is one bucket of the dashboard: how many ended well and not.
type TaskRunCount struct {
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"`
}

// DashboardCounts counts ended task runs in equal parts of the time between
// start and end.
func (tx *Tx) DashboardCounts(f *orion.RunFilters, start, end orion.Time, buckets int64) ([]TaskRunCount, error) {
	out := make([]TaskRunCount, buckets)
	step := max(1, (end.Micro()-start.Micro())/buckets)
	w := all(tx.taskRunsWhere(f), where("task_run.start_time < ?", end))
	err := tx.query(`SELECT (task_run.start_time - ?) / ?, SUM(CASE WHEN task_run.state_type = 'COMPLETED' THEN 1 ELSE 0 END),
		SUM(CASE WHEN task_run.state_type IN ('FAILED', 'CRASHED') THEN 1 ELSE 0 END) FROM task_run WHERE `+w.sql+` GROUP BY 1`,
		append([]any{start, step}, w.args...), func(r *Row) error {
			var i int64
			var c TaskRunCount
			if err := r.Scan(&i, &c.Completed, &c.Failed); err != nil {
				return err
			}
			if i >= buckets {
				i = buckets - 1
			}
			if i >= 0 {
				out[i].Completed += c.Completed
				out[i].Failed += c.Failed
			}
			return nil
		})
	return out, err
}

// SimpleFlowRun is a run as the dashboard's bars need it.
type SimpleFlowRun struct {
	ID        orion.ID      `json:"id"`
	StateType *string       `json:"state_type"`
	Timestamp orion.Time    `json:"timestamp"`
	Duration  orion.Seconds `json:"duration"`
	Lateness  orion.Seconds `json:"lateness"`
}

// SimpleFlowRuns lists runs with few columns.
func (tx *Tx) SimpleFlowRuns(f *orion.RunFilters, sort *string, limit, offset int64) ([]SimpleFlowRun, error) {
	o, err := order(FlowRunSorts, sort, "EXPECTED_START_TIME_DESC")
	if err != nil {
		return nil, err
	}
	w := tx.flowRunsWhere(f)
	return list(tx, "SELECT flow_run.id, flow_run.state_type, flow_run.start_time, flow_run.expected_start_time, flow_run.total_run_time, flow_run.state_timestamp FROM flow_run WHERE "+w.sql+o+" LIMIT ? OFFSET ?",
		append(w.args, limit, offset), func(r *Row) (s SimpleFlowRun, err error) {
			var run orion.FlowRun
			if err := r.Scan(&run.ID, &run.StateType, &run.StartTime, &run.ExpectedStartTime, &run.TotalRunTime, &run.StateTimestamp); err != nil {
				return s, err
			}
			run.Estimate(tx.now)
			s = SimpleFlowRun{ID: run.ID, StateType: run.StateType, Timestamp: run.StartTime, Duration: run.EstimatedRunTime, Lateness: run.EstimatedStartTimeDelta}
			if s.Timestamp.IsZero() {
				s.Timestamp = run.ExpectedStartTime
			}
			return s, nil
		})
}
