package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/doctor"
	"github.com/orionflows/orion/internal/plan"
	"github.com/spf13/cobra"
)

func (a *app) doctorCmd() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use: "doctor [PATH|GLOB…]", Short: "Look for what would keep flows from running",
		Long: "Look for what would keep flows from running, before anything runs. Every deployment file is run as for a plan. Then blocks, variables, storages, images, pools and queues that the deployments name are looked for, and schedules, parameters and entrypoints are checked. Nothing changes on the server. It exits with 1 when there are errors. " + deployPaths,
		Example: `  orion doctor
  orion doctor projects/shop
  orion deploy --check                       look first, and deploy only without errors`,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			v := a.deployView()
			f.refresh = true // a file that is as it was may name what is gone
			p, err := a.makePlan(cmd.Context(), c, f, args, v)
			if err != nil {
				return err
			}
			r, err := a.examine(cmd.Context(), c, p, v)
			if err != nil {
				return err
			}
			if err := a.show(r, func(pr *printer) { pr.report(r) }); err != nil {
				return err
			}
			if r.Count(doctor.Error) > 0 {
				return quietly{errors.New("there are errors")}
			}
			return nil
		}),
	}
	f.selection(cmd.Flags())
	return cmd
}

// examine looks at what a plan names, and tells the CI system.
func (a *app) examine(ctx context.Context, c *client.Client, p *plan.Plan, v *deployView) (*doctor.Report, error) {
	v.progress("looking for what the deployments name")
	r, err := doctor.Examine(ctx, c, p)
	v.done()
	if err != nil {
		return nil, err
	}
	return r, v.ci.examined(r)
}

// check is --check: it prints what is wrong, and refuses to go on after an
// error.
func (a *app) check(ctx context.Context, c *client.Client, p *plan.Plan, v *deployView) error {
	r, err := a.examine(ctx, c, p, v)
	if err != nil {
		return err
	}
	a.printer(a.err).report(r)
	if n := r.Count(doctor.Error); n > 0 {
		return orion.Errorf(orion.Invalid, "the check found %s, so nothing was deployed", count(n, "error"))
	}
	return nil
}

// report prints findings, those of a file below its name.
func (pr *printer) report(r *doctor.Report) {
	marks := map[doctor.Level]string{doctor.Error: pr.red("✕ error  "), doctor.Warning: pr.yellow("! warning"), doctor.Hint: pr.blue("○ hint   ")}
	for _, f := range r.Findings {
		file := f.File
		if f.Line > 0 {
			file += fmt.Sprintf(":%d", f.Line)
		}
		pr.line("  %s  %s", marks[f.Level], pr.bold(file))
		for line := range strings.SplitSeq(f.What, "\n") {
			pr.line("      %s", line)
		}
		pr.line("      %s", pr.dim("→ "+f.Fix))
	}
	for _, n := range r.NotChecked {
		pr.line("  %s", pr.dim("not checked: "+n))
	}
	what := fmt.Sprintf("%s of %s", count(r.Deployments, "deployment"), count(r.Files, "file"))
	if len(r.Findings) == 0 {
		pr.line("  %s All is well with %s.", pr.green("✓"), what)
		return
	}
	pr.line("  %s, %s, %s in %s.", count(r.Count(doctor.Error), "error"), count(r.Count(doctor.Warning), "warning"), count(r.Count(doctor.Hint), "hint"), what)
}
