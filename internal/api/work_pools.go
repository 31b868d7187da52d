package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createWorkPool(ctx context.Context, in struct{ Body orion.WorkPoolCreate }) (*orion.WorkPool, error) {
	if orion.Reserved(in.Body.Name) {
		return nil, orion.Errorf(orion.Forbidden, "Worker pools starting with 'Prefect' are reserved for internal use.")
	}
	if err := orchestration.CheckTemplate(in.Body.BaseJobTemplate); err != nil {
		return nil, err
	}
	return write(ctx, a, func(tx *store.Tx) (*orion.WorkPool, error) { return tx.CreateWorkPool(&in.Body) })
}

func (a *API) readWorkPool(ctx context.Context, in byName) (*orion.WorkPool, error) {
	return one(ctx, a, `Work pool "`+in.Name+`".`, func(tx *store.Tx) (*orion.WorkPool, error) { return tx.WorkPool(in.Name) })
}

type filterPools struct {
	Body struct {
		orion.Page
		WorkPools *orion.WorkPoolFilter `json:"work_pools"`
	}
}

func (a *API) filterWorkPools(ctx context.Context, in filterPools) ([]orion.WorkPool, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.WorkPool, error) {
		return tx.WorkPools(in.Body.WorkPools, limit, offset)
	})
}

func (a *API) countWorkPools(ctx context.Context, in filterPools) (int64, error) {
	return read(ctx, a, func(tx *store.Tx) (int64, error) { return tx.CountWorkPools(in.Body.WorkPools) })
}

func (a *API) updateWorkPool(ctx context.Context, in struct {
	Name string `path:"name"`
	Body orion.WorkPoolUpdate
}) (none, error) {
	if in.Body.BaseJobTemplate.Has() {
		if err := orchestration.CheckTemplate(in.Body.BaseJobTemplate.V); err != nil {
			return none{}, err
		}
	}
	return change(ctx, a, `Work pool "`+in.Name+`".`, func(tx *store.Tx) (bool, error) { return tx.UpdateWorkPool(in.Name, &in.Body) })
}

func (a *API) deleteWorkPool(ctx context.Context, in byName) (none, error) {
	if orion.Reserved(in.Name) {
		return none{}, orion.Errorf(orion.Forbidden, "Worker pools starting with 'Prefect' are reserved for internal use and cannot be deleted.")
	}
	return change(ctx, a, `Work pool "`+in.Name+`".`, func(tx *store.Tx) (bool, error) { return tx.DeleteWorkPool(in.Name) })
}

// inPool runs f with the pool of that name; 404 when there is none.
func inPool[T any](tx *store.Tx, name string, f func(*orion.WorkPool) (T, error)) (out T, err error) {
	p, err := tx.WorkPool(name)
	if err != nil {
		return out, err
	}
	if p == nil {
		return out, orion.Errorf(orion.NotFound, `Work pool "%s" not found.`, name)
	}
	return f(p)
}

type poolQueue struct {
	Pool  string `path:"work_pool_name"`
	Queue string `path:"name"`
}

// inQueue runs f with a pool's queue; 404 when there is none.
func inQueue[T any](tx *store.Tx, in poolQueue, f func(*orion.WorkQueue) (T, error)) (out T, err error) {
	return inPool(tx, in.Pool, func(p *orion.WorkPool) (out T, err error) {
		q, err := tx.WorkQueueIn(p.ID, in.Queue)
		if err != nil {
			return out, err
		}
		if q == nil {
			return out, orion.Errorf(orion.NotFound, "Work queue '%s/%s' not found.", in.Pool, in.Queue)
		}
		return f(q)
	})
}

func (a *API) createPoolQueue(ctx context.Context, in struct {
	Pool string `path:"work_pool_name"`
	Body orion.WorkQueueCreate
}) (*orion.WorkQueue, error) {
	return write(ctx, a, func(tx *store.Tx) (*orion.WorkQueue, error) {
		return inPool(tx, in.Pool, func(p *orion.WorkPool) (*orion.WorkQueue, error) { return tx.CreateWorkQueue(p, &in.Body) })
	})
}

func (a *API) readPoolQueue(ctx context.Context, in poolQueue) (*orion.WorkQueue, error) {
	return read(ctx, a, func(tx *store.Tx) (*orion.WorkQueue, error) {
		return inQueue(tx, in, func(q *orion.WorkQueue) (*orion.WorkQueue, error) { return q, nil })
	})
}

func (a *API) filterPoolQueues(ctx context.Context, in struct {
	Pool string `path:"work_pool_name"`
	Body struct {
		orion.Page
		WorkQueues *orion.WorkQueueFilter `json:"work_queues"`
	}
}) ([]orion.WorkQueue, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.WorkQueue, error) {
		return inPool(tx, in.Pool, func(p *orion.WorkPool) ([]orion.WorkQueue, error) {
			return tx.WorkQueues(in.Body.WorkQueues, &p.ID, limit, offset)
		})
	})
}

