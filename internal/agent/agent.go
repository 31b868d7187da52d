// Package agent takes due runs from work queues and pools, and runs them.
//
// It knows its server only through the API: Orion, which it asks with long
// polls and whose claims it renews, or a Prefect server, which it polls as
// Prefect's own agent does. It starts processes; what a run is to be started
// as is read by internal/runner. Start with [Agent.Run].
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
)

// Options say what an agent serves, and how.
type Options struct {
	Client *client.Client
	// Queues are served in the agents' pool, or in Pool when that is named.
	// With a pool and no queues, all of the pool's are.
	Queues []string
	Pool   string
	// Name tells the agent apart; the host's name and a few letters if empty.
	Name string
	// Limit is how many runs go on at once; 0 means no limit.
	Limit int
	// Ahead is how long before its time a run is taken, so that its process is
	// up when the time comes. Negative means not at all, 0 is 10 s.
	Ahead time.Duration
	// PollEvery is the pause between polls of a server that cannot wait; 0 is
	// 5 s.
	PollEvery time.Duration
	// Environment finds the interpreter for the code in a folder, whose
	// requirements may also lie in its parents up to root. Both are empty when
	// the code is fetched by the run itself.
	Environment func(ctx context.Context, folder, root string) (python string, err error)
	// Code is a folder in which the code of versions is kept; one below the
	// system's temporary folder if empty.
	Code string
	// Output receives what the runs' processes write, line by line.
	Output func(run *orion.FlowRun, line string)
	// Changed is told when a run was taken or has ended.
	Changed func(run *orion.FlowRun, what string)
	// StopGrace is how long running runs may take to end when the agent stops;
	// 0 is 10 s.
	StopGrace time.Duration
	Log       *slog.Logger
}

// Agent serves queues. Run it once.
type Agent struct {
	o     Options
	c     *client.Client
	slots chan struct{}
	codes locks // of bundles, by hash

	mu     sync.Mutex
	active map[orion.ID]*execution
	wg     sync.WaitGroup
	wake   chan struct{} // a slot was freed
}

// claimFor is how long a run stays this agent's without renewal.
const claimFor = time.Minute

// longWait is how long an Orion server holds a poll that has nothing.
const longWait = 30 * time.Second

// New makes an agent.
func New(o Options) *Agent {
	if o.Name == "" {
		host, _ := os.Hostname() // an agent without a host name still has its letters
		id := orion.NewID().String()
		o.Name = host + "-" + id[len(id)-6:]
	}
	if o.Ahead == 0 {
		o.Ahead = 10 * time.Second
	}
	if o.Code == "" {
		o.Code = filepath.Join(os.TempDir(), "orion-code")
	}
	if o.PollEvery == 0 {
		o.PollEvery = 5 * time.Second
	}
	if o.StopGrace == 0 {
		o.StopGrace = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Output == nil {
		o.Output = func(*orion.FlowRun, string) {}
	}
	if o.Changed == nil {
		o.Changed = func(*orion.FlowRun, string) {}
	}
	a := &Agent{o: o, c: o.Client, active: map[orion.ID]*execution{}, wake: make(chan struct{}, 1)}
	if o.Limit > 0 {
		a.slots = make(chan struct{}, o.Limit)
	}
	return a
}

// Name is what the agent is called.
func (a *Agent) Name() string { return a.o.Name }

// Run serves until the context ends. Then nothing more is taken, what has not
// begun is handed back, and what runs is ended within the grace.
func (a *Agent) Run(ctx context.Context) error {
	if len(a.o.Queues) == 0 && a.o.Pool == "" {
		return orion.Errorf(orion.Invalid, "name a queue to serve with -q, or a pool with -p")
	}
	a.forgetCode()
	var loops sync.WaitGroup
	if a.o.Pool != "" {
		loops.Go(func() { a.poll(ctx, a.poolRuns) })
		loops.Go(func() { a.beat(ctx) })
	} else {
		for _, q := range a.o.Queues {
			loops.Go(func() { a.poll(ctx, a.queueRuns(q)) })
		}
	}
	loops.Go(func() { a.watchCancellations(ctx) })
	loops.Go(func() { a.renewClaims(ctx) })
	<-ctx.Done()
	loops.Wait()
	a.stopAll()
	a.wg.Wait()
	return nil
}

// find asks the server for runs.
type find func(ctx context.Context, wait time.Duration, limit int64) ([]orion.FlowRun, error)

// poll takes runs as long as there are slots.
func (a *Agent) poll(ctx context.Context, f find) {
	failures := 0
	for ctx.Err() == nil {
		free := a.free()
		if free == 0 {
			a.pause(ctx, time.Second)
			continue
		}
		wait := time.Duration(0)
		if a.c.IsOrion() {
			wait = longWait
		}
		runs, err := f(ctx, wait, min(free, 50))
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			failures++
			if failures == 1 || failures%10 == 0 {
				a.o.Log.Warn("cannot ask for runs; trying again", "error", err)
			}
			a.pause(ctx, min(time.Duration(failures)*time.Second, 15*time.Second))
			continue
		}
		if failures > 0 {
			a.o.Log.Info("the server answers again")
			failures = 0
		}
		taken := 0
		for i := range runs {
			if a.take(ctx, &runs[i]) {
				taken++
			}
		}
		switch {
		case taken > 0:
		case len(runs) > 0: // they are others', or wait for a slot
			a.pause(ctx, time.Second)
		case !a.c.IsOrion():
			a.pause(ctx, a.o.PollEvery)
		}
	}
}

