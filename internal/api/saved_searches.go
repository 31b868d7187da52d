package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) putSavedSearch(ctx context.Context, in struct{ Body orion.SavedSearchCreate }) (made[*orion.SavedSearch], error) {
	return write(ctx, a, func(tx *store.Tx) (out made[*orion.SavedSearch], err error) {
		out.v, out.new, err = tx.PutSavedSearch(&in.Body)
		return out, err
	})
}

func (a *API) readSavedSearch(ctx context.Context, in byID) (*orion.SavedSearch, error) {
	return one(ctx, a, "Saved search", func(tx *store.Tx) (*orion.SavedSearch, error) { return tx.SavedSearch(in.ID) })
}

func (a *API) filterSavedSearches(ctx context.Context, in justPage) ([]orion.SavedSearch, error) {
	return page(ctx, a, in.Body, func(tx *store.Tx, limit, offset int64) ([]orion.SavedSearch, error) {
		return tx.SavedSearches(limit, offset)
	})
}

func (a *API) deleteSavedSearch(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Saved search", func(tx *store.Tx) (bool, error) { return tx.DeleteSavedSearch(in.ID) })
}
