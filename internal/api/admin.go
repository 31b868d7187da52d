package api

import (
	"context"
	"net/http"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/prefect"
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
