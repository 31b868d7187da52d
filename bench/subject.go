package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// subject is one of the two servers.
type subject struct {
	*settings
	name    string
	prefect bool

	durability string // Orion's; "normal" unless set
	home       string // its data
	port       int
	proc       *process
	pg         *cluster // its own PostgreSQL, when asked for
	client     *http.Client
	state      any // what a scenario keeps between rounds
}

func repository() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", fmt.Errorf("run it inside the repository: go run ./bench")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// build makes the program under test; with a profile it is this very program.
func build(ctx context.Context, s *settings) (string, error) {
	if s.profile != "" {
		return os.Executable()
	}
	path := filepath.Join(s.dir, "orion")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/orion")
	cmd.Dir = s.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building orion: %w\n%s", err, out)
	}
	return path, nil
}

// fresh gives the subject an empty database and starts it.
func (s *subject) fresh(ctx context.Context) error {
	s.stop()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	return s.start(ctx)
}

func (s *subject) prepare(ctx context.Context) (err error) {
	if s.home, err = os.MkdirTemp(s.dir, s.name+"-"); err != nil {
		return err
	}
	if s.database == "postgresql" {
		s.pg, err = startCluster(ctx, filepath.Join(s.dir, filepath.Base(s.home)+"-pg"))
	}
	return err
}

// start runs the server on its data and waits for it to answer.
func (s *subject) start(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.port = port
	if s.proc, err = start(s.command()); err != nil {
		return err
	}
	s.client = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute}}
	return s.awaitHealth(ctx)
}

func (s *subject) command() *exec.Cmd {
	var cmd *exec.Cmd
	// Nothing of a user's own settings reaches either server.
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "TMPDIR=" + s.dir, "LC_ALL=C.UTF-8"}
	port := strconv.Itoa(s.port)
	if s.prefect {
		cmd = exec.Command(filepath.Join(filepath.Dir(s.python), "prefect"), "server", "start", "--host", "127.0.0.1", "--port", port)
		env = append(env, "PREFECT_HOME="+s.home, "PREFECT_SERVER_ANALYTICS_ENABLED=false", "PREFECT_LOGGING_SERVER_LEVEL=ERROR",
			"PREFECT_API_URL=http://127.0.0.1:"+port+"/api", "DO_NOT_TRACK=1")
		if s.pg != nil {
			env = append(env, "PREFECT_API_DATABASE_CONNECTION_URL="+strings.Replace(s.pg.url(), "postgres://", "postgresql+asyncpg://", 1))
		}
	} else {
		durability := s.durability
		if durability == "" {
			durability = "normal"
		}
		if s.pg != nil {
			durability = "full" // both as the cluster says: synchronous_commit=on
			env = append(env, "ORION_DATABASE_URL="+s.pg.url()+"?sslmode=disable")
		}
		args := []string{"server", "start", "--port", port, "--durability", durability, "--log-level", "error"}
		if s.profile != "" {
			args = []string{"serve", "-port", port, "-durability", durability, "-profile", s.profile}
		}
		cmd = exec.Command(s.orion, args...)
		env = append(env, "ORION_HOME="+s.home)
	}
	cmd.Dir, cmd.Env = s.home, env
	return cmd
}

// pythonCommand runs a script with Prefect's client against this server.
func (s *subject) pythonCommand(home, script string) *exec.Cmd {
	cmd := exec.Command(s.python, script)
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + s.dir, "LC_ALL=C.UTF-8", "PREFECT_HOME=" + home,
		"PREFECT_API_URL=" + s.url(""), "PREFECT_LOGGING_LEVEL=INFO", "DO_NOT_TRACK=1"}
	return cmd
}

func (s *subject) awaitHealth(ctx context.Context) error {
	quick := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.Now().Add(4 * time.Minute)
	for {
		res, err := quick.Get(s.url("/health"))
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if s.proc.ended() {
			return fmt.Errorf("%w\n%s", errEnded, s.tail())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer on port %d in time\n%s", s.port, s.tail())
		}
		pause := 2 * time.Millisecond
		if s.prefect {
			pause = 50 * time.Millisecond // it takes seconds; asking must not
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (s *subject) url(path string) string {
	return "http://127.0.0.1:" + strconv.Itoa(s.port) + "/api" + path
}

// halt ends the server and keeps its data.
func (s *subject) halt() {
	if s.proc == nil {
		return
	}
	s.client.CloseIdleConnections()
	s.proc.stop(syscall.SIGTERM)
	s.proc = nil
}

// stop ends the server and its database, and removes its data.
func (s *subject) stop() {
	if both, ok := s.state.(*[2]*subject); ok { // of the comparison with itself
		for _, x := range both {
			x.stop()
		}
	}
	s.halt()
	if s.pg != nil {
		s.pg.stop()
		s.pg = nil
	}
	if s.home != "" {
		os.RemoveAll(s.home)
		s.home = ""
	}
}

// cpu is what the server has used since it started, PostgreSQL included.
func (s *subject) cpu() time.Duration {
	t := cpu(s.proc.cmd.Process.Pid)
	if s.pg != nil {
		t += cpu(s.pg.proc.cmd.Process.Pid)
	}
	return t
}

// spent is the CPU time that f costs the server.
func (s *subject) spent(f func() error) (used, wall time.Duration, err error) {
	before, began := s.cpu(), time.Now()
	err = f()
	return s.cpu() - before, time.Since(began), err
}

func (s *subject) tail() string {
	if s.proc == nil {
		return ""
	}
	return s.proc.out.String()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
