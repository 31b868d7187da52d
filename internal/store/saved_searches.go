package store

import (
	"github.com/orionflows/orion"
)

const savedSearchColumns = "id, created, updated, name, filters"

func scanSavedSearch(r *Row) (s orion.SavedSearch, err error) {
	err = r.Scan(&s.ID, &s.Created, &s.Updated, &s.Name, &s.Filters)
	return s, err
}

// SavedSearch reads one search; nil when there is none.
func (tx *Tx) SavedSearch(id orion.ID) (*orion.SavedSearch, error) {
	return first(tx, "SELECT "+savedSearchColumns+" FROM saved_search WHERE workspace_id = ? AND id = ?", []any{tx.ws, id}, scanSavedSearch)
}

// SavedSearches lists searches by name.
func (tx *Tx) SavedSearches(limit, offset int64) ([]orion.SavedSearch, error) {
	return list(tx, "SELECT "+savedSearchColumns+" FROM saved_search WHERE workspace_id = ? ORDER BY name LIMIT ? OFFSET ?", []any{tx.ws, limit, offset}, scanSavedSearch)
}

// PutSavedSearch makes a search or replaces the one of that name, and reports
// whether it is new.
func (tx *Tx) PutSavedSearch(c *orion.SavedSearchCreate) (s *orion.SavedSearch, created bool, err error) {
	id := orion.NewID()
	filters := c.Filters
	if orion.IsNull(filters) {
		filters = orion.JSON("[]")
	}
	if _, err := tx.exec(`INSERT INTO saved_search (workspace_id, id, created, updated, actor, name, filters) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (workspace_id, name) DO UPDATE SET filters = excluded.filters, updated = excluded.updated, actor = excluded.actor`,
		tx.ws, id, tx.now, tx.now, tx.actor, c.Name, filters); err != nil {
		return nil, false, err
	}
	s, err = first(tx, "SELECT "+savedSearchColumns+" FROM saved_search WHERE workspace_id = ? AND name = ?", []any{tx.ws, c.Name}, scanSavedSearch)
	return s, s != nil && s.ID == id, err
}

// DeleteSavedSearch removes a search.
func (tx *Tx) DeleteSavedSearch(id orion.ID) (bool, error) { return tx.deleteByID("saved_search", id) }
