package pyenv

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestConflictingRequirementsLiveSideBySide(t *testing.T) {
	t.Parallel()
	m := realManager(t)
	wheels := t.TempDir()
	writeWheel(t, wheels, "demo", "1.0")
	writeWheel(t, wheels, "demo", "2.0")
	for _, version := range []string{"1.0", "2.0"} {
		folder := t.TempDir()
		write(t, folder, "requirements.txt", "--no-index\n--find-links "+wheels+"\ndemo=="+version+"  # pinned\n")
		env := ensure(t, m, folder)
		out, err := exec.Command(env.Python, "-c", "import demo; print(demo.version)").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != version {
			t.Errorf("demo in the environment for %s: %s %v", version, out, err)
		}
	}
}

func TestUninstallableRequirementsNameTheFileAndLeaveNothing(t *testing.T) {
	t.Parallel()
	m := realManager(t)
	folder := t.TempDir()
	write(t, folder, "requirements.txt", "--no-index\nno-such-thing==9\n")
	spec, err := m.ForFolder(t.Context(), folder, folder)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Ensure(t.Context(), spec, nil)
	var install *InstallError
	if !errors.As(err, &install) {
		t.Fatalf("Ensure = %v, want an InstallError", err)
	}
	for _, want := range []string{filepath.Join(folder, "requirements.txt"), "no-such-thing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if _, err := os.Stat(m.dir(spec)); !os.IsNotExist(err) {
		t.Errorf("the failed build left its folder: %v", err)
	}
}

func TestSecondStartRunsNothing(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	folder := t.TempDir()
	write(t, folder, "requirements.txt", "anything\n")
	ensure(t, f.manager(t), folder)
	before := f.runs(t)
	if before == "" {
		t.Fatal("the fakes were not used at all")
	}
	env := ensure(t, f.manager(t), folder)
	if !env.Cached {
		t.Error("the second start built again")
	}
	if after := f.runs(t); after != before {
		t.Errorf("the second start ran: %s", strings.TrimPrefix(after, before))
	}
}

func TestConcurrentCallersShareOneBuild(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	folder := t.TempDir()
	write(t, folder, "requirements.txt", "anything\n")
	managers := []*Manager{f.manager(t), f.manager(t)} // as two processes would
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			m := managers[i%2]
			spec, err := m.ForFolder(t.Context(), folder, folder)
			if err == nil {
				_, err = m.Ensure(t.Context(), spec, func(string) {})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := strings.Count(f.runs(t), "uv pip install"); n != 1 {
		t.Errorf("installed %d times, want once", n)
	}
}

func TestOneCallerLeavingDoesNotEndTheBuildOfAnother(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	folder := t.TempDir()
	write(t, folder, "requirements.txt", "wait-for-release\n")
	m := f.manager(t)
	spec, err := m.ForFolder(t.Context(), folder, folder)
	if err != nil {
		t.Fatal(err)
	}
	first, leave := context.WithCancel(t.Context())
	installing := make(chan struct{})
	gone := make(chan error)
	go func() {
		_, err := m.Ensure(first, spec, func(step string) {
			if step == "installing" {
				close(installing)
			}
		})
		gone <- err
	}()
	<-installing
	joined := make(chan struct{})
	stays := make(chan error)
	go func() {
		_, err := m.Ensure(t.Context(), spec, func(string) { close(joined) })
		stays <- err
	}()
	<-joined
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left got %v", err)
	}
	write(t, f.dir, "release", "")
	if err := <-stays; err != nil {
		t.Errorf("the caller that stayed got %v", err)
	}
}

func TestAnEditDuringTheBuildIsNotFiledUnderTheOldText(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	folder := t.TempDir()
	write(t, folder, "requirements.txt", "old\n")
	m := f.manager(t)
	spec, err := m.ForFolder(t.Context(), folder, folder)
	if err != nil {
		t.Fatal(err)
	}
	env, err := m.Ensure(t.Context(), spec, func(step string) {
		if step == "installing" {
			write(t, folder, "requirements.txt", "new\n")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if env.Key == spec.Key {
		t.Error("the environment has the key of the text before the edit")
	}
	if _, err := m.ready(spec); err == nil {
		t.Error("an environment of uncertain content counts as ready")
	}
}

func TestADanglingEnvironmentIsBuiltAgain(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	folder := t.TempDir()
	env := ensure(t, f.manager(t), folder)
	if err := os.Remove(env.Python); err != nil {
		t.Fatal(err)
	}
	again := ensure(t, f.manager(t), folder)
	if _, err := os.Stat(again.Python); err != nil || again.Cached {
		t.Errorf("cached %v, interpreter %v", again.Cached, err)
	}
}

// realManager has the machine's own tools and a bare base.
func realManager(t *testing.T) *Manager {
	t.Helper()
	m, err := New(Options{Dir: t.TempDir(), Base: []string{}, Log: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.findPython(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs Python 3: apt-get install python3")
	}
	return m
}

func ensure(t *testing.T, m *Manager, folder string) Environment {
	t.Helper()
	spec, err := m.ForFolder(t.Context(), folder, folder)
	if err != nil {
		t.Fatal(err)
	}
	env, err := m.Ensure(t.Context(), spec, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeWheel makes an installable package without a build tool.
func writeWheel(t *testing.T, dir, name, version string) {
	t.Helper()
	info := fmt.Sprintf("%s-%s.dist-info/", name, version)
	var wheel bytes.Buffer
	z := zip.NewWriter(&wheel)
	for path, text := range map[string]string{
		name + ".py":      fmt.Sprintf("version = %q\n", version),
		info + "METADATA": fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version),
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info + "RECORD":   fmt.Sprintf("%s.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n", name, info, info, info),
	} {
		w, err := z.Create(path)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, dir, fmt.Sprintf("%s-%s-py3-none-any.whl", name, version), wheel.String())
}

// A second start by a new process: nothing is in memory, all is in the cache.
func BenchmarkSecondStart(b *testing.B) {
	dir, folder := b.TempDir(), b.TempDir()
	path := filepath.Join(folder, "requirements.txt")
	if err := os.WriteFile(path, []byte("--no-index\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	start := func() {
		m, err := New(Options{Dir: dir, Base: []string{}})
		if err != nil {
			b.Fatal(err)
		}
		spec, err := m.ForFolder(b.Context(), folder, folder)
		if err == nil {
			_, err = m.Ensure(b.Context(), spec, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	start()
	for b.Loop() {
		start()
	}
}
