package client

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/orionflows/orion"
)

// WorkQueueByName reads a queue of the agents' pool.
func (c *Client) WorkQueueByName(ctx context.Context, name string) (out *orion.WorkQueue, err error) {
	err = c.Do(ctx, http.MethodGet, Path("/work_queues/name/%s", name), nil, &out)
	return out, err
}

// CreateWorkQueue makes a queue of the agents' pool.
func (c *Client) CreateWorkQueue(ctx context.Context, q orion.WorkQueueCreate) (out *orion.WorkQueue, err error) {
	err = c.Do(ctx, http.MethodPost, "/work_queues/", q, &out)
	return out, err
}

// WorkPool reads a pool.
func (c *Client) WorkPool(ctx context.Context, name string) (out *orion.WorkPool, err error) {
	err = c.Do(ctx, http.MethodGet, Path("/work_pools/%s", name), nil, &out)
	return out, err
}

// QueueRuns asks a queue for runs that start up to ahead from now. An Orion
// server that has none waits for one until wait has passed.
func (c *Client) QueueRuns(ctx context.Context, queue orion.ID, ahead, wait time.Duration, limit int64) (out []orion.FlowRun, err error) {
	err = c.Do(ctx, http.MethodPost, Path("/work_queues/%s/get_runs", queue),
		map[string]any{"limit": limit, "scheduled_before": orion.Now().Add(ahead)}, &out, waiting(wait)...)
	return out, err
}

// PoolRuns asks a pool for runs, from the named queues or from all.
func (c *Client) PoolRuns(ctx context.Context, pool string, queues []string, ahead, wait time.Duration, limit int64) (out []orion.ScheduledRun, err error) {
	body := map[string]any{"limit": limit, "scheduled_before": orion.Now().Add(ahead)}
	if len(queues) > 0 {
		body["work_queue_names"] = queues
	}
	err = c.Do(ctx, http.MethodPost, Path("/work_pools/%s/get_scheduled_flow_runs", pool), body, &out, waiting(wait)...)
	return out, err
}

func waiting(d time.Duration) []Header {
	if d < time.Second {
		return nil
	}
	return []Header{{"Orion-Wait-Seconds", strconv.Itoa(int(d.Seconds()))}}
}

// Heartbeat tells that a worker of a pool is alive.
func (c *Client) Heartbeat(ctx context.Context, pool, worker string, every time.Duration) error {
	return c.Do(ctx, http.MethodPost, Path("/work_pools/%s/workers/heartbeat", pool), map[string]any{"name": worker, "heartbeat_interval_seconds": int(every.Seconds())}, nil)
}
