// Package ci proves what a team's CI does: `orion doctor`, the GitHub Action of
// this repository in a real runner, and what the command says to each CI
// system. There is nothing here but tests.
package ci

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/testenv"
)

// world is a repository, and a server to deploy it to.
type world struct {
	t    *testing.T
	api  string
	repo string
	home string
	env  []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	testenv.Heavy(t)
	home := t.TempDir()
	w := &world{t: t, api: testenv.Orion(t, testenv.ServerOptions{}).API(), repo: filepath.Join(home, "repo"), home: home}
	orion := filepath.Join(home, "orion")
	for _, dir := range []string{orion, w.repo} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Environments are the same for all tests, and take long to make.
	if err := os.Symlink(testenv.Environments(t), filepath.Join(orion, "environments")); err != nil {
		t.Fatal(err)
	}
	for _, v := range testenv.Environment() {
		name, _, _ := strings.Cut(v, "=")
		switch { // this test may run in a CI system itself
		case name == "CI" || name == "TF_BUILD" || strings.HasPrefix(name, "GITHUB_") || strings.HasPrefix(name, "GITLAB_") || strings.HasPrefix(name, "CI_"):
			continue
		}
		w.env = append(w.env, v)
	}
	w.env = append(w.env, "HOME="+home, "ORION_HOME="+orion, "PREFECT_API_URL="+w.api, "PREFECT_HOME="+filepath.Join(home, "prefect"))
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
func (w *world) run(env []string, args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	cmd := exec.Command(testenv.OrionBinary(w.t), args...)
	cmd.Env, cmd.Dir = append(w.env, env...), w.repo
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
	out, errs, code := w.run(nil, args...)
	if code != 0 {
		w.t.Fatalf("orion %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// python runs a script with the real Prefect client, outside of the repository.
func (w *world) python(script string) {
	w.t.Helper()
	cmd := exec.Command(testenv.Python220(w.t), "-c", script)
	cmd.Env, cmd.Dir = w.env, w.home
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
}

// request asks the server; body may be empty.
func (w *world) request(method, path, body string, into any) {
	w.t.Helper()
	req, err := http.NewRequest(method, w.api+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, b, err)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
}
