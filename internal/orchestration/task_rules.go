package orchestration

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/orionflows/orion"
)

func retrieveCached(t *Transition) error {
	d := t.proposed.Details
	if d.CacheKey == nil || *d.CacheKey == "" || (d.RefreshCache != nil && *d.RefreshCache) {
		return nil
	}
	s, err := t.tx.CachedState(*d.CacheKey)
	if err != nil || s == nil {
		return err
	}
	s.ID, s.Timestamp, s.Name = orion.NewID(), t.now, "Cached"
	t.reject(s, "Retrieved state from cache")
	return nil
}

// leaveTaskTerminal guards task runs that have ended. One that completed with
// a result that can be read again is not run again, which is how a retried
// flow reuses its tasks.
func leaveTaskTerminal(t *Transition) error {
	to := t.proposed.Type
	switch {
	case to == orion.Cancelling || to == orion.Paused || to == orion.Crashed:
		t.abort(fmt.Sprintf("Run is already %s.", t.initial.Type))
		return nil
	case t.initial.Type == orion.Completed && persisted(t.initial):
		t.reject(nil, "This run is already completed.")
		return nil
	case to.Final():
		return nil
	}
	before := t.task.RunCount
	t.task.RunCount = 0
	t.effects.undo = func() error { t.task.RunCount = before; return nil }
	if to == orion.Running {
		flow, err := t.enclosing()
		if err != nil {
			return err
		}
		if flow != nil && t.task.FlowRunRunCount < flow.RunCount {
			t.proposed.Name = "Retrying"
		}
	}
	return nil
}

func requireRunningFlow(t *Transition) error {
	flow, err := t.enclosing()
	if err != nil || flow == nil {
		return err
	}
	switch flow.Type() {
	case orion.Running:
	case orion.Paused:
		s := t.state(orion.Paused)
		s.Name = "NotReady"
		s.Details.PauseTimeout, s.Details.PauseReschedule = flow.State.Details.PauseTimeout, flow.State.Details.PauseReschedule
		t.reject(s, fmt.Sprintf("The flow is paused, new tasks can execute after resuming flow run: %s.", flow.ID))
	default:
		t.abort("The enclosing flow must be running to begin task execution.")
	}
	return nil
}

// tagSlotWait is how long a client waits before it asks for a slot again, in
// seconds, as in Prefect 2.
const tagSlotWait = 30

// secureTagSlots takes one slot of each limit on the run's tags, or none.
func secureTagSlots(t *Transition) error {
	if len(t.task.Tags) == 0 {
		return nil
	}
	limits, err := t.tx.TagLimitsFor(t.task.Tags)
	if err != nil || len(limits) == 0 {
		return err
	}
	for _, l := range limits {
		if l.ConcurrencyLimit == 0 {
			t.abort(fmt.Sprintf(`The concurrency limit on tag "%s" is 0 and will deadlock if the task tries to run again.`, l.Tag))
			return nil
		}
	}
	for _, l := range limits {
		if l.Taken >= l.ConcurrencyLimit {
			t.delay(tagSlotWait, fmt.Sprintf("Concurrency limit for the %s tag has been reached", l.Tag))
			return nil
		}
	}
	for _, l := range limits {
		if err := t.tx.TakeTagSlot(l.ID, t.task.ID); err != nil {
			return err
		}
	}
	t.effects.undo = func() error { return t.tx.ReleaseTagSlots(t.task.ID) }
	return nil
}

func retryFailedTask(t *Transition) error {
	if r := t.proposed.Details.Retriable; r != nil && !*r {
		return nil
	}
	p := &t.task.EmpiricalPolicy
	if p.Retries == nil || t.task.RunCount > *p.Retries {
		return nil
	}
	delay := retryDelay(&p.RetryPolicy, t.task.RunCount)
	if j := p.RetryJitterFactor; j != nil && *j > 0 {
		delay = jittered(delay, *j)
	}
	t.reject(t.awaitingRetry(delay), "Retrying")
	return nil
}

// retryDelay is the delay before the next attempt in seconds: one number, or
// the one of a list that belongs to the attempt.
func retryDelay(p *orion.RetryPolicy, runCount int64) float64 {
	if orion.IsNull(p.RetryDelay) {
		return 0
	}
	var one float64
	if orion.Decode(p.RetryDelay, &one) == nil {
		return one
	}
	var many []float64
	if orion.Decode(p.RetryDelay, &many) != nil || len(many) == 0 {
		return 0
	}
	return many[max(0, min(int(runCount)-1, len(many)-1))]
}

// jittered draws an exponentially distributed delay around the average that is
// at most factor above it: what Prefect calls a clamped Poisson interval. The
// lower bound is chosen so that the mean stays the average.
func jittered(average, factor float64) float64 {
	if average <= 0 {
		return 0
	}
	upper := average * (1 + factor)
	cdf := func(x float64) float64 { return 1 - math.Exp(-x/average) }
	top := cdf(upper)
	// Half of the draws lie below the average when the lower quantile is as far
	// from the median as the upper one.
	bottom := max(0, 2*cdf(average*math.Ln2)-top)
	u := bottom + rand.Float64()*(top-bottom)
	return -math.Log(1-u) * average
}

func renameRerun(t *Transition) error {
	if t.task.RunCount > 0 {
		t.proposed.Name = "Rerunning"
		if t.initial != nil && t.initial.Name == "AwaitingRetry" {
			t.proposed.Name = "Retrying"
		}
	}
	return nil
}

func trackFlowRunCount(t *Transition) error {
	if t.task.FlowRunID.IsZero() {
		return nil
	}
	t.effects.after = func() error {
		flow, err := t.enclosing()
		if err == nil && flow != nil {
			t.task.FlowRunRunCount = flow.RunCount
		}
		return err
	}
	return nil
}

// addUnknownResult marks a forced completion of a run that had a result, so
// that a retry does not run it again.
func addUnknownResult(t *Transition) error {
	if t.initial != nil && t.initial.DataType() == "reference" {
		t.proposed.Data = orion.JSON(`{"type":"unknown","value":null}`)
	}
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
