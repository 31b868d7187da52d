package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/orionflows/orion/internal/server"
	"github.com/orionflows/orion/internal/store"
)

// serve is the Orion server with a CPU profile of its whole life.
func serve(args []string) int {
	f := flag.NewFlagSet("serve", flag.ExitOnError)
	port := f.Int("port", 0, "port")
	durability := f.String("durability", "normal", "full or normal")
	profile := f.String("profile", "", "file of the CPU profile")
	f.Parse(args)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := func() error {
		out, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer out.Close()
		s, err := server.New(ctx, server.Options{Port: *port, Version: "bench", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Database: store.Options{Dir: os.Getenv("ORION_HOME"), URL: os.Getenv("ORION_DATABASE_URL"), Durability: *durability}})
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
		return s.Run(ctx)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
