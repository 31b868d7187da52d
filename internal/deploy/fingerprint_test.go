package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

func TestAFingerprintChangesWithWhatAFileReads(t *testing.T) {
	t.Parallel()
	root, cache := t.TempDir(), t.TempDir()
	put(t, root, "a/flow.py", "x = 1")
	put(t, root, "a/queries/one.sql", "")
	put(t, root, "other.py", "")
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(root, "a/flow.py"), past, past); err != nil {
		t.Fatal(err)
	}
	in := Inputs{
		Files: []string{"a/flow.py"}, Absent: []string{"a/local.py"}, Folders: []string{"a/queries"},
		Env: map[string]string{"REGION": "", "NAME": "x"}, Complete: true,
	}
	env := []string{"NAME=n", "PREFECT_LOGGING_LEVEL=INFO", "UNREAD=1"}
	print := func() string {
		t.Helper()
		hashes := OpenHashes(cache)
		text, err := in.Fingerprint(root, env, hashes)
		if err != nil {
			t.Fatal(err)
		}
		if err := hashes.Save(); err != nil {
			t.Fatal(err)
		}
		return text
	}
	last := print()
	if last == "" || print() != last {
		t.Fatal("it is not stable")
	}
	for _, step := range []struct {
		name    string
		change  func()
		changes bool
	}{
		{"a file it read", func() { put(t, root, "a/flow.py", "x = 2") }, true},
		{"the same again", func() { put(t, root, "a/flow.py", "x = 2") }, false},
		{"a file of the same size and time", func() {
			put(t, root, "a/flow.py", "x = 3")
			if err := os.Chtimes(filepath.Join(root, "a/flow.py"), past, past); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a file it did not read", func() { put(t, root, "other.py", "y") }, false},
		{"a module that was sought", func() { put(t, root, "a/local.py", "") }, true},
		{"a name in a folder it listed", func() { put(t, root, "a/queries/two.sql", "") }, true},
		{"what Python leaves", func() { put(t, root, "a/queries/__pycache__/x.pyc", "") }, false},
		{"a variable it read", func() { env[0] = "NAME=m" }, true},
		{"a variable that was not set", func() { env = append(env, "REGION=") }, true},
		{"a setting of Prefect", func() { env[1] = "PREFECT_LOGGING_LEVEL=DEBUG" }, true},
		{"where it is deployed to", func() { env = append(env, "PREFECT_API_URL=http://x/api") }, false},
		{"a variable it did not read", func() { env[2] = "UNREAD=2" }, false},
		{"a file that is gone", func() { os.Remove(filepath.Join(root, "a/flow.py")) }, true},
	} {
		step.change()
		now := print()
		if (now != last) != step.changes {
			t.Errorf("%s: changed is %v", step.name, now != last)
		}
		last = now
	}
	in.Complete = false
	if print() != "" {
		t.Error("incomplete inputs have a fingerprint")
	}
}

// A second deploy of many folders reads no file twice.
func BenchmarkFingerprints500(b *testing.B) {
	root, cache := b.TempDir(), b.TempDir()
	past := time.Now().Add(-time.Hour)
	all := make([]Inputs, 500)
	for i := range all {
		folder := fmt.Sprintf("projects/p%d/f%d", i%20, i)
		for _, name := range []string{"a.deployment.py", "flow.py", "helper.py", "requirements.txt", "more.py"} {
			path := filepath.Join(root, folder, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.Repeat(name, 200)), 0o644); err != nil {
				b.Fatal(err)
			}
			if err := os.Chtimes(path, past, past); err != nil {
				b.Fatal(err)
			}
			all[i].Files = append(all[i].Files, folder+"/"+name)
		}
		all[i].Folders, all[i].Complete = []string{folder}, true
	}
	for b.Loop() {
		hashes := OpenHashes(cache)
		if _, err := Fingerprints(root, all, os.Environ(), hashes); err != nil {
			b.Fatal(err)
		}
		if err := hashes.Save(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestChangedSinceARevision(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run := func(arguments ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", root, "-c", "user.name=n", "-c", "user.email=e@example.com"}, arguments...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", arguments, err, out)
		}
	}
	if _, err := exec.LookPath("git"); err != nil {
		testenv.Absent(t, "git", "apt-get install git")
	}
	run("init", "-q")
	for name, text := range map[string]string{
		".gitignore":                  "*.log\n",
		"p/shop/a/x.deployment.py":    "from flow import f",
		"p/shop/a/flow.py":            "def f():\n    from shared.money import cents\n",
		"p/shop/b/x.deployment.py":    "import flow",
		"p/shop/b/flow.py":            "import json",
		"p/shop/shared/money.py":      "from . import deep",
		"p/shop/shared/deep.py":       "",
		"p/shop/requirements.txt":     "",
		"p/c/x.deployment.py":         "",
		"p/c/read.txt":                "",
		"elsewhere/settings.ini":      "",
		"p/shop/shared/__init__.py":   "",
		"p/shop/unrelated/nothing.py": "",
	} {
		put(t, root, name, text)
	}
	run("add", "-A")
	run("commit", "-qm", "first")
	files, err := Discover([]string{root}, DiscoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	recorded := func(f File) (Inputs, bool) {
		return Inputs{Files: []string{"elsewhere/settings.ini"}, Complete: true}, f.Flow == "c"
	}
	check := func(what string, want ...string) {
		t.Helper()
		got, err := ChangedSince(t.Context(), root, "HEAD", files, recorded)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(rels(got), want) && len(got)+len(want) > 0 {
			t.Errorf("%s: got %q, want %q", what, rels(got), want)
		}
		run("add", "-A")
		run("commit", "-q", "--allow-empty", "-m", what)
	}
	const a, b, c = "p/shop/a/x.deployment.py", "p/shop/b/x.deployment.py", "p/c/x.deployment.py"
	check("nothing")
	put(t, root, "p/shop/b/flow.py", "import os")
	check("a flow", b)
	put(t, root, "p/shop/shared/deep.py", "x = 1")
	check("a module that a module imports, in a function", a)
	put(t, root, "p/shop/unrelated/nothing.py", "x = 1")
	check("what nobody imports")
	put(t, root, "p/shop/requirements.txt", "x")
	check("requirements above", a, b)
	put(t, root, "elsewhere/settings.ini", "x")
	check("a recorded input", c)
	put(t, root, "p/c/new.py", "")
	check("a file that git does not know", c)
	put(t, root, "p/c/noise.log", "")
	check("an ignored file")
	if err := os.Remove(filepath.Join(root, "p/shop/shared/money.py")); err != nil {
		t.Fatal(err)
	}
	check("a module that is gone", a)

	if _, err := ChangedSince(t.Context(), root, "no-such", files, nil); err == nil || !strings.Contains(err.Error(), "no-such") {
		t.Errorf("an unknown revision: %v", err)
	}
	if _, err := ChangedSince(t.Context(), root, "--output=x", files, nil); err == nil {
		t.Error("an option was taken for a revision")
	}
	if _, err := ChangedSince(t.Context(), t.TempDir(), "HEAD", files, nil); err == nil || !strings.Contains(err.Error(), "no git repository") {
		t.Errorf("outside of a repository: %v", err)
	}
}

func TestDiscoverNarrowsByPatternAndKind(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"etl/load/a.deployment.py", "etl/load/prefect.yaml", "web/prefect.yaml", "web/my-prefect.yaml"} {
		put(t, root, name, "")
	}
	for _, row := range []struct {
		pattern string
		kinds   []Kind
		want    []string
	}{
		{"", nil, []string{"etl/load/a.deployment.py"}},
		{"", []Kind{Python, PrefectYAML}, []string{"etl/load/a.deployment.py", "etl/load/prefect.yaml", "web/prefect.yaml"}},
		{"^etl/", []Kind{PrefectYAML}, []string{"etl/load/prefect.yaml"}},
		{`a\.deployment`, []Kind{Python, PrefectYAML}, []string{"etl/load/a.deployment.py"}},
	} {
		o := DiscoverOptions{Kinds: row.kinds}
		if row.pattern != "" {
			o.Pattern = regexp.MustCompile(row.pattern)
		}
		files, err := Discover([]string{root}, o)
		if err != nil || !slices.Equal(rels(files), row.want) {
			t.Errorf("%q %q: %q, %v", row.pattern, row.kinds, rels(files), err)
		}
	}
}
