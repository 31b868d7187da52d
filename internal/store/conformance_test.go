package store

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/testenv"
)

// The conformance suite: each test of it runs on both databases.

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// onBoth runs a test on an empty SQLite store and on an empty PostgreSQL store.
func onBoth(t *testing.T, f func(t *testing.T, s *Store)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, open(t, Options{Dir: t.TempDir(), Durability: "normal"}))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, open(t, Options{URL: testenv.Postgres(t), Durability: "normal", Conns: 4}))
	})
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	o.Log = quiet
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	tallied := tallyOf(t, s)
	t.Cleanup(func() {
		tallied()
		s.Close()
	})
	return s
}

var bg = orion.WithScope(context.Background(), orion.Scope{Workspace: orion.DefaultWorkspace, Actor: "test"})

// inWorkspace is a test whose calls are made in another workspace.
type inWorkspace struct {
	testing.TB
	key int64
}

func scopeOf(t testing.TB) context.Context {
	if w, ok := t.(inWorkspace); ok {
		return orion.WithScope(bg, orion.Scope{Workspace: w.key, Actor: "another"})
	}
	return bg
}

// must runs f in a write transaction that has to succeed.
func must(t testing.TB, s *Store, f func(tx *Tx) error) {
	t.Helper()
	if err := s.Write(scopeOf(t), f); err != nil {
		t.Fatal(err)
	}
}

// do is must with an answer.
func do[T any](t testing.TB, s *Store, f func(tx *Tx) (T, error)) (out T) {
	t.Helper()
	must(t, s, func(tx *Tx) (err error) { out, err = f(tx); return err })
	return out
}

