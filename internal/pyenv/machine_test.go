package pyenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

// fakes are a Python and a uv that write down each time they are run.
type fakes struct{ dir string }

func newFakes(t *testing.T) fakes {
	t.Helper()
	f := fakes{t.TempDir()}
	f.script(t, "python3", `
		[ "$1" = -c ] || exit 1
		echo '{"executable": "/bin/sh", "base": "/bin/sh", "version": "fake", "major": 3, "minor": 11}'`)
	f.script(t, "uv", `
		case "$1 $2" in
		venv*) for dir; do :; done; mkdir -p "$dir/bin" && ln -s /bin/sh "$dir/bin/python";;
		"pip install")
			for file; do :; done
			if grep -q sleep "$file"; then sleep 600 & echo "$$ $!" >"`+f.dir+`/pids.new"; mv "`+f.dir+`/pids.new" "`+f.dir+`/pids"; wait; fi
			if grep -q wait-for-release "$file"; then until [ -e "`+f.dir+`/release" ]; do sleep 0.02; done; fi;;
		esac`)
	return f
}

func (f fakes) script(t *testing.T, name, body string) {
	t.Helper()
	write(t, f.dir, name, "#!/bin/sh\necho "+name+` "$@" >>`+f.dir+"/runs\n"+body+"\n")
	if err := os.Chmod(filepath.Join(f.dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (f fakes) manager(t *testing.T) *Manager {
	t.Helper()
	m, err := New(Options{Dir: filepath.Join(f.dir, "cache"), Base: []string{}, Env: f.env()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (f fakes) env() []string { return []string{"PATH=" + f.dir + ":/usr/bin:/bin", "HOME=" + f.dir} }

func (f fakes) runs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "runs"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// A process of its own, for the test that kills it.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PYENV_TEST_BUILD"); dir != "" {
		manager, err := New(Options{Dir: filepath.Join(dir, "cache"), Base: []string{}, Env: fakes{dir}.env()})
		if err != nil {
			panic(err)
		}
		folder := filepath.Join(dir, "flow")
		spec, err := manager.ForFolder(context.Background(), folder, folder)
		if err == nil {
			_, err = manager.Ensure(context.Background(), spec, nil)
		}
		panic(err)
	}
	os.Exit(m.Run())
}

func TestAKilledBuildLeavesNothingThatLooksReady(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	folder := filepath.Join(f.dir, "flow")
	write(t, folder, "requirements.txt", "sleep\n")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PYENV_TEST_BUILD="+f.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	installer := f.awaitPIDs(t)[0]
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // it was killed
	awaitGone(t, installer)

	m := f.manager(t)
	spec, err := m.ForFolder(t.Context(), folder, folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(environmentPython(m.dir(spec))); err != nil {
		t.Fatalf("the build was not under way when it was killed: %v", err)
	}
	if _, err := m.ready(spec); err == nil {
		t.Fatal("a killed build counts as ready")
	}
	f.script(t, "uv", `case "$1" in venv) for dir; do :; done; mkdir -p "$dir/bin" && ln -s /bin/sh "$dir/bin/python";; esac`)
	if env := ensure(t, m, folder); env.Cached {
		t.Error("the next call did not build")
	}
}

func TestCancellingABuildKillsTheInstallerAndItsChildren(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	folder := t.TempDir()
	write(t, folder, "requirements.txt", "sleep\n")
	m := f.manager(t)
	spec, err := m.ForFolder(t.Context(), folder, folder)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := m.Ensure(ctx, spec, nil); failed <- err }()
	pids := f.awaitPIDs(t)
	cancel()
	if err := <-failed; err == nil {
		t.Error("Ensure succeeded")
	}
	for _, pid := range pids {
		awaitGone(t, pid)
	}
	if _, err := os.Stat(m.dir(spec)); !os.IsNotExist(err) {
		t.Errorf("the cancelled build left its folder: %v", err)
	}
}

// poorPython stands in front of the real Python and refuses some of it, as a
// machine does that lacks the packages in question. There is no uv on its PATH.
func poorPython(t *testing.T, refused string) *Manager {
	t.Helper()
	real := realManager(t)
	python, err := real.python(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "python3")
	write(t, dir, "python3", "#!/bin/sh\ncase \"$*\" in "+refused+") echo refused >&2; exit 1;; esac\nexec "+python.Answer.Executable+" \"$@\"\n")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PATH="+dir+":/usr/bin:/bin")
	m, err := New(Options{Dir: filepath.Join(dir, "cache"), Python: path, Base: []string{}, Env: env, Log: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	if uv, err := m.lookPath("uv"); err == nil {
		t.Skipf("cannot pretend that uv is absent: it is %s", uv)
	}
	return m
}

func TestAMachineWithoutTheVenvModuleFetchesUV(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	m := poorPython(t, `*"-m venv"*|*ensurepip*|"-m uv"*`)
	folder := t.TempDir()
	wheels := t.TempDir()
	writeWheel(t, wheels, "demo", "1.0")
	write(t, folder, "requirements.txt", "--no-index\n--find-links "+wheels+"\ndemo\n")
	env := ensure(t, m, folder)
	if out, err := exec.Command(env.Python, "-c", "import demo").CombinedOutput(); err != nil {
		t.Errorf("%s %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(m.options.Dir, "tools", "bin", "uv")); err != nil {
		t.Errorf("uv is not among our tools: %v", err)
	}
}

func TestAMachineThatCannotHaveUVUsesVenvAndPip(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	m := poorPython(t, `*--target*|"-m uv"*`)
	folder := t.TempDir()
	wheels := t.TempDir()
	writeWheel(t, wheels, "demo", "1.0")
	write(t, folder, "requirements.txt", "--no-index\n--find-links "+wheels+"\ndemo\n")
	env := ensure(t, m, folder)
	if out, err := exec.Command(env.Python, "-c", "import demo").CombinedOutput(); err != nil {
		t.Errorf("%s %v", out, err)
	}
	if m.installer.name != "pip install" {
		t.Errorf("installer is %q", m.installer.name)
	}
}

func TestAMachineWithNeitherIsToldWhatToInstall(t *testing.T) {
	t.Parallel()
	m := poorPython(t, `-m*|*ensurepip*`)
	folder := t.TempDir()
	spec, err := m.ForFolder(t.Context(), folder, folder)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Ensure(t.Context(), spec, nil)
	if err == nil || !strings.Contains(err.Error(), "apt-get install python3-venv") {
		t.Errorf("Ensure = %v", err)
	}
}

func TestNoPythonAtAll(t *testing.T) {
	t.Parallel()
	m, err := New(Options{Dir: t.TempDir(), Env: []string{"PATH=" + t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.ForFolder(t.Context(), t.TempDir(), "/")
	if err == nil || !strings.Contains(err.Error(), "apt-get install python3") {
		t.Errorf("ForFolder = %v", err)
	}
}

func (f fakes) awaitPIDs(t *testing.T) []int {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(f.dir, "pids"))
		if err != nil {
			continue
		}
		var pids []int
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		// Where a test proves nothing about a process, it must not stay either.
		t.Cleanup(func() {
			for _, pid := range pids {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		})
		return pids
	}
	t.Fatal("the installer was not started")
	return nil
}

func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil && syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %d is still alive", pid)
}
