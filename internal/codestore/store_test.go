package codestore

import (
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/codestore/storage"
)

var testTime = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// place is a storage that the conformance suite is run on: open gives a store
// whose own place is new and empty.
type testPlace struct {
	name string
	open func(t testing.TB) storage.Store
}

var places = []testPlace{
	{"a folder", func(t testing.TB) storage.Store {
		s, err := Open(t.Context(), "local-file-system", []byte(`{"basepath":"`+t.TempDir()+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}},
}

func TestEveryStore(t *testing.T) {
	t.Parallel()
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range map[string]func(*testing.T, storage.Store){
				"keeps objects":                               keepsObjects,
				"carries bundles":                             carriesBundles,
				"mirrors views":                               mirrorsViews,
				"resumes what was cut":                        resumes,
				"forgets trees that nothing refers to":        forgets,
				"stops at once":                               stopsAtOnce,
				"says what it keeps with a file that changes": noticesChanges,
			} {
				t.Run(name, func(t *testing.T) {
					s := p.open(t)
					t.Cleanup(func() {
						if err := s.Close(); err != nil {
							t.Error(err)
						}
					})
					test(t, s)
				})
			}
		})
	}
}

func keepsObjects(t *testing.T, s storage.Store) {
	ctx := t.Context()
	base, err := s.Key("")
	if err != nil {
		t.Fatal(err)
	}
	at := func(key string) string { return storage.Join(base, key) }
	if err := s.Check(ctx); err != nil {
		t.Errorf("Check: %v", err)
	}
	if left := keys(t, s, base); len(left) > 0 {
		t.Errorf("Check leaves %q", left)
	}
	if _, err := s.Stat(ctx, at("none")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Stat of nothing: %v", err)
	}
	if r, err := s.Get(ctx, at("none")); err == nil {
		if _, err = io.ReadAll(r); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Get of nothing: %v", err)
		}
		r.Close()
	} else if !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get of nothing: %v", err)
	}
	names := []string{"a/b/c.py", "a/b.py", "a b/ü+%20&#?.txt", "empty", "ab/x"}
	for i, name := range names {
		body := name
		if name == "empty" {
			body = ""
		}
		for range 1 + i%2 { // again: in its own place
			if err := s.Put(ctx, at(name), text(body)); err != nil {
				t.Fatalf("Put %q: %v", name, err)
			}
		}
		o, err := s.Stat(ctx, at(name))
		if err != nil || o.Size != int64(len(body)) || o.SHA256 != text(body).SHA256 || o.Key != at(name) || time.Since(o.Modified).Abs() > time.Hour {
			t.Errorf("Stat %q: %+v, %v", name, o, err)
		}
		r, err := s.Get(ctx, at(name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != body {
			t.Errorf("Get %q: %q, %v", name, got, err)
		}
		r.Close()
	}
	want := func(folder string, want ...string) {
		t.Helper()
		got := keys(t, s, folder)
		ok := len(got) == len(want)
		for i := range want {
			ok = ok && got[i] == at(want[i])
		}
		if !ok {
			t.Errorf("below %q: %q, want %q", folder, got, want)
		}
	}
	want(base, "a b/ü+%20&#?.txt", "a/b.py", "a/b/c.py", "ab/x", "empty")
	want(at("a"), "a/b.py", "a/b/c.py")
	want(at("a/b"), "a/b/c.py")
	want(at("nothing"))
	if err := s.Delete(ctx, []string{at("a/b.py"), at("not there"), at("empty"), at("a b/ü+%20&#?.txt")}); err != nil {
		t.Errorf("Delete: %v", err)
	}
	want(base, "a/b/c.py", "ab/x")
	if err := s.Put(ctx, at("../out"), text("x")); err == nil {
		t.Error("a key that leaves the place is accepted")
	}
}

func carriesBundles(t *testing.T, s storage.Store) {
	ctx := t.Context()
	b := pack(t, tree(t, codeV1))
	var last Progress
	sent, err := Upload(ctx, s, b, Options{Progress: func(p Progress) { last = p }})
	if err != nil || sent.Files != len(codeV1) || sent.Bytes != b.Size() {
		t.Fatalf("Upload: %+v, %v", sent, err)
	}
	if last != (Progress{len(codeV1), len(codeV1), b.Size(), b.Size()}) {
		t.Errorf("progress ends with %+v", last)
	}
	if sent, err := Upload(ctx, s, b, Options{}); err != nil || sent.Files != 0 {
		t.Errorf("again: %+v, %v", sent, err)
	}
	dir := filepath.Join(t.TempDir(), "cache", b.Hash())
	for range 2 {
		m, err := Fetch(ctx, s, b.Hash(), dir, Options{})
		if err != nil || m.Hash() != b.Hash() {
			t.Fatalf("Fetch: %v", err)
		}
		wantFiles(t, read(t, dir), codeV1)
	}
	path, err := TreePath(s, b.Hash())
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := FetchPath(ctx, s, path, dir, Options{}); err != nil {
		t.Fatal(err)
	}
	got := read(t, dir)
	if _, ok := got["run.sh"]; ok { // not every storage keeps that
		got["run.sh*"] = got["run.sh"]
		delete(got, "run.sh")
	}
	wantFiles(t, got, codeV1)
	if err := FetchPath(ctx, s, "no/such/path", dir, Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("FetchPath of nothing: %v", err)
	}
	other := pack(t, tree(t, codeV2))
	if _, err := Fetch(ctx, s, other.Hash(), filepath.Join(t.TempDir(), "x"), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Fetch of what is not there: %v", err)
	}
	// A file that was changed in the storage is noticed.
	if err := s.Put(ctx, storage.Join(path, "flow.py"), text("print('bad')")); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "x")
	if _, err := Fetch(ctx, s, b.Hash(), to, Options{Tries: 1}); err == nil {
		t.Error("a tree that was changed in the storage is fetched")
	}
}

