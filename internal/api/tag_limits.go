package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createTagLimit(ctx context.Context, in struct{ Body orion.TagLimitCreate }) (made[*orion.TagLimit], error) {
	return write(ctx, a, func(tx *store.Tx) (out made[*orion.TagLimit], err error) {
		out.v, out.new, err = tx.CreateTagLimit(&in.Body)
		return out, err
	})
}

func (a *API) readTagLimit(ctx context.Context, in byID) (*orion.TagLimit, error) {
	return one(ctx, a, "Concurrency limit", func(tx *store.Tx) (*orion.TagLimit, error) { return tx.TagLimit(in.ID) })
}

type byTag struct {
	Tag string `path:"tag"`
}

func (a *API) readTagLimitByTag(ctx context.Context, in byTag) (*orion.TagLimit, error) {
	return one(ctx, a, "Concurrency limit", func(tx *store.Tx) (*orion.TagLimit, error) { return tx.TagLimitByTag(in.Tag) })
}

type justPage struct {
	Body orion.Page
}

func (a *API) filterTagLimits(ctx context.Context, in justPage) ([]orion.TagLimit, error) {
	return page(ctx, a, in.Body, func(tx *store.Tx, limit, offset int64) ([]orion.TagLimit, error) { return tx.TagLimits(limit, offset) })
}

func (a *API) resetTagLimit(ctx context.Context, in struct {
	Tag  string `path:"tag"`
	Body struct {
		SlotOverride []orion.ID `json:"slot_override"`
	}
}) (none, error) {
	return change(ctx, a, "Concurrency limit", func(tx *store.Tx) (bool, error) { return tx.ResetTagLimit(in.Tag, in.Body.SlotOverride) })
}

func (a *API) deleteTagLimit(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Concurrency limit", func(tx *store.Tx) (bool, error) { return tx.DeleteTagLimit(in.ID) })
}

func (a *API) deleteTagLimitByTag(ctx context.Context, in byTag) (none, error) {
	return change(ctx, a, "Concurrency limit", func(tx *store.Tx) (bool, error) { return tx.DeleteTagLimitByTag(in.Tag) })
}
