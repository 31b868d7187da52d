package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/pyenv"
)

func TestDiscoverFindsWhatCounts(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{
		"projects/etl/load/b.deployment.py", "projects/etl/load/a.deployment.py", "projects/etl/load/flow.py",
		"projects/etl/load/not-uploaded.deployment.py", "top.deployment.py",
		"projects/.hidden/x.deployment.py", "projects/__pycache__/x.deployment.py", "node_modules/m/x.deployment.py",
		"projects/etl/venv/lib/x.deployment.py", "projects/etl/old/x.deployment.py", "projects/etl/drafts/x.deployment.py",
		"projects/etl/drafts/kept.deployment.py", "projects/etl/load/build/x.deployment.py",
	} {
		put(t, root, name, "")
	}
	put(t, root, "projects/etl/venv/pyvenv.cfg", "")
	put(t, root, ".git/HEAD", "")
	put(t, root, ".gitignore", "old/\n/projects/etl/drafts/*\n!kept.deployment.py\n")
	put(t, root, "projects/etl/load/.prefectignore", "*.deployment.py\nbuild/\n")
	link(t, root, filepath.Join(root, "projects", "loop"))
	link(t, filepath.Join(root, "absent"), filepath.Join(root, "projects", "dangling.deployment.py"))

	skipped := map[string]bool{}
	files, err := Discover([]string{root, root + "/projects"}, DiscoverOptions{Skipped: func(path, _ string) {
		rel, _ := filepath.Rel(root, path)
		skipped[rel] = true
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"projects/etl/drafts/kept.deployment.py", "projects/etl/load/a.deployment.py", "projects/etl/load/b.deployment.py",
		"projects/etl/load/not-uploaded.deployment.py", "top.deployment.py",
	}
	if got := rels(files); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, name := range []string{"projects/etl/old", "projects/etl/drafts/x.deployment.py", "projects/dangling.deployment.py"} {
		if !skipped[filepath.FromSlash(name)] {
			t.Errorf("%s was passed over in silence", name)
		}
	}
	if f := files[1]; f.Project != "etl" || f.Flow != "load" || f.Folder != filepath.Dir(f.Path) || f.root() != root {
		t.Errorf("%+v with root %s", f, f.root())
	}
}

func TestDiscoverTakesFilesFoldersAndPatterns(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"p/a/x.deployment.py", "p/b/y.deployment.py", "q/c/z.deployment.py", "q/c/flow.py"} {
		put(t, root, name, "")
	}
	put(t, root, ".git/HEAD", "")
	put(t, root, ".gitignore", "q\n")
	for _, row := range []struct {
		paths, want string
	}{
		{"p", "p/a/x.deployment.py p/b/y.deployment.py"},
		{".", "p/a/x.deployment.py p/b/y.deployment.py"},
		{"q/c/z.deployment.py", "q/c/z.deployment.py"}, // named, so not ignored
		{"q", "q/c/z.deployment.py"},
		{"p/*/y*.py", "p/b/y.deployment.py"},
		{"**/x.deployment.py", "p/a/x.deployment.py"},
		{"p/[!b]", "p/a/x.deployment.py"},
		{"p/b p/b/y.deployment.py", "p/b/y.deployment.py"},
		{"p/none*", ""},
	} {
		var paths []string
		for path := range strings.FieldsSeq(row.paths) {
			paths = append(paths, filepath.Join(root, path))
		}
		files, err := Discover(paths, DiscoverOptions{Root: root})
		if got := strings.Join(rels(files), " "); err != nil || got != row.want {
			t.Errorf("%s: %q %v, want %q", row.paths, got, err, row.want)
		}
	}
	for _, path := range []string{"absent", "q/c/flow.py", "absent/*.py"} {
		if _, err := Discover([]string{filepath.Join(root, path)}, DiscoverOptions{}); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

func TestNamesComeFromBelowTheRootOnly(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ root, path, project, flow string }{
		{"/home/projects/me/repo", "/home/projects/me/repo/projects/p/f/x.deployment.py", "p", "f"},
		{"/home/projects/me/repo", "/home/projects/me/repo/p/f/x.deployment.py", "p", "f"},
		{"/home/projects/me/repo", "/home/projects/me/repo/f/x.deployment.py", "", "f"},
		{"/home/projects/me/repo", "/home/projects/me/repo/x.deployment.py", "", "repo"},
		{"/r", "/r/projects/f/x.deployment.py", "", "f"},
		{"/r", "/r/a/projects/p/f/deploy/x.deployment.py", "p", "f"},
	} {
		f := newFile(row.root, row.path, Python)
		if f.Project != row.project || f.Flow != row.flow {
			t.Errorf("%s: %q %q, want %q %q", row.path, f.Project, f.Flow, row.project, row.flow)
		}
	}
}

// git itself is the judge of which rules hide which files.
func TestIgnoreRulesAgreeWithGit(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs git: apt-get install git")
	}
	names := []string{
		"a.deployment.py", "b/a.deployment.py", "b/c/a.deployment.py", "b/c/d/a.deployment.py", "data/x.deployment.py",
		"b/data/x.deployment.py", "[x].deployment.py", "x1.deployment.py", "sp ace/y.deployment.py", "#h.deployment.py", "!n.deployment.py",
	}
	for _, text := range []string{
		"*.py", "/a*", "a.deployment.py", "b", "b/", "/b/c", "b/c", "c/", "**/c", "b/**", "b/**/a.deployment.py", "**/d/**",
		"data/\n!/data/", "*\n!b\n!b/a*", "*.py\n!b/c/*.py", "x[0-9].*", "x[!0-9].*", `\[x\]*`, "[x].*", "sp*", "sp ace/", `sp\ ace  `,
		"# *\n", `\#h*`, `\!n*`, "b/*/a*", "?.deployment.py", "a**y", "[", "b/c/d/", "/*\n!/b", "c/a*", "data\r\n", "[]x]*", "**",
	} {
		dir := t.TempDir()
		for _, name := range names {
			put(t, dir, name, "")
		}
		put(t, dir, ".gitignore", text)
		git := func(args ...string) string {
			cmd := exec.Command("git", append([]string{"-C", dir, "-c", "core.quotePath=false", "-c", "core.excludesFile=/dev/null"}, args...)...)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("git %q: %v", args, err)
			}
			return string(out)
		}
		git("init", "-q")
		var want []string
		for name := range strings.SplitSeq(strings.TrimSpace(git("ls-files", "-z", "--others", "--exclude-standard")), "\x00") {
			if strings.HasSuffix(name, ".deployment.py") {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		files, err := Discover([]string{dir}, DiscoverOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := rels(files); !slices.Equal(got, want) {
			t.Errorf("%q:\ngot  %q\nwant %q", text, got, want)
		}
	}
}

func FuzzIgnorePatterns(f *testing.F) {
	f.Add("a/**/[!b-]*\\")
	f.Add("[[:alpha:]")
	f.Fuzz(func(t *testing.T, line string) {
		if rule, ok := parseIgnore(line); ok {
			rule.pattern.MatchString("a/b.deployment.py")
		}
	})
}

func TestHintsForMissingModules(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "shared/x.py", "")
	put(t, root, "p/f/requirements.txt", "")
	file := newFile(root, filepath.Join(root, "p", "f", "x.deployment.py"), Python)
	for module, want := range map[string]string{
		"pandas": "add pandas to p/f/requirements.txt, then save",
		"yaml":   "add PyYAML to p/f/requirements.txt, then save",
		"shared": "shared is there, but Python looks only in the file's own folder: put " + root + " on PYTHONPATH",
	} {
		env := pyenv.Environment{Requirements: filepath.Join(root, "p", "f", "requirements.txt")}
		if got := moduleHint(module, file, env); got != want {
			t.Errorf("%s: %q, want %q", module, got, want)
		}
	}
}

func TestTheCauseIsTheExceptionThatGotOut(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{
		"x\nTraceback (most recent call last):\n  a\nKeyError: 'x'\n\nDuring handling …\n\nTraceback (most recent call last):\n  b\n    c\n\x1b[1mValueError: two\nlines\x1b[0m\nat exit\n": "ValueError: two",
		"  File \"x\", line 1\n    y = (\n        ^\nSyntaxError: '(' was never closed\n":                                                                                                   "SyntaxError: '(' was never closed",
		"": "",
	} {
		if got := explain(File{}, 1, []byte(output)).Cause; got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	out := &tail{limit: 10}
	for range 1000 {
		out.Write([]byte("0123456789abc\n"))
	}
	if got := string(out.bytes()); got != "… 13990 bytes left out …\n456789abc\n" {
		t.Errorf("%q", got)
	}
}

func rels(files []File) []string {
	var names []string
	for _, f := range files {
		names = append(names, f.Rel)
	}
	slices.Sort(names)
	return names
}

func link(t *testing.T, to, from string) {
	t.Helper()
	if err := os.Symlink(to, from); err != nil {
		t.Fatal(err)
	}
}
