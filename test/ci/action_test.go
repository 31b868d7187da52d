package ci

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/orionflows/orion/internal/testenv"
)

// workflow uses the action as a team's does, and notes its outputs.
const workflow = `
on: [push, pull_request]
permissions:
  contents: read
  pull-requests: write
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: orion
        uses: owner/orion@main
        with:
          api-url: ${{ vars.ORION_API_URL }}
          api-key: ${{ secrets.ORION_API_KEY }}
          plan-only: ${{ github.event_name == 'pull_request' }}
          binary: ${{ vars.ORION_BINARY }}
      - if: always()
        env:
          OUTPUTS: ${{ toJSON(steps.orion.outputs) }}
          FILE: ${{ vars.OUTPUTS_FILE }}
        run: printf '%s' "$OUTPUTS" >"$FILE"
`

// comments is a double of GitHub's API for the comments of an issue.
type comments struct {
	mu     sync.Mutex
	calls  []string
	bodies []string
}

func (c *comments) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer a-token" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	c.calls = append(c.calls, r.Method+" "+r.URL.Path)
	b, _ := io.ReadAll(r.Body)
	var sent struct{ Body string }
	_ = json.Unmarshal(b, &sent)
	const list = "/repos/team/flows/issues/7/comments"
	switch {
	case r.Method == "GET" && r.URL.Path == list:
		out := []map[string]any{}
		for i, body := range c.bodies {
			out = append(out, map[string]any{"id": i, "body": body})
		}
		_ = json.NewEncoder(w).Encode(out)
	case r.Method == "POST" && r.URL.Path == list:
		c.bodies = append(c.bodies, sent.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("{}"))
	case r.Method == "PATCH":
		var i int
		if _, err := fmt.Sscanf(r.URL.Path, "/repos/team/flows/issues/comments/%d", &i); err != nil || i >= len(c.bodies) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		c.bodies[i] = sent.Body
		_, _ = w.Write([]byte("{}"))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (c *comments) seen() (calls, bodies []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls, bodies = c.calls, c.bodies
	c.calls = nil
	return calls, append([]string{}, bodies...)
}

type job struct {
	log, summary string
	outputs      map[string]string
	failed       bool
}

// act runs the workflow in the repository for an event.
func (w *world) act(event string, arguments ...string) (j job) {
	w.t.Helper()
	at := func(name string) string { return filepath.Join(w.home, name) }
	_ = os.Remove(at("outputs.json")) // of an earlier run
	// The cache of actions is the internet's; this double of it keeps nothing.
	cache := at("cache-action")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		w.t.Fatal(err)
	}
	double := "name: cache\ndescription: a double of actions/cache\ninputs:\n  path: {required: true, description: x}\n  key: {required: true, description: x}\n  restore-keys: {required: false, description: x}\n" +
		"runs:\n  using: composite\n  steps:\n    - shell: bash\n      env: {AT: \"${{ inputs.path }}\", KEY: \"${{ inputs.key }}\"}\n      run: echo \"would keep $AT as $KEY\"\n"
	if err := os.WriteFile(filepath.Join(cache, "action.yml"), []byte(double), 0o644); err != nil {
		w.t.Fatal(err)
	}
	// The action's own checkout, without what is not in it.
	action := at("action")
	if _, err := os.Stat(action); err != nil {
		if out, err := exec.Command("git", "clone", "-q", "--depth=1", "file://"+testenv.Root(w.t), action).CombinedOutput(); err != nil {
			w.t.Fatalf("git clone: %v\n%s", err, out)
		}
	}
	b, err := os.ReadFile(filepath.Join(testenv.Root(w.t), "action.yml")) // as it is, committed or not
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(action, "action.yml"), b, 0o644); err != nil {
		w.t.Fatal(err)
	}
	args := append([]string{event, "-P", "ubuntu-latest=-self-hosted", "--no-cache-server=true", "--json=false",
		"--local-repository", "actions/cache@v4=" + cache, "--local-repository", "owner/orion@main=" + action,
		"--env", "ORION_HOME=" + at("orion"), "--env", "GITHUB_REPOSITORY=team/flows",
		"--var", "ORION_API_URL=" + w.api, "--var", "OUTPUTS_FILE=" + at("outputs.json"), "-s", "ORION_API_KEY=not-to-be-seen"}, arguments...)
	cmd := exec.Command(filepath.Join(testenv.Act(w.t), "act"), args...)
	cmd.Env, cmd.Dir = append(w.env, "XDG_CACHE_HOME="+at("cache")), w.repo
	out, err := cmd.CombinedOutput()
	j.log, j.failed = string(out), err != nil
	_, j.summary, _ = strings.Cut(j.log, "Summary - ") // act shows it in the log
	if b, err := os.ReadFile(at("outputs.json")); err == nil {
		if err := json.Unmarshal(b, &j.outputs); err != nil {
			w.t.Errorf("the outputs: %v in %s", err, b)
		}
	}
	if strings.Contains(j.log, "not-to-be-seen") {
		w.t.Errorf("the key is in the log:\n%s", j.log)
	}
	return j
}