func (a *API) updatePoolQueue(ctx context.Context, in struct {
	Pool  string `path:"work_pool_name"`
	Queue string `path:"name"`
	Body  orion.WorkQueueUpdate
}) (none, error) {
	return write(ctx, a, func(tx *store.Tx) (none, error) {
		return inQueue(tx, poolQueue{in.Pool, in.Queue}, func(q *orion.WorkQueue) (none, error) {
			_, err := tx.UpdateWorkQueue(q.ID, &in.Body)
			return none{}, err
		})
	})
}

func (a *API) deletePoolQueue(ctx context.Context, in poolQueue) (none, error) {
	return write(ctx, a, func(tx *store.Tx) (none, error) {
		return inQueue(tx, in, func(q *orion.WorkQueue) (none, error) {
			p, err := tx.WorkPool(in.Pool)
			if err != nil {
				return none{}, err
			}
			if p.DefaultQueueID == q.ID {
				return none{}, orion.Errorf(orion.Conflict, "the queue %q is the default of the pool %q and cannot be deleted", in.Queue, in.Pool)
			}
			_, err = tx.DeleteWorkQueue(q.ID)
			return none{}, err
		})
	})
}

// poolRuns is what workers poll.
func (a *API) poolRuns(ctx context.Context, in struct {
	Name string `path:"name"`
	Body struct {
		WorkQueueNames  []string   `json:"work_queue_names"`
		ScheduledBefore orion.Time `json:"scheduled_before"`
		ScheduledAfter  orion.Time `json:"scheduled_after"`
		Limit           *int64     `json:"limit"`
	}
	longPoll
}) ([]orion.ScheduledRun, error) {
	limit, _, err := orion.Page{Limit: in.Body.Limit}.Resolve()
	if err != nil {
		return nil, err
	}
	ahead := aheadOf(in.Body.ScheduledBefore)
	noted := false
	return waitFor(ctx, a, in.longPoll, ahead, func(tx *store.Tx) ([]orion.ScheduledRun, error) {
		return inPool(tx, in.Name, func(p *orion.WorkPool) ([]orion.ScheduledRun, error) {
			queues, err := tx.WorkQueues(nil, &p.ID, 1000, 0)
			if err != nil {
				return nil, err
			}
			if len(in.Body.WorkQueueNames) > 0 {
				if queues, err = named(queues, in.Name, in.Body.WorkQueueNames); err != nil {
					return nil, err
				}
			}
			if !noted && !clientOf(ctx).UI {
				noted = true
				for _, q := range queues {
					a.s.Polled(orion.ScopeOf(ctx).Workspace, q.ID)
				}
			}
			return tx.DueInPool(p, queues, in.Body.ScheduledAfter, tx.Now().Add(ahead), limit)
		})
	})
}

func named(queues []orion.WorkQueue, pool string, names []string) ([]orion.WorkQueue, error) {
	by := map[string]orion.WorkQueue{}
	for _, q := range queues {
		by[q.Name] = q
	}
	want := map[string]bool{}
	for _, n := range names {
		if _, ok := by[n]; !ok {
			return nil, orion.Errorf(orion.NotFound, "Work queue '%s/%s' not found.", pool, n)
		}
		want[n] = true
	}
	out := queues[:0]
	for _, q := range queues {
		if want[q.Name] {
			out = append(out, q)
		}
	}
	return out, nil
}

func (a *API) workerHeartbeat(ctx context.Context, in struct {
	Pool string `path:"work_pool_name"`
	Body struct {
		Name     string `json:"name"`
		Interval *int64 `json:"heartbeat_interval_seconds"`
	}
}) (none, error) {
	if in.Body.Name == "" {
		return none{}, orion.Required("name")
	}
	return write(ctx, a, func(tx *store.Tx) (none, error) {
		return inPool(tx, in.Pool, func(p *orion.WorkPool) (none, error) {
			return none{}, tx.Heartbeat(p, in.Body.Name, in.Body.Interval)
		})
	})
}

func (a *API) filterWorkers(ctx context.Context, in struct {
	Pool string `path:"work_pool_name"`
	Body struct {
		orion.Page
		Workers *orion.WorkerFilter `json:"workers"`
	}
}) ([]orion.Worker, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.Worker, error) {
		return inPool(tx, in.Pool, func(p *orion.WorkPool) ([]orion.Worker, error) {
			return tx.Workers(p.ID, in.Body.Workers, limit, offset)
		})
	})
}

func (a *API) deleteWorker(ctx context.Context, in poolQueue) (none, error) {
	return write(ctx, a, func(tx *store.Tx) (none, error) {
		return inPool(tx, in.Pool, func(p *orion.WorkPool) (none, error) {
			ok, err := tx.DeleteWorker(p.ID, in.Queue)
			if err == nil && !ok {
				err = orion.Errorf(orion.NotFound, "Worker not found.")
			}
			return none{}, err
		})
	})
}

// checkPoolVariables refuses job variables that the pool's template does not
// allow.
func checkPoolVariables(tx *store.Tx, pool *string, variables ...orion.JSON) error {
	if pool == nil {
		return nil
	}
	for _, v := range variables {
		if orion.IsNull(v) {
			continue
		}
		p, err := tx.WorkPool(*pool)
		if p == nil || err != nil {
			return err
		}
		if err := orchestration.CheckJobVariables(p.BaseJobTemplate, v); err != nil {
			return err
		}
	}
	return nil
}
