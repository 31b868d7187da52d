// Package upstream runs the top-level tests that ship in Prefect's 2.20 source
// distribution with the server under test as their API server. There is
// nothing here but the way to run them: run.sh says how, external_api.py
// stands in for what their own conftest gives them, and excluded.txt lists
// what cannot be run against any external server, and why.
package upstream

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

// The files, in parts of about equal length. The tests empty the server
// between them, so each part has one of its own.
var parts = map[string]string{
	"tasks and deployments": "tasks deployments artifacts states variables background_tasks new_task_engine task_server",
	"flows and engines":     "engine flows flows_compat flow_runs new_flow_engine futures context log_prints logging automations",
}

func TestPrefectsOwnTests(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes ten minutes")
	}
	cache := testenv.PrefectsOwnTests(t)
	for name, files := range parts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.UnderTest(t, testenv.ServerOptions{})
			ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(testenv.Root(t), "test", "upstream", "run.sh"),
				server.API(), "--tb=native", "-rfE", "--show-capture=no")
			cmd.Env = append(testenv.Environment(), "ORION_TEST_CACHE="+cache, "UPSTREAM_FILES="+files)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
			cmd.WaitDelay = 5 * time.Second
			out, err := cmd.CombinedOutput()
			text := strings.TrimSpace(string(out))
			if err != nil {
				t.Fatalf("%v\n%s", err, text[max(0, len(text)-20000):])
			}
			t.Log(text[strings.LastIndex(text, "\n")+1:]) // how many passed
		})
	}
}
