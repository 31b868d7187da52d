package store

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion"
)

func cron(expr string) *orion.Schedule {
	s := &orion.Schedule{Cron: &expr}
	if err := s.Validate(); err != nil {
		panic(err)
	}
	return s
}

func every(seconds int) *orion.Schedule {
	s := &orion.Schedule{Interval: ptr(orion.Seconds(time.Duration(seconds) * time.Second))}
	if err := s.Validate(); err != nil {
		panic(err)
	}
	return s
}

func TestDeployments(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		f := newFlow(t, s, "f")
		deploy := func(c orion.DeploymentCreate) *Upserted {
			t.Helper()
			c.Name, c.FlowID = "d", f.ID
			return do(t, s, func(tx *Tx) (*Upserted, error) { return tx.UpsertDeployment(&c, nil) })
		}
		schedules := func(cs ...orion.DeploymentScheduleCreate) orion.Opt[[]orion.DeploymentScheduleCreate] {
			return orion.Some(cs)
		}
		first := deploy(orion.DeploymentCreate{Description: orion.Some("one"), Tags: orion.Some([]string{"x"}), Parameters: orion.Some(orion.JSON(`{"a":1}`)), Extra: orion.JSON(`{"new_field":7}`),
			Schedules: schedules(orion.DeploymentScheduleCreate{Schedule: cron("0 1 * * *")}, orion.DeploymentScheduleCreate{Schedule: every(60), Active: ptr(false)})})
		if d := first.Deployment; !first.Created || *d.Description != "one" || len(d.Schedules) != 2 || !d.Schedules[0].Active || d.Schedules[1].Active || *d.Schedule.Cron != "0 1 * * *" ||
			d.Status != orion.NotReady || d.Paused || !d.IsScheduleActive || string(d.Extra) != `{"new_field":7}` || string(d.JobVariables) != `{}` {
			t.Errorf("made: %+v", first.Deployment)
		}
		// What people switch stays when the same file is deployed again.
		must(t, s, func(tx *Tx) error {
			if _, err := tx.SetPaused(first.Deployment.ID, true); err != nil {
				return err
			}
			_, err := tx.UpdateSchedule(first.Deployment.ID, first.Deployment.Schedules[0].ID, &orion.DeploymentScheduleUpdate{Active: orion.Some(false)})
			return err
		})
		again := deploy(orion.DeploymentCreate{Version: orion.Some("2"),
			Schedules: schedules(orion.DeploymentScheduleCreate{Schedule: every(60), Active: ptr(false)}, orion.DeploymentScheduleCreate{Schedule: cron("0 1 * * *")})})
		d := again.Deployment
		if again.Created || d.ID != first.Deployment.ID || *d.Description != "one" || *d.Version != "2" || !d.Paused || string(d.Parameters) != `{"a":1}` || !slices.Equal(d.Tags, []string{"x"}) {
			t.Errorf("deployed again: %+v", d)
		}
		if len(d.Schedules) != 2 || d.Schedules[0].ID != first.Deployment.Schedules[1].ID || d.Schedules[1].ID != first.Deployment.Schedules[0].ID || d.Schedules[1].Active {
			t.Errorf("schedules lost their identity or their switch: %+v, before %+v", d.Schedules, first.Deployment.Schedules)
		}
		if !d.Schedules[0].Schedule.AnchorDate.Equal(first.Deployment.Schedules[1].Schedule.AnchorDate) {
			t.Error("an interval whose anchor the client made up lost its beat")
		}
		// A file that now says something else is followed.
		d = deploy(orion.DeploymentCreate{Paused: orion.Some(false), Schedules: schedules(orion.DeploymentScheduleCreate{Schedule: cron("0 1 * * *"), Active: ptr(false)})}).Deployment
		equal(t, "paused after a declared pause", d.Paused, false)
		must(t, s, func(tx *Tx) error { _, err := tx.SetPaused(d.ID, true); return err })
		equal(t, "paused after the same declaration", deploy(orion.DeploymentCreate{Paused: orion.Some(false)}).Deployment.Paused, true)
		equal(t, "paused after another declaration", deploy(orion.DeploymentCreate{Paused: orion.Some(true)}).Deployment.Paused, true)
		d = deploy(orion.DeploymentCreate{Paused: orion.Some(false), Schedule: orion.Some(*cron("5 5 * * *")), IsScheduleActive: orion.Some(true)}).Deployment
		if d.Paused || len(d.Schedules) != 1 || *d.Schedules[0].Schedule.Cron != "5 5 * * *" {
			t.Errorf("with the older spelling: %+v", d)
		}
		equal(t, "schedules after a deploy without", len(deploy(orion.DeploymentCreate{}).Deployment.Schedules), 0)

		// Single schedules.
		added := do(t, s, func(tx *Tx) ([]orion.DeploymentSchedule, error) {
			return tx.AddSchedules(d.ID, []orion.DeploymentScheduleCreate{{Schedule: cron("1 1 * * *"), Slug: ptr("s1"), Parameters: orion.JSON(`{"p":1}`)}, {Schedule: cron("2 2 * * *")}})
		})
		if len(added) != 2 || *added[0].Slug != "s1" || added[0].DeploymentID != d.ID {
			t.Errorf("added: %+v", added)
		}
		must(t, s, func(tx *Tx) error {
			ok, err := tx.UpdateSchedule(orion.NewID(), added[0].ID, &orion.DeploymentScheduleUpdate{Active: orion.Some(false)})
			equal(t, "a schedule of another deployment is patched", ok, false)
			if err != nil {
				return err
			}
			ok, err = tx.DeleteSchedule(d.ID, added[0].ID)
			equal(t, "delete", ok, true)
			return err
		})
		equal(t, "schedules left", len(ask(t, s, func(tx *Tx) (*orion.Deployment, error) { return tx.DeploymentByName("f", "d") }).Schedules), 1)

		must(t, s, func(tx *Tx) error {
			ok, err := tx.UpdateDeployment(d.ID, &orion.DeploymentUpdate{Description: orion.Opt[string]{Set: true, Null: true}, JobVariables: orion.Some(orion.JSON(`{"cpu":2}`)), EnforceParameterSchema: orion.Some(true)}, nil)
			equal(t, "patch", ok, true)
			return err
		})
		got := ask(t, s, func(tx *Tx) (*orion.Deployment, error) { return tx.Deployment(d.ID) })
		if got.Description != nil || string(got.JobVariables) != `{"cpu":2}` || string(got.InfraOverrides) != `{"cpu":2}` || !got.EnforceParameterSchema {
			t.Errorf("patched: %+v", got)
		}

		// Runs the scheduler made.
		newRun(t, s, orion.FlowRun{Name: "s1", FlowID: f.ID, DeploymentID: d.ID, AutoScheduled: true}, orion.Scheduled, at(5, 0))
		newRun(t, s, orion.FlowRun{Name: "s2", FlowID: f.ID, DeploymentID: d.ID, AutoScheduled: true}, orion.Scheduled, at(6, 0))
		newRun(t, s, orion.FlowRun{Name: "hand", FlowID: f.ID, DeploymentID: d.ID}, orion.Scheduled, at(7, 0))
		done := newRun(t, s, orion.FlowRun{Name: "done", FlowID: f.ID, DeploymentID: d.ID}, orion.Completed, at(1, 0))
		must(t, s, func(tx *Tx) error {
			n, last, err := tx.ScheduledAhead(d.ID, at(5, 30))
			equal(t, "scheduled ahead", n, 1)
			equal(t, "the last", last, at(6, 0))
			return err
		})
		must(t, s, func(tx *Tx) error { return tx.DeleteAutoScheduled(d.ID) })
		equal(t, "left", names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.FlowRuns(filters(t, `{}`), ptr("NAME_ASC"), 9, 0) }), runName), "done hand")
		equal(t, "due for the deployment", names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.DueForDeployments([]orion.ID{d.ID}, at(8, 0), 5) }), runName), "hand")

		list := ask(t, s, func(tx *Tx) ([]orion.Deployment, error) { return tx.SchedulableDeployments(orion.ID{}, 10) })
		equal(t, "schedulable", names(list, deploymentName), "d")
		equal(t, "after it", len(ask(t, s, func(tx *Tx) ([]orion.Deployment, error) { return tx.SchedulableDeployments(d.ID, 10) })), 0)

		equal(t, "delete", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteDeployment(d.ID) }), true)
		equal(t, "left", names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.FlowRuns(filters(t, `{}`), ptr("NAME_ASC"), 9, 0) }), runName), "done")
		if r := ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.FlowRun(done.ID) }); !r.DeploymentID.IsZero() {
			t.Error("a run keeps the id of a deployment that is gone")
		}
	})
}

