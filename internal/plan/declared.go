package plan

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/overlay"
)

// Declared is a deployment as it will be once the plan is applied, for whoever
// wants to look at it before.
type Declared struct {
	*orion.Deployment
	FullName string // "flow/name"
	File     string
	// Storage and Infrastructure are the blocks it names; nil without, and for
	// one that is not there.
	Storage, Infrastructure *overlay.BlockUse
	// Code is what it will run; nil where the plan did not pack it.
	Code *codestore.Bundle
	// Uploads tells that the code goes to the storage.
	Uploads bool
}

// Declared are the deployments that the plan keeps, changes or makes. Blocks
// that only the server knows of are asked for.
func (p *Plan) Declared(ctx context.Context) ([]Declared, error) {
	known := map[orion.ID]*overlay.BlockUse{}
	block := func(id orion.ID) (*overlay.BlockUse, error) {
		u, ok := known[id]
		if ok {
			return u, nil
		}
		u, err := p.block(ctx, id)
		if err == nil {
			known[id] = u
		}
		return u, err
	}
	var out []Declared
	for i := range p.Items {
		it := &p.Items[i]
		if it.Action == Remove {
			continue
		}
		d := Declared{Deployment: it.want, FullName: it.Deployment, File: it.File}
		if it.claim != nil {
			d.Storage, d.Infrastructure = it.claim.Storage, it.claim.Infrastructure
		}
		if it.Action == Leave {
			d.Deployment = it.server
		}
		for _, b := range []struct {
			id  orion.ID
			use **overlay.BlockUse
		}{{d.StorageDocumentID, &d.Storage}, {d.InfrastructureDocumentID, &d.Infrastructure}} {
			if u := *b.use; u != nil && u.ID == b.id {
				continue
			}
			// The file was not run, or what was changed by hand stays.
			var err error
			if *b.use, err = block(b.id); err != nil {
				return nil, err
			}
		}
		if it.bundle != nil {
			d.Code, d.Uploads = it.bundle.Bundle, it.bundle.store == orion.InStorage
		}
		out = append(out, d)
	}
	return out, nil
}
