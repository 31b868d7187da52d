package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/block"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createBlockType(ctx context.Context, in struct{ Body orion.BlockTypeCreate }) (*orion.BlockType, error) {
	if orion.Reserved(in.Body.Name) {
		return nil, orion.Errorf(orion.Forbidden, "Block type names beginning with 'Prefect' are reserved.")
	}
	return write(ctx, a, func(tx *store.Tx) (*orion.BlockType, error) { return tx.CreateBlockType(&in.Body, false) })
}

func (a *API) readBlockType(ctx context.Context, in byID) (*orion.BlockType, error) {
	return one(ctx, a, "Block type", func(tx *store.Tx) (*orion.BlockType, error) { return tx.BlockType(in.ID) })
}

type bySlug struct {
	Slug string `path:"slug"`
}

func (a *API) readBlockTypeBySlug(ctx context.Context, in bySlug) (*orion.BlockType, error) {
	return one(ctx, a, "Block type", func(tx *store.Tx) (*orion.BlockType, error) { return tx.BlockTypeBySlug(in.Slug) })
}

// blockFilters is the body of the lists about blocks.
type blockFilters struct {
	Body struct {
		orion.Page
		BlockTypes     *orion.BlockTypeFilter     `json:"block_types"`
		BlockSchemas   *orion.BlockSchemaFilter   `json:"block_schemas"`
		BlockDocuments *orion.BlockDocumentFilter `json:"block_documents"`
		IncludeSecrets *bool                      `json:"include_secrets"`
		Sort           *string                    `json:"sort"`
	}
}

func (a *API) filterBlockTypes(ctx context.Context, in blockFilters) ([]orion.BlockType, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.BlockType, error) {
		return tx.BlockTypes(in.Body.BlockTypes, in.Body.BlockSchemas, limit, offset)
	})
}

func (a *API) updateBlockType(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.BlockTypeUpdate
}) (none, error) {
	return change(ctx, a, "Block type", func(tx *store.Tx) (bool, error) { return tx.UpdateBlockType(in.ID, &in.Body) })
}

func (a *API) deleteBlockType(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Block type", func(tx *store.Tx) (bool, error) {
		t, err := tx.BlockType(in.ID)
		if t == nil || err != nil {
			return false, err
		}
		if t.IsProtected {
			return false, orion.Errorf(orion.Forbidden, "protected block types cannot be deleted.")
		}
		return tx.DeleteBlockType(in.ID)
	})
}

func (a *API) listTypeDocuments(ctx context.Context, in struct {
	Slug           string `path:"slug"`
	IncludeSecrets bool   `query:"include_secrets"`
}) ([]orion.BlockDocument, error) {
	return read(ctx, a, func(tx *store.Tx) ([]orion.BlockDocument, error) {
		t, err := tx.BlockTypeBySlug(in.Slug)
		if err != nil {
			return nil, err
		}
		if t == nil {
			return nil, orion.Errorf(orion.NotFound, "Block type not found")
		}
		ds, err := tx.BlockDocuments(nil, &orion.BlockTypeFilter{Slug: &orion.Cond[string]{Any: &[]string{in.Slug}}}, nil, nil, orion.MaxLimit, 0)
		return maskAll(ds, in.IncludeSecrets, err)
	})
}

func (a *API) readTypeDocument(ctx context.Context, in struct {
	Slug           string `path:"slug"`
	Name           string `path:"block_document_name"`
	IncludeSecrets bool   `query:"include_secrets"`
}) (*orion.BlockDocument, error) {
	return one(ctx, a, "Block document", func(tx *store.Tx) (*orion.BlockDocument, error) {
		d, err := tx.BlockDocumentByName(in.Slug, in.Name)
		return mask(d, in.IncludeSecrets, err)
	})
}

// mask hides a block's secrets unless they were asked for.
func mask(d *orion.BlockDocument, secrets bool, err error) (*orion.BlockDocument, error) {
	if err != nil || d == nil || secrets {
		return d, err
	}
	return d, store.MaskBlock(d)
}

func maskAll(ds []orion.BlockDocument, secrets bool, err error) ([]orion.BlockDocument, error) {
	for i := range ds {
		if _, err = mask(&ds[i], secrets, err); err != nil {
			return nil, err
		}
	}
	return ds, err
}

func (a *API) createBlockSchema(ctx context.Context, in struct{ Body orion.BlockSchemaCreate }) (made[*orion.BlockSchema], error) {
	sum, err := block.Checksum(in.Body.Fields)
	if err != nil {
		return made[*orion.BlockSchema]{}, err
	}
	var f struct {
		References map[string]orion.JSON `json:"block_schema_references"`
	}
	if err := orion.Decode(orion.ObjectOr(in.Body.Fields), &f); err != nil {
		return made[*orion.BlockSchema]{}, orion.Refuse("fields", "block_schema_references must be an object")
	}
	return write(ctx, a, func(tx *store.Tx) (out made[*orion.BlockSchema], err error) {
		t, err := tx.BlockType(in.Body.BlockTypeID)
		if err != nil {
			return out, err
		}
		if t == nil {
			return out, orion.Errorf(orion.NotFound, "Block type %s not found.", in.Body.BlockTypeID)
		}
		if t.IsProtected && in.Body.Version == nil {
			return out, orion.Errorf(orion.Forbidden, "Block schemas for protected block types cannot be created.")
		}
		for _, ref := range f.References {
			if err := knownTypes(tx, ref); err != nil {
				return out, err
			}
		}
		out.v, out.new, err = tx.CreateBlockSchema(&in.Body, sum)
		return out, err
	})
}