func TestWorkPoolsAndQueues(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		p := do(t, s, func(tx *Tx) (*orion.WorkPool, error) {
			return tx.CreateWorkPool(&orion.WorkPoolCreate{Name: "p", Type: ptr("process"), BaseJobTemplate: orion.JSON(`{"a":1}`)})
		})
		if *p.Status != orion.NotReady || p.DefaultQueueID.IsZero() || string(p.BaseJobTemplate) != `{"a":1}` {
			t.Errorf("pool %+v", p)
		}
		wantKind(t, "the name again", s.Write(bg, func(tx *Tx) error { _, err := tx.CreateWorkPool(&orion.WorkPoolCreate{Name: "p"}); return err }), orion.Conflict)
		queue := func(name string, priority *int64) *orion.WorkQueue {
			t.Helper()
			return do(t, s, func(tx *Tx) (*orion.WorkQueue, error) {
				return tx.CreateWorkQueue(p, &orion.WorkQueueCreate{Name: name, Priority: priority})
			})
		}
		priorities := func() string {
			qs := ask(t, s, func(tx *Tx) ([]orion.WorkQueue, error) { return tx.WorkQueues(nil, &p.ID, 200, 0) })
			return names(qs, func(q orion.WorkQueue) string { return q.Name + string(rune('0'+q.Priority)) })
		}
		queue("a", nil)
		b := queue("b", nil)
		equal(t, "priorities", priorities(), "default1 a2 b3")
		queue("c", ptr(int64(2)))
		equal(t, "after one in between", priorities(), "default1 c2 a3 b4")
		queue("e", ptr(int64(8)))
		equal(t, "with a gap", priorities(), "default1 c2 a3 b4 e8")
		queue("g", nil)
		equal(t, "the lowest gap", priorities(), "default1 c2 a3 b4 g5 e8")
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkQueue(b.ID, &orion.WorkQueueUpdate{Priority: orion.Some(int64(1))})
			return err
		})
		got := priorities()
		if !strings.HasPrefix(got, "b1 default2 ") || len(slices.Compact(strings.Fields(got))) != 6 {
			t.Errorf("after moving one up: %s", got)
		}
		wantKind(t, "the name again", s.Write(bg, func(tx *Tx) error { _, err := tx.CreateWorkQueue(p, &orion.WorkQueueCreate{Name: "a"}); return err }), orion.Conflict)
		equal(t, "by name", do(t, s, func(tx *Tx) (*orion.WorkQueue, error) { return tx.EnsureWorkQueue(p, "b") }).ID, b.ID)

		// Polls and statuses.
		s.Polled(orion.DefaultWorkspace, b.ID)
		if q := ask(t, s, func(tx *Tx) (*orion.WorkQueue, error) { return tx.WorkQueue(b.ID) }); q.Status != orion.Ready || q.LastPolled.IsZero() || *q.WorkPoolName != "p" {
			t.Errorf("polled: %+v", q)
		}
		if err := s.FlushPolls(bg); err != nil {
			t.Fatal(err)
		}
		equal(t, "after the flush", ask(t, s, func(tx *Tx) (*orion.WorkQueue, error) { return tx.WorkQueue(b.ID) }).Status, orion.Ready)
		must(t, s, func(tx *Tx) error { return tx.MarkUnpolled(orion.At(time.Now().Add(time.Hour))) })
		equal(t, "unpolled", ask(t, s, func(tx *Tx) (*orion.WorkQueue, error) { return tx.WorkQueue(b.ID) }).Status, orion.NotReady)
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkQueue(b.ID, &orion.WorkQueueUpdate{IsPaused: orion.Some(true)})
			return err
		})
		equal(t, "paused", ask(t, s, func(tx *Tx) (*orion.WorkQueue, error) { return tx.WorkQueue(b.ID) }).Status, orion.PausedStatus)

		// Workers.
		must(t, s, func(tx *Tx) error { return tx.Heartbeat(p, "w1", ptr(int64(10))) })
		must(t, s, func(tx *Tx) error { return tx.Heartbeat(p, "w1", nil) })
		workers := ask(t, s, func(tx *Tx) ([]orion.Worker, error) { return tx.Workers(p.ID, nil, 10, 0) })
		if len(workers) != 1 || workers[0].Status != "ONLINE" || workers[0].HeartbeatIntervalSeconds != nil {
			t.Errorf("workers %+v", workers)
		}
		equal(t, "the pool", *ask(t, s, func(tx *Tx) (*orion.WorkPool, error) { return tx.WorkPool("p") }).Status, orion.Ready)
		for status, n := range map[string]int{"ONLINE": 1, "OFFLINE": 0} {
			var f orion.WorkerFilter
			if err := orion.Decode([]byte(`{"status":{"any_":["`+status+`"]}}`), &f); err != nil {
				t.Fatal(err)
			}
			equal(t, "workers that are "+status, len(ask(t, s, func(tx *Tx) ([]orion.Worker, error) { return tx.Workers(p.ID, &f, 10, 0) })), n)
		}
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkPool("p", &orion.WorkPoolUpdate{IsPaused: orion.Some(true), ConcurrencyLimit: orion.Some(int64(3)), Description: orion.Some("d")})
			return err
		})
		q := ask(t, s, func(tx *Tx) (*orion.WorkPool, error) { return tx.WorkPool("p") })
		if *q.Status != orion.PausedStatus || !q.IsPaused || *q.ConcurrencyLimit != 3 || *q.Description != "d" {
			t.Errorf("patched: %+v", q)
		}
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkPool("p", &orion.WorkPoolUpdate{IsPaused: orion.Some(false)})
			return err
		})
		equal(t, "resumed with a worker", *ask(t, s, func(tx *Tx) (*orion.WorkPool, error) { return tx.WorkPool("p") }).Status, orion.Ready)
		equal(t, "delete a worker", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteWorker(p.ID, "w1") }), true)
		must(t, s, func(tx *Tx) error { return tx.MarkUnpolled(orion.Now()) })
		equal(t, "the pool without workers", *ask(t, s, func(tx *Tx) (*orion.WorkPool, error) { return tx.WorkPool("p") }).Status, orion.NotReady)

		agents := do(t, s, func(tx *Tx) (*orion.WorkPool, error) { return tx.EnsureAgentPool() })
		if agents.Status != nil || agents.Type != "prefect-agent" {
			t.Errorf("the agents' pool is %+v", agents)
		}
		equal(t, "again", do(t, s, func(tx *Tx) (*orion.WorkPool, error) { return tx.EnsureAgentPool() }).ID, agents.ID)
		equal(t, "pools", names(ask(t, s, func(tx *Tx) ([]orion.WorkPool, error) { return tx.WorkPools(nil, 10, 0) }), func(p orion.WorkPool) string { return p.Name }), "default-agent-pool p")
		equal(t, "count", ask(t, s, func(tx *Tx) (int64, error) {
			return tx.CountWorkPools(&orion.WorkPoolFilter{Type: &orion.Cond[string]{Any: &[]string{"process"}}})
		}), 1)

		// A queue's runs wait for a queue of its name.
		f := newFlow(t, s, "f")
		lane := do(t, s, func(tx *Tx) (*orion.WorkQueue, error) { return tx.EnsureWorkQueue(agents, "lane") })
		r := newRun(t, s, orion.FlowRun{Name: "r", FlowID: f.ID, WorkQueueID: lane.ID, WorkQueueName: ptr("lane")}, orion.Scheduled, at(1, 0))
		equal(t, "delete a queue", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteWorkQueue(lane.ID) }), true)
		lane = do(t, s, func(tx *Tx) (*orion.WorkQueue, error) { return tx.EnsureWorkQueue(agents, "lane") })
		equal(t, "the run's queue", ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.FlowRun(r.ID) }).WorkQueueID, lane.ID)
		equal(t, "delete a pool", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteWorkPool("p") }), true)
		equal(t, "queues left", names(ask(t, s, func(tx *Tx) ([]orion.WorkQueue, error) { return tx.WorkQueues(nil, nil, 99, 0) }), func(q orion.WorkQueue) string { return q.Name }), "default lane")
		equal(t, "delete again", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteWorkPool("p") }), false)
	})
}

