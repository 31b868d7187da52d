package client

import (
	"context"
	"net/http"
	"strings"

	"github.com/orionflows/orion"
)

// Flow reads one flow.
func (c *Client) Flow(ctx context.Context, id orion.ID) (out *orion.Flow, err error) {
	err = c.Do(ctx, http.MethodGet, Path("/flows/%s", id), nil, &out)
	return out, err
}

// Flows lists flows.
func (c *Client) Flows(ctx context.Context, q Query) (out []orion.Flow, err error) {
	err = c.Do(ctx, http.MethodPost, "/flows/filter", q, &out)
	return out, err
}

// Deployment reads one deployment.
func (c *Client) Deployment(ctx context.Context, id orion.ID) (out *orion.Deployment, err error) {
	err = c.Do(ctx, http.MethodGet, Path("/deployments/%s", id), nil, &out)
	return out, err
}

// DeploymentByName reads the deployment "flow/deployment".
func (c *Client) DeploymentByName(ctx context.Context, name string) (out *orion.Deployment, err error) {
	flow, deployment, ok := strings.Cut(name, "/")
	if !ok {
		return nil, orion.Errorf(orion.Invalid, "%q is not the name of a deployment: it is written FLOW/DEPLOYMENT", name)
	}
	err = c.Do(ctx, http.MethodGet, Path("/deployments/name/%s/%s", flow, deployment), nil, &out)
	return out, err
}

// Deployments lists deployments.
func (c *Client) Deployments(ctx context.Context, q Query) (out []orion.Deployment, err error) {
	err = c.Do(ctx, http.MethodPost, "/deployments/filter", q, &out)
	return out, err
}

// RunDeployment starts a run of a deployment.
func (c *Client) RunDeployment(ctx context.Context, id orion.ID, r orion.DeploymentFlowRunCreate) (out *orion.FlowRun, err error) {
	err = c.Do(ctx, http.MethodPost, Path("/deployments/%s/create_flow_run", id), r, &out)
	return out, err
}

// UpdateDeployment patches a deployment.
func (c *Client) UpdateDeployment(ctx context.Context, id orion.ID, u orion.DeploymentUpdate) error {
	return c.Do(ctx, http.MethodPatch, Path("/deployments/%s", id), u, nil)
}

// DeleteDeployment removes a deployment and its runs that have not started.
func (c *Client) DeleteDeployment(ctx context.Context, id orion.ID) error {
	return c.Do(ctx, http.MethodDelete, Path("/deployments/%s", id), nil, nil)
}

// BlockDocument reads a block, with its secrets if asked for.
func (c *Client) BlockDocument(ctx context.Context, id orion.ID, secrets bool) (out *orion.BlockDocument, err error) {
	path := Path("/block_documents/%s", id)
	if secrets {
		path += "?include_secrets=true"
	}
	err = c.Do(ctx, http.MethodGet, path, nil, &out)
	return out, err
}
