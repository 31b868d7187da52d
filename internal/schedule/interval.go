package schedule

import (
	"errors"
	"iter"
	"time"
)

// interval is every so often, counted from an anchor (Prefect's IntervalSchedule).
type interval struct {
	every  time.Duration
	anchor time.Time
}

func newInterval(every time.Duration, anchor time.Time) (kind, error) {
	every = every.Truncate(time.Microsecond) // all that Prefect can represent
	if every <= 0 {
		return nil, errors.New("the interval of a schedule must be longer than 0 seconds")
	}
	if anchor.IsZero() {
		return nil, errors.New("an interval schedule needs an anchor date to count from")
	}
	return interval{every, anchor.Truncate(time.Microsecond)}, nil
}

// dates first jumps close to start by elapsed time and only then walks, so
// that a daily schedule anchored in winter and asked in summer is an hour late
// until asked in winter again. Odd, but it is what Prefect does.
func (iv interval) dates(z zone, start moment) iter.Seq[moment] {
	return func(yield func(moment) bool) {
		anchor := z.moment(iv.anchor)
		from, every := anchor.instant.UnixMicro(), iv.every.Microseconds() // a Duration ends after 292 years
		steps := (start.instant.UnixMicro() - from) / every                // rounds towards the anchor
		at := z.moment(time.UnixMicro(from + steps*every))
		for at.wall.Before(start.wall) {
			at = iv.step(z, at)
		}
		for yield(at) {
			at = iv.step(z, at)
		}
	}
}

// step adds one interval: wall-clock time from a day up, elapsed time below
// (pendulum's DateTime.add with and without days).
func (iv interval) step(z zone, m moment) moment {
	if iv.every >= 24*time.Hour {
		return z.later(m.wall.Add(iv.every))
	}
	return z.moment(m.instant.Add(iv.every))
}
