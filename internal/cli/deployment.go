package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/config"
	"github.com/orionflows/orion/internal/deploy"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/schedule"
	"github.com/spf13/cobra"
)

func (a *app) deploymentCmd() *cobra.Command {
	return group("deployment", "What is to run: how, when and where", a.deploymentLsCmd(), a.deploymentInspectCmd(), a.deploymentRunCmd(),
		a.deploymentPauseCmd("pause", true), a.deploymentPauseCmd("resume", false), a.deploymentDeleteCmd(), a.deploymentCreateCmd(),
		a.deploymentHistoryCmd(), a.deploymentDiffCmd(), a.deploymentRollbackCmd())
}

// allOf reads every page of a list.
func allOf[T any](f func(offset int64) ([]T, error)) ([]T, error) {
	var out []T
	for {
		part, err := f(int64(len(out)))
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
		if len(part) < orion.MaxLimit {
			return out, nil
		}
	}
}

func (a *app) allDeployments(ctx context.Context, c *client.Client) ([]orion.Deployment, map[orion.ID]string, error) {
	ds, err := allOf(func(offset int64) ([]orion.Deployment, error) {
		return c.Deployments(ctx, client.Query{Page: orion.Page{Offset: &offset}})
	})
	if err != nil {
		return nil, nil, err
	}
	fs, err := allOf(func(offset int64) ([]orion.Flow, error) {
		return c.Flows(ctx, client.Query{Page: orion.Page{Offset: &offset}})
	})
	flows := map[orion.ID]string{}
	for _, f := range fs {
		flows[f.ID] = f.Name
	}
	return ds, flows, err
}

// deployment finds the deployment "flow/deployment", or by its id, and helps
// with a misspelt name.
func (a *app) deployment(ctx context.Context, c *client.Client, name string) (*orion.Deployment, string, error) {
	if id, err := orion.ParseID(name); err == nil {
		d, err := c.Deployment(ctx, id)
		if err != nil {
			return nil, "", err
		}
		f, err := c.Flow(ctx, d.FlowID)
		if err != nil {
			return nil, "", err
		}
		return d, f.Name + "/" + d.Name, nil
	}
	d, err := c.DeploymentByName(ctx, name)
	if orion.KindOf(err) == orion.NotFound || orion.KindOf(err) == orion.Invalid {
		ds, flows, e := a.allDeployments(ctx, c)
		if e != nil {
			return nil, "", err
		}
		var names []string
		for _, d := range ds {
			names = append(names, flows[d.FlowID]+"/"+d.Name)
		}
		return nil, "", noSuch("deployment", name, names)
	}
	return d, name, err
}

// noSuch is the error for a name that is not there, with the one that was
// probably meant.
func noSuch(what, name string, known []string) error {
	best, dist := "", len(name)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	hint := ""
	if best != "" {
		hint = fmt.Sprintf(". Did you mean %q?", best)
	}
	return orion.Errorf(orion.NotFound, "there is no %s %q%s", what, name, hint)
}

// distance is how many letters have to change to make one text the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			prev, row[j] = row[j], min(row[j]+1, row[j-1]+1, prev+cost)
		}
	}
	return row[len(b)]
}

// inWords is a deployment's schedules in words.
func inWords(d *orion.Deployment) string {
	var out []string
	for _, s := range d.Schedules {
		w := "?"
		if sc, err := schedule.Parse(orchestration.SpecOf(&s.Schedule)); err == nil {
			w = sc.Describe()
		}
		if !s.Active {
			w += " (off)"
		}
		out = append(out, w)
	}
	if d.Paused && len(out) > 0 {
		return strings.Join(out, "; ") + " (paused)"
	}
	return strings.Join(out, "; ")
}

func queueOf(d *orion.Deployment) string {
	q := value(d.WorkQueueName)
	if p := value(d.WorkPoolName); p != "" && p != orion.DefaultAgentPool {
		return p + " / " + q
	}
	return q
}

