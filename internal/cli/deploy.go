package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/config"
	"github.com/orionflows/orion/internal/deploy"
	"github.com/orionflows/orion/internal/plan"
	"github.com/orionflows/orion/internal/pyenv"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// exitChanges is `orion plan --exit-code` when there is something to do.
const exitChanges = 3

// planFlags are what plan and deploy have in common.
type planFlags struct {
	pattern, since, repository string
	refresh, overwrite, check  bool
	comment                    bool
	parallel                   int
	timeout                    time.Duration
}

// selection adds the flags that say which files are meant.
func (f *planFlags) selection(fl *pflag.FlagSet) {
	fl.StringVar(&f.pattern, "pattern", "", "only the files whose path matches this regular expression somewhere")
	fl.StringVar(&f.since, "changed-since", "", "only the files whose inputs changed since this git revision")
	fl.StringVar(&f.repository, "repository", "", "what the repository is called (default: the origin's owner/name, else the folder's)")
	fl.IntVar(&f.parallel, "parallel", 0, "how many files run at once (default one for each core)")
}

func (f *planFlags) add(fl *pflag.FlagSet) {
	f.selection(fl)
	fl.BoolVar(&f.refresh, "refresh", false, "run files again of which nothing changed, too")
	fl.BoolVar(&f.overwrite, "overwrite-drift", false, "give up what was changed by hand on the server")
	fl.BoolVar(&f.check, "check", false, "look first whether all that the deployments name can be reached (see: orion doctor)")
	fl.DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long one file may take")
	fl.BoolVar(&f.comment, "comment", false, "on GitHub: put the plan on the pull request, with GITHUB_TOKEN")
}

const deployPaths = "Paths are files, folders or patterns; without one it is the whole repository that the working folder is in."

func (a *app) planCmd() *cobra.Command {
	var f planFlags
	var out string
	var exitCode, prune bool
	cmd := &cobra.Command{
		Use: "plan [PATH|GLOB…]", Short: "Show what a deploy would change",
		Long: "Show what a deploy would change on the server, without changing anything there or in a storage. Every deployment file is run as it is, in the environment of its folder, against a stand-in for the server that notes what the file would do. " + deployPaths,
		Example: `  orion plan
  orion plan projects/shop --exit-code       exit with 3 when there is something to do
  orion plan --out plan.json                 and later: orion deploy --plan plan.json`,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			v := a.deployView()
			p, err := a.makePlan(cmd.Context(), c, f, args, v)
			if err != nil {
				return err
			}
			if err := a.showPlan(p, v, prune); err != nil {
				return err
			}
			if a.output != "json" && !p.Empty(false) && len(p.Failures) == 0 {
				a.printer(a.out).line("  Apply it with: orion deploy")
			}
			if err := v.ci.planned(p, prune); err != nil {
				return err
			}
			if f.comment {
				v.ci.comment(cmd.Context(), p, markdown(p, prune))
			}
			if f.check {
				if err := a.check(cmd.Context(), c, p, v); err != nil {
					return err
				}
			}
			if out != "" {
				if err := savePlan(p, out); err != nil {
					return err
				}
			}
			switch {
			case len(p.Failures) > 0:
				return quietly{errors.New("some files failed")}
			case exitCode && !p.Empty(prune):
				return exit(exitChanges)
			}
			return nil
		}),
	}
	f.add(cmd.Flags())
	cmd.Flags().StringVar(&out, "out", "", "save the plan to this file, for deploy --plan")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when there is something to do")
	cmd.Flags().BoolVar(&prune, "prune", false, "count what would be removed as something to do")
	return cmd
}

func savePlan(p *plan.Plan, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(p.Write(file), file.Close())
}