// ask runs f in a read transaction that has to succeed.
func ask[T any](t testing.TB, s *Store, f func(tx *Tx) (T, error)) (out T) {
	t.Helper()
	if err := s.Read(scopeOf(t), func(tx *Tx) (err error) { out, err = f(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return out
}

func wantKind(t testing.TB, what string, err error, k orion.Kind) {
	t.Helper()
	if orion.KindOf(err) != k || err == nil {
		t.Errorf("%s: %v, want an error of kind %d", what, err, k)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func ptr[T any](v T) *T { return &v }

// names lists what an answer is about, for comparing.
func names[T any](list []T, name func(T) string) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = name(v)
	}
	return strings.Join(out, " ")
}

func flowName(f orion.Flow) string             { return f.Name }
func runName(f *orion.FlowRun) string          { return f.Name }
func taskName(r *orion.TaskRun) string         { return r.Name }
func deploymentName(d orion.Deployment) string { return d.Name }

func filters(t testing.TB, body string) *orion.RunFilters {
	t.Helper()
	var f orion.RunFilters
	if err := orion.Decode([]byte(body), &f); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return &f
}

// at is a moment of the tests' day.
func at(hour, minute int) orion.Time {
	return orion.At(time.Date(2030, 1, 2, hour, minute, 0, 0, time.UTC))
}

// newRun stores a flow run in a state and answers it.
func newRun(t testing.TB, s *Store, r orion.FlowRun, typ orion.StateType, when orion.Time) orion.FlowRun {
	t.Helper()
	r.ID = orion.NewID()
	if typ != "" {
		st := (&orion.StateCreate{Type: typ}).State(when)
		st.Details.FlowRunID = r.ID
		r.State, r.StateID, r.StateType, r.StateName, r.StateTimestamp = st, st.ID, ptr(string(typ)), &st.Name, st.Timestamp
		r.ExpectedStartTime = when
		if typ == orion.Scheduled {
			r.NextScheduledStartTime = when
		}
	}
	must(t, s, func(tx *Tx) error {
		ok, err := tx.InsertFlowRun(&r)
		if err == nil && !ok {
			err = errors.New("the run was there already")
		}
		return err
	})
	return r
}

func newTask(t testing.TB, s *Store, r orion.TaskRun, typ orion.StateType, when orion.Time) orion.TaskRun {
	t.Helper()
	r.ID = orion.NewID()
	if r.TaskKey == "" {
		r.TaskKey = "key"
	}
	if r.DynamicKey == "" {
		r.DynamicKey = r.ID.String()
	}
	if typ != "" {
		st := (&orion.StateCreate{Type: typ}).State(when)
		r.State, r.StateID, r.StateType, r.StateName, r.StateTimestamp = st, st.ID, ptr(string(typ)), &st.Name, st.Timestamp
		r.ExpectedStartTime, r.StartTime = when, when
	}
	must(t, s, func(tx *Tx) error {
		ok, err := tx.InsertTaskRun(&r)
		if err == nil && !ok {
			err = errors.New("the task run was there already")
		}
		return err
	})
	return r
}

func newFlow(t testing.TB, s *Store, name string, tags ...string) *orion.Flow {
	t.Helper()
	return do(t, s, func(tx *Tx) (*orion.Flow, error) {
		f, _, err := tx.CreateFlow(&orion.FlowCreate{Name: name, Tags: tags})
		return f, err
	})
}

func TestFlows(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		a := newFlow(t, s, "a", "x", `q"uo,te`)
		b := newFlow(t, s, "b")
		must(t, s, func(tx *Tx) error {
			again, created, err := tx.CreateFlow(&orion.FlowCreate{Name: "a", Tags: []string{"other"}})
			if err != nil || created || again.ID != a.ID || !slices.Equal(again.Tags, []string{"x", `q"uo,te`}) {
				t.Errorf("creating a flow again: %+v, %v, %v", again, created, err)
			}
			ok, err := tx.UpdateFlow(b.ID, &orion.FlowUpdate{Tags: orion.Some([]string{"y"})})
			equal(t, "update", ok, true)
			return err
		})
		f := ask(t, s, func(tx *Tx) (*orion.Flow, error) { return tx.FlowByName("b") })
		if !slices.Equal(f.Tags, []string{"y"}) || f.ID != b.ID || f.Created.IsZero() {
			t.Errorf("flow b is %+v", f)
		}
		list := func(body string, sort string, limit, offset int64) string {
			return names(ask(t, s, func(tx *Tx) ([]orion.Flow, error) { return tx.Flows(filters(t, body), &sort, limit, offset) }), flowName)
		}
		equal(t, "names up", list(`{}`, "NAME_ASC", 200, 0), "a b")
		equal(t, "names down", list(`{}`, "NAME_DESC", 200, 0), "b a")
		equal(t, "newest", list(`{}`, "CREATED_DESC", 1, 0), "b")
		equal(t, "last changed", list(`{}`, "UPDATED_DESC", 200, 0), "b a")
		equal(t, "paging", list(`{}`, "NAME_ASC", 1, 1), "b")
		equal(t, "a limit of none", list(`{}`, "NAME_ASC", 0, 0), "")
		equal(t, "count", ask(t, s, func(tx *Tx) (int64, error) { return tx.CountFlows(filters(t, `{}`)) }), 2)
		err := s.Read(bg, func(tx *Tx) error { _, err := tx.Flows(filters(t, `{}`), ptr("NAME"), 1, 0); return err })
		wantKind(t, "an unknown sort", err, orion.Invalid)
		r := newRun(t, s, orion.FlowRun{Name: "r", FlowID: a.ID}, orion.Pending, at(1, 0))
		equal(t, "delete", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteFlow(a.ID) }), true)
		equal(t, "delete again", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteFlow(a.ID) }), false)
		if got := ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.FlowRun(r.ID) }); got != nil {
			t.Error("a flow's runs outlive it")
		}
		equal(t, "update of none", do(t, s, func(tx *Tx) (bool, error) { return tx.UpdateFlow(a.ID, &orion.FlowUpdate{}) }), false)
	})
}

