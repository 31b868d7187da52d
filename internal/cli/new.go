package cli

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/orionflows/orion/internal/scaffold"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func (a *app) newCmd() *cobra.Command {
	var o scaffold.Options
	var project, flow, deployment, cron, zone, queue string
	var sets []string
	cmd := &cobra.Command{
		Use:   "new [NAME]",
		Short: "Write a new flow folder from a template",
		Long:  "Write a new flow folder: flow, deployment file, requirements and ignore file. What is not given is asked for. A folder with a cookiecutter.json is a template, too.",
		Example: `  orion new
  orion new load_orders --project shop --cron "0 6 * * *" --timezone Europe/Oslo -q kubernetes
  orion new --template ../our-template --set owner=data`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Answers = map[string]string{}
			for k, v := range map[string]string{"project": project, "flow": flow, "deployment": deployment, "cron": cron, "timezone": zone, "queue": queue} {
				if v != "" {
					o.Answers[k] = v
				}
			}
			if len(args) == 1 {
				o.Answers["flow"] = args[0]
			}
			for _, s := range sets {
				k, v, ok := strings.Cut(s, "=")
				if !ok {
					return usage("--set %q is not written name=value", s)
				}
				o.Answers[k] = v
			}
			p := a.printer(a.err)
			o.Log = func(s string) { p.line("%s", p.dim(s)) }
			if term.IsTerminal(int(a.in.Fd())) {
				in := bufio.NewReader(a.in)
				o.Ask = func(q scaffold.Question) (string, error) { return a.ask(p, in, q) }
			}
			r, err := scaffold.New(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.show(map[string]any{"dir": r.Dir, "files": r.Files, "next": r.Next}, func(p *printer) {
				p.line("%s %s", p.green("✓"), r.Dir)
				for _, f := range r.Files {
					p.line("    %s", f)
				}
				if len(r.Next) > 0 {
					p.line("Next:")
				}
				for _, n := range r.Next {
					p.line("    %s", n)
				}
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Template, "template", "", "a folder with a template, Orion's or cookiecutter's")
	f.StringVar(&o.Dir, "dir", ".", "where to write, usually the repository's root")
	f.StringVar(&project, "project", "", "the project's folder below projects/")
	f.StringVar(&flow, "flow", "", "the flow's name")
	f.StringVar(&deployment, "deployment", "", "the deployment's name")
	f.StringVar(&cron, "cron", "", "when it runs")
	f.StringVar(&zone, "timezone", "", "the time zone of --cron")
	f.StringVarP(&queue, "queue", "q", "", "the work queue")
	f.StringArrayVar(&sets, "set", nil, "an answer to a template's question, as name=value")
	f.BoolVar(&o.Force, "force", false, "write over what is there")
	f.BoolVar(&o.NoHooks, "no-hooks", false, "do not run the template's hooks")
	return cmd
}

func (a *app) ask(p *printer, in *bufio.Reader, q scaffold.Question) (string, error) {
	prompt := q.Prompt
	if prompt == "" {
		prompt = q.Name
	}
	if len(q.Choices) > 0 {
		for i, c := range q.Choices {
			p.line("  %d  %s", i+1, c)
		}
	}
	if q.Default != "" {
		prompt += " " + p.dim("["+q.Default+"]")
	}
	fmt.Fprintf(a.err, "%s: ", prompt)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", errInterrupted
	}
	line = strings.TrimSpace(line)
	if line == "" {
		return q.Default, nil
	}
	for i, c := range q.Choices {
		if line == fmt.Sprint(i+1) {
			return c, nil
		}
	}
	return line, nil
}
