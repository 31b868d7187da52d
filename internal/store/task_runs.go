package store

import (
	"github.com/orionflows/orion"
)

const taskRunColumns = `task_run.id, task_run.created, task_run.updated, task_run.name, task_run.flow_run_id, task_run.task_key,
	task_run.dynamic_key, task_run.cache_key, task_run.cache_expiration, task_run.task_version, task_run.empirical_policy, task_run.tags,
	task_run.labels, task_run.task_inputs, task_run.state_id, task_run.state_type, task_run.state_name, task_run.state_timestamp,
	task_run.run_count, task_run.flow_run_run_count, task_run.expected_start_time, task_run.next_scheduled_start_time,
	task_run.start_time, task_run.end_time, task_run.total_run_time`

const selectTaskRun = "SELECT " + taskRunColumns + ", " + stateColumns + ` FROM task_run
	LEFT JOIN task_run_state s ON s.workspace_id = task_run.workspace_id AND s.run_id = task_run.id AND s.id = task_run.state_id`

func (tx *Tx) scanTaskRun(r *Row) (*orion.TaskRun, error) {
	var t orion.TaskRun
	var j stateScan
	dest := append(make([]any, 0, 34), &t.ID, &t.Created, &t.Updated, &t.Name, &t.FlowRunID, &t.TaskKey,
		&t.DynamicKey, &t.CacheKey, &t.CacheExpiration, &t.TaskVersion, asJSON(&t.EmpiricalPolicy), asJSON(&t.Tags),
		&t.Labels, &t.TaskInputs, &t.StateID, &t.StateType, &t.StateName, &t.StateTimestamp,
		&t.RunCount, &t.FlowRunRunCount, &t.ExpectedStartTime, &t.NextScheduledStartTime,
		&t.StartTime, &t.EndTime, &t.TotalRunTime)
	if err := r.Scan(append(dest, j.dest()...)...); err != nil {
		return nil, err
	}
	tx.saw("task_run", t.ID, facts(t.StateType, t.StateName, t.ExpectedStartTime, t.StartTime, t.StateTimestamp, t.TotalRunTime))
	t.State = j.state()
	t.Estimate(tx.now)
	return &t, nil
}

// TaskRun reads one task run with its state; nil when there is none.
func (tx *Tx) TaskRun(id orion.ID) (*orion.TaskRun, error) {
	return tx.oneTaskRun("task_run.id = ?", id)
}

// LockTaskRun is TaskRun for one who is about to change it.
func (tx *Tx) LockTaskRun(id orion.ID) (*orion.TaskRun, error) {
	t, err := tx.oneTaskRun("task_run.id = ?"+tx.d.lock("task_run"), id)
	if err == nil && t != nil && t.State == nil && !t.StateID.IsZero() {
		// Whoever had the lock before has changed the run's state, which the
		// query, older than that, does not see.
		return tx.TaskRun(id)
	}
	return t, err
}

// TaskRunByKeys finds a task run by its natural key; nil when there is none.
func (tx *Tx) TaskRunByKeys(flowRun orion.ID, taskKey, dynamicKey string) (*orion.TaskRun, error) {
	if flowRun.IsZero() {
		return tx.oneTaskRun("task_run.flow_run_id IS NULL AND task_run.task_key = ? AND task_run.dynamic_key = ?", taskKey, dynamicKey)
	}
	return tx.oneTaskRun("task_run.flow_run_id = ? AND task_run.task_key = ? AND task_run.dynamic_key = ?", flowRun, taskKey, dynamicKey)
}

func (tx *Tx) oneTaskRun(w string, args ...any) (*orion.TaskRun, error) {
	t, err := first(tx, selectTaskRun+" WHERE task_run.workspace_id = ? AND "+w, append([]any{tx.ws}, args...), tx.scanTaskRun)
	if t == nil || err != nil {
		return nil, err
	}
	return *t, nil
}

var taskRunSorts = map[string]string{
	"ID_DESC":                       "task_run.id DESC",
	"EXPECTED_START_TIME_ASC":       "task_run.expected_start_time",
	"EXPECTED_START_TIME_DESC":      "task_run.expected_start_time DESC",
	"NAME_ASC":                      "task_run.name",
	"NAME_DESC":                     "task_run.name DESC",
	"NEXT_SCHEDULED_START_TIME_ASC": "task_run.next_scheduled_start_time",
	"END_TIME_DESC":                 "task_run.end_time DESC NULLS LAST",
}

// TaskRuns lists task runs with their states.
func (tx *Tx) TaskRuns(f *orion.RunFilters, sort *string, limit, offset int64) ([]*orion.TaskRun, error) {
	o, err := order(taskRunSorts, sort, "ID_DESC")
	if err != nil {
		return nil, err
	}
	page := tx.pageOf("task_run", o, tx.ids("task_run", tx.taskRunsWhere(f), tx.few(o, fewTaskRuns(f)), limit, offset))
	return list(tx, selectTaskRun+page.sql, page.args, tx.scanTaskRun)
}

