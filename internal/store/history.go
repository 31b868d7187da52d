package store

import (
	"sort"

	"github.com/orionflows/orion"
)

// FlowRunHistory counts runs in intervals of their expected start time, by
// state, with the sums of run time and lateness. An interval without runs has
// no states.
func (tx *Tx) FlowRunHistory(f *orion.RunFilters, start, end orion.Time, interval orion.Seconds) ([]orion.HistoryBucket, error) {
	w := tx.flowRunsWhere(f)
	return tx.historyOf("flow_run", w, start, end, interval)
}

// TaskRunHistory is FlowRunHistory for task runs.
func (tx *Tx) TaskRunHistory(f *orion.RunFilters, start, end orion.Time, interval orion.Seconds) ([]orion.HistoryBucket, error) {
	w := tx.taskRunsWhere(f)
	return tx.historyOf("task_run", w, start, end, interval)
}

func (tx *Tx) historyOf(table string, w cond, start, end orion.Time, interval orion.Seconds) ([]orion.HistoryBucket, error) {
	step := int64(interval) / 1000
	first := start.Micro()
	buckets := []orion.HistoryBucket{}
	for at := first; at < end.Micro() && len(buckets) < 500; at += step {
		buckets = append(buckets, orion.HistoryBucket{IntervalStart: orion.Micro(at), IntervalEnd: orion.Micro(at + step), States: []orion.HistoryState{}})
	}
	if len(buckets) == 0 {
		return buckets, nil
	}
	last := buckets[len(buckets)-1].IntervalEnd
	now := tx.now
	c := all(w, where(table+".expected_start_time >= ? AND "+table+".expected_start_time < ?", start, last))
	// The sums follow orion's estimate: a running run has run until now, and
	// one that has not started is late since it was expected.
	sql := `SELECT (` + table + `.expected_start_time - ?) / ? AS bucket, ` + table + `.state_type, ` + table + `.state_name, COUNT(*),
		CAST(SUM(` + table + `.total_run_time + CASE WHEN ` + table + `.state_type = 'RUNNING' THEN ? - ` + table + `.state_timestamp ELSE 0 END) AS BIGINT),
		CAST(SUM(CASE
			WHEN ` + table + `.start_time > ` + table + `.expected_start_time THEN ` + table + `.start_time - ` + table + `.expected_start_time
			WHEN ` + table + `.start_time IS NULL AND ` + table + `.state_type NOT IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED') AND ` + table + `.expected_start_time < ?
				THEN ? - ` + table + `.expected_start_time
			ELSE 0 END) AS BIGINT)
		FROM ` + table + ` WHERE ` + c.sql + ` AND ` + table + `.state_type IS NOT NULL GROUP BY 1, 2, 3`
	args := append([]any{first, step, now, now, now}, c.args...)
	err := tx.query(sql, args, func(r *Row) error {
		var i int64
		var s orion.HistoryState
		if err := r.Scan(&i, &s.StateType, &s.StateName, &s.CountRuns, &s.SumEstimatedRunTime, &s.SumEstimatedLateness); err != nil {
			return err
		}
		if i >= 0 && i < int64(len(buckets)) {
			buckets[i].States = append(buckets[i].States, s)
		}
		return nil
	})
	for i := range buckets {
		s := buckets[i].States
		sort.Slice(s, func(a, b int) bool {
			if s[a].StateType != s[b].StateType {
				return s[a].StateType < s[b].StateType
			}
			return s[a].StateName < s[b].StateName
		})
	}
	return buckets, err
}

// FlowRunLateness is the average lateness of runs in seconds; nil when there
// are none.
func (tx *Tx) FlowRunLateness(f *orion.RunFilters) (*float64, error) {
	w := tx.flowRunsWhere(f)
	var n, sum int64
	_, err := tx.one(`SELECT COUNT(*), CAST(COALESCE(SUM(CASE
		WHEN flow_run.start_time > flow_run.expected_start_time THEN flow_run.start_time - flow_run.expected_start_time
		WHEN flow_run.start_time IS NULL AND flow_run.state_type NOT IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED') AND flow_run.expected_start_time < ?
			THEN ? - flow_run.expected_start_time
		ELSE 0 END), 0) AS BIGINT) FROM flow_run WHERE `+w.sql, append([]any{tx.now, tx.now}, w.args...), &n, &sum)
	if err != nil || n == 0 {
		return nil, err
	}
	avg := float64(sum) / float64(n) / 1e6
	return &avg, nil
}
