package up

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/deploy"
)

func TestAChangeConcernsItsOwnDeployments(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mk := func(parts ...string) string {
		p := filepath.Join(append([]string{root}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	daily := mk("projects", "shop", "load", "daily.deployment.py")
	hourly := mk("projects", "shop", "load", "hourly.deployment.py")
	flow := mk("projects", "shop", "load", "flow.py")
	other := mk("projects", "shop", "report", "flow.py")
	mk("projects", "shop", "report", "weekly.deployment.py")
	shared := mk("projects", "shop", "shared", "money.py")
	elsewhere := mk("projects", "ml", "shared", "x.py")
	f := deploy.File{Path: daily, Folder: filepath.Dir(daily)}
	for path, want := range map[string]bool{
		daily: true, hourly: false, flow: true, other: false, shared: true, elsewhere: false,
		filepath.Join(f.Folder, "requirements.txt"): true,
		filepath.Join(f.Folder, ".prefectignore"):   false,
		filepath.Join(f.Folder, "x.pyc"):            false,
	} {
		if got := concerns(path, f); got != want {
			t.Errorf("concerns(%s) = %v", strings.TrimPrefix(path, root), got)
		}
	}
}

func TestExpectationsAreReadStrictly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orion.yaml")
	read := func(text string) (Expectations, error) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return ReadExpectations(path)
	}
	e, err := read("expect:\n  \"a/b\": {state: failed, name: TimedOut}\n")
	if err != nil || e["a/b"].State != "failed" {
		t.Fatalf("%+v, %v", e, err)
	}
	for _, bad := range []string{"expect:\n  \"a/b\": {stat: FAILED}\n", "expects: {}\n", "expect:\n  a/b: {state: RUNNING}\n", "expect: ["} {
		if _, err := read(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if e, err := ReadExpectations(filepath.Join(t.TempDir(), "none.yaml")); err != nil || len(e) != 0 {
		t.Errorf("without a file: %v, %v", e, err)
	}
}

func TestARunIsHeldAgainstItsExpectation(t *testing.T) {
	t.Parallel()
	typ, msg := "FAILED", "Flow run exceeded timeout of 2.0 seconds"
	r := &orion.FlowRun{StateType: &typ, State: &orion.State{Type: orion.Failed, Name: "TimedOut", Message: &msg}}
	for e, right := range map[Expectation]bool{
		{}:                                  false, // it should have completed
		{State: "FAILED"}:                   true,
		{State: "failed", Name: "TimedOut"}: true,
		{State: "FAILED", Name: "Failed"}:   false,
		{State: "FAILED", MessageContains: "2.0 seconds"}:  true,
		{State: "FAILED", MessageContains: "ZeroDivision"}: false,
	} {
		if wrong := e.check(r); (wrong == "") != right {
			t.Errorf("%+v: %q", e, wrong)
		}
	}
}
