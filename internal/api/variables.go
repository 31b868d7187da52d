package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/prefect"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createVariable(ctx context.Context, in struct{ Body orion.VariableCreate }) (*orion.Variable, error) {
	v, err := write(ctx, a, func(tx *store.Tx) (*orion.Variable, error) { return tx.CreateVariable(&in.Body) })
	return prefect.Variable(clientOf(ctx), v), err
}

func (a *API) readVariable(ctx context.Context, in byID) (*orion.Variable, error) {
	v, err := one(ctx, a, "Variable.", func(tx *store.Tx) (*orion.Variable, error) { return tx.Variable(in.ID) })
	return prefect.Variable(clientOf(ctx), v), err
}

func (a *API) readVariableByName(ctx context.Context, in byName) (*orion.Variable, error) {
	v, err := one(ctx, a, "Variable.", func(tx *store.Tx) (*orion.Variable, error) { return tx.VariableByName(in.Name) })
	return prefect.Variable(clientOf(ctx), v), err
}

type variableFilters struct {
	Body struct {
		orion.Page
		Variables *orion.VariableFilter `json:"variables"`
		Sort      *string               `json:"sort"`
	}
}

func (a *API) filterVariables(ctx context.Context, in variableFilters) ([]orion.Variable, error) {
	vs, err := page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.Variable, error) {
		return tx.Variables(in.Body.Variables, in.Body.Sort, limit, offset)
	})
	for i := range vs {
		prefect.Variable(clientOf(ctx), &vs[i])
	}
	return vs, err
}

func (a *API) countVariables(ctx context.Context, in variableFilters) (int64, error) {
	return read(ctx, a, func(tx *store.Tx) (int64, error) { return tx.CountVariables(in.Body.Variables) })
}

func (a *API) updateVariable(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.VariableUpdate
}) (none, error) {
	return change(ctx, a, "Variable.", func(tx *store.Tx) (bool, error) { return tx.UpdateVariable(in.ID, &in.Body) })
}

func (a *API) updateVariableByName(ctx context.Context, in struct {
	Name string `path:"name"`
	Body orion.VariableUpdate
}) (none, error) {
	return change(ctx, a, "Variable.", func(tx *store.Tx) (bool, error) {
		v, err := tx.VariableByName(in.Name)
		if v == nil || err != nil {
			return false, err
		}
		return tx.UpdateVariable(v.ID, &in.Body)
	})
}

func (a *API) deleteVariable(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Variable.", func(tx *store.Tx) (bool, error) { return tx.DeleteVariable(in.ID) })
}

func (a *API) deleteVariableByName(ctx context.Context, in byName) (none, error) {
	return change(ctx, a, "Variable.", func(tx *store.Tx) (bool, error) {
		v, err := tx.VariableByName(in.Name)
		if v == nil || err != nil {
			return false, err
		}
		return tx.DeleteVariable(v.ID)
	})
}
