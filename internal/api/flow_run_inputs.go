package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createFlowRunInput(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.FlowRunInputCreate
}) (none, error) {
	return change(ctx, a, "Flow run", func(tx *store.Tx) (bool, error) {
		run, err := tx.FlowRunBrief(in.ID)
		if run == nil || err != nil {
			return false, err
		}
		return true, tx.CreateFlowRunInput(in.ID, &in.Body)
	})
}

func (a *API) filterFlowRunInputs(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body struct {
		Prefix      string   `json:"prefix"`
		Limit       *int64   `json:"limit"`
		ExcludeKeys []string `json:"exclude_keys"`
	}
}) ([]orion.FlowRunInput, error) {
	limit := int64(1)
	if in.Body.Limit != nil {
		limit = *in.Body.Limit
	}
	return read(ctx, a, func(tx *store.Tx) ([]orion.FlowRunInput, error) {
		return tx.FlowRunInputs(in.ID, in.Body.Prefix, in.Body.ExcludeKeys, limit)
	})
}

type inputKey struct {
	ID  orion.ID `path:"id"`
	Key string   `path:"key"`
}

func (a *API) readFlowRunInput(ctx context.Context, in inputKey) (plainText, error) {
	i, err := one(ctx, a, "Flow run input", func(tx *store.Tx) (*orion.FlowRunInput, error) { return tx.FlowRunInput(in.ID, in.Key) })
	if err != nil {
		return "", err
	}
	return plainText(i.Value), nil
}

func (a *API) deleteFlowRunInput(ctx context.Context, in inputKey) (none, error) {
	return change(ctx, a, "Flow run input", func(tx *store.Tx) (bool, error) { return tx.DeleteFlowRunInput(in.ID, in.Key) })
}

func (a *API) resumeFlowRun(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body struct {
		RunInput orion.JSON `json:"run_input"`
	}
}) (decided, error) {
	return write(ctx, a, func(tx *store.Tx) (decided, error) {
		r, err := orchestration.Resume(tx, in.ID, in.Body.RunInput, clientOf(ctx))
		return decidedAt(tx, r), err
	})
}
