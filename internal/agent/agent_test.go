package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/server"
	"github.com/orionflows/orion/internal/store"
)

// world is a real server, and deployments whose "flow" is a shell command: no
// Python is needed to see what an agent does with processes.
type world struct {
	t    *testing.T
	c    *client.Client
	flow orion.ID
	dir  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := server.New(t.Context(), server.Options{AnyPort: true, Database: store.Options{Dir: t.TempDir(), Durability: "normal"}, Version: "test", Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	c, err := client.New(client.Options{URL: s.URL() + "/api"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &world{t: t, c: c, dir: t.TempDir()}
	var f orion.Flow
	w.do("POST", "/flows/", orion.FlowCreate{Name: "shell"}, &f)
	w.flow = f.ID
	return w
}

func (w *world) do(method, path string, in, out any) {
	w.t.Helper()
	if err := w.c.Do(w.t.Context(), method, path, in, out); err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// deployment makes one whose runs are `sh -c script`, in queue q.
func (w *world) deployment(name, script string) orion.ID {
	w.t.Helper()
	var d orion.Deployment
	w.do("POST", "/deployments/", map[string]any{"name": name, "flow_id": w.flow, "work_queue_name": "q", "path": w.dir, "entrypoint": "flow.py:f",
		"infra_overrides": map[string]any{"command": []string{"sh", "-c", script}}}, &d)
	return d.ID
}

func (w *world) run(deployment orion.ID) orion.ID {
	w.t.Helper()
	r, err := w.c.RunDeployment(w.t.Context(), deployment, orion.DeploymentFlowRunCreate{})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.ID
}

// agent starts one; the function it returns stops it and waits.
func (w *world) agent(change func(*Options)) (*Agent, func()) {
	w.t.Helper()
	o := Options{Client: w.c, Queues: []string{"q"}, StopGrace: time.Second, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Environment: func(context.Context, string, string) (string, error) { return "/bin/sh", nil }}
	if change != nil {
		change(&o)
	}
	a := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { a.Run(ctx); close(ended) }()
	stop := sync.OnceFunc(func() { cancel(); <-ended })
	w.t.Cleanup(stop)
	return a, stop
}

// await polls until the run is in a state of the type, and answers it.
func (w *world) await(run orion.ID, types ...orion.StateType) *orion.FlowRun {
	w.t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := w.c.FlowRun(context.Background(), run)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, t := range types {
			if r.Type() == t {
				return r
			}
		}
		if time.Now().After(end) {
			w.t.Fatalf("the run is %v, not %v", value(r.StateName), types)
		}
	}
}

// report makes a script tell the server a state, as a flow's client does.
func (w *world) report(state string) string {
	return fmt.Sprintf(`python3 -c 'import urllib.request as u,os,json; u.urlopen(u.Request(os.environ["PREFECT_API_URL"]+"/flow_runs/"+os.environ["PREFECT__FLOW_RUN_ID"]+"/set_state", json.dumps({"state":{"type":"%s"}}).encode(), {"Content-Type":"application/json"})).read()'`, state)
}

func message(r *orion.FlowRun) string {
	if r.State == nil || r.State.Message == nil {
		return ""
	}
	return *r.State.Message
}

func TestARunIsTakenStartedAndLeftAsItsProcessSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var out sync.Map
	w.agent(func(o *Options) { o.Output = func(_ *orion.FlowRun, l string) { out.Store(l, true) } })
	id := w.run(w.deployment("ok", w.report("RUNNING")+"; echo hello; "+w.report("COMPLETED")))
	r := w.await(id, orion.Completed, orion.Crashed)
	if r.Type() != orion.Completed {
		t.Fatalf("ended as %s: %s", value(r.StateName), message(r))
	}
	if _, ok := out.Load("hello"); !ok {
		t.Error("the output was not streamed")
	}
	if host, _, ok := strings.Cut(value(r.InfrastructurePID), ":"); !ok || host == "" {
		t.Errorf("infrastructure_pid is %q, want host:pid", value(r.InfrastructurePID))
	}
}

func TestACrashSaysHowTheProcessEndedAndWhatItWroteLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agent(nil)
	exited := w.run(w.deployment("exits", "echo about to fail >&2; exit 3"))
	killed := w.run(w.deployment("killed", "kill -9 $$"))
	missing := w.run(func() orion.ID {
		var d orion.Deployment
		w.do("POST", "/deployments/", map[string]any{"name": "gone", "flow_id": w.flow, "work_queue_name": "q", "path": "/no/such/folder", "entrypoint": "flow.py:f"}, &d)
		return d.ID
	}())
	for id, wants := range map[orion.ID][]string{
		exited:  {"status 3", "about to fail"},
		killed:  {"signal 9", "memory"},
		missing: {"/no/such/folder", "not on this machine"},
	} {
		r := w.await(id, orion.Crashed, orion.Completed)
		for _, want := range wants {
			if !strings.Contains(message(r), want) {
				t.Errorf("the reason %q does not say %q", message(r), want)
			}
		}
	}
}

func TestCancellingEndsTheWholeProcessTree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agent(nil)
	pids := filepath.Join(w.dir, "pids")
	id := w.run(w.deployment("long", w.report("RUNNING")+"; sleep 300 & echo $! >"+pids+"; echo $$ >>"+pids+"; wait"))
	w.await(id, orion.Running)
	var ids []string
	for end := time.Now().Add(20 * time.Second); len(ids) < 2 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		b, _ := os.ReadFile(pids)
		ids = strings.Fields(string(b))
	}
	if _, err := w.c.SetFlowRunState(t.Context(), id, orion.StateCreate{Type: orion.Cancelling}, false, nil); err != nil {
		t.Fatal(err)
	}
	w.await(id, orion.Cancelled)
	for _, pid := range ids {
		// One that is dead and not yet reaped by the system is gone for all it matters.
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("process %s lives on after the run was cancelled: %s", pid, stat)
		}
	}
}