// TaskRunsOf lists all task runs of a flow run in the order they were expected.
func (tx *Tx) TaskRunsOf(flowRun orion.ID) ([]*orion.TaskRun, error) {
	return list(tx, selectTaskRun+" WHERE task_run.workspace_id = ? AND task_run.flow_run_id = ?"+tx.few(" ORDER BY task_run.expected_start_time, task_run.id", true),
		[]any{tx.ws, flowRun}, tx.scanTaskRun)
}

// InsertTaskRun stores a new task run, with its state if it has one. It reports
// false, and stores nothing, when there is one with the same keys.
func (tx *Tx) InsertTaskRun(t *orion.TaskRun) (bool, error) {
	n, err := tx.exec(`INSERT INTO task_run (workspace_id, id, created, updated, actor, name, flow_run_id, task_key, dynamic_key, cache_key,
		cache_expiration, task_version, empirical_policy, tags, labels, task_inputs, state_id, state_type, state_name, state_timestamp,
		run_count, flow_run_run_count, expected_start_time, next_scheduled_start_time, start_time, end_time, total_run_time)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
		tx.ws, t.ID, tx.now, tx.now, tx.actor, t.Name, t.FlowRunID, t.TaskKey, t.DynamicKey, t.CacheKey,
		t.CacheExpiration, t.TaskVersion, t.EmpiricalPolicy, t.Tags, t.Labels, orion.ObjectOr(t.TaskInputs), t.StateID, t.StateType, t.StateName, t.StateTimestamp,
		t.RunCount, t.FlowRunRunCount, t.ExpectedStartTime, t.NextScheduledStartTime, t.StartTime, t.EndTime)
	if err != nil || n == 0 {
		return false, err
	}
	tx.inserted("task_run", t.ID, facts(t.StateType, t.StateName, t.ExpectedStartTime, t.StartTime, t.StateTimestamp, 0))
	if t.State != nil {
		if err := tx.insertState(taskRuns, t.ID, t.State); err != nil {
			return false, err
		}
	}
	return true, tx.insertTags("task_run_tag", t.ID, t.Tags)
}

// EnterTaskRunState stores a state and writes the columns that changed with it
// on the run, which orchestration has already set on t.
func (tx *Tx) EnterTaskRunState(t *orion.TaskRun, s *orion.State) error {
	if err := tx.insertState(taskRuns, t.ID, s); err != nil {
		return err
	}
	if err := tx.see("task_run", t.ID); err != nil {
		return err
	}
	err := tx.later(`UPDATE task_run SET updated = ?, actor = ?, state_id = ?, state_type = ?, state_name = ?, state_timestamp = ?,
		run_count = ?, flow_run_run_count = ?, expected_start_time = ?, next_scheduled_start_time = ?, start_time = ?, end_time = ?, total_run_time = ?
		WHERE workspace_id = ? AND id = ?`,
		tx.now, tx.actor, s.ID, s.Type, s.Name, s.Timestamp, t.RunCount, t.FlowRunRunCount, t.ExpectedStartTime, t.NextScheduledStartTime,
		t.StartTime, t.EndTime, t.TotalRunTime, tx.ws, t.ID)
	if err == nil {
		tx.changed("task_run", t.ID, facts((*string)(&s.Type), &s.Name, t.ExpectedStartTime, t.StartTime, s.Timestamp, t.TotalRunTime))
	}
	return err
}

// ResetTaskRunCount puts the run count of a task run back to zero.
func (tx *Tx) ResetTaskRunCount(id orion.ID) error {
	return tx.later("UPDATE task_run SET run_count = 0 WHERE workspace_id = ? AND id = ?", tx.ws, id)
}

// UpdateTaskRun patches a task run and reports whether it exists.
func (tx *Tx) UpdateTaskRun(id orion.ID, u *orion.TaskRunUpdate) (bool, error) {
	p := tx.patch("task_run")
	if u.Name.Has() {
		p.set("name", u.Name.V)
	}
	return p.run(id)
}

// DeleteTaskRun removes a task run with its states.
func (tx *Tx) DeleteTaskRun(id orion.ID) (bool, error) { return tx.deleteByID("task_run", id) }

// CachedState is the newest unexpired state stored under a cache key; nil when
// there is none.
func (tx *Tx) CachedState(key string) (*orion.State, error) {
	var s *orion.State
	_, err := tx.one("SELECT state FROM task_run_cache WHERE workspace_id = ? AND cache_key = ? AND (expires IS NULL OR expires > ?) ORDER BY created DESC LIMIT 1",
		[]any{tx.ws, key, tx.now}, asJSON(&s))
	return s, err
}

// CacheState stores a state for CachedState to find.
func (tx *Tx) CacheState(key string, expires orion.Time, s *orion.State) error {
	b, err := orion.EncodeCompact(s)
	if err != nil {
		return err
	}
	return tx.later("INSERT INTO task_run_cache (workspace_id, cache_key, created, expires, state) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		tx.ws, key, tx.now, expires, b)
}