func TestFlowRuns(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		f := newFlow(t, s, "f")
		r := newRun(t, s, orion.FlowRun{Name: "r1", FlowID: f.ID, Tags: []string{"b", "a", "a"}, Parameters: orion.JSON(`{"x": [1, "é"]}`), IdempotencyKey: ptr("k"),
			FlowVersion: ptr("v"), AutoScheduled: true, Labels: orion.JSON(`{"l":1}`)}, orion.Scheduled, at(1, 0))
		got := ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.FlowRun(r.ID) })
		if got.Name != "r1" || string(got.Parameters) != `{"x": [1, "é"]}` || *got.IdempotencyKey != "k" || !got.AutoScheduled || got.State == nil ||
			got.State.Type != orion.Scheduled || !got.NextScheduledStartTime.Equal(at(1, 0)) || !got.StartTime.IsZero() || got.WorkPoolName != nil || string(got.Labels) != `{"l":1}` {
			t.Errorf("the run reads back as %+v", got)
		}
		if !slices.Equal(got.Tags, []string{"b", "a", "a"}) {
			t.Errorf("tags %v", got.Tags)
		}
		must(t, s, func(tx *Tx) error {
			twin := orion.FlowRun{ID: orion.NewID(), Name: "twin", FlowID: f.ID, IdempotencyKey: ptr("k")}
			ok, err := tx.InsertFlowRun(&twin)
			equal(t, "a second run of the key is stored", ok, false)
			return err
		})
		equal(t, "by key", ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.FlowRunByKey(f.ID, "k") }).ID, r.ID)
		wantKind(t, "a run of no flow", s.Write(bg, func(tx *Tx) error {
			_, err := tx.InsertFlowRun(&orion.FlowRun{ID: orion.NewID(), Name: "x", FlowID: orion.NewID()})
			return err
		}), orion.Conflict)

		must(t, s, func(tx *Tx) error {
			l, err := tx.LockFlowRun(r.ID)
			if err != nil {
				return err
			}
			st := (&orion.StateCreate{Type: orion.Running, Message: ptr("go")}).State(at(1, 5))
			l.RunCount, l.StartTime, l.ClaimOwner, l.ClaimExpires, l.NextScheduledStartTime = 1, at(1, 5), "agent", at(1, 6), orion.Time{}
			return tx.EnterFlowRunState(l, st)
		})
		got = ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.FlowRun(r.ID) })
		if got.Type() != orion.Running || *got.StateName != "Running" || *got.State.Message != "go" || got.RunCount != 1 || got.ClaimOwner != "agent" || !got.NextScheduledStartTime.IsZero() {
			t.Errorf("after Running the run is %+v, state %+v", got, got.State)
		}
		brief := ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.FlowRunBrief(r.ID) })
		if brief == nil || brief.RunCount != 1 || brief.Type() != orion.Running || brief.State.Name != "Running" {
			t.Errorf("in brief: %+v", brief)
		}
		states := ask(t, s, func(tx *Tx) ([]orion.State, error) { return tx.FlowRunStates(r.ID) })
		equal(t, "states", names(states, func(s orion.State) string { return s.Name }), "Scheduled Running")
		one := ask(t, s, func(tx *Tx) (*orion.State, error) { return tx.FlowRunState(states[0].ID) })
		equal(t, "one state", one.Type, orion.Scheduled)

		equal(t, "patch", do(t, s, func(tx *Tx) (bool, error) {
			return tx.UpdateFlowRun(r.ID, &orion.FlowRunUpdate{Name: orion.Some("new"), Tags: orion.Some([]string{"c"}), FlowVersion: orion.Opt[string]{Set: true, Null: true},
				Parameters: orion.Some(orion.JSON(`{"y":2}`)), InfrastructurePID: orion.Some("host:1"), JobVariables: orion.Some(orion.JSON(`{"cpu":1}`))})
		}), true)
		got = ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.FlowRun(r.ID) })
		if got.Name != "new" || got.FlowVersion != nil || string(got.Parameters) != `{"y":2}` || *got.InfrastructurePID != "host:1" || string(got.JobVariables) != `{"cpu":1}` || got.Type() != orion.Running {
			t.Errorf("patched: %+v", got)
		}
		for tag, n := range map[string]int64{"a": 0, "b": 0, "c": 1} {
			equal(t, "runs tagged "+tag, ask(t, s, func(tx *Tx) (int64, error) {
				return tx.CountFlowRuns(filters(t, `{"flow_runs":{"tags":{"all_":["`+tag+`"]}}}`))
			}), n)
		}
		child := newTask(t, s, orion.TaskRun{Name: "t", FlowRunID: r.ID}, orion.Pending, at(1, 6))
		equal(t, "delete", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteFlowRun(r.ID) }), true)
		must(t, s, func(tx *Tx) error {
			task, err := tx.TaskRun(child.ID)
			states, e := tx.FlowRunStates(r.ID)
			if task != nil || len(states) != 0 {
				t.Error("a run's task runs or states outlive it")
			}
			return errors.Join(err, e)
		})
		equal(t, "patch of none", do(t, s, func(tx *Tx) (bool, error) { return tx.UpdateFlowRun(r.ID, &orion.FlowRunUpdate{}) }), false)
	})
}

