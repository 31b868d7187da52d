package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/config"
	"github.com/orionflows/orion/internal/deploy"
	"github.com/orionflows/orion/internal/pyenv"
	"github.com/orionflows/orion/internal/up"
	"github.com/spf13/cobra"
)

func (a *app) upCmd() *cobra.Command {
	var o up.Options
	var durability, logLevel string
	cmd := &cobra.Command{
		Use:   "up [PATH]",
		Short: "Bring everything up on one machine, for a repository",
		Long: `Bring everything up on one machine, for a repository: a server, the Python
environments of its flow folders, its deployments, and an agent for every queue
and pool they name. What changes is deployed again. Ctrl-C ends it all.`,
		Example: `  orion up examples
  orion up . --port 4300
  orion up examples --once      run every deployment once, for CI`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Path = "."
			if len(args) == 1 {
				o.Path = args[0]
			}
			v := &upView{a: a, p: a.printer(a.out), names: map[orion.ID]string{}}
			var err error
			if o.Log, err = logger(os.Stderr, logLevel); err != nil {
				return err
			}
			o.Server.Version, o.Server.Log = Version, o.Log
			o.Server.Database = a.database(durability)
			if o.Environments, err = a.environments(nil); err != nil {
				return err
			}
			o.Code = a.codeFolder()
			if o.Once {
				// A run for CI neither reads nor leaves anything in the data folder.
				if !cmd.Flags().Changed("port") {
					o.Server.Port, o.Server.AnyPort = 0, true
				}
				if o.Server.Database.URL == "" {
					dir, err := os.MkdirTemp("", "orion-up-")
					if err != nil {
						return err
					}
					defer os.RemoveAll(dir)
					o.Server.Database.Dir = dir
				}
				o.Server.Services = map[string]bool{"scheduler": false, "recent-deployments": false}
			}
			o.On = v.events()
			err = up.Run(cmd.Context(), o)
			v.clear()
			if o.Once && len(v.outcomes) > 0 {
				if e := v.report(); e != nil {
					return e
				}
			}
			if cmd.Context().Err() != nil {
				if !o.Once && (err == nil || errors.Is(err, cmd.Context().Err())) {
					v.p.line("Stopped.")
				}
				if o.Once {
					return errInterrupted
				}
				return nil
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Server.Host, "host", "127.0.0.1", "address to listen on")
	f.IntVar(&o.Server.Port, "port", 4200, "port to listen on")
	f.BoolVar(&o.Once, "once", false, "run every deployment once; the exit code is 0 only when each ends as orion.yaml says")
	f.DurationVar(&o.OnceTimeout, "timeout", 20*time.Minute, "with --once: how long to wait for the runs")
	f.BoolVar(&o.NoAgent, "no-agent", false, "start no agent")
	f.BoolVar(&o.NoWatch, "no-watch", false, "do not deploy again what changes")
	f.IntVar(&o.Limit, "limit", 0, "how many runs go on at once (default four, or twice the cores)")
	f.StringVar(&durability, "durability", envOr("ORION_DURABILITY", "full"), "what a crash of the operating system may lose: full (nothing that was answered) or normal")
	f.StringVar(&logLevel, "log-level", envOr("ORION_LOG_LEVEL", "warn"), "debug, info, warn or error")
	return cmd
}

// upView shows what `up` does: a line for what is done, and on a terminal a
// last line for what is being done.
type upView struct {
	a        *app
	p        *printer
	files    int
	done     int
	status   bool
	names    map[orion.ID]string // deployment → flow/deployment
	outcomes []up.Outcome
	failed   []deploy.Result
	ready    bool
	agents   []string
}

func (v *upView) json() bool { return v.a.output == "json" }

func (v *upView) line(format string, args ...any) {
	if v.json() {
		return
	}
	v.clear()
	v.p.line(format, args...)
}

func (v *upView) clear() {
	if v.status {
		fmt.Fprint(v.p.w, "\r\x1b[K")
		v.status = false
	}
}

func (v *upView) doing(format string, args ...any) {
	if v.p.width == 0 || v.json() || v.ready {
		return
	}
	v.clear()
	fmt.Fprint(v.p.w, v.p.dim(shorten("  … "+fmt.Sprintf(format, args...), v.p.width-1)))
	v.status = true
}

func (v *upView) events() up.Events {
	p := v.p
	return up.Events{
		Serving: func(url, database string) {
			where := "SQLite"
			if database == "postgresql" {
				where = "PostgreSQL"
			}
			v.line("  %s · %s · %s", p.bold("Orion "+Version), url, p.dim("data "+home(v.a.config.Get(config.Home))+" ("+where+")"))
			v.line("")
		},
		Found: func(files []deploy.File) { v.files = len(files); v.doing("%d deployment files", len(files)) },
		Step:  func(what string) { v.doing("%s", what) },
		Environment: func(name string, env pyenv.Environment, err error) {
			switch {
			case err != nil:
				v.line("  %s environment %s", p.red("✕"), name)
			case env.Cached:
				v.line("  %s environment %s %s", p.green("✓"), name, p.dim("cached"))
			default:
				v.line("  %s environment %s %s", p.green("✓"), name, p.dim(span(env.Took)))
			}
		},
		Deployed: v.deployed,
		Ready:    v.summary,
		Agent: func(serves string) {
			v.agents = append(v.agents, serves)
			v.line("  %s agent for %s", p.green("✓"), serves)
		},
		Run:    v.run,
		Output: v.output,
		Note:   func(text string) { v.line("  %s %s", p.yellow("!"), text) },
		Outcome: func(o up.Outcome) {
			v.outcomes = append(v.outcomes, o)
			mark := p.green("✓")
			text := ""
			if o.Run != nil {
				text = p.state(value(o.Run.StateType), value(o.Run.StateName)) + " in " + span(o.Took)
			}
			if o.Wrong != "" {
				mark, text = p.red("✕"), o.Wrong
			}
			v.line("%s %s  %s", mark, o.Deployment, text)
		},
	}
}

func home(dir string) string {
	if h, err := os.UserHomeDir(); err == nil {
		if rel, err := filepath.Rel(h, dir); err == nil && !strings.HasPrefix(rel, "..") {
			return filepath.Join("~", rel)
		}
	}
	return dir
}

func (v *upView) deployed(r deploy.Result, again string) {
	p := v.p
	if again == "" {
		v.done++
	}
	if r.Err != nil {
		v.explain(r)
		return
	}
	name := strings.TrimSuffix(r.File.Rel, ".deployment.py")
	if again != "" {
		v.line("%s  redeployed %s (%s) in %.1f s", p.dim(time.Now().Format("15:04:05")), name, again, r.Took.Seconds())
		return
	}
	if v.p.width == 0 {
		v.line("  %s %s %s", p.green("✓"), name, p.dim(span(r.Took)))
	}
	v.doing("%d of %d deployment files", v.done, v.files)
}

// explain says how a file failed: the cause first, then the end of its output,
// then what to do.
func (v *upView) explain(r deploy.Result) {
	p := v.p
	cause := r.Err.Error()
	var fe *deploy.FileError
	var ie *pyenv.InstallError
	rest := ""
	switch {
	case errors.As(r.Err, &fe):
		if fe.Cause != "" {
			cause = fe.Cause
		}
		rest = fe.Lines
	case errors.As(r.Err, &ie):
		cause = "the environment of " + ie.Requirements + " could not be installed"
		rest = ie.Tail()
	}
	v.line("  %s %s   %s", p.red("✕"), r.File.Rel, cause)
	for _, l := range strings.Split(strings.TrimRight(rest, "\n"), "\n") {
		if l != "" {
			v.line("      %s", p.dim(l))
		}
	}
	if r.Hint != "" {
		v.line("      %s", r.Hint)
	}
}

func (v *upView) summary(s up.Summary) {
	p := v.p
	v.ready = true
	v.failed = s.Failed
	sort.Slice(s.Deployments, func(i, j int) bool {
		a, b := s.Deployments[i], s.Deployments[j]
		if s.Flows[a.FlowID] != s.Flows[b.FlowID] {
			return s.Flows[a.FlowID] < s.Flows[b.FlowID]
		}
		return a.Name < b.Name
	})
	var rows [][]string
	for i := range s.Deployments {
		d := &s.Deployments[i]
		v.names[d.ID] = s.Flows[d.FlowID] + "/" + d.Name
		url := s.URL + "/deployments/deployment/" + d.ID.String()
		rows = append(rows, []string{s.Flows[d.FlowID], p.link(url, d.Name), dash(inWords(d)), dash(queueOf(d)), url})
	}
	v.line("")
	if !v.json() {
		v.clear()
		head := []string{"FLOW", "DEPLOYMENT", "SCHEDULE", "QUEUE", "URL"}
		if p.width > 0 && !p.fits(head, rows) { // the names are links; half an address helps nobody
			head = head[:4]
			for i := range rows {
				rows[i] = rows[i][:4]
			}
		}
		p.table(head, rows)
	}
	v.line("")
	failed := ""
	if len(s.Failed) > 0 {
		failed = p.red(fmt.Sprintf(", %d files failed", len(s.Failed)))
	}
	v.line("  %d deployments of %d flows from %d folders in %s%s", len(s.Deployments), len(s.Flows), s.Folders, span(s.Took), failed)
	for _, r := range s.Failed {
		v.line("  %s %s: save it and it is deployed again by itself", p.red("✕"), r.File.Rel)
	}
	v.line("")
}

func (v *upView) run(run *orion.FlowRun, what string) {
	p := v.p
	name := v.names[run.DeploymentID]
	if what == "taken" {
		v.line("%s  %s  %s  %s", p.dim(time.Now().Format("15:04:05")), name, run.Name, p.blue("● started"))
		return
	}
	v.line("%s  %s  %s  %s", p.dim(time.Now().Format("15:04:05")), name, run.Name, p.state(value(run.StateType), dash(value(run.StateName))))
}

// logLine is how a Prefect client prints a log: time | LEVEL | who - message.
var logLine = regexp.MustCompile(`^(\d\d:\d\d:\d\d)\.\d+ \| (\w+)\s*\| (?:(?:Flow|Task) run '([^']*)'|([\w.]+)) - (.*)$`)

func (v *upView) output(run *orion.FlowRun, line string) {
	p := v.p
	m := logLine.FindStringSubmatch(line)
	if m == nil {
		v.line("%s  %s", p.dim(run.Name+" |"), line)
		return
	}
	level := fmt.Sprintf("%-8s", m[2])
	switch m[2] {
	case "ERROR", "CRITICAL":
		level = p.red(level)
	case "WARNING":
		level = p.yellow(level)
	default:
		level = p.dim(level)
	}
	who := m[3]
	if who == "" || who == run.Name {
		who = run.Name
	} else {
		who = run.Name + " / " + who
	}
	v.line("%s    %s  %s %s", p.dim(m[1]), who, level, m[5])
}

// report sums up --once.
func (v *upView) report() error {
	wrong := 0
	type row struct {
		Deployment string  `json:"deployment"`
		State      string  `json:"state,omitzero"`
		Name       string  `json:"state_name,omitzero"`
		Run        string  `json:"flow_run_id,omitzero"`
		Seconds    float64 `json:"seconds"`
		Wrong      string  `json:"wrong,omitzero"`
	}
	var rows []row
	for _, o := range v.outcomes {
		r := row{Deployment: o.Deployment, Wrong: o.Wrong, Seconds: o.Took.Seconds()}
		if o.Run != nil {
			r.State, r.Name, r.Run = value(o.Run.StateType), value(o.Run.StateName), o.Run.ID.String()
		}
		if o.Wrong != "" {
			wrong++
		}
		rows = append(rows, r)
	}
	for _, f := range v.failed {
		wrong++
		rows = append(rows, row{Deployment: f.File.Rel, Wrong: f.Err.Error()})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].Deployment < rows[j].Deployment })
	return v.a.show(rows, func(p *printer) {
		p.line("")
		if wrong == 0 {
			p.line("%s %d deployments ended as they should", p.green("✓"), len(rows))
			return
		}
		p.line("%s %d of %d did not end as they should:", p.red("✕"), wrong, len(rows))
		for _, r := range rows {
			if r.Wrong != "" {
				p.line("    %s  %s", r.Deployment, strings.SplitN(r.Wrong, "\n", 2)[0])
			}
		}
	})
}
