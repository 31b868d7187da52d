package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createArtifact(ctx context.Context, in struct{ Body orion.ArtifactCreate }) (made[*orion.Artifact], error) {
	return write(ctx, a, func(tx *store.Tx) (made[*orion.Artifact], error) {
		in.Body.Metadata = shortMetadata(in.Body.Metadata)
		v, err := tx.CreateArtifact(&in.Body)
		return made[*orion.Artifact]{v, true}, err
	})
}

// maxMetadata is how many characters of a metadata value are kept.
const maxMetadata = 500

func shortMetadata(v orion.JSON) orion.JSON {
	var m map[string]string
	if orion.IsNull(v) || orion.Decode(v, &m) != nil {
		return v
	}
	for k, s := range m {
		if r := []rune(s); len(r) > maxMetadata {
			m[k] = string(r[:maxMetadata]) + "..."
		}
	}
	b, err := orion.Encode(m)
	if err != nil {
		return v
	}
	return b
}

func (a *API) readArtifact(ctx context.Context, in byID) (*orion.Artifact, error) {
	return one(ctx, a, "Artifact", func(tx *store.Tx) (*orion.Artifact, error) { return tx.Artifact(in.ID) })
}

func (a *API) readLatestArtifact(ctx context.Context, in struct {
	Key string `path:"key"`
}) (*orion.Artifact, error) {
	return one(ctx, a, "Artifact", func(tx *store.Tx) (*orion.Artifact, error) { return tx.LatestArtifact(in.Key) })
}

type artifactFilters struct {
	Body struct {
		orion.RunFilters
		orion.Page
		Artifacts *orion.ArtifactFilter `json:"artifacts"`
		Sort      *string               `json:"sort"`
	}
}

func (a *API) filterArtifacts(ctx context.Context, in artifactFilters) ([]orion.Artifact, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.Artifact, error) {
		return tx.Artifacts(in.Body.Artifacts, &in.Body.RunFilters, in.Body.Sort, limit, offset)
	})
}

func (a *API) countArtifacts(ctx context.Context, in artifactFilters) (int64, error) {
	return read(ctx, a, func(tx *store.Tx) (int64, error) {
		return tx.CountArtifacts(in.Body.Artifacts, &in.Body.RunFilters)
	})
}

func (a *API) filterLatestArtifacts(ctx context.Context, in artifactFilters) ([]orion.ArtifactCollection, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.ArtifactCollection, error) {
		return tx.LatestArtifacts(in.Body.Artifacts, &in.Body.RunFilters, in.Body.Sort, limit, offset)
	})
}

func (a *API) countLatestArtifacts(ctx context.Context, in artifactFilters) (int64, error) {
	return read(ctx, a, func(tx *store.Tx) (int64, error) {
		return tx.CountLatestArtifacts(in.Body.Artifacts, &in.Body.RunFilters)
	})
}

func (a *API) updateArtifact(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.ArtifactUpdate
}) (none, error) {
	return change(ctx, a, "Artifact", func(tx *store.Tx) (bool, error) { return tx.UpdateArtifact(in.ID, &in.Body) })
}

func (a *API) deleteArtifact(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Artifact", func(tx *store.Tx) (bool, error) { return tx.DeleteArtifact(in.ID) })
}