func TestTheActionInARunner(t *testing.T) {
	testenv.Act(t)
	w := newWorld(t)
	github := &comments{bodies: []string{"What does this change?"}}
	api := httptest.NewServer(github)
	t.Cleanup(api.Close)
	w.git("remote", "add", "origin", "https://github.com/team/flows.git")
	w.write(".github/workflows/deploy.yml", workflow)
	w.write("load/flow.py", flow)
	w.write("load/daily.deployment.py", deployment("daily", "", `, schedule=CronSchedule(cron="0 6 * * *")`))
	w.commit("first")
	event := filepath.Join(w.home, "event.json")
	if err := os.WriteFile(event, []byte(`{"pull_request":{"number":7,"head":{"ref":"change"},"base":{"ref":"main"}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	binary := []string{"--var", "ORION_BINARY=" + testenv.OrionBinary(t)}
	pull := append([]string{"-e", event, "--env", "GITHUB_API_URL=" + api.URL, "-s", "GITHUB_TOKEN=a-token"}, binary...)
	deployments := func() (ds []struct{ Name string }) {
		w.request("POST", "/deployments/filter", `{}`, &ds)
		return ds
	}

	// A pull request is planned, and told so in one comment.
	j := w.act("pull_request", pull...)
	if j.failed || j.outputs["created"] != "1" || j.outputs["changed"] != "0" || !strings.Contains(j.outputs["plan"], "+ Load/daily") {
		t.Fatalf("outputs %v\n%s", j.outputs, j.log)
	}
	if !strings.Contains(j.summary, "### orion plan for team/flows") || !strings.Contains(j.summary, "+ Load/daily") {
		t.Errorf("the summary:\n%s", j.summary)
	}
	if ds := deployments(); len(ds) > 0 {
		t.Errorf("a plan deployed %v", ds)
	}
	if !regexp.MustCompile(`would keep \S+/orion/environments as orion-environments-`).MatchString(j.log) {
		t.Errorf("the environments are not kept:\n%s", j.log)
	}
	calls, bodies := github.seen()
	if len(bodies) != 2 || !strings.Contains(bodies[1], "+ Load/daily") {
		t.Fatalf("%v\n%q\n%s", calls, bodies, j.log)
	}
	w.write("load/weekly.deployment.py", deployment("weekly", "", ""))
	w.commit("second")
	if j = w.act("pull_request", pull...); j.failed {
		t.Fatal(j.log)
	}
	calls, bodies = github.seen()
	if len(bodies) != 2 || !strings.Contains(bodies[1], "+ Load/weekly") || bodies[0] != "What does this change?" {
		t.Errorf("after a second push: %v\n%q", calls, bodies)
	}

	// Without a token there is no comment, and a line that says so.
	j = w.act("pull_request", append([]string{"-e", event, "--env", "GITHUB_API_URL=" + api.URL}, binary...)...)
	if j.failed || !strings.Contains(j.log, "no comment on a pull request: there is no GITHUB_TOKEN") {
		t.Errorf("without a token:\n%s", j.log)
	}

	// A push deploys.
	j = w.act("push", binary...)
	if j.failed || j.outputs["created"] != "2" || len(deployments()) != 2 || !strings.Contains(j.summary, "**Done:** 2 deployments deployed") {
		t.Fatalf("outputs %v, %v\n%s\n%s", j.outputs, deployments(), j.summary, j.log)
	}
	j = w.act("push", binary...)
	if j.failed || j.outputs["created"] != "0" || !strings.Contains(j.outputs["plan"], "Nothing to do: 2 deployments unchanged.") {
		t.Errorf("a push of nothing new: %v\n%s", j.outputs, j.log)
	}

	// A file that fails is pointed at, and nothing is deployed.
	w.write("broken/x.deployment.py", "import pandas_not_there\n")
	w.write("load/third.deployment.py", deployment("third", "", ""))
	w.commit("third")
	j = w.act("push", binary...)
	if !j.failed || j.outputs["failed"] != "1" || len(deployments()) != 2 {
		t.Errorf("outputs %v, %v\n%s", j.outputs, deployments(), j.log)
	}
	if !regexp.MustCompile(`::error file=broken/x\.deployment\.py,title=orion,line=1::.*pandas_not_there`).MatchString(j.log) {
		t.Errorf("no annotation names the file:\n%s", j.log)
	}
	if !strings.Contains(j.summary, "broken/x.deployment.py") {
		t.Errorf("the summary:\n%s", j.summary)
	}
}

// The program is built where none is given.
func TestTheActionBuildsTheProgram(t *testing.T) {
	testenv.Act(t)
	w := newWorld(t)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY"} { // what the checkout's tests have built already
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		w.env = append(w.env, name+"="+strings.TrimSpace(string(out)))
	}
	w.write(".github/workflows/deploy.yml", workflow)
	w.write("load/flow.py", flow)
	w.write("load/daily.deployment.py", deployment("daily", "", ""))
	w.commit("first")
	j := w.act("push")
	var ds []struct{ Name string }
	w.request("POST", "/deployments/filter", `{}`, &ds)
	if j.failed || len(ds) != 1 {
		t.Errorf("%v\n%s", ds, j.log)
	}
}

// actionlint reads the workflows that we give people, with the action in its
// place.
func TestTheWorkflowsAreWellFormed(t *testing.T) {
	testenv.Heavy(t)
	lint := filepath.Join(testenv.Act(t), "actionlint")
	dir := t.TempDir()
	workflows := filepath.Join(dir, ".github", "workflows")
	if err := os.MkdirAll(workflows, 0o755); err != nil {
		t.Fatal(err)
	}
	root := testenv.Root(t)
	copyTo := func(from, to string) {
		b, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		// actionlint looks into actions that are in the repository only.
		text := strings.ReplaceAll(string(b), "OWNER/orion@main", "./")
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	copyTo("docs/ci/github-workflow.yml", filepath.Join(workflows, "deploy.yml"))
	copyTo("action.yml", filepath.Join(dir, "action.yml"))
	if out, err := exec.Command("git", "-C", dir, "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(lint, "-shellcheck=", "-pyflakes=")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("actionlint: %v\n%s", err, out)
	}
	// It does read the action: an input that does not exist is an error.
	b, err := os.ReadFile(filepath.Join(workflows, "deploy.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(workflows, "wrong.yml"), []byte(strings.Replace(string(b), "plan-only:", "plan-onyl:", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(lint, "-shellcheck=", "-pyflakes=")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "plan-onyl") {
		t.Errorf("actionlint does not look into the action: %v\n%s", err, out)
	}
}
