package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/spf13/cobra"
)

func (a *app) flowRunCmd() *cobra.Command {
	return group("flow-run", "Runs of flows", a.flowRunLsCmd(), a.flowRunInspectCmd(), a.flowRunLogsCmd(), a.flowRunWhyCmd(), a.flowRunCancelCmd(), a.flowRunRetryCmd(), a.flowRunRerunCmd(), a.flowRunCodeCmd(), a.flowRunDeleteCmd())
}

// flowRun finds a run by its id or its name; of several with one name it is
// the latest.
func (a *app) flowRun(ctx context.Context, c *client.Client, ref string) (*orion.FlowRun, error) {
	if id, err := orion.ParseID(ref); err == nil {
		r, err := c.FlowRun(ctx, id)
		if orion.KindOf(err) == orion.NotFound {
			return nil, orion.Errorf(orion.NotFound, "there is no flow run %s", ref)
		}
		return r, err
	}
	one := int64(1)
	q := client.Query{Sort: "EXPECTED_START_TIME_DESC", Page: orion.Page{Limit: &one}}
	q.FlowRuns = &orion.FlowRunFilter{Name: &orion.Cond[string]{Any: &[]string{ref}}}
	rs, err := c.FlowRuns(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(rs) == 0 {
		return nil, orion.Errorf(orion.NotFound, "there is no flow run %q; list them with: orion flow-run ls", ref)
	}
	return &rs[0], nil
}

func (a *app) flowRunLsCmd() *cobra.Command {
	var limit int64
	var states, flows, deployments, tags []string
	cmd := &cobra.Command{
		Use: "ls", Short: "List the latest runs", Args: cobra.NoArgs,
		Example: "  orion flow-run ls --state failed --flow \"Load orders\"",
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			q := client.Query{Sort: "EXPECTED_START_TIME_DESC", Page: orion.Page{Limit: &limit}}
			f := &orion.FlowRunFilter{}
			if len(states) > 0 {
				or := orion.Operator("or_")
				types, names := []string{}, []string{}
				for _, s := range states {
					types = append(types, strings.ToUpper(s))
					names = append(names, strings.ToUpper(s[:1])+strings.ToLower(s[1:]))
				}
				f.State = &orion.StateFilter{Operator: &or, Type: &orion.Cond[string]{Any: &types}, Name: &orion.Cond[string]{Any: &names}}
			}
			if len(tags) > 0 {
				f.Tags = &orion.Cond[string]{All: &tags}
			}
			q.FlowRuns = f
			if len(flows) > 0 {
				q.Flows = &orion.FlowFilter{Name: &orion.Cond[string]{Any: &flows}}
			}
			if len(deployments) > 0 {
				q.Deployments = &orion.DeploymentFilter{Name: &orion.Cond[string]{Any: &deployments}}
			}
			runs, err := c.FlowRuns(cmd.Context(), q)
			if err != nil {
				return err
			}
			names, err := flowNames(cmd.Context(), c, runs)
			if err != nil {
				return err
			}
			return a.show(runs, func(p *printer) {
				var rows [][]string
				for i := range runs {
					r := &runs[i]
					when := r.StartTime
					if when.IsZero() {
						when = r.ExpectedStartTime
					}
					took := ""
					if !r.StartTime.IsZero() {
						took = span(time.Duration(r.EstimatedRunTime))
					}
					rows = append(rows, []string{p.state(value(r.StateType), value(r.StateName)), names[r.FlowID], r.Name, relative(when), dash(took), r.ID.String()})
				}
				if len(rows) == 0 {
					p.line("No runs. Start one with: orion deployment run FLOW/DEPLOYMENT")
					return
				}
				p.table([]string{"STATE", "FLOW", "RUN", "START", "TOOK", "ID"}, rows)
			})
		}),
	}
	f := cmd.Flags()
	f.Int64Var(&limit, "limit", 15, "how many, at most 200")
	f.StringSliceVar(&states, "state", nil, "only those in this state, such as failed or late")
	f.StringArrayVar(&flows, "flow", nil, "only those of this flow")
	f.StringArrayVar(&deployments, "deployment", nil, "only those of the deployments of this name")
	f.StringArrayVar(&tags, "tag", nil, "only those with this tag")
	return cmd
}

func flowNames(ctx context.Context, c *client.Client, runs []orion.FlowRun) (map[orion.ID]string, error) {
	ids := []orion.ID{}
	seen := map[orion.ID]bool{}
	for _, r := range runs {
		if !seen[r.FlowID] {
			seen[r.FlowID] = true
			ids = append(ids, r.FlowID)
		}
	}
	out := map[orion.ID]string{}
	if len(ids) == 0 {
		return out, nil
	}
	q := client.Query{}
	q.Flows = &orion.FlowFilter{ID: &orion.Cond[orion.ID]{Any: &ids}}
	fs, err := c.Flows(ctx, q)
	for _, f := range fs {
		out[f.ID] = f.Name
	}
	return out, err
}

