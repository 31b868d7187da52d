package store

import (
	"slices"

	"github.com/orionflows/orion"
)

// Counting runs. What asks of their states and of the time they were expected,
// and of nothing else, is known already (tally.go); the rest is counted.

// CountFlowRuns counts flow runs.
func (tx *Tx) CountFlowRuns(f *orion.RunFilters) (int64, error) {
	if state, expected, rest := apart(f); rest != nil && tx.flowRunsCond(rest).sql == "" {
		if n, ok, err := tx.countOf("flow_run", state, expected); ok || err != nil {
			return n, err
		}
	}
	w := tx.flowRunsWhere(f)
	return tx.count("SELECT COUNT(*) FROM flow_run WHERE "+w.sql, w.args...)
}

// CountTaskRuns counts task runs.
func (tx *Tx) CountTaskRuns(f *orion.RunFilters) (int64, error) {
	if f.TaskRuns == nil || !f.TaskRuns.Operator.Or() {
		g, rest := *f, orion.TaskRunFilter{}
		if f.TaskRuns != nil {
			rest = *f.TaskRuns
		}
		state := rest.State
		rest.State, g.TaskRuns = nil, nil
		if tx.taskRunFilter(&rest).sql == "" && tx.flowRunsCond(&g).sql == "" {
			if n, ok, err := tx.countOf("task_run", state, nil); ok || err != nil {
				return n, err
			}
		}
	}
	w := tx.taskRunsWhere(f)
	return tx.count("SELECT COUNT(*) FROM task_run WHERE "+w.sql, w.args...)
}

// CountByState counts the task runs that fit by their state type.
func (tx *Tx) CountByState(f *orion.RunFilters) (map[string]int64, error) {
	out := map[string]int64{}
	for _, t := range orion.StateTypes {
		out[string(t)] = 0
	}
	w := tx.taskRunsWhere(f)
	if w.sql == all(where("task_run.workspace_id = ?", tx.ws)).sql {
		ok, err := tx.totals("task_run", func(s runState, runs int64) {
			if s.typ != "" {
				out[s.typ] += runs
			}
		})
		if ok || err != nil {
			return out, err
		}
	}
	err := tx.query("SELECT task_run.state_type, COUNT(*) FROM task_run WHERE "+w.sql+" AND task_run.state_type IS NOT NULL GROUP BY task_run.state_type", w.args, func(r *Row) error {
		var t string
		var n int64
		err := r.Scan(&t, &n)
		out[t] = n
		return err
	})
	return out, err
}

// apart takes the conditions on a flow run's state and expected time out of a
// filter. There is no rest if the conditions are alternatives.
func apart(f *orion.RunFilters) (state *orion.StateFilter, expected *orion.Cond[orion.ID], rest *orion.RunFilters) {
	g := *f
	if f.FlowRuns == nil {
		return nil, nil, &g
	}
	if f.FlowRuns.Operator.Or() {
		return nil, nil, nil
	}
	runs := *f.FlowRuns
	state, expected = runs.State, runs.ExpectedStartTime
	runs.State, runs.ExpectedStartTime, g.FlowRuns = nil, nil, &runs
	return state, expected, &g
}

// countOf counts runs that are in one of some states and were expected at some
// time, and reports whether it could.
func (tx *Tx) countOf(table string, f *orion.StateFilter, expected *orion.Cond[orion.ID]) (n int64, ok bool, err error) {
	fits, ok := tx.inStates(f)
	if !ok {
		return 0, false, nil
	}
	if expected == nil {
		ok, err = tx.totals(table, func(s runState, runs int64) {
			if fits(s) {
				n += runs
			}
		})
		return n, ok, err
	}
	bounds := *expected
	bounds.After, bounds.Before, bounds.Operator = orion.Time{}, orion.Time{}, nil
	if expected.After.IsZero() || expected.Before.IsZero() || expected.Operator.Or() || column(tx, "", &bounds).sql != "" {
		return 0, false, nil
	}
	ok, err = tx.sumBetween(table, expected.After.Micro(), expected.Before.Micro()+1, func(int64) bool { return false }, func(_ int64, s runState, sums *runSums) {
		if fits(s) {
			n += sums.runs
		}
	})
	return n, ok, err
}

// inStates is a filter of states that only names them; false for another.
func (tx *Tx) inStates(f *orion.StateFilter) (fits func(runState) bool, ok bool) {
	if f == nil {
		return func(runState) bool { return true }, true
	}
	names := func(c *orion.Cond[string]) (func(string) bool, bool) {
		if c == nil {
			return func(string) bool { return true }, true
		}
		rest := *c
		rest.Any, rest.NotAny = nil, nil
		return func(v string) bool {
			return (c.Any == nil || v != "" && slices.Contains(*c.Any, v)) && (c.NotAny == nil || len(*c.NotAny) == 0 || v != "" && !slices.Contains(*c.NotAny, v))
		}, !c.Operator.Or() && column(tx, "state", &rest).sql == ""
	}
	typ, ok1 := names(f.Type)
	name, ok2 := names(f.Name)
	return func(s runState) bool { return typ(s.typ) && name(s.name) }, ok1 && ok2 && !f.Operator.Or()
}
