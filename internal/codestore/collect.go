package codestore

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// CollectOptions say which trees may go.
type CollectOptions struct {
	Options
	// Keep tells the hashes of the trees that stay; nil keeps none. What an
	// upload that was cut short has left is nobody's and is not asked for.
	Keep func(hash string) bool
	// Before spares what was uploaded, or found by an upload, since: a deploy
	// that is on its way refers to it in a moment. Two days ago is early enough.
	Before time.Time
	// DryRun only tells what would go.
	DryRun bool
}

// Tree is one that Collect removed, or would.
type Tree struct {
	Hash     string
	Whole    bool // false for what an upload that was cut short has left
	Files    int
	Bytes    int64
	Modified time.Time
}

// Collect removes the trees that nothing refers to, ordered by hash, and what
// uploads have left unfinished. A tree's manifest goes first, so that what is
// left when this is cut short is no tree any more.
func Collect(ctx context.Context, s storage.Store, o CollectOptions) ([]Tree, error) {
	t := newTransfer(o.Options, 0, 0)
	trees, keys := map[string]*Tree{}, map[string][]string{}
	folders := []string{"manifests", "code"}
	for _, name := range folders {
		folder, err := place(s, name)
		if err != nil {
			return nil, err
		}
		objects, err := t.list(ctx, s, folder)
		if err != nil {
			return nil, err
		}
		for at, object := range objects {
			hash, _, _ := strings.Cut(at, "/")
			hash, isManifest := strings.CutSuffix(hash, ".json")
			if !validHash(hash) {
				continue // nothing of ours
			}
			tree := trees[hash]
			if tree == nil {
				tree = &Tree{Hash: hash}
				trees[hash] = tree
			}
			if isManifest {
				tree.Whole = true
				keys[hash] = slices.Insert(keys[hash], 0, object.Key)
			} else {
				tree.Files++
				tree.Bytes += object.Size
				keys[hash] = append(keys[hash], object.Key)
			}
			if object.Modified.After(tree.Modified) {
				tree.Modified = object.Modified
			}
		}
	}
	var gone []Tree
	for _, hash := range slices.Sorted(maps.Keys(trees)) {
		tree := trees[hash]
		if tree.Whole && o.Keep != nil && o.Keep(hash) || !tree.Modified.Before(o.Before) {
			continue
		}
		if !o.DryRun {
			list := keys[hash]
			if tree.Whole {
				if err := t.remove(ctx, s, list[:1]); err != nil {
					return gone, err
				}
				list = list[1:]
			}
			if err := t.remove(ctx, s, list); err != nil {
				return gone, err
			}
		}
		gone = append(gone, *tree)
	}
	if l, ok := s.(*storage.Local); ok && !o.DryRun {
		return gone, l.RemoveParts(o.Before)
	}
	return gone, nil
}
