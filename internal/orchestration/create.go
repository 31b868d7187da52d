package orchestration

import (
	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/prefect"
	"github.com/orionflows/orion/internal/store"
)

// CreateFlowRun makes an ad-hoc or subflow run, PENDING unless the client says
// otherwise. With an idempotency key that the flow already has, it answers
// that run and changes nothing.
func CreateFlowRun(tx *store.Tx, c *orion.FlowRunCreate) (run *orion.FlowRun, created bool, err error) {
	run = &orion.FlowRun{ID: c.ID, FlowID: c.FlowID, DeploymentID: c.DeploymentID, FlowVersion: c.FlowVersion, Parameters: c.Parameters,
		Context: c.Context, ParentTaskRunID: c.ParentTaskRunID, InfrastructureDocumentID: c.InfrastructureDocumentID,
		Tags: c.Tags, Labels: c.Labels, IdempotencyKey: c.IdempotencyKey, JobVariables: c.JobVariables}
	if c.WorkPoolName != nil {
		if run.WorkQueueID, run.WorkQueueName, err = queueOf(tx, c.WorkPoolName, c.WorkQueueName); err != nil {
			return nil, false, err
		}
	}
	state := c.State
	if state == nil {
		state = &orion.StateCreate{Type: orion.Pending}
	}
	return createFlowRun(tx, run, c.Name, c.EmpiricalPolicy, state)
}

func queueOf(tx *store.Tx, pool, queue *string) (orion.ID, *string, error) {
	q, err := ResolveQueue(tx, pool, queue)
	if q == nil || err != nil {
		return orion.ID{}, nil, err
	}
	return q.ID, &q.Name, nil
}

// ResolveQueue finds the queue that a pool and a queue name mean, making the
// queue when it is not there: pool and queue; the pool's default queue; a
// queue of the agents' pool; or none.
func ResolveQueue(tx *store.Tx, pool, queue *string) (*orion.WorkQueue, error) {
	if pool == nil && queue == nil {
		return nil, nil
	}
	if pool == nil || *pool == orion.DefaultAgentPool {
		p, err := tx.EnsureAgentPool()
		if err != nil {
			return nil, err
		}
		if queue == nil {
			return tx.WorkQueue(p.DefaultQueueID)
		}
		return tx.EnsureWorkQueue(p, *queue)
	}
	p, err := tx.WorkPool(*pool)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, orion.Errorf(orion.NotFound, `Work pool "%s" not found.`, *pool)
	}
	if queue == nil {
		return tx.WorkQueue(p.DefaultQueueID)
	}
	return tx.EnsureWorkQueue(p, *queue)
}

func createFlowRun(tx *store.Tx, run *orion.FlowRun, name *string, policy *orion.FlowRunPolicy, state *orion.StateCreate) (*orion.FlowRun, bool, error) {
	if run.IdempotencyKey != nil {
		have, err := tx.FlowRunByKey(run.FlowID, *run.IdempotencyKey)
		if have != nil || err != nil {
			return have, false, err
		}
	}
	if run.ID.IsZero() {
		run.ID = orion.NewID()
	}
	run.Name = slug(name)
	run.JobVariables = orion.ObjectOr(run.JobVariables)
	if policy != nil {
		run.EmpiricalPolicy = *policy
		run.EmpiricalPolicy.Normalise()
	}
	run.Created, run.Updated = tx.Now(), tx.Now()
	t := &Transition{tx: tx, now: tx.Now(), Proposal: Proposal{Force: true, Client: present}, flow: run, proposed: state.State(tx.Now())}
	if err := t.run(ForcedFlowRules); err != nil {
		return nil, false, err
	}
	setFlowState(run, t.proposed) // no rule refuses a run its first state
	ok, err := tx.InsertFlowRun(run)
	if err != nil {
		return nil, false, err
	}
	if !ok { // another replica made it in the meantime
		if run.IdempotencyKey != nil {
			have, err := tx.FlowRunByKey(run.FlowID, *run.IdempotencyKey)
			return have, false, err
		}
		return nil, false, orion.Errorf(orion.Conflict, "a flow run with id %s exists", run.ID)
	}
	if err := t.enteredFlowState(); err != nil {
		return nil, false, err
	}
	if !run.WorkQueueID.IsZero() { // the answer names the queue's pool
		run, err = tx.FlowRun(run.ID)
		return run, true, err
	}
	run.Parameters, run.Context = orion.ObjectOr(run.Parameters), orion.ObjectOr(run.Context)
	if run.Tags == nil {
		run.Tags = []string{}
	}
	run.Estimate(tx.Now())
	return run, true, nil
}

// present is a client that knows everything; the server's own proposals carry
// it.
var present = prefect.Client{Generation: 2, API: [3]int{0, 8, 4}}

// CreateTaskRun finds the task run of that flow run, task key and dynamic key,
// or makes it, PENDING unless the client says otherwise.
func CreateTaskRun(tx *store.Tx, c *orion.TaskRunCreate) (run *orion.TaskRun, created bool, err error) {
	if c.FlowRunID.IsZero() {
		// The rules for these runs have effects of their own, which must not
		// happen for a run that is there already.
		run, err = tx.TaskRunByKeys(c.FlowRunID, *c.TaskKey, *c.DynamicKey)
		if run != nil || err != nil {
			return run, false, err
		}
	}
	run = &orion.TaskRun{ID: c.ID, Name: slug(c.Name), FlowRunID: c.FlowRunID, TaskKey: *c.TaskKey, DynamicKey: *c.DynamicKey,
		CacheKey: c.CacheKey, CacheExpiration: c.CacheExpiration, TaskVersion: c.TaskVersion, Tags: c.Tags, Labels: c.Labels,
		TaskInputs: orion.ObjectOr(c.TaskInputs), Created: tx.Now(), Updated: tx.Now()}
	if run.ID.IsZero() {
		run.ID = orion.NewID()
	}
	if run.Tags == nil {
		run.Tags = []string{}
	}
	if c.EmpiricalPolicy != nil {
		run.EmpiricalPolicy = *c.EmpiricalPolicy
		run.EmpiricalPolicy.Normalise()
	}
	state := c.State
	if state == nil {
		state = &orion.StateCreate{Type: orion.Pending}
	}
	p := Proposal{State: state.State(tx.Now()), Force: true, Client: present}
	t := &Transition{tx: tx, now: tx.Now(), Proposal: p, task: run, proposed: p.State}
	if err := t.run(taskPolicy(run, p)); err != nil {
		return nil, false, err
	}
	if t.proposed != nil {
		setTaskState(run, t.proposed)
	}
	ok, err := tx.InsertTaskRun(run)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		run, err = tx.TaskRunByKeys(c.FlowRunID, *c.TaskKey, *c.DynamicKey)
		return run, false, err
	}
	if t.proposed != nil {
		if err := t.enteredTaskState(); err != nil {
			return nil, false, err
		}
	}
	run.Estimate(tx.Now())
	return run, true, nil
}
