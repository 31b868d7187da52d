// Package upstream runs the top-level tests that ship in Prefect's 2.20 source
// distribution with the server under test as their API server. There is
// nothing here but the way to run them: run.sh says how, external_api.py
// stands in for what their own conftest gives them, and excluded.txt lists
// what cannot be run against Orion, and why.
package upstream

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

func TestPrefectsOwnTests(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	cache := testenv.PrefectsOwnTests(t)

	// The tests empty their server: each of the two workers has its own.
	servers := []string{testenv.UnderTest(t, testenv.ServerOptions{}).API()}
	if !strings.HasPrefix(os.Getenv("ORION_TEST_SERVER"), "http") {
		servers = append(servers, testenv.UnderTest(t, testenv.ServerOptions{}).API())
	}

	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(testenv.Root(t), "test", "upstream", "run.sh"),
		strings.Join(servers, " "), "-rfE", "--show-capture=no", "--durations=10")
	cmd.Env = append(testenv.Environment(), "ORION_TEST_CACHE="+cache, "UPSTREAM_FILES="+os.Getenv("UPSTREAM_FILES"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		t.Fatalf("%v\n%s", err, text[max(0, len(text)-20000):])
	}
	t.Log(text[strings.LastIndex(text, "\n")+1:]) // how many passed
}
