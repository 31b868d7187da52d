package api

import (
	"context"
	"net/http"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createFlowRun(ctx context.Context, in struct{ Body orion.FlowRunCreate }) (made[*orion.FlowRun], error) {
	return write(ctx, a, func(tx *store.Tx) (out made[*orion.FlowRun], err error) {
		out.v, out.new, err = orchestration.CreateFlowRun(tx, &in.Body)
		return out, err
	})
}

func (a *API) readFlowRun(ctx context.Context, in byID) (*orion.FlowRun, error) {
	return one(ctx, a, "Flow run", func(tx *store.Tx) (*orion.FlowRun, error) { return tx.FlowRun(in.ID) })
}

func (a *API) filterFlowRuns(ctx context.Context, in filtered) ([]*orion.FlowRun, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]*orion.FlowRun, error) {
		return tx.FlowRuns(&in.Body.RunFilters, in.Body.Sort, limit, offset)
	})
}

func (a *API) countFlowRuns(ctx context.Context, in filtered) (int64, error) {
	return read(ctx, a, func(tx *store.Tx) (int64, error) { return tx.CountFlowRuns(&in.Body.RunFilters) })
}

func (a *API) updateFlowRun(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.FlowRunUpdate
}) (none, error) {
	return change(ctx, a, "Flow run", func(tx *store.Tx) (bool, error) {
		if in.Body.JobVariables.Has() {
			run, err := tx.FlowRun(in.ID)
			if run == nil || err != nil {
				return false, err
			}
			if run.Type() != orion.Scheduled {
				return false, orion.Errorf(orion.BadRequest, "Job variables for a flow run in state %s cannot be updated", run.Type())
			}
			if run.DeploymentID.IsZero() {
				return false, orion.Errorf(orion.BadRequest, "A deployment for the flow run could not be found")
			}
		}
		return tx.UpdateFlowRun(in.ID, &in.Body)
	})
}

func (a *API) deleteFlowRun(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Flow run", func(tx *store.Tx) (bool, error) { return tx.DeleteFlowRun(in.ID) })
}

func (a *API) listFlowRunStates(ctx context.Context, in struct {
	FlowRunID orion.ID `query:"flow_run_id"`
}) ([]orion.State, error) {
	return read(ctx, a, func(tx *store.Tx) ([]orion.State, error) { return tx.FlowRunStates(in.FlowRunID) })
}

func (a *API) readFlowRunState(ctx context.Context, in byID) (*orion.State, error) {
	return one(ctx, a, "State", func(tx *store.Tx) (*orion.State, error) { return tx.FlowRunState(in.ID) })
}

// decided is the answer to set_state: 201 when the state in it was made by this
// request.
type decided struct {
	*orion.OrchestrationResult
	new bool
}

func (d decided) status() int {
	if d.new {
		return http.StatusCreated
	}
	return http.StatusOK
}
func (d decided) body() any { return d.OrchestrationResult }

func decidedAt(tx *store.Tx, r *orion.OrchestrationResult) decided {
	return decided{r, r != nil && r.State != nil && !r.State.Timestamp.Before(tx.Now())}
}

type setState struct {
	ID   orion.ID `path:"id"`
	Body orion.SetStateRequest
	// An Orion agent that takes a run says who it is, and for how many seconds
	// the run is its own without a word from it.
	ClaimOwner   string `header:"Orion-Claim-Owner"`
	ClaimSeconds int64  `header:"Orion-Claim-Seconds"`
}

func (in *setState) proposal(ctx context.Context, now orion.Time) orchestration.Proposal {
	return orchestration.Proposal{State: in.Body.State.State(now), Force: in.Body.Force != nil && *in.Body.Force, Client: clientOf(ctx),
		ClaimOwner: in.ClaimOwner, ClaimFor: claimTime(in.ClaimSeconds)}
}

func (a *API) setFlowRunState(ctx context.Context, in setState) (decided, error) {
	return write(ctx, a, func(tx *store.Tx) (decided, error) {
		r, err := orchestration.SetFlowRunState(tx, in.ID, in.proposal(ctx, tx.Now()))
		return decidedAt(tx, r), err
	})
}

