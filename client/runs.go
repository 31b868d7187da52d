package client

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/orionflows/orion"
)

// Query is the body of the lists: filters, order and page.
type Query struct {
	orion.RunFilters
	orion.Page
	Sort string `json:"sort,omitzero"`
}

// FlowRun reads one flow run.
func (c *Client) FlowRun(ctx context.Context, id orion.ID) (out *orion.FlowRun, err error) {
	err = c.Do(ctx, http.MethodGet, Path("/flow_runs/%s", id), nil, &out)
	return out, err
}

// FlowRuns lists flow runs.
func (c *Client) FlowRuns(ctx context.Context, q Query) (out []orion.FlowRun, err error) {
	err = c.Do(ctx, http.MethodPost, "/flow_runs/filter", q, &out)
	return out, err
}

// CountFlowRuns counts flow runs.
func (c *Client) CountFlowRuns(ctx context.Context, q Query) (n int64, err error) {
	err = c.Do(ctx, http.MethodPost, "/flow_runs/count", q.RunFilters, &n)
	return n, err
}

// FlowRunStates lists the states a flow run has been in.
func (c *Client) FlowRunStates(ctx context.Context, id orion.ID) (out []orion.State, err error) {
	err = c.Do(ctx, http.MethodGet, "/flow_run_states/?flow_run_id="+id.String(), nil, &out)
	return out, err
}

// TaskRuns lists task runs.
func (c *Client) TaskRuns(ctx context.Context, q Query) (out []orion.TaskRun, err error) {
	err = c.Do(ctx, http.MethodPost, "/task_runs/filter", q, &out)
	return out, err
}

// Why answers what a flow run waits for. Only Orion's server knows.
func (c *Client) Why(ctx context.Context, id orion.ID) (out *orion.Waiting, err error) {
	err = c.Do(ctx, http.MethodGet, Path("/orion/flow_runs/%s/why", id), nil, &out)
	return out, err
}

// DeleteFlowRun removes a flow run.
func (c *Client) DeleteFlowRun(ctx context.Context, id orion.ID) error {
	return c.Do(ctx, http.MethodDelete, Path("/flow_runs/%s", id), nil, nil)
}

// UpdateFlowRun patches a flow run.
func (c *Client) UpdateFlowRun(ctx context.Context, id orion.ID, u orion.FlowRunUpdate) error {
	return c.Do(ctx, http.MethodPatch, Path("/flow_runs/%s", id), u, nil)
}

// Claim says who takes a run, and for how long without renewal. Only Orion's
// server heeds it.
type Claim struct {
	Owner string
	For   time.Duration
}

// SetFlowRunState proposes a state. With a claim and a PENDING state the run
// becomes the claimant's.
func (c *Client) SetFlowRunState(ctx context.Context, id orion.ID, s orion.StateCreate, force bool, claim *Claim) (out *orion.OrchestrationResult, err error) {
	var hs []Header
	if claim != nil {
		hs = []Header{{"Orion-Claim-Owner", claim.Owner}, {"Orion-Claim-Seconds", strconv.Itoa(int(claim.For.Seconds()))}}
	}
	if s.Details.TransitionID.IsZero() {
		// A transition that is sent again after a lost answer is the same one.
		s.Details.TransitionID = orion.NewID()
	}
	err = c.Do(ctx, http.MethodPost, Path("/flow_runs/%s/set_state", id), orion.SetStateRequest{State: &s, Force: &force}, &out, hs...)
	return out, err
}

// RenewClaims tells an Orion server that the owner still has these runs, and
// answers which of them it indeed has.
func (c *Client) RenewClaims(ctx context.Context, claim Claim, runs []orion.ID) (held []orion.ID, err error) {
	err = c.Do(ctx, http.MethodPost, "/orion/claims/renew", map[string]any{
		"owner": claim.Owner, "seconds": int(claim.For.Seconds()), "flow_run_ids": runs}, &held)
	return held, err
}

// Logs lists log lines.
func (c *Client) Logs(ctx context.Context, f orion.LogFilter, sort string, limit, offset int64) (out []orion.Log, err error) {
	err = c.Do(ctx, http.MethodPost, "/logs/filter", map[string]any{"logs": f, "sort": sort, "limit": limit, "offset": offset}, &out)
	return out, err
}

// SendLogs stores log lines.
func (c *Client) SendLogs(ctx context.Context, logs []orion.LogCreate) error {
	return c.Do(ctx, http.MethodPost, "/logs/", logs, nil)
}
