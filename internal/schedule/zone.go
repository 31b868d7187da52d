package schedule

import "time"

// A zone turns wall-clock times into instants. Wall-clock ("naive") times are
// kept as time.Time in UTC, where every day has 24 hours and arithmetic is
// plain. Turning one into an instant is only a question when clocks change: a
// wall time may then be missing or come twice, and each library that Prefect
// uses answers differently.
type zone struct{ loc *time.Location }

// moment is an instant and what the clock on the wall shows. The two disagree
// with the zone nowhere except as documented at zone.moment.
type moment struct{ wall, instant time.Time }

// period is a stretch of time with one offset from UTC.
type period struct {
	start, end time.Time // zero: unbounded
	offset     time.Duration
	dst        bool
}

func (p period) contains(t time.Time) bool {
	return !t.Before(p.start) && (p.end.IsZero() || t.Before(p.end))
}

func periodAt(t time.Time) period {
	_, seconds := t.Zone()
	start, end := t.ZoneBounds()
	return period{start, end, time.Duration(seconds) * time.Second, t.IsDST()}
}

// reach is further than any zone is from UTC, with room for a change of clocks.
const reach = 40 * time.Hour

// around returns the periods that a wall time could belong to, in order:
// one, unless clocks change nearby.
func (z zone) around(wall time.Time) []period {
	var periods []period
	at, end := wall.Add(-reach), wall.Add(reach)
	for {
		p := periodAt(at.In(z.loc))
		if !p.end.IsZero() && !p.end.After(at) {
			// Past the tables, ZoneBounds takes every year to have 365 days and
			// on the last day of a leap year names an end that is over.
			p.end = at.Add(24 * time.Hour)
		}
		if n := len(periods) - 1; n >= 0 && periods[n].offset == p.offset && periods[n].dst == p.dst {
			periods[n].end = p.end
		} else {
			periods = append(periods, p)
		}
		if p.end.IsZero() || !p.end.Before(end) {
			return periods
		}
		at = p.end
	}
}

// instants returns the instants, none to two, at which the clock shows wall.
func instants(periods []period, wall time.Time) []time.Time {
	var found []time.Time
	for _, p := range periods {
		if t := wall.Add(-p.offset); p.contains(t) {
			found = append(found, t)
		}
	}
	return found
}

func wallOf(t time.Time, loc *time.Location) time.Time {
	_, seconds := t.In(loc).Zone()
	return t.UTC().Add(time.Duration(seconds) * time.Second)
}

// moment is pendulum's conversion of an instant (Timezone._convert). Pendulum
// marks the second of two equal wall times by "not daylight saving time", which
// picks the wrong one where the zone data call the earlier, further-ahead time
// the standard one, as for Morocco and Ireland; the run then has that instant.
func (z zone) moment(t time.Time) moment {
	t = t.UTC()
	if z.loc == time.UTC {
		return moment{t, t}
	}
	wall := wallOf(t, z.loc)
	if twice := instants(z.around(wall), wall); len(twice) > 1 {
		if t.In(z.loc).IsDST() {
			t = twice[0]
		} else {
			t = twice[len(twice)-1]
		}
	}
	return moment{wall, t}
}

// later is pendulum's reading of a wall time (POST_TRANSITION): the second of
// two, and a missing time moves on by as much as the clock did.
func (z zone) later(wall time.Time) moment {
	if z.loc == time.UTC {
		return moment{wall, wall}
	}
	periods := z.around(wall)
	if found := instants(periods, wall); len(found) > 0 {
		return moment{wall, found[len(found)-1]}
	}
	// Missing: after the last moment of one period, before the first of the next.
	i := 0
	for i < len(periods)-2 && !wall.Before(periods[i+1].start.UTC().Add(periods[i+1].offset)) {
		i++
	}
	t := wall.Add(-periods[i].offset)
	return moment{wallOf(t, z.loc), t}
}

// earlier is dateutil's reading of a wall time (tz.tzfile with fold=0): the
// first of two, and a missing time gets the offset from after the change, so it
// moves back. The times of change themselves are worked out from standard time
// as dateutil does, which is off by an hour where daylight saving is negative.
func (z zone) earlier(wall time.Time) time.Time {
	if z.loc == time.UTC {
		return wall
	}
	periods := z.around(wall)
	current := periods[0]
	for i := 1; i < len(periods); i++ {
		before, after := periods[i-1], periods[i]
		adjust := standardOffset(after, z.loc)
		if base := standardOffset(before, z.loc); base != adjust && before.dst != after.dst {
			adjust = base
		}
		change := after.start.UTC().Add(adjust)
		if wall.Before(change) {
			break
		}
		current = after
		if wall.Before(change.Add(before.offset - after.offset)) {
			current = before
		}
	}
	return wall.Add(-current.offset)
}

// standardOffset is the offset without daylight saving: that of the last
// standard period.
func standardOffset(p period, loc *time.Location) time.Duration {
	for range 4 { // more than any zone has in a row
		if !p.dst || p.start.IsZero() {
			break
		}
		p = periodAt(p.start.Add(-time.Second).In(loc))
	}
	return p.offset
}

// disorder bounds how far a later time of a schedule may lie before t: nothing,
// except within two days of a change of clocks.
func (z zone) disorder(t time.Time) time.Duration {
	if z.loc == time.UTC {
		return 0
	}
	const near = 48 * time.Hour
	before, after := periodAt(t.Add(-near).In(z.loc)), periodAt(t.Add(near).In(z.loc))
	return 2 * (after.offset - before.offset).Abs()
}