func (a *Agent) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-a.wake:
	}
}

func (a *Agent) free() int64 {
	if a.slots == nil {
		return 50
	}
	return int64(cap(a.slots) - len(a.slots))
}

func (a *Agent) ahead() time.Duration { return max(a.o.Ahead, 0) }

// queueRuns asks a queue of the agents' pool, making it if it is not there.
func (a *Agent) queueRuns(name string) find {
	var queue *orion.WorkQueue
	return func(ctx context.Context, wait time.Duration, limit int64) ([]orion.FlowRun, error) {
		if queue == nil {
			q, err := a.c.WorkQueueByName(ctx, name)
			if orion.KindOf(err) == orion.NotFound {
				q, err = a.c.CreateWorkQueue(ctx, orion.WorkQueueCreate{Name: name})
				if orion.KindOf(err) == orion.Conflict {
					q, err = a.c.WorkQueueByName(ctx, name)
				}
			}
			if err != nil {
				return nil, err
			}
			queue = q
		}
		runs, err := a.c.QueueRuns(ctx, queue.ID, a.ahead(), wait, limit)
		if orion.KindOf(err) == orion.NotFound {
			queue = nil // it was deleted; the next time it is made again
		}
		return runs, err
	}
}

// poolRuns asks a pool.
func (a *Agent) poolRuns(ctx context.Context, wait time.Duration, limit int64) ([]orion.FlowRun, error) {
	found, err := a.c.PoolRuns(ctx, a.o.Pool, a.o.Queues, a.ahead(), wait, limit)
	if err != nil {
		return nil, err
	}
	runs := make([]orion.FlowRun, 0, len(found))
	for _, f := range found {
		if f.FlowRun != nil {
			runs = append(runs, *f.FlowRun)
		}
	}
	return runs, nil
}

// heartbeatEvery is how often a pool hears that its worker is alive.
const heartbeatEvery = 30 * time.Second

func (a *Agent) beat(ctx context.Context) {
	for ctx.Err() == nil {
		if err := a.c.Heartbeat(ctx, a.o.Pool, a.o.Name, heartbeatEvery); err != nil && ctx.Err() == nil {
			a.o.Log.Debug("the heartbeat did not arrive", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(heartbeatEvery):
		}
	}
}

// take starts a run, unless it is started already or no slot is free.
func (a *Agent) take(ctx context.Context, run *orion.FlowRun) bool {
	a.mu.Lock()
	if _, ok := a.active[run.ID]; ok {
		a.mu.Unlock()
		return false
	}
	if a.slots != nil {
		select {
		case a.slots <- struct{}{}:
		default:
			a.mu.Unlock()
			return false
		}
	}
	e := &execution{a: a, run: run, ended: make(chan struct{})}
	e.ctx, e.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	a.active[run.ID] = e
	a.mu.Unlock()
	a.wg.Go(func() {
		defer func() {
			e.stop(nil)
			close(e.ended)
			a.mu.Lock()
			delete(a.active, run.ID)
			a.mu.Unlock()
			if a.slots != nil {
				<-a.slots
			}
			select {
			case a.wake <- struct{}{}:
			default:
			}
		}()
		e.execute()
	})
	return true
}

// Idle reports whether nothing runs.
func (a *Agent) Idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.active) == 0
}

func (a *Agent) executions() []*execution {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]*execution, 0, len(a.active))
	for _, e := range a.active {
		out = append(out, e)
	}
	return out
}

func (a *Agent) stopAll() {
	for _, e := range a.executions() {
		e.stop(errAgentStops)
	}
}

var errAgentStops = errors.New("the agent was stopped")

// renewClaims tells an Orion server which runs are still this agent's.
func (a *Agent) renewClaims(ctx context.Context) {
	t := time.NewTicker(claimFor / 4)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if !a.c.IsOrion() {
			continue
		}
		var ids []orion.ID
		for _, e := range a.executions() {
			if e.claimed.Load() {
				ids = append(ids, e.run.ID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		if _, err := a.c.RenewClaims(ctx, client.Claim{Owner: a.o.Name, For: claimFor}, ids); err != nil && ctx.Err() == nil {
			a.o.Log.Warn("cannot renew the claims on runs", "runs", len(ids), "error", err)
		}
	}
}

// workFolder makes the folder of a run, below the system's temporary one.
func workFolder(run *orion.FlowRun) (string, error) {
	return os.MkdirTemp("", "orion-"+filepath.Base(run.Name)+"-")
}

// pidOf is how the process of a run is written on the run: host and id.
func pidOf(pid int) string {
	host, _ := os.Hostname() // an unknown host is an empty one; only this agent reads it
	return fmt.Sprintf("%s:%d", host, pid)
}
