package store

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orionflows/orion"
)

// tallyOf has a store keep sums from now on, and answers a check that they are
// those of the runs, which ends each test: no method may forget to report.
func tallyOf(t testing.TB, s *Store) (check func()) {
	db, ok := s.main.(*sqliteDB)
	if !ok {
		return func() {}
	}
	look := func(look func(tx *Tx, k partKey, p *part)) {
		err := s.Read(bg, func(tx *Tx) error {
			for _, table := range []string{"flow_run", "task_run"} {
				for _, d := range []int64{allTime, floor(at(0, 0).Micro(), day), floor(orion.Now().Micro(), day)} {
					k := partKey{table, tx.ws, d}
					ok, err := tx.tallied([]partKey{k}, func(_ *tally, p []*part) { look(tx, k, p[0]) })
					if err != nil || !ok {
						return errors.Join(errors.New("no sums"), err)
					}
					tx.c.(*sqliteConn).fresh = true
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	look(func(*Tx, partKey, *part) {})
	sums := func(ta *tally, p *part) map[string]runSums {
		out := map[string]runSums{}
		for _, cells := range p.hours {
			for _, c := range cells {
				out[fmt.Sprint(c.minute, " ", ta.states[c.state])] = c.runSums
			}
		}
		return out
	}
	return func() {
		select {
		case <-db.writer.ended: // closed by the test
			return
		default:
		}
		look(func(tx *Tx, k partKey, p *part) {
			read := newTally()
			if err := tx.read(read, k, k.day); err != nil {
				t.Error(err)
			}
			want := map[string]runSums{}
			if p := read.parts[k]; p != nil {
				want = sums(read, p)
			}
			if got := sums(db.tally, p); !maps.Equal(got, want) {
				t.Errorf("the sums of %v are %v, of its runs %v", k, got, want)
			}
		})
	}
}

// Histories and counts are what a loop over the runs gives, whatever has been
// done to the runs meanwhile.
func TestSumsFollowTheRuns(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		rnd := rand.New(rand.NewPCG(7, 11))
		// Three days around now, so that some runs are overdue and some are not.
		now := orion.Now()
		moment := func() orion.Time {
			if rnd.IntN(4) == 0 { // this minute
				return orion.Micro(now.Micro() - now.Micro()%60e6 + rnd.Int64N(60e6))
			}
			return now.Add(time.Duration(rnd.Int64N(int64(72*time.Hour))) - 48*time.Hour)
		}
		flows := []*orion.Flow{newFlow(t, s, "f0"), newFlow(t, s, "f1")}
		deployment := func() *orion.Deployment {
			return do(t, s, func(tx *Tx) (*orion.Deployment, error) {
				u, err := tx.UpsertDeployment(&orion.DeploymentCreate{Name: "d", FlowID: flows[1].ID}, nil)
				if err != nil {
					return nil, err
				}
				return u.Deployment, nil
			})
		}
		d := deployment()
		states := []orion.StateCreate{{Type: orion.Scheduled}, {Type: orion.Scheduled, Name: ptr("Late")}, {Type: orion.Pending}, {Type: orion.Running}, {Type: orion.Completed}, {Type: orion.Failed}, {Type: orion.Crashed}}
		var flowRuns, taskRuns []orion.ID
		enter := func(tx *Tx, run orion.ID) error {
			f, err := tx.FlowRun(run)
			if f == nil || err != nil {
				return err
			}
			st := states[rnd.IntN(len(states))].State(moment())
			if rnd.IntN(3) == 0 {
				f.ExpectedStartTime = moment()
			}
			f.StartTime, f.TotalRunTime = orion.Time{}, orion.Seconds(rnd.Int64N(1e6)*1e6)
			if rnd.IntN(3) > 0 {
				f.StartTime = f.ExpectedStartTime.Add(time.Duration(rnd.Int64N(int64(time.Hour))) - 10*time.Minute)
			}
			return tx.EnterFlowRunState(f, st)
		}
		errUndo := errors.New("undo")
		writes := []func(tx *Tx) error{
			func(tx *Tx) error {
				for range 8 {
					r := orion.FlowRun{ID: orion.NewID(), Name: "r", FlowID: flows[rnd.IntN(2)].ID}
					if r.FlowID == flows[1].ID {
						r.DeploymentID = d.ID
					}
					if rnd.IntN(10) > 0 {
						r.ExpectedStartTime = moment()
					}
					if _, err := tx.InsertFlowRun(&r); err != nil {
						return err
					}
					if rnd.IntN(10) > 0 {
						if err := enter(tx, r.ID); err != nil {
							return err
						}
					}
					flowRuns = append(flowRuns, r.ID)
					k := orion.TaskRun{ID: orion.NewID(), Name: "t", FlowRunID: r.ID, TaskKey: "k", DynamicKey: r.ID.String(), ExpectedStartTime: r.ExpectedStartTime}
					if _, err := tx.InsertTaskRun(&k); err != nil {
						return err
					}
					if err := tx.EnterTaskRunState(&k, states[rnd.IntN(len(states))].State(moment())); err != nil {
						return err
					}
					taskRuns = append(taskRuns, k.ID)
				}
				return nil
			},
			func(tx *Tx) error { return enter(tx, flowRuns[rnd.IntN(len(flowRuns))]) },
			func(tx *Tx) error { _, err := tx.DeleteFlowRun(flowRuns[rnd.IntN(len(flowRuns))]); return err },
			func(tx *Tx) error { _, err := tx.DeleteTaskRun(taskRuns[rnd.IntN(len(taskRuns))]); return err },
			func(tx *Tx) error {
				if err := enter(tx, flowRuns[rnd.IntN(len(flowRuns))]); err != nil {
					return err
				}
				return errUndo
			},
			func(tx *Tx) error { // a statement that fails when it has changed rows already
				_, err := tx.exec("UPDATE flow_run SET state_type = 'FAILED', id = CASE WHEN id < ? THEN id ELSE NULL END WHERE workspace_id = ?", flowRuns[len(flowRuns)/2], tx.ws)
				if err == nil {
					return errors.New("an id was set to null")
				}
				if s.d == postgresDialect {
					return err // the transaction is lost
				}
				return enter(tx, flowRuns[rnd.IntN(len(flowRuns))])
			},
		}
		write := func(f func(tx *Tx) error) {
			t.Helper()
			if err := s.Write(bg, f); err != nil && err != errUndo && orion.KindOf(err) != orion.Conflict {
				t.Fatal(err)
			}
		}
		check := func(what string) {
			t.Helper()
			start := now.Add(-time.Duration(rnd.Int64N(int64(60 * time.Hour))))
			step := []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 9600 * time.Second, time.Duration(rnd.Int64N(int64(20*time.Hour))) + time.Second}[rnd.IntN(5)].Truncate(time.Microsecond)
			end := min(start.Add(step*500).Micro(), now.Add(30*time.Hour).Micro())
			if rnd.IntN(2) == 0 { // whole minutes
				start = orion.Micro(start.Micro() - start.Micro()%60e6)
			}
			if err := s.Read(bg, func(tx *Tx) error {
				h, err := tx.FlowRunHistory(&orion.RunFilters{}, start, orion.Micro(end), orion.Seconds(step))
				if err != nil {
					return err
				}
				runs, err := tx.FlowRuns(&orion.RunFilters{}, nil, 1e6, 0)
				if err != nil {
					return err
				}
				want := map[string]orion.HistoryState{}
				for _, r := range runs {
					at := r.ExpectedStartTime
					if at.IsZero() || r.StateType == nil || at.Before(start) || !at.Before(h[len(h)-1].IntervalEnd) {
						continue
					}
					k := fmt.Sprint(int64(at.Sub(start)/step), " ", *r.StateType, " ", *r.StateName)
					w := want[k]
					w.StateType, w.StateName = *r.StateType, *r.StateName
					w.CountRuns++
					w.SumEstimatedRunTime += r.EstimatedRunTime
					w.SumEstimatedLateness += r.EstimatedStartTimeDelta
					want[k] = w
				}
				n := 0
				for i, b := range h {
					for _, got := range b.States {
						n++
						k := fmt.Sprint(i, " ", got.StateType, " ", got.StateName)
						equal(t, what+": history of "+k, got, want[k])
					}
				}
				equal(t, what+": states in the history", n, len(want))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for _, body := range []string{
				`{}`, `{"state":{"type":{"any_":["COMPLETED","RUNNING"]}}}`, `{"state":{"name":{"not_any_":["Late"]}}}`, `{"state":{"type":{"any_":[]}}}`,
				`{"expected_start_time":{"after_":"` + start.String() + `","before_":"` + moment().String() + `"}}`,
				`{"expected_start_time":{"after_":"` + start.String() + `","before_":"` + orion.Micro(end).String() + `"},"state":{"type":{"any_":["SCHEDULED"]},"name":{"any_":["Late","Scheduled"]}}}`,
				`{"expected_start_time":{"after_":"` + start.String() + `","is_null_":false}}`,
				`{"operator":"or_","expected_start_time":{"before_":"` + start.String() + `"},"state":{"type":{"any_":["FAILED"]}}}`,
			} {
				f := filters(t, `{"flow_runs":`+body+`}`)
				n := ask(t, s, func(tx *Tx) (int64, error) { return tx.CountFlowRuns(f) })
				runs := ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.FlowRuns(f, nil, 1e6, 0) })
				equal(t, what+": count of "+body, n, int64(len(runs)))
			}
			for _, body := range []string{`{}`, `{"task_runs":{"state":{"type":{"any_":["COMPLETED"]}}}}`, `{"flow_runs":{"state":{"type":{"any_":["RUNNING"]}}}}`} {
				f := filters(t, body)
				n := ask(t, s, func(tx *Tx) (int64, error) { return tx.CountTaskRuns(f) })
				runs := ask(t, s, func(tx *Tx) ([]*orion.TaskRun, error) { return tx.TaskRuns(f, nil, 1e6, 0) })
				equal(t, what+": count of task runs "+body, n, int64(len(runs)))
				by := map[string]int64{}
				for _, r := range runs {
					if r.StateType != nil {
						by[*r.StateType]++
					}
				}
				for typ, n := range ask(t, s, func(tx *Tx) (map[string]int64, error) { return tx.CountByState(f) }) {
					equal(t, what+": task runs that are "+typ, n, by[typ])
				}
			}
		}
		check("nothing")
		for i := range 30 {
			write(writes[0])
			if s.d == postgresDialect && i%5 == 0 { // else it takes the lists for short ones
				write(func(tx *Tx) error {
					_, err := tx.exec("ANALYZE flow_run, flow_run_state, task_run, task_run_state")
					return err
				})
			}
			for range rnd.IntN(12) {
				write(writes[rnd.IntN(len(writes))])
			}
			switch i {
			case 10:
				must(t, s, func(tx *Tx) error { _, err := tx.DeleteDeployment(d.ID); return err })
				d = deployment()
			case 20:
				must(t, s, func(tx *Tx) error { _, err := tx.DeleteFlow(flows[1].ID); return err })
				flows[1] = newFlow(t, s, "f1")
				d = deployment()
			}
			check(fmt.Sprint("round ", i))
		}
		if err := s.Clear(bg); err != nil {
			t.Fatal(err)
		}
		check("cleared")
	})
}

// While runs move from minute to minute and from state to state, every history
// has each of them once.
func TestHistoryIsOfOneMoment(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		f := newFlow(t, s, "f")
		const runs, writers = 40, 4
		var list []orion.FlowRun
		for i := range runs {
			list = append(list, newRun(t, s, orion.FlowRun{Name: "r", FlowID: f.ID}, orion.Running, at(i%20, 0)))
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, uint64(w)))
				for {
					select {
					case <-stop:
						return
					default:
					}
					r := list[rnd.IntN(runs/writers)*writers+w]
					r.ExpectedStartTime = at(0, 0).Add(time.Duration(rnd.Int64N(int64(40 * time.Hour))))
					err := s.Write(bg, func(tx *Tx) error {
						err := tx.EnterFlowRunState(&r, (&orion.StateCreate{Type: []orion.StateType{orion.Running, orion.Pending}[rnd.IntN(2)]}).State(at(1, 0)))
						if err == nil && rnd.IntN(5) == 0 {
							err = orion.Errorf(orion.Invalid, "undo")
						}
						return err
					})
					if err != nil && !strings.Contains(err.Error(), "undo") {
						t.Error(err)
						return
					}
				}
			})
		}
		for i := range 200 {
			if db, ok := s.main.(*sqliteDB); ok && i%3 == 0 { // as after a restart
				db.tally.mu.Lock()
				db.tally.forget()
				db.tally.mu.Unlock()
			}
			h := ask(t, s, func(tx *Tx) ([]orion.HistoryBucket, error) {
				return tx.FlowRunHistory(&orion.RunFilters{}, at(0, 0).Add(time.Duration(-i)*time.Second), at(0, 0).Add(48*time.Hour), orion.Seconds(1000*time.Second))
			})
			var n int64
			for _, b := range h {
				for _, st := range b.States {
					n += st.CountRuns
				}
			}
			equal(t, "runs in the history", n, runs)
			n = ask(t, s, func(tx *Tx) (int64, error) { return tx.CountFlowRuns(&orion.RunFilters{}) })
			equal(t, "runs counted", n, runs)
		}
		close(stop)
		wg.Wait()
	})
}
