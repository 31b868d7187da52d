package cli

import (
	"fmt"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/spf13/cobra"
)

func (a *app) blockCmd() *cobra.Command {
	return group("block", "Blocks: credentials, storage and other settings that flows load", a.blockLsCmd(), a.blockTypesCmd(), a.blockInspectCmd(), a.blockDeleteCmd())
}

func (a *app) blockLsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the blocks", Args: cobra.NoArgs,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			ds, err := allOf(func(offset int64) (out []orion.BlockDocument, err error) {
				err = c.Do(cmd.Context(), "POST", "/block_documents/filter", map[string]any{"offset": offset, "sort": "BLOCK_TYPE_AND_NAME_ASC"}, &out)
				return out, err
			})
			if err != nil {
				return err
			}
			return a.show(ds, func(p *printer) {
				if len(ds) == 0 {
					p.line("No blocks yet. A flow or deployment file saves one with: Secret(value=…).save(\"name\")")
					return
				}
				var rows [][]string
				for _, d := range ds {
					rows = append(rows, []string{blockRef(&d), relative(d.Updated), d.ID.String()})
				}
				p.table([]string{"BLOCK", "UPDATED", "ID"}, rows)
			})
		}),
	}
}

func blockRef(d *orion.BlockDocument) string {
	slug := value(d.BlockTypeName)
	if d.BlockType != nil {
		slug = d.BlockType.Slug
	}
	return slug + "/" + value(d.Name)
}

func (a *app) blockTypesCmd() *cobra.Command {
	return &cobra.Command{
		Use: "types", Short: "List the types of blocks", Args: cobra.NoArgs,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			ts, err := allOf(func(offset int64) (out []orion.BlockType, err error) {
				err = c.Do(cmd.Context(), "POST", "/block_types/filter", orion.Page{Offset: &offset}, &out)
				return out, err
			})
			if err != nil {
				return err
			}
			return a.show(ts, func(p *printer) {
				var rows [][]string
				for _, t := range ts {
					rows = append(rows, []string{t.Slug, t.Name, strings.SplitN(value(t.Description), "\n", 2)[0]})
				}
				p.table([]string{"TYPE", "NAME", "WHAT FOR"}, rows)
			})
		}),
	}
}

// block finds a block "type/name" or by its id. Secrets stay masked.
func (a *app) block(cmd *cobra.Command, ref string) (*client.Client, *orion.BlockDocument, error) {
	c, err := a.api()
	if err != nil {
		return nil, nil, err
	}
	var d *orion.BlockDocument
	if id, e := orion.ParseID(ref); e == nil {
		d, err = c.BlockDocument(cmd.Context(), id, false)
	} else {
		slug, name, ok := strings.Cut(ref, "/")
		if !ok {
			return nil, nil, usage("%q is not the name of a block: it is written TYPE/NAME, such as secret/api-token", ref)
		}
		err = c.Do(cmd.Context(), "GET", client.Path("/block_types/slug/%s/block_documents/name/%s", slug, name), nil, &d)
	}
	if orion.KindOf(err) == orion.NotFound {
		err = orion.Errorf(orion.NotFound, "there is no block %s; list them with: orion block ls", ref)
	}
	return c, d, err
}

func (a *app) blockInspectCmd() *cobra.Command {
	return &cobra.Command{
		Use: "inspect TYPE/NAME", Short: "Show a block; its secrets stay hidden", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, d, err := a.block(cmd, args[0])
			if err != nil {
				return err
			}
			return a.show(d, func(p *printer) {
				pairs := []string{"Block", p.bold(blockRef(d)), "Id", d.ID.String(), "Updated", relative(d.Updated)}
				var data map[string]orion.JSON
				if orion.Decode(orion.ObjectOr(d.Data), &data) == nil {
					for k, v := range data {
						pairs = append(pairs, k, strings.Trim(string(v), `"`))
					}
				}
				p.fields(pairs...)
			})
		},
	}
}

func (a *app) blockDeleteCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete TYPE/NAME", Short: "Delete a block", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, d, err := a.block(cmd, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(yes, fmt.Sprintf("This deletes the block %q; what uses it will fail", blockRef(d))); err != nil {
				return err
			}
			if err := c.Do(cmd.Context(), "DELETE", client.Path("/block_documents/%s", d.ID), nil, nil); err != nil {
				return err
			}
			return a.show(map[string]any{"deleted": d.ID}, func(p *printer) { p.line("Deleted %s", blockRef(d)) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
