// Package orchestration decides: it creates runs, and accepts, rejects, delays
// or aborts every change of state, by rules that stand in order in policy.go.
// The rules, their names and their words follow Prefect 2.20's orchestration
// package; test/contract asks a real server the same and compares.
//
// Everything happens inside a store transaction that the caller opened. Start
// with [SetFlowRunState] and the lists in policy.go.
package orchestration

import (
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/prefect"
	"github.com/orionflows/orion/internal/store"
)

// Proposal is a change of state as somebody asks for it.
type Proposal struct {
	State *orion.State
	// Force applies the short list of rules: for the server itself and for
	// people who know better.
	Force bool
	// Client is who asks; a few rules depend on its generation.
	Client prefect.Client
	// ClaimOwner and ClaimFor, when set with a PENDING state, make the
	// transition a claim: the run is the owner's, and is offered again when it
	// is still PENDING after ClaimFor without renewal.
	ClaimOwner string
	ClaimFor   time.Duration
	// late applies the list for runs that are marked late.
	late bool
}

// Transition is a change of state while the rules look at it.
type Transition struct {
	tx  *store.Tx
	now orion.Time
	Proposal

	flow *orion.FlowRun // the run, for flow runs
	task *orion.TaskRun // the run, for task runs
	// parent is the flow run around a task run, read when first asked for.
	parent     *orion.FlowRun
	parentRead bool

	initial  *orion.State // nil when the run has no state yet
	proposed *orion.State // nil once nothing is to be written
	decision orion.Decision
	details  orion.DecisionDetails
	effects  effects // of the rule that is deciding
}

// effects are what a rule did beside its decision.
type effects struct {
	after func() error // when its transition is the one that is written
	undo  func() error // when a later rule made it void
	to    orion.StateType
}

// Rule is one line of a policy.
type Rule struct {
	Name     string
	From, To types
	Decide   func(*Transition) error
}

// types is a set of state types; none is "no state yet".
type types uint16

const (
	none      types = 1 << 9
	anyState        = types(1<<10 - 1)
	terminals       = typeCompleted | typeFailed | typeCancelled | typeCrashed
)

const (
	typeScheduled types = 1 << iota
	typePending
	typeRunning
	typeCompleted
	typeFailed
	typeCancelled
	typeCrashed
	typePaused
	typeCancelling
)

func typeOf(t orion.StateType) types {
	switch t {
	case orion.Scheduled:
		return typeScheduled
	case orion.Pending:
		return typePending
	case orion.Running:
		return typeRunning
	case orion.Completed:
		return typeCompleted
	case orion.Failed:
		return typeFailed
	case orion.Cancelled:
		return typeCancelled
	case orion.Crashed:
		return typeCrashed
	case orion.Paused:
		return typePaused
	case orion.Cancelling:
		return typeCancelling
	}
	return none
}

func stateType(s *orion.State) orion.StateType {
	if s == nil {
		return ""
	}
	return s.Type
}

// reject refuses the proposal. With a state that one is written instead;
// without, nothing is.
func (t *Transition) reject(s *orion.State, reason string) {
	t.proposed = s
	t.effects.to = stateType(s)
	t.decision = orion.Reject
	t.details = orion.DecisionDetails{Type: "reject_details", Reason: reason}
}

// abort refuses the proposal for good: nothing is written, the client stops.
func (t *Transition) abort(reason string) {
	t.proposed, t.effects.to = nil, ""
	t.decision = orion.Abort
	t.details = orion.DecisionDetails{Type: "abort_details", Reason: reason}
}

// delay refuses for the moment: the client asks again after so many seconds.
func (t *Transition) delay(seconds int, reason string) {
	t.proposed, t.effects.to = nil, ""
	t.decision = orion.Wait
	t.details = orion.DecisionDetails{Type: "wait_details", DelaySeconds: &seconds, Reason: reason}
}

