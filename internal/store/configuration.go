package store

import (
	"github.com/orionflows/orion"
)

// Configuration reads a setting that the server keeps in its database, "" when
// it was never set.
func (tx *Tx) Configuration(key string) (value string, err error) {
	_, err = tx.one("SELECT value FROM configuration WHERE workspace_id = ? AND key = ?", []any{tx.ws, key}, &value)
	return value, err
}

// SetConfiguration writes a setting.
func (tx *Tx) SetConfiguration(key, value string) error {
	_, err := tx.exec(`INSERT INTO configuration (workspace_id, key, value, updated, actor) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (workspace_id, key) DO UPDATE SET value = excluded.value, updated = excluded.updated, actor = excluded.actor`,
		tx.ws, key, value, tx.now, tx.actor)
	return err
}

// DefaultResultStorage is the setting of the block that results go to where a
// flow names none.
const DefaultResultStorage = "DEFAULT_RESULT_STORAGE"

// ResultStorage reads that block's id, the zero ID when there is none or the
// block is gone.
func (tx *Tx) ResultStorage() (orion.ID, error) {
	v, err := tx.Configuration(DefaultResultStorage)
	if err != nil || v == "" {
		return orion.ID{}, err
	}
	id, err := orion.ParseID(v)
	if err != nil {
		return orion.ID{}, err
	}
	ok, err := tx.HasBlockDocument(id)
	if err != nil || !ok {
		return orion.ID{}, err
	}
	return id, nil
}
