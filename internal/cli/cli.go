// Package cli is the command line: one file for each command, thin enough to
// be flags, an options struct and a call. Start with [Main].
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/config"
	"github.com/orionflows/orion/internal/doctor"
	"github.com/spf13/cobra"
)

// Version is Orion's version, set at build time with -ldflags.
var Version = "0.1.0"

// The exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitForbidden   = 4
	exitUnreachable = 5
	exitInterrupted = 130
)

// Main runs the command and returns the exit code: 0 done, 1 failed, 2 wrong
// usage, 3 plan has changes (where asked for), 4 not allowed, 5 server unreachable, 130 interrupted.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // the second Ctrl-C ends at once
	}()
	a := &app{out: os.Stdout, err: os.Stderr, in: os.Stdin}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted)):
		return exitInterrupted
	}
	var code exit
	if errors.As(err, &code) {
		return int(code)
	}
	a.explain(err)
	var u *usageError
	var down *client.Unreachable
	switch {
	case errors.As(err, &u):
		return exitUsage
	case errors.As(err, &down):
		return exitUnreachable
	case orion.KindOf(err) == orion.Forbidden, orion.KindOf(err) == orion.Unauthorized:
		return exitForbidden
	}
	return exitFailed
}

var errInterrupted = errors.New("interrupted")

// exit is an exit code that is an answer, not a failure.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// quietly is an error that has been told already.
type quietly struct{ error }

type usageError struct{ error }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// explain prints an error: what failed, and what to do.
func (a *app) explain(err error) {
	var q quietly
	if errors.As(err, &q) {
		return
	}
	p := a.printer(a.err)
	fmt.Fprintln(a.err, p.red("Error:"), err)
	detectCI(a.err).annotate(doctor.Error, "", 0, err.Error())
	var down *client.Unreachable
	var u *usageError
	switch {
	case errors.As(err, &down) && a.config != nil:
		fmt.Fprintf(a.err, "  The address comes from %s. Is the server running? Try: orion server start\n", a.config.Source(config.APIURL))
	case errors.As(err, &u):
		fmt.Fprintln(a.err, "  See: orion --help")
	case orion.KindOf(err) == orion.Unauthorized && a.config != nil:
		fmt.Fprintln(a.err, "  Set a key with ORION_API_KEY, or: orion config set api_key KEY")
	}
}

// app is what the commands share.
type app struct {
	out, err *os.File
	in       *os.File
	config   *config.Config
	output   string
	noColor  bool
	apiURL   string
	apiKey   string
	client   *client.Client
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "orion",
		Short: "Run, schedule and watch workflows",
		Long:  "Orion runs, schedules and watches workflows. It speaks the API of Prefect: clients, deployment files, agents and blocks of Prefect 2 work against it by changing one URL.",
		Example: `  orion up examples                        everything on one machine, for a repository
  orion deployment run "Load orders/daily"  start a run
  orion flow-run logs -f calm-otter         follow its logs`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       Version,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			switch a.output {
			case "", "table", "json":
			default:
				return usage("--output is %q; it can be table or json", a.output)
			}
			var err error
			a.config, err = config.Load(map[string]string{config.APIURL: a.apiURL, config.APIKey: a.apiKey})
			return err
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVarP(&a.output, "output", "o", "table", "table for people, json for programs")
	f.BoolVar(&a.noColor, "no-color", false, "print without colours")
	f.StringVar(&a.apiURL, "api-url", "", "the server's API (default from ORION_API_URL, PREFECT_API_URL or a profile)")
	f.StringVar(&a.apiKey, "api-key", "", "the key to show to the server")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(a.upCmd(), a.serverCmd(), a.agentCmd(), a.newCmd(), a.planCmd(), a.deployCmd(), a.doctorCmd(),
		a.deploymentCmd(), a.flowRunCmd(), a.workQueueCmd(), a.workPoolCmd(),
		a.blockCmd(), a.variableCmd(), a.limitCmd(), a.gcCmd(), a.configCmd(), a.profileCmd(), a.versionCmd(), a.docsCmd())
	for _, c := range root.Commands() {
		wrapArgs(c)
	}
	return root
}

// wrapArgs makes wrong arguments a usage error, with the right exit code.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%s: %w", cmd.CommandPath(), err)
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%s has no command %q%s", cmd.CommandPath(), args[0], suggestion(cmd.SuggestionsFor(args[0])))
			}
			return cmd.Help()
		}
	}
	for _, s := range c.Commands() {
		wrapArgs(s)
	}
}

func suggestion(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", strings.Join(names, " or "))
}

// api is the client for the configured server.
func (a *app) api() (*client.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	c, err := client.New(client.Options{URL: a.config.Get(config.APIURL), Key: a.config.Get(config.APIKey), UserAgent: "orion/" + Version, Retries: 2})
	a.client = c
	return c, err
}

// withAPI is the body of a command that talks to the server.
func (a *app) withAPI(f func(cmd *cobra.Command, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.api()
		if err != nil {
			return err
		}
		return f(cmd, c, args)
	}
}

// group is a command that only holds others.
func group(use, short string, cmds ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short}
	c.AddCommand(cmds...)
	return c
}