func TestDueRuns(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		f := newFlow(t, s, "f")
		p := do(t, s, func(tx *Tx) (*orion.WorkPool, error) { return tx.CreateWorkPool(&orion.WorkPoolCreate{Name: "p"}) })
		q := func(name string) *orion.WorkQueue {
			return do(t, s, func(tx *Tx) (*orion.WorkQueue, error) { return tx.EnsureWorkQueue(p, name) })
		}
		low, high := q("default"), q("high")
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkQueue(high.ID, &orion.WorkQueueUpdate{Priority: orion.Some(int64(1))})
			return err
		})
		add := func(name string, q *orion.WorkQueue, typ orion.StateType, when orion.Time, retry *string) orion.FlowRun {
			r := orion.FlowRun{Name: name, FlowID: f.ID, WorkQueueID: q.ID, WorkQueueName: &q.Name}
			r.EmpiricalPolicy.RetryType = retry
			return newRun(t, s, r, typ, when)
		}
		add("low1", low, orion.Scheduled, at(1, 0), nil)
		add("high2", high, orion.Scheduled, at(3, 0), nil)
		add("high1", high, orion.Scheduled, at(2, 0), nil)
		add("later", high, orion.Scheduled, at(9, 0), nil)
		add("retrying", high, orion.Scheduled, at(1, 30), ptr("in_process"))
		poolDue := func(after orion.Time, limit int64) string {
			return names(ask(t, s, func(tx *Tx) ([]orion.ScheduledRun, error) {
				p, err := tx.WorkPool("p")
				if err != nil {
					return nil, err
				}
				qs, err := tx.WorkQueues(nil, &p.ID, 200, 0)
				if err != nil {
					return nil, err
				}
				return tx.DueInPool(p, qs, after, at(5, 0), limit)
			}), func(r orion.ScheduledRun) string { return r.FlowRun.Name })
		}
		queueDue := func(id orion.ID, limit int64) string {
			return names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) {
				q, err := tx.WorkQueue(id)
				if err != nil {
					return nil, err
				}
				return tx.DueInQueue(q, at(5, 0), limit)
			}), runName)
		}
		equal(t, "by priority and time", poolDue(orion.Time{}, 10), "high1 high2 low1")
		equal(t, "a run that its own process retries takes nobody's place", poolDue(orion.Time{}, 1), "high1")
		equal(t, "since a time", poolDue(at(2, 30), 1), "high2")
		equal(t, "of the queue", queueDue(high.ID, 10), "retrying high1 high2")
		equal(t, "of the queue, two", queueDue(high.ID, 2), "retrying high1")

		add("busy1", high, orion.Running, at(0, 30), nil)
		add("busy2", high, orion.Pending, at(0, 31), nil)
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkQueue(high.ID, &orion.WorkQueueUpdate{ConcurrencyLimit: orion.Some(int64(3))})
			return err
		})
		equal(t, "within the queue's limit", poolDue(orion.Time{}, 10), "high1 low1")
		equal(t, "free slots", ask(t, s, func(tx *Tx) (int64, error) { return tx.FreeSlots(high.ID) }), 1)
		equal(t, "free slots without a limit", ask(t, s, func(tx *Tx) (int64, error) { return tx.FreeSlots(low.ID) }), -1)
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkPool("p", &orion.WorkPoolUpdate{ConcurrencyLimit: orion.Some(int64(3))})
			return err
		})
		equal(t, "within the pool's limit", poolDue(orion.Time{}, 10), "high1")
		equal(t, "free slots of the pool", ask(t, s, func(tx *Tx) (int64, error) { return tx.FreeSlots(low.ID) }), 1)
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkPool("p", &orion.WorkPoolUpdate{ConcurrencyLimit: orion.Some(int64(1))})
			return err
		})
		equal(t, "beyond the pool's limit", poolDue(orion.Time{}, 10), "")
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkPool("p", &orion.WorkPoolUpdate{ConcurrencyLimit: orion.Opt[int64]{Set: true, Null: true}})
			return err
		})
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkQueue(high.ID, &orion.WorkQueueUpdate{IsPaused: orion.Some(true)})
			return err
		})
		equal(t, "with a paused queue", poolDue(orion.Time{}, 10), "low1")
		equal(t, "of the paused queue", queueDue(high.ID, 10), "")
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateWorkPool("p", &orion.WorkPoolUpdate{IsPaused: orion.Some(true)})
			return err
		})
		equal(t, "of a paused pool", poolDue(orion.Time{}, 10), "")
		equal(t, "next due", ask(t, s, func(tx *Tx) (orion.Time, error) { return tx.NextDue(at(3, 0)) }), at(9, 0))
		equal(t, "overdue", names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.OverdueRuns(at(1, 40), 9) }), runName), "low1 retrying")
		equal(t, "late", ask(t, s, func(tx *Tx) (int64, error) { return tx.LateInQueue(high.ID) }), 0)

		// A queue of the time before pools chooses by tags.
		old := do(t, s, func(tx *Tx) (*orion.WorkQueue, error) {
			return tx.CreateWorkQueue(p, &orion.WorkQueueCreate{Name: "old", Filter: orion.JSON(`{"tags":["x","y"]}`)})
		})
		newRun(t, s, orion.FlowRun{Name: "tagged", FlowID: f.ID, Tags: []string{"y", "x"}}, orion.Scheduled, at(4, 0))
		newRun(t, s, orion.FlowRun{Name: "half", FlowID: f.ID, Tags: []string{"x"}}, orion.Scheduled, at(4, 0))
		equal(t, "by tags", queueDue(old.ID, 10), "tagged")
	})
}

