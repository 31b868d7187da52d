package agent

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
)

// watchCancellations ends the runs that are to be cancelled: this agent's own,
// and those in its queues whose process on this machine is gone with the agent
// that had started it.
func (a *Agent) watchCancellations(ctx context.Context) {
	for ctx.Err() == nil {
		every := 5 * time.Second
		if a.c.IsOrion() && !a.Idle() {
			every = time.Second // one small question to a fast server
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		runs, err := a.cancelling(ctx)
		if err != nil {
			if ctx.Err() == nil {
				a.o.Log.Debug("cannot ask for runs to cancel", "error", err)
			}
			continue
		}
		for i := range runs {
			a.cancel(ctx, &runs[i])
		}
	}
}

func (a *Agent) cancelling(ctx context.Context) ([]orion.FlowRun, error) {
	q := client.Query{}
	q.FlowRuns = &orion.FlowRunFilter{State: &orion.StateFilter{Type: &orion.Cond[string]{Any: &[]string{string(orion.Cancelling)}}}}
	pool := a.o.Pool
	if pool == "" {
		pool = orion.DefaultAgentPool
	}
	q.WorkPools = &orion.WorkPoolFilter{Name: &orion.Cond[string]{Any: &[]string{pool}}}
	if len(a.o.Queues) > 0 {
		q.WorkPoolQueues = &orion.WorkQueueFilter{Name: &orion.Cond[string]{Any: &a.o.Queues}}
	}
	return a.c.FlowRuns(ctx, q)
}

func (a *Agent) cancel(ctx context.Context, run *orion.FlowRun) {
	a.mu.Lock()
	e := a.active[run.ID]
	a.mu.Unlock()
	if e != nil {
		e.stop(errCancelled)
		return
	}
	host, _ := os.Hostname() // see pidOf
	h, p, ok := strings.Cut(value(run.InfrastructurePID), ":")
	if !ok || h != host {
		return // it is another machine's to end
	}
	pid, err := strconv.Atoi(p)
	if err != nil || alive(pid) {
		return // another agent of this machine has it
	}
	name, msg := "Cancelled", fmt.Sprintf("Cancelled by %s; its process %d had ended before.", a.o.Name, pid)
	if _, err := a.c.SetFlowRunState(ctx, run.ID, orion.StateCreate{Type: orion.Cancelled, Name: &name, Message: &msg}, false, nil); err != nil && ctx.Err() == nil {
		a.o.Log.Warn("a run could not be marked as cancelled", "flow_run", run.Name, "error", err)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
