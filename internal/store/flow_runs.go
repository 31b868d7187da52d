package store

import (
	"github.com/orionflows/orion"
)

const flowRunColumns = `flow_run.id, flow_run.created, flow_run.updated, flow_run.name, flow_run.flow_id, flow_run.state_id,
	flow_run.deployment_id, flow_run.deployment_version, flow_run.work_queue_id, flow_run.work_queue_name, flow_run.flow_version,
	flow_run.parameters, flow_run.idempotency_key, flow_run.context, flow_run.empirical_policy, flow_run.tags, flow_run.labels,
	flow_run.parent_task_run_id, flow_run.state_type, flow_run.state_name, flow_run.state_timestamp, flow_run.run_count,
	flow_run.expected_start_time, flow_run.next_scheduled_start_time, flow_run.start_time, flow_run.end_time, flow_run.total_run_time,
	flow_run.auto_scheduled, flow_run.infrastructure_document_id, flow_run.infrastructure_pid, flow_run.created_by,
	flow_run.job_variables, flow_run.claim_owner, flow_run.claim_expires`

const flowRunFrom = ` FROM flow_run
	LEFT JOIN flow_run_state s ON s.workspace_id = flow_run.workspace_id AND s.run_id = flow_run.id AND s.id = flow_run.state_id`

// flowRunPool answers which pool a run's queue belongs to.
const flowRunPool = `, (SELECT q.work_pool_id FROM work_queue q WHERE q.workspace_id = flow_run.workspace_id AND q.id = flow_run.work_queue_id),
	(SELECT p.name FROM work_queue q JOIN work_pool p ON p.workspace_id = q.workspace_id AND p.id = q.work_pool_id
	 WHERE q.workspace_id = flow_run.workspace_id AND q.id = flow_run.work_queue_id)`

const selectFlowRun = "SELECT " + flowRunColumns + ", " + stateColumns + flowRunPool + flowRunFrom

func (tx *Tx) scanFlowRun(r *Row) (*orion.FlowRun, error) {
	var f orion.FlowRun
	var j stateScan
	dest := append(make([]any, 0, 44), &f.ID, &f.Created, &f.Updated, &f.Name, &f.FlowID, &f.StateID,
		&f.DeploymentID, &f.DeploymentVersion, &f.WorkQueueID, &f.WorkQueueName, &f.FlowVersion,
		&f.Parameters, &f.IdempotencyKey, &f.Context, asJSON(&f.EmpiricalPolicy), asJSON(&f.Tags), &f.Labels,
		&f.ParentTaskRunID, &f.StateType, &f.StateName, &f.StateTimestamp, &f.RunCount,
		&f.ExpectedStartTime, &f.NextScheduledStartTime, &f.StartTime, &f.EndTime, &f.TotalRunTime,
		&f.AutoScheduled, &f.InfrastructureDocumentID, &f.InfrastructurePID, &f.CreatedBy,
		&f.JobVariables, &f.ClaimOwner, &f.ClaimExpires)
	dest = append(append(dest, j.dest()...), &f.WorkPoolID, &f.WorkPoolName)
	if err := r.Scan(dest...); err != nil {
		return nil, err
	}
	tx.saw("flow_run", f.ID, facts(f.StateType, f.StateName, f.ExpectedStartTime, f.StartTime, f.StateTimestamp, f.TotalRunTime))
	f.State = j.state()
	f.JobVariables = orion.ObjectOr(f.JobVariables)
	f.Estimate(tx.now)
	return &f, nil
}

// FlowRun reads one flow run with its state; nil when there is none.
func (tx *Tx) FlowRun(id orion.ID) (*orion.FlowRun, error) {
	return tx.oneFlowRun("flow_run.id = ?", id)
}

// LockFlowRun is FlowRun for one who is about to change it.
func (tx *Tx) LockFlowRun(id orion.ID) (*orion.FlowRun, error) {
	f, err := tx.oneFlowRun("flow_run.id = ?"+tx.d.lock("flow_run"), id)
	if err == nil && f != nil && f.State == nil && !f.StateID.IsZero() {
		// Whoever had the lock before has changed the run's state, which the
		// query, older than that, does not see.
		return tx.FlowRun(id)
	}
	return f, err
}

// FlowRunByKey finds a run by its idempotency key; nil when there is none.
func (tx *Tx) FlowRunByKey(flow orion.ID, key string) (*orion.FlowRun, error) {
	return tx.oneFlowRun("flow_run.flow_id = ? AND flow_run.idempotency_key = ?", flow, key)
}