func (a *app) deployCmd() *cobra.Command {
	var f planFlags
	var saved string
	var prune, yes, noAtomic bool
	cmd := &cobra.Command{
		Use: "deploy [PATH|GLOB…]", Short: "Deploy the flows of a repository",
		Long: "Deploy the flows of a repository: run every deployment file, see what would change, upload the code, and then move the server, in one step where it is Orion. What is changed by hand on the server stays, and a file that fails leaves the server as it was. " + deployPaths,
		Example: `  orion deploy
  orion deploy --prune                       remove what is no longer in the repository, too
  orion deploy projects/shop --pattern daily
  orion deploy --plan plan.json              only if it is still what was planned`,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			ctx := cmd.Context()
			v := a.deployView()
			if noAtomic {
				return a.deployAsItGoes(ctx, c, f, args, v)
			}
			started := time.Now()
			p, err := a.makePlan(ctx, c, f, args, v)
			if err != nil {
				return err
			}
			if saved != "" {
				if err := insistOn(p, saved); err != nil {
					return err
				}
			}
			if a.output != "json" {
				if err := a.showPlan(p, v, prune); err != nil {
					return err
				}
			}
			if len(p.Failures) > 0 {
				err := v.ci.planned(p, prune)
				if f.comment {
					v.ci.comment(ctx, p, markdown(p, prune))
				}
				if a.output == "json" {
					err = errors.Join(err, a.json(p))
				}
				return errors.Join(err, orion.Errorf(orion.Invalid, "%d of %d files failed, so nothing was deployed (with --no-atomic the others are)", len(p.Failures), p.Files))
			}
			if f.check {
				if err := a.check(ctx, c, p, v); err != nil {
					return err
				}
			}
			if n := p.Count(plan.Remove); prune && n > 0 {
				if err := a.confirm(yes || v.ci.any(), fmt.Sprintf("This removes %s, with the runs that have not started", count(n, "deployment"))); err != nil {
					return err
				}
			}
			out, err := p.Apply(ctx, prune)
			v.done()
			if err != nil {
				if ctx.Err() != nil {
					return errInterrupted
				}
				return err
			}
			if err := v.ci.deployed(p, out); err != nil {
				return err
			}
			if f.comment {
				v.ci.comment(ctx, p, done(p, out))
			}
			return a.show(map[string]any{"plan": p, "outcome": out, "seconds": time.Since(started).Seconds()}, func(pr *printer) {
				pr.deployed(p, out, c.Page(), time.Since(started))
			})
		}),
	}
	f.add(cmd.Flags())
	cmd.Flags().StringVar(&saved, "plan", "", "deploy only what this saved plan says, and nothing if the server moved since")
	cmd.Flags().BoolVar(&prune, "prune", false, "remove the deployments of this repository that it no longer has")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before removing")
	cmd.Flags().BoolVar(&noAtomic, "no-atomic", false, "let each file deploy as it runs, as `python FILE` does: one that fails stops no other")
	return cmd
}

func insistOn(p *plan.Plan, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s plan.Saved
	if err := orion.Decode(b, &s); err != nil {
		return orion.Errorf(orion.Invalid, "%s is not a plan that orion plan --out saved: %v", path, err)
	}
	return p.Matches(s)
}

func (a *app) planOptions(ctx context.Context, c *client.Client, f planFlags, args []string, v *deployView) (plan.Options, error) {
	start := "."
	if len(args) > 0 && !strings.ContainsAny(args[0], "*?[") {
		start = args[0]
	}
	repo, err := plan.FindRepository(ctx, start, f.repository)
	if err != nil {
		return plan.Options{}, err
	}
	envs, err := a.environments(nil)
	if err != nil {
		return plan.Options{}, err
	}
	var pattern *regexp.Regexp
	if f.pattern != "" {
		if pattern, err = regexp.Compile(f.pattern); err != nil {
			return plan.Options{}, usage("--pattern: %v", err)
		}
	}
	return plan.Options{Client: c, Key: a.config.Get(config.APIKey), Environments: envs, Repository: repo, Paths: args, Pattern: pattern, ChangedSince: f.since,
		Refresh: f.refresh, Overwrite: f.overwrite, Parallel: f.parallel, Timeout: f.timeout, State: filepath.Join(a.config.Get(config.Home), "deploys"), On: v.events()}, nil
}

func (a *app) makePlan(ctx context.Context, c *client.Client, f planFlags, args []string, v *deployView) (*plan.Plan, error) {
	o, err := a.planOptions(ctx, c, f, args, v)
	if err != nil {
		return nil, err
	}
	p, err := plan.Make(ctx, o)
	v.done()
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	return p, err
}

// deployAsItGoes runs each file as `python FILE` would be, against the server
// itself.
func (a *app) deployAsItGoes(ctx context.Context, c *client.Client, f planFlags, args []string, v *deployView) error {
	o, err := a.planOptions(ctx, c, f, args, v)
	if err != nil {
		return err
	}
	results, err := plan.RunFiles(ctx, o)
	v.done()
	if err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		if r.Err != nil {
			failed++
		}
	}
	type row struct {
		File    string  `json:"file"`
		Error   string  `json:"error,omitzero"`
		Hint    string  `json:"hint,omitzero"`
		Seconds float64 `json:"seconds"`
	}
	rows := []row{}
	for _, r := range results {
		x := row{File: r.File.Rel, Hint: r.Hint, Seconds: r.Took.Seconds()}
		if r.Err != nil {
			x.Error = r.Err.Error()
		}
		rows = append(rows, x)
	}
	err = a.show(rows, func(p *printer) {
		for _, r := range results {
			if r.Err != nil {
				p.failure(r.File.Rel, r.Err.Error(), r.Hint)
			}
		}
		p.line("  %s ran, %d failed", count(len(results)-failed, "file"), failed)
	})
	if err == nil && failed > 0 {
		err = quietly{errors.New("some files failed")}
	}
	return err
}

