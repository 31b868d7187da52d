package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// partFolder is where objects lie until they are whole.
const partFolder = ".orion/part"

// Local is a folder as a store.
type Local struct{ root string }

// OpenLocal is the store in a folder, which need not exist yet. A path that
// begins with ~ is in the user's home, "" is the working directory.
func OpenLocal(folder string) (*Local, error) {
	folder, err := filepath.Abs(expandUser(folder))
	if err != nil {
		return nil, err
	}
	return &Local{root: resolved(folder)}, nil
}

// expandUser is the path without the ~ at its beginning.
func expandUser(p string) string {
	if p != "~" && !strings.HasPrefix(p, "~/") {
		return p
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return p // as Python does
	}
	return filepath.Join(home, p[1:])
}

// resolved follows the links of as much of the path as exists.
func resolved(p string) string {
	if real, err := filepath.EvalSymlinks(p); err == nil {
		return real
	}
	if parent := filepath.Dir(p); parent != p {
		return filepath.Join(resolved(parent), filepath.Base(p))
	}
	return p
}

func (l *Local) String() string { return "the folder " + l.root }

// Folder is where a key's file or folder lies on the disk.
func (l *Local) Folder(key string) string { return filepath.Join(l.root, filepath.FromSlash(key)) }

// Key resolves a path as the block "Local File System" does (filesystems.py),
// but for one that leaves the folder by "..", which it lets through.
func (l *Local) Key(p string) (string, error) {
	p = expandUser(p)
	if filepath.IsAbs(p) {
		p = resolved(p)
	} else {
		p = filepath.Join(l.root, p)
	}
	rel, err := filepath.Rel(l.root, p)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", l.error(ErrInvalid, "use the path "+p, "it is outside of the folder", nil)
	}
	if rel == "." {
		return "", nil
	}
	return filepath.ToSlash(rel), nil
}

// Put writes the file beside and moves it where it belongs.
func (l *Local) Put(ctx context.Context, key string, c Content) error {
	op := "write " + key
	if err := ValidKey(key); err != nil {
		return err
	}
	part := l.Folder(partFolder)
	if err := os.MkdirAll(part, 0o777); err != nil {
		return l.failed(op, err)
	}
	temporary := filepath.Join(part, rand.Text())
	if err := write(ctx, temporary, c); err != nil {
		_ = os.Remove(temporary) // the first error is the one to tell
		return l.failed(op, err)
	}
	to := l.Folder(key)
	err := os.MkdirAll(filepath.Dir(to), 0o777)
	if err == nil {
		err = os.Rename(temporary, to)
	}
	// A Delete beside us may just have removed the folder that became empty.
	for tries := 0; errors.Is(err, fs.ErrNotExist) && tries < 10; tries++ {
		if err = os.MkdirAll(filepath.Dir(to), 0o777); err == nil {
			err = os.Rename(temporary, to)
		}
	}
	if err != nil {
		_ = os.Remove(temporary) // the first error is the one to tell
		return l.failed(op, err)
	}
	return nil
}

func write(ctx context.Context, file string, c Content) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	mode := fs.FileMode(0o666)
	if c.Executable {
		mode = 0o777
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, Reader(ctx, r))
	if err == nil {
		// A tree's mark must not survive a power cut that its files do not.
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// open follows links only as far as they stay in the folder: others lead to
// what is no part of the store.
func (l *Local) open(key string) (*os.File, error) {
	root, err := os.OpenRoot(l.root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(key))
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		if info, lerr := root.Lstat(filepath.FromSlash(key)); lerr == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, fs.ErrNotExist
		}
	}
	return f, err
}

// Get opens the file.
func (l *Local) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	f, err := l.open(key)
	if err != nil {
		return nil, l.failed("read "+key, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{Reader(ctx, f), f}, nil
}

// Stat hashes the file.
func (l *Local) Stat(ctx context.Context, key string) (Object, error) {
	op := "read " + key
	f, err := l.open(key)
	if err != nil {
		return Object{}, l.failed(op, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Object{}, l.failed(op, err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, Reader(ctx, f)); err != nil {
		return Object{}, l.failed(op, err)
	}
	return Object{Key: key, Size: info.Size(), Modified: info.ModTime(), SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// List yields files and links. It does not follow a link to a folder, which is
// an object itself: what lies behind it may belong to others.
func (l *Local) List(ctx context.Context, folder string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		err := filepath.WalkDir(l.Folder(folder), func(p string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone since, or never there
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(l.root, p)
			if err != nil {
				return err
			}
			key := filepath.ToSlash(rel)
			switch {
			case d.IsDir() && key == partFolder:
				return fs.SkipDir
			case d.IsDir() || !d.Type().IsRegular() && d.Type()&fs.ModeSymlink == 0:
				return nil
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if !yield(Object{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(Object{}, l.failed("list "+folder, err))
		}
	}
}

// Delete removes files, and the folders that are empty then.
func (l *Local) Delete(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := ValidKey(key); err != nil {
			return err
		}
		if err := os.Remove(l.Folder(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return l.failed("delete "+key, err)
		}
		for parent := path.Dir(key); parent != "."; parent = path.Dir(parent) {
			if os.Remove(l.Folder(parent)) != nil {
				break // not empty
			}
		}
	}
	return nil
}

// RemoveParts removes what writers who died in the middle have left since before
// a time.
func (l *Local) RemoveParts(before time.Time) error {
	folder := l.Folder(partFolder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return l.failed("list "+partFolder, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			continue // its writer is at work
		}
		if err := os.Remove(filepath.Join(folder, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return l.failed("delete "+partFolder+"/"+e.Name(), err)
		}
	}
	return nil
}

// Check writes a file, reads it back and removes it.
func (l *Local) Check(ctx context.Context) error {
	info, err := os.Stat(l.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l.error(ErrNoContainer, "", "make the folder on this machine, or mount it", nil)
	case err != nil:
		return l.failed("look at it", err)
	case !info.IsDir():
		return l.error(ErrInvalid, "", "it is a file", nil)
	}
	return CheckByWriting(ctx, l)
}

// Close does nothing.
func (l *Local) Close() error { return nil }

func (l *Local) error(kind error, op, fix string, err error) error {
	return &Error{Kind: kind, Store: l.String(), Op: op, Fix: fix, Err: err}
}

func (l *Local) failed(op string, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return l.error(ErrNotFound, op, "", nil)
	case errors.Is(err, fs.ErrPermission):
		return l.error(ErrDenied, op, fmt.Sprintf("let the user with the id %d read and write it", os.Getuid()), err)
	}
	return fmt.Errorf("%s: cannot %s: %w", l, op, err)
}
