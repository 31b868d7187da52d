package codestore

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/orionflows/orion/internal/codestore/storage"
)

func packed(b *Bundle) []string {
	var paths []string
	for _, f := range b.Files {
		paths = append(paths, f.Path)
	}
	return paths
}

func TestPackTakesWhatARunNeeds(t *testing.T) {
	t.Parallel()
	repo := tree(t, map[string]string{
		"projects/shop/load/flow.py":                 "flow",
		"projects/shop/load/.prefectignore":          "*.csv\nold/\n!old/keep.py\n",
		"projects/shop/load/big.csv":                 "x",
		"projects/shop/load/old/gone.py":             "x",
		"projects/shop/load/old/keep.py":             "x",
		"projects/shop/load/.git/config":             "x",
		"projects/shop/load/__pycache__/flow.pyc":    "x",
		"projects/shop/load/lib/__pycache__/x.pyc":   "x",
		"projects/shop/load/lib/x.py":                "x",
		"projects/shop/load/lib/x.pyc":               "x",
		"projects/shop/load/my env/pyvenv.cfg":       "x",
		"projects/shop/load/my env/bin/python":       "x",
		"projects/shop/load/.orion/code/x":           "x",
		"projects/shop/load/sub/.prefectignore":      "kept: only the one at the top counts",
		"shared/money/__init__.py":                   "x",
		"shared/money/cents.py":                      "x",
		"shared/money/table.csv":                     "x",
		"shared/money/__pycache__/cents.cpython.pyc": "x",
		"shared/one.py":                              "one",
	})
	load := filepath.Join(repo, "projects", "shop", "load")
	if err := os.Symlink("../../../shared/one.py", filepath.Join(load, "linked.py")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../../shared", filepath.Join(load, "all")); err != nil {
		t.Fatal(err)
	}
	b, err := Pack(t.Context(), PackOptions{Dir: load, Root: repo, Extra: map[string]string{
		"shared/money": filepath.Join(repo, "shared", "money"), "one.py": filepath.Join(repo, "shared", "one.py"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"all/money/__init__.py", "all/money/cents.py", "all/one.py", "flow.py", "lib/x.py", "linked.py", "old/keep.py", "one.py",
		"shared/money/__init__.py", "shared/money/cents.py", "shared/money/table.csv", "sub/.prefectignore"}
	if got := packed(b); !slices.Equal(got, want) {
		t.Errorf("packed %q\nwant   %q", got, want)
	}
	r, err := b.Open("linked.py")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "one" {
		t.Errorf("a link is packed as %q, %v", text, err)
	}
}

func TestPackNamesWhatCannotBePacked(t *testing.T) {
	t.Parallel()
	link := func(target, name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	outside := t.TempDir()
	for _, c := range []struct {
		name    string
		spoil   func(*testing.T, string)
		options PackOptions
		words   []string
	}{
		{"a link out of the repository", link(outside, "out"), PackOptions{}, []string{"out", outside, "out of the repository"}},
		{"a link to nowhere", link("nothing", "dead"), PackOptions{}, []string{"dead", "leads nowhere"}},
		{"a link to itself", link("loop", "loop"), PackOptions{}, []string{"loop"}},
		{"a link in a circle", link("..", "lib/up"), PackOptions{}, []string{"lib/up", "circle"}},
		{"a socket", func(t *testing.T, dir string) {
			l, err := net.Listen("unix", filepath.Join(dir, "s"))
			if err != nil {
				t.Skip(err) // the path may be too long here
			}
			t.Cleanup(func() { l.Close() })
		}, PackOptions{}, []string{"/s", "socket"}},
		{"a pipe", func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, PackOptions{}, []string{"fifo", "pipe"}},
		{"a name that is not UTF-8", func(t *testing.T, dir string) { write(t, dir, map[string]string{"caf\xe9.py": ""}) }, PackOptions{}, []string{`caf\xe9.py`, "UTF-8"}},
		{"a name with a line end", func(t *testing.T, dir string) { write(t, dir, map[string]string{"a\nb.py": ""}) }, PackOptions{}, []string{`a\nb.py`}},
		{"too much", func(t *testing.T, dir string) {
			write(t, dir, map[string]string{"huge.bin": strings.Repeat("x", 3000), "large.bin": strings.Repeat("x", 2000)})
		}, PackOptions{MaxSize: 4000}, []string{"huge.bin (3000 bytes), large.bin (2000 bytes)", ".prefectignore"}},
		{"two files of one name", func(*testing.T, string) {}, PackOptions{Extra: map[string]string{"flow.py": "lib/x.py"}}, []string{"flow.py", "lib/x.py"}},
		{"an extra file that leaves the bundle", func(*testing.T, string) {}, PackOptions{Extra: map[string]string{"../x.py": "lib/x.py"}}, []string{"../x.py"}},
		{"an ignore file that makes no sense", func(t *testing.T, dir string) { write(t, dir, map[string]string{".prefectignore": "a\nb\\\n"}) }, PackOptions{}, []string{".prefectignore", "line 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, map[string]string{"flow.py": "", "lib/x.py": ""})
			c.spoil(t, dir)
			o := c.options
			o.Dir = dir
			o.Extra = map[string]string{}
			for at, source := range c.options.Extra {
				o.Extra[at] = filepath.Join(dir, source)
			}
			_, err := Pack(t.Context(), o)
			if err == nil {
				t.Fatal("it is packed")
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
	// What is ignored does no harm.
	dir := tree(t, map[string]string{"flow.py": "", ".prefectignore": "out\nfifo\nbad/\n", "bad/caf\xe9": ""})
	link(outside, "out")(t, dir)
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b := pack(t, dir); !slices.Equal(packed(b), []string{"flow.py"}) {
		t.Errorf("packed %q", packed(b))
	}
}

// A file is never held in memory: a large one goes through with little.
func TestLargeFilesStream(t *testing.T) {
	dir := t.TempDir()
	const size = 256 << 20
	f, err := os.Create(filepath.Join(dir, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := pack(t, dir)
	s, err := storage.OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Upload(t.Context(), s, b, Options{}); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "x")
	if _, err := Fetch(t.Context(), s, b.Hash(), to, Options{}); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(Archive(context.Background(), w, b)) }()
	if m, err := ReadArchive(t.Context(), r, 0); err != nil || m.Hash() != b.Hash() {
		t.Errorf("%v, %v", m, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > size/8 {
		t.Errorf("%d MB were allocated for a file of %d MB", used>>20, size>>20)
	}
}

// Several who fetch the same bundle into the same folder get one whole tree.
func TestFetchersOfOneFolderAgree(t *testing.T) {
	t.Parallel()
	s, err := storage.OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := pack(t, tree(t, codeV1))
	if _, err := Upload(t.Context(), s, b, Options{}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), b.Hash())
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if _, err := Fetch(t.Context(), s, b.Hash(), dir, Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantFiles(t, read(t, dir), codeV1)
	left, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(left) != 1 {
		t.Errorf("beside it lies %v, %v", left, err)
	}
	// What was fetched can be put elsewhere, and is checked on the way.
	again := OpenBundle(b.Manifest, dir)
	if _, err := Upload(t.Context(), s, again, Options{}); err != nil {
		t.Error(err)
	}
}

// A view that somebody put links into loses them, not what they lead to.
func TestViewsDoNotReachThroughLinks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"view/flow.py": "old", "other/data.py": "keep", "other/helpers/money.py": "keep"})
	for name, target := range map[string]string{"dir": "../other", "helpers": "../other/helpers", "run.sh": "../other/data.py"} {
		if err := os.Symlink(target, filepath.Join(root, "view", name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := storage.OpenLocal(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SyncView(t.Context(), s, pack(t, tree(t, codeV1)), "view", Options{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, read(t, filepath.Join(root, "view")), codeV1)
	wantFiles(t, read(t, filepath.Join(root, "other")), map[string]string{"data.py": "keep", "helpers/money.py": "keep"})
}

// A run's folder gets what the block "Local File System" would give it.
func TestFetchingAFolderLeavesOutWhatItIgnores(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"p/flow.py": "f", "p/.prefectignore": "*.tmp\nold/\n", "p/a.tmp": "", "p/old/x": "", "q/y": ""})
	s, err := storage.OpenLocal(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"p", "p/", filepath.Join(root, "p")} {
		dir := t.TempDir()
		if err := FetchPath(t.Context(), s, path, dir, Options{}); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, read(t, dir), map[string]string{"flow.py": "f", ".prefectignore": "*.tmp\nold/\n"})
	}
	for _, path := range []string{"..", "/etc", "p/../../x"} {
		if err := FetchPath(t.Context(), s, path, t.TempDir(), Options{}); err == nil {
			t.Errorf("%q is fetched", path)
		}
	}
}

// Ctrl-C in the middle leaves no mark.
func TestUploadStopsInTheMiddle(t *testing.T) {
	t.Parallel()
	files := maps.Clone(codeV1)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		files[name+".bin"] = strings.Repeat(name, 100_000)
	}
	s, err := storage.OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := pack(t, tree(t, files))
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Upload(ctx, s, b, Options{Parallel: 1, Progress: func(p Progress) {
		if p.Files == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := ReadManifest(t.Context(), s, b.Hash(), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a tree is marked: %v", err)
	}
	sent, err := Upload(t.Context(), s, b, Options{})
	if err != nil || sent.Files != len(files)-3 {
		t.Errorf("the next one sends %d of %d files, %v", sent.Files, len(files), err)
	}
}
