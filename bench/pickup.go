package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// queue is a deployment, and the queue that its runs wait in.
type queue struct{ deployment, id, name string }

// newQueue registers a flow, a deployment and the deployment's queue.
func newQueue(ctx context.Context, l *load, name string, schedule map[string]any) (q queue, err error) {
	var flow, deployment withID
	if err = l.must(ctx, "POST", "/flows/", map[string]any{"name": "bench-" + name}, &flow); err != nil {
		return q, err
	}
	body := map[string]any{"name": name, "flow_id": flow.ID, "work_queue_name": name, "entrypoint": "flow.py:main", "path": "/tmp"}
	if schedule != nil {
		body["schedules"] = []any{map[string]any{"active": true, "schedule": schedule}}
	}
	if err = l.must(ctx, "POST", "/deployments/", body, &deployment); err != nil {
		return q, err
	}
	var wq withID
	err = l.must(ctx, "GET", "/work_queues/name/"+name, nil, &wq)
	return queue{deployment.ID, wq.ID, name}, err
}

// poll asks a queue for its runs as an agent does, a few seconds ahead.
func (l *load) poll(ctx context.Context, q queue, hs ...[2]string) (ids []string, err error) {
	var runs []withID
	body := fmt.Appendf(nil, `{"limit":200,"scheduled_before":"%s"}`, time.Now().Add(10*time.Second).UTC().Format(time.RFC3339Nano))
	err = l.call(ctx, "POST", "/work_queues/"+q.id+"/get_runs", body, &runs, hs...)
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	return ids, err
}

// pickup measures from the creation of a run until an agent that polls sees
// it. A poller that waits for the server's answer polls again at once.
func pickup(pollers int, every time.Duration, wait bool) func(context.Context, *subject) ([]value, error) {
	return func(ctx context.Context, s *subject) ([]value, error) {
		setup, polls, creates := newLoad(s), newLoad(s), newLoad(s)
		if s.state == nil {
			q, err := newQueue(ctx, setup, "pickup", nil)
			if err != nil {
				return nil, err
			}
			s.state = q
		}
		q := s.state.(queue)
		var hs [][2]string
		if wait {
			hs = [][2]string{{"Orion-Wait-Seconds", "30"}}
		}
		var mu sync.Mutex
		seen := map[string]time.Time{}
		pctx, end := context.WithCancel(ctx)
		defer end()
		var wg sync.WaitGroup
		var served atomic.Int64
		begin := time.Now()
		for i := range pollers {
			wg.Go(func() {
				if every > 0 {
					sleep(pctx, every*time.Duration(i)/time.Duration(pollers))
				}
				for pctx.Err() == nil {
					next := time.Now().Add(every)
					ids, err := polls.poll(pctx, q, hs...)
					if err == nil {
						served.Add(1)
					}
					now := time.Now()
					mu.Lock()
					for _, id := range ids {
						if _, ok := seen[id]; !ok {
							seen[id] = now
						}
					}
					mu.Unlock()
					if wait && len(ids) > 0 { // until the run is taken away
						sleep(pctx, 5*time.Millisecond)
					} else {
						sleep(pctx, time.Until(next))
					}
				}
			})
		}
		var latency []time.Duration
		lost := 0
		used, _, err := s.spent(func() error {
			for range s.pick(s, 20, 10, 4) {
				sleep(ctx, time.Duration(rand.Int64N(int64(max(every, 20*time.Millisecond)))))
				began := time.Now()
				var run withID
				if creates.call(ctx, "POST", "/deployments/"+q.deployment+"/create_flow_run", []byte(`{}`), &run) != nil {
					continue
				}
				for {
					mu.Lock()
					at, ok := seen[run.ID]
					mu.Unlock()
					if ok {
						latency = append(latency, at.Sub(began))
						break
					}
					if time.Since(began) > 20*time.Second || ctx.Err() != nil {
						lost++
						break
					}
					time.Sleep(time.Millisecond)
				}
				creates.call(ctx, "POST", "/flow_runs/"+run.ID+"/set_state", []byte(`{"state":{"type":"COMPLETED","name":"Completed"},"force":true}`), nil)
			}
			return nil
		})
		took := time.Since(begin)
		end()
		wg.Wait()
		if err != nil {
			return nil, err
		}
		n := float64(max(1, served.Load()))
		return []value{{"visible p50", "ms", percentile(latency, 50), false}, {"visible p95", "ms", percentile(latency, 95), false},
			{"polls", "1/s", float64(served.Load()) / took.Seconds(), true}, {"CPU per poll", "ms", ms(used) / n, false},
			{"errors", "", float64(creates.errors.Load() + polls.errors.Load() + int64(lost)), false}}, nil
	}
}

