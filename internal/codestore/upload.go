package codestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// Sent is what a transfer had to do.
type Sent struct {
	Files int
	Bytes int64
}

// refreshAfter is how old a manifest may get before an upload that needs
// nothing else writes it again: [Collect] goes by its age.
const refreshAfter = 24 * time.Hour

// Upload makes sure that the bundle's tree is in the store, and returns nil only
// if it is there as a whole. What an upload that was cut short has left is not
// sent again; when the tree is there already, nothing is.
func Upload(ctx context.Context, s storage.Store, b *Bundle, o Options) (Sent, error) {
	hash := b.Hash()
	t := newTransfer(o, len(b.Files), b.Size())
	tree, err := treeKey(s, hash)
	if err != nil {
		return Sent{}, err
	}
	mark, err := manifestKey(s, hash)
	if err != nil {
		return Sent{}, err
	}
	content, err := b.JSON()
	if err != nil {
		return Sent{}, err
	}
	putMark := func() error {
		sum := sha256.Sum256(content)
		return t.retry(ctx, func() error {
			return s.Put(ctx, mark, storage.Content{Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Open: func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(content)), nil
			}})
		})
	}

	var there storage.Object
	err = t.retry(ctx, func() (err error) {
		there, err = s.Stat(ctx, mark)
		return err
	})
	switch {
	case err == nil && there.Size == int64(len(content)):
		t.advance(len(b.Files), b.Size())
		if time.Since(there.Modified) > refreshAfter {
			return Sent{}, putMark()
		}
		return Sent{}, nil
	case err != nil && !isNotFound(err):
		return Sent{}, err
	}

	objects, err := t.list(ctx, s, tree)
	if err != nil {
		return Sent{}, err
	}
	sent, err := t.send(ctx, s, b, tree, objects)
	if err != nil {
		return sent, err
	}
	// The store is asked what it has before anybody is told to rely on it.
	if objects, err = t.list(ctx, s, tree); err != nil {
		return sent, err
	}
	for _, f := range b.Files {
		if got, ok := objects[f.Path]; !ok || got.Size != f.Size {
			return sent, fmt.Errorf("%s: %s was sent and is not there as it should be: deploy again", s, storage.Join(tree, f.Path))
		}
	}
	return sent, putMark()
}

// send puts those of the bundle's files below a folder that are not among the
// objects there.
func (t *transfer) send(ctx context.Context, s storage.Store, b *Bundle, folder string, objects map[string]storage.Object) (Sent, error) {
	var sent Sent
	var mu sync.Mutex
	err := t.each(ctx, b.Files, func(ctx context.Context, f File) error {
		if o, ok := objects[f.Path]; ok {
			same, err := t.same(ctx, s, o, f)
			if err != nil {
				return err
			}
			if same {
				t.advance(1, f.Size)
				return nil
			}
		}
		if err := s.Put(ctx, storage.Join(folder, f.Path), b.content(f)); err != nil {
			return err
		}
		mu.Lock()
		sent.Files++
		sent.Bytes += f.Size
		mu.Unlock()
		t.advance(1, f.Size)
		return nil
	})
	return sent, err
}

// SyncView makes the folder at view hold exactly the bundle's files: new and
// changed ones first, then it removes what is not in the bundle. Nothing
// outside of the folder is touched.
func SyncView(ctx context.Context, s storage.Store, b *Bundle, view string, o Options) (Sent, error) {
	if err := storage.ValidKey(view); err != nil {
		return Sent{}, fmt.Errorf("the code cannot be mirrored: %w", err)
	}
	if view == ownFolder || strings.HasPrefix(view, ownFolder+"/") {
		return Sent{}, fmt.Errorf("the code cannot be mirrored at %q: the folder %s is kept for Orion's own files", view, ownFolder)
	}
	base, err := s.Key("")
	if err != nil {
		return Sent{}, err
	}
	folder := storage.Join(base, view)
	t := newTransfer(o, len(b.Files), b.Size())
	objects, err := t.list(ctx, s, folder)
	if err != nil {
		return Sent{}, err
	}
	var inTheWay, stale []string
	for at, object := range objects {
		switch {
		case strings.HasPrefix(at, ownFolder+"/"):
		case b.inTheWay(at):
			inTheWay = append(inTheWay, object.Key)
		default:
			if _, ok := b.file(at); !ok {
				stale = append(stale, object.Key)
			}
		}
	}
	if err := t.remove(ctx, s, inTheWay); err != nil {
		return Sent{}, err
	}
	sent, err := t.send(ctx, s, b, folder, objects)
	if err != nil {
		return sent, err
	}
	return sent, t.remove(ctx, s, stale)
}

// inTheWay tells whether a folder cannot hold both the bundle and a file at
// this path, because one needs a folder where the other has a file.
func (m Manifest) inTheWay(at string) bool {
	for i := range len(at) {
		if at[i] == '/' {
			if _, ok := m.file(at[:i]); ok {
				return true
			}
		}
	}
	i, _ := slices.BinarySearchFunc(m.Files, File{Path: at + "/"}, byPath)
	return i < len(m.Files) && strings.HasPrefix(m.Files[i].Path, at+"/")
}

func (t *transfer) remove(ctx context.Context, s storage.Store, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	return t.retry(ctx, func() error { return s.Delete(ctx, keys) })
}

func isNotFound(err error) bool { return errors.Is(err, storage.ErrNotFound) }
