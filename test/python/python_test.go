// Package python proves that real Prefect clients work with the server: short
// scripts do what their users do, with a 2.20 and with a 2.8 client. There is
// nothing here but tests; [testenv.UnderTest] says which server they use.
package python

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

// What people do with a client. The scripts say what each is about.
var scenarios = []struct {
	name string
	on28 bool // a 2.8 client can do it, too
}{
	{"agent", true},
	{"deployments", true},
	{"engine", true},
	{"blocks", true},
	{"limits", true},
	{"mistakes", true},
	{"worker", false},
	{"serve", false},
	{"pause", false},
	{"objects", false},
}

func TestClients(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	server := testenv.UnderTest(t, testenv.ServerOptions{})
	scripts, err := filepath.Abs("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	// A real Prefect on SQLite is at its limit with one client; and more than
	// two clients at once leave a small machine no room to be on time.
	slots := make(chan struct{}, 2)
	if server.Kind == "prefect" {
		slots = make(chan struct{}, 1)
	}
	for _, client := range []struct {
		version string
		python  func(testing.TB) string
	}{
		{"2.20", testenv.Python220},
		{"2.8", testenv.Python28},
	} {
		t.Run(client.version, func(t *testing.T) {
			t.Parallel()
			python := client.python(t)
			for _, s := range scenarios {
				if client.version == "2.8" && !s.on28 {
					continue
				}
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					slots <- struct{}{}
					defer func() { <-slots }()
					play(t, server, python, filepath.Join(scripts, s.name+".py"))
				})
			}
		})
	}
}

// play runs one script in an empty folder.
func play(t *testing.T, server *testenv.Server, python, script string) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, script)
	cmd.Dir = dir
	cmd.Env = append(testenv.Environment(),
		"PREFECT_API_URL="+server.API(),
		"PREFECT_HOME="+filepath.Join(dir, ".prefect"),
		"PYTHONPATH="+strings.Join([]string{filepath.Dir(script), dir}, string(os.PathListSeparator)),
		"PYTHONUNBUFFERED=1",
		"SCENARIO_SUFFIX="+strconv.FormatInt(time.Now().UnixNano()%1e9, 36),
		"SCENARIO_SERVER="+server.Kind,
		// Poll often, print plainly, and never ask the outside world.
		"PREFECT_AGENT_QUERY_INTERVAL=1",
		"PREFECT_WORKER_QUERY_SECONDS=1",
		"PREFECT_RUNNER_POLL_FREQUENCY=1",
		"PREFECT_LOGGING_TO_API_BATCH_INTERVAL=0.5",
		"PREFECT_CLI_COLORS=false",
		"PREFECT_LOGGING_COLORS=false",
		"PREFECT_CLI_PROMPT=false",
		"COLUMNS=240",
		"NO_COLOR=1",
	)
	// A script that takes too long takes its children with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		const keep = 12000
		text := string(out)
		if len(text) > keep {
			text = "…" + text[len(text)-keep:]
		}
		t.Errorf("%s after %s: %v\n%s", filepath.Base(script), time.Since(began).Round(time.Second), err, text)
	}
}
