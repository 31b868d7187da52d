package orion

// TagLimit bounds how many task runs with a tag run at once. ActiveSlots are
// the task runs that hold one.
type TagLimit struct {
	ID               ID     `json:"id"`
	Created          Time   `json:"created"`
	Updated          Time   `json:"updated"`
	Tag              string `json:"tag"`
	ConcurrencyLimit int64  `json:"concurrency_limit"`
	ActiveSlots      []ID   `json:"active_slots"`
}

// TagLimitCreate makes a tag's limit or changes it.
type TagLimitCreate struct {
	Tag              string `json:"tag"`
	ConcurrencyLimit *int64 `json:"concurrency_limit"`
}

// Validate checks that both are there.
func (c *TagLimitCreate) Validate() error {
	switch {
	case c.Tag == "":
		return Required("tag")
	case c.ConcurrencyLimit == nil:
		return Required("concurrency_limit")
	case *c.ConcurrencyLimit < 0:
		return Refuse("concurrency_limit", "ensure this value is greater than or equal to 0")
	}
	return nil
}

// ConcurrencyLimit is a global, named limit whose slots any code may take.
type ConcurrencyLimit struct {
	ID                      ID      `json:"id"`
	Created                 Time    `json:"created"`
	Updated                 Time    `json:"updated"`
	Active                  bool    `json:"active"`
	Name                    string  `json:"name"`
	Limit                   int64   `json:"limit"`
	ActiveSlots             int64   `json:"active_slots"`
	DeniedSlots             int64   `json:"denied_slots"`
	SlotDecayPerSecond      float64 `json:"slot_decay_per_second"`
	AvgSlotOccupancySeconds float64 `json:"avg_slot_occupancy_seconds"`
}

// ConcurrencyLimitCreate makes a global limit.
type ConcurrencyLimitCreate struct {
	Active             *bool    `json:"active,omitzero"`
	Name               string   `json:"name"`
	Limit              *int64   `json:"limit"`
	ActiveSlots        *int64   `json:"active_slots,omitzero"`
	DeniedSlots        *int64   `json:"denied_slots,omitzero"`
	SlotDecayPerSecond *float64 `json:"slot_decay_per_second,omitzero"`
}

// Validate checks name and numbers.
func (c *ConcurrencyLimitCreate) Validate() error {
	if err := validName("name", c.Name); err != nil {
		return err
	}
	if c.Limit == nil {
		return Required("limit")
	}
	for field, v := range map[string]*int64{"limit": c.Limit, "active_slots": c.ActiveSlots, "denied_slots": c.DeniedSlots} {
		if v != nil && *v < 0 {
			return Refuse(field, "ensure this value is greater than or equal to 0")
		}
	}
	return nil
}

// ConcurrencyLimitUpdate is a global limit's patch.
type ConcurrencyLimitUpdate struct {
	Active             Opt[bool]    `json:"active,omitzero"`
	Name               Opt[string]  `json:"name,omitzero"`
	Limit              Opt[int64]   `json:"limit,omitzero"`
	ActiveSlots        Opt[int64]   `json:"active_slots,omitzero"`
	DeniedSlots        Opt[int64]   `json:"denied_slots,omitzero"`
	SlotDecayPerSecond Opt[float64] `json:"slot_decay_per_second,omitzero"`
}
