// Package deploy proves `orion deploy` as a team uses it: the built program, a
// real server, real Prefect clients, a git repository. There is nothing here
// but tests.
package deploy

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/orionflows/orion/internal/testenv"
)

func TestMain(m *testing.M) {
	// The program looks only once for what to trust. What the tests start is
	// told by them.
	for _, name := range trusted {
		before[name] = os.Getenv(name)
	}
	if err := testenv.TrustLocalCertificate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// trusted are the variables that name the certificates to trust; before is how
// they were.
var (
	trusted = []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}
	before  = map[string]string{}
)

// environment is that of the programs that a test starts: a person's, for in CI
// orion asks nothing and tells of each file.
func environment() []string {
	env := slices.DeleteFunc(testenv.Environment(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "CI" || slices.Contains(trusted, name)
	})
	for _, name := range trusted {
		if before[name] != "" {
			env = append(env, name+"="+before[name])
		}
	}
	return env
}

// world is a repository, and a server to deploy it to.
type world struct {
	t    *testing.T
	api  string
	repo string
	home string
	env  []string
}

func orionServer(t *testing.T) *testenv.Server { return testenv.Orion(t, testenv.ServerOptions{}) }

func prefectServer(t *testing.T) *testenv.Server { return testenv.Prefect(t, testenv.ServerOptions{}) }

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, orionServer)
}

func newWorldOn(t *testing.T, start func(*testing.T) *testenv.Server) *world {
	t.Helper()
	testenv.Heavy(t)
	t.Parallel()
	server := start(t)
	home := t.TempDir()
	orion := filepath.Join(home, "orion")
	if err := os.MkdirAll(orion, 0o755); err != nil {
		t.Fatal(err)
	}
	// Environments are the same for all tests, and take long to make.
	if err := os.Symlink(testenv.Environments(t), filepath.Join(orion, "environments")); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, api: server.API(), repo: filepath.Join(home, "repo"), home: home}
	w.env = append(environment(), "HOME="+home, "ORION_HOME="+orion, "PREFECT_API_URL="+w.api, "PREFECT_HOME="+filepath.Join(home, "prefect"))
	if err := os.MkdirAll(w.repo, 0o755); err != nil {
		t.Fatal(err)
	}
	w.git("init", "-q", "-b", "main")
	return w
}

