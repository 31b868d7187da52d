package store

import (
	"github.com/orionflows/orion"
)

// BuiltIn are the block types that a workspace has from the start.
type BuiltIn struct {
	// Digest names the content: stored once it is there, so that a start with
	// nothing new costs one small read.
	Digest string
	Load   func() ([]orion.BlockSchema, error)
}

// seed stores the built-in block types that are missing. What people have
// changed since stays.
func (tx *Tx) seed() error {
	b := tx.s.builtIn
	if b.Load == nil {
		return nil
	}
	stored, err := tx.Configuration(seedKey)
	if err != nil || stored == b.Digest {
		return err
	}
	all, err := b.Load()
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := tx.seedBlock(&s); err != nil {
			return wrap("storing the block type "+s.BlockType.Slug, err)
		}
	}
	return tx.SetConfiguration(seedKey, b.Digest)
}

// seedKey is the setting that holds the digest of what was stored.
const seedKey = "BLOCK_TYPES"

func (tx *Tx) seedBlock(s *orion.BlockSchema) error {
	t := s.BlockType
	var id orion.ID
	if _, err := tx.one(`INSERT INTO block_type (workspace_id, id, created, updated, actor, name, slug, description, is_protected)
		VALUES (?, ?, ?, ?, 'service:start', ?, ?, ?, ?) ON CONFLICT (workspace_id, slug) DO UPDATE SET is_protected = excluded.is_protected RETURNING id`,
		[]any{tx.ws, orion.NewID(), tx.now, tx.now, t.Name, t.Slug, t.Description, t.IsProtected}, &id); err != nil {
		return err
	}
	_, err := tx.exec(`INSERT INTO block_schema (workspace_id, id, created, updated, actor, checksum, fields, capabilities, version, block_type_id)
		VALUES (?, ?, ?, ?, 'service:start', ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		tx.ws, orion.NewID(), tx.now, tx.now, s.Checksum, s.Fields, s.Capabilities, s.Version, id)
	return err
}
