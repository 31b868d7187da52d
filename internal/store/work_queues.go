package store

import (
	"github.com/orionflows/orion"
)

const workQueueColumns = `work_queue.id, work_queue.created, work_queue.updated, work_queue.name, work_queue.description, work_queue.is_paused,
	work_queue.concurrency_limit, work_queue.priority, work_queue.work_pool_id, work_queue.filter, work_queue.last_polled, work_queue.status,
	(SELECT p.name FROM work_pool p WHERE p.workspace_id = work_queue.workspace_id AND p.id = work_queue.work_pool_id)`

func (tx *Tx) scanWorkQueue(r *Row) (q orion.WorkQueue, err error) {
	err = r.Scan(&q.ID, &q.Created, &q.Updated, &q.Name, &q.Description, &q.IsPaused, &q.ConcurrencyLimit, &q.Priority, &q.WorkPoolID, &q.Filter, &q.LastPolled, &q.Status, &q.WorkPoolName)
	if at := tx.s.polled(tx.ws, q.ID); at.After(q.LastPolled) {
		q.LastPolled = at
		if q.Status == orion.NotReady {
			q.Status = orion.Ready
		}
	}
	return q, err
}

// WorkQueue reads one queue; nil when there is none.
func (tx *Tx) WorkQueue(id orion.ID) (*orion.WorkQueue, error) {
	return first(tx, "SELECT "+workQueueColumns+" FROM work_queue WHERE workspace_id = ? AND id = ?", []any{tx.ws, id}, tx.scanWorkQueue)
}

// WorkQueueIn reads a pool's queue by its name; nil when there is none.
func (tx *Tx) WorkQueueIn(pool orion.ID, name string) (*orion.WorkQueue, error) {
	return first(tx, "SELECT "+workQueueColumns+" FROM work_queue WHERE workspace_id = ? AND work_pool_id = ? AND name = ?", []any{tx.ws, pool, name}, tx.scanWorkQueue)
}

// WorkQueues lists queues: of one pool by priority, or of all by name.
func (tx *Tx) WorkQueues(f *orion.WorkQueueFilter, pool *orion.ID, limit, offset int64) ([]orion.WorkQueue, error) {
	w := all(where("work_queue.workspace_id = ?", tx.ws), tx.workQueueFilter(f))
	o := " ORDER BY work_queue.name"
	if pool != nil {
		w = all(w, where("work_queue.work_pool_id = ?", *pool))
		o = " ORDER BY work_queue.priority"
	}
	return list(tx, "SELECT "+workQueueColumns+" FROM work_queue WHERE "+w.sql+o+" LIMIT ? OFFSET ?", append(w.args, limit, offset), tx.scanWorkQueue)
}

// CreateWorkQueue makes a queue in a pool. Without a priority it gets the
// lowest free one; at an occupied priority the others move down. A name that
// is taken is a Conflict error.
func (tx *Tx) CreateWorkQueue(pool *orion.WorkPool, c *orion.WorkQueueCreate) (*orion.WorkQueue, error) {
	have, err := tx.WorkQueueIn(pool.ID, c.Name)
	if err != nil {
		return nil, err
	}
	if have != nil {
		return nil, queueExists()
	}
	taken, err := list(tx, "SELECT priority FROM work_queue WHERE workspace_id = ? AND work_pool_id = ? ORDER BY priority", []any{tx.ws, pool.ID},
		func(r *Row) (n int64, err error) { err = r.Scan(&n); return n, err })
	if err != nil {
		return nil, err
	}
	var priority int64 = 1
	if c.Priority != nil {
		priority = *c.Priority
		if err := tx.makeRoom(pool.ID, priority, orion.ID{}); err != nil {
			return nil, err
		}
	} else {
		for _, n := range taken {
			if n == priority {
				priority++
			}
		}
	}
	id, err := tx.insertQueue(pool.ID, pool.Type, c, priority)
	if err != nil {
		return nil, err
	}
	if pool.Name == orion.DefaultAgentPool {
		// Runs and deployments whose queue was deleted come back to life.
		for _, table := range []string{"deployment", "flow_run"} {
			if _, err := tx.exec("UPDATE "+table+" SET work_queue_id = ? WHERE workspace_id = ? AND work_queue_id IS NULL AND work_queue_name = ?", id, tx.ws, c.Name); err != nil {
				return nil, err
			}
		}
		tx.Notify(TopicScheduled)
	}
	return tx.WorkQueue(id)
}

