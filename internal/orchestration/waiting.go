package orchestration

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

// silentAfter is how long an agent may be silent and still counts as there.
const silentAfter = time.Minute

// Why says in one sentence what a run waits for. Of several causes it is the
// one that has to go first.
func Why(tx *store.Tx, run *orion.FlowRun) (*orion.Waiting, error) {
	w := &orion.Waiting{HeldBy: []orion.RunningRun{}}
	say := func(code, text string, args ...any) (*orion.Waiting, error) {
		w.Code, w.Text = code, fmt.Sprintf(text, args...)
		return w, nil
	}
	state := ""
	if run.StateName != nil {
		state = *run.StateName
	}
	w.At = run.StateTimestamp
	switch run.Type() {
	case orion.Scheduled:
	case orion.Pending:
		if run.ClaimOwner != "" {
			return say(orion.WaitsForProcess, "The agent %s took it at {at}: its process is starting.", run.ClaimOwner)
		}
		return say(orion.WaitsForProcess, "An agent took it at {at}: its process is starting.")
	case orion.Paused:
		if run.State != nil && !run.State.Details.PauseTimeout.IsZero() {
			w.At = run.State.Details.PauseTimeout
			return say(orion.WaitsForPerson, "It is paused, and fails if nobody resumes it by {at}.")
		}
		return say(orion.WaitsForPerson, "It is paused since {at}, and waits to be resumed.")
	case orion.Running:
		return say(orion.WaitsNot, "It does not wait: it runs since {at}.")
	case orion.Cancelling:
		return say(orion.WaitsNot, "It is being cancelled since {at}: its agent is to end the process.")
	case "":
		return say(orion.WaitsForCreator, "It has no state yet: whoever made it is to give it one.")
	default:
		return say(orion.WaitsNot, "It does not wait: it is %s since {at}.", state)
	}
	w.At = run.NextScheduledStartTime
	if w.At.IsZero() {
		w.At = run.ExpectedStartTime
	}
	if w.At.After(tx.Now()) {
		if state == "AwaitingRetry" {
			return say(orion.WaitsForRetry, "It is tried again at {at}.")
		}
		return say(orion.WaitsForTime, "It is to start at {at}.")
	}
	return whyDue(tx, run, w, say)
}

// whyDue is Why for a run whose time has come.
func whyDue(tx *store.Tx, run *orion.FlowRun, w *orion.Waiting, say func(code, text string, args ...any) (*orion.Waiting, error)) (*orion.Waiting, error) {
	if run.WorkQueueID.IsZero() {
		if run.DeploymentID.IsZero() {
			return say(orion.WaitsForCreator, "It belongs to no deployment: the process that made it starts it.")
		}
		d, err := tx.Deployment(run.DeploymentID)
		if err != nil {
			return nil, err
		}
		if d != nil && !d.LastPolled.IsZero() {
			w.At = d.LastPolled
			return say(orion.WaitsForServer, "Its deployment has no work queue, so only the process that serves it takes its runs: it was last seen at {at}.")
		}
		return say(orion.WaitsForServer, "Its deployment has no work queue, so only a process that serves it takes its runs, and none has yet.")
	}
	q, err := tx.WorkQueue(run.WorkQueueID)
	if err != nil {
		return nil, err
	}
	if q == nil {
		return say(orion.WaitsForever, "Its work queue was deleted: make one of that name again.")
	}
	var p *orion.WorkPool
	if q.WorkPoolName != nil {
		if p, err = tx.WorkPool(*q.WorkPoolName); err != nil {
			return nil, err
		}
	}
	inPool := ""
	if p != nil && p.Name != orion.DefaultAgentPool {
		inPool = " -p " + quote(p.Name)
	}
	switch {
	case p != nil && p.IsPaused:
		w.At, w.Command = p.Updated, "orion work-pool resume "+quote(p.Name)
		return say(orion.WaitsForPool, "The work pool %s is paused since {at}.", p.Name)
	case q.IsPaused:
		w.At, w.Command = q.Updated, "orion work-queue resume "+quote(q.Name)+inPool
		return say(orion.WaitsForQueue, "The queue %s is paused since {at}.", q.Name)
	case tx.Now().Sub(q.LastPolled) > silentAfter:
		w.At, w.Command = q.LastPolled, "orion agent start -q "+quote(q.Name)+inPool
		if q.LastPolled.IsZero() {
			return say(orion.WaitsForAgent, "No agent asks for the runs of the queue %s: none ever has. Start one.", q.Name)
		}
		return say(orion.WaitsForAgent, "No agent asks for the runs of the queue %s: the last time was at {at}. Start one.", q.Name)
	}
	if q.ConcurrencyLimit != nil {
		if full, err := held(tx, w, q.ID, orion.ID{}, *q.ConcurrencyLimit); err != nil || full {
			w.Code = orion.WaitsForSlot
			w.Text = fmt.Sprintf("The queue %s runs at most %d at once%s.", q.Name, *q.ConcurrencyLimit, by(w.HeldBy))
			return w, err
		}
	}
	if p != nil && p.ConcurrencyLimit != nil {
		if full, err := held(tx, w, orion.ID{}, p.ID, *p.ConcurrencyLimit); err != nil || full {
			w.Code = orion.WaitsForSlot
			w.Text = fmt.Sprintf("The work pool %s runs at most %d at once%s.", p.Name, *p.ConcurrencyLimit, by(w.HeldBy))
			return w, err
		}
	}
	w.At = q.LastPolled
	if n, err := tx.PinnedElsewhere(run.ID); err != nil || n != 0 {
		w.Command = "orion agent start -q " + quote(q.Name) + inPool
		w.Code, w.Text = orion.WaitsForOrion, fmt.Sprintf("It is to run version %d of its deployment, which is not the current one: only Orion's own agents can. Start one.", n)
		return w, err
	}
	return say(orion.WaitsForPoll, "An agent polls the queue %s: it should take the run at its next poll.", q.Name)
}

// held finds the runs that take the slots of a queue or a pool, and reports
// whether none is free.
func held(tx *store.Tx, w *orion.Waiting, queue, pool orion.ID, limit int64) (bool, error) {
	n, runs, err := tx.HoldingSlots(queue, pool, 10)
	if err != nil || n < limit {
		return false, err
	}
	w.HeldBy = runs
	return true, nil
}

func by(runs []orion.RunningRun) string {
	switch len(runs) {
	case 0:
		return ", which lets nothing through"
	case 1:
		return fmt.Sprintf(", and %s is under way", runs[0].Name)
	}
	var names []string
	for _, r := range runs[:min(3, len(runs))] {
		names = append(names, r.Name)
	}
	if more := len(runs) - len(names); more > 0 {
		return fmt.Sprintf(", and %s and others are under way", strings.Join(names, ", "))
	}
	return fmt.Sprintf(", and %s and %s are under way", strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
}

var plainWord = regexp.MustCompile(`^[\w.:@/-]+$`)

// quote writes a name as a shell reads it.
func quote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