func (a *app) flowRunInspectCmd() *cobra.Command {
	return &cobra.Command{
		Use: "inspect RUN", Short: "Show a run, by its name or id", Args: cobra.ExactArgs(1),
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := a.flowRun(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			states, err := c.FlowRunStates(cmd.Context(), r.ID)
			if err != nil {
				return err
			}
			names, err := flowNames(cmd.Context(), c, []orion.FlowRun{*r})
			if err != nil {
				return err
			}
			return a.show(r, func(p *printer) {
				took := ""
				if !r.StartTime.IsZero() {
					took = span(time.Duration(r.EstimatedRunTime))
				}
				msg := ""
				if r.State != nil {
					msg = value(r.State.Message)
				}
				p.fields("Run", p.bold(r.Name), "Flow", names[r.FlowID], "State", p.state(value(r.StateType), value(r.StateName)), "Reason", msg, "Id", r.ID.String(),
					"Parameters", compact(r.Parameters), "Tags", strings.Join(r.Tags, ", "), "Queue", value(r.WorkQueueName), "Process", value(r.InfrastructurePID),
					"Expected", stamp(r.ExpectedStartTime), "Started", stamp(r.StartTime), "Ended", stamp(r.EndTime), "Took", took)
				p.line("")
				var rows [][]string
				for _, s := range states {
					rows = append(rows, []string{s.Timestamp.Std().Local().Format("15:04:05.000"), p.state(string(s.Type), s.Name), strings.SplitN(value(s.Message), "\n", 2)[0]})
				}
				p.table([]string{"TIME", "STATE", "MESSAGE"}, rows)
			})
		}),
	}
}

func stamp(t orion.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Std().Local().Format("2006-01-02 15:04:05") + " (" + relative(t) + ")"
}

func (a *app) flowRunLogsCmd() *cobra.Command {
	var follow, reverse bool
	var head, tail int64
	cmd := &cobra.Command{
		Use: "logs RUN", Short: "Print a run's logs", Args: cobra.ExactArgs(1),
		Example: "  orion flow-run logs -f calm-otter",
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := a.flowRun(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if follow {
				return a.follow(cmd.Context(), c, r.ID, false)
			}
			sort, n := "TIMESTAMP_ASC", head
			if reverse || tail > 0 {
				sort, n = "TIMESTAMP_DESC", tail
			}
			var logs []orion.Log
			for n == 0 || int64(len(logs)) < n {
				limit := int64(orion.MaxLimit)
				if n > 0 {
					limit = min(limit, n-int64(len(logs)))
				}
				part, err := c.Logs(cmd.Context(), logsOf(r.ID), sort, limit, int64(len(logs)))
				if err != nil {
					return err
				}
				logs = append(logs, part...)
				if int64(len(part)) < limit {
					break
				}
			}
			if tail > 0 && !reverse {
				for i, j := 0, len(logs)-1; i < j; i, j = i+1, j-1 {
					logs[i], logs[j] = logs[j], logs[i]
				}
			}
			if logs == nil {
				logs = []orion.Log{}
			}
			return a.show(logs, func(p *printer) {
				for i := range logs {
					p.log(&logs[i])
				}
			})
		}),
	}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on until the run ends")
	f.Int64VarP(&head, "head", "n", 0, "only the first so many lines")
	f.Int64VarP(&tail, "tail", "t", 0, "only the last so many lines")
	f.BoolVarP(&reverse, "reverse", "r", false, "the newest first")
	return cmd
}

func logsOf(run orion.ID) orion.LogFilter {
	return orion.LogFilter{FlowRunID: &orion.Cond[orion.ID]{Any: &[]orion.ID{run}}}
}

func (p *printer) log(l *orion.Log) {
	level := fmt.Sprintf("%-8s", levelName(l.Level))
	switch {
	case l.Level >= 40:
		level = p.red(level)
	case l.Level >= 30:
		level = p.yellow(level)
	default:
		level = p.dim(level)
	}
	p.line("%s  %s %s", p.dim(l.Timestamp.Std().Local().Format("15:04:05.000")), level, l.Message)
}

func levelName(n int64) string {
	switch {
	case n >= 50:
		return "CRITICAL"
	case n >= 40:
		return "ERROR"
	case n >= 30:
		return "WARNING"
	case n >= 20:
		return "INFO"
	}
	return "DEBUG"
}

