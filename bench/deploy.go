package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	folders = 500 // of the repository
	sampled = 6   // of them, for the plain way
)

// deploys measures `orion deploy` of a repository of many flow folders, and
// beside it the loop that does without: pip install -r and python
// X.deployment.py for each folder, of which a sample stands for all.
func deploys(ctx context.Context, s *subject) ([]value, error) {
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, "repository-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	n := folders
	if s.quick {
		n = 20
	}
	r, err := generate(dir, n)
	if err != nil {
		return nil, err
	}
	if s.prefect {
		return plainly(ctx, s, r)
	}
	var out []value
	for _, step := range []struct {
		name   string
		change func() error
		says   string // what the deploy must print, so that it is what it is taken for
	}{
		{"first deploy", func() error { return nil }, fmt.Sprintf("%d deployments deployed in one step", r.deployments())},
		{"nothing changed", func() error { return nil }, fmt.Sprintf("Nothing to do: %d deployments unchanged", r.deployments())},
		{"one file changed", func() error { return r.change(3, 2) }, "1 deployment deployed in one step"},
		{"shared module changed", func() error { return r.changeShared(2) }, "deployments deployed in one step"},
		{"everything changed", func() error {
			for i := range r.folders {
				if err := r.change(i, 3); err != nil {
					return err
				}
			}
			return nil
		}, fmt.Sprintf("%d deployments deployed in one step", r.deployments())},
	} {
		if err := step.change(); err != nil {
			return nil, err
		}
		// What was written in the moment of being read is read again the next time.
		pause(ctx, 2*time.Second)
		d, err := s.deploy(ctx, r.dir)
		if err != nil {
			return nil, err
		}
		if !strings.Contains(d.out, step.says) {
			return nil, fmt.Errorf("%s: the deploy does not say %q:\n%s", step.name, step.says, d.out)
		}
		out = append(out, costs(step.name, d)...)
		out = append(out, value{step.name + ", peak memory", "MB", float64(d.peak) / 1e6, false},
			value{step.name + ", longest wait of another write", "ms", ms(d.wait), false})
	}
	return out, nil
}

// deployed is what one deploy cost.
type deployed struct {
	out         string
	wall        time.Duration
	cpu, server time.Duration // the command's with all that it starts; the server's
	peak        int64         // resident memory of the command itself
	wait        time.Duration // the longest answer to somebody else meanwhile
}

// deploy runs `orion deploy` in a repository while somebody else writes to the
// server.
func (s *subject) deploy(ctx context.Context, dir string) (d deployed, err error) {
	cmd := exec.Command(s.orion, "deploy")
	cmd.Dir = dir
	cmd.Env = s.clientEnv("ORION_HOME="+filepath.Join(s.home, "client"), "ORION_PYTHON="+s.python)
	l := newLoad(s)
	done := make(chan struct{})
	waited := make(chan time.Duration)
	go func() {
		var longest time.Duration
		for i := 0; ; i++ {
			began := time.Now()
			l.call(ctx, "POST", "/flows/", fmt.Appendf(nil, `{"name":"bench-other-%d"}`, i), nil)
			longest = max(longest, time.Since(began))
			select {
			case <-done:
				waited <- longest
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	used, wall, err := s.spent(func() error {
		p, err := start(cmd)
		if err != nil {
			return err
		}
		for !p.ended() {
			d.peak = max(d.peak, peakMemory(cmd.Process.Pid))
			select {
			case <-p.done:
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				p.stop(syscall.SIGINT)
			}
		}
		d.out = p.out.String()
		if !cmd.ProcessState.Success() {
			return fmt.Errorf("orion deploy: %s\n%s", cmd.ProcessState, d.out)
		}
		d.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		return nil
	})
	d.wall, d.server = wall, used
	close(done)
	d.wait = <-waited
	return d, err
}

// plainly is what a CI job does without `orion deploy`: one environment, and
// for each folder pip install -r and the file. It knows no difference between a
// first and a later time.
func plainly(ctx context.Context, s *subject, r *flows) ([]value, error) {
	venv := filepath.Join(s.home, "venv")
	python := filepath.Join(venv, "bin", "python")
	for _, args := range [][]string{{"uv", "venv", "-q", "--seed", "--python", s.python, venv}, {"uv", "pip", "install", "-q", "--python", python, "prefect>=2.20,<3"}} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	var cpu time.Duration
	n := min(sampled, len(r.folders))
	used, wall, err := s.spent(func() error {
		for _, folder := range r.folders[:n] {
			for _, args := range [][]string{{"-m", "pip", "install", "-q", "-r", "requirements.txt"}, {"orders.deployment.py"}} {
				cmd := exec.CommandContext(ctx, python, args...)
				cmd.Dir, cmd.Env = folder, s.clientEnv("PREFECT_HOME="+filepath.Join(s.home, "client"), "DO_NOT_TRACK=1")
				out, err := cmd.CombinedOutput()
				if err != nil {
					return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
				}
				cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	times := float64(len(r.folders)) / float64(n)
	d := deployed{wall: time.Duration(float64(wall) * times), cpu: time.Duration(float64(cpu) * times), server: time.Duration(float64(used) * times)}
	fmt.Fprintf(os.Stderr, "  %d folders took %s; extrapolated to %d\n", n, wall.Round(time.Millisecond), len(r.folders))
	var out []value
	for _, step := range []string{"first deploy", "nothing changed", "everything changed"} {
		out = append(out, costs(step, d)...)
	}
	return out, nil
}

// costs are the figures that both ways have; the names say which of them were
// not measured as a whole.
func costs(step string, d deployed) []value {
	if step != "one file changed" && step != "shared module changed" {
		step += " (Prefect's extrapolated)"
	}
	return []value{{step, "s", d.wall.Seconds(), false}, {step + ", CPU", "s", d.cpu.Seconds(), false}, {step + ", server's CPU", "s", d.server.Seconds(), false}}
}

// clientEnv is the environment of somebody who deploys to the server: the
// user's own, for how packages are installed is written there, without what it
// says of servers.
func (s *subject) clientEnv(more ...string) []string {
	var env []string
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "PREFECT_") && !strings.HasPrefix(line, "ORION_") && !strings.HasPrefix(line, "CI=") {
			env = append(env, line)
		}
	}
	return append(append(env, "PREFECT_API_URL="+s.url("")), more...)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// peakMemory is the most that a process has had in memory, in bytes; 0 when it
// is gone.
func peakMemory(pid int) int64 {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kb, _ := strconv.ParseInt(fields[0], 10, 64)
	return kb << 10
}