func queueExists() error {
	return orion.Errorf(orion.Conflict, "A work queue with this name already exists.")
}

// EnsureWorkQueue reads a pool's queue, making it when it is not there yet.
func (tx *Tx) EnsureWorkQueue(pool *orion.WorkPool, name string) (*orion.WorkQueue, error) {
	q, err := tx.WorkQueueIn(pool.ID, name)
	if q != nil || err != nil {
		return q, err
	}
	c := &orion.WorkQueueCreate{Name: name}
	if pool.Name == orion.DefaultAgentPool {
		one := int64(1)
		c.Priority = &one
	}
	q, err = tx.CreateWorkQueue(pool, c)
	if orion.KindOf(err) == orion.Conflict { // somebody made it at the same moment
		return tx.WorkQueueIn(pool.ID, name)
	}
	return q, err
}

func (tx *Tx) insertQueue(pool orion.ID, poolType string, c *orion.WorkQueueCreate, priority int64) (orion.ID, error) {
	id := orion.NewID()
	description := ""
	if c.Description != nil {
		description = *c.Description
	}
	paused := c.IsPaused != nil && *c.IsPaused
	status := orion.NotReady
	if paused {
		status = orion.PausedStatus
	}
	n, err := tx.exec("INSERT INTO work_queue (workspace_id, id, created, updated, actor, name, description, is_paused, concurrency_limit, priority, work_pool_id, filter, status) VALUES ("+marks(13)+") ON CONFLICT (workspace_id, work_pool_id, name) DO NOTHING",
		tx.ws, id, tx.now, tx.now, tx.actor, c.Name, description, paused, c.ConcurrencyLimit, priority, pool, c.Filter, status)
	if err == nil && n == 0 {
		err = queueExists()
	}
	return id, err
}

// makeRoom moves the queues from an occupied priority on down by one.
func (tx *Tx) makeRoom(pool orion.ID, priority int64, except orion.ID) error {
	qs, err := tx.WorkQueues(nil, &pool, 1000, 0)
	if err != nil {
		return err
	}
	next := priority
	for _, q := range qs {
		if q.ID == except || q.Priority != next {
			continue
		}
		next++
		if _, err := tx.exec("UPDATE work_queue SET priority = ? WHERE workspace_id = ? AND id = ?", next, tx.ws, q.ID); err != nil {
			return err
		}
	}
	return nil
}

// UpdateWorkQueue patches a queue and reports whether it exists.
func (tx *Tx) UpdateWorkQueue(id orion.ID, u *orion.WorkQueueUpdate) (bool, error) {
	q, err := tx.WorkQueue(id)
	if q == nil || err != nil {
		return false, err
	}
	p := tx.patch("work_queue")
	if u.Name.Has() {
		p.set("name", u.Name.V)
	}
	setOpt(p, "description", u.Description)
	setOpt(p, "concurrency_limit", u.ConcurrencyLimit)
	setOpt(p, "filter", u.Filter)
	setOpt(p, "last_polled", u.LastPolled)
	if u.Priority.Has() && u.Priority.V != q.Priority {
		if err := tx.makeRoom(q.WorkPoolID, u.Priority.V, id); err != nil {
			return false, err
		}
		p.set("priority", u.Priority.V)
	}
	if u.IsPaused.Has() {
		p.set("is_paused", u.IsPaused.V)
		status := orion.PausedStatus
		if !u.IsPaused.V {
			status = orion.NotReady
			if !q.LastPolled.IsZero() && tx.now.Sub(q.LastPolled).Seconds() < 60 {
				status = orion.Ready
			}
		}
		p.set("status", status)
	}
	tx.Notify(TopicScheduled)
	return p.run(id)
}

// DeleteWorkQueue removes a queue. Its runs and deployments keep its name, and
// a queue of that name takes them up again.
func (tx *Tx) DeleteWorkQueue(id orion.ID) (bool, error) {
	if err := tx.forgetQueue(id); err != nil {
		return false, err
	}
	return tx.deleteByID("work_queue", id)
}

func (tx *Tx) forgetQueue(id orion.ID) error {
	for _, table := range []string{"deployment", "flow_run"} {
		if _, err := tx.exec("UPDATE "+table+" SET work_queue_id = NULL WHERE workspace_id = ? AND work_queue_id = ?", tx.ws, id); err != nil {
			return err
		}
	}
	return nil
}
