package orchestration

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/orionflows/orion"
)

// preventDuplicate: a client that resends a transition whose answer it lost
// gets the state that the first one made.
func preventDuplicate(t *Transition) error {
	if t.initial == nil {
		return nil
	}
	if id := t.initial.Details.TransitionID; !id.IsZero() && id == t.proposed.Details.TransitionID {
		t.reject(nil, "This run has already made this state transition.")
	}
	return nil
}

// grantClaim is stricter with agents that say who they are than Prefect is with
// its own: a run is theirs only while it is scheduled, so that an agent which
// acts on an old answer cannot run a run again that has ended since; and only
// while queue and pool have a slot, which two agents that asked at the same
// moment may both have been told of.
func grantClaim(t *Transition) error {
	if t.ClaimOwner == "" {
		return nil
	}
	if stateType(t.initial) != orion.Scheduled {
		t.abort("This run is no longer waiting for an agent.")
		return nil
	}
	if t.flow.WorkQueueID.IsZero() {
		return nil
	}
	free, err := t.tx.FreeSlots(t.flow.WorkQueueID)
	if err == nil && free == 0 {
		t.abort("The work queue or pool of this run has no free slot.")
	}
	return err
}

// leaveFlowTerminal guards runs that have ended. Leaving for a live state
// forgets the pauses of the attempt before.
func leaveFlowTerminal(t *Transition) error {
	to := t.proposed.Type
	switch {
	case to == orion.Cancelling || to == orion.Paused || to == orion.Crashed:
		t.abort(fmt.Sprintf("Run is already in terminal state %s.", t.initial.Type))
		return nil
	case t.initial.Type == orion.Completed && !to.Final() && persisted(t.initial):
		t.reject(nil, "Run is already COMPLETED.")
		return nil
	case to == orion.Scheduled && t.flow.DeploymentID.IsZero():
		t.abort("Cannot reschedule a run without an associated deployment.")
		return nil
	case to.Final() || !t.Client.TracksPauses():
		return nil
	}
	before := t.flow.EmpiricalPolicy
	p := &t.flow.EmpiricalPolicy
	p.Resuming, p.PauseKeys, p.RetryType = false, nil, nil
	if to == orion.Scheduled {
		p.RetryType = ptr("reschedule")
	}
	t.effects.undo = func() error { t.flow.EmpiricalPolicy = before; return nil }
	return nil
}

// persisted: the state's result can be read again, so the run need not run.
func persisted(s *orion.State) bool {
	return !orion.IsNull(s.Data) && string(s.Data) != "{}" && s.DataType() != "unpersisted"
}

func enforceCancelled(t *Transition) error {
	t.reject(nil, "Cannot transition flows that are cancelling to a state other than Cancelled.")
	return nil
}

// bypassCancelling: what has no process to end is cancelled at once.
func bypassCancelling(t *Transition) error {
	switch {
	case t.initial.Type == orion.Scheduled && (t.flow.InfrastructurePID == nil || *t.flow.InfrastructurePID == ""),
		t.initial.Name == "Resuming":
		t.reject(t.state(orion.Cancelled), "Scheduled flow run has no infrastructure to terminate.")
	case t.initial.Type == orion.Paused && t.initial.Details.PauseReschedule:
		t.reject(t.state(orion.Cancelled), "Suspended flow run has no infrastructure to terminate.")
	}
	return nil
}

// state is a new state that the server itself makes.
func (t *Transition) state(typ orion.StateType) *orion.State {
	return (&orion.StateCreate{Type: typ}).State(t.now)
}

// keepPinned leaves a run that was made for a certain version of its code to
// Orion's agents, as long as the deployment runs another: who reads the
// deployment alone would run that.
func keepPinned(t *Transition) error {
	if t.ClaimOwner != "" || t.flow.DeploymentID.IsZero() {
		return nil
	}
	v, err := t.tx.PinnedElsewhere(t.flow.ID)
	if v != 0 {
		t.abort(fmt.Sprintf("This run is to run version %d of its deployment, which is not the current one. Only Orion's own agents can do that.", v))
	}
	return err
}

// preventPending is what makes two agents on one queue safe.
func preventPending(t *Transition) error {
	t.abort(fmt.Sprintf("This run is in a %s state and cannot transition to a PENDING state.", t.initial.Type))
	return nil
}

func onlyScheduledLate(t *Transition) error {
	if t.proposed.Name == "Late" && stateType(t.initial) != orion.Scheduled {
		t.reject(nil, "Only scheduled flows can be marked late.")
	}
	return nil
}

