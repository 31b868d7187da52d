package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/store"
)

// MaxBundle bounds the archive of a bundle that the server itself keeps.
const MaxBundle = 128 << 20

// missingBundles tells a deploy what it has to upload.
func (a *API) missingBundles(ctx context.Context, in struct {
	Body struct {
		Bundles []string `json:"bundles"`
	}
}) ([]string, error) {
	return write(ctx, a, func(tx *store.Tx) ([]string, error) { return tx.MissingBundles(in.Body.Bundles) })
}

// putBundle stores a bundle after a look at every file in it: what lies under a
// hash is what the hash says.
func (a *API) putBundle(w http.ResponseWriter, r *http.Request, params []string) {
	err := func() error {
		if err := orion.ValidBundle(params[0]); err != nil {
			return err
		}
		archive, err := io.ReadAll(io.LimitReader(r.Body, MaxBundle+1))
		if err != nil {
			return &orion.Error{Kind: orion.BadRequest, Message: "the bundle ended early", Err: err}
		}
		if len(archive) > MaxBundle {
			return orion.Errorf(orion.TooLarge, "the bundle is larger than the %d MiB that the server keeps: give the deployment a storage block, or leave large files out with .prefectignore", MaxBundle>>20)
		}
		m, err := codestore.ReadArchive(r.Context(), bytes.NewReader(archive), 0)
		if err != nil {
			return orion.Errorf(orion.Invalid, "this is no bundle: %v", err)
		}
		if m.Hash() != params[0] {
			return orion.Errorf(orion.Invalid, "the bundle's hash is %s, not %s", m.Hash(), params[0])
		}
		return a.s.Write(r.Context(), func(tx *store.Tx) error { return tx.PutBundle(params[0], archive) })
	}()
	if err != nil {
		a.fail(w, r, err, nil)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// getBundle answers a bundle's archive, a tar.gz file.
func (a *API) getBundle(w http.ResponseWriter, r *http.Request, params []string) {
	begun := false
	err := a.s.Read(r.Context(), func(tx *store.Tx) error {
		size, ok, err := tx.BundleSize(params[0])
		if err != nil {
			return err
		}
		if !ok {
			return missing("Bundle")
		}
		begun = true
		w.Header().Set("Content-Type", "application/gzip")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		if r.Method == http.MethodHead {
			return nil
		}
		return tx.WriteBundle(params[0], w)
	})
	switch {
	case err == nil:
	case !begun:
		a.fail(w, r, err, nil)
	default:
		if !errors.Is(err, context.Canceled) {
			a.o.Log.Warn("a bundle was not sent to its end", "bundle", params[0], "error", err)
		}
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

// unusedBundles lists what may be removed from the storages.
func (a *API) unusedBundles(ctx context.Context, in struct {
	Since orion.Time `query:"since"`
	Limit *int64     `query:"limit"`
}) ([]store.KeptBundle, error) {
	if in.Since.IsZero() {
		return nil, orion.Required("since")
	}
	return page(ctx, a, orion.Page{Limit: in.Limit}, func(tx *store.Tx, limit, _ int64) ([]store.KeptBundle, error) {
		return tx.UnusedBundles(in.Since, limit)
	})
}

// bundleCollected notes that a bundle was removed from its storage.
func (a *API) bundleCollected(ctx context.Context, in struct{ Body store.KeptBundle }) (none, error) {
	return write(ctx, a, func(tx *store.Tx) (none, error) { return none{}, tx.MarkCollected(in.Body) })
}
