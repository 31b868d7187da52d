package api

import (
	"context"
	"net/http"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/prefect"
	"github.com/orionflows/orion/internal/store"
)

type nothing struct{}

func (a *API) health(context.Context, nothing) (bool, error)  { return true, nil }
func (a *API) hello(context.Context, nothing) (string, error) { return "👋", nil }
func (a *API) protocolVersion(context.Context, nothing) (string, error) {
	return prefect.APIVersion, nil
}

func (a *API) adminVersion(ctx context.Context, _ nothing) (string, error) {
	return clientOf(ctx).AdminVersion(), nil
}

func (a *API) ready(ctx context.Context, _ nothing) (map[string]string, error) {
	if err := a.s.Ping(ctx); err != nil {
		return nil, &orion.Error{Kind: orion.Unavailable, Message: "the database does not answer", Err: err}
	}
	return map[string]string{"message": "OK"}, nil
}

// csrfToken: Orion protects browsers otherwise; this answer makes Prefect's
// clients stop asking.
func (a *API) csrfToken(context.Context, nothing) (none, error) {
	return none{}, &orion.Error{Kind: orion.Invalid, Message: "CSRF protection is disabled."}
}

func (a *API) adminSettings(context.Context, nothing) (map[string]any, error) {
	return a.o.Settings, nil
}

// uiSettings tells Prefect 2's web UI which of its pages to show.
func (a *API) uiSettings(context.Context, nothing) (map[string]any, error) {
	return map[string]any{
		"api_url":      "/api",
		"csrf_enabled": false,
		"flags": []string{"states_on_flow_run_graph", "work_queue_status", "deployment_status", "work_pools", "enhanced_cancellation",
			"artifacts_on_flow_run_graph", "artifacts", "workspace_dashboard", "workers"},
	}, nil
}

// resultStorageBlock is where Prefect 3's clients keep results when a flow does
// not say where.
type resultStorageBlock struct {
	ID orion.ID `json:"default_result_storage_block_id"`
}

func (a *API) resultStorage(ctx context.Context, _ nothing) (resultStorageBlock, error) {
	return read(ctx, a, func(tx *store.Tx) (out resultStorageBlock, err error) {
		out.ID, err = tx.ResultStorage()
		return out, err
	})
}

func (a *API) setResultStorage(ctx context.Context, in struct{ Body resultStorageBlock }) (resultStorageBlock, error) {
	if in.Body.ID.IsZero() {
		return resultStorageBlock{}, orion.Required("default_result_storage_block_id")
	}
	return write(ctx, a, func(tx *store.Tx) (resultStorageBlock, error) {
		ok, err := tx.HasBlockDocument(in.Body.ID)
		if err == nil && !ok {
			err = orion.Errorf(orion.NotFound, "Block document not found")
		}
		if err != nil {
			return resultStorageBlock{}, err
		}
		return in.Body, tx.SetConfiguration(store.DefaultResultStorage, in.Body.ID.String())
	})
}

func (a *API) clearResultStorage(ctx context.Context, _ nothing) (none, error) {
	return write(ctx, a, func(tx *store.Tx) (none, error) {
		return none{}, tx.SetConfiguration(store.DefaultResultStorage, "")
	})
}

type confirmation struct {
	Body struct {
		Confirm bool `json:"confirm"`
	}
}

func (c confirmation) check() error {
	if !c.Body.Confirm {
		return orion.Errorf(orion.BadRequest, `this removes everything: send {"confirm": true} to do it`)
	}
	return nil
}

func (a *API) clearDatabase(ctx context.Context, in confirmation) (none, error) {
	if err := in.check(); err != nil {
		return none{}, err
	}
	return none{}, a.s.Clear(ctx)
}

// createDatabase has nothing left to do: the schema is there since the start.
func (a *API) createDatabase(_ context.Context, in confirmation) (none, error) {
	return none{}, in.check()
}

func (a *API) serveOpenAPI(w http.ResponseWriter, _ *http.Request, _ []string) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(a.doc())
}

const docsPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Orion API</title>
<body style="font: 16px sans-serif; max-width: 40em; margin: 3em auto">
<h1>Orion API</h1>
<p>Every route and body is described in <a href="/api/openapi.json">/api/openapi.json</a>, an OpenAPI 3.1 document that any viewer or code generator reads.
</html>
`

func (a *API) docs(w http.ResponseWriter, _ *http.Request, _ []string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write([]byte(docsPage))
}
