package orion

import (
	"time"
)

// Schedule is when a deployment runs: one of cron, interval or rrule, told
// apart by the key that is present, as on Prefect's wire.
type Schedule struct {
	Interval   *Seconds `json:"interval,omitzero"`
	AnchorDate Time     `json:"anchor_date,omitzero"`
	Cron       *string  `json:"cron,omitzero"`
	DayOr      *bool    `json:"day_or,omitzero"`
	RRule      *string  `json:"rrule,omitzero"`
	Timezone   *string  `json:"timezone"`
}

// DeploymentSchedule is one schedule of a deployment, with its own identity
// and switch.
type DeploymentSchedule struct {
	ID               ID       `json:"id"`
	Created          Time     `json:"created"`
	Updated          Time     `json:"updated"`
	DeploymentID     ID       `json:"deployment_id"`
	Schedule         Schedule `json:"schedule"`
	Active           bool     `json:"active"`
	MaxActiveRuns    *int64   `json:"max_active_runs"`
	MaxScheduledRuns *int64   `json:"max_scheduled_runs"`
	Catchup          bool     `json:"catchup"`
	Parameters       JSON     `json:"parameters,omitzero"`
	Slug             *string  `json:"slug,omitzero"`
}

// DeploymentScheduleCreate adds a schedule. Active is true unless said
// otherwise.
type DeploymentScheduleCreate struct {
	Schedule         *Schedule `json:"schedule"`
	Active           *bool     `json:"active,omitzero"`
	MaxActiveRuns    *int64    `json:"max_active_runs,omitzero"`
	MaxScheduledRuns *int64    `json:"max_scheduled_runs,omitzero"`
	Catchup          *bool     `json:"catchup,omitzero"`
	Parameters       JSON      `json:"parameters,omitzero"`
	Slug             *string   `json:"slug,omitzero"`
}

// Validate refuses an entry without a schedule.
func (c *DeploymentScheduleCreate) Validate() error {
	if c.Schedule == nil {
		return Required("schedule")
	}
	return c.Schedule.Validate()
}

// DeploymentScheduleUpdate is a schedule's patch.
type DeploymentScheduleUpdate struct {
	Schedule         Opt[Schedule] `json:"schedule,omitzero"`
	Active           Opt[bool]     `json:"active,omitzero"`
	MaxActiveRuns    Opt[int64]    `json:"max_active_runs,omitzero"`
	MaxScheduledRuns Opt[int64]    `json:"max_scheduled_runs,omitzero"`
	Catchup          Opt[bool]     `json:"catchup,omitzero"`
	Parameters       Opt[JSON]     `json:"parameters,omitzero"`
	Slug             Opt[string]   `json:"slug,omitzero"`
}

// Validate checks a new schedule's form.
func (u *DeploymentScheduleUpdate) Validate() error {
	if u.Schedule.Has() {
		return u.Schedule.V.Validate()
	}
	return nil
}

// Validate checks that exactly one kind of schedule is there and fills
// Prefect's defaults: day_or true, an anchor of now. What the expression
// means is checked by internal/schedule.
func (s *Schedule) Validate() error {
	n := 0
	if s.Interval != nil {
		n++
		if *s.Interval <= 0 {
			return Refuse("schedule.interval", "The interval must be positive")
		}
		if s.AnchorDate.IsZero() {
			s.AnchorDate = Now()
		}
		if s.Timezone == nil {
			utc := "UTC"
			s.Timezone = &utc
		}
	}
	if s.Cron != nil {
		n++
		if s.DayOr == nil {
			t := true
			s.DayOr = &t
		}
	}
	if s.RRule != nil {
		n++
		if s.Timezone == nil {
			utc := "UTC"
			s.Timezone = &utc
		}
	}
	if n != 1 {
		return Refuse("schedule", "a schedule needs exactly one of cron, interval or rrule")
	}
	return nil
}

// Every is the interval, 0 for other kinds.
func (s *Schedule) Every() time.Duration {
	if s.Interval == nil {
		return 0
	}
	return time.Duration(*s.Interval)
}