func TestAStoppedAgentHandsBackWhatHasNotBegunAndSaysWhatItEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	building := make(chan struct{}, 1)
	_, stop := w.agent(func(o *Options) {
		o.Environment = func(ctx context.Context, folder, _ string) (string, error) {
			if strings.HasSuffix(folder, "slow") {
				building <- struct{}{}
				<-ctx.Done()
				return "", context.Cause(ctx)
			}
			return "/bin/sh", nil
		}
	})
	slow := filepath.Join(w.dir, "slow")
	if err := os.Mkdir(slow, 0o755); err != nil {
		t.Fatal(err)
	}
	var d orion.Deployment
	w.do("POST", "/deployments/", map[string]any{"name": "waits", "flow_id": w.flow, "work_queue_name": "q", "path": slow, "entrypoint": "flow.py:f"}, &d)
	waiting := w.run(d.ID)
	running := w.run(w.deployment("runs", w.report("RUNNING")+"; exec sleep 300"))
	<-building
	w.await(running, orion.Running)
	stop()
	if r := w.await(waiting, orion.Scheduled, orion.Crashed); r.Type() != orion.Scheduled || !strings.Contains(message(r), "Handed back") {
		t.Errorf("the run that had not begun is %s: %s", value(r.StateName), message(r))
	}
	if r := w.await(running, orion.Crashed); !strings.Contains(message(r), "was stopped") {
		t.Errorf("the run that was going on says %q", message(r))
	}
}

func TestTwoAgentsOnOneQueueRunEachRunOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := filepath.Join(w.dir, "log")
	d := w.deployment("once", "echo $PREFECT__FLOW_RUN_ID >>"+log)
	const n = 12
	var ids []orion.ID
	for range n {
		ids = append(ids, w.run(d))
	}
	w.agent(func(o *Options) { o.Limit = 4 })
	w.agent(func(o *Options) { o.Limit = 4 })
	for _, id := range ids {
		w.await(id, orion.Crashed) // a shell command reports nothing itself
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, l := range strings.Fields(string(b)) {
		seen[l]++
	}
	if len(seen) != n {
		t.Errorf("%d runs were started, want %d", len(seen), n)
	}
	for id, k := range seen {
		if k != 1 {
			t.Errorf("%s was started %d times", id, k)
		}
	}
}

func TestAQueuesLimitHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.deployment("limited", "mkdir "+w.dir+"/busy || touch "+w.dir+"/twice; sleep 0.2; rmdir "+w.dir+"/busy")
	var q orion.WorkQueue
	w.do("GET", "/work_queues/name/q", nil, &q)
	w.do("PATCH", "/work_queues/"+q.ID.String(), map[string]any{"concurrency_limit": 1}, nil)
	var ids []orion.ID
	for range 4 {
		ids = append(ids, w.run(d))
	}
	w.agent(nil)
	w.agent(nil)
	for _, id := range ids {
		w.await(id, orion.Crashed)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "twice")); err == nil {
		t.Error("two runs of a queue with a limit of one went on at once")
	}
}