func TestTaskRuns(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		f := newFlow(t, s, "f")
		r := newRun(t, s, orion.FlowRun{Name: "r", FlowID: f.ID}, orion.Running, at(1, 0))
		a := newTask(t, s, orion.TaskRun{Name: "a", FlowRunID: r.ID, TaskKey: "k", DynamicKey: "0", Tags: []string{"x"}, TaskInputs: orion.JSON(`{"p":[]}`), CacheKey: ptr("c")}, orion.Pending, at(1, 1))
		alone := newTask(t, s, orion.TaskRun{Name: "alone", TaskKey: "k", DynamicKey: "0"}, orion.Scheduled, at(1, 2))
		for _, twin := range []orion.TaskRun{a, alone} {
			must(t, s, func(tx *Tx) error {
				twin.ID, twin.State, twin.StateID = orion.NewID(), nil, orion.ID{}
				ok, err := tx.InsertTaskRun(&twin)
				equal(t, "a second task run of the keys is stored", ok, false)
				return err
			})
		}
		got := ask(t, s, func(tx *Tx) (*orion.TaskRun, error) { return tx.TaskRunByKeys(r.ID, "k", "0") })
		if got == nil || got.ID != a.ID || *got.CacheKey != "c" || string(got.TaskInputs) != `{"p":[]}` || got.Type() != orion.Pending {
			t.Errorf("by keys: %+v", got)
		}
		equal(t, "by keys, without a flow run", ask(t, s, func(tx *Tx) (*orion.TaskRun, error) { return tx.TaskRunByKeys(orion.ID{}, "k", "0") }).ID, alone.ID)
		must(t, s, func(tx *Tx) error {
			l, err := tx.LockTaskRun(a.ID)
			if err != nil {
				return err
			}
			l.RunCount, l.FlowRunRunCount, l.StartTime, l.EndTime, l.TotalRunTime = 2, 1, at(1, 3), at(1, 4), orion.Seconds(time.Minute)
			return tx.EnterTaskRunState(l, (&orion.StateCreate{Type: orion.Completed, Data: orion.JSON(`{"type":"literal","artifact_type":"markdown","artifact_key":"kk"}`)}).State(at(1, 4)))
		})
		got = ask(t, s, func(tx *Tx) (*orion.TaskRun, error) { return tx.TaskRun(a.ID) })
		if got.Type() != orion.Completed || got.RunCount != 2 || got.TotalRunTime != orion.Seconds(time.Minute) || !got.EndTime.Equal(at(1, 4)) {
			t.Errorf("after Completed: %+v", got)
		}
		equal(t, "the data of the state", string(got.State.Data), `{"type":"literal"}`)
		art := ask(t, s, func(tx *Tx) (*orion.Artifact, error) { return tx.LatestArtifact("kk") })
		if art == nil || *art.Type != "markdown" || string(art.Data) != `{"type":"literal"}` {
			t.Errorf("the artifact of the result is %+v", art)
		}
		equal(t, "of the run", names(ask(t, s, func(tx *Tx) ([]*orion.TaskRun, error) { return tx.TaskRunsOf(r.ID) }), taskName), "a")
		states := ask(t, s, func(tx *Tx) ([]orion.State, error) { return tx.TaskRunStates(a.ID) })
		equal(t, "states", names(states, func(s orion.State) string { return s.Name }), "Pending Completed")
		equal(t, "one state", ask(t, s, func(tx *Tx) (*orion.State, error) { return tx.TaskRunState(states[1].ID) }).Type, orion.Completed)
		must(t, s, func(tx *Tx) error {
			if err := tx.ResetTaskRunCount(a.ID); err != nil {
				return err
			}
			ok, err := tx.UpdateTaskRun(a.ID, &orion.TaskRunUpdate{Name: orion.Some("b")})
			equal(t, "patch", ok, true)
			return err
		})
		got = ask(t, s, func(tx *Tx) (*orion.TaskRun, error) { return tx.TaskRun(a.ID) })
		equal(t, "count after reset", got.RunCount, 0)
		equal(t, "name", got.Name, "b")

		must(t, s, func(tx *Tx) error {
			old := &orion.State{ID: orion.NewID(), Type: orion.Completed, Name: "old", Timestamp: at(1, 0)}
			return tx.CacheState("key", orion.At(time.Now().Add(-time.Minute)), old)
		})
		if c := ask(t, s, func(tx *Tx) (*orion.State, error) { return tx.CachedState("key") }); c != nil {
			t.Error("an expired state is found in the cache")
		}
		for _, n := range []string{"first", "second"} {
			must(t, s, func(tx *Tx) error {
				return tx.CacheState("key", orion.Time{}, &orion.State{ID: orion.NewID(), Type: orion.Completed, Name: n, Timestamp: at(1, 0), Data: orion.JSON(`{"type":"literal"}`)})
			})
		}
		c := ask(t, s, func(tx *Tx) (*orion.State, error) { return tx.CachedState("key") })
		if c == nil || c.Name != "second" || string(c.Data) != `{"type":"literal"}` {
			t.Errorf("cached: %+v", c)
		}
		equal(t, "delete", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteTaskRun(a.ID) }), true)
	})
}

