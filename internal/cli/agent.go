package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/agent"
	"github.com/orionflows/orion/internal/config"
	"github.com/orionflows/orion/internal/pyenv"
	"github.com/spf13/cobra"
)

func (a *app) agentCmd() *cobra.Command {
	return group("agent", "The agent: takes runs from queues and pools, and runs them", a.agentStartCmd())
}

// environments keeps the Python environments in the data folder.
func (a *app) environments(log func(string)) (*pyenv.Manager, error) {
	return pyenv.New(pyenv.Options{Dir: filepath.Join(a.config.Get(config.Home), "environments"), Log: log})
}

// codeFolder keeps the code of versions in the data folder.
func (a *app) codeFolder() string { return filepath.Join(a.config.Get(config.Home), "code") }

// environmentOf finds the interpreter for a folder of code. A Python that was
// named, or an active environment that has Prefect, is used as it is.
func environmentOf(m *pyenv.Manager, python string) func(context.Context, string, string) (string, error) {
	return func(ctx context.Context, folder, root string) (string, error) {
		if python != "" {
			return python, nil
		}
		spec, err := m.ForFolder(ctx, folder, root)
		if err != nil {
			return "", err
		}
		env, err := m.Ensure(ctx, spec, nil)
		return env.Python, err
	}
}

func (a *app) agentStartCmd() *cobra.Command {
	var o agent.Options
	var python, logLevel string
	var once bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start an agent",
		Long:  "Start an agent. It takes due runs from the named queues, or from a pool as its worker, and starts each as a process in the environment of its folder's requirements.txt. It serves Orion and Prefect 2 servers alike.",
		Example: `  orion agent start -q kubernetes
  orion agent start -q default -q reports --limit 4
  orion agent start -p local`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.Queues) == 0 && o.Pool == "" {
				return usage("name a queue to serve with -q, or a pool with -p")
			}
			c, err := a.api()
			if err != nil {
				return err
			}
			if o.Log, err = logger(os.Stderr, logLevel); err != nil {
				return err
			}
			ctx := cmd.Context()
			if err := c.Do(ctx, "GET", "/health", nil, nil); err != nil {
				return err
			}
			if o.Pool != "" {
				if err := ensurePool(ctx, c, o.Pool); err != nil {
					return err
				}
			}
			var envs *pyenv.Manager
			if python == "" {
				if envs, err = a.environments(nil); err != nil {
					return err
				}
			}
			p := a.printer(a.out)
			o.Client = c
			o.Code = a.codeFolder()
			o.Environment = environmentOf(envs, python)
			o.Output = func(run *orion.FlowRun, line string) { p.line("%s %s", p.dim(run.Name+" |"), line) }
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			o.Changed = func(run *orion.FlowRun, what string) {
				if what == "taken" {
					p.line("%s  %s taken", time.Now().Format("15:04:05"), p.bold(run.Name))
					return
				}
				p.line("%s  %s %s", time.Now().Format("15:04:05"), p.bold(run.Name), p.state(value(run.StateType), dash(value(run.StateName))))
			}
			ag := agent.New(o)
			if once {
				go stopWhenIdle(ctx, ag, stop)
			}
			what := fmt.Sprint(o.Queues)
			if o.Pool != "" {
				what = "pool " + o.Pool
			}
			p.line("Agent %s serves %s at %s", p.bold(ag.Name()), what, c.URL())
			return ag.Run(ctx)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.Queues, "queue", "q", nil, "a work queue to serve")
	f.StringVarP(&o.Pool, "pool", "p", "", "a work pool to serve")
	f.StringVar(&o.Name, "name", "", "what the agent is called")
	f.IntVar(&o.Limit, "limit", 0, "how many runs go on at once (default no limit)")
	f.DurationVar(&o.Ahead, "prefetch", 10*time.Second, "how long before its time a run is taken")
	f.StringVar(&python, "python", "", "run flows with this interpreter instead of an environment for each folder")
	f.BoolVar(&once, "run-once", false, "end when nothing is left to run")
	f.StringVar(&logLevel, "log-level", envOr("ORION_LOG_LEVEL", "info"), "debug, info, warn or error")
	return cmd
}

func ensurePool(ctx context.Context, c *client.Client, name string) error {
	if _, err := c.WorkPool(ctx, name); orion.KindOf(err) != orion.NotFound {
		return err
	}
	typ := "process"
	err := c.Do(ctx, "POST", "/work_pools/", orion.WorkPoolCreate{Name: name, Type: &typ}, nil)
	if orion.KindOf(err) == orion.Conflict {
		return nil
	}
	return err
}

// stopWhenIdle ends an agent that has had nothing to do for some seconds.
func stopWhenIdle(ctx context.Context, ag *agent.Agent, stop func()) {
	idle := 0
	for idle < 5 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		idle++
		if !ag.Idle() {
			idle = 0
		}
	}
	stop()
}
