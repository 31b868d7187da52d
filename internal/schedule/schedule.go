// Package schedule turns the three kinds of schedule a deployment can carry
// (cron, interval, rrule) into times. It is pure: it reads no clock, no
// database and no configuration. Which runs exist, and how many are made ahead
// of time, is decided elsewhere.
//
// The contract is Prefect 2.20's prefect/server/schemas/schedules.py, including
// what its libraries (croniter, pendulum, dateutil) do around a change of
// clocks, because the date of a run is part of its idempotency key: a time that
// differs by an hour is a second run. differential_test.go compares the two.
//
// Start reading at Parse and Schedule; then cron.go, interval.go and rrule.go
// each hold one kind, and zone.go the four ways a wall-clock time becomes an
// instant.
//
// # Differences from Prefect that remain
//
//   - Random cron fields ("R/5", "R(0-9)") are refused as well as the plain "R"
//     and "H" that Prefect refuses: a schedule that moves at every reading
//     cannot be scheduled twice without harm.
//   - Where Prefect raises while it looks for times (a cron date that never
//     comes, a year field that has run out), the sequence simply ends. If only
//     one side of cron's day-or-weekday runs out, the other goes on, and so do
//     the other days beside a BYDAY that no month has (9MO).
//   - An rrule that Prefect accepts and then never finishes or always fails on
//     is refused: INTERVAL below 1, UNTIL with Z but DTSTART without, numbers
//     out of range, times of day that the interval never reaches, EXDATE or
//     EXRULE with nothing to take away from.
//   - Dates in an rrule are iCalendar (20240131T090000Z) or ISO 8601; dateutil
//     would also guess at other spellings, filling gaps from today's date.
//   - An rrule is followed for 300 to 700 years, and a COUNT above a million
//     is refused for rules within the day that have BYxxx parts.
//   - BYEASTER is limited to -80…250 days, past which dateutil's table wraps.
//   - After 2037 dateutil forgets daylight saving time, and pendulum turns that
//     of Lord Howe around; we do neither. Zone data are the machine's, or those
//     embedded here; Prefect 2 bundles older ones.
package schedule

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
	_ "time/tzdata" // a bare machine or an empty container has no zone files
)

// maxCandidates is how many times a schedule is tried per call, duplicates
// included. Prefect says 1000 and counts to 1002 (MAX_ITERATIONS in schedules.py).
const maxCandidates = 1002

// maxYear is the last year that RFC 3339, and Python, can write.
const maxYear = 9999

// Spec is one schedule as a client wrote it; exactly one of Cron, Interval and
// RRule is set.
type Spec struct {
	Cron  string
	DayOr bool // true: day of month OR day of week, croniter's default; false: both

	Interval time.Duration
	Anchor   time.Time // needed with Interval; Prefect's default is the moment of creation

	RRule string

	// Timezone is an IANA name. Empty means UTC; for an interval, the anchor's
	// own zone if that has an IANA name (a bare offset is as good as UTC).
	Timezone string
}

// Schedule is a parsed Spec. It never changes and may be used by many
// goroutines at once.
type Schedule struct {
	spec Spec
	zone zone
	kind kind
}

// kind is one of cron, interval and rrule.
type kind interface {
	// dates yields times at or after start in Prefect's order, which near a
	// change of clocks is not quite the order of time; repeats are allowed.
	dates(z zone, start moment) iter.Seq[moment]
	describe() description
}

// Parse checks a schedule. Errors are sentences for whoever wrote it.
func Parse(s Spec) (*Schedule, error) {
	given := 0
	for _, set := range []bool{s.Cron != "", s.Interval != 0, s.RRule != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("a schedule needs exactly one of cron, interval and rrule")
	}

	z, err := zoneOf(s)
	if err != nil {
		return nil, err
	}
	var k kind
	switch {
	case s.Cron != "":
		k, err = parseCron(s.Cron, s.DayOr)
	case s.RRule != "":
		k, err = parseRRule(s.RRule)
	default:
		k, err = newInterval(s.Interval, s.Anchor)
	}
	if err != nil {
		return nil, err
	}
	return &Schedule{spec: s, zone: z, kind: k}, nil
}

func zoneOf(s Spec) (zone, error) {
	if s.Timezone == "" {
		if s.Interval != 0 {
			// A fixed offset and time.Local have no name to look up again.
			if loc, err := loadLocation(s.Anchor.Location().String()); err == nil {
				return zone{loc}, nil
			}
		}
		return zone{time.UTC}, nil
	}
	loc, err := loadLocation(s.Timezone)
	if err != nil {
		return zone{}, fmt.Errorf("unknown time zone %q: use an IANA name such as Europe/Oslo", s.Timezone)
	}
	return zone{loc}, nil
}

func loadLocation(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, errors.New("not an IANA name")
	}
	return time.LoadLocation(name)
}

// From yields the distinct times at or after start, earliest first, in the
// schedule's zone. It ends when the schedule does, or after about a thousand.
func (s *Schedule) From(start time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		var held []time.Time // sorted; waiting for a time that may still come before them
		for t := range s.distinct(start) {
			at, _ := slices.BinarySearchFunc(held, t, time.Time.Compare)
			held = slices.Insert(held, at, t)
			settled := t.Add(-s.zone.disorder(t))
			for len(held) > 0 && !held[0].After(settled) {
				if !yield(held[0]) {
					return
				}
				held = held[1:]
			}
		}
		for _, t := range held {
			if !yield(t) {
				return
			}
		}
	}
}

// Next returns the first n times at or after start, earliest first: exactly
// what Prefect's get_dates(n, start) returns.
func (s *Schedule) Next(start time.Time, n int) []time.Time {
	times := []time.Time{}
	if n <= 0 {
		return times
	}
	for t := range s.distinct(start) {
		times = append(times, t)
		if len(times) == n {
			break
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// distinct drops repeats as Prefect does: by the clock on the wall, so that of
// two runs an hour apart which both read 01:30 only the first is kept.
func (s *Schedule) distinct(start time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		seen := map[int64]bool{}
		tried := 0
		for m := range s.kind.dates(s.zone, s.zone.moment(start.Truncate(time.Microsecond))) {
			if m.wall.Year() > maxYear {
				return
			}
			if at := m.wall.UnixMicro(); !seen[at] {
				seen[at] = true
				if !yield(m.instant.In(s.zone.loc)) {
					return
				}
			}
			if tried++; tried == maxCandidates {
				return
			}
		}
	}
}