// run applies the rules whose From and To hold the pair first asked for. A
// rule applies while the pair is still that one; once a rule has changed the
// proposed type, later ones are passed over, and earlier ones are undone
// instead of finished.
func (t *Transition) run(rules []Rule) error {
	t.decision = orion.Accept
	t.details = orion.DecisionDetails{Type: "accept_details"}
	from, to := stateType(t.initial), stateType(t.proposed)
	var entered []effects
	for _, r := range rules {
		if r.From&typeOf(from) == 0 || r.To&typeOf(to) == 0 || stateType(t.proposed) != to {
			continue
		}
		t.effects = effects{to: to}
		if err := r.Decide(t); err != nil {
			return err
		}
		if t.effects.after != nil || t.effects.undo != nil {
			entered = append(entered, t.effects)
		}
	}
	if t.proposed != nil {
		t.bookkeep()
	}
	final := stateType(t.proposed)
	for i := len(entered) - 1; i >= 0; i-- {
		f := entered[i].undo
		if entered[i].to == final { // also when the rule itself refused: nothing was written, as it wanted
			f = entered[i].after
		}
		if f != nil {
			if err := f(); err != nil {
				return err
			}
		}
	}
	return nil
}

// enclosing is the flow run around a task run; nil when there is none.
func (t *Transition) enclosing() (*orion.FlowRun, error) {
	if !t.parentRead && !t.task.FlowRunID.IsZero() {
		var err error
		if t.parent, err = t.tx.FlowRunBrief(t.task.FlowRunID); err != nil {
			return nil, err
		}
		t.parentRead = true
	}
	return t.parent, nil
}

// result is the answer to the client: the state that was written, else the
// present one.
func (t *Transition) result() *orion.OrchestrationResult {
	s := t.proposed
	if s == nil {
		s = t.initial
	}
	return &orion.OrchestrationResult{State: s, Status: t.decision, Details: t.details}
}

// SetFlowRunState proposes a state for a flow run. A run that does not exist
// is a NotFound error.
func SetFlowRunState(tx *store.Tx, id orion.ID, p Proposal) (*orion.OrchestrationResult, error) {
	run, err := tx.LockFlowRun(id)
	if err != nil {
		return nil, err
	}
	if run == nil {
		return nil, orion.Missing("Flow run with id %s not found", id)
	}
	return setFlowRunState(tx, run, p)
}

func setFlowRunState(tx *store.Tx, run *orion.FlowRun, p Proposal) (*orion.OrchestrationResult, error) {
	t := &Transition{tx: tx, now: tx.Now(), Proposal: p, flow: run, initial: run.State, proposed: p.State}
	before := run.EmpiricalPolicy
	if err := t.run(flowPolicy(p)); err != nil {
		return nil, err
	}
	if t.proposed == nil {
		if samePolicy(before, run.EmpiricalPolicy) {
			return t.result(), nil
		}
		return t.result(), tx.SetPolicy(run)
	}
	t.claim()
	s := t.proposed
	if err := tx.EnterFlowRunState(run, s); err != nil {
		return nil, err
	}
	setFlowState(run, s)
	return t.result(), t.enteredFlowState()
}

// enteredFlowState does what follows once the run's new state is stored.
func (t *Transition) enteredFlowState() error {
	if !t.flow.ParentTaskRunID.IsZero() {
		if err := t.copyToParentTask(); err != nil {
			return err
		}
	}
	if err := t.noteCode(); err != nil {
		return err
	}
	switch t.proposed.Type {
	case orion.Scheduled:
		t.tx.Notify(store.TopicScheduled)
	case orion.Cancelling:
		t.tx.Notify(store.TopicCancelling)
	case orion.Pending, orion.Running:
	default:
		if !t.flow.WorkQueueID.IsZero() { // a slot of it may have become free
			t.tx.Notify(store.TopicScheduled)
		}
	}
	return nil
}