// SubflowRun finds the flow run that a task run of its parent stands for.
func (tx *Tx) SubflowRun(parentTaskRun orion.ID) (*orion.FlowRun, error) {
	return tx.oneFlowRun("flow_run.parent_task_run_id = ?", parentTaskRun)
}

func (tx *Tx) oneFlowRun(w string, args ...any) (*orion.FlowRun, error) {
	f, err := first(tx, selectFlowRun+" WHERE flow_run.workspace_id = ? AND "+w, append([]any{tx.ws}, args...), tx.scanFlowRun)
	if f == nil || err != nil {
		return nil, err
	}
	return *f, nil
}

const startOrder = "COALESCE(flow_run.start_time, flow_run.expected_start_time)"

// FlowRunSorts are the orders Prefect knows, by name.
var FlowRunSorts = map[string]string{
	"ID_DESC":                       "flow_run.id DESC",
	"START_TIME_ASC":                startOrder,
	"START_TIME_DESC":               startOrder + " DESC",
	"EXPECTED_START_TIME_ASC":       "flow_run.expected_start_time",
	"EXPECTED_START_TIME_DESC":      "flow_run.expected_start_time DESC",
	"NAME_ASC":                      "flow_run.name",
	"NAME_DESC":                     "flow_run.name DESC",
	"NEXT_SCHEDULED_START_TIME_ASC": "flow_run.next_scheduled_start_time",
	"END_TIME_DESC":                 "flow_run.end_time DESC NULLS LAST",
}

// FlowRuns lists flow runs with their states.
func (tx *Tx) FlowRuns(f *orion.RunFilters, sort *string, limit, offset int64) ([]*orion.FlowRun, error) {
	o, err := order(FlowRunSorts, sort, "ID_DESC")
	if err != nil {
		return nil, err
	}
	ids, err := tx.flowRunIDs(f, o, limit, offset)
	if err != nil {
		return nil, err
	}
	page := tx.pageOf("flow_run", o, ids)
	return list(tx, selectFlowRun+page.sql, page.args, tx.scanFlowRun)
}

// FlowRunsWhere lists the runs that a background service or an agent looks
// for; the order and the limit are part of the clause.
func (tx *Tx) flowRunsWhereSQL(clause string, args ...any) ([]*orion.FlowRun, error) {
	return list(tx, selectFlowRun+" WHERE flow_run.workspace_id = ? AND "+clause, append([]any{tx.ws}, args...), tx.scanFlowRun)
}