// knownTypes refuses references to types that are not registered.
func knownTypes(tx *store.Tx, ref orion.JSON) error {
	type reference struct {
		Slug string `json:"block_type_slug"`
	}
	var many []reference
	if ref.Kind() == '{' {
		many = make([]reference, 1)
		if err := orion.Decode(ref, &many[0]); err != nil {
			return orion.Refuse("fields", "block_schema_references must name types")
		}
	} else if err := orion.Decode(ref, &many); err != nil {
		return orion.Refuse("fields", "block_schema_references must name types")
	}
	for _, r := range many {
		t, err := tx.BlockTypeBySlug(r.Slug)
		if err != nil {
			return err
		}
		if t == nil {
			return orion.Errorf(orion.Conflict, "Cannot create block schema because block type '%s' was not found. Did you forget to register the block type?", r.Slug)
		}
	}
	return nil
}

func (a *API) readBlockSchema(ctx context.Context, in byID) (*orion.BlockSchema, error) {
	return one(ctx, a, "Block schema", func(tx *store.Tx) (*orion.BlockSchema, error) { return tx.BlockSchema(in.ID) })
}

func (a *API) readBlockSchemaByChecksum(ctx context.Context, in struct {
	Checksum string `path:"checksum"`
	Version  string `query:"version"`
}) (*orion.BlockSchema, error) {
	return one(ctx, a, "Block schema", func(tx *store.Tx) (*orion.BlockSchema, error) {
		return tx.BlockSchemaByChecksum(in.Checksum, in.Version)
	})
}

func (a *API) filterBlockSchemas(ctx context.Context, in blockFilters) ([]orion.BlockSchema, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.BlockSchema, error) {
		return tx.BlockSchemas(in.Body.BlockSchemas, limit, offset)
	})
}

func (a *API) deleteBlockSchema(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Block schema", func(tx *store.Tx) (bool, error) {
		s, err := tx.BlockSchema(in.ID)
		if s == nil || err != nil {
			return false, err
		}
		if s.BlockType.IsProtected {
			return false, orion.Errorf(orion.Forbidden, "Block schemas for protected block types cannot be deleted.")
		}
		return tx.DeleteBlockSchema(in.ID)
	})
}

func (a *API) blockCapabilities(ctx context.Context, _ nothing) ([]string, error) {
	return read(ctx, a, func(tx *store.Tx) ([]string, error) { return tx.BlockCapabilities() })
}

func (a *API) createBlockDocument(ctx context.Context, in struct{ Body orion.BlockDocumentCreate }) (*orion.BlockDocument, error) {
	return write(ctx, a, func(tx *store.Tx) (*orion.BlockDocument, error) {
		d, err := tx.CreateBlockDocument(&in.Body)
		return mask(d, false, err)
	})
}

func (a *API) readBlockDocument(ctx context.Context, in struct {
	ID             orion.ID `path:"id"`
	IncludeSecrets bool     `query:"include_secrets"`
}) (*orion.BlockDocument, error) {
	return one(ctx, a, "Block document", func(tx *store.Tx) (*orion.BlockDocument, error) {
		d, err := tx.BlockDocument(in.ID)
		return mask(d, in.IncludeSecrets, err)
	})
}

func (a *API) filterBlockDocuments(ctx context.Context, in blockFilters) ([]orion.BlockDocument, error) {
	b := in.Body
	return page(ctx, a, b.Page, func(tx *store.Tx, limit, offset int64) ([]orion.BlockDocument, error) {
		ds, err := tx.BlockDocuments(b.BlockDocuments, b.BlockTypes, b.BlockSchemas, b.Sort, limit, offset)
		return maskAll(ds, b.IncludeSecrets != nil && *b.IncludeSecrets, err)
	})
}

func (a *API) countBlockDocuments(ctx context.Context, in blockFilters) (int64, error) {
	b := in.Body
	return read(ctx, a, func(tx *store.Tx) (int64, error) {
		return tx.CountBlockDocuments(b.BlockDocuments, b.BlockTypes, b.BlockSchemas)
	})
}

func (a *API) updateBlockDocument(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.BlockDocumentUpdate
}) (none, error) {
	return change(ctx, a, "Block document", func(tx *store.Tx) (bool, error) { return tx.UpdateBlockDocument(in.ID, &in.Body) })
}

func (a *API) deleteBlockDocument(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Block document", func(tx *store.Tx) (bool, error) { return tx.DeleteBlockDocument(in.ID) })
}

// installBlockTypes has nothing left to do: they are there since the start.
func (a *API) installBlockTypes(context.Context, nothing) (none, error) { return none{}, nil }