// noteCode records which version of its deployment a run takes. One of Orion's
// agents, which claims the run, fetches that version. Others read the deployment
// at some time before the run begins.
func (t *Transition) noteCode() error {
	switch {
	case t.flow.DeploymentID.IsZero():
		return nil
	case t.proposed.Type == orion.Pending:
		return t.tx.NoteVersion(t.flow, t.ClaimOwner != "")
	case t.proposed.Type == orion.Running && stateType(t.initial) == orion.Pending:
		return t.tx.SettleVersion(t.flow)
	}
	return nil
}

func setFlowState(run *orion.FlowRun, s *orion.State) {
	typ := string(s.Type)
	run.State, run.StateID, run.StateType, run.StateName, run.StateTimestamp = s, s.ID, &typ, &s.Name, s.Timestamp
}

// claim records who took the run, and lets go of it once it has moved on.
func (t *Transition) claim() {
	run := t.flow
	switch {
	case t.proposed.Type == orion.Pending && t.ClaimOwner != "":
		run.ClaimOwner, run.ClaimExpires = t.ClaimOwner, t.now.Add(t.ClaimFor)
	case t.proposed.Type == orion.Pending || t.proposed.Type == orion.Running:
		// The owner stays on record; only PENDING runs are offered again.
	default:
		run.ClaimOwner, run.ClaimExpires = "", orion.Time{}
	}
}

// copyToParentTask gives the task run that stands for this subflow in its
// parent the same state.
func (t *Transition) copyToParentTask() error {
	s := *t.proposed
	s.ID = orion.NewID()
	s.Details.ChildFlowRunID = t.flow.ID
	_, err := SetTaskRunState(t.tx, t.flow.ParentTaskRunID, Proposal{State: &s, Force: true})
	return err
}

// SetTaskRunState proposes a state for a task run. A run that does not exist
// is a NotFound error.
func SetTaskRunState(tx *store.Tx, id orion.ID, p Proposal) (*orion.OrchestrationResult, error) {
	run, err := tx.LockTaskRun(id)
	if err != nil {
		return nil, err
	}
	if run == nil {
		return nil, orion.Missing("Task run with id %s not found", id)
	}
	return setTaskRunState(tx, run, p)
}

func setTaskRunState(tx *store.Tx, run *orion.TaskRun, p Proposal) (*orion.OrchestrationResult, error) {
	t := &Transition{tx: tx, now: tx.Now(), Proposal: p, task: run, initial: run.State, proposed: p.State}
	if err := t.run(taskPolicy(run, p)); err != nil {
		return nil, err
	}
	if t.proposed == nil {
		return t.result(), nil
	}
	s := t.proposed
	if err := tx.EnterTaskRunState(run, s); err != nil {
		return nil, err
	}
	setTaskState(run, s)
	return t.result(), t.enteredTaskState()
}

func setTaskState(run *orion.TaskRun, s *orion.State) {
	typ := string(s.Type)
	run.State, run.StateID, run.StateType, run.StateName, run.StateTimestamp = s, s.ID, &typ, &s.Name, s.Timestamp
}

// enteredTaskState does what follows once the run's new state is stored.
func (t *Transition) enteredTaskState() error {
	s := t.proposed
	if key := s.Details.CacheKey; s.Type == orion.Completed && key != nil && *key != "" && cachesResults(t.task, t.Proposal) {
		if err := t.tx.CacheState(*key, s.Details.CacheExpiration, s); err != nil {
			return err
		}
	}
	if s.Type != orion.Running && s.Type != orion.Cancelling && len(t.task.Tags) > 0 {
		return t.tx.ReleaseTagSlots(t.task.ID)
	}
	return nil
}

func samePolicy(a, b orion.FlowRunPolicy) bool {
	x, _ := orion.EncodeCompact(a)
	y, _ := orion.EncodeCompact(b)
	return string(x) == string(y)
}