// InsertFlowRun stores a new run, with its state if it has one. It reports false, and
// stores nothing, when the flow has a run of that idempotency key.
func (tx *Tx) InsertFlowRun(f *orion.FlowRun) (bool, error) {
	var at orion.Time
	if f.State != nil {
		at = f.State.Timestamp
	}
	n, err := tx.exec(`INSERT INTO flow_run (workspace_id, id, created, updated, actor, name, flow_id, deployment_id, deployment_version,
		work_queue_id, work_queue_name, flow_version, parameters, idempotency_key, context, empirical_policy, tags, labels,
		parent_task_run_id, auto_scheduled, infrastructure_document_id, infrastructure_pid, job_variables, created_by,
		state_id, state_type, state_name, state_timestamp, run_count, expected_start_time, next_scheduled_start_time, start_time, end_time, total_run_time)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
		tx.ws, f.ID, tx.now, tx.now, tx.actor, f.Name, f.FlowID, f.DeploymentID, f.DeploymentVersion,
		f.WorkQueueID, f.WorkQueueName, f.FlowVersion, orion.ObjectOr(f.Parameters), f.IdempotencyKey, orion.ObjectOr(f.Context), f.EmpiricalPolicy, f.Tags, f.Labels,
		f.ParentTaskRunID, f.AutoScheduled, f.InfrastructureDocumentID, f.InfrastructurePID, f.JobVariables, f.CreatedBy,
		f.StateID, f.StateType, f.StateName, at, f.RunCount, f.ExpectedStartTime, f.NextScheduledStartTime, f.StartTime, f.EndTime)
	if err != nil || n == 0 {
		return false, err
	}
	tx.inserted("flow_run", f.ID, facts(f.StateType, f.StateName, f.ExpectedStartTime, f.StartTime, at, 0))
	if f.State != nil {
		if err := tx.insertState(flowRuns, f.ID, f.State); err != nil {
			return false, err
		}
	}
	return true, tx.insertTags("flow_run_tag", f.ID, f.Tags)
}

func (tx *Tx) insertTags(side string, run orion.ID, tags []string) error {
	for _, t := range tags {
		if err := tx.later("INSERT INTO "+side+" (workspace_id, tag, run_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", tx.ws, t, run); err != nil {
			return err
		}
	}
	return nil
}

// EnterFlowRunState stores a state and writes the columns that changed with it
// on the run, which orchestration has already set on f.
func (tx *Tx) EnterFlowRunState(f *orion.FlowRun, s *orion.State) error {
	if err := tx.insertState(flowRuns, f.ID, s); err != nil {
		return err
	}
	if err := tx.see("flow_run", f.ID); err != nil {
		return err
	}
	err := tx.later(`UPDATE flow_run SET updated = ?, actor = ?, state_id = ?, state_type = ?, state_name = ?, state_timestamp = ?,
		run_count = ?, expected_start_time = ?, next_scheduled_start_time = ?, start_time = ?, end_time = ?, total_run_time = ?,
		empirical_policy = ?, claim_owner = ?, claim_expires = ? WHERE workspace_id = ? AND id = ?`,
		tx.now, tx.actor, s.ID, s.Type, s.Name, s.Timestamp, f.RunCount, f.ExpectedStartTime, f.NextScheduledStartTime, f.StartTime, f.EndTime, f.TotalRunTime,
		f.EmpiricalPolicy, nullable(f.ClaimOwner), f.ClaimExpires, tx.ws, f.ID)
	if err == nil {
		tx.changed("flow_run", f.ID, facts((*string)(&s.Type), &s.Name, f.ExpectedStartTime, f.StartTime, s.Timestamp, f.TotalRunTime))
	}
	return err
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// UpdateFlowRun patches a run and reports whether it exists.
func (tx *Tx) UpdateFlowRun(id orion.ID, u *orion.FlowRunUpdate) (bool, error) {
	p := tx.patch("flow_run")
	if u.Name.Has() {
		p.set("name", u.Name.V)
	}
	setOpt(p, "flow_version", u.FlowVersion)
	if u.Parameters.Set {
		p.set("parameters", orion.ObjectOr(u.Parameters.V))
	}
	if u.EmpiricalPolicy.Has() {
		u.EmpiricalPolicy.V.Normalise()
		p.set("empirical_policy", u.EmpiricalPolicy.V)
	}
	if u.Tags.Has() {
		p.set("tags", u.Tags.V)
	}
	setOpt(p, "infrastructure_pid", u.InfrastructurePID)
	setOpt(p, "job_variables", u.JobVariables)
	ok, err := p.run(id)
	if err != nil || !ok || !u.Tags.Has() {
		return ok, err
	}
	if _, err := tx.exec("DELETE FROM flow_run_tag WHERE workspace_id = ? AND run_id = ?", tx.ws, id); err != nil {
		return false, err
	}
	return true, tx.insertTags("flow_run_tag", id, u.Tags.V)
}

// SetPolicy writes a run's policy alone.
func (tx *Tx) SetPolicy(f *orion.FlowRun) error {
	return tx.later("UPDATE flow_run SET empirical_policy = ? WHERE workspace_id = ? AND id = ?", f.EmpiricalPolicy, tx.ws, f.ID)
}

// DeleteFlowRun removes a run with its task runs, states and inputs.
func (tx *Tx) DeleteFlowRun(id orion.ID) (bool, error) { return tx.deleteByID("flow_run", id) }

// RenewClaims moves the expiry of the claims an owner holds on these runs and
// answers which of them it still holds.
func (tx *Tx) RenewClaims(owner string, runs []orion.ID, until orion.Time) ([]orion.ID, error) {
	c := in("id", runs)
	args := append([]any{until, tx.ws, owner}, c.args...)
	return list(tx, "UPDATE flow_run SET claim_expires = ? WHERE workspace_id = ? AND claim_owner = ? AND "+c.sql+" RETURNING id", args,
		func(r *Row) (id orion.ID, err error) { err = r.Scan(&id); return id, err })
}

// FlowRunBrief reads what the rules for task runs need of their flow run: its
// state and how often it ran. Nil when there is none.
func (tx *Tx) FlowRunBrief(id orion.ID) (*orion.FlowRun, error) {
	f := &orion.FlowRun{ID: id}
	var j stateScan
	ok, err := tx.one("SELECT flow_run.run_count, flow_run.state_type, flow_run.state_name, "+stateColumns+flowRunFrom+" WHERE flow_run.workspace_id = ? AND flow_run.id = ?",
		[]any{tx.ws, id}, append([]any{&f.RunCount, &f.StateType, &f.StateName}, j.dest()...)...)
	if err != nil || !ok {
		return nil, err
	}
	f.State = j.state()
	return f, nil
}
