package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/proctree"
	"github.com/orionflows/orion/internal/runner"
)

// execution is one run in this agent's hands, from the claim to the end of its
// process.
type execution struct {
	a       *Agent
	run     *orion.FlowRun
	ctx     context.Context
	stop    context.CancelCauseFunc
	ended   chan struct{}
	claimed atomic.Bool
	started atomic.Bool
}

var errCancelled = errors.New("the run was cancelled")

func (e *execution) execute() {
	log := e.a.o.Log.With("flow_run", e.run.Name, "flow_run_id", e.run.ID)
	ok, err := e.claim()
	if err != nil {
		log.Warn("cannot take the run", "error", err)
		return
	}
	if !ok {
		log.Debug("the run is somebody else's")
		return
	}
	e.claimed.Store(true)
	e.a.o.Changed(e.run, "taken")
	defer func() { e.a.o.Changed(e.run, "ended") }()
	p, err := e.prepare()
	if p != nil && p.cleanup != nil {
		defer p.cleanup()
	}
	if err == nil {
		err = e.start(p)
	}
	switch {
	case err == nil:
	case errors.Is(context.Cause(e.ctx), errCancelled):
		e.report(orion.Cancelled, "Cancelled", "Cancelled before its process was started.")
	case errors.Is(context.Cause(e.ctx), errAgentStops):
		e.handBack()
	default:
		log.Error("the run could not be started", "error", err)
		e.report(orion.Crashed, "Crashed", "The run could not be started. "+err.Error())
	}
}

// background is a context for what must be said even while stopping.
func (e *execution) background(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(e.ctx), d)
}

// claim proposes PENDING: only one agent gets it accepted.
func (e *execution) claim() (bool, error) {
	r, err := e.a.c.SetFlowRunState(e.ctx, e.run.ID, orion.StateCreate{Type: orion.Pending}, false, &client.Claim{Owner: e.a.o.Name, For: claimFor})
	if err != nil {
		if orion.KindOf(err) == orion.NotFound {
			return false, nil // it was deleted since
		}
		return false, err
	}
	return r.Status == orion.Accept && r.State != nil && r.State.Type == orion.Pending, nil
}

// plan is what is to be started.
type plan struct {
	job     *runner.Job
	python  string
	dir     string
	api     string // the server as the process sees it
	cleanup func()
}

func (e *execution) prepare() (*plan, error) {
	if e.run.DeploymentID.IsZero() {
		return nil, errors.New("it belongs to no deployment, so there is nothing that says what to run")
	}
	d, err := e.a.c.Deployment(e.ctx, e.run.DeploymentID)
	if err != nil {
		return nil, fmt.Errorf("its deployment cannot be read: %w", err)
	}
	p := &plan{}
	if p.job, err = e.job(d); err != nil {
		return p, err
	}
	if p.job.Type != "process" {
		return p, fmt.Errorf("the deployment %q asks for %q, and this agent starts processes only", d.Name, p.job.Type)
	}
	dir, err := workFolder(e.run)
	if err != nil {
		return p, err
	}
	p.cleanup = func() { os.RemoveAll(dir) }
	p.dir = dir
	if p.job.Dir != "" {
		p.dir = p.job.Dir
		if err := os.MkdirAll(p.dir, 0o755); err != nil {
			return p, fmt.Errorf("its working folder: %w", err)
		}
	}
	c, err := e.code(d, p.dir)
	if err != nil {
		return p, err
	}
	p.api = c.api
	if p.python, err = e.a.o.Environment(e.ctx, flowFolder(c.folder, d.Entrypoint), c.folder); err != nil {
		return p, err
	}
	return p, nil
}