// world is a small set of related objects that the filter tests ask about.
type world struct {
	alpha, beta    *orion.Flow
	r1, r2, r3, r4 orion.FlowRun
	t1, t2, t3     orion.TaskRun
	d1, d2         *orion.Deployment
	pool           *orion.WorkPool
	queue          *orion.WorkQueue
}

func build(t testing.TB, s *Store) (w world) {
	w.alpha, w.beta = newFlow(t, s, "alpha", "red", "blue"), newFlow(t, s, "beta 100%_x")
	newFlow(t, s, "gamma")
	w.pool = do(t, s, func(tx *Tx) (*orion.WorkPool, error) {
		return tx.CreateWorkPool(&orion.WorkPoolCreate{Name: "pool", Type: ptr("process")})
	})
	w.queue = do(t, s, func(tx *Tx) (*orion.WorkQueue, error) {
		return tx.CreateWorkQueue(w.pool, &orion.WorkQueueCreate{Name: "queue"})
	})
	deploy := func(name string, f *orion.Flow, paused bool, q *orion.WorkQueue, tags ...string) *orion.Deployment {
		return do(t, s, func(tx *Tx) (*orion.Deployment, error) {
			u, err := tx.UpsertDeployment(&orion.DeploymentCreate{Name: name, FlowID: f.ID, Paused: orion.Some(paused), Tags: orion.Some(tags)}, q)
			if err != nil {
				return nil, err
			}
			return u.Deployment, nil
		})
	}
	w.d1 = deploy("d1", w.alpha, false, w.queue, "prod")
	w.d2 = deploy("d2", w.beta, true, nil)
	w.r1 = newRun(t, s, orion.FlowRun{Name: "r1", FlowID: w.alpha.ID, DeploymentID: w.d1.ID, WorkQueueID: w.queue.ID, WorkQueueName: ptr("queue"), Tags: []string{"a", "b"}, FlowVersion: ptr("1"), IdempotencyKey: ptr("i1")}, orion.Scheduled, at(4, 0))
	w.r2 = newRun(t, s, orion.FlowRun{Name: "r2", FlowID: w.alpha.ID, Tags: []string{"a"}}, orion.Running, at(2, 0))
	w.r3 = newRun(t, s, orion.FlowRun{Name: "R3 x_y", FlowID: w.beta.ID}, orion.Failed, at(3, 0))
	w.t1 = newTask(t, s, orion.TaskRun{Name: "t1", FlowRunID: w.r2.ID, Tags: []string{"a"}}, orion.Running, at(2, 1))
	w.t2 = newTask(t, s, orion.TaskRun{Name: "t2", FlowRunID: w.r2.ID}, orion.Completed, at(2, 2))
	w.t3 = newTask(t, s, orion.TaskRun{Name: "t3"}, orion.Pending, at(2, 3))
	w.r4 = newRun(t, s, orion.FlowRun{Name: "r4", FlowID: w.beta.ID, ParentTaskRunID: w.t1.ID}, "", orion.Time{})
	return w
}

