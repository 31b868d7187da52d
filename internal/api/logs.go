package api

import (
	"context"
	"crypto/sha256"

	"github.com/orionflows/orion"
)

func (a *API) createLogs(ctx context.Context, in struct {
	Body []orion.LogCreate
	Raw  []byte
}) (none, error) {
	for i, l := range in.Body {
		if l.Timestamp.IsZero() {
			return none{}, &orion.Error{Kind: orion.Invalid, Fields: []orion.FieldError{{Loc: []any{"body", i, "timestamp"}, Msg: "field required", Type: "value_error.missing"}}}
		}
	}
	sum := sha256.Sum256(in.Raw)
	return none{}, a.s.AppendLogs(ctx, in.Body, orion.ID(sum[:16]))
}

func (a *API) filterLogs(ctx context.Context, in struct {
	Body struct {
		orion.Page
		Logs *orion.LogFilter `json:"logs"`
		Sort *string          `json:"sort"`
	}
}) ([]orion.Log, error) {
	limit, offset, err := in.Body.Resolve()
	if err != nil {
		return nil, err
	}
	return a.s.Logs(ctx, in.Body.Logs, in.Body.Sort, limit, offset)
}
