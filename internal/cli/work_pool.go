package cli

import (
	"fmt"
	"os"
	"strconv"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/spf13/cobra"
)

func (a *app) workPoolCmd() *cobra.Command {
	return group("work-pool", "Pools of queues that workers serve", a.poolCreateCmd(), a.poolLsCmd(), a.poolInspectCmd(), a.poolUpdateCmd(),
		a.poolPauseCmd("pause", true), a.poolPauseCmd("resume", false), a.poolLimitCmd(), a.poolPreviewCmd(), a.poolDeleteCmd())
}

func (a *app) pool(cmd *cobra.Command, name string) (*client.Client, *orion.WorkPool, error) {
	c, err := a.api()
	if err != nil {
		return nil, nil, err
	}
	p, err := c.WorkPool(cmd.Context(), name)
	if orion.KindOf(err) == orion.NotFound {
		err = orion.Errorf(orion.NotFound, "there is no work pool %q; make it with: orion work-pool create %s --type process", name, name)
	}
	return c, p, err
}

func (a *app) poolCreateCmd() *cobra.Command {
	var typ, description, template string
	var limit int64
	var paused bool
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a pool", Args: cobra.ExactArgs(1),
		Example: "  orion work-pool create local --type process",
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			body := orion.WorkPoolCreate{Name: args[0], Type: &typ, IsPaused: &paused}
			if description != "" {
				body.Description = &description
			}
			if cmd.Flags().Changed("limit") {
				body.ConcurrencyLimit = &limit
			}
			if template != "" {
				b, err := os.ReadFile(template)
				if err != nil {
					return err
				}
				if body.BaseJobTemplate = b; !body.BaseJobTemplate.IsValid() {
					return usage("%s is not JSON", template)
				}
			}
			var p orion.WorkPool
			if err := c.Do(cmd.Context(), "POST", "/work_pools/", body, &p); err != nil {
				return err
			}
			return a.show(p, func(w *printer) {
				w.line("Created the pool %s. Serve it with: orion agent start -p %s", w.bold(p.Name), p.Name)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&typ, "type", "t", "process", "what its workers start: process, docker, kubernetes, …")
	f.StringVar(&description, "description", "", "what the pool is for")
	f.StringVar(&template, "base-job-template", "", "a JSON file with the template of its jobs")
	f.Int64VarP(&limit, "limit", "l", 0, "how many runs may go on at once")
	f.BoolVar(&paused, "paused", false, "make it paused")
	return cmd
}

func (a *app) poolLsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the pools", Args: cobra.NoArgs,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			ps, err := allOf(func(offset int64) (out []orion.WorkPool, err error) {
				err = c.Do(cmd.Context(), "POST", "/work_pools/filter", orion.Page{Offset: &offset}, &out)
				return out, err
			})
			if err != nil {
				return err
			}
			return a.show(ps, func(w *printer) {
				var rows [][]string
				for _, p := range ps {
					rows = append(rows, []string{p.Name, p.Type, dash(value(p.Status)), number(p.ConcurrencyLimit), p.ID.String()})
				}
				w.table([]string{"POOL", "TYPE", "STATUS", "LIMIT", "ID"}, rows)
			})
		}),
	}
}

func (a *app) poolInspectCmd() *cobra.Command {
	return &cobra.Command{
		Use: "inspect NAME", Short: "Show a pool", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.pool(cmd, args[0])
			if err != nil {
				return err
			}
			var ws []orion.Worker
			if err := c.Do(cmd.Context(), "POST", client.Path("/work_pools/%s/workers/filter", p.Name), orion.Page{}, &ws); err != nil {
				return err
			}
			return a.show(p, func(w *printer) {
				w.fields("Pool", w.bold(p.Name), "Type", p.Type, "Status", value(p.Status), "Limit", number(p.ConcurrencyLimit), "Description", value(p.Description), "Id", p.ID.String())
				for _, x := range ws {
					w.line("  worker %s  %s, heard %s", x.Name, x.Status, relative(x.LastHeartbeatTime))
				}
			})
		},
	}
}

