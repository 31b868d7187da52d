package up

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/orionflows/orion"
)

// Expectations say how the runs of deployments should end, by "flow/deployment";
// those not listed should complete.
type Expectations map[string]Expectation

// Expectation is how one run should end.
type Expectation struct {
	State           string `yaml:"state"`
	Name            string `yaml:"name"`
	MessageContains string `yaml:"message_contains"`
}

// ReadExpectations reads orion.yaml; without one everything should complete.
func ReadExpectations(path string) (Expectations, error) {
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return Expectations{}, nil
	}
	if err != nil {
		return nil, err
	}
	var f struct {
		Expect Expectations `yaml:"expect"`
	}
	d := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict())
	if err := d.Decode(&f); err != nil {
		return nil, orion.Errorf(orion.Invalid, "%s cannot be read:\n%v", path, err)
	}
	for name, e := range f.Expect {
		if t := orion.StateType(strings.ToUpper(e.State)); e.State != "" && (!t.Known() || !t.Final()) {
			return nil, orion.Errorf(orion.Invalid, "%s: %q should end as %q, which is no state that a run ends in; there are COMPLETED, FAILED, CRASHED and CANCELLED", path, name, e.State)
		}
	}
	return f.Expect, nil
}

// Outcome is how one run ended.
type Outcome struct {
	Deployment string
	Run        *orion.FlowRun
	Took       time.Duration
	// Wrong says in what it differs from what was expected; "" when it does not.
	Wrong string
}

func (e Expectation) check(run *orion.FlowRun) string {
	want := strings.ToUpper(e.State)
	if want == "" {
		want = string(orion.Completed)
	}
	got := string(run.Type())
	msg, name := "", ""
	if run.State != nil {
		name = run.State.Name
		if run.State.Message != nil {
			msg = *run.State.Message
		}
	}
	switch {
	case got != want:
		return fmt.Sprintf("ended as %s, not %s: %s", got, want, msg)
	case e.Name != "" && e.Name != name:
		return fmt.Sprintf("ended as %s, not %s", name, e.Name)
	case e.MessageContains != "" && !strings.Contains(msg, e.MessageContains):
		return fmt.Sprintf("its message is %q and does not contain %q", msg, e.MessageContains)
	}
	return ""
}

// once runs each deployment and waits for all of them.
func (s *stack) once(ctx context.Context, sum Summary, expected Expectations) error {
	timeout := s.o.OnceTimeout
	if timeout == 0 {
		timeout = 20 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the runs did not end within %s", timeout))
	defer cancel()
	waiting := map[orion.ID]string{}
	names := map[string]bool{}
	for _, d := range sum.Deployments {
		name := sum.Flows[d.FlowID] + "/" + d.Name
		names[name] = true
		run, err := s.c.RunDeployment(ctx, d.ID, orion.DeploymentFlowRunCreate{})
		if err != nil {
			return fmt.Errorf("%s cannot be run: %w", name, err)
		}
		waiting[run.ID] = name
	}
	wrong := len(sum.Failed)
	var missing []string
	for name := range expected {
		if !names[name] {
			missing = append(missing, name)
		}
	}
	sort.Strings(missing)
	for _, name := range missing {
		wrong++
		s.tell(func(e Events) {
			e.Outcome(Outcome{Deployment: name, Wrong: "orion.yaml names it, and no file registered it"})
		})
	}
	total := len(waiting)
	for len(waiting) > 0 {
		for id, name := range waiting {
			run, err := s.c.FlowRun(ctx, id)
			if err != nil {
				if ctx.Err() != nil {
					break
				}
				return err
			}
			if !run.Type().Final() {
				continue
			}
			delete(waiting, id)
			o := Outcome{Deployment: name, Run: run, Took: time.Duration(run.TotalRunTime), Wrong: expected[name].check(run)}
			if o.Wrong != "" {
				wrong++
			}
			s.tell(func(e Events) { e.Outcome(o) })
		}
		select {
		case <-ctx.Done():
			for id, name := range waiting {
				o := Outcome{Deployment: name, Wrong: "has not ended"}
				late, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				if run, err := s.c.FlowRun(late, id); err == nil && run.StateName != nil {
					o.Run, o.Wrong = run, "has not ended: it is "+*run.StateName
				}
				stop()
				s.tell(func(e Events) { e.Outcome(o) })
			}
			if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
				return cause
			}
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
	if wrong > 0 {
		return orion.Errorf(orion.Conflict, "%d of %d deployments did not end as they should", wrong, total+len(sum.Failed)+len(missing))
	}
	return nil
}