func (w *world) write(path, text string) {
	w.t.Helper()
	path = filepath.Join(w.repo, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// twoFiles is a flow whose code carries its version twice.
const twoFiles = `
from prefect import flow, get_run_logger
import part

VERSION = "MARK"

@flow(name="NAME")
def both(version: str = ""):
    import late
    if not VERSION == part.VERSION == late.VERSION:
        raise RuntimeError(f"a mixture: {VERSION}, {part.VERSION}, {late.VERSION}")
    get_run_logger().info("read only %s.", VERSION)
`

// marked writes the code of a flow folder at a version.
func (w *world) marked(folder, flow, version string) {
	w.t.Helper()
	w.write(folder+"/flow.py", strings.NewReplacer("MARK", version, "NAME", flow).Replace(twoFiles))
	for _, file := range []string{"part", "late"} {
		w.write(folder+"/"+file+".py", fmt.Sprintf("VERSION = %q\n", version))
	}
}

func (w *world) git(args ...string) {
	w.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", w.repo, "-c", "user.name=Tester", "-c", "user.email=tester@example.test"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (w *world) commit(message string) {
	w.t.Helper()
	w.git("add", "-A")
	w.git("commit", "-q", "-m", message)
}

// run runs orion in the repository.
func (w *world) run(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	cmd := exec.Command(testenv.OrionBinary(w.t), args...)
	cmd.Env, cmd.Dir = w.env, w.repo
	if _, err := os.Stat(w.repo); err != nil {
		cmd.Dir = w.home
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// ok is run for what must succeed.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	out, errs, code := w.run(args...)
	if code != 0 {
		w.t.Fatalf("orion %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

func (w *world) json(v any, args ...string) {
	w.t.Helper()
	out := w.ok(append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		w.t.Fatalf("orion %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

func (w *world) request(method, path, body string) string {
	w.t.Helper()
	for patience := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		req, err := http.NewRequest(method, w.api+path, strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // it has been read
		if err == nil && res.StatusCode == http.StatusServiceUnavailable && time.Now().Before(patience) {
			continue // a Prefect server says so while its database is locked, and its clients try again
		}
		if err != nil || res.StatusCode >= 300 {
			w.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, b, err)
		}
		return string(b)
	}
}

func (w *world) post(path, body string) string  { w.t.Helper(); return w.request("POST", path, body) }
func (w *world) patch(path, body string) string { w.t.Helper(); return w.request("PATCH", path, body) }

// deployment is what the tests look at of one.
type deployment struct {
	ID          string
	Name        string
	Description string
	FlowID      string `json:"flow_id"`
	Updated     string
	Path        string
	Tags        []string
	Parameters  map[string]any
	Schedules   []struct {
		ID     string
		Active bool
	}
}

type version struct {
	Number       int64
	Commit       *string
	Message      *string
	Dirty        bool
	Bundle       *string
	Requirements []string
}

type run struct {
	ID        string
	StateType string `json:"state_type"`
	State     struct{ Message string }
}

func (w *world) deployment(name string) (d deployment) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.request("GET", "/deployments/name/"+name, "")), &d); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// server describes everything that a deploy may change on the server.
func (w *world) server() string {
	w.t.Helper()
	var lines []string
	flows := map[string]string{}
	var fs []struct{ ID, Name string }
	if err := json.Unmarshal([]byte(w.post("/flows/filter", `{}`)), &fs); err != nil {
		w.t.Fatal(err)
	}
	for _, f := range fs {
		flows[f.ID] = f.Name
		lines = append(lines, "flow "+f.Name)
	}
	var ds []deployment
	if err := json.Unmarshal([]byte(w.post("/deployments/filter", `{}`)), &ds); err != nil {
		w.t.Fatal(err)
	}
	for _, d := range ds {
		lines = append(lines, fmt.Sprintf("deployment %s/%s %s %v %v %s", flows[d.FlowID], d.Name, d.Updated, d.Tags, d.Schedules, d.Path))
	}
	for _, kind := range []string{"block_documents", "variables", "work_pools"} {
		var xs []struct{ ID, Name, Updated string }
		if err := json.Unmarshal([]byte(w.post("/"+kind+"/filter", `{}`)), &xs); err != nil {
			w.t.Fatal(err)
		}
		for _, x := range xs {
			lines = append(lines, kind+" "+x.Name+" "+x.Updated)
		}
	}
	lines = append(lines, "block schemas "+fmt.Sprint(strings.Count(w.post("/block_schemas/filter", `{}`), `"checksum"`)))
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// start starts a run of a deployment and returns its id.
func (w *world) start(name string) string {
	w.t.Helper()
	var r run
	if err := json.Unmarshal([]byte(w.post("/deployments/"+w.deployment(name).ID+"/create_flow_run", `{}`)), &r); err != nil {
		w.t.Fatal(err)
	}
	return r.ID
}

// python runs a deployment file with the client, as people did before.
func (w *world) python(file string) {
	w.t.Helper()
	cmd := exec.Command(testenv.Python220(w.t), filepath.Base(file))
	cmd.Dir, cmd.Env = filepath.Join(w.repo, filepath.Dir(file)), append(w.env, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("python %s: %v\n%s", file, err, out)
	}
}

// agent lets Orion's agent run what is due.
func (w *world) agent() {
	w.t.Helper()
	w.ok("agent", "start", "-q", "q", "--run-once", "--prefetch", "1s")
}

// prefectAgent lets Prefect's own agent run what is due.
func (w *world) prefectAgent() {
	w.t.Helper()
	w.prefectAgentOf(testenv.Python220(w.t))
}

// prefectAgentOf is the one of an environment, which has what the code's
// storage needs.
func (w *world) prefectAgentOf(python string) {
	w.t.Helper()
	cmd := exec.Command(filepath.Join(filepath.Dir(python), "prefect"), "agent", "start", "-q", "q", "--run-once", "--hide-welcome")
	cmd.Env, cmd.Dir = append(w.env, "PATH="+filepath.Dir(python)+string(os.PathListSeparator)+os.Getenv("PATH")), w.home
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("prefect agent start: %v\n%s", err, out)
	}
}

// ended checks how a run ended and what it logged.
func (w *world) ended(id, state, logged string) {
	w.t.Helper()
	var r run
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if err := json.Unmarshal([]byte(w.request("GET", "/flow_runs/"+id, "")), &r); err != nil {
			w.t.Fatal(err)
		}
		if r.StateType == "COMPLETED" || r.StateType == "FAILED" || r.StateType == "CRASHED" || time.Now().After(deadline) {
			break
		}
	}
	logs := w.post("/logs/filter", `{"logs":{"flow_run_id":{"any_":["`+id+`"]}}}`)
	if r.StateType != state || !strings.Contains(logs, logged) {
		w.t.Errorf("the run is %s (%s), want %s with %q logged:\n%s", r.StateType, r.State.Message, state, logged, logs)
	}
}

// azureContainer makes a container in Azurite, and tells how it is reached.
func azureContainer(t *testing.T) (connectionString, name string) {
	t.Helper()
	connectionString = "DefaultEndpointsProtocol=http;AccountName=" + testenv.AzuriteAccount + ";AccountKey=" + testenv.AzuriteKey + ";BlobEndpoint=" + testenv.Azurite(t) + ";"
	service, err := azblob.NewClientFromConnectionString(connectionString, nil)
	if err != nil {
		t.Fatal(err)
	}
	name = "code-" + strings.ToLower(rand.Text()[:8])
	if _, err := service.CreateContainer(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	return connectionString, name
}

// failsAndChangesNothing deploys what cannot be deployed.
func (w *world) failsAndChangesNothing(what string, words ...string) {
	w.t.Helper()
	before := w.server()
	out, errs, code := w.run("deploy")
	if code != 1 {
		w.t.Errorf("%s: exit %d", what, code)
	}
	for _, word := range words {
		if !strings.Contains(out+errs, word) {
			w.t.Errorf("%s: %q is missing in:\n%s%s", what, word, out, errs)
		}
	}
	if after := w.server(); after != before {
		w.t.Errorf("%s: a failed deploy changed the server:\n%s\n%s", what, before, after)
	}
}