func TestARunWhoseAgentDiedBeforeItBeganIsOfferedAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a claim holds: run without -short")
	}
	t.Parallel()
	w := newWorld(t)
	id := w.run(w.deployment("claimed", "exit 0"))
	// An agent that takes the run and is never heard of again.
	r, err := w.c.SetFlowRunState(t.Context(), id, orion.StateCreate{Type: orion.Pending}, false, &client.Claim{Owner: "the dead one", For: 10 * time.Second})
	if err != nil || r.Status != orion.Accept {
		t.Fatalf("the claim: %+v, %v", r, err)
	}
	if got := w.await(id, orion.Scheduled); !strings.Contains(message(got), "the dead one") {
		t.Errorf("the reason is %q", message(got))
	}
	w.agent(nil)
	w.await(id, orion.Crashed) // taken by the living one
}

func TestAnOldAnswerDoesNotRunARunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limited := w.deployment("twice", "exit 0")
	id, other := w.run(limited), w.run(limited)
	claim := func(id orion.ID) orion.Decision {
		t.Helper()
		r, err := w.c.SetFlowRunState(t.Context(), id, orion.StateCreate{Type: orion.Pending}, false, &client.Claim{Owner: "a", For: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status
	}
	var q orion.WorkQueue
	w.do("GET", "/work_queues/name/q", nil, &q)
	w.do("PATCH", "/work_queues/"+q.ID.String(), map[string]any{"concurrency_limit": 1}, nil)
	if d := claim(id); d != orion.Accept {
		t.Fatalf("the first claim: %s", d)
	}
	if d := claim(other); d != orion.Abort {
		t.Errorf("a claim beyond the queue's limit: %s", d)
	}
	if _, err := w.c.SetFlowRunState(t.Context(), id, orion.StateCreate{Type: orion.Completed}, true, nil); err != nil {
		t.Fatal(err)
	}
	if d := claim(id); d != orion.Abort {
		t.Errorf("a claim of a run that has completed: %s", d)
	}
	if d := claim(other); d != orion.Accept {
		t.Errorf("a claim when the slot is free again: %s", d)
	}
}

func TestCodeIsFetchedFromALocalFileSystemBlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	src := filepath.Join(t.TempDir(), "store")
	if err := os.MkdirAll(filepath.Join(src, "etl", "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"etl/flow.py": "x = 1", "etl/inner/data.txt": "41", "outside.txt": "no"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var bt orion.BlockType
	w.do("GET", "/block_types/slug/local-file-system", nil, &bt)
	var schemas []orion.BlockSchema
	w.do("POST", "/block_schemas/filter", map[string]any{"block_schemas": map[string]any{"block_type_id": map[string]any{"any_": []orion.ID{bt.ID}}}}, &schemas)
	var b orion.BlockDocument
	w.do("POST", "/block_documents/", map[string]any{"name": "code", "block_type_id": bt.ID, "block_schema_id": schemas[0].ID, "data": map[string]any{"basepath": src}}, &b)
	var d orion.Deployment
	w.do("POST", "/deployments/", map[string]any{"name": "stored", "flow_id": w.flow, "work_queue_name": "q", "path": "etl", "entrypoint": "flow.py:f", "storage_document_id": b.ID,
		"infra_overrides": map[string]any{"command": "sh -c 'cat inner/data.txt; ls -a; exit 5'"}}, &d)
	w.agent(nil)
	r := w.await(w.run(d.ID), orion.Crashed)
	if m := message(r); !strings.Contains(m, "41") || !strings.Contains(m, "flow.py") || strings.Contains(m, "outside.txt") {
		t.Errorf("the run's folder was not the stored code: %s", m)
	}
}

func TestNoFolderIsLeftBehind(t *testing.T) {
	w := newWorld(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	w.agent(nil)
	w.await(w.run(w.deployment("clean", "exit 0")), orion.Crashed)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left, _ := filepath.Glob(filepath.Join(tmp, "orion-*"))
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("left behind: %v", left)
		}
	}
}
