package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

// batch carries out requests in one transaction: all of them or none. It is
// how a deploy moves hundreds of deployments from one version to the next
// without anybody ever seeing some of them before and some after.
func (a *API) batch(ctx context.Context, in struct{ Body orion.Batch }) ([]orion.BatchAnswer, error) {
	return write(ctx, a, func(tx *store.Tx) ([]orion.BatchAnswer, error) {
		for _, e := range in.Body.Expect {
			if err := holds(tx, e); err != nil {
				return nil, err
			}
		}
		ctx := tx.Join(ctx)
		answers := make([]orion.BatchAnswer, len(in.Body.Requests))
		ids := map[string]string{} // by placeholder
		for i, r := range in.Body.Requests {
			path, body := r.Path, string(r.Body)
			if len(ids) > 0 {
				path, body = withIDs(path, ids), withIDs(body, ids)
			}
			status, out, err := a.inBatch(ctx, r.Method, path, body)
			if err != nil {
				return nil, inRequest(i, r, err)
			}
			b, err := orion.Encode(out)
			if err != nil {
				return nil, err
			}
			answers[i] = orion.BatchAnswer{Status: status, Body: b}
			if r.Placeholder.IsZero() {
				continue
			}
			var record struct {
				ID orion.ID `json:"id"`
			}
			if err := orion.Decode(b, &record); err != nil || record.ID.IsZero() {
				return nil, inRequest(i, r, orion.Errorf(orion.Invalid, "its answer has no id for the placeholder %s to stand for", r.Placeholder))
			}
			if record.ID != r.Placeholder {
				ids[r.Placeholder.String()] = record.ID.String()
			}
		}
		return answers, nil
	})
}

// withIDs puts ids in the place of their placeholders. It looks at each place
// that may hold an id once, however many placeholders there are: a large batch
// has as many as requests, and holds up other writers.
func withIDs(text string, ids map[string]string) string {
	const first, length = len("00000000"), len("00000000-0000-0000-0000-000000000000")
	var out strings.Builder
	done := 0
	for at := 0; ; {
		dash := strings.IndexByte(text[at:], '-')
		if dash < 0 {
			break
		}
		at += dash + 1
		begin := at - 1 - first
		if begin < done || begin+length > len(text) {
			continue
		}
		if id, ok := ids[text[begin:begin+length]]; ok {
			out.WriteString(text[done:begin])
			out.WriteString(id)
			done = begin + length
			at = done
		}
	}
	if done == 0 {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}

// inBatch calls the handler of one request.
func (a *API) inBatch(ctx context.Context, method, path, body string) (int, any, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://batch"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, orion.Errorf(orion.Invalid, "%v", err)
	}
	rt, params, _ := a.routes.match(method, req.URL.EscapedPath())
	if rt == nil || rt.alone || rt.h == nil {
		return 0, nil, orion.Errorf(orion.Invalid, "there is no such request in a batch")
	}
	in, _, err := rt.h.decode(req, params)
	if err != nil {
		return 0, nil, err
	}
	out, err := rt.h.call(ctx, in)
	if err != nil {
		return 0, nil, err
	}
	status := rt.status
	if s, ok := out.(interface{ status() int }); ok {
		status = s.status()
	}
	if v, ok := out.(interface{ body() any }); ok {
		out = v.body()
	}
	return status, out, nil
}

// inRequest says which request of a batch an error belongs to.
func inRequest(i int, r orion.BatchRequest, err error) error {
	where := fmt.Sprintf("request %d of the batch, %s %s", i, r.Method, r.Path)
	if e, ok := err.(*orion.Error); ok {
		c := *e
		if c.Message == "" {
			c.Message = e.Error()
		}
		c.Message, c.Fields = where+": "+c.Message, nil
		return &c
	}
	return fmt.Errorf("%s: %w", where, err)
}

// holds refuses when a deployment is not as the one who asks has seen it.
func holds(tx *store.Tx, e orion.Expectation) error {
	d, err := tx.DeploymentByName(e.Flow, e.Deployment)
	if err != nil {
		return err
	}
	now := ""
	if d != nil {
		now = d.Revision()
	}
	switch {
	case now == e.Revision:
		return nil
	case e.Revision == "":
		return orion.Errorf(orion.Conflict, "the deployment %s/%s was made by somebody else in the meantime", e.Flow, e.Deployment)
	case d == nil:
		return orion.Errorf(orion.Conflict, "the deployment %s/%s was deleted in the meantime", e.Flow, e.Deployment)
	}
	return orion.Errorf(orion.Conflict, "the deployment %s/%s was changed in the meantime", e.Flow, e.Deployment)
}
