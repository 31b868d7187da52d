// Package browser proves the page in a real Chromium, against a real server
// with data made through its API. The steps are in journey.mjs; this file
// gives them a server that can be stopped and started again.
package browser

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/server"
	"github.com/orionflows/orion/internal/store"
	"github.com/orionflows/orion/internal/testenv"
)

func TestJourney(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	modules := nodeModules(t)
	chromium := program(t, "Chromium", "ORION_TEST_CHROMIUM", "chromium", "chromium-browser", "google-chrome")
	node := program(t, "Node.js", "ORION_TEST_NODE", "node")

	o := &orion{dir: t.TempDir(), port: testenv.FreePort(t)}
	o.start(t)
	t.Cleanup(func() { o.stop(t) })
	// The journey asks for what it cannot do through the API.
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stop":
			o.stop(t)
		case "/start":
			o.start(t)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(control.Close)

	shots := os.Getenv("ORION_TEST_SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "journey.mjs")
	cmd.Env = append(os.Environ(), "ORION_URL="+o.url(), "CONTROL_URL="+control.URL, "CHROMIUM="+chromium, "MODULES="+modules, "SCREENSHOTS="+shots, "TZ=Europe/Berlin")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("the journey failed: %v", err)
	}
}

// orion is a server that keeps its port and its data while it is stopped.
type orion struct {
	dir  string
	port int
	end  context.CancelFunc
	done chan error
}

func (o *orion) url() string { return "http://127.0.0.1:" + strconv.Itoa(o.port) }

func (o *orion) start(t *testing.T) {
	if o.end != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Options{Port: o.port, Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Database: store.Options{Dir: o.dir}})
	if err != nil {
		cancel()
		t.Errorf("starting the server: %v", err)
		return
	}
	o.end, o.done = cancel, make(chan error, 1)
	go func() { o.done <- s.Run(ctx) }()
}

func (o *orion) stop(t *testing.T) {
	if o.end == nil {
		return
	}
	o.end()
	o.end = nil
	if err := <-o.done; err != nil && !strings.Contains(err.Error(), http.ErrServerClosed.Error()) {
		t.Errorf("the server ended with: %v", err)
	}
}

// program finds the first of these names, or what the variable names.
func program(t *testing.T, what, variable string, names ...string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	absent(t, what, variable)
	return ""
}

// nodeModules is the folder in which test/setup.sh installs playwright-core
// and axe-core.
func nodeModules(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("ORION_TEST_NODE_MODULES")
	if dir == "" {
		cache := os.Getenv("ORION_TEST_CACHE")
		if cache == "" {
			user, err := os.UserCacheDir()
			if err != nil {
				t.Fatal(err)
			}
			cache = filepath.Join(user, "orion-test")
		}
		dir = filepath.Join(cache, "browser", "node_modules")
	}
	if _, err := os.Stat(filepath.Join(dir, "playwright-core", "package.json")); err != nil {
		absent(t, "playwright-core", "ORION_TEST_NODE_MODULES")
	}
	return dir
}

func absent(t *testing.T, what, variable string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is absent: run test/setup.sh browser, or set %s", what, variable)
	}
	t.Skipf("%s is absent: run test/setup.sh browser, or set %s", what, variable)
}
