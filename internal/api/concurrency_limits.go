package api

import (
	"context"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createLimit(ctx context.Context, in struct{ Body orion.ConcurrencyLimitCreate }) (*orion.ConcurrencyLimit, error) {
	return write(ctx, a, func(tx *store.Tx) (*orion.ConcurrencyLimit, error) { return tx.CreateConcurrencyLimit(&in.Body) })
}

type byIDOrName struct {
	Ref string `path:"id_or_name"`
}

// publicLimit is a limit without what only taking slots looks at.
type publicLimit struct {
	ID                 orion.ID   `json:"id"`
	Created            orion.Time `json:"created"`
	Updated            orion.Time `json:"updated"`
	Active             bool       `json:"active"`
	Name               string     `json:"name"`
	Limit              int64      `json:"limit"`
	ActiveSlots        int64      `json:"active_slots"`
	SlotDecayPerSecond float64    `json:"slot_decay_per_second"`
}

func publicLimitOf(l *orion.ConcurrencyLimit) *publicLimit {
	if l == nil {
		return nil
	}
	return &publicLimit{l.ID, l.Created, l.Updated, l.Active, l.Name, l.Limit, l.ActiveSlots, l.SlotDecayPerSecond}
}

func (a *API) readLimit(ctx context.Context, in byIDOrName) (*publicLimit, error) {
	return one(ctx, a, "Concurrency Limit", func(tx *store.Tx) (*publicLimit, error) {
		l, err := tx.ConcurrencyLimit(in.Ref)
		return publicLimitOf(l), err
	})
}

func (a *API) filterLimits(ctx context.Context, in justPage) ([]publicLimit, error) {
	return page(ctx, a, in.Body, func(tx *store.Tx, limit, offset int64) ([]publicLimit, error) {
		ls, err := tx.ConcurrencyLimits(limit, offset)
		out := make([]publicLimit, len(ls))
		for i := range ls {
			out[i] = *publicLimitOf(&ls[i])
		}
		return out, err
	})
}

func (a *API) updateLimit(ctx context.Context, in struct {
	Ref  string `path:"id_or_name"`
	Body orion.ConcurrencyLimitUpdate
}) (none, error) {
	return change(ctx, a, "Concurrency Limit", func(tx *store.Tx) (bool, error) { return tx.UpdateConcurrencyLimit(in.Ref, &in.Body) })
}

func (a *API) deleteLimit(ctx context.Context, in byIDOrName) (none, error) {
	return change(ctx, a, "Concurrency Limit", func(tx *store.Tx) (bool, error) { return tx.DeleteConcurrencyLimit(in.Ref) })
}

// slotLimit is what increment and decrement answer of each limit.
type slotLimit struct {
	ID    orion.ID `json:"id"`
	Name  string   `json:"name"`
	Limit int64    `json:"limit"`
}

func slotLimits(ls []orion.ConcurrencyLimit) []slotLimit {
	out := make([]slotLimit, len(ls))
	for i, l := range ls {
		out[i] = slotLimit{l.ID, l.Name, l.Limit}
	}
	return out
}

type slotRequest struct {
	Body struct {
		Names            []string `json:"names"`
		Slots            *int64   `json:"slots"`
		Mode             *string  `json:"mode"`
		OccupancySeconds *float64 `json:"occupancy_seconds"`
	}
}

func (in *slotRequest) check() error {
	switch b := &in.Body; {
	case len(b.Names) == 0:
		return orion.Required("names")
	case b.Slots == nil:
		return orion.Required("slots")
	case *b.Slots <= 0:
		return orion.Refuse("slots", "ensure this value is greater than 0")
	case b.Mode != nil && *b.Mode != "concurrency" && *b.Mode != "rate_limit":
		return orion.Refuse("mode", "unexpected value; permitted: 'concurrency', 'rate_limit'")
	case b.OccupancySeconds != nil && *b.OccupancySeconds < 0:
		return orion.Refuse("occupancy_seconds", "ensure this value is greater than 0")
	}
	return nil
}

func (a *API) takeSlots(ctx context.Context, in slotRequest) ([]slotLimit, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var wait time.Duration
	ls, err := write(ctx, a, func(tx *store.Tx) (ls []orion.ConcurrencyLimit, err error) {
		ls, wait, err = tx.TakeSlots(in.Body.Names, *in.Body.Slots, in.Body.Mode != nil && *in.Body.Mode == "rate_limit")
		return ls, err
	})
	if err == nil && wait > 0 {
		err = &orion.Error{Kind: orion.Locked, Message: "no slot is free", RetryAfter: wait}
	}
	return slotLimits(ls), err
}

func (a *API) giveSlots(ctx context.Context, in slotRequest) ([]slotLimit, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	ls, err := write(ctx, a, func(tx *store.Tx) ([]orion.ConcurrencyLimit, error) {
		return tx.GiveSlots(in.Body.Names, *in.Body.Slots, in.Body.OccupancySeconds)
	})
	return slotLimits(ls), err
}