func (a *app) poolPatch(cmd *cobra.Command, name string, u orion.WorkPoolUpdate, done string) error {
	c, _, err := a.pool(cmd, name)
	if err != nil {
		return err
	}
	if err := c.Do(cmd.Context(), "PATCH", client.Path("/work_pools/%s", name), u, nil); err != nil {
		return err
	}
	p, err := c.WorkPool(cmd.Context(), name)
	if err != nil {
		return err
	}
	return a.show(p, func(w *printer) { w.line("%s %s", name, done) })
}

func (a *app) poolUpdateCmd() *cobra.Command {
	var description, template string
	var limit int64
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a pool", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var u orion.WorkPoolUpdate
			if cmd.Flags().Changed("description") {
				u.Description = orion.Some(description)
			}
			if cmd.Flags().Changed("limit") {
				u.ConcurrencyLimit = orion.Some(limit)
			}
			if template != "" {
				b, err := os.ReadFile(template)
				if err != nil {
					return err
				}
				u.BaseJobTemplate = orion.Some(orion.JSON(b))
			}
			return a.poolPatch(cmd, args[0], u, "is changed")
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what the pool is for")
	cmd.Flags().Int64VarP(&limit, "limit", "l", 0, "how many runs may go on at once")
	cmd.Flags().StringVar(&template, "base-job-template", "", "a JSON file with the template of its jobs")
	return cmd
}

func (a *app) poolPauseCmd(verb string, paused bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: map[bool]string{true: "Give out no more runs of a pool", false: "Give out runs of a pool again"}[paused], Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.poolPatch(cmd, args[0], orion.WorkPoolUpdate{IsPaused: orion.Some(paused)}, "is "+verb+"d")
		},
	}
}

func (a *app) poolLimitCmd() *cobra.Command {
	return &cobra.Command{
		Use: "set-concurrency-limit NAME LIMIT", Short: "Bound how many runs of a pool go on at once", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || n < 0 {
				return usage("the limit %q is not a number of runs", args[1])
			}
			return a.poolPatch(cmd, args[0], orion.WorkPoolUpdate{ConcurrencyLimit: orion.Some(n)}, "runs "+args[1]+" at once at most")
		},
	}
}

func (a *app) poolPreviewCmd() *cobra.Command {
	return &cobra.Command{
		Use: "preview NAME", Short: "Show the next runs of a pool", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.pool(cmd, args[0])
			if err != nil {
				return err
			}
			limit := int64(50)
			q := client.Query{Sort: "NEXT_SCHEDULED_START_TIME_ASC", Page: orion.Page{Limit: &limit}}
			q.WorkPools = &orion.WorkPoolFilter{Name: &orion.Cond[string]{Any: &[]string{p.Name}}}
			q.FlowRuns = &orion.FlowRunFilter{State: &orion.StateFilter{Type: &orion.Cond[string]{Any: &[]string{string(orion.Scheduled)}}}}
			runs, err := c.FlowRuns(cmd.Context(), q)
			if err != nil {
				return err
			}
			names, err := flowNames(cmd.Context(), c, runs)
			if err != nil {
				return err
			}
			return a.show(runs, func(w *printer) {
				var rows [][]string
				for _, r := range runs {
					rows = append(rows, []string{relative(r.NextScheduledStartTime), names[r.FlowID], r.Name, value(r.WorkQueueName), r.ID.String()})
				}
				if len(rows) == 0 {
					w.line("Nothing is scheduled in %s", p.Name)
					return
				}
				w.table([]string{"START", "FLOW", "RUN", "QUEUE", "ID"}, rows)
			})
		},
	}
}

func (a *app) poolDeleteCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a pool with its queues", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.pool(cmd, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(yes, fmt.Sprintf("This deletes the pool %q and its queues", p.Name)); err != nil {
				return err
			}
			if err := c.Do(cmd.Context(), "DELETE", client.Path("/work_pools/%s", p.Name), nil, nil); err != nil {
				return err
			}
			return a.show(map[string]any{"deleted": p.ID}, func(w *printer) { w.line("Deleted %s", p.Name) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