func TestFilters(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		w := build(t, s)
		ids := strings.NewReplacer("$r1", w.r1.ID.String(), "$r2", w.r2.ID.String(), "$r4", w.r4.ID.String(), "$alpha", w.alpha.ID.String(), "$t1", w.t1.ID.String(),
			"$d1", w.d1.ID.String(), "$pool", w.pool.ID.String(), "$queue", w.queue.ID.String(), "$none", orion.NewID().String(), "$two", at(2, 0).String(), "$three", at(3, 0).String())
		for _, c := range []struct{ body, want string }{
			{`{}`, "R3 x_y r1 r2 r4"},
			{`{"flow_runs":{}}`, "R3 x_y r1 r2 r4"},
			{`{"flow_runs":{"id":{"any_":["$r1","$r4"]}}}`, "r1 r4"},
			{`{"flow_runs":{"id":{"any_":[]}}}`, ""},
			{`{"flow_runs":{"id":{"not_any_":["$r1"]}}}`, "R3 x_y r2 r4"},
			{`{"flow_runs":{"id":{"not_any_":[]}}}`, "R3 x_y r1 r2 r4"},
			{`{"flow_runs":{"name":{"any_":["r1"]}}}`, "r1"},
			{`{"flow_runs":{"name":{"like_":"r3 X_"}}}`, "R3 x_y"},
			{`{"flow_runs":{"name":{"like_":"_"}}}`, "R3 x_y"},
			{`{"flow_runs":{"tags":{"all_":["a"]}}}`, "r1 r2"},
			{`{"flow_runs":{"tags":{"all_":["a","b"]}}}`, "r1"},
			{`{"flow_runs":{"tags":{"all_":[]}}}`, "R3 x_y r1 r2 r4"},
			{`{"flow_runs":{"tags":{"any_":["b","zz"]}}}`, "r1"},
			{`{"flow_runs":{"tags":{"is_null_":true}}}`, "R3 x_y r4"},
			{`{"flow_runs":{"tags":{"is_null_":false}}}`, "r1 r2"},
			{`{"flow_runs":{"tags":{"all_":["b"],"is_null_":true,"operator":"or_"}}}`, "R3 x_y r1 r4"},
			{`{"flow_runs":{"tags":{"all_":["b"],"is_null_":true}}}`, ""},
			{`{"flow_runs":{"deployment_id":{"any_":["$d1"]}}}`, "r1"},
			{`{"flow_runs":{"deployment_id":{"is_null_":true}}}`, "R3 x_y r2 r4"},
			{`{"flow_runs":{"deployment_id":{"is_null_":false}}}`, "r1"},
			{`{"flow_runs":{"work_queue_name":{"any_":["queue"]}}}`, "r1"},
			{`{"flow_runs":{"work_queue_name":{"is_null_":true}}}`, "R3 x_y r2 r4"},
			{`{"flow_runs":{"state":{"type":{"any_":["RUNNING","FAILED"]}}}}`, "R3 x_y r2"},
			{`{"flow_runs":{"state":{"type":{"not_any_":["RUNNING"]}}}}`, "R3 x_y r1"},
			{`{"flow_runs":{"state":{"name":{"any_":["Scheduled"]},"type":{"any_":["FAILED"]}}}}`, ""},
			{`{"flow_runs":{"state":{"name":{"any_":["Scheduled"]},"type":{"any_":["FAILED"]},"operator":"or_"}}}`, "R3 x_y r1"},
			{`{"flow_runs":{"flow_version":{"any_":["1"]}}}`, "r1"},
			{`{"flow_runs":{"expected_start_time":{"before_":"$three"}}}`, "R3 x_y r2"},
			{`{"flow_runs":{"expected_start_time":{"after_":"$three"}}}`, "R3 x_y r1"},
			{`{"flow_runs":{"expected_start_time":{"after_":"$two","before_":"$two"}}}`, "r2"},
			{`{"flow_runs":{"next_scheduled_start_time":{"after_":"$two"}}}`, "r1"},
			{`{"flow_runs":{"start_time":{"is_null_":true}}}`, "R3 x_y r1 r2 r4"},
			{`{"flow_runs":{"end_time":{"is_null_":false}}}`, ""},
			{`{"flow_runs":{"parent_flow_run_id":{"any_":["$r2"]}}}`, "r4"},
			{`{"flow_runs":{"parent_task_run_id":{"any_":["$t1"]}}}`, "r4"},
			{`{"flow_runs":{"parent_task_run_id":{"is_null_":true}}}`, "R3 x_y r1 r2"},
			{`{"flow_runs":{"idempotency_key":{"any_":["i1"]}}}`, "r1"},
			{`{"flow_runs":{"operator":"or_","name":{"any_":["r1"]},"state":{"type":{"any_":["RUNNING"]}}}}`, "r1 r2"},
			{`{"flows":{"name":{"any_":["alpha"]}}}`, "r1 r2"},
			{`{"flows":{"tags":{"all_":["red"]}}}`, "r1 r2"},
			{`{"flows":{"tags":{"is_null_":true}}}`, "R3 x_y r4"},
			{`{"flows":{"deployment":{"is_null_":true}}}`, ""},
			{`{"task_runs":{"name":{"any_":["t1"]}}}`, "r2"},
			{`{"deployments":{"name":{"any_":["d1"]}}}`, "r1"},
			{`{"work_pools":{"name":{"any_":["pool"]}}}`, "r1"},
			{`{"work_pools":{"id":{"any_":["$none"]}}}`, ""},
			{`{"work_pools":{"type":{"any_":["process"]}},"work_pool_queues":{"name":{"any_":["default"]}}}`, ""},
			{`{"work_pool_queues":{"id":{"any_":["$queue"]}}}`, "r1"},
			{`{"work_pool_queues":{"name":{"startswith_":["qu"]}}}`, "r1"},
			{`{"flows":{"name":{"any_":["alpha"]}},"task_runs":{"name":{"any_":["t2"]}},"flow_runs":{"tags":{"all_":["a"]}}}`, "r2"},
			{`{"flows":null,"flow_runs":null,"task_runs":null,"deployments":null,"work_pools":null,"work_pool_queues":null}`, "R3 x_y r1 r2 r4"},
		} {
			f := filters(t, ids.Replace(c.body))
			equal(t, "flow runs "+c.body, names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.FlowRuns(f, ptr("NAME_ASC"), 200, 0) }), runName), c.want)
			n := int64(0)
			if c.want != "" {
				n = int64(strings.Count(strings.ReplaceAll(c.want, "R3 x_y", "R3"), " ") + 1)
			}
			equal(t, "count of flow runs "+c.body, ask(t, s, func(tx *Tx) (int64, error) { return tx.CountFlowRuns(f) }), n)
		}
		for _, c := range []struct{ body, want string }{
			{`{}`, "t1 t2 t3"},
			{`{"task_runs":{"name":{"like_":"T1"}}}`, "t1"},
			{`{"task_runs":{"tags":{"all_":["a"]}}}`, "t1"},
			{`{"task_runs":{"tags":{"is_null_":true}}}`, "t2 t3"},
			{`{"task_runs":{"state":{"type":{"any_":["COMPLETED"]}}}}`, "t2"},
			{`{"task_runs":{"start_time":{"after_":"2030-01-02T02:02:00Z"}}}`, "t2 t3"},
			{`{"task_runs":{"subflow_runs":{"exists_":true}}}`, "t1"},
			{`{"task_runs":{"subflow_runs":{"exists_":false}}}`, "t2 t3"},
			{`{"task_runs":{"flow_run_id":{"any_":["$r2"]}}}`, "t1 t2"},
			{`{"task_runs":{"flow_run_id":{"is_null_":true}}}`, "t3"},
			{`{"task_runs":{"flow_run_id":{"is_null_":false,"any_":["$r2"]}}}`, "t1 t2"},
			{`{"task_runs":{"flow_run_id":{"is_null_":false}}}`, "t1 t2 t3"},
			{`{"flow_runs":{"name":{"any_":["r2"]}}}`, "t1 t2"},
			{`{"flows":{"name":{"any_":["alpha"]}}}`, "t1 t2"},
			{`{"flows":{"name":{"any_":["gamma"]}}}`, ""},
			{`{"deployments":{"name":{"any_":["d1"]}}}`, ""},
		} {
			f := filters(t, ids.Replace(c.body))
			equal(t, "task runs "+c.body, names(ask(t, s, func(tx *Tx) ([]*orion.TaskRun, error) { return tx.TaskRuns(f, ptr("NAME_ASC"), 200, 0) }), taskName), c.want)
			n := int64(len(strings.Fields(c.want)))
			equal(t, "count of task runs "+c.body, ask(t, s, func(tx *Tx) (int64, error) { return tx.CountTaskRuns(f) }), n)
		}
		for _, c := range []struct{ body, want string }{
			{`{"flows":{"name":{"like_":"100%_"}}}`, "beta 100%_x"},
			{`{"flows":{"name":{"like_":"ALPHA"}}}`, "alpha"},
			{`{"flows":{"id":{"any_":["$alpha"]}}}`, "alpha"},
			{`{"flows":{"tags":{"all_":["red","blue"]}}}`, "alpha"},
			{`{"flows":{"tags":{"all_":["re"]}}}`, ""},
			{`{"flows":{"tags":{"any_":["blue"]}}}`, "alpha"},
			{`{"flows":{"deployment":{"is_null_":true}}}`, "gamma"},
			{`{"flows":{"deployment":{"is_null_":false}}}`, "alpha beta 100%_x"},
			{`{"flow_runs":{"state":{"type":{"any_":["FAILED"]}}}}`, "beta 100%_x"},
			{`{"task_runs":{"name":{"any_":["t1"]}}}`, "alpha"},
			{`{"deployments":{"tags":{"all_":["prod"]}}}`, "alpha"},
			{`{"work_pools":{"name":{"any_":["pool"]}}}`, "alpha"},
		} {
			f := filters(t, ids.Replace(c.body))
			equal(t, "flows "+c.body, names(ask(t, s, func(tx *Tx) ([]orion.Flow, error) { return tx.Flows(f, nil, 200, 0) }), flowName), c.want)
		}
		for _, c := range []struct{ body, want string }{
			{`{}`, "d1 d2"},
			{`{"deployments":{"id":{"any_":["$d1"]}}}`, "d1"},
			{`{"deployments":{"name":{"like_":"D"}}}`, "d1 d2"},
			{`{"deployments":{"paused":{"eq_":true}}}`, "d2"},
			{`{"deployments":{"is_schedule_active":{"eq_":true}}}`, "d1"},
			{`{"deployments":{"tags":{"all_":["prod"]}}}`, "d1"},
			{`{"deployments":{"tags":{"is_null_":true}}}`, "d2"},
			{`{"deployments":{"work_queue_name":{"any_":["queue"]}}}`, "d1"},
			{`{"deployments":{"flow_or_deployment_name":{"like_":"beta"}}}`, "d2"},
			{`{"deployments":{"flow_or_deployment_name":{"like_":"d1"}}}`, "d1"},
			{`{"flows":{"name":{"any_":["beta 100%_x"]}}}`, "d2"},
			{`{"flow_runs":{"name":{"any_":["r1"]}}}`, "d1"},
			{`{"work_pools":{"name":{"any_":["pool"]}}}`, "d1"},
			{`{"work_pool_queues":{"name":{"any_":["default"]}}}`, ""},
		} {
			f := filters(t, ids.Replace(c.body))
			equal(t, "deployments "+c.body, names(ask(t, s, func(tx *Tx) ([]orion.Deployment, error) { return tx.Deployments(f, nil, 200, 0) }), deploymentName), c.want)
			equal(t, "count of deployments "+c.body, ask(t, s, func(tx *Tx) (int64, error) { return tx.CountDeployments(f) }), int64(len(strings.Fields(c.want))))
		}
		for sort, want := range map[string]string{
			"ID_DESC": "r4 R3 x_y r2 r1", "NAME_ASC": "R3 x_y r1 r2 r4", "NAME_DESC": "r4 r2 r1 R3 x_y",
			"START_TIME_ASC": "r2 R3 x_y r1", "START_TIME_DESC": "r1 R3 x_y r2",
			"EXPECTED_START_TIME_ASC": "r2 R3 x_y r1", "EXPECTED_START_TIME_DESC": "r1 R3 x_y r2",
		} {
			body := `{}`
			if strings.Contains(sort, "TIME") { // where the runs that are never expected stand is up to the database
				body = `{"flow_runs":{"expected_start_time":{"is_null_":false}}}`
			}
			got := names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.FlowRuns(filters(t, body), &sort, 200, 0) }), runName)
			equal(t, "sorted by "+sort, got, want)
		}
		for _, sort := range []string{"NEXT_SCHEDULED_START_TIME_ASC", "END_TIME_DESC"} {
			got := ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.FlowRuns(filters(t, `{}`), &sort, 200, 0) })
			equal(t, "sorted by "+sort, len(got), 4)
		}
		equal(t, "a page", names(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.FlowRuns(filters(t, `{}`), ptr("ID_DESC"), 2, 1) }), runName), "R3 x_y r2")
		for sort, want := range map[string]string{"ID_DESC": "t3 t2 t1", "NAME_DESC": "t3 t2 t1", "EXPECTED_START_TIME_ASC": "t1 t2 t3", "EXPECTED_START_TIME_DESC": "t3 t2 t1"} {
			got := names(ask(t, s, func(tx *Tx) ([]*orion.TaskRun, error) { return tx.TaskRuns(filters(t, `{}`), &sort, 200, 0) }), taskName)
			equal(t, "task runs sorted by "+sort, got, want)
		}
		counts := ask(t, s, func(tx *Tx) (map[string]int64, error) { return tx.CountByState(filters(t, `{}`)) })
		if len(counts) != 9 || counts["RUNNING"] != 1 || counts["COMPLETED"] != 1 || counts["FAILED"] != 0 {
			t.Errorf("by state: %v", counts)
		}
	})
}
