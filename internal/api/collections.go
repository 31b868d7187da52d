package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/block"
)

// readCollection answers the views of Prefect's registry of collections. Orion
// asks nobody outside: it knows the worker types, and the views that list what
// could be installed are empty.
func (a *API) readCollection(_ context.Context, in struct {
	View string `path:"view"`
}) (orion.JSON, error) {
	switch in.View {
	case "aggregate-worker-metadata":
		return block.WorkerTypes(), nil
	case "aggregate-block-metadata", "aggregate-flow-metadata", "demo-flows":
		return orion.EmptyObject, nil
	}
	return nil, orion.Errorf(orion.NotFound, "View %s not found in registry", in.View)
}
