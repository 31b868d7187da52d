package api

import (
	"context"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

// Queues without a pool are those of the agents' pool.

func (a *API) createWorkQueue(ctx context.Context, in struct{ Body orion.WorkQueueCreate }) (*orion.WorkQueue, error) {
	return write(ctx, a, func(tx *store.Tx) (*orion.WorkQueue, error) {
		p, err := tx.EnsureAgentPool()
		if err != nil {
			return nil, err
		}
		return tx.CreateWorkQueue(p, &in.Body)
	})
}

func (a *API) readWorkQueue(ctx context.Context, in byID) (*orion.WorkQueue, error) {
	return one(ctx, a, "work queue", func(tx *store.Tx) (*orion.WorkQueue, error) { return tx.WorkQueue(in.ID) })
}

func (a *API) readWorkQueueByName(ctx context.Context, in byName) (*orion.WorkQueue, error) {
	return one(ctx, a, "work queue", func(tx *store.Tx) (*orion.WorkQueue, error) {
		p, err := tx.WorkPool(orion.DefaultAgentPool)
		if p == nil || err != nil {
			return nil, err
		}
		return tx.WorkQueueIn(p.ID, in.Name)
	})
}

type filterQueues struct {
	Body struct {
		orion.Page
		WorkQueues *orion.WorkQueueFilter `json:"work_queues"`
	}
}

func (a *API) filterWorkQueues(ctx context.Context, in filterQueues) ([]orion.WorkQueue, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.WorkQueue, error) {
		return tx.WorkQueues(in.Body.WorkQueues, nil, limit, offset)
	})
}

func (a *API) updateWorkQueue(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.WorkQueueUpdate
}) (none, error) {
	return change(ctx, a, "Work Queue "+in.ID.String(), func(tx *store.Tx) (bool, error) { return tx.UpdateWorkQueue(in.ID, &in.Body) })
}

func (a *API) deleteWorkQueue(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "work queue", func(tx *store.Tx) (bool, error) { return tx.DeleteWorkQueue(in.ID) })
}

// queueStatus is a queue's health: polled in the last minute and nothing late.
type queueStatus struct {
	Healthy       bool         `json:"healthy"`
	LateRunsCount int64        `json:"late_runs_count"`
	LastPolled    orion.Time   `json:"last_polled"`
	Policy        healthPolicy `json:"health_check_policy"`
}

type healthPolicy struct {
	MaximumLateRuns               int64 `json:"maximum_late_runs"`
	MaximumSecondsSinceLastPolled int64 `json:"maximum_seconds_since_last_polled"`
}

func (a *API) workQueueStatus(ctx context.Context, in byID) (*queueStatus, error) {
	return one(ctx, a, "work queue", func(tx *store.Tx) (*queueStatus, error) {
		q, err := tx.WorkQueue(in.ID)
		if q == nil || err != nil {
			return nil, err
		}
		late, err := tx.LateInQueue(q.ID)
		s := &queueStatus{LateRunsCount: late, LastPolled: q.LastPolled, Policy: healthPolicy{0, 60}}
		s.Healthy = late == 0 && !q.LastPolled.IsZero() && tx.Now().Sub(q.LastPolled) <= time.Minute
		return s, err
	})
}

// longPoll is how an Orion agent waits: the answer comes as soon as there is a
// run, or empty when so many seconds have passed.
type longPoll struct {
	WaitSeconds int64 `header:"Orion-Wait-Seconds"`
}

const maxWait = 55 * time.Second

// waitFor asks until there is something, the time is over, or the caller has
// gone. It looks again whenever a run was scheduled, and when the next one
// becomes due.
func waitFor[T any](ctx context.Context, a *API, w longPoll, ahead time.Duration, f func(*store.Tx) ([]T, error)) ([]T, error) {
	wait := min(time.Duration(w.WaitSeconds)*time.Second, maxWait)
	if wait <= 0 {
		return read(ctx, a, f)
	}
	woken, stop := a.s.Subscribe(store.TopicScheduled)
	defer stop()
	end := time.Now().Add(wait)
	for {
		var next orion.Time
		out, err := read(ctx, a, func(tx *store.Tx) (out []T, err error) {
			if out, err = f(tx); err != nil || len(out) > 0 {
				return out, err
			}
			next, err = tx.NextDue(tx.Now().Add(ahead))
			return out, err
		})
		if err != nil || len(out) > 0 || !time.Now().Before(end) {
			return out, err
		}
		// Once in a while it looks without being told: a notice of another
		// replica may be lost.
		pause := min(time.Until(end), 10*time.Second)
		if !next.IsZero() {
			pause = min(pause, max(time.Until(next.Std())-ahead, time.Millisecond))
		}
		t := time.NewTimer(max(pause, time.Millisecond))
		select {
		case <-woken:
		case <-t.C:
		case <-a.o.Stopping:
			t.Stop()
			return []T{}, nil
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
		t.Stop()
	}
}

func (a *API) queueRuns(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body struct {
		Limit           *int64     `json:"limit"`
		ScheduledBefore orion.Time `json:"scheduled_before"`
		AgentID         *orion.ID  `json:"agent_id"`
	}
	longPoll
}) ([]*orion.FlowRun, error) {
	limit, _, err := orion.Page{Limit: in.Body.Limit}.Resolve()
	if err != nil {
		return nil, err
	}
	if !clientOf(ctx).UI {
		a.s.Polled(orion.ScopeOf(ctx).Workspace, in.ID)
	}
	ahead := aheadOf(in.Body.ScheduledBefore)
	return waitFor(ctx, a, in.longPoll, ahead, func(tx *store.Tx) ([]*orion.FlowRun, error) {
		q, err := tx.WorkQueue(in.ID)
		if err != nil {
			return nil, err
		}
		if q == nil {
			return nil, orion.Missing("Work queue with id %s not found.", in.ID)
		}
		return tx.DueInQueue(q, tx.Now().Add(ahead), limit)
	})
}

// aheadOf is how far past now a poll looks. Polls that wait look that far past
// each moment of the waiting.
func aheadOf(before orion.Time) time.Duration {
	if before.IsZero() {
		return 0
	}
	return before.Sub(orion.Now())
}
