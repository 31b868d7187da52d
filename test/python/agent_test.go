package python

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

const agentFlow = `
from prefect import flow, task

@task
def double(x):
    return 2 * x

@flow(log_prints=True)
def doubled(x: int = 1):
    print("doubled is", double(x))

if __name__ == "__main__":
    from prefect.deployments import Deployment
    Deployment.build_from_flow(doubled, name="d", work_queue_name="orion-q", entrypoint="flow.py:doubled").apply()
`

// Orion's agent serves a Prefect server as Prefect's own would, and a server of
// ours with nothing changed but the URL.
func TestOrionsAgentServesPrefectAndOrion(t *testing.T) {
	t.Parallel()
	testenv.Heavy(t)
	python := testenv.Python220(t)
	for name, start := range map[string]func() *testenv.Server{
		"prefect": func() *testenv.Server { return testenv.Prefect(t, testenv.ServerOptions{}) },
		"orion":   func() *testenv.Server { return testenv.Orion(t, testenv.ServerOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			server := start()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "flow.py"), []byte(agentFlow), 0o600); err != nil {
				t.Fatal(err)
			}
			env := append(os.Environ(), "PREFECT_API_URL="+server.URL+"/api", "PREFECT_HOME="+t.TempDir(), "ORION_HOME="+t.TempDir())
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			run := func(program string, args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(ctx, program, args...)
				cmd.Dir, cmd.Env = dir, env
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			run(python, "flow.py")
			orion := testenv.OrionBinary(t)
			agent := exec.CommandContext(ctx, orion, "agent", "start", "-q", "orion-q", "--python", python)
			agent.Dir, agent.Env = dir, env
			agent.Cancel = func() error { return agent.Process.Signal(os.Interrupt) }
			var said bytes.Buffer
			agent.Stdout, agent.Stderr = &said, &said
			if err := agent.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = agent.Process.Signal(os.Interrupt) // it may have ended
				_ = agent.Wait()
				if t.Failed() {
					t.Logf("the agent said:\n%s", said.String())
				}
			})
			out := run(orion, "deployment", "run", "doubled/d", "-p", "x=21", "--watch")
			if !strings.Contains(out, "doubled is 42") || !strings.Contains(out, "Completed") {
				t.Errorf("the run said:\n%s", out)
			}
		})
	}
}
