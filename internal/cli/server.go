package cli

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/background"
	"github.com/orionflows/orion/internal/config"
	"github.com/orionflows/orion/internal/server"
	"github.com/orionflows/orion/internal/store"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func (a *app) serverCmd() *cobra.Command {
	return group("server", "The server: API, scheduler and page", a.serverStartCmd(), a.serverStatusCmd())
}

func (a *app) serverStartCmd() *cobra.Command {
	o := server.Options{Version: Version}
	var off, on []string
	var logLevel string
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the server",
		Long:  "Start the server. It keeps its data in SQLite in the data folder (ORION_HOME), or in PostgreSQL (ORION_DATABASE_URL).",
		Example: `  orion server start
  orion server start --port 4300
  ORION_DATABASE_URL=postgres://orion@db/orion orion server start --host 0.0.0.0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Log, err = logger(os.Stderr, logLevel); err != nil {
				return err
			}
			if o.Services, err = services(on, off, o.NoServices); err != nil {
				return err
			}
			if len(on) > 0 {
				o.NoServices = false
			}
			o.Database = a.database(o.Database.Durability)
			s, err := server.New(cmd.Context(), o)
			if err != nil {
				return err
			}
			p := a.printer(a.out)
			p.line("%s  %s  %s", p.bold("Orion "+Version), s.URL(), p.dim(where(s, o.Database)))
			p.line("  export PREFECT_API_URL=%s/api", s.URL())
			return s.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Host, "host", "127.0.0.1", "address to listen on")
	f.IntVar(&o.Port, "port", 4200, "port to listen on")
	f.StringVar(&o.Database.Durability, "durability", envOr("ORION_DURABILITY", "full"), "what a crash of the operating system may lose: full (nothing that was answered) or normal (the last moments)")
	f.BoolVar(&o.NoServices, "no-services", false, "run no background service")
	f.StringSliceVar(&off, "without", nil, "background services not to run: "+strings.Join(serviceNames(), ", "))
	f.StringSliceVar(&on, "only", nil, "background services to run, and no others")
	f.StringVar(&logLevel, "log-level", envOr("ORION_LOG_LEVEL", "info"), "debug, info, warn or error")
	return cmd
}

func where(s *server.Server, o store.Options) string {
	if s.Database() == "postgresql" {
		return "PostgreSQL"
	}
	return "SQLite in " + o.Dir
}

// database says which database the settings name.
func (a *app) database(durability string) store.Options {
	return store.Options{URL: a.config.Get(config.Database), Dir: a.config.Get(config.Home), Durability: durability, Key: os.Getenv("ORION_ENCRYPTION_KEY")}
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

func serviceNames() (names []string) {
	for _, s := range background.Services() {
		names = append(names, s.Name)
	}
	return names
}

// services says which are on. Each has a variable, too: ORION_SERVICE_LATE_RUNS=false.
func services(only, without []string, none bool) (map[string]bool, error) {
	out := map[string]bool{}
	known := map[string]bool{}
	for _, n := range serviceNames() {
		known[n] = true
		if v := os.Getenv("ORION_SERVICE_" + strings.ToUpper(strings.ReplaceAll(n, "-", "_"))); v != "" {
			out[n] = v != "false" && v != "0" && v != "off"
		}
		if len(only) > 0 {
			out[n] = false
		}
	}
	for _, n := range append(append([]string{}, only...), without...) {
		if !known[n] {
			return nil, usage("there is no service %q; there are %s", n, strings.Join(serviceNames(), ", "))
		}
	}
	for _, n := range only {
		out[n] = true
	}
	for _, n := range without {
		out[n] = false
	}
	return out, nil
}

// logger writes text for people and JSON for machines.
func logger(f *os.File, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usage("the log level is %q; it can be debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	if term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(f, o)), nil
	}
	return slog.New(slog.NewJSONHandler(f, o)), nil
}

func (a *app) serverStatusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say whether the server answers",
		Args:  cobra.NoArgs,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			var version string
			if err := c.Do(cmd.Context(), "GET", "/admin/version", nil, &version); err != nil {
				return err
			}
			kind := "Prefect " + version
			if c.IsOrion() {
				kind = "Orion (as Prefect " + version + ")"
			}
			return a.show(map[string]any{"url": c.URL(), "orion": c.IsOrion(), "prefect_version": version}, func(p *printer) {
				p.line("%s %s", p.green("✓"), fmt.Sprintf("%s answers as %s", c.URL(), kind))
			})
		}),
	}
}