// busy is 64 runners and 50 pollers at once.
func busy(ctx context.Context, s *subject) ([]value, error) {
	setup, polls, l := newLoad(s), newLoad(s), newLoad(s)
	if s.state == nil {
		q, err := newQueue(ctx, setup, "busy", nil)
		if err != nil {
			return nil, err
		}
		s.state = q
	}
	pctx, end := context.WithCancel(ctx)
	defer end()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			sleep(pctx, time.Second*time.Duration(i)/50)
			for pctx.Err() == nil {
				polls.poll(pctx, s.state.(queue))
				sleep(pctx, time.Second)
			}
		})
	}
	good := 0
	used, wall, _ := s.spent(func() error {
		good = l.each(ctx, 64, s.pick(s, 640, 64, 64), func(int) error { _, err := l.flowRun(ctx, 3); return err })
		return nil
	})
	end()
	wg.Wait()
	if good == 0 && !s.prefect {
		return nil, l.err(good)
	}
	polls.mu.Lock()
	p95 := percentile(polls.took, 95)
	polls.mu.Unlock()
	return []value{{"errors", "", float64(l.errors.Load() + polls.errors.Load()), false}, {"flow runs", "1/s", float64(good) / wall.Seconds(), true},
		{"CPU per flow run", "ms", ms(used) / float64(max(1, good)), false}, {"poll p95", "ms", p95, false}}, nil
}

// scheduling creates cron deployments until each has its three runs.
func scheduling(ctx context.Context, s *subject) ([]value, error) {
	l := newLoad(s)
	n := s.pick(s, 10_000, 60, 20)
	var flow withID
	if err := l.must(ctx, "POST", "/flows/", map[string]any{"name": "scheduled"}, &flow); err != nil {
		return nil, err
	}
	tag := newUUID()
	var mu sync.Mutex
	var ids []string
	count := func() (c int, err error) {
		body := fmt.Sprintf(`{"flow_runs":{"tags":{"all_":["%s"]},"state":{"type":{"any_":["SCHEDULED"]}}}}`, tag)
		var raw json.RawMessage
		if err := l.call(ctx, "POST", "/flow_runs/count", []byte(body), &raw); err != nil {
			return 0, nil // asked again
		}
		return c, json.Unmarshal(raw, &c)
	}
	runs := 0
	var created time.Duration
	used, wall, err := s.spent(func() error {
		began := time.Now()
		l.each(ctx, 4, n, func(i int) error {
			var d withID
			err := l.must(ctx, "POST", "/deployments/", map[string]any{"name": fmt.Sprintf("%s-%d", tag[:8], i), "flow_id": flow.ID, "tags": []string{tag}, "entrypoint": "flow.py:main", "path": "/tmp",
				"schedules": []any{map[string]any{"active": true, "schedule": map[string]any{"cron": fmt.Sprintf("%d %d * * *", i%60, i/60%24), "timezone": "UTC"}}}}, &d)
			mu.Lock()
			ids = append(ids, d.ID)
			mu.Unlock()
			return err
		})
		created = time.Since(began)
		for deadline := time.Now().Add(3 * time.Minute); ctx.Err() == nil; {
			var err error
			if runs, err = count(); err != nil {
				return err
			}
			if runs >= 3*n || time.Now().After(deadline) {
				break
			}
			sleep(ctx, 500*time.Millisecond)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.each(ctx, 4, len(ids), func(i int) error { return l.must(ctx, "DELETE", "/deployments/"+ids[i], nil, nil) })
	return []value{{"CPU per run", "ms", ms(used) / float64(max(1, runs)), false}, {"deployments created", "1/s", float64(n) / created.Seconds(), true},
		{"after the last creation", "s", (wall - created).Seconds(), false}, {"missing runs", "", float64(max(0, 3*n-runs)), false}}, nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
