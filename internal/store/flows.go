package store

import (
	"github.com/orionflows/orion"
)

const flowColumns = "flow.id, flow.created, flow.updated, flow.name, flow.tags, flow.labels"

func scanFlow(r *Row) (f orion.Flow, err error) {
	err = r.Scan(&f.ID, &f.Created, &f.Updated, &f.Name, asJSON(&f.Tags), &f.Labels)
	return f, err
}

// Flow reads one flow; nil when there is none.
func (tx *Tx) Flow(id orion.ID) (*orion.Flow, error) {
	return first(tx, "SELECT "+flowColumns+" FROM flow WHERE workspace_id = ? AND id = ?", []any{tx.ws, id}, scanFlow)
}

// FlowByName reads one flow; nil when there is none.
func (tx *Tx) FlowByName(name string) (*orion.Flow, error) {
	return first(tx, "SELECT "+flowColumns+" FROM flow WHERE workspace_id = ? AND name = ?", []any{tx.ws, name}, scanFlow)
}

var flowSorts = map[string]string{
	"NAME_ASC": "flow.name", "NAME_DESC": "flow.name DESC", "CREATED_DESC": "flow.created DESC", "UPDATED_DESC": "flow.updated DESC",
}

// Flows lists flows.
func (tx *Tx) Flows(f *orion.RunFilters, sort *string, limit, offset int64) ([]orion.Flow, error) {
	o, err := order(flowSorts, sort, "NAME_ASC")
	if err != nil {
		return nil, err
	}
	w := tx.flowsWhere(f)
	return list(tx, "SELECT "+flowColumns+" FROM flow WHERE "+w.sql+o+" LIMIT ? OFFSET ?", append(w.args, limit, offset), scanFlow)
}

// CountFlows counts flows.
func (tx *Tx) CountFlows(f *orion.RunFilters) (int64, error) {
	w := tx.flowsWhere(f)
	return tx.count("SELECT COUNT(*) FROM flow WHERE "+w.sql, w.args...)
}

// CreateFlow finds the flow of that name or makes it, and reports which.
func (tx *Tx) CreateFlow(c *orion.FlowCreate) (f *orion.Flow, created bool, err error) {
	if f, err = tx.FlowByName(c.Name); err != nil || f != nil {
		return f, false, err
	}
	n, err := tx.exec("INSERT INTO flow (workspace_id, id, created, updated, actor, name, tags, labels) VALUES ("+marks(8)+") ON CONFLICT DO NOTHING",
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, c.Name, c.Tags, c.Labels)
	if err != nil {
		return nil, false, err
	}
	f, err = tx.FlowByName(c.Name)
	return f, n > 0, err
}

// UpdateFlow patches a flow and reports whether it exists.
func (tx *Tx) UpdateFlow(id orion.ID, u *orion.FlowUpdate) (bool, error) {
	p := tx.patch("flow")
	if u.Tags.Set {
		p.set("tags", u.Tags.V)
	}
	return p.run(id)
}

// DeleteFlow removes a flow, its deployments and its runs.
func (tx *Tx) DeleteFlow(id orion.ID) (bool, error) { return tx.deleteByID("flow", id) }
