package store

import (
	"github.com/orionflows/orion"
)

const workPoolColumns = `work_pool.id, work_pool.created, work_pool.updated, work_pool.name, work_pool.description, work_pool.type,
	work_pool.base_job_template, work_pool.is_paused, work_pool.concurrency_limit, work_pool.status, work_pool.default_queue_id`

func scanWorkPool(r *Row) (p orion.WorkPool, err error) {
	err = r.Scan(&p.ID, &p.Created, &p.Updated, &p.Name, &p.Description, &p.Type, &p.BaseJobTemplate, &p.IsPaused, &p.ConcurrencyLimit, &p.Status, &p.DefaultQueueID)
	return p, err
}

// WorkPool reads a pool by its name; nil when there is none.
func (tx *Tx) WorkPool(name string) (*orion.WorkPool, error) {
	return first(tx, "SELECT "+workPoolColumns+" FROM work_pool WHERE workspace_id = ? AND name = ?", []any{tx.ws, name}, scanWorkPool)
}

// WorkPools lists pools by name.
func (tx *Tx) WorkPools(f *orion.WorkPoolFilter, limit, offset int64) ([]orion.WorkPool, error) {
	w := all(where("work_pool.workspace_id = ?", tx.ws), tx.workPoolFilter(f))
	return list(tx, "SELECT "+workPoolColumns+" FROM work_pool WHERE "+w.sql+" ORDER BY work_pool.name LIMIT ? OFFSET ?", append(w.args, limit, offset), scanWorkPool)
}

// CountWorkPools counts pools.
func (tx *Tx) CountWorkPools(f *orion.WorkPoolFilter) (int64, error) {
	w := all(where("work_pool.workspace_id = ?", tx.ws), tx.workPoolFilter(f))
	return tx.count("SELECT COUNT(*) FROM work_pool WHERE "+w.sql, w.args...)
}

// agentPoolType is the type of pools that agents serve; they have no status.
const agentPoolType = "prefect-agent"

// CreateWorkPool makes a pool with its default queue. A name that is taken is
// a Conflict error.
func (tx *Tx) CreateWorkPool(c *orion.WorkPoolCreate) (*orion.WorkPool, error) {
	p := &orion.WorkPool{ID: orion.NewID(), Type: agentPoolType, IsPaused: c.IsPaused != nil && *c.IsPaused}
	if c.Type != nil {
		p.Type = *c.Type
	}
	var status *string
	if p.Type != agentPoolType {
		s := orion.NotReady
		if p.IsPaused {
			s = orion.PausedStatus
		}
		status = &s
	}
	n, err := tx.exec("INSERT INTO work_pool (workspace_id, id, created, updated, actor, name, description, type, base_job_template, is_paused, concurrency_limit, status) VALUES ("+marks(12)+") ON CONFLICT DO NOTHING",
		tx.ws, p.ID, tx.now, tx.now, tx.actor, c.Name, c.Description, p.Type, orion.ObjectOr(c.BaseJobTemplate), p.IsPaused, c.ConcurrencyLimit, status)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, orion.Errorf(orion.Conflict, "A work pool with this name already exists.")
	}
	one := int64(1)
	description := "The work pool's default queue."
	q, err := tx.insertQueue(p.ID, p.Type, &orion.WorkQueueCreate{Name: "default", Description: &description}, one)
	if err != nil {
		return nil, err
	}
	if _, err := tx.exec("UPDATE work_pool SET default_queue_id = ? WHERE workspace_id = ? AND id = ?", q, tx.ws, p.ID); err != nil {
		return nil, err
	}
	return tx.WorkPool(c.Name)
}

// EnsureAgentPool reads the pool of the queues that name none, making it when
// it is not there yet.
func (tx *Tx) EnsureAgentPool() (*orion.WorkPool, error) {
	p, err := tx.WorkPool(orion.DefaultAgentPool)
	if p != nil || err != nil {
		return p, err
	}
	p, err = tx.CreateWorkPool(&orion.WorkPoolCreate{Name: orion.DefaultAgentPool})
	if orion.KindOf(err) == orion.Conflict { // somebody made it at the same moment
		return tx.WorkPool(orion.DefaultAgentPool)
	}
	return p, err
}

// UpdateWorkPool patches a pool and reports whether it exists. Pausing and
// resuming set the status with it.
func (tx *Tx) UpdateWorkPool(name string, u *orion.WorkPoolUpdate) (bool, error) {
	pool, err := tx.WorkPool(name)
	if pool == nil || err != nil {
		return false, err
	}
	p := tx.patch("work_pool")
	setOpt(p, "description", u.Description)
	setOpt(p, "concurrency_limit", u.ConcurrencyLimit)
	if u.BaseJobTemplate.Has() {
		p.set("base_job_template", u.BaseJobTemplate.V)
	}
	if u.IsPaused.Has() {
		p.set("is_paused", u.IsPaused.V)
		if pool.Type != agentPoolType {
			status := orion.PausedStatus
			if !u.IsPaused.V {
				status = orion.NotReady
				online, err := tx.onlineWorkers(pool.ID)
				if err != nil {
					return false, err
				}
				if online > 0 {
					status = orion.Ready
				}
			}
			p.set("status", status)
		}
		if !u.IsPaused.V {
			tx.Notify(TopicScheduled)
		}
	}
	if u.ConcurrencyLimit.Set {
		tx.Notify(TopicScheduled)
	}
	return p.run(pool.ID)
}

