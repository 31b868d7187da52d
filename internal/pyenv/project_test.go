package pyenv

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/testenv"
)

func TestWhichFileStatesTheRequirements(t *testing.T) {
	t.Parallel()
	m := newFakes(t).manager(t)
	for _, row := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"a project's dependencies", map[string]string{"pyproject.toml": "[project]\nname='x'\ndependencies=['demo>=1']"}, "pyproject.toml"},
		{"settings of tools are none", map[string]string{"flow/pyproject.toml": "[tool.ruff]\n", "requirements.txt": "demo"}, "requirements.txt"},
		{"requirements.txt comes first", map[string]string{"flow/pyproject.toml": "[project]\ndependencies=['demo']", "flow/requirements.txt": "demo", "flow/uv.lock": ""}, "flow/requirements.txt"},
		{"a lock before the project", map[string]string{"flow/pyproject.toml": "[project]\ndependencies=['demo']", "flow/uv.lock": "version = 1"}, "flow/uv.lock"},
		{"the nearest folder before the better file", map[string]string{"flow/pyproject.toml": "[project]\ndependencies=['demo']", "requirements.txt": "demo"}, "flow/pyproject.toml"},
		{"requirements.lock", map[string]string{"flow/requirements.lock": "demo==1"}, "flow/requirements.lock"},
		{"none", nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "flow/flow.py", "")
			for name, text := range row.files {
				write(t, root, name, text)
			}
			spec, err := m.ForFolder(t.Context(), filepath.Join(root, "flow"), root)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if row.want != "" {
				want = filepath.Join(root, row.want)
			}
			if spec.Requirements != want {
				t.Errorf("got %q, want %q", spec.Requirements, want)
			}
		})
	}
	root := t.TempDir()
	write(t, root, "pyproject.toml", "[project\n")
	if _, err := m.ForFolder(t.Context(), root, root); err == nil || !strings.Contains(err.Error(), "pyproject.toml") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestAProjectAndItsLockAreInstalled(t *testing.T) {
	t.Parallel()
	m := realManager(t)
	wheels := t.TempDir()
	writeWheel(t, wheels, "demo", "1.0")
	wheel := filepath.Join(wheels, "demo-1.0-py3-none-any.whl")
	project := "[project]\nname = 'mine'\nversion = '1'\nrequires-python = '>=3.8'\ndependencies = ['demo @ file://" + wheel + "']\n"
	for _, lock := range []bool{false, true} {
		folder := t.TempDir()
		write(t, folder, "pyproject.toml", project)
		if lock {
			uv, _, err := m.findUV(t.Context(), m.interpreter, func(string) {})
			if err != nil || uv == nil {
				testenv.Absent(t, "uv", "run test/setup.sh, or install it")
			}
			cmd := exec.Command(uv[0], append(uv[1:], "lock", "--offline", "--python", m.interpreter.Path)...)
			cmd.Dir = folder
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("uv lock: %v\n%s", err, out)
			}
		}
		env := ensure(t, m, folder)
		if want := map[bool]string{false: "pyproject.toml", true: "uv.lock"}[lock]; filepath.Base(env.Requirements) != want {
			t.Errorf("made of %s, want %s", env.Requirements, want)
		}
		packages, err := Locked(env)
		if err != nil || !slices.Contains(packages, "demo==1.0") || !slices.IsSorted(packages) {
			t.Errorf("%v, %v", packages, err)
		}
	}
}
