package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/orionflows/orion"
)

// recorder notes the statements that pass through.
type recorder struct {
	conn
	sql  []string
	args [][]any
}

func (r *recorder) query(ctx context.Context, sql string, args []any, row func(*Row) error) error {
	r.sql, r.args = append(r.sql, sql), append(r.args, args)
	return r.conn.query(ctx, sql, args, row)
}

// What the web UI, the agents and the services ask all day finds its rows
// through an index, on both databases.
func TestQueryPlans(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		w := build(t, s)
		lists := func(body string) func(tx *Tx) error {
			return func(tx *Tx) error {
				if _, err := tx.FlowRuns(filters(t, body), ptr("START_TIME_DESC"), 50, 0); err != nil {
					return err
				}
				_, err := tx.CountFlowRuns(filters(t, body))
				return err
			}
		}
		id := w.d1.ID.String()
		// These may walk the runs in the order they are wanted: the page is full
		// after a few.
		walks := map[string]bool{"all runs": true, "runs of a deployment": true, "runs of a deployment id": true, "runs of a flow": true, "runs of a flow's name": true, "runs in a state": true, "runs with a tag": true}
		for what, f := range map[string]func(tx *Tx) error{
			"all runs":                lists(`{}`),
			"runs of a deployment":    lists(`{"deployments":{"id":{"any_":["` + id + `"]}}}`),
			"runs of a deployment id": lists(`{"flow_runs":{"deployment_id":{"any_":["` + id + `"]}}}`),
			"runs of a flow":          lists(`{"flows":{"id":{"any_":["` + w.alpha.ID.String() + `"]}}}`),
			"runs of a flow's name":   lists(`{"flows":{"name":{"any_":["alpha"]}}}`),
			"runs in a state":         lists(`{"flow_runs":{"state":{"type":{"any_":["FAILED","CRASHED"]}}}}`),
			"runs with a tag":         lists(`{"flow_runs":{"tags":{"all_":["a"]}}}`),
			"runs of a week":          lists(`{"flow_runs":{"expected_start_time":{"after_":"2030-01-01T00:00:00Z","before_":"2030-01-08T00:00:00Z"}}}`),
			"subflows":                lists(`{"flow_runs":{"parent_flow_run_id":{"any_":["` + w.r2.ID.String() + `"]}}}`),
			"one run":                 func(tx *Tx) error { _, err := tx.FlowRun(w.r1.ID); return err },
			"a run by its key":        func(tx *Tx) error { _, err := tx.FlowRunByKey(w.alpha.ID, "k"); return err },
			"task runs of a run":      func(tx *Tx) error { _, err := tx.TaskRunsOf(w.r2.ID); return err },
			"task runs of a run, filtered": func(tx *Tx) error {
				_, err := tx.TaskRuns(filters(t, `{"task_runs":{"flow_run_id":{"any_":["`+w.r2.ID.String()+`"]}}}`), nil, 50, 0)
				return err
			},
			"task run by keys": func(tx *Tx) error { _, err := tx.TaskRunByKeys(w.r2.ID, "k", "0"); return err },
			"task run, alone":  func(tx *Tx) error { _, err := tx.TaskRunByKeys(orion.ID{}, "k", "0"); return err },
			"states":           func(tx *Tx) error { _, err := tx.FlowRunStates(w.r1.ID); return err },
			"history": func(tx *Tx) error {
				_, err := tx.FlowRunHistory(filters(t, `{}`), at(0, 0), at(9, 0), orion.Seconds(3600e9))
				return err
			},
			"due in a queue":        func(tx *Tx) error { _, err := tx.DueInQueue(w.queue, at(9, 0), 10); return err },
			"due of deployments":    func(tx *Tx) error { _, err := tx.DueForDeployments([]orion.ID{w.d1.ID}, at(9, 0), 10); return err },
			"next due":              func(tx *Tx) error { _, err := tx.NextDue(at(0, 0)); return err },
			"overdue":               func(tx *Tx) error { _, err := tx.OverdueRuns(at(9, 0), 10); return err },
			"scheduled ahead":       func(tx *Tx) error { _, _, err := tx.ScheduledAhead(w.d1.ID, at(0, 0)); return err },
			"expired claims":        func(tx *Tx) error { _, err := tx.ExpiredClaims(10); return err },
			"expired pauses":        func(tx *Tx) error { _, err := tx.ExpiredPauses(10); return err },
			"tasks of cancelled":    func(tx *Tx) error { _, err := tx.TasksOfCancelled(at(0, 0), 10); return err },
			"subflows of cancelled": func(tx *Tx) error { _, err := tx.SubflowsOfCancelled(10); return err },
			"subflow of a task":     func(tx *Tx) error { _, err := tx.SubflowRun(w.t1.ID); return err },
			"artifacts of a run": func(tx *Tx) error {
				_, err := tx.Artifacts(&orion.ArtifactFilter{FlowRunID: &orion.Cond[orion.ID]{Any: &[]orion.ID{w.r1.ID}}}, filters(t, `{}`), nil, 50, 0)
				return err
			},
			"latest artifact": func(tx *Tx) error { _, err := tx.LatestArtifact("k"); return err },
			"cached state":    func(tx *Tx) error { _, err := tx.CachedState("k"); return err },
		} {
			err := s.Read(bg, func(tx *Tx) error {
				if s.d == postgresDialect { // the tables are small: ask whether an index would do
					if _, err := tx.exec("SET enable_seqscan = off"); err != nil {
						return err
					}
					defer tx.exec("RESET enable_seqscan")
				}
				r := &recorder{conn: tx.c}
				tx.c = r
				err := f(tx)
				tx.c = r.conn
				for i, sql := range r.sql {
					if p := scanned(t, tx, sql, r.args[i], !walks[what]); p != "" {
						t.Errorf("%s reads a whole table:\n%s\nplan:\n%s", what, sql, p)
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := s.readLogs(bg, func(tx *Tx) error {
			p := scanned(t, tx, "SELECT id FROM log WHERE workspace_id = ? AND flow_run_id = ? ORDER BY timestamp, seq LIMIT 200", []any{tx.ws, w.r1.ID}, true)
			if p != "" {
				t.Errorf("the lines of a run: %s", p)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

var (
	wholeSQLite = regexp.MustCompile(`(?m)^SCAN (flow_run|task_run|flow_run_state|task_run_state|artifact|log|f|t|s|a)$`)
	// walk is the same in other words: every row of the workspace is looked at.
	walk          = regexp.MustCompile(`(?m)^SEARCH (flow_run|task_run|flow_run_state|task_run_state|artifact|log|f|t|s|a) USING .*\(workspace_id=\?\)$`)
	wholePostgres = regexp.MustCompile(`Seq Scan on (flow_run|task_run|flow_run_state|task_run_state|artifact|log|flow_run_tag)\b`)
)

// scanned is the plan of a query that reads a whole large table, "" otherwise.
func scanned(t *testing.T, tx *Tx, sql string, args []any, strict bool) string {
	t.Helper()
	var plan []string
	explain, bad := "EXPLAIN ", wholePostgres
	if tx.d == sqliteDialect {
		explain, bad = "EXPLAIN QUERY PLAN ", wholeSQLite
	}
	err := tx.query(explain+sql, args, func(r *Row) error {
		var line string
		var n int64
		var err error
		if tx.d == sqliteDialect {
			err = r.Scan(&n, &n, &n, &line)
		} else {
			err = r.Scan(&line)
		}
		plan = append(plan, line)
		return err
	})
	if err != nil {
		t.Fatal(fmt.Errorf("explaining %s: %w", sql, err))
	}
	p := strings.Join(plan, "\n")
	if bad.MatchString(p) || (strict && walk.MatchString(p)) {
		return p
	}
	return ""
}
