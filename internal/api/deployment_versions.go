package api

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) listVersions(ctx context.Context, in struct {
	ID     orion.ID `path:"id"`
	Limit  *int64   `query:"limit"`
	Offset *int64   `query:"offset"`
}) ([]orion.DeploymentVersion, error) {
	return page(ctx, a, orion.Page{Limit: in.Limit, Offset: in.Offset}, func(tx *store.Tx, limit, offset int64) ([]orion.DeploymentVersion, error) {
		vs, err := tx.Versions(in.ID, limit, offset)
		out := make([]orion.DeploymentVersion, len(vs))
		for i := range vs {
			out[i] = vs[i].DeploymentVersion
		}
		return out, err
	})
}

type versionOf struct {
	ID     orion.ID `path:"id"`
	Number int64    `path:"number"`
}

// versionDetail is a version with the settings it holds.
type versionDetail struct {
	orion.DeploymentVersion
	Settings orion.DeploymentCreate `json:"settings"`
}

func (a *API) readVersion(ctx context.Context, in versionOf) (*versionDetail, error) {
	return one(ctx, a, "Deployment version", func(tx *store.Tx) (*versionDetail, error) {
		v, err := tx.Version(in.ID, in.Number)
		if v == nil || err != nil {
			return nil, err
		}
		return &versionDetail{v.DeploymentVersion, v.Settings}, nil
	})
}

func (a *API) addVersion(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.DeploymentVersionCreate
}) (*orion.DeploymentVersion, error) {
	return write(ctx, a, func(tx *store.Tx) (*orion.DeploymentVersion, error) {
		d, err := tx.Deployment(in.ID)
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, missing("Deployment")
		}
		if err := bundleIsHere(tx, &in.Body); err != nil {
			return nil, err
		}
		v, err := tx.AddVersion(d, &in.Body, nil)
		if err != nil {
			return nil, err
		}
		return &v.DeploymentVersion, nil
	})
}

// noteInputs renews what the file of a deployment's present version read and
// declared, when running it again has shown that it asks for what is there.
func (a *API) noteInputs(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body struct {
		Inputs   orion.JSON        `json:"inputs"`
		Declared map[string]string `json:"declared"`
	}
}) (none, error) {
	return change(ctx, a, "Deployment version", func(tx *store.Tx) (bool, error) {
		return tx.NoteInputs(in.ID, in.Body.Inputs, in.Body.Declared)
	})
}

// bundleIsHere refuses a version whose code the server should have and has not.
func bundleIsHere(tx *store.Tx, c *orion.DeploymentVersionCreate) error {
	if c.Store == nil || *c.Store != orion.InServer {
		return nil
	}
	_, ok, err := tx.BundleSize(*c.Bundle)
	if err == nil && !ok {
		err = orion.Errorf(orion.Conflict, "the bundle %s is not here: upload it first", *c.Bundle)
	}
	return err
}

// rollBack makes a deployment again what it was at a version, as a new version.
func (a *API) rollBack(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body struct {
		Number int64 `json:"number"`
	}
}) (*orion.DeploymentVersion, error) {
	return write(ctx, a, func(tx *store.Tx) (*orion.DeploymentVersion, error) {
		v, err := tx.Version(in.ID, in.Body.Number)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, orion.Errorf(orion.NotFound, "the deployment has no version %d", in.Body.Number)
		}
		if !v.Collected.IsZero() {
			return nil, orion.Errorf(orion.Conflict, "the code of version %d was removed on %s, as nothing used it: deploy that commit again", v.Number, v.Collected)
		}
		c := v.Settings
		if err := a.checkDeploymentBlocks(tx, c.StorageDocumentID.V, c.InfrastructureDocumentID.V); err != nil {
			return nil, err
		}
		queue, err := orchestration.ResolveQueue(tx, c.WorkPoolName.Ptr(), c.WorkQueueName.Ptr())
		if err != nil {
			return nil, err
		}
		before, err := tx.Deployment(in.ID)
		if err != nil {
			return nil, err
		}
		if before == nil {
			return nil, missing("Deployment")
		}
		d, err := tx.RestoreDeployment(before, &c, queue)
		if err != nil {
			return nil, err
		}
		made, err := tx.AddVersion(d, &v.DeploymentVersionCreate, &v.Number)
		if err != nil {
			return nil, err
		}
		return &made.DeploymentVersion, a.reschedule(tx, in.ID)
	})
}

func (a *API) ownedDeployments(ctx context.Context, in struct {
	Body struct {
		Repository string `json:"repository"`
	}
}) ([]orion.OwnedDeployment, error) {
	if in.Body.Repository == "" {
		return nil, orion.Required("repository")
	}
	return read(ctx, a, func(tx *store.Tx) ([]orion.OwnedDeployment, error) { return tx.OwnedDeployments(in.Body.Repository) })
}