// deployView shows a plan or a deploy while it goes on: one line that changes
// on a terminal, a line for each thing that is done elsewhere.
type deployView struct {
	p     *printer
	ci    *ciSystem
	mu    sync.Mutex
	shown bool
	quiet bool
}

func (a *app) deployView() *deployView {
	ci := detectCI(a.err)
	return &deployView{p: a.printer(a.err), ci: ci, quiet: a.output == "json" && ci.any()}
}

// progress replaces the line that shows how far things are.
func (v *deployView) progress(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.p.width == 0 {
		return
	}
	text := shorten("  "+fmt.Sprintf(format, args...), v.p.width-1)
	fmt.Fprintf(v.p.w, "\r\x1b[K%s", v.p.dim(text))
	v.shown = true
}

// line prints a line that stays.
func (v *deployView) line(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.quiet {
		return
	}
	v.clear()
	v.p.line(format, args...)
}

func (v *deployView) clear() {
	if v.shown {
		fmt.Fprint(v.p.w, "\r\x1b[K")
		v.shown = false
	}
}

func (v *deployView) done() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
	v.ci.endGroup()
}

func (v *deployView) events() plan.Events {
	return plan.Events{
		Found: func(files, unchanged int) {
			if v.p.width == 0 {
				v.line("  %s, %d of them unchanged", count(files, "file"), unchanged)
			}
			v.progress("%s, %d of them unchanged", count(files, "file"), unchanged)
			if files > unchanged && !v.quiet {
				v.ci.group("what the files said")
			}
		},
		Step: func(what string) { v.progress("%s", what) },
		Environment: func(name string, e pyenv.Environment, err error) {
			switch {
			case err != nil:
				v.line("  %s environment %s", v.p.red("✕"), name)
			case !e.Cached:
				v.line("  %s environment %s %s", v.p.green("✓"), name, v.p.dim(span(e.Took)))
			}
		},
		Ran: func(c deploy.Result, done, of int) {
			if v.p.width == 0 && v.ci.any() {
				mark := "ok"
				if c.Err != nil {
					mark = "failed"
				}
				v.line("  [%d/%d] %s %s %s", done, of, c.File.Rel, mark, span(c.Took))
			}
			v.progress("[%d/%d] %s", done, of, c.File.Rel)
		},
		Uploaded: func(what string, done, of int) { v.progress("code [%d/%d] %s", done, of, what) },
		Note:     func(text string) { v.line("  %s", v.p.dim(text)) },
	}
}

// showPlan prints a plan.
func (a *app) showPlan(p *plan.Plan, v *deployView, prune bool) error {
	v.done()
	return a.show(p, func(pr *printer) { pr.plan(p, prune) })
}

func (pr *printer) plan(p *plan.Plan, prune bool) {
	width := 0
	for i := range p.Items {
		if p.Items[i].Action != plan.Leave || len(p.Items[i].Drift) > 0 {
			width = max(width, len(p.Items[i].Deployment))
		}
	}
	width = min(width, 48)
	left := 0
	for i := range p.Items {
		it := &p.Items[i]
		name := fmt.Sprintf("%-*s", width, it.Deployment)
		switch it.Action {
		case plan.Create:
			pr.line("  %s %s  create    %s", pr.green("+"), pr.bold(name), it.About)
		case plan.Change:
			pr.line("  %s %s  change", pr.yellow("~"), pr.bold(name))
			pr.changes(it.Changes)
			if it.Code != nil {
				from := "none"
				if it.Code.From != "" {
					from = it.Code.From[:7]
				}
				pr.line("      code  %s → %s  %s", from, it.Code.To[:7], pr.dim(some(it.Code.Files, 5)))
			}
		case plan.Remove:
			note := ""
			if !prune {
				note = "only with --prune"
			}
			pr.line("  %s %s  remove    %s", pr.red("-"), pr.bold(name), pr.dim(note))
		case plan.Leave:
			left++
		}
		if len(it.Drift) > 0 {
			pr.line("  %s %s  drift     %s", pr.yellow("!"), pr.bold(name), pr.dim("changed by hand, stays as it is"))
			pr.drift(it.Drift)
		}
	}
	for _, o := range p.Others {
		mark := map[string]string{"create": pr.green("+"), "ensure": pr.green("+"), "delete": pr.red("-")}[string(o.Action)]
		if mark == "" {
			mark = pr.yellow("~")
		}
		pr.line("  %s %s %s  %s    %s", mark, o.Kind, pr.bold(o.Name), o.Action, pr.dim(o.File))
	}
	if left > 0 {
		pr.line("  = %d unchanged", left)
	}
	for _, w := range p.Warnings {
		pr.line("  %s %s", pr.yellow("!"), w)
	}
	pr.failures(p.Failures)
	pr.line("")
	pr.line("  %s", summary(p))
}