// follow prints a run's logs until it ends. With judge its end decides the
// exit code.
func (a *app) follow(ctx context.Context, c *client.Client, id orion.ID, judge bool) error {
	p := a.printer(a.out)
	var offset int64
	last := ""
	for {
		run, err := c.FlowRun(ctx, id)
		if err != nil {
			return err
		}
		for {
			logs, err := c.Logs(ctx, logsOf(id), "TIMESTAMP_ASC", orion.MaxLimit, offset)
			if err != nil {
				return err
			}
			for i := range logs {
				p.log(&logs[i])
			}
			offset += int64(len(logs))
			if len(logs) < orion.MaxLimit {
				break
			}
		}
		if s := value(run.StateName); s != last {
			last = s
			p.line("%s  %s", p.dim(time.Now().Format("15:04:05.000")), p.state(value(run.StateType), s))
		}
		if run.Type().Final() {
			if judge && run.Type() != orion.Completed {
				msg := ""
				if run.State != nil && run.State.Message != nil {
					msg = ": " + *run.State.Message
				}
				return fmt.Errorf("%s ended as %s%s", run.Name, last, msg)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (a *app) flowRunWhyCmd() *cobra.Command {
	return &cobra.Command{
		Use: "why RUN", Short: "Say what a run waits for", Args: cobra.ExactArgs(1),
		Example: "  orion flow-run why calm-otter",
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := a.flowRun(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if !c.IsOrion() {
				return orion.Errorf(orion.BadRequest, "%s is no Orion server, and cannot say why a run waits", c.URL())
			}
			w, err := c.Why(cmd.Context(), r.ID)
			if err != nil {
				return err
			}
			return a.show(w, func(p *printer) {
				p.line("  %s: %s", p.bold(r.Name), strings.ReplaceAll(w.Text, "{at}", moment(w.At)))
				for _, h := range w.HeldBy {
					p.line("    %s  %s since %s", h.Name, h.State, moment(h.Since))
				}
				if w.Command != "" {
					p.line("  %s", w.Command)
				}
			})
		}),
	}
}

// moment is a time as a sentence has it: today's without the date.
func moment(t orion.Time) string {
	at := t.Std().Local()
	if time.Now().Format(time.DateOnly) == at.Format(time.DateOnly) {
		return at.Format("15:04:05") + " (" + relative(t) + ")"
	}
	return at.Format("2006-01-02 15:04") + " (" + relative(t) + ")"
}

func (a *app) flowRunCancelCmd() *cobra.Command {
	return &cobra.Command{
		Use: "cancel RUN", Short: "Cancel a run", Args: cobra.ExactArgs(1),
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := a.flowRun(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return a.propose(cmd.Context(), c, r, orion.StateCreate{Type: orion.Cancelling})
		}),
	}
}

func (a *app) flowRunRetryCmd() *cobra.Command {
	return &cobra.Command{
		Use: "retry RUN", Short: "Run a run again: with the same parameters, and the results of its tasks that are kept", Args: cobra.ExactArgs(1),
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := a.flowRun(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if !r.Type().Final() {
				return orion.Errorf(orion.BadRequest, "%s is %s: only a run that has ended can be tried again", r.Name, value(r.StateName))
			}
			if r.DeploymentID.IsZero() {
				return orion.Errorf(orion.BadRequest, "%s belongs to no deployment, so nothing says how to start it again", r.Name)
			}
			name := "AwaitingRetry"
			return a.propose(cmd.Context(), c, r, orion.StateCreate{Type: orion.Scheduled, Name: &name})
		}),
	}
}

// propose sets a state and says what the server made of it.
func (a *app) propose(ctx context.Context, c *client.Client, r *orion.FlowRun, s orion.StateCreate) error {
	res, err := c.SetFlowRunState(ctx, r.ID, s, false, nil)
	if err != nil {
		return err
	}
	refused := res.State == nil || res.Status == orion.Abort || (res.Status == orion.Reject && res.State.Type != s.Type && !(s.Type == orion.Cancelling && res.State.Type == orion.Cancelled))
	if refused {
		return errors.New(r.Name + " was left as it is: " + res.Details.Reason)
	}
	return a.show(res, func(p *printer) { p.line("%s is now %s", r.Name, p.state(string(res.State.Type), res.State.Name)) })
}

func (a *app) flowRunDeleteCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete RUN", Short: "Delete a run with its task runs", Args: cobra.ExactArgs(1),
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := a.flowRun(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(yes, fmt.Sprintf("This deletes the run %q and its task runs", r.Name)); err != nil {
				return err
			}
			if err := c.DeleteFlowRun(cmd.Context(), r.ID); err != nil {
				return err
			}
			return a.show(map[string]any{"deleted": r.ID}, func(p *printer) { p.line("Deleted %s", r.Name) })
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
