package store

import (
	"github.com/orionflows/orion"
)

const variableColumns = "variable.id, variable.created, variable.updated, variable.name, variable.value, variable.tags"

func scanVariable(r *Row) (v orion.Variable, err error) {
	err = r.Scan(&v.ID, &v.Created, &v.Updated, &v.Name, &v.Value, asJSON(&v.Tags))
	return v, err
}

// Variable reads one variable; nil when there is none.
func (tx *Tx) Variable(id orion.ID) (*orion.Variable, error) {
	return first(tx, "SELECT "+variableColumns+" FROM variable WHERE workspace_id = ? AND id = ?", []any{tx.ws, id}, scanVariable)
}

// VariableByName reads one variable; nil when there is none.
func (tx *Tx) VariableByName(name string) (*orion.Variable, error) {
	return first(tx, "SELECT "+variableColumns+" FROM variable WHERE workspace_id = ? AND name = ?", []any{tx.ws, name}, scanVariable)
}

var variableSorts = map[string]string{
	"NAME_ASC": "variable.name", "NAME_DESC": "variable.name DESC", "CREATED_DESC": "variable.created DESC", "UPDATED_DESC": "variable.updated DESC",
}

func (tx *Tx) variablesWhere(f *orion.VariableFilter) cond {
	w := where("variable.workspace_id = ?", tx.ws)
	if f == nil {
		return w
	}
	value := f.Value
	if value != nil && value.Any != nil { // values are kept as JSON
		quoted := make([]string, len(*value.Any))
		for i, s := range *value.Any {
			b, _ := orion.Encode(s)
			quoted[i] = string(b)
		}
		v := *value
		v.Any = &quoted
		value = &v
	}
	return all(w, joined(f.Operator, column(tx, "variable.id", f.ID), column(tx, "variable.name", f.Name), column(tx, "variable.value", value), tx.tags("variable.", "", f.Tags)))
}

// Variables lists variables.
func (tx *Tx) Variables(f *orion.VariableFilter, sort *string, limit, offset int64) ([]orion.Variable, error) {
	o, err := order(variableSorts, sort, "NAME_ASC")
	if err != nil {
		return nil, err
	}
	w := tx.variablesWhere(f)
	return list(tx, "SELECT "+variableColumns+" FROM variable WHERE "+w.sql+o+" LIMIT ? OFFSET ?", append(w.args, limit, offset), scanVariable)
}

// CountVariables counts variables.
func (tx *Tx) CountVariables(f *orion.VariableFilter) (int64, error) {
	w := tx.variablesWhere(f)
	return tx.count("SELECT COUNT(*) FROM variable WHERE "+w.sql, w.args...)
}

// CreateVariable makes a variable; a name that is taken is a Conflict error.
func (tx *Tx) CreateVariable(c *orion.VariableCreate) (*orion.Variable, error) {
	n, err := tx.exec("INSERT INTO variable (workspace_id, id, created, updated, actor, name, value, tags) VALUES ("+marks(8)+") ON CONFLICT DO NOTHING",
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, c.Name, string(c.Value), c.Tags)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, integrity(nil)
	}
	return tx.VariableByName(c.Name)
}

// UpdateVariable patches a variable and reports whether it exists.
func (tx *Tx) UpdateVariable(id orion.ID, u *orion.VariableUpdate) (bool, error) {
	p := tx.patch("variable")
	if u.Name.Has() {
		p.set("name", u.Name.V)
	}
	if u.Value.Has() {
		p.set("value", string(u.Value.V))
	}
	if u.Tags.Has() {
		p.set("tags", u.Tags.V)
	}
	return p.run(id)
}

// DeleteVariable removes a variable.
func (tx *Tx) DeleteVariable(id orion.ID) (bool, error) { return tx.deleteByID("variable", id) }
