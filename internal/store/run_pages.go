package store

import (
	"math"
	"strings"

	"github.com/orionflows/orion"
)

// How the page of a list of flow runs is found. SQLite plans a statement once,
// without looking at what it is asked for, and neither database knows how runs
// that are in a window of time lie in the order of another time. So where it
// matters most, in the order by start time that every page asks for, what to
// read is chosen here.

const (
	// fewRuns are sorted sooner than a list is searched for them.
	fewRuns = 300
	// manyRuns are worth counting before they are passed over.
	manyRuns = 2000
	// maxMerged bounds the states whose lists are merged, and maxNames those
	// that are looked through for them.
	maxMerged, maxNames = 16, 64
)

// flowRunIDs selects the ids of a page of flow runs in an order.
func (tx *Tx) flowRunIDs(f *orion.RunFilters, order string, limit, offset int64) (cond, error) {
	short := fewFlowRuns(f.FlowRuns)
	if state, expected, rest := apart(f); rest != nil && !short && strings.HasPrefix(order, " ORDER BY "+startOrder) {
		var name cond
		if rest.FlowRuns != nil {
			name = column(tx, "flow_run.name", rest.FlowRuns.Name)
			rest.FlowRuns.Name = nil
		}
		if tx.flowRunsCond(rest).sql == "" {
			wide, err := tx.wideWindow(expected, strings.HasSuffix(order, " DESC"))
			if err != nil {
				return cond{}, err
			}
			if short = !wide; wide {
				return tx.walkByStart(state, expected, name, order, limit, offset)
			}
		}
	}
	return tx.ids("flow_run", tx.flowRunsWhere(f), tx.few(order, short), limit, offset), nil
}

// wideWindow reports that the runs of a window of expected times are better
// found by walking along the start times than by sorting the window: because
// there are many, and not too many that started later (or earlier, when the
// order ascends).
func (tx *Tx) wideWindow(expected *orion.Cond[orion.ID], descending bool) (bool, error) {
	const col = "flow_run.expected_start_time"
	window := column(tx, col, expected)
	if window.sql == "" {
		return true, nil
	}
	upTo := func(w cond, most int64) (int64, error) {
		w = all(where("flow_run.workspace_id = ?", tx.ws), w)
		return tx.count("SELECT COUNT(*) FROM (SELECT 1 FROM flow_run WHERE "+w.sql+" LIMIT ?) AS part", append(w.args, most)...)
	}
	n, err := upTo(window, fewRuns)
	if err != nil || n < fewRuns {
		return false, err
	}
	before := where(col+" < ?", expected.After)
	if descending {
		before = where(col+" > ?", expected.Before)
	}
	if before.args[0].(orion.Time).IsZero() {
		return true, nil
	}
	passed, err := upTo(before, manyRuns)
	if err != nil || passed < manyRuns {
		return true, err
	}
	if n, err = upTo(window, math.MaxInt64); err != nil {
		return false, err
	}
	passed, err = upTo(before, n)
	return passed < n, err
}

// walkByStart selects a page from the index by start time, or from as many
// places of the index by state and start time as there are states that fit.
func (tx *Tx) walkByStart(state *orion.StateFilter, expected *orion.Cond[orion.ID], name cond, order string, limit, offset int64) (cond, error) {
	w := all(where("flow_run.workspace_id = ?", tx.ws), column(tx, tx.d.hidden("flow_run.expected_start_time"), expected), name)
	states, ok, err := []runState(nil), false, error(nil)
	if state != nil && name.sql == "" {
		states, ok, err = tx.statesOfFlowRuns(state)
	}
	if err != nil {
		return cond{}, err
	}
	if !ok {
		c := all(w, tx.state("flow_run.", state))
		return where("SELECT flow_run.id FROM flow_run"+tx.d.indexed("flow_run_started")+" WHERE "+c.sql+order+" LIMIT ? OFFSET ?", append(c.args, limit, offset)...), nil
	}
	if len(states) == 0 {
		return where("SELECT id FROM flow_run WHERE " + nothing.sql), nil
	}
	var merged cond
	for i, s := range states {
		if i > 0 {
			merged.sql += " UNION ALL "
		}
		merged.sql += "SELECT id, at FROM (SELECT flow_run.id, " + startOrder + " AS at FROM flow_run" + tx.d.indexed("flow_run_by_state") +
			" WHERE flow_run.state_type = ? AND flow_run.state_name = ? AND " + w.sql + order + " LIMIT ?) AS one"
		merged.args = append(append(append(merged.args, s.typ, s.name), w.args...), limit+offset)
	}
	return where("SELECT id FROM ("+merged.sql+") AS merged"+strings.Replace(order, startOrder, "at", 1)+" LIMIT ? OFFSET ?", append(merged.args, limit, offset)...), nil
}

// statesOfFlowRuns lists the states that flow runs are in and that fit, one
// step in an index for each. It reports false if they are too many, or the
// filter does not name them.
func (tx *Tx) statesOfFlowRuns(f *orion.StateFilter) ([]runState, bool, error) {
	fits, ok := tx.inStates(f)
	if !ok {
		return nil, false, nil
	}
	const ahead = "SELECT state_type, state_name FROM flow_run WHERE workspace_id = ? AND "
	var out []runState
	var s runState
	for range maxNames {
		found, err := tx.one(ahead+"state_type = ? AND state_name > ? ORDER BY state_name LIMIT 1", []any{tx.ws, s.typ, s.name}, &s.typ, &s.name)
		if err == nil && !found {
			found, err = tx.one(ahead+"state_type > ? ORDER BY state_type, state_name LIMIT 1", []any{tx.ws, s.typ}, &s.typ, &s.name)
		}
		if err != nil || !found {
			return out, len(out) <= maxMerged, err
		}
		if fits(s) {
			out = append(out, s)
		}
	}
	return nil, false, nil
}