func (a *app) deploymentLsCmd() *cobra.Command {
	var flow string
	cmd := &cobra.Command{
		Use: "ls", Short: "List the deployments", Args: cobra.NoArgs,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			ds, flows, err := a.allDeployments(cmd.Context(), c)
			if err != nil {
				return err
			}
			var rows [][]string
			kept := []orion.Deployment{}
			for i := range ds {
				d := &ds[i]
				if flow != "" && flows[d.FlowID] != flow {
					continue
				}
				kept = append(kept, *d)
				rows = append(rows, []string{flows[d.FlowID] + "/" + d.Name, dash(inWords(d)), dash(queueOf(d)), strings.Join(d.Tags, ", "), d.ID.String()})
			}
			return a.show(kept, func(p *printer) {
				if len(rows) == 0 {
					p.line("No deployments yet. Make one with: orion deployment create FILE, or for a whole repository: orion up PATH")
					return
				}
				p.table([]string{"DEPLOYMENT", "SCHEDULE", "QUEUE", "TAGS", "ID"}, rows)
			})
		}),
	}
	cmd.Flags().StringVar(&flow, "flow", "", "only those of this flow")
	return cmd
}

func (a *app) completeDeployments(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := a.completionAPI(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	ds, flows, err := a.allDeployments(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, d := range ds {
		names = append(names, flows[d.FlowID]+"/"+d.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completionAPI is the client while completing, before the settings are read.
func (a *app) completionAPI(_ *cobra.Command) (*client.Client, error) {
	if a.config == nil {
		var err error
		if a.config, err = config.Load(map[string]string{config.APIURL: a.apiURL, config.APIKey: a.apiKey}); err != nil {
			return nil, err
		}
	}
	return a.api()
}

func (a *app) deploymentInspectCmd() *cobra.Command {
	return &cobra.Command{
		Use: "inspect FLOW/DEPLOYMENT", Short: "Show a deployment", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeDeployments,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			d, name, err := a.deployment(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return a.show(d, func(p *printer) {
				paused := ""
				if d.Paused {
					paused = "yes"
				}
				p.fields("Deployment", p.bold(name), "Id", d.ID.String(), "Description", value(d.Description), "Version", value(d.Version),
					"Schedule", inWords(d), "Paused", paused, "Queue", queueOf(d), "Entrypoint", value(d.Entrypoint), "Path", value(d.Path),
					"Parameters", compact(d.Parameters), "Job variables", compact(d.JobVariables), "Tags", strings.Join(d.Tags, ", "),
					"Last polled", sometime(d.LastPolled), "Updated", relative(d.Updated))
			})
		}),
	}
}

func compact(v orion.JSON) string {
	if orion.IsNull(v) || string(v) == "{}" {
		return ""
	}
	return string(v)
}

func sometime(t orion.Time) string {
	if t.IsZero() {
		return "never"
	}
	return relative(t)
}

func (a *app) deploymentRunCmd() *cobra.Command {
	var params, tags []string
	var jsonParams, name, at, queue string
	var in time.Duration
	var follow bool
	cmd := &cobra.Command{
		Use: "run FLOW/DEPLOYMENT", Short: "Start a run of a deployment", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeDeployments,
		Example: `  orion deployment run "Load orders/daily"
  orion deployment run "Load orders/daily" -p day=2026-01-31 -p dry_run=true --watch
  orion deployment run "Load orders/daily" --params '{"days": [1, 2]}' --in 10m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := orion.DeploymentFlowRunCreate{Tags: tags}
			var err error
			if body.Parameters, err = parameters(jsonParams, params); err != nil {
				return err
			}
			if name != "" {
				body.Name = &name
			}
			if queue != "" {
				body.WorkQueueName = &queue
			}
			state := orion.StateCreate{Type: orion.Scheduled}
			switch {
			case at != "" && in != 0:
				return usage("give --at or --in, not both")
			case at != "":
				if state.Details.ScheduledTime, err = orion.ParseTime(at); err != nil {
					return usage("--at %q is not a time like 2026-01-31T06:00+01:00", at)
				}
			case in != 0:
				state.Details.ScheduledTime = orion.Now().Add(in)
			}
			body.State = &state
			c, err := a.api()
			if err != nil {
				return err
			}
			d, full, err := a.deployment(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			run, err := c.RunDeployment(cmd.Context(), d.ID, body)
			if err != nil {
				return err
			}
			if err := a.show(run, func(p *printer) {
				p.line("Created %s of %s, %s", p.bold(run.Name), full, starts(run))
				p.line("  %s", p.dim(c.Page()+"/runs/flow-run/"+run.ID.String()))
			}); err != nil || !follow {
				return err
			}
			return a.follow(cmd.Context(), c, run.ID, true)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&params, "param", "p", nil, "a parameter, as name=value; the value is JSON, or text if it is none")
	f.StringVar(&jsonParams, "params", "", "all parameters as a JSON object")
	f.StringVar(&name, "name", "", "the run's name")
	f.StringArrayVar(&tags, "tag", nil, "a tag for the run")
	f.StringVar(&at, "at", "", "when to start, such as 2026-01-31T06:00+01:00")
	f.DurationVar(&in, "in", 0, "how long from now to start, such as 10m")
	f.StringVar(&queue, "queue", "", "another work queue than the deployment's")
	f.BoolVarP(&follow, "watch", "w", false, "follow the run to its end; the exit code is 0 only if it completes")
	return cmd
}

func starts(run *orion.FlowRun) string {
	if run.NextScheduledStartTime.After(orion.Now().Add(2 * time.Second)) {
		return "which starts " + relative(run.NextScheduledStartTime)
	}
	return "which starts now"
}

func parameters(whole string, single []string) (orion.JSON, error) {
	m := map[string]orion.JSON{}
	if whole != "" {
		if err := orion.Decode([]byte(whole), &m); err != nil {
			return nil, usage("--params is not a JSON object: %v", err)
		}
	}
	for _, s := range single {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usage("-p %q is not written name=value", s)
		}
		j := orion.JSON(v)
		if !j.IsValid() {
			b, err := orion.Encode(v)
			if err != nil {
				return nil, err
			}
			j = b
		}
		m[k] = j
	}
	return orion.Encode(m)
}

func (a *app) deploymentPauseCmd(verb string, paused bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " FLOW/DEPLOYMENT", Short: strings.ToUpper(verb[:1]) + verb[1:] + " a deployment's schedules", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeDeployments,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			d, name, err := a.deployment(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := c.UpdateDeployment(cmd.Context(), d.ID, orion.DeploymentUpdate{Paused: orion.Some(paused)}); err != nil {
				return err
			}
			d.Paused = paused
			return a.show(d, func(p *printer) { p.line("%s is %sd", name, verb) })
		}),
	}
}

func (a *app) deploymentDeleteCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete FLOW/DEPLOYMENT", Short: "Delete a deployment and its runs that have not started", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeDeployments,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			d, name, err := a.deployment(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(yes, fmt.Sprintf("This deletes %q and its runs that have not started", name)); err != nil {
				return err
			}
			if err := c.DeleteDeployment(cmd.Context(), d.ID); err != nil {
				return err
			}
			return a.show(map[string]any{"deleted": d.ID}, func(p *printer) { p.line("Deleted %s", name) })
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// deploymentCreateCmd registers what one file declares, in the environment of
// its folder. A flow file without deployments of its own is registered as it
// is, under the name that --name gives.
func (a *app) deploymentCreateCmd() *cobra.Command {
	var name, queue, cron, zone string
	var tags []string
	cmd := &cobra.Command{
		Use: "create FILE", Short: "Register the deployments of one deployment or flow file", Args: cobra.ExactArgs(1),
		Long: "Register what one file declares: NAME.deployment.py is run as `python NAME.deployment.py` would be, in the environment of its folder's requirements.txt; flow.py:my_flow becomes a deployment of that flow.",
		Example: `  orion deployment create projects/shop/load_orders/daily.deployment.py
  orion deployment create projects/shop/load_orders/flow.py:load_orders --name daily -q kubernetes --cron "0 6 * * *" --timezone Europe/Oslo`,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			path, function, isFlow := strings.Cut(args[0], ":")
			if !isFlow && !strings.HasSuffix(path, ".deployment.py") {
				return usage("%s is no deployment file (NAME.deployment.py); for a flow file name the flow as well: %s:my_flow", path, path)
			}
			abs, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			if _, err := os.Stat(abs); err != nil {
				return orion.Errorf(orion.NotFound, "there is no file %s", path)
			}
			envs, err := a.environments(nil)
			if err != nil {
				return err
			}
			p := a.printer(a.err)
			spec, err := envs.ForFolder(cmd.Context(), filepath.Dir(abs), "")
			if err != nil {
				return err
			}
			env, err := envs.Ensure(cmd.Context(), spec, func(step string) { p.line("%s", p.dim("  "+step)) })
			if err != nil {
				return err
			}
			file := deploy.File{Path: abs, Rel: filepath.Base(abs), Folder: filepath.Dir(abs), Kind: deploy.Python}
			if isFlow {
				if name == "" {
					name = "default"
				}
				script, cleanup, err := flowScript(abs, function, name, queue, cron, zone, tags)
				if err != nil {
					return err
				}
				defer cleanup()
				file.Path = script
			}
			r := deploy.NewRunner(deploy.RunnerOptions{Env: clientEnv(c), Fresh: true})
			defer r.Close()
			res := r.Run(cmd.Context(), file, env)
			if cmd.Context().Err() != nil {
				return errInterrupted
			}
			if res.Err != nil {
				if res.Hint != "" {
					return fmt.Errorf("%w\n  %s", res.Err, res.Hint)
				}
				return res.Err
			}
			return a.show(map[string]any{"file": abs, "output": string(res.Output), "seconds": res.Took.Seconds()}, func(p *printer) {
				if out := strings.TrimSpace(string(res.Output)); out != "" {
					p.line("%s", p.dim(out))
				}
				p.line("%s %s in %s", p.green("✓"), filepath.Base(abs), span(res.Took))
			})
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&name, "name", "n", "", "for a flow: the deployment's name (default \"default\")")
	f.StringVarP(&queue, "queue", "q", "", "for a flow: its work queue")
	f.StringVar(&cron, "cron", "", "for a flow: its schedule")
	f.StringVar(&zone, "timezone", "", "for a flow: the schedule's time zone")
	f.StringArrayVar(&tags, "tag", nil, "for a flow: a tag")
	return cmd
}

// clientEnv is the environment of a Prefect client that talks to this server.
func clientEnv(c *client.Client) []string {
	return append(os.Environ(), "PREFECT_API_URL="+c.URL())
}

// flowScript writes a deployment file for a flow, next to the flow's own.
func flowScript(flow, function, name, queue, cron, zone string, tags []string) (string, func(), error) {
	quote := func(v any) string { b, _ := orion.Encode(v); return string(b) }
	var b strings.Builder
	fmt.Fprintf(&b, "import importlib.util, sys\nsys.path.insert(0, %s)\nfrom prefect.deployments import Deployment\n", quote(filepath.Dir(flow)))
	fmt.Fprintf(&b, "spec = importlib.util.spec_from_file_location('__flow__', %s)\nmod = importlib.util.module_from_spec(spec)\nsys.modules['__flow__'] = mod\nspec.loader.exec_module(mod)\n", quote(flow))
	sched := ""
	if cron != "" {
		tz := "None"
		if zone != "" {
			tz = quote(zone)
		}
		fmt.Fprintf(&b, "try:\n    from prefect.client.schemas.schedules import CronSchedule\nexcept ImportError:\n    from prefect.orion.schemas.schedules import CronSchedule\n")
		sched = fmt.Sprintf(", schedule=CronSchedule(cron=%s, timezone=%s)", quote(cron), tz)
	}
	q := ""
	if queue != "" {
		q = ", work_queue_name=" + quote(queue)
	}
	if tags == nil {
		tags = []string{}
	}
	fmt.Fprintf(&b, "d = Deployment.build_from_flow(flow=getattr(mod, %s), name=%s, tags=%s, entrypoint=%s%s%s)\nprint('Deployment', d.flow_name + '/' + d.name, d.apply())\n",
		quote(function), quote(name), quote(tags), quote(filepath.Base(flow)+":"+function), q, sched)
	dir, err := os.MkdirTemp("", "orion-deploy-")
	if err != nil {
		return "", nil, err
	}
	path := filepath.Join(dir, "flow.deployment.py")
	return path, func() { os.RemoveAll(dir) }, os.WriteFile(path, []byte(b.String()), 0o600)
}
