package cli

import (
	"fmt"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/plan"
	"github.com/spf13/cobra"
)

func (a *app) gcCmd() *cobra.Command {
	return group("gc", "Remove what nothing needs any more", a.gcBundlesCmd())
}

func (a *app) gcBundlesCmd() *cobra.Command {
	var keep time.Duration
	var dryRun bool
	cmd := &cobra.Command{
		Use: "bundles", Short: "Remove code from the storages that no deployment and no run refers to", Args: cobra.NoArgs,
		Long: "Remove code from the storages of deployments: bundles that no deployment runs, that no run refers to, and that no version made within --keep needs. What the server keeps itself it removes by itself. A deploy does the same when it is done.",
		Example: `  orion gc bundles --dry-run
  orion gc bundles --keep 168h`,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if err := c.Do(cmd.Context(), "GET", "/health", nil, nil); err != nil {
				return err
			}
			if !c.IsOrion() {
				return orion.Errorf(orion.BadRequest, "%s is no Orion server, so nothing knows which code is in use", c.URL())
			}
			gone, err := plan.CollectBundles(cmd.Context(), c, keep, dryRun)
			if gone == nil {
				return err
			}
			if e := a.show(gone, func(p *printer) {
				var bytes int64
				for _, g := range gone {
					p.line("  %s  %s  %s", g.Bundle[:12], g.Storage, p.dim(fmt.Sprintf("%s, %d bytes", count(g.Files, "file"), g.Bytes)))
					bytes += g.Bytes
				}
				verb := "removed"
				if dryRun {
					verb = "would be removed"
				}
				p.line("  %s %s, %d bytes", count(len(gone), "bundle"), verb, bytes)
			}); e != nil {
				return e
			}
			return err
		}),
	}
	cmd.Flags().DurationVar(&keep, "keep", plan.KeepBundles, "how long code stays after the last version that needs it was made")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would be removed")
	return cmd
}
