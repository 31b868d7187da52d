package testenv

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a running API server.
type Server struct {
	URL  string // http://127.0.0.1:4200, without a slash at the end
	Kind string // "orion", "prefect", or "other" when only the URL is known
	Home string // its data folder; "" when only the URL is known

	process *process
}

// API is the URL that clients are given: PREFECT_API_URL.
func (s *Server) API() string { return s.URL + "/api" }

// Log is what the server printed so far.
func (s *Server) Log() string {
	if s.process == nil {
		return ""
	}
	return s.process.log.String()
}

// Stop ends the server as a person would, and returns once it is gone.
func (s *Server) Stop() error { return s.process.stop(syscall.SIGTERM, 15*time.Second) }

// Kill ends the server as a power cut would.
func (s *Server) Kill() { _ = s.process.stop(syscall.SIGKILL, time.Minute) } // SIGKILL cannot be refused

// ServerOptions differ from test to test; the zero value serves most.
type ServerOptions struct {
	Home        string   // data folder; a temporary one when empty
	DatabaseURL string   // Orion only: PostgreSQL, see Postgres
	Env         []string // further NAME=value settings
	Args        []string // Orion only: further arguments of `orion server start`
}

// UnderTest is the server that the proofs in test/ are about: Orion, unless
// ORION_TEST_SERVER says "prefect" (to check the proof itself against a real
// Prefect 2.20 server) or is the URL of a server that runs already.
func UnderTest(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	switch target := os.Getenv("ORION_TEST_SERVER"); {
	case target == "" || target == "orion":
		return Orion(t, o)
	case target == "prefect":
		return Prefect(t, o)
	case strings.HasPrefix(target, "http"):
		return &Server{URL: strings.TrimSuffix(strings.TrimRight(target, "/"), "/api"), Kind: "other"}
	default:
		t.Fatalf(`ORION_TEST_SERVER=%q: want "orion", "prefect" or a URL`, target)
		return nil
	}
}

// Orion starts an Orion server built from this checkout on a free port, with a
// data folder of its own. The test fails when the server panicked, or did not
// end when asked.
func Orion(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	binary := OrionBinary(t)
	if o.Home == "" {
		o.Home = t.TempDir()
	}
	port := FreePort(t)
	cmd := exec.Command(binary, append([]string{"server", "start", "--host", "127.0.0.1", "--port", strconv.Itoa(port)}, o.Args...)...)
	cmd.Dir = o.Home
	cmd.Env = append(Environment(), "ORION_HOME="+o.Home)
	if o.DatabaseURL != "" {
		cmd.Env = append(cmd.Env, "ORION_DATABASE_URL="+o.DatabaseURL)
	}
	cmd.Env = append(cmd.Env, o.Env...)
	return serve(t, cmd, &Server{Kind: "orion", Home: o.Home, URL: "http://127.0.0.1:" + strconv.Itoa(port)}, 30*time.Second)
}

// OrionBinary is the orion program, built from this checkout once per test
// process; ORION_TEST_BINARY names a ready one.
func OrionBinary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("ORION_TEST_BINARY"); path != "" {
		return path
	}
	root := Root(t)
	path, err := orionBinary.get(func() (string, error) {
		dir, err := removedAtExit("orion-test-bin-")
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, "orion")
		cmd := exec.Command("go", "build", "-o", path, "./cmd/orion")
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build ./cmd/orion: %w\n%s", err, out)
		}
		return path, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var orionBinary shared[string]

// Prefect starts a real Prefect 2.20 server on a free port, on SQLite in a
// folder of its own.
func Prefect(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	python := Python220(t)
	if o.Home == "" {
		o.Home = t.TempDir()
	}
	port := FreePort(t)
	// What `prefect server start` runs, without the process in between.
	cmd := exec.Command(python, "-m", "uvicorn", "--app-dir", filepath.Dir(filepath.Dir(python)),
		"--factory", "prefect.server.api.server:create_app",
		"--host", "127.0.0.1", "--port", strconv.Itoa(port), "--timeout-keep-alive", "5")
	cmd.Dir = o.Home
	cmd.Env = append(Environment(),
		"PREFECT_HOME="+o.Home,
		"PREFECT_UI_ENABLED=false",
		"PREFECT_SERVER_ANALYTICS_ENABLED=false",
		"PREFECT_LOGGING_SERVER_LEVEL=WARNING",
		"PYTHONUNBUFFERED=1",
	)
	cmd.Env = append(cmd.Env, o.Env...)
	return serve(t, cmd, &Server{Kind: "prefect", Home: o.Home, URL: "http://127.0.0.1:" + strconv.Itoa(port)}, 3*time.Minute)
}

// serve starts a server's process and waits until it answers.
func serve(t testing.TB, cmd *exec.Cmd, s *Server, patience time.Duration) *Server {
	t.Helper()
	p, err := start(cmd, syscall.SIGTERM, "")
	if err != nil {
		t.Fatalf("starting %s: %v", s.Kind, err)
	}
	s.process = p
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stopping %s: %v\n%s", s.Kind, err, tail(s.Log()))
		}
		if log := s.Log(); s.Kind == "orion" && strings.Contains(log, "panic") {
			at := max(0, strings.Index(log, "panic")-500)
			t.Errorf("the server panicked:\n%s", log[at:min(len(log), at+6000)])
		}
		if t.Failed() {
			t.Logf("%s printed at the end:\n%s", s.Kind, tail(s.Log()))
		}
	})

	deadline := time.Now().Add(patience)
	for {
		if healthy(s.API()) {
			return s
		}
		select {
		case <-p.exited:
			t.Fatalf("%s ended before it answered: %v\n%s", s.Kind, p.err, tail(s.Log()))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not answer %s/health within %s\n%s", s.Kind, s.API(), patience, tail(s.Log()))
		}
	}
}

func healthy(api string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/health", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

// Environment is ours without the settings of Orion and Prefect that the
// person who runs the tests may have.
func Environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ORION_") && !strings.HasPrefix(v, "PREFECT_") {
			env = append(env, v)
		}
	}
	return env
}
