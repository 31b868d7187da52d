package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/spf13/cobra"
)

func (a *app) workQueueCmd() *cobra.Command {
	var pool string
	cmd := group("work-queue", "Queues that agents poll",
		a.queueCreateCmd(&pool), a.queueLsCmd(&pool), a.queueInspectCmd(&pool), a.queuePauseCmd(&pool, "pause", true), a.queuePauseCmd(&pool, "resume", false),
		a.queueLimitCmd(&pool), a.queueClearLimitCmd(&pool), a.queuePreviewCmd(&pool), a.queueDeleteCmd(&pool))
	cmd.PersistentFlags().StringVarP(&pool, "pool", "p", "", "the work pool (default "+orion.DefaultAgentPool+")")
	return cmd
}

// queue finds a queue by its name.
func queue(ctx context.Context, c *client.Client, pool, name string) (out *orion.WorkQueue, err error) {
	if pool == "" {
		out, err = c.WorkQueueByName(ctx, name)
	} else {
		err = c.Do(ctx, "GET", client.Path("/work_pools/%s/queues/%s", pool, name), nil, &out)
	}
	if orion.KindOf(err) == orion.NotFound {
		return nil, orion.Errorf(orion.NotFound, "there is no work queue %q; make it with: orion work-queue create %s", name, name)
	}
	return out, err
}

func (a *app) queueCreateCmd(pool *string) *cobra.Command {
	var limit, priority int64
	var description string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a queue", Args: cobra.ExactArgs(1),
		Example: "  orion work-queue create kubernetes --limit 10",
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			body := orion.WorkQueueCreate{Name: args[0]}
			if cmd.Flags().Changed("limit") {
				body.ConcurrencyLimit = &limit
			}
			if cmd.Flags().Changed("priority") {
				body.Priority = &priority
			}
			if description != "" {
				body.Description = &description
			}
			path := "/work_queues/"
			if *pool != "" {
				path = client.Path("/work_pools/%s/queues", *pool)
			}
			var q orion.WorkQueue
			if err := c.Do(cmd.Context(), "POST", path, body, &q); err != nil {
				return err
			}
			return a.show(q, func(p *printer) {
				p.line("Created the queue %s. Serve it with: orion agent start -q %s", p.bold(q.Name), q.Name)
			})
		}),
	}
	cmd.Flags().Int64VarP(&limit, "limit", "l", 0, "how many runs may go on at once")
	cmd.Flags().Int64Var(&priority, "priority", 1, "1 is served first")
	cmd.Flags().StringVar(&description, "description", "", "what the queue is for")
	return cmd
}

func (a *app) queueLsCmd(pool *string) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the queues", Args: cobra.NoArgs,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			path := "/work_queues/filter"
			if *pool != "" {
				path = client.Path("/work_pools/%s/queues/filter", *pool)
			}
			qs, err := allOf(func(offset int64) (out []orion.WorkQueue, err error) {
				err = c.Do(cmd.Context(), "POST", path, orion.Page{Offset: &offset}, &out)
				return out, err
			})
			if err != nil {
				return err
			}
			return a.show(qs, func(p *printer) {
				var rows [][]string
				for _, q := range qs {
					rows = append(rows, []string{q.Name, value(q.WorkPoolName), queueState(p, &q), fmt.Sprint(q.Priority), number(q.ConcurrencyLimit), sometime(q.LastPolled), q.ID.String()})
				}
				p.table([]string{"QUEUE", "POOL", "STATUS", "PRIORITY", "LIMIT", "LAST POLLED", "ID"}, rows)
			})
		}),
	}
}

func queueState(p *printer, q *orion.WorkQueue) string {
	switch {
	case q.IsPaused:
		return p.yellow("= paused")
	case q.LastPolled.IsZero() || time.Since(q.LastPolled.Std()) > time.Minute:
		return p.dim("○ no agent")
	}
	return p.green("✓ served")
}

func (a *app) queueInspectCmd(pool *string) *cobra.Command {
	return &cobra.Command{
		Use: "inspect NAME", Short: "Show a queue", Args: cobra.ExactArgs(1),
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			q, err := queue(cmd.Context(), c, *pool, args[0])
			if err != nil {
				return err
			}
			return a.show(q, func(p *printer) {
				p.fields("Queue", p.bold(q.Name), "Pool", value(q.WorkPoolName), "Status", queueState(p, q), "Limit", number(q.ConcurrencyLimit), "Priority", fmt.Sprint(q.Priority),
					"Last polled", sometime(q.LastPolled), "Description", value(q.Description), "Id", q.ID.String())
			})
		}),
	}
}