func mirrorsViews(t *testing.T, s storage.Store) {
	ctx := t.Context()
	base, _ := s.Key("")
	for _, key := range []string{"shop/projects/other/flow.py", "shop/projects/load2/flow.py", ".orion/code/x"} {
		if err := s.Put(ctx, storage.Join(base, key), text(key)); err != nil {
			t.Fatal(err)
		}
	}
	const view = "shop/projects/load"
	for _, code := range []map[string]string{codeV1, codeV2, codeV1} {
		if _, err := SyncView(ctx, s, pack(t, tree(t, code)), view, Options{}); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, key := range keys(t, s, storage.Join(base, view)) {
			at, _ := storage.Below(storage.Join(base, view), key)
			r, err := s.Get(ctx, key)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			if at == "run.sh" {
				at += "*"
			}
			got[at] = string(b)
		}
		wantFiles(t, got, code)
	}
	if sent, err := SyncView(ctx, s, pack(t, tree(t, codeV1)), view, Options{}); err != nil || sent.Files > 0 {
		t.Errorf("nothing changed: %+v, %v", sent, err)
	}
	for _, key := range []string{"shop/projects/other/flow.py", "shop/projects/load2/flow.py", ".orion/code/x"} {
		if _, err := s.Stat(ctx, storage.Join(base, key)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, view := range []string{"", ".", "/", "..", "a/../..", ".orion", ".orion/code"} {
		if _, err := SyncView(ctx, s, pack(t, tree(t, codeV1)), view, Options{}); err == nil {
			t.Errorf("the view %q is accepted", view)
		}
	}
}

func resumes(t *testing.T, s storage.Store) {
	ctx := t.Context()
	b := pack(t, tree(t, codeV1))
	path, err := TreePath(s, b.Hash())
	if err != nil {
		t.Fatal(err)
	}
	// One file is there, one with another content of the same size.
	if err := s.Put(ctx, storage.Join(path, "flow.py"), text(codeV1["flow.py"])); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, storage.Join(path, "thing"), text("a filX\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadManifest(ctx, s, b.Hash(), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an unfinished tree: %v", err)
	}
	sent, err := Upload(ctx, s, b, Options{})
	if err != nil || sent.Files != len(codeV1)-1 {
		t.Errorf("%+v, %v", sent, err)
	}
	dir := filepath.Join(t.TempDir(), "x")
	if _, err := Fetch(ctx, s, b.Hash(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, read(t, dir), codeV1)
}

func forgets(t *testing.T, s storage.Store) {
	ctx := t.Context()
	one, two := pack(t, tree(t, codeV1)), pack(t, tree(t, codeV2))
	for _, b := range []*Bundle{one, two} {
		if _, err := Upload(ctx, s, b, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	cut := pack(t, tree(t, map[string]string{"x.py": "1"}))
	path, _ := TreePath(s, cut.Hash())
	if err := s.Put(ctx, storage.Join(path, "x.py"), text("1")); err != nil {
		t.Fatal(err)
	}
	keep := func(hash string) bool { return hash == one.Hash() }
	later := time.Now().Add(time.Hour)
	if gone, err := Collect(ctx, s, CollectOptions{Keep: keep, Before: time.Now().Add(-time.Hour)}); err != nil || len(gone) > 0 {
		t.Errorf("young trees: %+v, %v", gone, err)
	}
	for _, dry := range []bool{true, false} {
		gone, err := Collect(ctx, s, CollectOptions{Keep: keep, Before: later, DryRun: dry})
		if err != nil || len(gone) != 2 {
			t.Fatalf("dry %v: %+v, %v", dry, gone, err)
		}
		for _, tree := range gone {
			want := Tree{Hash: two.Hash(), Whole: true, Files: len(codeV2), Bytes: two.Size(), Modified: tree.Modified}
			if tree.Hash == cut.Hash() {
				want = Tree{Hash: cut.Hash(), Files: 1, Bytes: 1, Modified: tree.Modified}
			}
			if tree != want {
				t.Errorf("%+v, want %+v", tree, want)
			}
		}
	}
	if _, err := ReadManifest(ctx, s, two.Hash(), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the collected tree: %v", err)
	}
	if _, err := Fetch(ctx, s, one.Hash(), filepath.Join(t.TempDir(), "x"), Options{}); err != nil {
		t.Errorf("the kept tree: %v", err)
	}
	base, _ := s.Key("")
	if left := keys(t, s, base); len(left) != len(codeV1)+1 {
		t.Errorf("left: %q", left)
	}
}

func stopsAtOnce(t *testing.T, s storage.Store) {
	b := pack(t, tree(t, codeV1))
	if _, err := Upload(cancelledContext(t), s, b, Options{}); err == nil {
		t.Error("it goes on")
	}
	if _, err := ReadManifest(t.Context(), s, b.Hash(), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a tree is marked: %v", err)
	}
}

func noticesChanges(t *testing.T, s storage.Store) {
	dir := tree(t, codeV1)
	b := pack(t, dir)
	write(t, dir, map[string]string{"flow.py": "print('ONE')\n"})
	if _, err := Upload(t.Context(), s, b, Options{}); !errors.Is(err, ErrChanged) {
		t.Errorf("the same size: %v", err)
	}
	write(t, dir, map[string]string{"flow.py": "print('one') # more\n"})
	if _, err := Upload(t.Context(), s, b, Options{}); !errors.Is(err, ErrChanged) {
		t.Errorf("more: %v", err)
	}
	write(t, dir, map[string]string{"flow.py": "pr"})
	if _, err := Upload(t.Context(), s, b, Options{}); !errors.Is(err, ErrChanged) {
		t.Errorf("less: %v", err)
	}
	if _, err := ReadManifest(t.Context(), s, b.Hash(), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a tree is marked: %v", err)
	}
	path, _ := TreePath(s, b.Hash())
	if o, err := s.Stat(t.Context(), storage.Join(path, "flow.py")); err == nil {
		t.Errorf("a wrong file is there: %+v", o)
	}
}
