package store

import (
	"context"
	"maps"
	"time"

	"github.com/orionflows/orion"
)

// A poll writes nothing: when queues and deployments were polled is kept in
// memory, read from there, and flushed now and then.

// Polled notes that the queues and deployments were asked for runs just now.
func (s *Store) Polled(ws int64, ids ...orion.ID) {
	now := time.Now()
	s.poll.mu.Lock()
	defer s.poll.mu.Unlock()
	if s.poll.queue == nil {
		s.poll.queue = map[pollKey]time.Time{}
	}
	for _, id := range ids {
		if !id.IsZero() {
			s.poll.queue[pollKey{ws, id}] = now
		}
	}
}

func (s *Store) polled(ws int64, id orion.ID) orion.Time {
	s.poll.mu.Lock()
	defer s.poll.mu.Unlock()
	return orion.At(s.poll.queue[pollKey{ws, id}])
}

// FlushPolls writes what Polled has noted since the last time.
func (s *Store) FlushPolls(ctx context.Context) error {
	s.poll.mu.Lock()
	noted := maps.Clone(s.poll.queue)
	s.poll.mu.Unlock()
	if len(noted) == 0 {
		return nil
	}
	err := s.Write(ctx, func(tx *Tx) error {
		for k, at := range noted {
			t := orion.At(at)
			if _, err := tx.exec("UPDATE work_queue SET last_polled = ?, status = CASE status WHEN 'NOT_READY' THEN 'READY' ELSE status END WHERE workspace_id = ? AND id = ?", t, k.ws, k.id); err != nil {
				return err
			}
			if _, err := tx.exec("UPDATE deployment SET last_polled = ?, status = 'READY' WHERE workspace_id = ? AND (id = ? OR work_queue_id = ?)", t, k.ws, k.id, k.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.poll.mu.Lock()
	defer s.poll.mu.Unlock()
	for k, at := range noted {
		if s.poll.queue[k].Equal(at) {
			delete(s.poll.queue, k)
		}
	}
	return nil
}

// MarkUnpolled sets queues, deployments, workers and pools that nobody has
// asked for since a while to not ready, or offline.
func (tx *Tx) MarkUnpolled(since orion.Time) error {
	for _, q := range []string{
		"UPDATE work_queue SET status = 'NOT_READY' WHERE status = 'READY' AND last_polled < ?",
		`UPDATE deployment SET status = 'NOT_READY' WHERE status = 'READY' AND last_polled < ? AND NOT EXISTS
			(SELECT 1 FROM work_queue q WHERE q.workspace_id = deployment.workspace_id AND q.id = deployment.work_queue_id AND q.status = 'READY')`,
	} {
		if _, err := tx.exec(q, since); err != nil {
			return err
		}
	}
	if _, err := tx.exec("UPDATE worker SET status = 'OFFLINE' WHERE status = 'ONLINE' AND ? - last_heartbeat_time > COALESCE(heartbeat_interval_seconds, 30) * 3000000", tx.now); err != nil {
		return err
	}
	_, err := tx.exec(`UPDATE work_pool SET status = 'NOT_READY' WHERE status = 'READY' AND NOT EXISTS
		(SELECT 1 FROM worker w WHERE w.workspace_id = work_pool.workspace_id AND w.work_pool_id = work_pool.id AND w.status = 'ONLINE')`)
	return err
}

// DueInQueue lists the runs of a queue that may start before a time, the
// earliest first, within the queue's limit. A paused queue has none.
func (tx *Tx) DueInQueue(q *orion.WorkQueue, before orion.Time, limit int64) ([]*orion.FlowRun, error) {
	return tx.dueInQueue(q, before, limit, cond{})
}

func (tx *Tx) dueInQueue(q *orion.WorkQueue, before orion.Time, limit int64, more cond) ([]*orion.FlowRun, error) {
	if q.IsPaused {
		return []*orion.FlowRun{}, nil
	}
	if q.ConcurrencyLimit != nil {
		free, err := tx.freeInQueue(q)
		if err != nil {
			return nil, err
		}
		limit = min(limit, free)
	}
	if limit <= 0 {
		return []*orion.FlowRun{}, nil
	}
	w := where("flow_run.work_queue_id = ?", q.ID)
	if f := filterOf(q); f != nil {
		w = tx.legacyQueue(f)
	}
	w = all(w, where("flow_run.state_type = 'SCHEDULED' AND flow_run.next_scheduled_start_time <= ?", before), more)
	return tx.flowRunsWhereSQL(w.sql+" ORDER BY flow_run.next_scheduled_start_time, flow_run.id LIMIT ?", append(w.args, limit)...)
}

// queueFilter is how queues before Prefect 2.7 chose their runs.
type queueFilter struct {
	Tags          []string   `json:"tags"`
	DeploymentIDs []orion.ID `json:"deployment_ids"`
}

func filterOf(q *orion.WorkQueue) *queueFilter {
	if orion.IsNull(q.Filter) {
		return nil
	}
	var f queueFilter
	if orion.Decode(q.Filter, &f) != nil || (len(f.Tags) == 0 && len(f.DeploymentIDs) == 0) {
		return nil
	}
	return &f
}

func (tx *Tx) legacyQueue(f *queueFilter) cond {
	var cs []cond
	if len(f.Tags) > 0 {
		cs = append(cs, tx.tags("flow_run.", "flow_run_tag", &orion.Cond[string]{All: &f.Tags}))
	}
	if len(f.DeploymentIDs) > 0 {
		cs = append(cs, in("flow_run.deployment_id", f.DeploymentIDs))
	}
	return all(cs...)
}

func (tx *Tx) freeInQueue(q *orion.WorkQueue) (int64, error) {
	n, err := tx.count("SELECT COUNT(*) FROM flow_run WHERE workspace_id = ? AND work_queue_id = ? AND state_type IN ('RUNNING', 'PENDING', 'CANCELLING')", tx.ws, q.ID)
	return *q.ConcurrencyLimit - n, err
}

func (tx *Tx) freeInPool(p *orion.WorkPool) (int64, error) {
	n, err := tx.count(`SELECT COUNT(*) FROM flow_run WHERE workspace_id = ? AND state_type IN ('RUNNING', 'PENDING', 'CANCELLING')
		AND work_queue_id IN (SELECT id FROM work_queue WHERE workspace_id = ? AND work_pool_id = ?)`, tx.ws, tx.ws, p.ID)
	return *p.ConcurrencyLimit - n, err
}

// HoldingSlots lists the runs that take the slots of a queue, or with a pool's
// id of all its queues, the oldest first, and counts them.
func (tx *Tx) HoldingSlots(queue, pool orion.ID, limit int64) (n int64, runs []orion.RunningRun, err error) {
	w := where("workspace_id = ? AND work_queue_id = ?", tx.ws, queue)
	if !pool.IsZero() {
		w = where("workspace_id = ? AND work_queue_id IN (SELECT id FROM work_queue WHERE workspace_id = ? AND work_pool_id = ?)", tx.ws, tx.ws, pool)
	}
	w = all(w, where("state_type IN ('RUNNING', 'PENDING', 'CANCELLING')"))
	if n, err = tx.count("SELECT COUNT(*) FROM flow_run WHERE "+w.sql, w.args...); err != nil {
		return 0, nil, err
	}
	runs, err = list(tx, "SELECT id, name, state_name, state_timestamp FROM flow_run WHERE "+w.sql+" ORDER BY state_timestamp LIMIT ?", append(w.args, limit),
		func(r *Row) (x orion.RunningRun, err error) {
			err = r.Scan(&x.ID, &x.Name, &x.State, &x.Since)
			return x, err
		})
	return n, runs, err
}

// FreeSlots is how many more runs of a queue may be taken now, by its own
// limit and its pool's; negative when there is no limit.
func (tx *Tx) FreeSlots(queue orion.ID) (int64, error) {
	q, err := tx.WorkQueue(queue)
	if q == nil || err != nil {
		return -1, err
	}
	free := int64(-1)
	if q.ConcurrencyLimit != nil {
		n, err := tx.freeInQueue(q)
		if err != nil {
			return 0, err
		}
		free = max(0, n)
	}
	if q.WorkPoolName != nil {
		p, err := tx.WorkPool(*q.WorkPoolName)
		if err != nil {
			return 0, err
		}
		if p != nil && p.ConcurrencyLimit != nil {
			n, err := tx.freeInPool(p)
			if err != nil {
				return 0, err
			}
			if n = max(0, n); free < 0 || n < free {
				free = n
			}
		}
	}
	return free, nil
}

// DueInPool lists the runs of a pool's queues that may start before a time, by
// the queues' priority and then time, within the limits of queues and pool.
func (tx *Tx) DueInPool(p *orion.WorkPool, queues []orion.WorkQueue, after, before orion.Time, limit int64) ([]orion.ScheduledRun, error) {
	out := []orion.ScheduledRun{}
	if p.IsPaused {
		return out, nil
	}
	if p.ConcurrencyLimit != nil {
		free, err := tx.freeInPool(p)
		if err != nil {
			return nil, err
		}
		limit = min(limit, free)
	}
	// A run that its own process retries is nobody else's.
	more := where("NOT "+tx.d.contains("flow_run.empirical_policy"), `"retry_type":"in_process"`)
	if !after.IsZero() {
		more = all(more, where("flow_run.next_scheduled_start_time >= ?", after))
	}
	for i := range queues {
		q := &queues[i]
		if int64(len(out)) >= limit {
			break
		}
		room := limit - int64(len(out))
		runs, err := tx.dueInQueue(q, before, room, more)
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			out = append(out, orion.ScheduledRun{WorkPoolID: p.ID, WorkQueueID: q.ID, FlowRun: r})
		}
	}
	return out, nil
}

// DueForDeployments lists the runs of deployments that may start before a
// time, the earliest first.
func (tx *Tx) DueForDeployments(deployments []orion.ID, before orion.Time, limit int64) ([]*orion.FlowRun, error) {
	c := in("flow_run.deployment_id", deployments)
	args := append([]any{}, c.args...)
	return tx.flowRunsWhereSQL(c.sql+" AND flow_run.state_type = 'SCHEDULED' AND flow_run.next_scheduled_start_time <= ? ORDER BY flow_run.next_scheduled_start_time, flow_run.id LIMIT ?",
		append(args, before, limit)...)
}

// NextDue is when the next run after a time becomes due, anywhere in the
// workspace; zero when none is scheduled.
func (tx *Tx) NextDue(after orion.Time) (t orion.Time, err error) {
	_, err = tx.one("SELECT MIN(next_scheduled_start_time) FROM flow_run WHERE workspace_id = ? AND state_type = 'SCHEDULED' AND next_scheduled_start_time > ?", []any{tx.ws, after}, &t)
	return t, err
}

// LateInQueue counts the runs of a queue that should have started.
func (tx *Tx) LateInQueue(queue orion.ID) (int64, error) {
	return tx.count("SELECT COUNT(*) FROM flow_run WHERE workspace_id = ? AND work_queue_id = ? AND state_type = 'SCHEDULED' AND state_name = 'Late'", tx.ws, queue)
}
