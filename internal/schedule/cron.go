package schedule

import (
	"iter"
	"time"

	"github.com/netresearch/go-cron"
)

// cronSchedule is the union of its alternatives. The expression is expanded in
// cronfield.go, because every cron dialect expands differently and ours must be
// croniter's; the library finds the next match. It is given wall time as UTC,
// so its own opinion about daylight saving never applies.
type cronSchedule struct {
	expression   string
	fields       cronFields
	alternatives []*cron.SpecSchedule
}

func parseCron(expression string, dayOr bool) (kind, error) {
	fields, err := expandCron(expression)
	if err != nil {
		return nil, err
	}
	return cronSchedule{expression, fields, alternatives(fields, dayOr)}, nil
}

// dates walks on wall time from a second before start, so that start itself
// counts, and places each result on the real time line afterwards. Of a wall
// time that comes twice only the second counts, for start as for the results.
func (c cronSchedule) dates(z zone, start moment) iter.Seq[moment] {
	return func(yield func(moment) bool) {
		start = z.later(start.wall)
		wall := z.moment(start.instant.Add(-time.Second)).wall
		if start.instant.Nanosecond() != 0 {
			wall = start.wall
		}
		for {
			wall = c.next(wall)
			if wall.IsZero() || !yield(z.later(wall)) {
				return
			}
		}
	}
}

// next is the first match after a wall time; zero if there is none for 50 years.
func (c cronSchedule) next(after time.Time) time.Time {
	var first time.Time
	for _, alternative := range c.alternatives {
		if t := alternative.Next(after); !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// alternatives applies croniter's rule for the two day fields: with dayOr and
// neither of them a star, a match in either is enough. The special forms stand
// outside that rule: an nth weekday (5#2, L5) or a nearest weekday (15W) holds
// for both halves, which leaves it alone in charge.
func alternatives(f cronFields, dayOr bool) []*cron.SpecSchedule {
	day, weekday := f.day, f.weekday
	every := cronField{star: true}
	switch {
	case !dayOr || day.star || weekday.star:
		return f.withDays(day, weekday)
	case f.nearest > 0 || len(f.nth) > 0:
		return f.withDays(every, every)
	}
	return append(f.withDays(day, every), f.withDays(every, weekday)...)
}

// withDays builds the matcher for the given day fields; two when "the weekday
// nearest to the 29th or 30th" must mean something else in February.
func (f cronFields) withDays(day, weekday cronField) []*cron.SpecSchedule {
	s := &cron.SpecSchedule{
		Second: f.second.bits(0, 59), Minute: f.minute.bits(0, 59), Hour: f.hour.bits(0, 23),
		Month: f.month.bits(1, 12), Year: f.years(),
		Location: time.UTC, MaxSearchYears: 50,
	}

	if len(f.nth) > 0 {
		s.DowConstraints = f.nth
	} else {
		s.Dow = weekday.bits(0, 6)
	}

	if f.nearest == 0 {
		s.Dom = day.bits(1, 31)
		if day.last && !day.star {
			s.DomConstraints = []cron.DomConstraint{{Type: cron.DomLast}}
		}
		return []*cron.SpecSchedule{s}
	}

	// In a month that is too short the library finds nothing and croniter takes
	// the last day. The weekday nearest to the last day is the last weekday.
	short := *s
	short.DomConstraints = []cron.DomConstraint{{Type: cron.DomLastWeekday}}
	s.DomConstraints = []cron.DomConstraint{{Type: cron.DomNearestWeekday, N: f.nearest}}
	const february = uint64(1 << time.February)
	switch {
	case f.nearest == 31:
		return []*cron.SpecSchedule{&short}
	case f.nearest > 28 && s.Month&february != 0:
		s.Month &^= february
		short.Month = february
		return []*cron.SpecSchedule{s, &short}
	}
	return []*cron.SpecSchedule{s}
}

func (f cronFields) years() map[int]struct{} {
	if f.year.star {
		return nil
	}
	years := map[int]struct{}{}
	for _, y := range f.year.values {
		years[y] = struct{}{}
	}
	return years
}
