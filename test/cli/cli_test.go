// Package cli proves the command line as people and scripts use it: the built
// program against a real server. There is nothing here but tests.
package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/testenv"
)

type shell struct {
	t    *testing.T
	env  []string
	home string
}

func newShell(t *testing.T, apiURL string) *shell {
	home := t.TempDir()
	env := []string{"HOME=" + home, "ORION_HOME=" + filepath.Join(home, "orion"), "PATH=" + os.Getenv("PATH")}
	if apiURL != "" {
		env = append(env, "PREFECT_API_URL="+apiURL)
	}
	return &shell{t, env, home}
}

// run runs orion and returns what it wrote, and its exit code.
func (s *shell) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.Command(testenv.OrionBinary(s.t), args...)
	cmd.Env, cmd.Dir = s.env, s.home
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// ok is run for a command that must succeed.
func (s *shell) ok(args ...string) string {
	s.t.Helper()
	out, errs, code := s.run(args...)
	if code != 0 {
		s.t.Fatalf("orion %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

func (s *shell) json(v any, args ...string) {
	s.t.Helper()
	out := s.ok(append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		s.t.Fatalf("orion %s --output json: %v in %s", strings.Join(args, " "), err, out)
	}
}

func TestDailyCommands(t *testing.T) {
	t.Parallel()
	server := testenv.UnderTest(t, testenv.ServerOptions{})
	s := newShell(t, server.URL+"/api")

	s.ok("work-queue", "create", "kubernetes", "--limit", "3")
	s.ok("work-queue", "set-concurrency-limit", "kubernetes", "2")
	var q struct {
		Limit  *int64 `json:"concurrency_limit"`
		Paused bool   `json:"is_paused"`
	}
	s.json(&q, "work-queue", "inspect", "kubernetes")
	if q.Limit == nil || *q.Limit != 2 {
		t.Errorf("the limit is %v, want 2", q.Limit)
	}
	s.ok("work-queue", "pause", "kubernetes")
	if s.json(&q, "work-queue", "inspect", "kubernetes"); !q.Paused {
		t.Error("the queue is not paused")
	}
	s.ok("work-queue", "resume", "kubernetes")
	if out := s.ok("work-queue", "ls"); !strings.Contains(out, "kubernetes") {
		t.Errorf("work-queue ls:\n%s", out)
	}
	if out := s.ok("work-queue", "preview", "kubernetes"); !strings.Contains(out, "Nothing is scheduled") {
		t.Errorf("work-queue preview:\n%s", out)
	}

	s.ok("work-pool", "create", "local", "--type", "process")
	s.ok("work-pool", "pause", "local")
	s.ok("work-pool", "resume", "local")
	var pools []struct{ Name, Type string }
	s.json(&pools, "work-pool", "ls")
	found := false
	for _, p := range pools {
		found = found || (p.Name == "local" && p.Type == "process")
	}
	if !found {
		t.Errorf("work-pool ls: %+v", pools)
	}

	s.ok("variable", "set", "region", "north")
	s.ok("variable", "set", "region", "south", "--tag", "x")
	if out := s.ok("variable", "get", "region"); strings.TrimSpace(out) != "south" {
		t.Errorf("variable get: %q", out)
	}
	s.ok("concurrency-limit", "create", "db", "2")
	if out := s.ok("concurrency-limit", "ls"); !strings.Contains(out, "db") {
		t.Errorf("concurrency-limit ls:\n%s", out)
	}
	s.ok("concurrency-limit", "reset", "db")
	s.ok("concurrency-limit", "delete", "db", "--yes")
	s.ok("variable", "delete", "region", "--yes")
	s.ok("work-queue", "delete", "kubernetes", "--yes")
	if out := s.ok("block", "types"); !strings.Contains(out, "secret") {
		t.Errorf("block types:\n%s", out)
	}
	s.ok("server", "status")
}

func TestMistakesAreExplainedAndHaveTheirExitCodes(t *testing.T) {
	t.Parallel()
	server := testenv.UnderTest(t, testenv.ServerOptions{})
	s := newShell(t, server.URL+"/api")
	nowhere := newShell(t, "http://127.0.0.1:9/api")
	for _, c := range []struct {
		shell *shell
		args  []string
		code  int
		says  []string
	}{
		{s, []string{"deployment", "run", "no/such"}, 1, []string{`no deployment "no/such"`}},
		{s, []string{"deployment", "run", "noslash"}, 1, []string{`"noslash"`}},
		{s, []string{"flow-run", "logs", "nobody"}, 1, []string{`no flow run "nobody"`, "flow-run ls"}},
		{s, []string{"work-queue", "inspect", "nope"}, 1, []string{"orion work-queue create nope"}},
		{s, []string{"work-queue", "delete"}, 2, []string{"accepts 1 arg"}},
		{s, []string{"work-queue", "creat", "x"}, 2, []string{"create"}},
		{s, []string{"deployment", "ls", "--no-such-flag"}, 2, []string{"no-such-flag"}},
		{s, []string{"deployment", "ls", "--output", "xml"}, 2, []string{"table or json"}},
		{s, []string{"agent", "start"}, 2, []string{"-q"}},
		{s, []string{"variable", "set", "Bad Name", "x"}, 1, []string{"lowercase"}},
		{s, []string{"variable", "delete", "x"}, 1, []string{`no variable "x"`}},
		{s, []string{"up", "no-such-folder"}, 1, []string{"no-such-folder"}},
		{s, []string{"up", "."}, 1, []string{"no *.deployment.py", "orion new"}},
		{s, []string{"server", "start", "--port", server.URL[strings.LastIndex(server.URL, ":")+1:]}, 1, []string{"in use", "--port"}},
		{s, []string{"server", "start", "--durability", "maybe"}, 1, []string{"full or normal"}},
		{s, []string{"server", "start", "--without", "nothing"}, 2, []string{"late-runs"}},
		{nowhere, []string{"deployment", "ls"}, 5, []string{"connection refused", "PREFECT_API_URL", "orion server start"}},
	} {
		out, errs, code := c.shell.run(c.args...)
		if code != c.code {
			t.Errorf("orion %s: exit %d, want %d\n%s%s", strings.Join(c.args, " "), code, c.code, out, errs)
		}
		for _, want := range c.says {
			if !strings.Contains(errs, want) {
				t.Errorf("orion %s does not say %q:\n%s", strings.Join(c.args, " "), want, errs)
			}
		}
		if strings.Contains(errs, "panic") || strings.Contains(errs, "goroutine ") {
			t.Errorf("orion %s: a stack reached the user:\n%s", strings.Join(c.args, " "), errs)
		}
	}
}

func TestDestroyingWithoutATerminalNeedsYes(t *testing.T) {
	t.Parallel()
	server := testenv.UnderTest(t, testenv.ServerOptions{})
	s := newShell(t, server.URL+"/api")
	s.ok("variable", "set", "kept", "1")
	if _, errs, code := s.run("variable", "delete", "kept"); code != 2 || !strings.Contains(errs, "--yes") {
		t.Errorf("exit %d: %s", code, errs)
	}
	s.ok("variable", "get", "kept")
}

func TestSettingsSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	s := newShell(t, "")
	type row struct{ Name, Value, Source string }
	source := func(name string) row {
		var rows []row
		s.json(&rows, "config", "view")
		for _, r := range rows {
			if r.Name == name {
				return r
			}
		}
		return row{}
	}
	if r := source("api_url"); r.Value != "http://127.0.0.1:4200/api" || r.Source != "default" {
		t.Errorf("without anything: %+v", r)
	}
	if err := os.MkdirAll(filepath.Join(s.home, ".prefect"), 0o755); err != nil {
		t.Fatal(err)
	}
	profiles := "active = \"cluster\"\n[profiles.cluster]\nPREFECT_API_URL = \"http://127.0.0.1:1/api\"\nPREFECT_API_KEY = \"topsecret\"\n"
	if err := os.WriteFile(filepath.Join(s.home, ".prefect", "profiles.toml"), []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := source("api_url"); r.Value != "http://127.0.0.1:1/api" || !strings.Contains(r.Source, "cluster") {
		t.Errorf("with Prefect's profile: %+v", r)
	}
	if out := s.ok("config", "view"); strings.Contains(out, "topsecret") {
		t.Error("the key is printed")
	}
	s.ok("profile", "create", "mine")
	s.ok("profile", "use", "mine")
	s.ok("config", "set", "api_url", "http://127.0.0.1:2/api")
	if r := source("api_url"); r.Value != "http://127.0.0.1:2/api" || !strings.Contains(r.Source, "mine") {
		t.Errorf("with a profile of our own: %+v", r)
	}
	s.env = append(s.env, "PREFECT_API_URL=http://127.0.0.1:3/api")
	if r := source("api_url"); r.Value != "http://127.0.0.1:3/api" || r.Source != "PREFECT_API_URL" {
		t.Errorf("with PREFECT_API_URL: %+v", r)
	}
	s.ok("config", "unset", "api_url")
}

func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	s := newShell(t, "")
	var visit func(path []string)
	visit = func(path []string) {
		out := s.ok(append(path, "--help")...)
		if !strings.Contains(out, "Usage:") {
			t.Errorf("orion %s --help:\n%s", strings.Join(path, " "), out)
		}
		_, list, ok := strings.Cut(out, "Available Commands:\n")
		if !ok {
			return
		}
		for _, l := range strings.Split(list, "\n") {
			f := strings.Fields(l)
			if len(f) < 2 || !strings.HasPrefix(l, "  ") {
				return
			}
			if f[0] != "help" && f[0] != "completion" {
				visit(append(path[:len(path):len(path)], f[0]))
			}
		}
	}
	visit(nil)
	for _, sh := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := s.ok("completion", sh); len(out) < 500 {
			t.Errorf("completion %s is %d bytes", sh, len(out))
		}
	}
	if out := s.ok("version", "--output", "json"); !strings.Contains(out, `"prefect"`) {
		t.Errorf("version: %s", out)
	}
}

func TestNewWritesAFlowFolder(t *testing.T) {
	t.Parallel()
	s := newShell(t, "")
	s.ok("new", "load_orders", "--project", "shop", "--cron", "0 6 * * *", "--timezone", "Europe/Oslo", "-q", "kubernetes")
	for _, f := range []string{"flow.py", "requirements.txt", ".prefectignore"} {
		if _, err := os.Stat(filepath.Join(s.home, "projects", "shop", "load_orders", f)); err != nil {
			t.Error(err)
		}
	}
	if _, errs, code := s.run("new", "load_orders", "--project", "shop"); code == 0 || !strings.Contains(errs, "--force") {
		t.Errorf("writing over it: exit %d: %s", code, errs)
	}
	if _, errs, code := s.run("new"); code == 0 || !strings.Contains(errs, "--flow") {
		t.Errorf("without a name and without a terminal: exit %d: %s", code, errs)
	}
}