func (e *execution) job(d *orion.Deployment) (*runner.Job, error) {
	if d.WorkPoolName != nil && *d.WorkPoolName != orion.DefaultAgentPool {
		pool, err := e.a.c.WorkPool(e.ctx, *d.WorkPoolName)
		if err != nil {
			return nil, fmt.Errorf("its work pool cannot be read: %w", err)
		}
		if pool.Type != "prefect-agent" {
			return runner.FromTemplate(pool.Type, pool.BaseJobTemplate, jobVariables(d), e.run.JobVariables)
		}
	}
	id := d.InfrastructureDocumentID
	if !e.run.InfrastructureDocumentID.IsZero() {
		id = e.run.InfrastructureDocumentID
	}
	var block *orion.BlockDocument
	if !id.IsZero() {
		var err error
		if block, err = e.a.c.BlockDocument(e.ctx, id, true); err != nil {
			return nil, fmt.Errorf("its infrastructure block cannot be read: %w", err)
		}
	}
	return runner.FromBlock(block, jobVariables(d), e.run.JobVariables)
}

// jobVariables is one field with two names; older servers know the older only.
func jobVariables(d *orion.Deployment) orion.JSON {
	if orion.IsNull(d.JobVariables) {
		return d.InfraOverrides
	}
	return d.JobVariables
}

