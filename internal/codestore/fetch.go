package codestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// maxManifest bounds what is read as a manifest: some 100,000 files.
const maxManifest = 32 << 20

// ReadManifest reads the manifest of a bundle whose tree is in the store. When
// there is none, which is [storage.ErrNotFound], no tree is whole there.
func ReadManifest(ctx context.Context, s storage.Store, hash string, o Options) (Manifest, error) {
	if !validHash(hash) {
		return Manifest{}, fmt.Errorf("%q is no hash of a bundle", hash)
	}
	key, err := manifestKey(s, hash)
	if err != nil {
		return Manifest{}, err
	}
	var text []byte
	err = newTransfer(o, 0, 0).retry(ctx, func() error {
		r, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		defer r.Close()
		text, err = io.ReadAll(io.LimitReader(r, maxManifest))
		return err
	})
	if err != nil {
		return Manifest{}, err
	}
	m, err := ParseManifest(text)
	if err == nil && m.Hash() != hash {
		err = errors.New("its content has another hash")
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %s: %w", s, key, err)
	}
	return m, nil
}

// Fetch gets a bundle's tree into dir, every file checked, and returns what is
// in it. It appears there as a whole: several processes may fetch the same
// bundle into the same dir, and when dir is there already nothing is done.
func Fetch(ctx context.Context, s storage.Store, hash, dir string, o Options) (Manifest, error) {
	m, err := ReadManifest(ctx, s, hash, o)
	if err != nil {
		return m, err
	}
	tree, err := treeKey(s, hash)
	if err != nil {
		return m, err
	}
	return m, install(dir, func(part string) error {
		t := newTransfer(o, len(m.Files), m.Size())
		return t.each(ctx, m.Files, func(ctx context.Context, f File) error {
			return t.get(ctx, s, storage.Join(tree, f.Path), f, filepath.Join(part, filepath.FromSlash(f.Path)))
		})
	})
}

// Holds tells whether a folder is a bundle's tree, whole and as it was packed. It
// reads all of it.
func Holds(ctx context.Context, dir, hash string) bool {
	b, err := Pack(ctx, PackOptions{Dir: dir})
	return err == nil && b.Manifest.Hash() == hash
}

// get fetches one file of a bundle. What arrives wrong may have been cut, or be
// wrong in the store; only the second remains after another try.
func (t *transfer) get(ctx context.Context, s storage.Store, key string, f File, to string) error {
	r, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	wrong := &storage.Error{Kind: storage.ErrUnreachable, Store: s.String(), Op: "read " + key, Err: errors.New("what arrived is not what was stored")}
	if err := writeFile(ctx, to, verify(r, f.Size, f.SHA256, wrong), f.Executable); err != nil {
		return err
	}
	t.advance(1, f.Size)
	return nil
}

func writeFile(ctx context.Context, to string, r io.Reader, executable bool) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	mode := fs.FileMode(0o666)
	if executable {
		mode = 0o777
	}
	// What is there may be a link to somewhere else: replace it, do not follow it.
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, storage.Reader(ctx, r))
	return errors.Join(err, f.Close())
}

// install lets fill make a folder, beside dir, that becomes dir at last.
func install(dir string, fill func(part string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	forgetParts(filepath.Dir(dir))
	part := filepath.Join(filepath.Dir(dir), partPrefix+rand.Text())
	if err := os.MkdirAll(part, 0o777); err != nil {
		return err
	}
	err := fill(part)
	if err == nil {
		err = os.Rename(part, dir)
	}
	if err == nil {
		return nil
	}
	gone := os.RemoveAll(part)
	if _, there := os.Stat(dir); there == nil && (errors.Is(err, fs.ErrExist) || isNotEmpty(err)) {
		return nil // somebody else was faster
	}
	return errors.Join(err, gone)
}

const partPrefix = ".part-"

// forgetParts removes what those who died in the middle left a day ago.
func forgetParts(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return // there is nothing yet
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), partPrefix) && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(filepath.Join(folder, e.Name())) // the next one tries again
		}
	}
}

