package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/pyenv"
	"github.com/orionflows/orion/internal/testenv"
)

// everything prints what a file can see of how it was started.
const everything = `# -*- coding: utf-8 -*-
"""A docstring."""
from __future__ import annotations
import asyncio, atexit, inspect, json, logging, multiprocessing, os, sys, threading, warnings
import __main__
import helper
atexit.register(lambda: print("at exit", flush=True))
def f(x: Nope): return x
env = {k: v for k, v in sorted(os.environ.items()) if k not in ("_", "SHLVL", "LC_CTYPE")}
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv[1:], "name": __name__, "file": __file__,
    "cwd": os.getcwd(), "path": sys.path, "env": env, "doc": __doc__, "cached": __cached__,
    "spec": repr(__spec__), "package": __package__, "loader": type(__loader__).__name__,
    "globals": sorted(globals()), "main is me": __main__.f is f, "source": inspect.getsource(f),
    "helper": helper.__file__, "flags": str(sys.flags), "write bytecode": sys.dont_write_bytecode,
    "executable": sys.executable, "prefix": sys.prefix, "threads": threading.active_count(),
    "main thread": threading.current_thread() is threading.main_thread(),
    "leader": os.getpgid(0) == os.getpid(), "stdin": sys.stdin.read(), "tty": sys.stdout.isatty(),
    "encodings": [sys.stdout.encoding, sys.stderr.encoding, sys.stdout.errors, sys.stderr.errors],
    "descriptors": sorted(os.listdir("/proc/self/fd"))[:3], "excepthook": sys.excepthook is sys.__excepthook__,
    "signals": [str(__import__("signal").getsignal(n)) for n in (2, 13, 15, 17)],
    "filters": warnings.filters[:0], "logging": logging.getLogger().level,
}, indent=1, ensure_ascii=False))
sys.stderr.write("errors come between\n")
print("bytes é ✓")
async def g():
    await asyncio.sleep(0)
    return "loop"
print(asyncio.run(g()))
with multiprocessing.get_context("fork").Pool(1) as pool: print(pool.map(f, [1]))
threading.Thread(target=lambda: print("thread")).start()
`

func TestWarmEqualsFresh(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	env := prefect220(t)
	vars := append(os.Environ(), "PREFECT_API_URL=http://127.0.0.1:9/api", "PYTHONPATH=lib:/nowhere", "PYTHONWARNINGS=default::UserWarning")
	warm, fresh := runners(t, vars)
	for _, row := range []struct {
		name, text string
		code       int
	}{
		{"all that can be seen", everything, 0},
		{"settings of Prefect", "import prefect.settings as s\nprint(s.PREFECT_API_URL.value(), s.PREFECT_HOME.value())\n", 0},
		{"an exception", "import helper\ndef f():\n    try:\n        helper.fail()\n    except KeyError as e:\n        raise ValueError('two\\nlines') from e\nf()\n", 1},
		{"a syntax error", "x = 1\ny = (\n", 1},
		{"an exit code", "import sys; sys.exit(7)", 7},
		{"an exit message", "raise SystemExit('enough')", 1},
		{"a hook of its own", "import sys\nsys.excepthook = lambda t, e, tb: print('hook', t, tb.tb_frame.f_code.co_filename)\n1/0", 1},
		{"a signal", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15},
		{"an exit without ceremony", "import os; os.write(1, b'x'); os._exit(3)", 3},
		{"a missing module", "import no_such_module", 1},
		{"pickling", "import pickle, cloudpickle\nclass C: pass\nprint(pickle.dumps(C()), len(cloudpickle.dumps(C)) > 20)", 0},
		{"a deployment", "from prefect import flow\nfrom prefect.deployments import Deployment\n@flow\ndef f(n: int = 1): 'what it does'\nd = Deployment(name='d', flow_name=f.name)\nprint(d.name, d.flow_name, f.description)", 0},
		{"a file left open", "import os\nf = os.fdopen(os.dup(1), 'w')\nf.write('left open')", 0},
		{"last words", "import atexit, threading, time\nclass C:\n    def __del__(self):\n        print('gone')\nc = C()\natexit.register(print, 'at exit')\nthreading.Thread(target=lambda: (time.sleep(0.1), print('a thread'))).start()", 0},
		{"much output", "print('0123456789' * 200000)", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := fileWith(t, row.text)
			put(t, file.Folder, "helper.py", "def fail(): raise KeyError('deep')\n")
			a, b := fresh.Run(t.Context(), file, env), warm.Run(t.Context(), file, env)
			if a.Warm || !b.Warm {
				t.Fatalf("warm: %v and %v, want false and true", a.Warm, b.Warm)
			}
			if a.ExitCode != row.code || b.ExitCode != row.code {
				t.Errorf("exit codes %d and %d, want %d", a.ExitCode, b.ExitCode, row.code)
			}
			if !bytes.Equal(a.Output, b.Output) {
				t.Errorf("fresh:\n%s\nwarm:\n%s", difference(a.Output, b.Output), difference(b.Output, a.Output))
			}
		})
	}
}

