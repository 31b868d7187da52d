package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// coldStart is an empty data folder until the first healthy answer.
func coldStart(ctx context.Context, s *subject) ([]value, error) {
	s.stop()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	before := time.Duration(0)
	if s.pg != nil {
		before = cpu(s.pg.proc.cmd.Process.Pid)
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	wall, used := time.Since(began), s.cpu()-before
	s.halt()
	began = time.Now()
	if s.pg != nil {
		before = cpu(s.pg.proc.cmd.Process.Pid)
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	again, usedAgain := time.Since(began), s.cpu()-before
	s.stop()
	return []value{{"first start, CPU", "ms", ms(used), false}, {"first start, wall", "ms", ms(wall), false},
		{"second start, CPU", "ms", ms(usedAgain), false}, {"second start, wall", "ms", ms(again), false}}, nil
}

// idle is a server with schedules and nothing to do: 1000 of them for Orion,
// 100 for Prefect, which would take a minute to accept more.
func idle(ctx context.Context, s *subject) ([]value, error) {
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	l := newLoad(s)
	sleep(ctx, time.Duration(s.pick(s, 5, 10, 1))*time.Second)
	memory := func() float64 {
		m := pss(s.proc.cmd.Process.Pid)
		if s.pg != nil {
			m += pss(s.pg.proc.cmd.Process.Pid)
		}
		return float64(m) / (1 << 20)
	}
	empty := memory()
	var flow withID
	if err := l.must(ctx, "POST", "/flows/", map[string]any{"name": "idle"}, &flow); err != nil {
		return nil, err
	}
	n := s.pick(s, 1000, 100, 20)
	l.each(ctx, 4, n, func(i int) error {
		return l.must(ctx, "POST", "/deployments/", map[string]any{"name": fmt.Sprintf("d%d", i), "flow_id": flow.ID, "entrypoint": "flow.py:main", "path": "/tmp",
			"schedules": []any{map[string]any{"active": true, "schedule": map[string]any{"cron": fmt.Sprintf("%d %d * * *", i%60, i/60%24), "timezone": "UTC"}}}}, nil)
	})
	sleep(ctx, time.Duration(s.pick(s, 20, 60, 1))*time.Second)
	watch := time.Duration(s.pick(s, 60, 60, 2)) * time.Second
	used, _, _ := s.spent(func() error { sleep(ctx, watch); return nil })
	out := []value{{"memory after start", "MiB PSS", empty, false}, {"memory with schedules", "MiB PSS", memory(), false},
		{"CPU with schedules", "%", 100 * used.Seconds() / watch.Seconds(), false}}
	s.stop()
	return out, nil
}

// durable compares Orion with itself: full and normal durability under the
// same load.
func durable(ctx context.Context, s *subject) ([]value, error) {
	both, ok := s.state.(*[2]*subject)
	if !ok {
		both = &[2]*subject{{settings: s.settings, name: "full", durability: "full"}, {settings: s.settings, name: "normal", durability: "normal"}}
		s.state = both
		for _, x := range both {
			if err := x.fresh(ctx); err != nil {
				return nil, err
			}
		}
	}
	rate := map[string]float64{}
	var out []value
	// Full, normal, normal, full: the two share whatever the machine does.
	for _, x := range []*subject{both[0], both[1], both[1], both[0]} {
		l := newLoad(x)
		good := 0
		_, wall, err := x.spent(func() error {
			good = l.each(ctx, 64, x.pick(x, 640, 0, 64), func(int) error { _, err := l.flowRun(ctx, 3); return err })
			return l.err(good)
		})
		if err != nil {
			return nil, err
		}
		rate[x.name] += float64(good) / wall.Seconds() / 2
	}
	out = append(out, value{"full", "flow runs/s", rate["full"], true}, value{"normal", "flow runs/s", rate["normal"], true},
		value{"full of normal", "%", 100 * rate["full"] / rate["normal"], true})
	return out, nil
}

// flow100 is a flow for a real 2.20 client. What it imports is not measured.
const flow100 = `import time
from prefect import flow, task

@task
def work(i):
    return i

@flow
def hundred():
    return [work(i) for i in range(%d)]

wall, own = time.perf_counter(), time.process_time()
hundred()
print("RESULT", time.perf_counter() - wall, time.process_time() - own)
`

func realClient(ctx context.Context, s *subject) ([]value, error) {
	home, err := os.MkdirTemp(s.dir, "client-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	script := filepath.Join(home, "flow.py")
	tasks := s.pick(s, 100, 100, 10)
	if err := os.WriteFile(script, fmt.Appendf(nil, flow100, tasks), 0o644); err != nil {
		return nil, err
	}
	cmd := s.pythonCommand(home, script)
	var wall, own float64
	used, _, err := s.spent(func() error {
		p, err := start(cmd)
		if err != nil {
			return err
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			p.stop(9)
			return ctx.Err()
		case <-time.After(5 * time.Minute):
			p.stop(9)
			return fmt.Errorf("the client did not end")
		}
		out := p.out.String()
		if i := strings.LastIndex(out, "RESULT "); i >= 0 {
			_, err = fmt.Sscan(out[i+len("RESULT "):], &wall, &own)
			return err
		}
		return fmt.Errorf("the client printed no result:\n%s", out)
	})
	if err != nil {
		return nil, err
	}
	return []value{{"flow, wall", "s", wall, false}, {"client's own CPU", "s", own, false}, {"wall of own CPU", "×", wall / own, false}, {"server CPU", "s", used.Seconds(), false}}, nil
}
