package pyenv

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRequirementsThatMeanTheSameShareAKey(t *testing.T) {
	t.Parallel()
	m := newFakes(t).manager(t)
	key := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			write(t, dir, name, text)
		}
		spec, err := m.ForFolder(t.Context(), dir, dir)
		if err != nil {
			t.Fatal(err)
		}
		return spec.Key
	}
	plain := key(map[string]string{"requirements.txt": "a==1\nb>2\n"})
	for name, files := range map[string]map[string]string{
		"comments, blank lines and layout": {"requirements.txt": "# ours\r\n\r\n  a==1   # why\r\nb>2"},
		"continued lines":                  {"requirements.txt": "a\\\n==1\nb>2"},
		"an included file":                 {"requirements.txt": "-r base/a.txt\nb>2", "base/a.txt": "a==1\n-r ../requirements.txt\n"},
		"an include in other words":        {"requirements.txt": "--requirement=a.txt\nb>2", "a.txt": "a==1"},
	} {
		if key(files) != plain {
			t.Errorf("%s: another key", name)
		}
	}
	for name, files := range map[string]map[string]string{
		"another version":      {"requirements.txt": "a==2\nb>2"},
		"a constraint":         {"requirements.txt": "a==1\n-cc.txt\nb>2", "c.txt": "b<9"},
		"another index":        {"requirements.txt": "--extra-index-url https://example.org\na==1\nb>2"},
		"a local package":      {"requirements.txt": "a==1\nb>2\n./lib", "lib/x.py": ""},
		"no requirements file": {},
	} {
		if key(files) == plain {
			t.Errorf("%s: the same key", name)
		}
	}
}

func TestTheContentOfLocalPackagesCounts(t *testing.T) {
	t.Parallel()
	m := newFakes(t).manager(t)
	for _, row := range []struct {
		name, requirement, edited string
		same                      bool
	}{
		{"a module of a local package", "../lib", "lib/lib.py", false},
		{"the same by URL", "lib @ file:../lib ; python_version > '3'", "lib/lib.py", false},
		{"extras", "../lib[all]", "lib/lib.py", false},
		{"an archive", "../lib/pkg-1.0.tar.gz --no-deps", "lib/pkg-1.0.tar.gz", false},
		{"what a build leaves", "../lib", "lib/build/x.py", true},
		{"code of an editable package", "-e ../lib", "lib/lib.py", true},
		{"dependencies of an editable package", "--editable=../lib", "lib/pyproject.toml", false},
		{"a folder with the name of a package", "lib", "flow/lib/x.py", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := t.TempDir()
			for _, name := range []string{"lib/lib.py", "lib/pyproject.toml", "lib/pkg-1.0.tar.gz", "flow/lib/x.py"} {
				write(t, root, name, "before")
			}
			write(t, root, "flow/requirements.txt", row.requirement)
			before, err := m.ForFolder(t.Context(), filepath.Join(root, "flow"), root)
			if err != nil {
				t.Fatal(err)
			}
			write(t, root, row.edited, "after")
			after, err := m.ForFolder(t.Context(), filepath.Join(root, "flow"), root)
			if err != nil {
				t.Fatal(err)
			}
			if same := before.Key == after.Key; same != row.same {
				t.Errorf("same key: %v, want %v", same, row.same)
			}
		})
	}
}

func TestPrefectIsAddedUnlessTheFileChoosesOne(t *testing.T) {
	t.Parallel()
	const base = "prefect>=2.20,<3"
	for _, row := range []struct{ name, text, want string }{
		{"nothing about it", "pandas\n", base},
		{"a companion package", "prefect-azure==0.3\nprefect_aws\n", base},
		{"named", "prefect", ""},
		{"named in capitals with extras", "Prefect[kubernetes] ~= 2.8\n", ""},
		{"named in an included file", "-r more.txt\n", ""},
		{"from git", "git+https://github.com/PrefectHQ/prefect.git@2.x", ""},
		{"from git, another of their packages", "git+https://github.com/PrefectHQ/prefect-aws.git", base},
		{"by URL", "prefect @ https://example.org/prefect.whl", ""},
		{"constrained", "-c pins.txt\npandas", "prefect"},
		{"hashes on everything", "pandas==1 \\\n  --hash=sha256:00\n", ""},
	} {
		dir := t.TempDir()
		write(t, dir, "requirements.txt", row.text)
		write(t, dir, "more.txt", "prefect==2.8.7")
		write(t, dir, "pins.txt", "prefect==2.8.7")
		r, err := readRequirements(filepath.Join(dir, "requirements.txt"), func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r.missing([]string{base, "another"}), " "); got != row.want {
			t.Errorf("%s: adds %q, want %q", row.name, got, row.want)
		}
	}
}

func TestTheNearestRequirementsFileUpToTheRoot(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	for _, name := range []string{"requirements.txt", "repo/x", "repo/p/requirements.txt", "repo/p/own/requirements.txt", "repo/p/none/x", "repo/q/r/x"} {
		write(t, top, name, "")
	}
	for folder, want := range map[string]string{
		"repo/p/own":  "repo/p/own/requirements.txt",
		"repo/p/none": "repo/p/requirements.txt",
		"repo/q/r":    "", // the one above the root is a stranger's
		"":            "requirements.txt",
	} {
		got, err := findRequirements(filepath.Join(top, folder), filepath.Join(top, "repo"))
		if err != nil {
			t.Fatal(err)
		}
		if want != "" {
			want = filepath.Join(top, want)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", folder, got, want)
		}
	}
}

func TestUVIsToldOfPipsMirror(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	write(t, home, ".config/pip/pip.conf", "[global]\nindex-url = https://mirror.example/simple\nfind-links =\n    /no/such/folder\n    "+home+"\n[list]\nno-index = true\n")
	manager := func(env ...string) *Manager {
		m, err := New(Options{Dir: t.TempDir(), Env: append([]string{"HOME=" + home}, env...)})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	got := manager("PIP_EXTRA_INDEX_URL=https://b.example").fromPip()
	for _, want := range []string{"UV_DEFAULT_INDEX=https://mirror.example/simple", "UV_INDEX=https://b.example", "UV_FIND_LINKS=" + home} {
		if !slices.Contains(got, want) {
			t.Errorf("%q lacks %s", got, want)
		}
	}
	if slices.Contains(got, "UV_NO_INDEX=1") {
		t.Error("another section was read")
	}
	if got := manager("UV_INDEX_URL=https://own.example").fromPip(); got != nil {
		t.Errorf("uv has settings of its own, and was told %q", got)
	}
}