// difference is the lines of a that b lacks.
func difference(a, b []byte) string {
	theirs := strings.Split(string(b), "\n")
	var lines []string
	for line := range strings.SplitSeq(string(a), "\n") {
		if !slices.Contains(theirs, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func TestEachFileHasAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	env := python(t)
	warm, _ := runners(t, nil)
	file := fileWith(t, "import os, builtins\nprint(os.getpid(), hasattr(builtins, 'mark'))\nbuiltins.mark = 1")
	first, second := warm.Run(t.Context(), file, env), warm.Run(t.Context(), file, env)
	a, b := strings.Fields(string(first.Output)), strings.Fields(string(second.Output))
	if !second.Warm || a[0] == b[0] || b[1] != "False" {
		t.Errorf("%q, then %q", a, b)
	}
}

func TestAFileThatHidesALoadedModuleRunsFresh(t *testing.T) {
	t.Parallel()
	env := python(t)
	warm, _ := runners(t, nil)
	file := fileWith(t, "import json; print(json.mine)")
	put(t, file.Folder, "json.py", "mine = 'my own'")
	result := warm.Run(t.Context(), file, env)
	if result.Warm || strings.TrimSpace(string(result.Output)) != "my own" {
		t.Errorf("warm %v: %s", result.Warm, result.Output)
	}
}

func TestAnInterpreterThatCannotBeWarmIsUsedFresh(t *testing.T) {
	t.Parallel()
	real := python(t)
	dir := t.TempDir()
	put(t, dir, "python", "#!/bin/sh\ncase $1 in -c) echo broken >&2; exit 1;; esac\nexec "+real.Python+" \"$@\"\n")
	if err := os.Chmod(filepath.Join(dir, "python"), 0o755); err != nil {
		t.Fatal(err)
	}
	warm, _ := runners(t, nil)
	for range 2 {
		result := warm.Run(t.Context(), fileWith(t, "print('ran')"), pyenv.Environment{Python: filepath.Join(dir, "python")})
		if result.Err != nil || result.Warm || string(result.Output) != "ran\n" {
			t.Errorf("%+v", result)
		}
	}
}

func TestAFailingFileStopsNoOtherAndSaysWhy(t *testing.T) {
	t.Parallel()
	env := python(t)
	env.Requirements = ""
	warm, _ := runners(t, nil)
	good, bad := fileWith(t, "print('fine')"), fileWith(t, "import pandas_is_absent.frame")
	var events []Event
	results := warm.RunAll(t.Context(), []Job{{bad, env}, {good, env}, {bad, env}}, 2, func(e Event) { events = append(events, e) })
	if len(events) != 6 || len(results) != 3 {
		t.Fatalf("%d events, %d results", len(events), len(results))
	}
	if results[1].Err != nil {
		t.Errorf("the good file: %v", results[1].Err)
	}
	var failure *FileError
	if !errors.As(results[0].Err, &failure) {
		t.Fatalf("the bad file: %v", results[0].Err)
	}
	if want := "ModuleNotFoundError: No module named 'pandas_is_absent'"; failure.Cause != want {
		t.Errorf("cause %q, want %q", failure.Cause, want)
	}
	if want := "add pandas_is_absent to requirements.txt, then save"; results[2].Hint != want {
		t.Errorf("hint %q, want %q", results[2].Hint, want)
	}
	for _, want := range []string{"exit code 1", "test.deployment.py", "import pandas_is_absent.frame"} {
		if !strings.Contains(failure.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, failure)
		}
	}
}

func TestCancelLeavesNoProcess(t *testing.T) {
	t.Parallel()
	env := python(t)
	for _, fresh := range []bool{false, true} {
		t.Run(fmt.Sprintf("fresh %v", fresh), func(t *testing.T) {
			r := NewRunner(RunnerOptions{Fresh: fresh})
			file := fileWith(t, lingering)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan Result)
			go func() { ended <- r.Run(ctx, file, env) }()
			pids := awaitPIDs(t, file.Folder)
			cancel()
			if result := <-ended; !errors.Is(result.Err, context.Canceled) || result.Warm == fresh {
				t.Errorf("%+v", result)
			}
			for _, pid := range pids[:3] {
				awaitGone(t, pid)
			}
			r.Close()
			if !fresh {
				awaitGone(t, pids[3])
			}
		})
	}
}

// lingering starts a child, and one in a session of its own, and waits.
const lingering = `
import os, subprocess, time
a = subprocess.Popen(["sleep", "600"])
b = subprocess.Popen(["sleep", "600"], start_new_session=True)
with open("pids.new", "w") as f: print(os.getpid(), a.pid, b.pid, os.getppid(), file=f)
os.rename("pids.new", "pids")
time.sleep(600)
`

func TestCloseEndsWhatRuns(t *testing.T) {
	t.Parallel()
	env := python(t)
	r := NewRunner(RunnerOptions{})
	file := fileWith(t, lingering)
	ended := make(chan Result)
	go func() { ended <- r.Run(t.Context(), file, env) }()
	pids := awaitPIDs(t, file.Folder)
	r.Close()
	if result := <-ended; result.Err == nil {
		t.Error("the file counts as done")
	}
	awaitGone(t, pids[0])
	awaitGone(t, pids[1])
	awaitGone(t, pids[2])
	awaitGone(t, pids[3])
}

