package orchestration

import (
	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

// What the background services change, each through the rules.

// MarkLate gives a scheduled run the name Late. Its scheduled time stays.
func MarkLate(tx *store.Tx, run *orion.FlowRun) error {
	s := (&orion.StateCreate{Type: orion.Scheduled, Name: ptr("Late"), Details: orion.StateDetails{ScheduledTime: run.NextScheduledStartTime}}).State(tx.Now())
	_, err := setFlowRunState(tx, run, Proposal{State: s, Client: present, late: true})
	return err
}

// ExpirePause fails a run that was paused and not resumed in time.
func ExpirePause(tx *store.Tx, run *orion.FlowRun) error {
	s := (&orion.StateCreate{Type: orion.Failed, Message: ptr("The flow was paused and never resumed.")}).State(tx.Now())
	_, err := setFlowRunState(tx, run, Proposal{State: s, Force: true, Client: present})
	return err
}

// ReleaseClaim offers a run again that an agent had taken and then fell silent
// about before the run began.
func ReleaseClaim(tx *store.Tx, run *orion.FlowRun) error {
	msg := "The agent " + run.ClaimOwner + " took this run and was not heard from again; it is offered to the others."
	s := (&orion.StateCreate{Type: orion.Scheduled, Message: &msg}).State(tx.Now())
	_, err := setFlowRunState(tx, run, Proposal{State: s, Force: true, Client: present})
	return err
}

// CancelTask cancels a task run whose flow run was cancelled.
func CancelTask(tx *store.Tx, run *orion.TaskRun) error {
	s := (&orion.StateCreate{Type: orion.Cancelled, Message: ptr("The parent flow run was cancelled.")}).State(tx.Now())
	_, err := setTaskRunState(tx, run, Proposal{State: s, Force: true, Client: present})
	return err
}

// CancelSubflow cancels a flow run whose parent was cancelled: through its
// agent when it has a deployment, at once otherwise.
func CancelSubflow(tx *store.Tx, run *orion.FlowRun) error {
	typ := orion.Cancelled
	if !run.DeploymentID.IsZero() {
		typ = orion.Cancelling
	}
	s := (&orion.StateCreate{Type: typ, Message: ptr("The parent flow run was cancelled.")}).State(tx.Now())
	_, err := setFlowRunState(tx, run, Proposal{State: s, Client: present})
	return err
}
