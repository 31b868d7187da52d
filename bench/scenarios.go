package main

import (
	"context"
	"fmt"
	"time"
)

// scenario is one thing that is measured.
type scenario struct {
	name, about string
	orionOnly   bool
	// setUp makes each server ready, once.
	setUp func(context.Context, *subject) error
	// run measures one round on one server.
	run func(context.Context, *subject) ([]value, error)
}

// scenarios are all of them, in the order in which they run.
func scenarios() []scenario {
	fresh := (*subject).fresh
	setUp := func(ctx context.Context, s *subject) error { return fresh(s, ctx) }
	return []scenario{
		{name: "transitions-1", about: "flow runs of 3 tasks, 21 requests each, by 1 runner", setUp: setUp, run: transitions(1, 300, 8, 3)},
		{name: "transitions-8", about: "the same by 8 runners", setUp: setUp, run: transitions(8, 400, 16, 8)},
		{name: "transitions-64", about: "the same by 64 runners", setUp: setUp, run: transitions(64, 640, 64, 16)},
		{name: "logs", about: "4 clients send batches of 200 lines", setUp: setUp, run: logs},
		{name: "pickup-1", about: "from creating a run until the poller sees it: 1 poller, every 100 ms", setUp: setUp, run: pickup(1, 100*time.Millisecond, false)},
		{name: "pickup-50", about: "the same with 50 pollers, each every second", setUp: setUp, run: pickup(50, time.Second, false)},
		{name: "pickup-wait", about: "the same with 1 poller that lets Orion wait for a run", orionOnly: true, setUp: setUp, run: pickup(1, 0, true)},
		{name: "busy", about: "64 runners and 50 pollers at once", setUp: setUp, run: busy},
		{name: "scheduling", about: "cron deployments are created and get 3 runs each (10,000 on Orion, 60 on Prefect)", setUp: setUp, run: scheduling},
		{name: "cold-start", about: "from an empty folder to the first healthy answer, and again", run: coldStart},
		{name: "idle", about: "memory and CPU of a server with schedules and nothing to do", run: idle},
		{name: "reads", about: "what pages and lists ask, with many flow runs stored", setUp: setUpReads, run: hotReads},
		{name: "growth", about: "CPU per flow run with few and many stored", run: growth},
		{name: "durable", about: "64 runners, full against normal durability", orionOnly: true, run: durable},
		{name: "deploy", about: "orion deploy of 500 flow folders and 800 deployments, beside a loop over the folders", run: deploys},
		{name: "client", about: "a real 2.20 client runs a flow of 100 tasks", setUp: setUp, run: realClient},
	}
}

func names() (out []string) {
	for _, s := range scenarios() {
		out = append(out, s.name)
	}
	return out
}

func transitions(runners, orion, prefect, quick int) func(context.Context, *subject) ([]value, error) {
	return func(ctx context.Context, s *subject) ([]value, error) {
		l := newLoad(s)
		good := 0
		used, wall, err := s.spent(func() error {
			good = l.each(ctx, runners, s.pick(s, orion, prefect, quick), func(int) error { _, err := l.flowRun(ctx, 3); return err })
			return l.err(good)
		})
		if err != nil && !s.prefect {
			return nil, err
		}
		n := float64(max(1, good))
		return append([]value{{"CPU per flow run", "ms", ms(used) / n, false}, {"flow runs", "1/s", float64(good) / wall.Seconds(), true},
			{"errors", "", float64(l.errors.Load()), false}}, l.latencies()...), nil
	}
}

func logs(ctx context.Context, s *subject) ([]value, error) {
	const lines = 200
	l := newLoad(s)
	run := newUUID()
	n := s.pick(s, 200, 12, 8)
	good := 0
	used, wall, err := s.spent(func() error {
		good = l.each(ctx, 4, n, func(i int) error {
			return l.call(ctx, "POST", "/logs/", logLines(lines, run, fmt.Sprintf("batch %d: a line of the length that lines in real runs have, more or less", i)), nil)
		})
		return l.err(good)
	})
	if err != nil {
		return nil, err
	}
	return []value{{"CPU per line", "µs", float64(used) / float64(time.Microsecond) / float64(good*lines), false},
		{"lines", "1/s", float64(good*lines) / wall.Seconds(), true}, {"errors", "", float64(l.errors.Load()), false}}, nil
}
