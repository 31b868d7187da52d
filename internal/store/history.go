package store

import (
	"slices"
	"sort"

	"github.com/orionflows/orion"
)

// FlowRunHistory counts runs in intervals of their expected start time, by
// state, with the sums of run time and lateness. An interval without runs has
// no states.
func (tx *Tx) FlowRunHistory(f *orion.RunFilters, start, end orion.Time, interval orion.Seconds) ([]orion.HistoryBucket, error) {
	return tx.historyOf("flow_run", tx.flowRunsWhere(f), start, end, interval)
}

// TaskRunHistory is FlowRunHistory for task runs.
func (tx *Tx) TaskRunHistory(f *orion.RunFilters, start, end orion.Time, interval orion.Seconds) ([]orion.HistoryBucket, error) {
	return tx.historyOf("task_run", tx.taskRunsWhere(f), start, end, interval)
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
	whole := w.sql == all(where(table+".workspace_id = ?", tx.ws)).sql
	done := false
	var err error
	if whole {
		done, err = tx.sumByBucket(buckets, table, first, step)
	}
	if !done && err == nil {
		err = tx.countByBucket(buckets, table, w, whole, first, step)
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

// countByBucket fills the buckets in one query, of the runs that fit or of the
// whole table.
func (tx *Tx) countByBucket(buckets []orion.HistoryBucket, table string, w cond, whole bool, first, step int64) error {
	now := tx.now
	c := all(w, where(table+".expected_start_time >= ? AND "+table+".expected_start_time < ?", buckets[0].IntervalStart, buckets[len(buckets)-1].IntervalEnd))
	sql := `SELECT (` + table + `.expected_start_time - ?) / ? AS bucket, ` + table + `.state_type, ` + table + `.state_name, ` + sums(table) + `
		FROM ` + table + ` WHERE ` + c.sql + ` AND ` + table + `.state_type IS NOT NULL GROUP BY 1, 2, 3`
	args := append([]any{first, step, now, now, now}, c.args...)
	if tx.d == postgresDialect && whole {
		// It would sort a hundred thousand runs on disk; bucket by bucket they
		// are read from an index and never sorted.
		sql = `SELECT b.i, s.* FROM generate_series(CAST(0 AS BIGINT), ?) AS b(i), LATERAL (SELECT ` + table + `.state_type, ` + table + `.state_name, ` + sums(table) + `
			FROM ` + table + ` WHERE ` + w.sql + ` AND ` + table + `.expected_start_time >= ? + b.i * ? AND ` + table + `.expected_start_time < ? + (b.i + 1) * ?
			AND ` + table + `.state_type IS NOT NULL GROUP BY 1, 2) AS s`
		args = append(append([]any{len(buckets) - 1, now, now, now}, w.args...), first, step, first, step)
	}
	return tx.query(sql, args, func(r *Row) error {
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

// sumByBucket fills the buckets of all runs from the tally, and reports whether
// it could. Only the runs of those minutes that a bucket's end divides, or in
// which some become overdue at this moment, are looked at one by one.
func (tx *Tx) sumByBucket(buckets []orion.HistoryBucket, table string, first, step int64) (bool, error) {
	if step < 2*minute {
		return false, nil
	}
	end, now := first+step*int64(len(buckets)), tx.now.Micro()
	add := func(at int64, s runState, sums *runSums) {
		if s.typ == "" {
			return
		}
		states := &buckets[(at-first)/step].States
		i := slices.IndexFunc(*states, func(h orion.HistoryState) bool { return h.StateName == s.name && h.StateType == s.typ })
		if i < 0 {
			i = len(*states)
			*states = append(*states, orion.HistoryState{StateType: s.typ, StateName: s.name})
		}
		h := &(*states)[i]
		runTime, lateness := sums.at(now, at < now)
		h.CountRuns += sums.runs
		h.SumEstimatedRunTime += orion.Seconds(runTime * 1000)
		h.SumEstimatedLateness += orion.Seconds(lateness * 1000)
	}
	return tx.sumBetween(table, first, end, func(at int64) bool {
		last := at + minute - 1
		return (at-first)/step != (last-first)/step || (at < now && now <= last)
	}, add)
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
