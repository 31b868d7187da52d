package codestore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/codestore/storage"
)

// Open is the store that one of Prefect's storage blocks names: slug is its
// block type, data its fields with the secrets in clear and the blocks it
// refers to in place, as the API answers them with include_secrets. Nothing is
// asked of the store yet, but what a cloud needs for signing in may be read.
//
// The caller closes the store.
func Open(ctx context.Context, slug string, data orion.JSON) (storage.Store, error) {
	open, ok := openers[slug]
	if !ok {
		return nil, &storage.Error{Kind: storage.ErrInvalid, Store: fmt.Sprintf("the block type %q", slug), Fix: "Orion cannot keep code there: use one of " + supported()}
	}
	s, err := open(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("the storage block (%s): %w", slug, err)
	}
	return s, nil
}

var openers = map[string]func(context.Context, orion.JSON) (storage.Store, error){
	"local-file-system":  openLocal,
	"remote-file-system": openRemote,
}

func supported() string { return strings.Join(slices.Sorted(maps.Keys(openers)), ", ") }

func openLocal(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Basepath string `json:"basepath"`
	}
	if err := orion.Decode(orion.ObjectOr(data), &block); err != nil {
		return nil, err
	}
	return storage.OpenLocal(block.Basepath)
}

func openRemote(ctx context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Basepath string `json:"basepath"`
	}
	if err := orion.Decode(orion.ObjectOr(data), &block); err != nil {
		return nil, err
	}
	scheme, rest, _ := strings.Cut(block.Basepath, "://")
	switch scheme {
	case "file", "local":
		return storage.OpenLocal(rest)
	}
	return nil, fmt.Errorf("the basepath %q has a scheme that Orion does not know", block.Basepath)
}
