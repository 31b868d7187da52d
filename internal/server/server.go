// Package server builds the server from its parts and runs it: the store, the
// API, the background services and the page. It is a value that the command
// line and the tests start and stop in their own process. Start with [New].
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/api"
	"github.com/orionflows/orion/internal/background"
	"github.com/orionflows/orion/internal/block"
	"github.com/orionflows/orion/internal/store"
	"github.com/orionflows/orion/ui"
)

// Options are the settings of a server.
type Options struct {
	Host string // default 127.0.0.1
	Port int    // default 4200; 0 with AnyPort picks a free one
	// AnyPort takes whatever port is free.
	AnyPort    bool
	Database   store.Options
	Version    string
	Log        *slog.Logger
	NoServices bool
	// Services switches single background services off (false) by their name.
	Services map[string]bool
}

// Server is a server that has its port and its database, and may be run once.
type Server struct {
	o     Options
	store *store.Store
	ln    net.Listener
	http  *http.Server
	url   string
	stop  chan struct{} // closed when the server stops
}

// New opens the database and the port.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Port == 0 && !o.AnyPort {
		o.Port = 4200
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Database.Log = o.Log
	o.Database.BuiltIn = store.BuiltIn{Digest: block.Digest(), Load: block.BuiltIn}
	s := &Server{o: o, stop: make(chan struct{})}
	var err error
	if s.ln, err = net.Listen("tcp", net.JoinHostPort(o.Host, fmt.Sprint(o.Port))); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, orion.Errorf(orion.Invalid, "port %d on %s is in use: is a server already running? Choose another with --port", o.Port, o.Host)
		}
		return nil, orion.Errorf(orion.Invalid, "cannot listen on %s port %d: %v", o.Host, o.Port, err)
	}
	if s.store, err = store.Open(ctx, o.Database); err != nil {
		s.ln.Close()
		return nil, err
	}
	host := o.Host
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	s.url = fmt.Sprintf("http://%s", net.JoinHostPort(host, fmt.Sprint(s.ln.Addr().(*net.TCPAddr).Port)))
	a := api.New(api.Options{Store: s.store, Log: o.Log, Version: o.Version, Settings: s.settings(),
		Schedule: s.enabled("scheduler"), Stopping: s.stop})
	mux := http.NewServeMux()
	mux.Handle("/api/", a)
	mux.Handle("/", ui.Handler())
	for _, p := range []string{"/openapi.json", "/docs", "/redoc", "/ui-settings"} {
		mux.Handle(p, a)
	}
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 20 * time.Second,
		IdleTimeout:       3 * time.Minute,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// URL is where the server answers, without the /api.
func (s *Server) URL() string { return s.url }

// Database is the kind of database behind the server.
func (s *Server) Database() string { return s.store.Database() }

// Run serves until the context ends, then finishes what it has begun.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.ln) }()
	debug.FreeOSMemory() // an idle server keeps nothing of what its start took
	bg, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		if !s.o.NoServices {
			(&background.Runner{Store: s.store, Log: s.o.Log, Enabled: s.enabled}).Run(bg)
		}
	})
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	close(s.stop)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if e := s.http.Shutdown(stop); e != nil {
		s.http.Close()
	}
	end()
	wg.Wait()
	return errors.Join(err, s.store.Close())
}

// enabled reports whether a background service is to run.
func (s *Server) enabled(name string) bool {
	if s.o.NoServices {
		return false
	}
	on, said := s.o.Services[name]
	return on || !said
}

func (s *Server) settings() map[string]any {
	return map[string]any{
		"PREFECT_API_URL":           s.url + "/api",
		"PREFECT_SERVER_API_HOST":   s.o.Host,
		"PREFECT_API_DEFAULT_LIMIT": orion.MaxLimit,
		"ORION_VERSION":             s.o.Version,
		"ORION_DATABASE":            s.store.Database(),
		"ORION_DURABILITY":          strings.ToLower(s.o.Database.Durability),
	}
}