func (a *API) flowRunHistory(ctx context.Context, in historyRequest) ([]orion.HistoryBucket, error) {
	return a.history(ctx, in, (*store.Tx).FlowRunHistory)
}

type historyRequest struct {
	Body struct {
		orion.RunFilters
		HistoryStart    orion.Time    `json:"history_start"`
		HistoryEnd      orion.Time    `json:"history_end"`
		IntervalSeconds orion.Seconds `json:"history_interval_seconds"`
	}
}

// maxIntervals is the most buckets a history has.
const maxIntervals = 500

func (a *API) history(ctx context.Context, in historyRequest, f func(*store.Tx, *orion.RunFilters, orion.Time, orion.Time, orion.Seconds) ([]orion.HistoryBucket, error)) ([]orion.HistoryBucket, error) {
	b := in.Body
	switch {
	case b.HistoryStart.IsZero():
		return nil, orion.Required("history_start")
	case b.HistoryEnd.IsZero():
		return nil, orion.Required("history_end")
	case b.IntervalSeconds == 0:
		return nil, orion.Required("history_interval_seconds")
	case b.IntervalSeconds < 1e9:
		return nil, &orion.Error{Kind: orion.Invalid, Message: "History interval must not be less than 1 second."}
	}
	return read(ctx, a, func(tx *store.Tx) ([]orion.HistoryBucket, error) {
		return f(tx, &b.RunFilters, b.HistoryStart, b.HistoryEnd, max(b.IntervalSeconds, orion.Seconds(b.HistoryEnd.Sub(b.HistoryStart))/maxIntervals))
	})
}

func (a *API) flowRunLateness(ctx context.Context, in filtered) (*float64, error) {
	return read(ctx, a, func(tx *store.Tx) (*float64, error) { return tx.FlowRunLateness(&in.Body.RunFilters) })
}

func (a *API) flowRunGraphV1(ctx context.Context, in byID) ([]store.Dependency, error) {
	return read(ctx, a, func(tx *store.Tx) ([]store.Dependency, error) {
		run, err := tx.FlowRun(in.ID)
		if err != nil {
			return nil, err
		}
		if run == nil {
			return nil, orion.Missing("Flow run with id %s not found", in.ID)
		}
		return tx.Dependencies(in.ID)
	})
}

func (a *API) flowRunGraph(ctx context.Context, in struct {
	ID    orion.ID   `path:"id"`
	Since orion.Time `query:"since"`
}) (*store.Graph, error) {
	return read(ctx, a, func(tx *store.Tx) (*store.Graph, error) {
		run, err := tx.FlowRun(in.ID)
		if err != nil {
			return nil, err
		}
		if run == nil {
			return nil, orion.Missing("Flow run %s not found", in.ID)
		}
		return tx.FlowRunGraph(run, in.Since)
	})
}

// why answers what a run waits for.
func (a *API) why(ctx context.Context, in byID) (*orion.Waiting, error) {
	return one(ctx, a, "Flow run", func(tx *store.Tx) (*orion.Waiting, error) {
		run, err := tx.FlowRun(in.ID)
		if run == nil || err != nil {
			return nil, err
		}
		return orchestration.Why(tx, run)
	})
}

// renewClaims: an agent says that it still has these runs.
func (a *API) renewClaims(ctx context.Context, in struct {
	Body struct {
		Owner    string     `json:"owner"`
		Seconds  int64      `json:"seconds"`
		FlowRuns []orion.ID `json:"flow_run_ids"`
	}
}) ([]orion.ID, error) {
	if in.Body.Owner == "" {
		return nil, orion.Required("owner")
	}
	return write(ctx, a, func(tx *store.Tx) ([]orion.ID, error) {
		return tx.RenewClaims(in.Body.Owner, in.Body.FlowRuns, tx.Now().Add(claimTime(in.Body.Seconds)))
	})
}
