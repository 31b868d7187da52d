package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createFlow(ctx context.Context, in struct{ Body orion.FlowCreate }) (made[*orion.Flow], error) {
	// Every run of a client begins with this call, and nearly always the flow
	// is there: then nothing needs the writer.
	f, err := read(ctx, a, func(tx *store.Tx) (*orion.Flow, error) { return tx.FlowByName(in.Body.Name) })
	if f != nil || err != nil {
		return made[*orion.Flow]{v: f}, err
	}
	return write(ctx, a, func(tx *store.Tx) (out made[*orion.Flow], err error) {
		out.v, out.new, err = tx.CreateFlow(&in.Body)
		return out, err
	})
}

func (a *API) readFlow(ctx context.Context, in byID) (*orion.Flow, error) {
	return one(ctx, a, "Flow", func(tx *store.Tx) (*orion.Flow, error) { return tx.Flow(in.ID) })
}

func (a *API) readFlowByName(ctx context.Context, in byName) (*orion.Flow, error) {
	return one(ctx, a, "Flow "+in.Name, func(tx *store.Tx) (*orion.Flow, error) { return tx.FlowByName(in.Name) })
}

func (a *API) filterFlows(ctx context.Context, in filtered) ([]orion.Flow, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.Flow, error) {
		return tx.Flows(&in.Body.RunFilters, in.Body.Sort, limit, offset)
	})
}

func (a *API) countFlows(ctx context.Context, in filtered) (int64, error) {
	return read(ctx, a, func(tx *store.Tx) (int64, error) { return tx.CountFlows(&in.Body.RunFilters) })
}

func (a *API) updateFlow(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.FlowUpdate
}) (none, error) {
	return change(ctx, a, "Flow", func(tx *store.Tx) (bool, error) { return tx.UpdateFlow(in.ID, &in.Body) })
}

func (a *API) deleteFlow(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Flow", func(tx *store.Tx) (bool, error) { return tx.DeleteFlow(in.ID) })
}