// DeleteWorkPool removes a pool with its queues and workers.
func (tx *Tx) DeleteWorkPool(name string) (bool, error) {
	p, err := tx.WorkPool(name)
	if p == nil || err != nil {
		return false, err
	}
	qs, err := tx.WorkQueues(&orion.WorkQueueFilter{}, &p.ID, 1000, 0)
	if err != nil {
		return false, err
	}
	for _, q := range qs {
		if err := tx.forgetQueue(q.ID); err != nil {
			return false, err
		}
	}
	return tx.deleteByID("work_pool", p.ID)
}

// Workers.

const workerColumns = "id, created, updated, name, work_pool_id, last_heartbeat_time, heartbeat_interval_seconds, status"

// offlineAfter is how many missed heartbeats make a worker offline.
const offlineAfter = 3

func (tx *Tx) scanWorker(r *Row) (w orion.Worker, err error) {
	err = r.Scan(&w.ID, &w.Created, &w.Updated, &w.Name, &w.WorkPoolID, &w.LastHeartbeatTime, &w.HeartbeatIntervalSeconds, &w.Status)
	w.Status = "ONLINE"
	if tx.now.Sub(w.LastHeartbeatTime).Seconds() > float64(offlineAfter*heartbeat(w.HeartbeatIntervalSeconds)) {
		w.Status = "OFFLINE"
	}
	return w, err
}

func heartbeat(seconds *int64) int64 {
	if seconds == nil || *seconds <= 0 {
		return 30
	}
	return *seconds
}

func (tx *Tx) onlineWorkers(pool orion.ID) (int64, error) {
	ws, err := tx.Workers(pool, nil, orion.MaxLimit, 0)
	var n int64
	for _, w := range ws {
		if w.Status == "ONLINE" {
			n++
		}
	}
	return n, err
}

// Workers lists a pool's workers, the last heard from first. Their status
// follows from the heartbeat at the moment of reading.
func (tx *Tx) Workers(pool orion.ID, f *orion.WorkerFilter, limit, offset int64) ([]orion.Worker, error) {
	c := where("workspace_id = ? AND work_pool_id = ?", tx.ws, pool)
	if f != nil {
		var status cond
		if f.Status != nil {
			late := where("? - last_heartbeat_time > COALESCE(heartbeat_interval_seconds, 30) * 3000000", tx.now)
			early := where("? - last_heartbeat_time <= COALESCE(heartbeat_interval_seconds, 30) * 3000000", tx.now)
			pick := func(names []string) cond {
				var cs []cond
				for _, n := range names {
					if n == "ONLINE" {
						cs = append(cs, early)
					} else {
						cs = append(cs, late)
					}
				}
				if len(cs) == 0 {
					return nothing
				}
				return any_(cs...)
			}
			if f.Status.Any != nil {
				status = pick(*f.Status.Any)
			}
			if f.Status.NotAny != nil && len(*f.Status.NotAny) > 0 {
				n := pick(*f.Status.NotAny)
				status = all(status, cond{"NOT (" + n.sql + ")", n.args})
			}
		}
		c = all(c, joined(f.Operator, status, column(tx, "last_heartbeat_time", f.LastHeartbeatTime)))
	}
	return list(tx, "SELECT "+workerColumns+" FROM worker WHERE "+c.sql+" ORDER BY last_heartbeat_time DESC LIMIT ? OFFSET ?", append(c.args, limit, offset), tx.scanWorker)
}

// Heartbeat notes that a worker of the pool is alive.
func (tx *Tx) Heartbeat(p *orion.WorkPool, name string, interval *int64) error {
	_, err := tx.exec(`INSERT INTO worker (workspace_id, id, created, updated, actor, name, work_pool_id, last_heartbeat_time, heartbeat_interval_seconds, status)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'ONLINE') ON CONFLICT (workspace_id, work_pool_id, name) DO UPDATE SET
		last_heartbeat_time = excluded.last_heartbeat_time, heartbeat_interval_seconds = excluded.heartbeat_interval_seconds, status = 'ONLINE', updated = excluded.updated`,
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, name, p.ID, tx.now, interval)
	if err != nil || p.Status == nil || *p.Status != orion.NotReady {
		return err
	}
	_, err = tx.exec("UPDATE work_pool SET status = ? WHERE workspace_id = ? AND id = ?", orion.Ready, tx.ws, p.ID)
	return err
}

// DeleteWorker removes a worker of a pool.
func (tx *Tx) DeleteWorker(pool orion.ID, name string) (bool, error) {
	n, err := tx.exec("DELETE FROM worker WHERE workspace_id = ? AND work_pool_id = ? AND name = ?", tx.ws, pool, name)
	return n > 0, err
}
