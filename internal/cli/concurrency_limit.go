package cli

import (
	"fmt"
	"strconv"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/spf13/cobra"
)

func (a *app) limitCmd() *cobra.Command {
	return group("concurrency-limit", "Bounds on how many task runs with a tag go on at once", a.limitLsCmd(), a.limitCreateCmd(), a.limitInspectCmd(), a.limitResetCmd(), a.limitDeleteCmd())
}

func (a *app) limitLsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the limits", Args: cobra.NoArgs,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			ls, err := allOf(func(offset int64) (out []orion.TagLimit, err error) {
				err = c.Do(cmd.Context(), "POST", "/concurrency_limits/filter", orion.Page{Offset: &offset}, &out)
				return out, err
			})
			if err != nil {
				return err
			}
			return a.show(ls, func(p *printer) {
				var rows [][]string
				for _, l := range ls {
					rows = append(rows, []string{l.Tag, fmt.Sprint(l.ConcurrencyLimit), fmt.Sprint(len(l.ActiveSlots)), relative(l.Updated)})
				}
				if len(rows) == 0 {
					p.line("No limits yet. Make one with: orion concurrency-limit create TAG LIMIT")
					return
				}
				p.table([]string{"TAG", "LIMIT", "TAKEN", "UPDATED"}, rows)
			})
		}),
	}
}

func (a *app) tagLimit(cmd *cobra.Command, tag string) (*client.Client, *orion.TagLimit, error) {
	c, err := a.api()
	if err != nil {
		return nil, nil, err
	}
	var l *orion.TagLimit
	err = c.Do(cmd.Context(), "GET", client.Path("/concurrency_limits/tag/%s", tag), nil, &l)
	if orion.KindOf(err) == orion.NotFound {
		err = orion.Errorf(orion.NotFound, "there is no limit on the tag %q", tag)
	}
	return c, l, err
}

func (a *app) limitCreateCmd() *cobra.Command {
	return &cobra.Command{
		Use: "create TAG LIMIT", Short: "Bound a tag, or change its bound", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || n < 0 {
				return usage("the limit %q is not a number of task runs", args[1])
			}
			c, err := a.api()
			if err != nil {
				return err
			}
			var l orion.TagLimit
			if err := c.Do(cmd.Context(), "POST", "/concurrency_limits/", orion.TagLimitCreate{Tag: args[0], ConcurrencyLimit: &n}, &l); err != nil {
				return err
			}
			return a.show(l, func(p *printer) { p.line("%d task runs with the tag %s go on at once at most", n, p.bold(l.Tag)) })
		},
	}
}

func (a *app) limitInspectCmd() *cobra.Command {
	return &cobra.Command{
		Use: "inspect TAG", Short: "Show a limit and who holds its slots", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, l, err := a.tagLimit(cmd, args[0])
			if err != nil {
				return err
			}
			return a.show(l, func(p *printer) {
				p.fields("Tag", p.bold(l.Tag), "Limit", fmt.Sprint(l.ConcurrencyLimit), "Taken", fmt.Sprint(len(l.ActiveSlots)))
				for _, s := range l.ActiveSlots {
					p.line("  task run %s", s)
				}
			})
		},
	}
}

func (a *app) limitResetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "reset TAG", Short: "Take back every slot of a limit", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, l, err := a.tagLimit(cmd, args[0])
			if err != nil {
				return err
			}
			if err := c.Do(cmd.Context(), "POST", client.Path("/concurrency_limits/tag/%s/reset", l.Tag), map[string]any{"slot_override": nil}, nil); err != nil {
				return err
			}
			return a.show(map[string]any{"reset": l.Tag}, func(p *printer) { p.line("Reset %s", l.Tag) })
		},
	}
}

func (a *app) limitDeleteCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete TAG", Short: "Lift a limit", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, l, err := a.tagLimit(cmd, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(yes, fmt.Sprintf("This lifts the limit on the tag %q", l.Tag)); err != nil {
				return err
			}
			if err := c.Do(cmd.Context(), "DELETE", client.Path("/concurrency_limits/tag/%s", l.Tag), nil, nil); err != nil {
				return err
			}
			return a.show(map[string]any{"deleted": l.ID}, func(p *printer) { p.line("Deleted the limit on %s", l.Tag) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
