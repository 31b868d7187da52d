package cli

import (
	"fmt"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/spf13/cobra"
)

func (a *app) variableCmd() *cobra.Command {
	return group("variable", "Named values that flows read", a.variableLsCmd(), a.variableGetCmd(), a.variableSetCmd(), a.variableDeleteCmd())
}

func (a *app) variableLsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the variables", Args: cobra.NoArgs,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			vs, err := allOf(func(offset int64) (out []orion.Variable, err error) {
				err = c.Do(cmd.Context(), "POST", "/variables/filter", orion.Page{Offset: &offset}, &out)
				return out, err
			})
			if err != nil {
				return err
			}
			return a.show(vs, func(p *printer) {
				var rows [][]string
				for _, v := range vs {
					rows = append(rows, []string{v.Name, text(v.Value), strings.Join(v.Tags, ", "), relative(v.Updated)})
				}
				if len(rows) == 0 {
					p.line("No variables yet. Make one with: orion variable set NAME VALUE")
					return
				}
				p.table([]string{"NAME", "VALUE", "TAGS", "UPDATED"}, rows)
			})
		}),
	}
}

// text is a JSON string without its quotes, other values as they are.
func text(v orion.JSON) string {
	var s string
	if orion.Decode(v, &s) == nil {
		return s
	}
	return string(v)
}

func (a *app) oneVariable(cmd *cobra.Command, name string) (*client.Client, *orion.Variable, error) {
	c, err := a.api()
	if err != nil {
		return nil, nil, err
	}
	var v *orion.Variable
	err = c.Do(cmd.Context(), "GET", client.Path("/variables/name/%s", name), nil, &v)
	if orion.KindOf(err) == orion.NotFound {
		err = orion.Errorf(orion.NotFound, "there is no variable %q", name)
	}
	return c, v, err
}

func (a *app) variableGetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Aliases: []string{"inspect"}, Short: "Print a variable's value", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, v, err := a.oneVariable(cmd, args[0])
			if err != nil {
				return err
			}
			return a.show(v, func(p *printer) { p.line("%s", text(v.Value)) })
		},
	}
}

func (a *app) variableSetCmd() *cobra.Command {
	var tags []string
	cmd := &cobra.Command{
		Use: "set NAME VALUE", Short: "Make a variable or change it", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := orion.Encode(args[1])
			if err != nil {
				return err
			}
			c, v, err := a.oneVariable(cmd, args[0])
			switch {
			case err == nil:
				u := orion.VariableUpdate{Value: orion.Some(orion.JSON(b))}
				if cmd.Flags().Changed("tag") {
					u.Tags = orion.Some(tags)
				}
				err = c.Do(cmd.Context(), "PATCH", client.Path("/variables/name/%s", v.Name), u, nil)
			case orion.KindOf(err) == orion.NotFound:
				err = c.Do(cmd.Context(), "POST", "/variables/", orion.VariableCreate{Name: args[0], Value: b, Tags: tags}, nil)
			}
			if err != nil {
				return err
			}
			if _, v, err = a.oneVariable(cmd, args[0]); err != nil {
				return err
			}
			return a.show(v, func(p *printer) { p.line("%s = %s", v.Name, text(v.Value)) })
		},
	}
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "a tag")
	return cmd
}

func (a *app) variableDeleteCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a variable", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, v, err := a.oneVariable(cmd, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(yes, fmt.Sprintf("This deletes the variable %q", v.Name)); err != nil {
				return err
			}
			if err := c.Do(cmd.Context(), "DELETE", client.Path("/variables/name/%s", v.Name), nil, nil); err != nil {
				return err
			}
			return a.show(map[string]any{"deleted": v.ID}, func(p *printer) { p.line("Deleted %s", v.Name) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
