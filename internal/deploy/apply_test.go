package deploy

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/pyenv"
	"github.com/orionflows/orion/internal/testenv"
)

const deploysOne = `
from prefect import flow
from prefect.deployments import Deployment

@flow
def sums(n: int = 1):
    return n

if __name__ == "__main__":
    d = Deployment.build_from_flow(sums, name="DEPLOYMENT", work_queue_name="q", tags=["t"])
    d.apply()
    print("applied", d.name)
`

// A real client, forked, against a real server: what a redeploy in `up` is.
func TestDeploymentsAreAppliedFromAWarmInterpreter(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	server := testenv.Prefect(t, testenv.ServerOptions{})
	for _, client := range []struct {
		name, python string
		ways         []string
	}{
		{"prefect 2.20", testenv.Python220(t), []string{"fresh", "warm first", "warm again"}},
		{"prefect 2.8", testenv.Python28(t), []string{"warm first", "warm again"}},
	} {
		t.Run(client.name, func(t *testing.T) {
			vars := append(testenv.Environment(), "PREFECT_API_URL="+server.API(), "PREFECT_HOME="+t.TempDir())
			env := pyenv.Environment{Python: client.python}
			warm, fresh := runners(t, vars)
			for _, way := range client.ways {
				runner := warm
				if way == "fresh" {
					runner = fresh
				}
				name := client.name + " " + way
				result := runner.Run(t.Context(), fileWith(t, strings.ReplaceAll(deploysOne, "DEPLOYMENT", name)), env)
				if result.Err != nil {
					t.Fatalf("%s: %v", way, result.Err)
				}
				if !strings.Contains(string(result.Output), "applied "+name) {
					t.Errorf("%s: %s", way, result.Output)
				}
				if result.Warm != (runner == warm) {
					t.Errorf("%s: warm is %v", way, result.Warm)
				}
				got := deployed(t, server, name)
				if want := (deployment{"q", "test.deployment.py:sums", result.File.Folder}); got != want {
					t.Errorf("%s: the server has %+v, want %+v", way, got, want)
				}
				t.Logf("%s, %s: %v", client.name, way, result.Took)
			}
		})
	}
}

type deployment struct {
	WorkQueue  string `json:"work_queue_name"`
	Entrypoint string `json:"entrypoint"`
	Path       string `json:"path"`
}

// deployed is the deployment of that name as the server has it.
func deployed(t *testing.T, server *testenv.Server, name string) deployment {
	t.Helper()
	response, err := http.Get(server.API() + "/deployments/name/sums/" + strings.ReplaceAll(name, " ", "%20"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var d deployment
	if err := json.Unmarshal(body, &d); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return d
}