func pauseFlow(t *Transition) error {
	verb := "pause"
	if t.proposed.Name == "Suspended" {
		verb = "suspend"
	}
	policy := &t.flow.EmpiricalPolicy
	if t.initial == nil {
		t.abort(fmt.Sprintf("Cannot %s flows with no state.", verb))
		return nil
	}
	if t.initial.Type != orion.Running {
		t.reject(nil, fmt.Sprintf("Cannot %s flows that are not currently running.", verb))
		return nil
	}
	key := uuid.NewString()
	if k := t.proposed.Details.PauseKey; k != nil {
		key = *k
	}
	switch {
	case slices.Contains(policy.PauseKeys, key):
		t.reject(nil, fmt.Sprintf("This %s has already fired.", verb))
		return nil
	case t.proposed.Details.PauseReschedule && !t.flow.ParentTaskRunID.IsZero():
		t.abort(fmt.Sprintf("Cannot %s subflows.", verb))
		return nil
	case t.proposed.Details.PauseReschedule && t.flow.DeploymentID.IsZero():
		t.abort(fmt.Sprintf("Cannot %s flows without a deployment.", verb))
		return nil
	}
	t.effects.after = func() error {
		policy.PauseKeys = append(slices.Clip(policy.PauseKeys), key)
		return nil
	}
	return nil
}

func resumeFlow(t *Transition) error {
	to := t.proposed
	// Prefect 2.20 notes the resumption even when this rule refuses it.
	t.effects.after = func() error {
		t.flow.EmpiricalPolicy.Resuming = true
		return nil
	}
	if to.Type != orion.Running && to.Type != orion.Scheduled && !to.Type.Final() {
		t.reject(nil, fmt.Sprintf("This run cannot transition to the %s state from the %s state.", "StateType."+to.Type, "StateType."+t.initial.Type))
		return nil
	}
	name := strings.ToLower(to.Name)
	if t.initial.Details.PauseReschedule && t.flow.DeploymentID.IsZero() {
		t.reject(nil, fmt.Sprintf("Cannot reschedule a %s flow run without a deployment.", name))
		return nil
	}
	verb := "pause"
	if to.Name == "Suspended" {
		verb = "suspend"
	}
	if end := t.initial.Details.PauseTimeout; !end.IsZero() && end.Before(t.now) {
		failed := t.state(orion.Failed)
		failed.Message = ptr(fmt.Sprintf("The flow was %s and never resumed.", name))
		t.reject(failed, fmt.Sprintf("The flow run %s has timed out and can no longer resume.", verb))
	}
	return nil
}

// copyScheduledTime keeps the time a pending run was meant for.
func copyScheduledTime(t *Transition) error {
	if t.proposed.Details.ScheduledTime.IsZero() {
		t.proposed.Details.ScheduledTime = t.initial.Details.ScheduledTime
	}
	return nil
}

// waitForScheduledTime: the server's clock says when a run may start.
func waitForScheduledTime(t *Transition) error {
	at := t.initial.Details.ScheduledTime
	if at.IsZero() {
		return nil
	}
	if seconds := int(at.Sub(t.now).Round(1e9).Seconds()); seconds > 0 {
		t.delay(seconds, "Scheduled time is in the future")
	}
	return nil
}

func retryFailedFlow(t *Transition) error {
	p := &t.flow.EmpiricalPolicy
	if p.Retries == nil || t.flow.RunCount > *p.Retries {
		return nil
	}
	again := t.awaitingRetry(retryDelay(&p.RetryPolicy, t.flow.RunCount))
	if t.Client.ResetsTasksOnRetry() {
		if err := t.resetFailedTasks(again.Details.ScheduledTime); err != nil {
			return err
		}
	}
	if t.Client.TracksPauses() {
		p.Resuming, p.PauseKeys, p.RetryType = false, nil, ptr("in_process")
	}
	t.reject(again, "Retrying")
	return nil
}

// awaitingRetry is the failed state's message and data, to be tried again.
func (t *Transition) awaitingRetry(delay float64) *orion.State {
	s := t.state(orion.Scheduled)
	s.Name = "AwaitingRetry"
	s.Details.ScheduledTime = t.now.Add(seconds(delay))
	s.Message, s.Data = t.proposed.Message, t.proposed.Data
	return s
}

// resetFailedTasks serves clients before protocol 0.8.3, which leave it to the
// server to make a flow's failed tasks ready for the retry.
func (t *Transition) resetFailedTasks(at orion.Time) error {
	runs, err := t.tx.TaskRunsOf(t.flow.ID)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.Type() != orion.Failed {
			continue
		}
		s := t.state(orion.Scheduled)
		s.Name, s.Details.ScheduledTime = "AwaitingRetry", at
		if _, err := setTaskRunState(t.tx, r, Proposal{State: s, Force: true}); err != nil {
			return err
		}
		if err := t.tx.ResetTaskRunCount(r.ID); err != nil {
			return err
		}
	}
	return nil
}

func ptr[T any](v T) *T { return &v }