// failures prints what failed; files that failed for the same reason together.
func (pr *printer) failures(list []plan.Failure) {
	said := map[string]bool{}
	for i, f := range list {
		why := f.Error + "\x00" + f.Hint
		if said[why] {
			continue
		}
		said[why] = true
		var files []string
		for _, other := range list[i:] {
			if other.Error == f.Error && other.Hint == f.Hint {
				files = append(files, other.File)
			}
		}
		pr.failure(some(files, 5), f.Error, f.Hint)
	}
}

func (pr *printer) failure(file, text, hint string) {
	pr.line("  %s %s", pr.red("✕"), pr.bold(file))
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		pr.line("      %s", line)
	}
	if hint != "" {
		pr.line("      %s", pr.yellow(hint))
	}
}

func (pr *printer) changes(fields []plan.Field) {
	names := map[string]bool{}
	width := 0
	for _, f := range fields {
		names[f.Name] = true
		if !f.IsSchedule() {
			width = max(width, len(f.Name))
		}
	}
	width = min(width, 40)
	for _, f := range fields {
		note := ""
		if f.ByHand && f.From != "" {
			note = pr.dim("  (was changed by hand)")
		}
		schedule, isSwitch := strings.CutSuffix(f.Name, " active")
		switch {
		case isSwitch && names[schedule]: // it comes or goes with the schedule
		case f.Hidden:
			pr.line("      %-*s  %s", width, f.Name, pr.dim("(value not shown)"))
		case f.IsSchedule() && f.From == "":
			pr.line("      %s %s", pr.green("+"), f.Name)
		case f.IsSchedule() && f.To == "":
			pr.line("      %s %s%s", pr.red("-"), f.Name, note)
		case f.IsSchedule():
			pr.line("      %s %s%s", pr.yellow("~"), f.Name, note)
		default:
			pr.line("      %-*s  %s → %s%s", width, f.Name, brief(f.From), brief(f.To), note)
		}
	}
}

// drift prints settings as they are on the server.
func (pr *printer) drift(fields []plan.Field) {
	width := 0
	for _, f := range fields {
		width = max(width, len(f.Name))
	}
	width = min(width, 40)
	for _, f := range fields {
		now := "now " + brief(f.To)
		switch {
		case f.Hidden:
			now = pr.dim("(value not shown)")
		case f.To == "":
			now = "removed"
		case f.IsSchedule():
			now = "added"
		}
		if f.IsSchedule() {
			f.From = ""
		}
		if f.From != "" {
			now += pr.dim("  (the repository says " + brief(f.From) + ")")
		}
		pr.line("      %-*s  %s", width, f.Name, now)
	}
}

// brief is a JSON value on one line.
func brief(v string) string {
	if v == "" {
		return "–"
	}
	return shorten(v, 60)
}

func some(list []string, n int) string {
	if len(list) > n {
		return strings.Join(list[:n], ", ") + fmt.Sprintf(" and %d more", len(list)-n)
	}
	return strings.Join(list, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// summary says in a line what a plan is about to do.
func summary(p *plan.Plan) string {
	var parts []string
	for _, x := range []struct {
		n    int
		what string
	}{{p.Count(plan.Create), "to create"}, {p.Count(plan.Change), "to change"}, {len(p.Others), "other changes"}, {p.Drifted(), "drifted"},
		{p.Count(plan.Remove), "to remove"}, {len(p.Failures), "failed"}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("Nothing to do: %s unchanged.", count(p.Count(plan.Leave), "deployment"))
	}
	return strings.Join(parts, ", ") + "."
}

// deployed prints what a deploy did.
func (pr *printer) deployed(p *plan.Plan, out *plan.Outcome, page string, took time.Duration) {
	if len(out.Deployments) == 0 && out.Removed == 0 && len(p.Others) == 0 {
		return // the plan has said so
	}
	pr.line("")
	rows := [][]string{}
	for _, d := range out.Deployments {
		version := ""
		if d.Version > 0 {
			version = fmt.Sprintf("v%d", d.Version)
		}
		rows = append(rows, []string{pr.green("✓ ") + d.Deployment, version, page + "/deployments/" + d.ID.String()})
	}
	slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	if len(rows) > 0 && len(rows) <= 50 {
		pr.table([]string{"DEPLOYMENT", "VERSION", "URL"}, rows)
	}
	text := fmt.Sprintf("%s deployed", count(len(out.Deployments), "deployment"))
	if out.Removed > 0 {
		text += fmt.Sprintf(", %d removed", out.Removed)
	}
	how := ""
	if out.Together {
		how = " in one step"
	}
	pr.line("  %s%s, %s", text, how, span(took))
}
