package codestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// tree writes files, by path, into a new folder. A name that ends in "*" is
// executable.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	return dir
}

func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "*") {
			name, mode = strings.TrimSuffix(name, "*"), 0o755
		}
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// read is what lies in a folder, in the form that tree takes.
func read(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.Walk(dir, func(at string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(at)
		rel, _ := filepath.Rel(dir, at)
		name := filepath.ToSlash(rel)
		if info.Mode()&0o100 != 0 {
			name += "*"
		}
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantFiles(t testing.TB, got, want map[string]string) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if g != want[name] {
			t.Errorf("%s is %.60q, want %.60q", name, g, want[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

func pack(t testing.TB, dir string) *Bundle {
	t.Helper()
	b, err := Pack(t.Context(), PackOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func text(s string) storage.Content {
	sum := sha256.Sum256([]byte(s))
	return storage.Content{Size: int64(len(s)), SHA256: hex.EncodeToString(sum[:]), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(s)), nil
	}}
}

// keys lists what lies below a folder of a store.
func keys(t testing.TB, s storage.Store, folder string) []string {
	t.Helper()
	var keys []string
	for o, err := range s.List(t.Context(), folder) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	slices.Sort(keys)
	return keys
}

var codeV1 = map[string]string{
	"flow.py":              "print('one')\n",
	"helpers/__init__.py":  "",
	"helpers/money.py":     "def cents(x): return x\n",
	"run.sh*":              "#!/bin/sh\n",
	"data/with space+é.md": "text\n",
	"thing":                "a file\n",
}

var codeV2 = map[string]string{
	"flow.py":              "print('two')\n",
	"helpers/__init__.py":  "",
	"run.sh*":              "#!/bin/sh\n",
	"data/with space+é.md": "text\n",
	"thing/now.txt":        "a folder\n",
}

func TestSameContentSameHashEverywhere(t *testing.T) {
	t.Parallel()
	one, two := tree(t, codeV1), tree(t, codeV1)
	if err := os.Chtimes(filepath.Join(two, "flow.py"), testTime, testTime); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(two, "flow.py"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, b := pack(t, one), pack(t, two)
	if a.Hash() != b.Hash() {
		t.Errorf("%s and %s", a.Hash(), b.Hash())
	}
	// Written down once, so that no change of the code moves every bundle.
	if want := "3e582d861d7fe3826d7adc994dfcf5bc77fa9a74ccdf80d09b354d4c6d6f8cfe"; a.Hash() != want {
		t.Errorf("the hash is %s, want %s", a.Hash(), want)
	}
	if err := os.Chmod(filepath.Join(two, "flow.py"), 0o755); err != nil {
		t.Fatal(err)
	}
	if pack(t, two).Hash() == a.Hash() {
		t.Error("an executable file has the hash of one that is not")
	}
	text, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseManifest(text)
	if err != nil || m.Hash() != a.Hash() {
		t.Errorf("read back: %s, %v", m.Hash(), err)
	}
}

func TestManifestsThatCouldDoHarmAreRefused(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0", 64)
	for _, path := range []string{"", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", `..\x`, "a\nb", "a\x00", "\xff", ".orion/code/x"} {
		m := Manifest{Files: []File{{Path: path, SHA256: sum}}}
		if m.Validate() == nil {
			t.Errorf("%q is accepted", path)
		}
	}
	for name, files := range map[string][]File{
		"twice":          {{Path: "a", SHA256: sum}, {Path: "a", SHA256: sum}},
		"out of order":   {{Path: "b", SHA256: sum}, {Path: "a", SHA256: sum}},
		"file as folder": {{Path: "a", SHA256: sum}, {Path: "a.txt", SHA256: sum}, {Path: "a/b", SHA256: sum}},
		"no hash":        {{Path: "a", SHA256: "00"}},
		"negative":       {{Path: "a", Size: -1, SHA256: sum}},
	} {
		if (Manifest{Files: files}).Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func FuzzManifestsNeverLeaveTheirFolder(f *testing.F) {
	f.Add([]byte(`{"files":[{"path":"a/../b","size":1,"executable":true,"sha256":"` + strings.Repeat("0", 64) + `"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(filepath.FromSlash(file.Path)) {
				t.Errorf("%q is accepted", file.Path)
			}
		}
	})
}

func TestArchiveCarriesABundle(t *testing.T) {
	t.Parallel()
	b := pack(t, tree(t, codeV1))
	var one, two bytes.Buffer
	if err := Archive(t.Context(), &one, b); err != nil {
		t.Fatal(err)
	}
	if err := Archive(t.Context(), &two, pack(t, tree(t, codeV1))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same code makes two archives")
	}
	dir := filepath.Join(t.TempDir(), "to", "here")
	m, err := Unarchive(t.Context(), bytes.NewReader(one.Bytes()), b.Hash(), dir, 0)
	if err != nil || m.Hash() != b.Hash() {
		t.Fatalf("%v, %v", m, err)
	}
	wantFiles(t, read(t, dir), codeV1)
	if m, err := ReadArchive(t.Context(), bytes.NewReader(one.Bytes()), 0); err != nil || m.Hash() != b.Hash() {
		t.Errorf("%v, %v", m, err)
	}

	for name, broken := range map[string][]byte{
		"cut":   one.Bytes()[:one.Len()/2],
		"empty": nil,
		"other": []byte("hello"),
	} {
		dir := filepath.Join(t.TempDir(), "x")
		if _, err := Unarchive(t.Context(), bytes.NewReader(broken), b.Hash(), dir, 0); err == nil {
			t.Errorf("%s: no error", name)
		}
		if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
	if _, err := Unarchive(t.Context(), bytes.NewReader(one.Bytes()), strings.Repeat("0", 64), filepath.Join(t.TempDir(), "x"), 0); err == nil {
		t.Error("another bundle's archive is accepted")
	}
	if _, err := Unarchive(t.Context(), bytes.NewReader(one.Bytes()), b.Hash(), filepath.Join(t.TempDir(), "x"), 10); err == nil {
		t.Error("an archive larger than allowed is accepted")
	}
}

func cancelledContext(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