func TestClaimsAndUpkeep(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		f := newFlow(t, s, "f")
		now := orion.Now()
		claim := func(name, owner string, until orion.Time) orion.FlowRun {
			r := newRun(t, s, orion.FlowRun{Name: name, FlowID: f.ID}, orion.Scheduled, now)
			must(t, s, func(tx *Tx) error {
				l, err := tx.LockFlowRun(r.ID)
				if err != nil {
					return err
				}
				l.ClaimOwner, l.ClaimExpires = owner, until
				return tx.EnterFlowRunState(l, (&orion.StateCreate{Type: orion.Pending}).State(now))
			})
			return r
		}
		a := claim("a", "one", now.Add(-time.Second))
		b := claim("b", "two", now.Add(time.Hour))
		equal(t, "expired", names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.ExpiredClaims(9) }), runName), "a")
		kept := do(t, s, func(tx *Tx) ([]orion.ID, error) {
			return tx.RenewClaims("one", []orion.ID{a.ID, b.ID}, now.Add(time.Hour))
		})
		if !slices.Equal(kept, []orion.ID{a.ID}) {
			t.Errorf("renewed %v, want only %v", kept, a.ID)
		}
		equal(t, "expired after renewal", len(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.ExpiredClaims(9) })), 0)
		equal(t, "renewing nothing", len(do(t, s, func(tx *Tx) ([]orion.ID, error) { return tx.RenewClaims("one", nil, now) })), 0)

		pause := func(name string, until orion.Time) {
			r := newRun(t, s, orion.FlowRun{Name: name, FlowID: f.ID}, orion.Running, now)
			must(t, s, func(tx *Tx) error {
				l, err := tx.LockFlowRun(r.ID)
				if err != nil {
					return err
				}
				return tx.EnterFlowRunState(l, (&orion.StateCreate{Type: orion.Paused, Details: orion.StateDetails{PauseTimeout: until}}).State(now))
			})
		}
		pause("over", now.Add(-time.Second))
		pause("not yet", now.Add(time.Hour))
		pause("for ever", orion.Time{})
		equal(t, "expired pauses", names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.ExpiredPauses(9) }), runName), "over")

		parent := newRun(t, s, orion.FlowRun{Name: "parent", FlowID: f.ID}, orion.Running, now)
		open := newTask(t, s, orion.TaskRun{Name: "open", FlowRunID: parent.ID}, orion.Running, now)
		newTask(t, s, orion.TaskRun{Name: "ended", FlowRunID: parent.ID}, orion.Completed, now)
		newTask(t, s, orion.TaskRun{Name: "blank", FlowRunID: parent.ID}, "", now)
		newRun(t, s, orion.FlowRun{Name: "sub", FlowID: f.ID, ParentTaskRunID: open.ID}, orion.Running, now)
		must(t, s, func(tx *Tx) error {
			l, err := tx.LockFlowRun(parent.ID)
			if err != nil {
				return err
			}
			l.EndTime = now
			return tx.EnterFlowRunState(l, (&orion.StateCreate{Type: orion.Cancelled}).State(now))
		})
		equal(t, "tasks of cancelled", names(ask(t, s, func(tx *Tx) ([]*orion.TaskRun, error) { return tx.TasksOfCancelled(now.Add(-time.Hour), 9) }), taskName), "open")
		equal(t, "of those cancelled later", len(ask(t, s, func(tx *Tx) ([]*orion.TaskRun, error) { return tx.TasksOfCancelled(now.Add(time.Hour), 9) })), 0)
		equal(t, "subflows of cancelled", names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.SubflowsOfCancelled(9) }), runName), "sub")
		equal(t, "subflow of its task", ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.SubflowRun(open.ID) }).Name, "sub")
	})
}

