package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// stored is what the reads ask about.
type stored struct{ template, hundred, flow string }

// setUpReads fills a server with the flow runs that the reads look at.
func setUpReads(ctx context.Context, s *subject) error {
	if err := s.fresh(ctx); err != nil {
		return err
	}
	l := newLoad(s)
	var d stored
	var err error
	if d.template, err = l.flowRun(ctx, 1); err != nil {
		return err
	}
	if d.hundred, err = l.flowRun(ctx, 100); err != nil {
		return err
	}
	for i := range 5 {
		if err := l.call(ctx, "POST", "/logs/", logLines(100, d.hundred, fmt.Sprintf("part %d of what a run says", i)), nil); err != nil {
			return err
		}
	}
	var flow withID
	if err := l.must(ctx, "POST", "/flows/", map[string]any{"name": "bench"}, &flow); err != nil {
		return err
	}
	d.flow = flow.ID
	for i := range 50 {
		if err := l.must(ctx, "POST", "/deployments/", map[string]any{"name": fmt.Sprintf("d%d", i), "flow_id": flow.ID, "entrypoint": "flow.py:main", "path": "/tmp", "work_queue_name": "bench",
			"parameters": map[string]any{"a": i}, "tags": []string{"x", "y"}}, nil); err != nil {
			return err
		}
	}
	s.halt()
	if err := s.fill(ctx, d.template, 0, s.stored); err != nil {
		return err
	}
	s.state = d
	return s.start(ctx)
}

// read is one request of a page.
type read struct{ name, method, path, body string }

// reads are what Prefect's pages ask, and its client's lists.
func (d stored) reads() []read {
	now := time.Now().UTC()
	iso := func(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000+00:00") }
	week, day := iso(now.Add(-7*24*time.Hour)), iso(now.Add(-24*time.Hour))
	list := func(name, filter string) read {
		return read{name, "POST", "/flow_runs/filter", `{"sort":"START_TIME_DESC","limit":50` + filter + `}`}
	}
	return []read{
		list("latest 50 runs", ``),
		list("50 by state", `,"flow_runs":{"state":{"type":{"any_":["FAILED"]}}}`),
		list("50 by time", `,"flow_runs":{"expected_start_time":{"after_":"`+day+`","before_":"`+iso(now)+`"}}`),
		list("50 by tag", `,"flow_runs":{"tags":{"all_":["nightly"]}}`),
		list("50 by name", `,"flow_runs":{"name":{"like_":"run-99"}}`),
		{"count by state", "POST", "/flow_runs/count", `{"flow_runs":{"state":{"type":{"any_":["COMPLETED"]}}}}`},
		{"history, 7 days", "POST", "/flow_runs/history", `{"history_start":"` + week + `","history_end":"` + iso(now) + `","history_interval_seconds":9600}`},
		{"200 log lines", "POST", "/logs/filter", `{"limit":200,"sort":"TIMESTAMP_ASC","logs":{"flow_run_id":{"any_":["` + d.hundred + `"]}}}`},
		{"graph of 100 tasks", "GET", "/flow_runs/" + d.hundred + "/graph-v2", ``},
		{"task runs of a run", "POST", "/task_runs/filter", `{"limit":100,"flow_runs":{"id":{"any_":["` + d.hundred + `"]}}}`},
		{"50 deployments", "POST", "/deployments/filter", `{"limit":50,"sort":"NAME_ASC"}`},
	}
}

// dashboard is what Prefect's first page asks at once.
func (d stored) dashboard() []read {
	r := d.reads()
	now := time.Now().UTC()
	since := now.Add(-7 * 24 * time.Hour).Format(time.RFC3339)
	window := `"flow_runs":{"expected_start_time":{"after_":"` + since + `","before_":"` + now.Format(time.RFC3339) + `"}`
	count := func(state string) read {
		return read{"", "POST", "/flow_runs/count", `{` + window + `,"state":{"type":{"any_":[` + state + `]}}}}`}
	}
	return []read{
		r[0], r[6], r[10], count(`"FAILED"`), count(`"CRASHED"`), count(`"COMPLETED"`), count(`"RUNNING","PENDING"`),
		{"", "POST", "/flow_runs/filter", `{"sort":"START_TIME_DESC","limit":3,` + window + `,"state":{"type":{"any_":["FAILED","CRASHED"]}}}}`},
		{"", "POST", "/task_runs/count", `{"task_runs":{"state":{"type":{"any_":["COMPLETED"]}}}}`},
		{"", "POST", "/flows/count", `{}`},
	}
}

// hotReads asks each read in turn.
func hotReads(ctx context.Context, s *subject) ([]value, error) {
	d := s.state.(stored)
	var out []value
	measure := func(name string, rs []read, n int) error {
		l := newLoad(s)
		var wall []time.Duration
		used, _, err := s.spent(func() error {
			for range n {
				began := time.Now()
				var wg sync.WaitGroup
				for _, r := range rs {
					wg.Go(func() {
						var body []byte
						if r.body != "" {
							body = []byte(r.body)
						}
						l.call(ctx, r.method, r.path, body, nil)
					})
				}
				wg.Wait()
				wall = append(wall, time.Since(began))
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		if l.errors.Load() > 0 {
			return fmt.Errorf("%s: %w", name, *l.first.Load())
		}
		out = append(out, value{name, "CPU ms", ms(used) / float64(n), false}, value{name + ", p50", "ms", percentile(wall, 50), false})
		return nil
	}
	for _, r := range d.reads() {
		if err := measure(r.name, []read{r}, s.pick(s, 100, 8, 5)); err != nil {
			return nil, err
		}
	}
	return out, measure("dashboard, 10 at once", d.dashboard(), s.pick(s, 40, 4, 2))
}

// growth is the cost of a flow run with few and with many stored.
func growth(ctx context.Context, s *subject) ([]value, error) {
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	template, err := newLoad(s).flowRun(ctx, 1)
	if err != nil {
		return nil, err
	}
	var cost [2]float64
	have := 0
	for i, n := range []int{s.stored / 100, s.stored} {
		s.halt()
		if err := s.fill(ctx, template, have, n-have); err != nil {
			return nil, err
		}
		have = n
		if err := s.start(ctx); err != nil {
			return nil, err
		}
		f := transitions(8, 400, 16, 8)
		if _, err := f(ctx, s); err != nil { // caches are warm in real life, too
			return nil, err
		}
		v, err := f(ctx, s)
		if err != nil {
			return nil, err
		}
		cost[i] = v[0].V
	}
	s.stop()
	return []value{{"CPU per flow run, 1% stored", "ms", cost[0], false}, {"CPU per flow run, all stored", "ms", cost[1], false}, {"growth", "%", 100 * (cost[1]/cost[0] - 1), false}}, nil
}
