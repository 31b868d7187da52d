// Package cli is the command line: one file for each command, thin enough to
// be flags, an options struct and a call. Start with [Main].
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Version is Orion's version, set at build time with -ldflags.
var Version = "0.1.0"

// Main runs the command and returns the exit code: 0 done, 1 failed, 2 wrong
// usage, 4 not allowed, 5 server unreachable, 130 interrupted.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // the second Ctrl-C ends at once
	}()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 130
	}
	fmt.Fprintln(os.Stderr, "Error:", err)
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "orion",
		Short:         "Run, schedule and watch workflows",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       Version,
	}
	root.AddCommand(newServer())
	return root
}