// runCode answers which code a run ran; for one that has not been taken, which
// it would run now.
func (a *API) runCode(ctx context.Context, in byID) (*orion.RunCode, error) {
	return read(ctx, a, func(tx *store.Tx) (*orion.RunCode, error) {
		run, err := tx.FlowRun(in.ID)
		if err != nil {
			return nil, err
		}
		if run == nil {
			return nil, missing("Flow run")
		}
		out := &orion.RunCode{}
		rv, err := tx.RunVersion(run.ID)
		if err != nil {
			return nil, err
		}
		var v *store.Version
		switch {
		case rv != nil:
			v, out.Pinned, out.Exact = rv.Version, rv.Pinned, rv.Exact
		case run.DeploymentID.IsZero():
		case run.Type() == orion.Scheduled:
			if v, err = tx.CurrentVersion(run.DeploymentID); err != nil {
				return nil, err
			}
		}
		if v == nil {
			return nil, orion.Errorf(orion.NotFound, "no version of its code is known for this run: its deployment was not made by orion deploy")
		}
		out.Version = &v.DeploymentVersion
		out.Deployment, err = tx.Deployment(v.DeploymentID)
		if out.Deployment != nil {
			codeAsOf(out.Deployment, &v.Settings)
		}
		return out, err
	})
}

// codeAsOf gives a deployment the code settings that it had at a version.
func codeAsOf(d *orion.Deployment, s *orion.DeploymentCreate) {
	d.Path, d.Entrypoint, d.ManifestPath, d.PullSteps = s.Path.Ptr(), s.Entrypoint.Ptr(), s.ManifestPath.Ptr(), s.PullSteps.V
	d.StorageDocumentID = s.StorageDocumentID.V
	d.Version = s.Version.Ptr()
}

// rerun starts a run again with its parameters: with the code it ran, or with
// what its deployment runs now.
func (a *API) rerun(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body struct {
		Code           string  `json:"code"`
		IdempotencyKey *string `json:"idempotency_key"`
	}
}) (made[*orion.FlowRun], error) {
	same := in.Body.Code == "same"
	if !same && in.Body.Code != "latest" {
		return made[*orion.FlowRun]{}, orion.Errorf(orion.Invalid, `code is %q; it is "same" or "latest"`, in.Body.Code)
	}
	return write(ctx, a, func(tx *store.Tx) (out made[*orion.FlowRun], err error) {
		run, err := tx.FlowRun(in.ID)
		if err != nil {
			return out, err
		}
		if run == nil {
			return out, missing("Flow run")
		}
		var d *orion.Deployment
		if !run.DeploymentID.IsZero() {
			if d, err = tx.Deployment(run.DeploymentID); err != nil {
				return out, err
			}
		}
		if d == nil {
			return out, orion.Errorf(orion.Conflict, "this run has no deployment (any more), so nothing says how to run it again")
		}
		var v *store.RunVersion
		if same {
			if v, err = tx.RunVersion(run.ID); err != nil {
				return out, err
			}
			switch {
			case v == nil:
				return out, orion.Errorf(orion.Conflict, "no version of its code is known for this run: its deployment was not made by orion deploy")
			case !v.Collected.IsZero():
				return out, orion.Errorf(orion.Conflict, "the code of version %d was removed on %s, as nothing used it", v.Number, v.Collected)
			}
		}
		c := orion.DeploymentFlowRunCreate{Parameters: run.Parameters, Tags: run.Tags, JobVariables: run.JobVariables, IdempotencyKey: in.Body.IdempotencyKey,
			InfrastructureDocumentID: run.InfrastructureDocumentID, WorkQueueName: run.WorkQueueName}
		if out.v, out.new, err = orchestration.CreateDeploymentRun(tx, d, &c); err != nil || !same || !out.new {
			return out, err
		}
		return out, tx.PinVersion(out.v.ID, v.ID)
	})
}

// runScope is the run for which a process asks. Orion's agents start a run
// with PREFECT_API_URL set to …/api/orion/run/<run id>, so that the flow
// engine, which asks for its deployment and knows nothing of versions, is
// answered as of the version that the run takes. With a folder behind
// (…/orion/run/<run id>/<folder in base64url>) the answer says that the code
// is there: the agent has fetched it.
type runScope struct {
	run    orion.ID
	folder string
}

const runPrefix = "/orion/run/"

type runScopeKey struct{}

// scoped takes the run's part off a path.
func scoped(path string) (_ string, scope *runScope) {
	rest, ok := strings.CutPrefix(path, runPrefix)
	if !ok {
		return path, nil
	}
	id, rest, _ := strings.Cut(rest, "/")
	run, err := orion.ParseID(id)
	if err != nil {
		return path, nil
	}
	scope = &runScope{run: run}
	if first, after, _ := strings.Cut(rest, "/"); strings.HasPrefix(first, "=") {
		folder, err := base64.RawURLEncoding.DecodeString(first[1:])
		if err != nil {
			return path, nil
		}
		scope.folder, rest = string(folder), after
	}
	return "/" + rest, scope
}

// RunScope is the path, below the API's, under which a process of a run asks.
// Folder is where the run's code is, or "" when the process fetches it.
func RunScope(run orion.ID, folder string) string {
	p := runPrefix + url.PathEscape(run.String())
	if folder != "" {
		p += "/=" + base64.RawURLEncoding.EncodeToString([]byte(folder))
	}
	return p
}

// seenBy gives a deployment the code that the run's version has, when it is the
// run's deployment.
func (s *runScope) seenBy(tx *store.Tx, d *orion.Deployment) error {
	run, err := tx.FlowRun(s.run)
	if run == nil || err != nil || run.DeploymentID != d.ID {
		return err
	}
	v, err := tx.RunVersion(run.ID)
	if err != nil {
		return err
	}
	if v != nil {
		codeAsOf(d, &v.Settings)
	}
	if s.folder != "" {
		d.Path, d.StorageDocumentID, d.PullSteps, d.ManifestPath = &s.folder, orion.ID{}, nil, nil
	}
	return nil
}
