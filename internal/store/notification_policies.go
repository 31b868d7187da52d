package store

import (
	"github.com/orionflows/orion"
)

const notificationPolicyColumns = "id, created, updated, is_active, state_names, tags, block_document_id, message_template"

func scanNotificationPolicy(r *Row) (p orion.NotificationPolicy, err error) {
	err = r.Scan(&p.ID, &p.Created, &p.Updated, &p.IsActive, asJSON(&p.StateNames), asJSON(&p.Tags), &p.BlockDocumentID, &p.MessageTemplate)
	return p, err
}

// NotificationPolicy reads one policy; nil when there is none.
func (tx *Tx) NotificationPolicy(id orion.ID) (*orion.NotificationPolicy, error) {
	return first(tx, "SELECT "+notificationPolicyColumns+" FROM notification_policy WHERE workspace_id = ? AND id = ?", []any{tx.ws, id}, scanNotificationPolicy)
}

// NotificationPolicies lists policies, the oldest first; active says which, or
// nil for all.
func (tx *Tx) NotificationPolicies(active *bool, limit, offset int64) ([]orion.NotificationPolicy, error) {
	w := where("workspace_id = ?", tx.ws)
	if active != nil {
		w = all(w, where("is_active = ?", *active))
	}
	return list(tx, "SELECT "+notificationPolicyColumns+" FROM notification_policy WHERE "+w.sql+" ORDER BY id LIMIT ? OFFSET ?", append(w.args, limit, offset), scanNotificationPolicy)
}

// CreateNotificationPolicy stores a policy. A block that is unknown is a
// Conflict error.
func (tx *Tx) CreateNotificationPolicy(c *orion.NotificationPolicyCreate) (*orion.NotificationPolicy, error) {
	id := orion.NewID()
	if _, err := tx.exec("INSERT INTO notification_policy (workspace_id, id, created, updated, actor, is_active, state_names, tags, block_document_id, message_template) VALUES ("+marks(10)+")",
		tx.ws, id, tx.now, tx.now, tx.actor, c.IsActive == nil || *c.IsActive, c.StateNames, c.Tags, c.BlockDocumentID, c.MessageTemplate); err != nil {
		return nil, err
	}
	return tx.NotificationPolicy(id)
}

// UpdateNotificationPolicy patches a policy and reports whether it exists.
func (tx *Tx) UpdateNotificationPolicy(id orion.ID, u *orion.NotificationPolicyUpdate) (bool, error) {
	p := tx.patch("notification_policy")
	if u.IsActive.Has() {
		p.set("is_active", u.IsActive.V)
	}
	if u.StateNames.Set {
		p.set("state_names", u.StateNames.V)
	}
	if u.Tags.Set {
		p.set("tags", u.Tags.V)
	}
	if u.BlockDocumentID.Has() {
		p.set("block_document_id", u.BlockDocumentID.V)
	}
	setOpt(p, "message_template", u.MessageTemplate)
	return p.run(id)
}

// DeleteNotificationPolicy removes a policy.
func (tx *Tx) DeleteNotificationPolicy(id orion.ID) (bool, error) {
	return tx.deleteByID("notification_policy", id)
}
