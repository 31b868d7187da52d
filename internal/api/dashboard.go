package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/store"
)

// The routes that Prefect 2's web UI has for itself.

// maxBars is the most runs the dashboard's bars ask for.
const maxBars = 1000

func (a *API) flowRunBars(ctx context.Context, in filtered) ([]store.SimpleFlowRun, error) {
	limit, offset := int64(maxBars), int64(0)
	if in.Body.Limit != nil {
		limit = *in.Body.Limit
	}
	if in.Body.Offset != nil {
		offset = *in.Body.Offset
	}
	if limit > maxBars || limit < 0 || offset < 0 {
		return nil, orion.Refuse("limit", "ensure this value is less than or equal to 1000")
	}
	return read(ctx, a, func(tx *store.Tx) ([]store.SimpleFlowRun, error) {
		return tx.SimpleFlowRuns(&in.Body.RunFilters, in.Body.Sort, limit, offset)
	})
}

func (a *API) countTaskRunsByState(ctx context.Context, in filtered) (map[string]int64, error) {
	return read(ctx, a, func(tx *store.Tx) (map[string]int64, error) { return tx.CountByState(&in.Body.RunFilters) })
}

func (a *API) taskRunBars(ctx context.Context, in filtered) ([]store.TaskRunCount, error) {
	f := in.Body.TaskRuns
	if f == nil || f.StartTime == nil || f.StartTime.After.IsZero() {
		return nil, &orion.Error{Kind: orion.Invalid, Message: "task_runs.start_time.after_ is required"}
	}
	return read(ctx, a, func(tx *store.Tx) ([]store.TaskRunCount, error) {
		end := f.StartTime.Before
		if end.IsZero() {
			end = tx.Now()
		}
		return tx.DashboardCounts(&in.Body.RunFilters, f.StartTime.After, end, 20)
	})
}

type validation struct {
	Errors []orchestration.ValueError `json:"errors"`
	Valid  bool                       `json:"valid"`
}

func (a *API) validateValues(ctx context.Context, in struct {
	Body struct {
		Schema orion.JSON `json:"schema"`
		Values orion.JSON `json:"values"`
	}
}) (validation, error) {
	values, err := read(ctx, a, func(tx *store.Tx) (orion.JSON, error) { return orchestration.Hydrate(tx, in.Body.Values) })
	if err != nil {
		return validation{Errors: []orchestration.ValueError{{Property: "", Errors: []string{err.Error()}}}}, nil
	}
	errs, err := orchestration.ValueErrors(in.Body.Schema, values)
	return validation{Errors: errs, Valid: len(errs) == 0}, err
}

// Events and automations are off, as in Prefect 2.20 unless it is told
// otherwise; these are its words.

func (a *API) noEvents(context.Context, nothing) (none, error) {
	return none{}, orion.Errorf(orion.NotFound, "Events are not enabled. Please enable the `PREFECT_EXPERIMENTAL_EVENTS` setting.")
}

func (a *API) noAutomations(context.Context, nothing) (none, error) {
	return none{}, orion.Errorf(orion.NotFound, "Automations are not enabled. Please enable the `PREFECT_API_SERVICES_TRIGGERS_ENABLED` and `PREFECT_EXPERIMENTAL_EVENTS` settings.")
}
