package store

import (
	"github.com/orionflows/orion"
)

// HeldLimit is a tag's limit with how many of its slots are taken.
type HeldLimit struct {
	ID               orion.ID
	Tag              string
	ConcurrencyLimit int64
	Taken            int64
}

// TagLimitsFor finds the limits on any of the tags, in the order of the tags'
// names, locked until the end of the transaction.
func (tx *Tx) TagLimitsFor(tags []string) ([]HeldLimit, error) {
	c := in("tag", tags)
	limits, err := list(tx, "SELECT id, tag, concurrency_limit FROM tag_limit WHERE workspace_id = ? AND "+c.sql+" ORDER BY tag"+tx.d.lock("tag_limit"),
		append([]any{tx.ws}, c.args...), func(r *Row) (l HeldLimit, err error) {
			err = r.Scan(&l.ID, &l.Tag, &l.ConcurrencyLimit)
			return l, err
		})
	for i := range limits {
		if err == nil {
			limits[i].Taken, err = tx.count("SELECT COUNT(*) FROM tag_slot WHERE workspace_id = ? AND limit_id = ?", tx.ws, limits[i].ID)
		}
	}
	return limits, err
}

// TakeTagSlot gives a slot of a limit to a task run; a run holds at most one.
func (tx *Tx) TakeTagSlot(limit, taskRun orion.ID) error {
	return tx.later("INSERT INTO tag_slot (workspace_id, limit_id, task_run_id, taken) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", tx.ws, limit, taskRun, tx.now)
}

// ReleaseTagSlots takes back every slot that a task run holds.
func (tx *Tx) ReleaseTagSlots(taskRun orion.ID) error {
	return tx.later("DELETE FROM tag_slot WHERE workspace_id = ? AND task_run_id = ?", tx.ws, taskRun)
}

const tagLimitColumns = "id, created, updated, tag, concurrency_limit"

func scanTagLimit(r *Row) (l orion.TagLimit, err error) {
	err = r.Scan(&l.ID, &l.Created, &l.Updated, &l.Tag, &l.ConcurrencyLimit)
	return l, err
}

// TagLimit reads a limit with its holders; nil when there is none.
func (tx *Tx) TagLimit(id orion.ID) (*orion.TagLimit, error) { return tx.oneTagLimit("id", id) }

// TagLimitByTag reads a tag's limit with its holders; nil when there is none.
func (tx *Tx) TagLimitByTag(tag string) (*orion.TagLimit, error) { return tx.oneTagLimit("tag", tag) }

func (tx *Tx) oneTagLimit(column string, v any) (*orion.TagLimit, error) {
	l, err := first(tx, "SELECT "+tagLimitColumns+" FROM tag_limit WHERE workspace_id = ? AND "+column+" = ?", []any{tx.ws, v}, scanTagLimit)
	if l == nil || err != nil {
		return nil, err
	}
	l.ActiveSlots, err = tx.slots(l.ID)
	return l, err
}

func (tx *Tx) slots(limit orion.ID) ([]orion.ID, error) {
	return list(tx, "SELECT task_run_id FROM tag_slot WHERE workspace_id = ? AND limit_id = ? ORDER BY taken", []any{tx.ws, limit},
		func(r *Row) (id orion.ID, err error) { err = r.Scan(&id); return id, err })
}

// TagLimits lists the limits by tag, with their holders.
func (tx *Tx) TagLimits(limit, offset int64) ([]orion.TagLimit, error) {
	ls, err := list(tx, "SELECT "+tagLimitColumns+" FROM tag_limit WHERE workspace_id = ? ORDER BY tag LIMIT ? OFFSET ?", []any{tx.ws, limit, offset}, scanTagLimit)
	if err != nil {
		return nil, err
	}
	at := map[orion.ID]int{}
	for i := range ls {
		at[ls[i].ID] = i
		ls[i].ActiveSlots = []orion.ID{}
	}
	err = tx.query("SELECT limit_id, task_run_id FROM tag_slot WHERE workspace_id = ? ORDER BY taken", []any{tx.ws}, func(r *Row) error {
		var l, run orion.ID
		if err := r.Scan(&l, &run); err != nil {
			return err
		}
		if i, ok := at[l]; ok {
			ls[i].ActiveSlots = append(ls[i].ActiveSlots, run)
		}
		return nil
	})
	return ls, err
}

// CreateTagLimit makes a tag's limit or changes its size, and reports which.
func (tx *Tx) CreateTagLimit(c *orion.TagLimitCreate) (*orion.TagLimit, bool, error) {
	before, err := tx.TagLimitByTag(c.Tag)
	if err != nil {
		return nil, false, err
	}
	_, err = tx.exec(`INSERT INTO tag_limit (workspace_id, id, created, updated, actor, tag, concurrency_limit) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (workspace_id, tag) DO UPDATE SET concurrency_limit = excluded.concurrency_limit, updated = excluded.updated, actor = excluded.actor`,
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, c.Tag, *c.ConcurrencyLimit)
	if err != nil {
		return nil, false, err
	}
	l, err := tx.TagLimitByTag(c.Tag)
	return l, before == nil, err
}

// ResetTagLimit replaces the holders of a tag's slots and reports whether the
// limit exists.
func (tx *Tx) ResetTagLimit(tag string, holders []orion.ID) (bool, error) {
	l, err := tx.TagLimitByTag(tag)
	if l == nil || err != nil {
		return false, err
	}
	if _, err := tx.exec("DELETE FROM tag_slot WHERE workspace_id = ? AND limit_id = ?", tx.ws, l.ID); err != nil {
		return false, err
	}
	for _, h := range holders {
		if err := tx.TakeTagSlot(l.ID, h); err != nil {
			return false, err
		}
	}
	return true, nil
}

// DeleteTagLimit removes a limit.
func (tx *Tx) DeleteTagLimit(id orion.ID) (bool, error) { return tx.deleteByID("tag_limit", id) }

// DeleteTagLimitByTag removes a tag's limit.
func (tx *Tx) DeleteTagLimitByTag(tag string) (bool, error) {
	n, err := tx.exec("DELETE FROM tag_limit WHERE workspace_id = ? AND tag = ?", tx.ws, tag)
	return n > 0, err
}
