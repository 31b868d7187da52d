package store

import (
	"strings"

	"github.com/orionflows/orion"
)

// patch collects the columns that an update sets.
type patch struct {
	tx    *Tx
	table string
	cols  []string
	args  []any
}

func (tx *Tx) patch(table string) *patch { return &patch{tx: tx, table: table} }

func (p *patch) set(column string, v any) {
	p.cols = append(p.cols, column+" = ?")
	p.args = append(p.args, v)
}

// setOpt sets a nullable column when the client sent the field.
func setOpt[T any](p *patch, column string, o orion.Opt[T]) {
	switch {
	case !o.Set:
	case o.Null:
		p.set(column, nil)
	default:
		p.set(column, o.V)
	}
}

// run updates the row and reports whether it exists. A patch without fields
// still moves updated.
func (p *patch) run(id orion.ID) (bool, error) {
	p.set("updated", p.tx.now)
	p.set("actor", p.tx.actor)
	n, err := p.tx.exec("UPDATE "+p.table+" SET "+strings.Join(p.cols, ", ")+" WHERE workspace_id = ? AND id = ?", append(p.args, p.tx.ws, id)...)
	return n > 0, err
}

// deleteByID removes a row and reports whether it existed.
func (tx *Tx) deleteByID(table string, id orion.ID) (bool, error) {
	n, err := tx.exec("DELETE FROM "+table+" WHERE workspace_id = ? AND id = ?", tx.ws, id)
	return n > 0, err
}