// FetchPath gets what lies at a path of a store into the folder dir, as the
// Python block does it that a deployment's runs would use. Files that are in
// dir already stay, or are replaced.
func FetchPath(ctx context.Context, s storage.Store, path, dir string, o Options) error {
	folder, err := s.Key(path)
	if err != nil {
		return err
	}
	t := newTransfer(o, 0, 0)
	switch s := s.(type) {
	case *storage.Local:
		return t.copyFolder(ctx, s, folder, dir, true)
	case storage.Checkout:
		var checkout *storage.Local
		err := t.retry(ctx, func() (err error) {
			checkout, err = s.Checkout(ctx)
			return err
		})
		if err != nil {
			return err
		}
		return t.copyFolder(ctx, checkout, folder, filepath.Join(dir, filepath.FromSlash(folder)), false)
	}
	objects, err := t.list(ctx, s, folder)
	if err != nil {
		return err
	}
	var files []File
	for at, object := range objects {
		if storage.ValidKey(at) != nil {
			continue // a folder's own object, as some tools make them
		}
		files = append(files, File{Path: at, Size: object.Size})
		t.done.AllFiles++
		t.done.AllBytes += object.Size
	}
	if len(files) == 0 {
		return &storage.Error{Kind: storage.ErrNotFound, Store: s.String(), Op: fmt.Sprintf("fetch the code at %q", path), Fix: "deploy again"}
	}
	slices.SortFunc(files, byPath)
	return t.each(ctx, files, func(ctx context.Context, f File) error {
		object := objects[f.Path]
		r, err := s.Get(ctx, object.Key)
		if err != nil {
			return err
		}
		defer r.Close()
		var content io.Reader = r
		if object.SHA256 != "" {
			content = verify(r, object.Size, object.SHA256, &storage.Error{Kind: storage.ErrUnreachable, Store: s.String(),
				Op: "read " + object.Key, Err: errors.New("what arrived is not what was stored")})
		}
		if err := writeFile(ctx, filepath.Join(dir, filepath.FromSlash(f.Path)), content, false); err != nil {
			return err
		}
		t.advance(1, f.Size)
		return nil
	})
}

// copyFolder copies a folder of this machine and follows links. The block "Local
// File System" leaves out what the folder's own ignore file names; those of git
// take everything, of which the links must lead to what is in the repository.
func (t *transfer) copyFolder(ctx context.Context, l *storage.Local, folder, dir string, own bool) error {
	from := l.Folder(folder)
	if info, err := os.Stat(from); err != nil || !info.IsDir() {
		return &storage.Error{Kind: storage.ErrNotFound, Store: l.String(), Op: fmt.Sprintf("fetch the code at %q", folder),
			Fix: fmt.Sprintf("%s is no folder on this machine", from)}
	}
	ignored := &ignoreRules{}
	if own {
		var err error
		if ignored, err = readIgnoreFile(filepath.Join(from, ".prefectignore")); err != nil {
			return err
		}
	}
	var copyAll func(from, at string, above []fs.FileInfo) error
	copyAll = func(from, at string, above []fs.FileInfo) error {
		entries, err := os.ReadDir(from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			source, at := filepath.Join(from, e.Name()), storage.Join(at, e.Name())
			if ignored.match(at) || !own && e.Name() == ".git" {
				continue
			}
			if !own && e.Type()&fs.ModeSymlink != 0 {
				if real, err := filepath.EvalSymlinks(source); err == nil && !within(l.Folder(""), real) {
					return fmt.Errorf("the link %s leads out of the repository", storage.Join(folder, at))
				}
			}
			info, err := os.Stat(source)
			switch {
			case err != nil:
				return err
			case info.IsDir():
				if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
					return fmt.Errorf("%s: a link in it leads back to it, in a circle", source)
				}
				if err := copyAll(source, at, append(slices.Clip(above), info)); err != nil {
					return err
				}
			case info.Mode().IsRegular():
				if err := t.copyFile(ctx, source, filepath.Join(dir, filepath.FromSlash(at)), info); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return copyAll(from, "", nil)
}

func (t *transfer) copyFile(ctx context.Context, from, to string, info fs.FileInfo) error {
	if there, err := os.Stat(to); err == nil && os.SameFile(there, info) {
		return nil // it was deployed from the folder it runs in
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := writeFile(ctx, to, r, info.Mode()&0o100 != 0); err != nil {
		return err
	}
	t.advance(1, info.Size())
	return nil
}
