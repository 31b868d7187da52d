package store

import (
	"fmt"
	"math"
	"time"

	"github.com/orionflows/orion"
)

const limitColumns = "id, created, updated, active, name, slot_limit, active_slots, denied_slots, slot_decay_per_second, avg_slot_occupancy_seconds"

func scanLimit(r *Row) (l orion.ConcurrencyLimit, err error) {
	err = r.Scan(&l.ID, &l.Created, &l.Updated, &l.Active, &l.Name, &l.Limit, &l.ActiveSlots, &l.DeniedSlots, &l.SlotDecayPerSecond, &l.AvgSlotOccupancySeconds)
	return l, err
}

// ConcurrencyLimit reads a global limit by its id or its name; nil when there
// is none.
func (tx *Tx) ConcurrencyLimit(idOrName string) (*orion.ConcurrencyLimit, error) {
	if id, err := orion.ParseID(idOrName); err == nil {
		return first(tx, "SELECT "+limitColumns+" FROM concurrency_limit WHERE workspace_id = ? AND id = ?", []any{tx.ws, id}, scanLimit)
	}
	return first(tx, "SELECT "+limitColumns+" FROM concurrency_limit WHERE workspace_id = ? AND name = ?", []any{tx.ws, idOrName}, scanLimit)
}

// ConcurrencyLimits lists the global limits by name.
func (tx *Tx) ConcurrencyLimits(limit, offset int64) ([]orion.ConcurrencyLimit, error) {
	return list(tx, "SELECT "+limitColumns+" FROM concurrency_limit WHERE workspace_id = ? ORDER BY name LIMIT ? OFFSET ?", []any{tx.ws, limit, offset}, scanLimit)
}

// CreateConcurrencyLimit makes a global limit; a name that is taken is a
// Conflict error.
func (tx *Tx) CreateConcurrencyLimit(c *orion.ConcurrencyLimitCreate) (*orion.ConcurrencyLimit, error) {
	or := func(p *int64) int64 {
		if p == nil {
			return 0
		}
		return *p
	}
	decay := 0.0
	if c.SlotDecayPerSecond != nil {
		decay = *c.SlotDecayPerSecond
	}
	n, err := tx.exec("INSERT INTO concurrency_limit (workspace_id, id, created, updated, actor, active, name, slot_limit, active_slots, denied_slots, slot_decay_per_second, avg_slot_occupancy_seconds) VALUES ("+marks(12)+") ON CONFLICT DO NOTHING",
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, c.Active == nil || *c.Active, c.Name, or(c.Limit), or(c.ActiveSlots), or(c.DeniedSlots), decay, 2.0)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, integrity(nil)
	}
	return tx.ConcurrencyLimit(c.Name)
}

// UpdateConcurrencyLimit patches a global limit and reports whether it exists.
func (tx *Tx) UpdateConcurrencyLimit(idOrName string, u *orion.ConcurrencyLimitUpdate) (bool, error) {
	l, err := tx.ConcurrencyLimit(idOrName)
	if l == nil || err != nil {
		return false, err
	}
	p := tx.patch("concurrency_limit")
	if u.Active.Has() {
		p.set("active", u.Active.V)
	}
	if u.Name.Has() {
		p.set("name", u.Name.V)
	}
	if u.Limit.Has() {
		p.set("slot_limit", u.Limit.V)
	}
	if u.ActiveSlots.Has() {
		p.set("active_slots", u.ActiveSlots.V)
	}
	if u.DeniedSlots.Has() {
		p.set("denied_slots", u.DeniedSlots.V)
	}
	if u.SlotDecayPerSecond.Has() {
		p.set("slot_decay_per_second", u.SlotDecayPerSecond.V)
	}
	return p.run(l.ID)
}

// DeleteConcurrencyLimit removes a global limit.
func (tx *Tx) DeleteConcurrencyLimit(idOrName string) (bool, error) {
	l, err := tx.ConcurrencyLimit(idOrName)
	if l == nil || err != nil {
		return false, err
	}
	return tx.deleteByID("concurrency_limit", l.ID)
}

func (tx *Tx) limitsNamed(names []string) ([]orion.ConcurrencyLimit, error) {
	c := in("name", names)
	return list(tx, "SELECT "+limitColumns+" FROM concurrency_limit WHERE workspace_id = ? AND "+c.sql+" ORDER BY name"+tx.d.lock("concurrency_limit"), append([]any{tx.ws}, c.args...), scanLimit)
}