func TestLeases(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		lease := func(holder string, until time.Duration) bool {
			return do(t, s, func(tx *Tx) (bool, error) { return tx.Lease("late runs", holder, orion.Now().Add(until)) })
		}
		equal(t, "a free lease", lease("a", time.Hour), true)
		equal(t, "a taken one", lease("b", time.Hour), false)
		equal(t, "renewed, to end at once", lease("a", -time.Second), true)
		equal(t, "one that is over", lease("b", time.Hour), true)
		equal(t, "back to the first", lease("a", time.Hour), false)
		must(t, s, func(tx *Tx) error { return tx.Resign("late runs", "a") })
		equal(t, "resigning for another", lease("a", time.Hour), false)
		must(t, s, func(tx *Tx) error { return tx.Resign("late runs", "b") })
		equal(t, "after resigning", lease("a", time.Hour), true)
	})
}

func TestNotify(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		c, end := s.Subscribe(TopicScheduled)
		defer end()
		heard := func() bool {
			select {
			case <-c:
				return true
			case <-time.After(5 * time.Second):
				return false
			}
		}
		time.Sleep(50 * time.Millisecond) // PostgreSQL's listener connects
		for try := 0; ; try++ {
			must(t, s, func(tx *Tx) error { tx.Notify(TopicScheduled); return nil })
			if heard() {
				break
			}
			if try > 3 {
				t.Fatal("no notice was heard")
			}
		}
		if err := s.Write(bg, func(tx *Tx) error { tx.Notify(TopicScheduled); return context.Canceled }); err == nil {
			t.Error("the error was lost")
		}
		must(t, s, func(tx *Tx) error { tx.Notify(TopicDeployment); return nil })
		select {
		case <-c:
			t.Error("a notice that was rolled back, or of another topic, was heard")
		case <-time.After(100 * time.Millisecond):
		}
	})
}
