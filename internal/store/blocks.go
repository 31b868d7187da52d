package store

import "github.com/orionflows/orion"

// HasBlockDocument reports whether there is a block of that id.
func (tx *Tx) HasBlockDocument(id orion.ID) (bool, error) {
	n, err := tx.count("SELECT COUNT(*) FROM block_document WHERE workspace_id = ? AND id = ?", tx.ws, id)
	return n > 0, err
}
