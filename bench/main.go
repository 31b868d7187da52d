// Command bench starts Orion and a real Prefect 2.20 server side by side, puts
// the same load on both, and prints what each spent on it.
//
// The first figure to read is the server's CPU time per operation: other work
// on the machine disturbs it least. The servers take turns round by round (A B,
// B A, …), and the table shows the median of the rounds with the least and the
// most. See README.md for the scenarios, which scenarios.go lists.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are the flags, and what follows from them.
type settings struct {
	rounds    int
	only      []string
	quick     bool
	orionOnly bool
	database  string
	profile   string
	stored    int
	out       string
	root      string // of the repository
	dir       string // scratch, removed at the end
	orion     string // the program under test
	python    string // of Prefect's environment
}

// pick is the size of a load: for Orion, for Prefect, and for a quick look at
// either.
func (s *settings) pick(sub *subject, orion, prefect, quick int) int {
	switch {
	case s.quick:
		return quick
	case sub.prefect:
		return prefect
	}
	return orion
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(serve(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var s settings
	var only string
	flag.IntVar(&s.rounds, "rounds", 5, "how often each scenario is measured on each server")
	flag.StringVar(&only, "only", "", "scenarios to run, comma separated: "+strings.Join(names(), ", "))
	flag.BoolVar(&s.quick, "quick", false, "small loads and one round, to see that everything works")
	flag.BoolVar(&s.orionOnly, "orion-only", false, "leave Prefect out")
	flag.StringVar(&s.database, "database", "sqlite", "sqlite or postgresql")
	flag.StringVar(&s.profile, "profile", "", "write a CPU profile of the Orion server to this file (it is then run inside this program)")
	flag.IntVar(&s.stored, "stored", 100_000, "flow runs in the database of the reads")
	flag.StringVar(&s.out, "json", "", "write every sample to this file")
	flag.Parse()
	if only != "" {
		s.only = strings.Split(only, ",")
		for _, n := range s.only {
			if !slices.Contains(names(), n) {
				return fmt.Errorf("there is no scenario %q; there are %s", n, strings.Join(names(), ", "))
			}
		}
	}
	if s.quick {
		s.rounds, s.stored = 1, min(s.stored, 2000)
	}
	if s.root, err = repository(); err != nil {
		return err
	}
	if s.profile != "" {
		if s.profile, err = filepath.Abs(s.profile); err != nil {
			return err
		}
	}
	if s.python = os.Getenv("ORION_TEST_PYTHON_220"); s.python == "" && !s.orionOnly {
		return fmt.Errorf("ORION_TEST_PYTHON_220 must name the python of an environment with prefect 2.20 (test/setup.sh makes one); or leave Prefect out with -orion-only")
	}
	if s.dir, err = os.MkdirTemp("", "orion-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if err := os.Chmod(s.dir, 0o755); err != nil { // PostgreSQL runs as another user
		return err
	}
	if s.orion, err = build(ctx, &s); err != nil {
		return err
	}

	r := &report{Database: s.database, Started: time.Now().UTC(), Rounds: s.rounds}
	for _, sc := range scenarios() {
		if (len(s.only) > 0 && !slices.Contains(s.only, sc.name)) || ctx.Err() != nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", sc.name, sc.about)
		if err := measure(ctx, &s, sc, r); err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	r.print(os.Stdout)
	if s.out != "" {
		b, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			return err
		}
		return os.WriteFile(s.out, append(b, '\n'), 0o644)
	}
	return ctx.Err()
}

// measure runs one scenario on fresh servers, which take turns.
func measure(ctx context.Context, s *settings, sc scenario, r *report) (err error) {
	subjects := []*subject{{settings: s, name: "orion"}}
	if !s.orionOnly && !sc.orionOnly {
		subjects = append(subjects, &subject{settings: s, name: "prefect", prefect: true})
	}
	defer func() {
		for _, sub := range subjects {
			sub.stop()
		}
	}()
	for _, sub := range subjects {
		if sc.setUp != nil {
			if err := sc.setUp(ctx, sub); err != nil {
				return fmt.Errorf("%s: %w", sub.name, err)
			}
		}
	}
	for round := range s.rounds {
		for i := range subjects {
			sub := subjects[(i+round)%len(subjects)]
			values, err := sc.run(ctx, sub)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", sub.name, err, sub.tail())
			}
			r.add(sc.name, sub.name, values)
			fmt.Fprintf(os.Stderr, "  round %d/%d %-8s %s (load %s)\n", round+1, s.rounds, sub.name, line(values), loadAverage())
		}
	}
	return nil
}
