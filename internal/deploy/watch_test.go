package deploy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestWatchReportsWhatChanged(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "p/f/flow.py", "1")
	put(t, root, "p/f/other.py", "1")
	put(t, root, ".gitignore", "data/\n*.log\n")
	put(t, root, "data/x", "")
	put(t, root, "venv/pyvenv.cfg", "")
	w := watch(t, root)

	put(t, root, "p/f/flow.py", "2")
	w.await(t, "p/f/flow.py")

	// As editors save: a new file takes the name of the old one.
	put(t, root, "p/f/.flow.py.swp", "3")
	put(t, root, "p/f/flow.py~", "3")
	put(t, root, "p/f/4913", "3")
	if err := os.Rename(filepath.Join(root, "p/f/4913"), filepath.Join(root, "p/f/flow.py")); err != nil {
		t.Fatal(err)
	}
	w.await(t, "p/f/flow.py")

	// A new folder, with what was in it before anyone could look, and after.
	put(t, root, "new/deep/a.py", "")
	w.await(t, "new/deep/a.py")
	put(t, root, "new/deep/b.py", "")
	w.await(t, "new/deep/b.py")

	// Nobody's concern, then something that is: it must come alone.
	for _, name := range []string{"data/y", "p/f/run.log", "p/__pycache__/x.pyc", ".git/index", "venv/x.py"} {
		put(t, root, name, "")
	}
	if err := os.Chmod(filepath.Join(root, "p/f/other.py"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "p/f/other.py")); err != nil {
		t.Fatal(err)
	}
	w.await(t, "p/f/other.py")
	for _, path := range w.all() {
		if !slices.Contains([]string{"p/f/flow.py", "new/deep/a.py", "new/deep/b.py", "p/f/other.py"}, path) {
			t.Errorf("%s was reported", path)
		}
	}
}

func TestWatchTakesABurstForOneChangeAndNeverOverlaps(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "flow.py", "")
	w := watch(t, root)
	w.hold()
	put(t, root, "a.py", "")
	w.awaitCall(t, 1)
	put(t, root, "b.py", "")
	put(t, root, "c.py", "")
	time.Sleep(4 * quiet) // nothing may happen in it, so there is no event to wait for
	if n := w.calls(); n != 1 {
		t.Errorf("%d calls while the first was under way", n)
	}
	w.release()
	w.await(t, "b.py")
	w.await(t, "c.py")
	if n := w.calls(); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

// watched collects what Watch reports.
type watched struct {
	root  string
	gate  sync.RWMutex // held for writing, it keeps calls from returning
	mu    sync.Mutex
	n     int
	seen  []string
	fresh map[string]bool
}

func watch(t *testing.T, root string) *watched {
	t.Helper()
	w := &watched{root: root, fresh: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Watch(ctx, root, w.changed) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch = %v", err)
		}
	})
	// Watch says nothing when it is ready: touch a file until it notices.
	w.until(t, func() bool {
		put(t, root, "ready", "")
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.fresh["ready"]
	})
	time.Sleep(2 * quiet) // the last touches of it
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n, w.seen = 0, nil
	return w
}

func (w *watched) changed(paths []string) {
	w.mu.Lock()
	w.n++
	for _, path := range paths {
		rel, _ := filepath.Rel(w.root, path)
		w.seen = append(w.seen, rel)
		w.fresh[rel] = true
	}
	w.mu.Unlock()
	w.gate.RLock()
	defer w.gate.RUnlock()
}

func (w *watched) hold()    { w.gate.Lock() }
func (w *watched) release() { w.gate.Unlock() }

func (w *watched) await(t *testing.T, path string) {
	t.Helper()
	w.until(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		found := w.fresh[path]
		delete(w.fresh, path)
		return found
	})
}

func (w *watched) awaitCall(t *testing.T, n int) {
	t.Helper()
	w.until(t, func() bool { return w.calls() >= n })
}

func (w *watched) until(t *testing.T, true func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if true() {
			return
		}
	}
	t.Fatalf("not reported; so far: %q", w.all())
}

func (w *watched) calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

func (w *watched) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}
