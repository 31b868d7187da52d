package background

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/store"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Durability: "normal", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t *testing.T, s *store.Store, f func(*store.Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// run makes a flow run with a first state.
func run(t *testing.T, s *store.Store, c orion.FlowRunCreate) *orion.FlowRun {
	t.Helper()
	var r *orion.FlowRun
	write(t, s, func(tx *store.Tx) error {
		f, _, err := tx.CreateFlow(&orion.FlowCreate{Name: "f"})
		if err != nil {
			return err
		}
		c.FlowID = f.ID
		r, _, err = orchestration.CreateFlowRun(tx, &c)
		return err
	})
	return r
}

func set(t *testing.T, s *store.Store, id orion.ID, st orion.StateCreate) {
	t.Helper()
	write(t, s, func(tx *store.Tx) error {
		_, err := orchestration.SetFlowRunState(tx, id, orchestration.Proposal{State: st.State(tx.Now()), Force: true})
		return err
	})
}

func state(t *testing.T, s *store.Store, id orion.ID) *orion.State {
	t.Helper()
	var r *orion.FlowRun
	if err := s.Read(t.Context(), func(tx *store.Tx) (err error) { r, err = tx.FlowRun(id); return err }); err != nil {
		t.Fatal(err)
	}
	return r.State
}

func do(t *testing.T, s *store.Store, f func(context.Context, *store.Store) error) {
	t.Helper()
	if err := f(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func scheduled(at orion.Time) *orion.StateCreate {
	return &orion.StateCreate{Type: orion.Scheduled, Details: orion.StateDetails{ScheduledTime: at}}
}

func TestRunsAreCalledLateAfterFifteenSeconds(t *testing.T) {
	t.Parallel()
	s := open(t)
	late := orion.Now().Add(-16 * time.Second)
	overdue := run(t, s, orion.FlowRunCreate{State: scheduled(late)})
	patient := run(t, s, orion.FlowRunCreate{State: scheduled(orion.Now().Add(-10 * time.Second))})
	do(t, s, markLate)
	if st := state(t, s, overdue.ID); st.Name != "Late" || st.Type != orion.Scheduled || !st.Details.ScheduledTime.Equal(late) {
		t.Errorf("the overdue run is %s at %v, want Late with its time", st.Name, st.Details.ScheduledTime)
	}
	if st := state(t, s, patient.ID); st.Name != "Scheduled" {
		t.Errorf("a run ten seconds overdue is %s", st.Name)
	}
	before := state(t, s, overdue.ID).ID
	do(t, s, markLate)
	if state(t, s, overdue.ID).ID != before {
		t.Error("a late run was marked a second time")
	}
}

func TestAPauseThatNobodyEndedFails(t *testing.T) {
	t.Parallel()
	s := open(t)
	over, waiting := run(t, s, orion.FlowRunCreate{}), run(t, s, orion.FlowRunCreate{})
	set(t, s, over.ID, orion.StateCreate{Type: orion.Paused, Details: orion.StateDetails{PauseTimeout: orion.Now().Add(-time.Second)}})
	set(t, s, waiting.ID, orion.StateCreate{Type: orion.Paused, Details: orion.StateDetails{PauseTimeout: orion.Now().Add(time.Minute)}})
	do(t, s, expirePauses)
	if st := state(t, s, over.ID); st.Type != orion.Failed || st.Message == nil || *st.Message != "The flow was paused and never resumed." {
		t.Errorf("the expired pause is %+v", st)
	}
	if st := state(t, s, waiting.ID); st.Type != orion.Paused {
		t.Errorf("the other is %s", st.Name)
	}
}

func TestWhatACancelledRunLeavesIsCancelled(t *testing.T) {
	t.Parallel()
	s := open(t)
	parent := run(t, s, orion.FlowRunCreate{State: &orion.StateCreate{Type: orion.Running}})
	key, dyn := "k", "0"
	var task, stands *orion.TaskRun
	write(t, s, func(tx *store.Tx) (err error) {
		if task, _, err = orchestration.CreateTaskRun(tx, &orion.TaskRunCreate{FlowRunID: parent.ID, TaskKey: &key, DynamicKey: &dyn, State: &orion.StateCreate{Type: orion.Running}}); err != nil {
			return err
		}
		dyn1 := "1"
		stands, _, err = orchestration.CreateTaskRun(tx, &orion.TaskRunCreate{FlowRunID: parent.ID, TaskKey: &key, DynamicKey: &dyn1})
		return err
	})
	sub := run(t, s, orion.FlowRunCreate{ParentTaskRunID: stands.ID, State: &orion.StateCreate{Type: orion.Running}})
	set(t, s, parent.ID, orion.StateCreate{Type: orion.Cancelled})
	do(t, s, cleanUpCancellations)
	if st := state(t, s, sub.ID); st.Type != orion.Cancelled {
		t.Errorf("the subflow is %s", st.Name)
	}
	if err := s.Read(t.Context(), func(tx *store.Tx) error {
		r, err := tx.TaskRun(task.ID)
		if err == nil && r.Type() != orion.Cancelled {
			t.Errorf("the task run is %s", r.Type())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestTheSchedulerMakesTheComingRunsOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	cron, zone := "0 6 * * *", "Europe/Oslo"
	var d *orion.Deployment
	write(t, s, func(tx *store.Tx) error {
		f, _, err := tx.CreateFlow(&orion.FlowCreate{Name: "f"})
		if err != nil {
			return err
		}
		sched := orion.Schedule{Cron: &cron, Timezone: &zone}
		if err := sched.Validate(); err != nil {
			return err
		}
		up, err := tx.UpsertDeployment(&orion.DeploymentCreate{Name: "d", FlowID: f.ID, Schedules: orion.Some([]orion.DeploymentScheduleCreate{{Schedule: &sched}})}, nil)
		if err == nil {
			d = up.Deployment
		}
		return err
	})
	count := func() (n int64) {
		if err := s.Read(t.Context(), func(tx *store.Tx) (err error) { n, err = tx.CountFlowRuns(&orion.RunFilters{}); return err }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	do(t, s, schedule)
	if n := count(); n != 3 {
		t.Fatalf("%d runs were made, want 3", n)
	}
	do(t, s, schedule)
	if n := count(); n != 3 {
		t.Errorf("the second pass made it %d", n)
	}
	write(t, s, func(tx *store.Tx) error { _, err := tx.SetPaused(d.ID, true); return err })
	write(t, s, func(tx *store.Tx) error { return tx.DeleteAutoScheduled(d.ID) })
	do(t, s, schedule)
	if n := count(); n != 0 {
		t.Errorf("a paused deployment got %d runs", n)
	}
}

func TestOneOfTwoServersLeads(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := &Runner{Store: s, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	ctx, stop := context.WithCancel(t.Context())
	first, second := &leadership{}, &leadership{}
	done := make(chan struct{}, 2)
	go func() { first.keep(ctx, r, "a"); done <- struct{}{} }()
	for end := time.Now().Add(5 * time.Second); !first.held() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if !first.held() {
		t.Fatal("nobody leads")
	}
	other, stopOther := context.WithCancel(t.Context())
	go func() { second.keep(other, r, "b"); done <- struct{}{} }()
	time.Sleep(100 * time.Millisecond)
	if second.held() {
		t.Error("two servers lead at once")
	}
	stopOther()
	stop()
	<-done
	<-done
	// Whoever resigned left the lease to the next.
	var ok bool
	write(t, s, func(tx *store.Tx) (err error) {
		ok, err = tx.Lease("services", "c", tx.Now().Add(time.Minute))
		return err
	})
	if !ok {
		t.Error("the lease was not given back")
	}
}
