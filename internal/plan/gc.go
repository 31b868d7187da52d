package plan

import (
	"context"
	"errors"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/codestore"
)

// KeepBundles is how long code stays that nothing uses any more, unless
// somebody asks for another time.
const KeepBundles = 30 * 24 * time.Hour

// Collected is code that was removed, or would be.
type Collected struct {
	Bundle  string `json:"bundle"`
	Storage string `json:"storage"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
}

// CollectBundles removes from the storages the code that no deployment runs, no
// run refers to and no version made within keep needs. What an Orion server
// keeps itself it collects itself. A storage that cannot be reached is an error
// that keeps none of the others from being looked at.
func CollectBundles(ctx context.Context, c *client.Client, keep time.Duration, dryRun bool) ([]Collected, error) {
	since := orion.Now().Add(-keep)
	unused, err := c.UnusedBundles(ctx, since)
	if err != nil {
		return nil, err
	}
	byStorage := map[orion.ID][]client.UnusedBundle{}
	for _, b := range unused {
		if b.Store == orion.InStorage && !b.StorageDocumentID.IsZero() {
			byStorage[b.StorageDocumentID] = append(byStorage[b.StorageDocumentID], b)
		}
	}
	out := []Collected{}
	var errs []error
	for id, bundles := range byStorage {
		store, err := OpenStorage(ctx, c, id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		only := map[string]client.UnusedBundle{}
		for _, b := range bundles {
			only[b.Bundle] = b
		}
		trees, err := codestore.Collect(ctx, store, codestore.CollectOptions{Before: since.Std(), DryRun: dryRun,
			Keep: func(hash string) bool { _, unused := only[hash]; return !unused }})
		store.Close()
		errs = append(errs, err)
		for _, t := range trees {
			out = append(out, Collected{Bundle: t.Hash, Storage: store.String(), Files: t.Files, Bytes: t.Bytes})
			if b, ok := only[t.Hash]; ok && !dryRun {
				errs = append(errs, c.BundleCollected(ctx, b))
			}
		}
	}
	return out, errors.Join(errs...)
}
