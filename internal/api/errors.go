package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/orionflows/orion"
)

// fail answers an error, in the shapes of Prefect 2.20, and logs what nobody
// can act on. It alone knows which status a kind becomes.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error, body []byte) int {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return 499 // the client is gone; nobody reads the answer
	}
	var e *orion.Error
	if !errors.As(err, &e) {
		e = &orion.Error{Kind: orion.Internal, Err: err}
	}
	status := http.StatusInternalServerError
	var out any = map[string]string{"exception_message": "Internal Server Error"}
	detail := map[string]string{"detail": e.Message}
	switch e.Kind {
	case orion.Invalid:
		status = http.StatusUnprocessableEntity
		out = detail
		if len(e.Fields) > 0 {
			var parsed orion.JSON
			if len(body) > 0 && len(body) < 1<<16 && orion.Decode(body, &parsed) != nil {
				parsed = nil
			}
			out = struct {
				Message string             `json:"exception_message"`
				Detail  []orion.FieldError `json:"exception_detail"`
				Body    orion.JSON         `json:"request_body"`
			}{"Invalid request received.", e.Fields, parsed}
		}
	case orion.BadRequest:
		status, out = http.StatusBadRequest, detail
	case orion.NotFound:
		status, out = http.StatusNotFound, detail
		if e.Inner {
			out = map[string]string{"exception_message": e.Message}
		}
	case orion.Conflict:
		status, out = http.StatusConflict, detail
		if e.Err != nil {
			a.o.Log.Debug("conflict", "path", r.URL.Path, "error", e.Err)
		}
	case orion.Forbidden:
		status, out = http.StatusForbidden, detail
	case orion.Unauthorized:
		status, out = http.StatusUnauthorized, detail
	case orion.Locked:
		status, out = http.StatusLocked, detail
		if e.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.FormatFloat(math.Max(e.RetryAfter.Seconds(), 0.001), 'f', -1, 64))
		}
	case orion.TooLarge:
		status, out = http.StatusRequestEntityTooLarge, detail
		w.Header().Set("Connection", "close")
	case orion.Unavailable:
		status, out = http.StatusServiceUnavailable, map[string]string{"exception_message": "Service Unavailable"}
		a.o.Log.Warn("request refused for the moment", "path", r.URL.Path, "error", e)
	default:
		a.o.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeJSON(w, r, status, out)
	return status
}