// TakeSlots takes slots of every named limit, or of none. Names that are not
// known become inactive limits of one, which never block, as in Prefect 2.
// When there is not enough room it answers how long to wait, and counts the
// refusal.
func (tx *Tx) TakeSlots(names []string, slots int64, rate bool) (taken []orion.ConcurrencyLimit, wait time.Duration, err error) {
	for _, n := range names {
		if _, err := tx.exec("INSERT INTO concurrency_limit (workspace_id, id, created, updated, actor, active, name, slot_limit, active_slots, denied_slots, slot_decay_per_second, avg_slot_occupancy_seconds) VALUES ("+marks(12)+") ON CONFLICT DO NOTHING",
			tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, false, n, int64(1), int64(0), int64(0), 0.0, 2.0); err != nil {
			return nil, 0, err
		}
	}
	limits, err := tx.limitsNamed(names)
	if err != nil {
		return nil, 0, err
	}
	active := limits[:0]
	for _, l := range limits {
		if l.Active {
			active = append(active, l)
		}
	}
	fits := true
	for i := range active {
		l := &active[i]
		if slots > l.Limit {
			return nil, 0, &orion.Error{Kind: orion.Invalid, Message: "Slots requested is greater than the limit"}
		}
		if rate && l.SlotDecayPerSecond <= 0 {
			return nil, 0, &orion.Error{Kind: orion.Invalid, Message: fmt.Sprintf("Only concurrency limits with `slot_decay_per_second` can be used for rate limiting: %s has none", l.Name)}
		}
		since := tx.now.Sub(l.Updated).Seconds()
		l.ActiveSlots = decayed(l.ActiveSlots, l.SlotDecayPerSecond, since)
		free := l.SlotDecayPerSecond
		if free == 0 {
			free = 1 / l.AvgSlotOccupancySeconds
		}
		l.DeniedSlots = decayed(l.DeniedSlots, free, since)
		if l.ActiveSlots+slots > l.Limit {
			fits = false
		}
	}
	if !fits {
		seconds := 0.0
		for _, l := range active {
			perSlot, blocking := l.AvgSlotOccupancySeconds, float64(slots+l.DeniedSlots)/math.Max(float64(l.Limit), 1)
			if l.SlotDecayPerSecond > 0 {
				perSlot, blocking = 1/l.SlotDecayPerSecond, float64(slots+l.DeniedSlots)
			}
			seconds = math.Max(seconds, perSlot*blocking)
			if _, err := tx.exec("UPDATE concurrency_limit SET denied_slots = ? WHERE workspace_id = ? AND id = ?", l.DeniedSlots+slots, tx.ws, l.ID); err != nil {
				return nil, 0, err
			}
		}
		return nil, time.Duration(seconds * float64(time.Second)), nil
	}
	for i := range active {
		l := &active[i]
		l.ActiveSlots += slots
		if _, err := tx.exec("UPDATE concurrency_limit SET active_slots = ?, denied_slots = ?, updated = ?, actor = ? WHERE workspace_id = ? AND id = ?",
			l.ActiveSlots, l.DeniedSlots, tx.now, tx.actor, tx.ws, l.ID); err != nil {
			return nil, 0, err
		}
	}
	return active, 0, nil
}

func decayed(n int64, perSecond, seconds float64) int64 {
	return max(0, n-int64(math.Floor(perSecond*seconds)))
}

// minOccupancy is the least time a slot counts as taken, in seconds.
const minOccupancy = 0.1

// GiveSlots gives slots back to every named limit and learns from how long
// they were taken.
func (tx *Tx) GiveSlots(names []string, slots int64, occupied *float64) ([]orion.ConcurrencyLimit, error) {
	limits, err := tx.limitsNamed(names)
	if err != nil {
		return nil, err
	}
	out := []orion.ConcurrencyLimit{}
	for _, l := range limits {
		if !l.Active {
			continue
		}
		l.ActiveSlots = max(0, decayed(l.ActiveSlots, l.SlotDecayPerSecond, tx.now.Sub(l.Updated).Seconds())-slots)
		if occupied != nil && l.Limit > 0 {
			avg := l.AvgSlotOccupancySeconds
			weight := float64(l.Limit) * 2
			l.AvgSlotOccupancySeconds = avg + math.Max(*occupied/float64(max(slots, 1)), minOccupancy)/weight - avg/weight
		}
		if _, err := tx.exec("UPDATE concurrency_limit SET active_slots = ?, avg_slot_occupancy_seconds = ?, updated = ?, actor = ? WHERE workspace_id = ? AND id = ?",
			l.ActiveSlots, l.AvgSlotOccupancySeconds, tx.now, tx.actor, tx.ws, l.ID); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}
