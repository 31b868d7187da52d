package schedule

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/teambition/rrule-go"
)

// maxRRuleLength is Prefect's MAX_RRULE_LENGTH.
const maxRRuleLength = 6500

// maxExcluded ends a set whose EXRULE takes everything away.
const maxExcluded = 1_000_000

// defaultStart is DTSTART when there is none (Prefect's DEFAULT_ANCHOR_DATE).
var defaultStart = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// recurrence is an rrule or rruleset. As in Prefect, zones written inside it
// (Z, TZID) are dropped and every date is wall time in the schedule's zone. The
// library expands one rule at a time, in UTC; sets are merged here because it
// knows only one RRULE and no EXRULE.
type recurrence struct {
	rules, exRules     []rrule.ROption
	moreDates, exDates []time.Time // sorted
	start              time.Time
	isSet              bool
}

func parseRRule(text string) (kind, error) {
	if len(text) > maxRRuleLength {
		return nil, fmt.Errorf("the rrule has %d characters; at most %d are allowed", len(text), maxRRuleLength)
	}
	r, err := parseRecurrence(text)
	if err != nil {
		return nil, fmt.Errorf("rrule %q: %w", shorten(text, 80), err)
	}
	return r, nil
}

func shorten(text string, length int) string {
	if runes := []rune(text); len(runes) > length {
		return string(runes[:length]) + "…"
	}
	return text
}

// dates compares on the real time line, not on the wall, which is how the
// dates of one night of changing clocks are dropped or kept in Prefect.
func (r *recurrence) dates(z zone, start moment) iter.Seq[moment] {
	return func(yield func(moment) bool) {
		for wall := range r.walls(start.wall.Add(-2 * reach)) {
			t := z.earlier(wall)
			if t.Before(start.instant) {
				continue
			}
			if !yield(z.moment(t)) {
				return
			}
		}
	}
}

// walls yields wall times in order. It may leave out those before from.
func (r *recurrence) walls(from time.Time) iter.Seq[time.Time] {
	included := []func() (time.Time, bool){each(r.moreDates)}
	excluded := []func() (time.Time, bool){each(r.exDates)}
	for _, rule := range r.rules {
		included = append(included, occurrences(rule, from))
	}
	for _, rule := range r.exRules {
		excluded = append(excluded, occurrences(rule, from))
	}
	in, out := newMerge(included), newMerge(excluded)
	return func(yield func(time.Time) bool) {
		except, excepting := out.next()
		for skipped := 0; skipped < maxExcluded; skipped++ {
			t, ok := in.next()
			if !ok {
				return
			}
			for excepting && except.Before(t) {
				except, excepting = out.next()
			}
			if excepting && except.Equal(t) {
				continue
			}
			if !yield(t) {
				return
			}
			skipped = 0
		}
	}
}

// occurrences starts the library on one rule. Rules that repeat within a day
// are first moved to shortly before from, in whole intervals: walking there
// from 2020 second by second would take minutes.
func occurrences(o rrule.ROption, from time.Time) func() (time.Time, bool) {
	if unit := unitSeconds(o.Freq); unit != 0 {
		every := int64(o.Interval) * unit
		if o.Count > 0 && isPlain(o) {
			// Every interval is an occurrence, so the last one is known.
			last := time.Unix(o.Dtstart.Unix()+int64(o.Count-1)*every, 0).UTC()
			if o.Until.IsZero() || last.Before(o.Until) {
				o.Until = last
			}
			o.Count = 0
		}
		if ahead := from.Unix() - o.Dtstart.Unix(); ahead > 0 && o.Count == 0 {
			o.Dtstart = time.Unix(o.Dtstart.Unix()+ahead/every*every, 0).UTC()
		}
	}

	// The library looks for a rule that never matches until the year 9999, for
	// seconds. The calendar repeats every 400 years, so we let it look at a
	// later one, a few centuries before its end. Easter does not repeat.
	shift := 0
	if horizon := maxYear - 300 - o.Dtstart.Year(); len(o.Byeaster) == 0 && horizon > 0 {
		shift = horizon / 400 * 400
	}
	o.Dtstart = o.Dtstart.AddDate(shift, 0, 0)
	if o.Until.IsZero() {
		o.Until = time.Date(maxYear, 12, 31, 23, 59, 59, 0, time.UTC) // its own default is 290 years
	} else {
		o.Until = o.Until.AddDate(shift, 0, 0)
	}
	rule, err := rrule.NewRRule(o)
	if err != nil {
		return each(nil) // not reached: the parser has built this rule before
	}
	next := rule.Iterator()
	return func() (time.Time, bool) {
		t, ok := next()
		return t.AddDate(-shift, 0, 0), ok
	}
}

// unitSeconds is the unit of a rule that repeats within a day; 0 for the others.
func unitSeconds(f rrule.Frequency) int64 {
	switch f {
	case rrule.HOURLY:
		return 3600
	case rrule.MINUTELY:
		return 60
	case rrule.SECONDLY:
		return 1
	}
	return 0
}

// isPlain reports a rule without BYxxx: nothing but a start and an interval.
func isPlain(o rrule.ROption) bool {
	return len(o.Bysetpos)+len(o.Bymonth)+len(o.Bymonthday)+len(o.Byyearday)+len(o.Byweekno)+
		len(o.Byweekday)+len(o.Byhour)+len(o.Byminute)+len(o.Bysecond)+len(o.Byeaster) == 0
}

func each(times []time.Time) func() (time.Time, bool) {
	return func() (time.Time, bool) {
		if len(times) == 0 {
			return time.Time{}, false
		}
		t := times[0]
		times = times[1:]
		return t, true
	}
}

// merge joins ordered sources into one order without repeats.
type merge struct {
	heads   []head
	last    time.Time
	started bool
}

type head struct {
	at   time.Time
	next func() (time.Time, bool)
}

func newMerge(sources []func() (time.Time, bool)) *merge {
	m := &merge{}
	for _, next := range sources {
		if t, ok := next(); ok {
			m.heads = append(m.heads, head{t, next})
		}
	}
	return m
}

func (m *merge) next() (time.Time, bool) {
	for len(m.heads) > 0 {
		first := 0
		for i := range m.heads {
			if m.heads[i].at.Before(m.heads[first].at) {
				first = i
			}
		}
		t := m.heads[first].at
		if next, ok := m.heads[first].next(); ok {
			m.heads[first].at = next
		} else {
			m.heads = slices.Delete(m.heads, first, first+1)
		}
		if m.started && t.Equal(m.last) {
			continue
		}
		m.last, m.started = t, true
		return t, true
	}
	return time.Time{}, false
}