// queueUpdate patches a queue and prints what it is then.
func (a *app) queueUpdate(cmd *cobra.Command, pool, name string, u orion.WorkQueueUpdate, done string) error {
	c, err := a.api()
	if err != nil {
		return err
	}
	q, err := queue(cmd.Context(), c, pool, name)
	if err != nil {
		return err
	}
	if err := c.Do(cmd.Context(), "PATCH", client.Path("/work_queues/%s", q.ID), u, nil); err != nil {
		return err
	}
	if q, err = queue(cmd.Context(), c, pool, name); err != nil {
		return err
	}
	return a.show(q, func(p *printer) { p.line("%s %s", q.Name, done) })
}

func (a *app) queuePauseCmd(pool *string, verb string, paused bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: map[bool]string{true: "Give out no more runs of a queue", false: "Give out runs of a queue again"}[paused], Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.queueUpdate(cmd, *pool, args[0], orion.WorkQueueUpdate{IsPaused: orion.Some(paused)}, "is "+verb+"d")
		},
	}
}

func (a *app) queueLimitCmd(pool *string) *cobra.Command {
	return &cobra.Command{
		Use: "set-concurrency-limit NAME LIMIT", Short: "Bound how many runs of a queue go on at once", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || n < 0 {
				return usage("the limit %q is not a number of runs", args[1])
			}
			return a.queueUpdate(cmd, *pool, args[0], orion.WorkQueueUpdate{ConcurrencyLimit: orion.Some(n)}, "runs "+args[1]+" at once at most")
		},
	}
}

func (a *app) queueClearLimitCmd(pool *string) *cobra.Command {
	return &cobra.Command{
		Use: "clear-concurrency-limit NAME", Short: "Lift a queue's limit", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.queueUpdate(cmd, *pool, args[0], orion.WorkQueueUpdate{ConcurrencyLimit: orion.Opt[int64]{Set: true, Null: true}}, "has no limit")
		},
	}
}

func (a *app) queuePreviewCmd(pool *string) *cobra.Command {
	var hours float64
	cmd := &cobra.Command{
		Use: "preview NAME", Short: "Show the next runs of a queue", Args: cobra.ExactArgs(1),
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			q, err := queue(cmd.Context(), c, *pool, args[0])
			if err != nil {
				return err
			}
			limit := int64(50)
			f := client.Query{Sort: "NEXT_SCHEDULED_START_TIME_ASC", Page: orion.Page{Limit: &limit}}
			f.WorkPoolQueues = &orion.WorkQueueFilter{ID: &orion.Cond[orion.ID]{Any: &[]orion.ID{q.ID}}}
			f.FlowRuns = &orion.FlowRunFilter{State: &orion.StateFilter{Type: &orion.Cond[string]{Any: &[]string{string(orion.Scheduled)}}},
				NextScheduledStartTime: &orion.Cond[orion.ID]{Before: orion.Now().Add(time.Duration(hours * float64(time.Hour)))}}
			runs, err := c.FlowRuns(cmd.Context(), f)
			if err != nil {
				return err
			}
			names, err := flowNames(cmd.Context(), c, runs)
			if err != nil {
				return err
			}
			return a.show(runs, func(p *printer) {
				var rows [][]string
				for _, r := range runs {
					rows = append(rows, []string{relative(r.NextScheduledStartTime), r.NextScheduledStartTime.Std().Local().Format("2006-01-02 15:04:05"), names[r.FlowID], r.Name, r.ID.String()})
				}
				if len(rows) == 0 {
					p.line("Nothing is scheduled in %s", q.Name)
					return
				}
				p.table([]string{"START", "TIME", "FLOW", "RUN", "ID"}, rows)
			})
		}),
	}
	cmd.Flags().Float64Var(&hours, "hours", 24, "how far to look ahead")
	return cmd
}

func (a *app) queueDeleteCmd(pool *string) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a queue", Args: cobra.ExactArgs(1),
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			q, err := queue(cmd.Context(), c, *pool, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(yes, fmt.Sprintf("This deletes the queue %q; its runs wait until there is a queue of that name again", q.Name)); err != nil {
				return err
			}
			path := client.Path("/work_queues/%s", q.ID)
			if *pool != "" {
				path = client.Path("/work_pools/%s/queues/%s", *pool, q.Name)
			}
			if err := c.Do(cmd.Context(), "DELETE", path, nil, nil); err != nil {
				return err
			}
			return a.show(map[string]any{"deleted": q.ID}, func(p *printer) { p.line("Deleted %s", q.Name) })
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
