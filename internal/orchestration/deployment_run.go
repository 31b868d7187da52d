package orchestration

import (
	"slices"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

// CreateDeploymentRun makes a run of a deployment, SCHEDULED for now unless the
// client says otherwise. Parameters, tags and job variables are laid over the
// deployment's own.
func CreateDeploymentRun(tx *store.Tx, d *orion.Deployment, c *orion.DeploymentFlowRunCreate) (*orion.FlowRun, bool, error) {
	run := &orion.FlowRun{FlowID: d.FlowID, DeploymentID: d.ID, DeploymentVersion: d.Version,
		Parameters: Overlay(d.Parameters, c.Parameters), Context: c.Context, IdempotencyKey: c.IdempotencyKey,
		ParentTaskRunID: c.ParentTaskRunID, InfrastructureDocumentID: d.InfrastructureDocumentID,
		WorkQueueID: d.WorkQueueID, WorkQueueName: d.WorkQueueName, Labels: c.Labels}
	if !c.InfrastructureDocumentID.IsZero() {
		run.InfrastructureDocumentID = c.InfrastructureDocumentID
	}
	if !orion.IsNull(c.JobVariables) {
		run.JobVariables = c.JobVariables
	}
	run.Tags = union(d.Tags, c.Tags)
	if c.WorkQueueName != nil {
		q, err := ResolveQueue(tx, d.WorkPoolName, c.WorkQueueName)
		if err != nil {
			return nil, false, err
		}
		run.WorkQueueID, run.WorkQueueName = q.ID, &q.Name
	}
	state := c.State
	if state == nil {
		state = &orion.StateCreate{Type: orion.Scheduled}
	}
	return createFlowRun(tx, run, c.Name, c.EmpiricalPolicy, state)
}

// union is both lists, sorted, each tag once.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