// start runs the process and follows it to its end.
func (e *execution) start(p *plan) error {
	args := p.job.Command
	if len(args) == 0 {
		args = []string{p.python, "-m", "prefect.engine"}
	} else if args[0] == "python" || args[0] == "python3" {
		args = append([]string{p.python}, args[1:]...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = p.dir
	cmd.Env = e.environment(p)
	tail := &tail{}
	out := &lines{f: func(line string) {
		tail.add(line)
		if p.job.Stream {
			e.a.o.Output(e.run, line)
		}
	}}
	cmd.Stdout, cmd.Stderr = out, out
	if e.ctx.Err() != nil {
		return context.Cause(e.ctx)
	}
	proc, err := proctree.Start(cmd)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	e.started.Store(true)
	pid := pidOf(proc.PID())
	if err := e.a.c.UpdateFlowRun(e.ctx, e.run.ID, orion.FlowRunUpdate{InfrastructurePID: orion.Some(pid)}); err != nil && e.ctx.Err() == nil {
		e.a.o.Log.Warn("the process of the run could not be noted", "flow_run", e.run.Name, "error", err)
	}
	select {
	case <-proc.Done():
	case <-e.ctx.Done():
		e.end(proc)
	}
	err = proc.Wait()
	out.flush()
	e.settle(err, tail)
	return nil
}

// end asks the process to end, and makes it when the grace is over.
func (e *execution) end(proc *proctree.Process) {
	syscall.Kill(proc.PID(), syscall.SIGTERM)
	select {
	case <-proc.Done():
	case <-time.After(e.a.o.StopGrace):
		proc.Kill()
	}
}

// environment is the process's: the agent's own, where the server is, what the
// deployment adds.
func (e *execution) environment(p *plan) []string {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	env["PREFECT_API_URL"] = p.api
	if env["PREFECT_UI_URL"] == "" {
		env["PREFECT_UI_URL"] = e.a.c.Page() // else the client would make one of the API's address
	}
	env["PREFECT__FLOW_RUN_ID"] = e.run.ID.String()
	env["PYTHONUNBUFFERED"] = "1"
	if filepath.IsAbs(p.python) {
		bin := filepath.Dir(p.python)
		env["PATH"] = bin + string(os.PathListSeparator) + env["PATH"]
		env["VIRTUAL_ENV"] = filepath.Dir(bin)
		delete(env, "PYTHONHOME")
	}
	for k, v := range p.job.Env {
		if v == nil {
			delete(env, k)
		} else {
			env[k] = *v
		}
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	return out
}

// settle looks at what the process left: a run that says it is still going
// although its process has ended has crashed, unless it was asked to end.
func (e *execution) settle(exit error, tail *tail) {
	ctx, cancel := e.background(20 * time.Second)
	defer cancel()
	run, err := e.a.c.FlowRun(ctx, e.run.ID)
	if err != nil {
		if orion.KindOf(err) != orion.NotFound {
			e.a.o.Log.Warn("the state of an ended run cannot be read", "flow_run", e.run.Name, "error", err)
		}
		return
	}
	e.run.State, e.run.StateType, e.run.StateName = run.State, run.StateType, run.StateName
	t := run.Type()
	switch {
	case t == orion.Cancelling, errors.Is(context.Cause(e.ctx), errCancelled) && !t.Final():
		e.report(orion.Cancelled, "Cancelled", "Cancelled by "+e.a.o.Name+"; its process was ended.")
	case t.Final():
	case errors.Is(context.Cause(e.ctx), errAgentStops) && t == orion.Pending:
		e.handBack()
	case errors.Is(context.Cause(e.ctx), errAgentStops) && t == orion.Running:
		e.report(orion.Crashed, "Crashed", "The agent "+e.a.o.Name+" was stopped while the run was going on.")
	case t == orion.Paused || t == orion.Scheduled:
		// It was suspended, or waits to be tried again: not over, and nothing wrong.
	default:
		e.report(orion.Crashed, "Crashed", crashReason(exit, tail))
	}
}

// crashReason says in a sentence or two how a process ended.
func crashReason(exit error, tail *tail) string {
	why := "Its process ended without saying how the run went."
	var ee *exec.ExitError
	if errors.As(exit, &ee) {
		if ws, ok := ee.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			why = fmt.Sprintf("Its process was ended by signal %d (%s)", int(ws.Signal()), ws.Signal())
			if ws.Signal() == syscall.SIGKILL {
				why += ", most often because memory ran out or somebody killed it"
			}
			why += "."
		} else {
			why = fmt.Sprintf("Its process exited with status %d.", ee.ExitCode())
		}
	}
	if t := tail.text(); t != "" {
		why += " The last it wrote:\n" + t
	}
	return why
}

// report proposes a last state. A run that is over stays as it is.
func (e *execution) report(t orion.StateType, name, message string) {
	ctx, cancel := e.background(20 * time.Second)
	defer cancel()
	r, err := e.a.c.SetFlowRunState(ctx, e.run.ID, orion.StateCreate{Type: t, Name: &name, Message: &message}, false, nil)
	if err != nil {
		e.a.o.Log.Error("the end of a run could not be reported", "flow_run", e.run.Name, "state", name, "error", err)
		return
	}
	if r.State != nil {
		typ := string(r.State.Type)
		e.run.State, e.run.StateType, e.run.StateName = r.State, &typ, &r.State.Name
	}
}

// handBack puts a run that was taken and not begun where others find it.
func (e *execution) handBack() {
	ctx, cancel := e.background(10 * time.Second)
	defer cancel()
	msg := "Handed back by the agent " + e.a.o.Name + ", which was stopped before the run began."
	at := e.run.NextScheduledStartTime
	if _, err := e.a.c.SetFlowRunState(ctx, e.run.ID, orion.StateCreate{Type: orion.Scheduled, Message: &msg, Details: orion.StateDetails{ScheduledTime: at}}, true, nil); err != nil {
		e.a.o.Log.Error("a run could not be handed back", "flow_run", e.run.Name, "error", err)
	}
}

// lines turns writes into lines.
type lines struct {
	mu  sync.Mutex
	buf []byte
	f   func(string)
}

// maxLine bounds a line that never ends.
const maxLine = 64 << 10

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	for {
		i := bytes.IndexByte(l.buf, '\n')
		if i < 0 && len(l.buf) > maxLine {
			i = len(l.buf) - 1
		}
		if i < 0 {
			return len(b), nil
		}
		l.f(strings.TrimRight(string(l.buf[:i]), "\r"))
		l.buf = l.buf[i+1:]
	}
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buf) > 0 {
		l.f(string(l.buf))
		l.buf = nil
	}
}

// tail keeps the last lines of an output.
type tail struct{ last []string }

// tailLines is how many lines of output explain a crash.
const tailLines = 8

func (t *tail) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	t.last = append(t.last, line)
	if len(t.last) > tailLines {
		t.last = t.last[1:]
	}
}

func (t *tail) text() string { return strings.Join(t.last, "\n") }
