package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/codestore/storage"
)

// Difference is how two versions of a deployment differ.
type Difference struct {
	Settings     []Field  `json:"settings"`
	Files        []string `json:"files"`        // each behind a mark: + - ~
	Requirements []string `json:"requirements"` // "name 1.0 → 2.0"
}

// CompareVersions says how two versions differ in their settings and installed
// packages.
func CompareVersions(from, to *orion.DeploymentVersion, a, b *orion.DeploymentCreate) Difference {
	d := Difference{Settings: []Field{}, Files: []string{}, Requirements: []string{}}
	was, is := fieldsOf(deploymentOf(a), nil, nil, from.Bundle != nil), fieldsOf(deploymentOf(b), nil, nil, to.Bundle != nil)
	if changes, _ := compare(nil, was, is, nil); changes != nil {
		d.Settings = changes
	}
	d.Settings = slices.DeleteFunc(d.Settings, func(f Field) bool { return f.Name == fieldPaused })
	packages := func(list []string) map[string]string {
		m := map[string]string{}
		for _, r := range list {
			name, version, _ := strings.Cut(r, "==")
			m[name] = version
		}
		return m
	}
	had, has := packages(from.Requirements), packages(to.Requirements)
	names := map[string]bool{}
	for n := range had {
		names[n] = true
	}
	for n := range has {
		names[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		x, y := had[n], has[n]
		switch {
		case x == y:
		case x == "":
			d.Requirements = append(d.Requirements, fmt.Sprintf("+ %s %s", n, y))
		case y == "":
			d.Requirements = append(d.Requirements, fmt.Sprintf("- %s %s", n, x))
		default:
			d.Requirements = append(d.Requirements, fmt.Sprintf("%s %s → %s", n, x, y))
		}
	}
	return d
}

// deploymentOf reads a version's settings as a deployment.
func deploymentOf(c *orion.DeploymentCreate) *orion.Deployment {
	d := &orion.Deployment{Name: c.Name, Description: c.Description.Ptr(), Version: c.Version.Ptr(), Tags: c.Tags.V, Parameters: c.Parameters.V, JobVariables: c.JobVariables.V,
		WorkPoolName: c.WorkPoolName.Ptr(), WorkQueueName: c.WorkQueueName.Ptr(), Entrypoint: c.Entrypoint.Ptr(), Path: c.Path.Ptr(), PullSteps: c.PullSteps.V,
		ManifestPath: c.ManifestPath.Ptr(), ParameterOpenapiSchema: c.ParameterOpenapiSchema.V, EnforceParameterSchema: c.EnforceParameterSchema.V}
	for _, s := range c.Schedules.V {
		d.Schedules = append(d.Schedules, orion.DeploymentSchedule{Schedule: *s.Schedule, Active: s.Active == nil || *s.Active, MaxActiveRuns: s.MaxActiveRuns,
			MaxScheduledRuns: s.MaxScheduledRuns, Catchup: s.Catchup != nil && *s.Catchup, Parameters: s.Parameters, Slug: s.Slug})
	}
	return d
}

// OpenStorage opens the place that a storage block of the server names.
func OpenStorage(ctx context.Context, c *client.Client, id orion.ID) (storage.Store, error) {
	b, err := c.BlockDocument(ctx, id, true)
	if err != nil {
		return nil, fmt.Errorf("the storage block of the deployment: %w", err)
	}
	return codestore.Open(ctx, b.TypeSlug(), b.Data)
}