func TestWhatAFileLeavesRunningIsEnded(t *testing.T) {
	t.Parallel()
	env := python(t)
	warm, _ := runners(t, nil)
	file := fileWith(t, strings.Replace(lingering, "time.sleep(600)", "", 1))
	result := warm.Run(t.Context(), file, env)
	if result.Err != nil || result.Took > 20*time.Second {
		t.Errorf("%v after %v", result.Err, result.Took)
	}
	awaitGone(t, awaitPIDs(t, file.Folder)[1])
}

// A process of its own, for the test that kills it.
func TestMain(m *testing.M) {
	if path := os.Getenv("DEPLOY_TEST_FILE"); path != "" {
		file := newFile(filepath.Dir(path), path, Python)
		r := NewRunner(RunnerOptions{Fresh: os.Getenv("DEPLOY_TEST_FRESH") != ""})
		r.Run(context.Background(), file, pyenv.Environment{Python: os.Getenv("DEPLOY_TEST_PYTHON")})
		os.Exit(0)
	}
	code := m.Run()
	os.RemoveAll(oneCache.dir)
	os.Exit(code)
}

func TestNothingOutlivesAKilledOrion(t *testing.T) {
	t.Parallel()
	env := python(t)
	for _, fresh := range []string{"", "1"} {
		t.Run("fresh "+fresh, func(t *testing.T) {
			file := fileWith(t, lingering)
			cmd := helper(file, env, fresh)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pids := awaitPIDs(t, file.Folder)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			cmd.Wait() // it was killed
			awaitGone(t, pids[0])
			if fresh == "" {
				awaitGone(t, pids[1]) // the warm interpreter ends its children's trees
				awaitGone(t, pids[2])
				awaitGone(t, pids[3])
			}
		})
	}
}

func TestMoreEnvironmentsThanWarmInterpreters(t *testing.T) {
	t.Parallel()
	real := python(t)
	r := NewRunner(RunnerOptions{MaxWarm: 1})
	t.Cleanup(r.Close)
	// The same interpreter under two names counts as two environments.
	other := real
	dir := t.TempDir()
	other.Python = filepath.Join(dir, "python")
	if err := os.Symlink(real.Python, other.Python); err != nil {
		t.Fatal(err)
	}
	var parents []int
	for _, env := range []pyenv.Environment{real, other, real} {
		file := fileWith(t, "import os; print(os.getppid())")
		result := r.Run(t.Context(), file, env)
		pid, err := strconv.Atoi(strings.TrimSpace(string(result.Output)))
		if err != nil || !result.Warm {
			t.Fatalf("%+v", result)
		}
		parents = append(parents, pid)
	}
	awaitGone(t, parents[0])
	awaitGone(t, parents[1])
	if parents[0] == parents[2] {
		t.Error("an interpreter that had to make room is still used")
	}
}

func runners(t *testing.T, vars []string) (warm, fresh *Runner) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("warm interpreters need Linux")
	}
	log := func(line string) { t.Log(line) }
	warm = NewRunner(RunnerOptions{Env: vars, Log: log, MaxOutput: 1 << 20})
	fresh = NewRunner(RunnerOptions{Env: vars, Log: log, MaxOutput: 1 << 20, Fresh: true})
	t.Cleanup(warm.Close)
	t.Cleanup(fresh.Close)
	return warm, fresh
}

func prefect220(t *testing.T) pyenv.Environment {
	t.Helper()
	return pyenv.Environment{Python: testenv.Python220(t)}
}

// python is any Python 3: most of a Runner does not depend on Prefect.
func python(t *testing.T) pyenv.Environment {
	t.Helper()
	m, err := pyenv.New(pyenv.Options{Dir: sharedCache(t), Base: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := m.ForFolder(t.Context(), "/", "/")
	if err != nil {
		t.Fatal(err)
	}
	env, err := m.Ensure(t.Context(), spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

var oneCache struct {
	sync.Once
	dir string
}

// sharedCache is one folder for all tests of a run: the environment in it is
// the same for each.
func sharedCache(t *testing.T) string {
	t.Helper()
	oneCache.Do(func() { oneCache.dir, _ = os.MkdirTemp("", "orion-deploy-test-*") })
	if oneCache.dir == "" {
		t.Fatal("no temporary folder")
	}
	return oneCache.dir
}

func helper(file File, env pyenv.Environment, fresh string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DEPLOY_TEST_FILE="+file.Path, "DEPLOY_TEST_PYTHON="+env.Python, "DEPLOY_TEST_FRESH="+fresh)
	return cmd
}

func fileWith(t *testing.T, text string) File {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "test.deployment.py", text)
	return newFile(dir, filepath.Join(dir, "test.deployment.py"), Python)
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func awaitPIDs(t *testing.T, folder string) []int {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(folder, "pids"))
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
			for _, pid := range pids[:3] {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		})
		return pids
	}
	t.Fatal("the file did not get to run")
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
