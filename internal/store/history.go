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
	var err error
	if tx.d == sqliteDialect && table == "flow_run" && w.sql == all(where("flow_run.workspace_id = ?", tx.ws)).sql {
		err = tx.countByStateAndTime(buckets)
	} else {
		err = tx.countByBucket(buckets, table, w, first, step)
	}
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

// sums are COUNT(*), the run time and the lateness of a table's runs. They
// follow orion's estimate: a running run has run until now, and one that has
// not started is late since it was expected. They take the time three times.
func sums(table string) string {
	return `COUNT(*),
		CAST(SUM(` + table + `.total_run_time + CASE WHEN ` + table + `.state_type = 'RUNNING' THEN ? - ` + table + `.state_timestamp ELSE 0 END) AS BIGINT),
		CAST(SUM(CASE
			WHEN ` + table + `.start_time > ` + table + `.expected_start_time THEN ` + table + `.start_time - ` + table + `.expected_start_time
			WHEN ` + table + `.start_time IS NULL AND ` + table + `.state_type NOT IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED') AND ` + table + `.expected_start_time < ?
				THEN ? - ` + table + `.expected_start_time
			ELSE 0 END) AS BIGINT)`
}

// countByBucket fills the buckets in one query, which sorts all runs of the
// time by bucket and state.
func (tx *Tx) countByBucket(buckets []orion.HistoryBucket, table string, w cond, first, step int64) error {
	now := tx.now
	c := all(w, where(table+".expected_start_time >= ? AND "+table+".expected_start_time < ?", buckets[0].IntervalStart, buckets[len(buckets)-1].IntervalEnd))
	sql := `SELECT (` + table + `.expected_start_time - ?) / ? AS bucket, ` + table + `.state_type, ` + table + `.state_name, ` + sums(table) + `
		FROM ` + table + ` WHERE ` + c.sql + ` AND ` + table + `.state_type IS NOT NULL GROUP BY 1, 2, 3`
	return tx.query(sql, append([]any{first, step, now, now, now}, c.args...), func(r *Row) error {
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
}

// countByStateAndTime fills the buckets of all flow runs on SQLite: a query for
// each state and bucket reads its part of the index flow_run_by_state from end
// to end. Sorting a hundred thousand runs would take five times as long, while
// a query without a round trip costs next to nothing.
func (tx *Tx) countByStateAndTime(buckets []orion.HistoryBucket) error {
	const next = `SELECT state_type, state_name FROM flow_run WHERE workspace_id = ? AND (state_type, state_name) > (?, ?)
		ORDER BY state_type, state_name LIMIT 1`
	count := `SELECT ` + sums("flow_run") + ` FROM flow_run INDEXED BY flow_run_by_state WHERE workspace_id = ? AND state_type = ? AND state_name = ?
		AND expected_start_time >= ? AND expected_start_time < ?`
	var s orion.HistoryState
	for {
		found, err := tx.one(next, []any{tx.ws, s.StateType, s.StateName}, &s.StateType, &s.StateName)
		if err != nil || !found {
			return err
		}
		for i := range buckets {
			b := &buckets[i]
			if _, err := tx.one(count, []any{tx.now, tx.now, tx.now, tx.ws, s.StateType, s.StateName, b.IntervalStart, b.IntervalEnd},
				&s.CountRuns, &s.SumEstimatedRunTime, &s.SumEstimatedLateness); err != nil {
				return err
			}
			if s.CountRuns > 0 {
				b.States = append(b.States, s)
			}
		}
	}
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
