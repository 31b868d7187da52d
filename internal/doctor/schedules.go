package doctor

import (
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/schedule"
)

// How far schedules are compared: so many of each one's next times.
const comparedTimes = 50

func parse(s *orion.Schedule) (*schedule.Schedule, error) {
	spec := schedule.Spec{Interval: s.Every(), Anchor: s.AnchorDate.Std(), DayOr: s.DayOr == nil || *s.DayOr}
	if s.Cron != nil {
		spec.Cron = *s.Cron
	}
	if s.RRule != nil {
		spec.RRule = *s.RRule
	}
	if s.Timezone != nil {
		spec.Timezone = *s.Timezone
	}
	return schedule.Parse(spec)
}

// schedules must be understood, have a time to come, and not start two runs of
// one deployment at once.
func (x *examination) schedules() {
	now := time.Now()
	for i := range x.all {
		d := &x.all[i]
		var parsed []*schedule.Schedule
		for j := range d.Schedules {
			s, err := parse(&d.Schedules[j].Schedule)
			if err != nil {
				x.find(Error, d.File, "Correct the schedule in the file.", "a schedule of %q makes no sense: %v", d.FullName, err)
				continue
			}
			if !d.Schedules[j].Active {
				continue
			}
			if len(s.Next(now, 1)) == 0 {
				x.find(Warning, d.File, "Correct the schedule, or take it out.", "a schedule of %q has no time to come: %s", d.FullName, s.Describe())
			}
			parsed = append(parsed, s)
		}
		for a := range parsed {
			for b := a + 1; b < len(parsed); b++ {
				if at, both := collision(parsed[a], parsed[b], now); both {
					x.find(Warning, d.File, "Change one of the schedules, or let one of them say both times.", "two schedules of %q start a run at the same time, next at %s: %s, and %s",
						d.FullName, at.Format("2006-01-02 15:04 MST"), parsed[a].Describe(), parsed[b].Describe())
				}
			}
		}
	}
}

// collision is the first time at which both schedules start a run, as far as
// the next times of either reach.
func collision(a, b *schedule.Schedule, from time.Time) (time.Time, bool) {
	var first time.Time
	for _, pair := range [][2]*schedule.Schedule{{a, b}, {b, a}} {
		for _, t := range pair[0].Next(from, comparedTimes) {
			other := pair[1].Next(t, 1)
			if len(other) == 1 && other[0].Equal(t) && (first.IsZero() || t.Before(first)) {
				first = t
			}
		}
	}
	return first, !first.IsZero()
}

// crowd tells of the minute of the coming day in which more deployments of a
// queue start than may run at once.
func (x *examination) crowd(l *lane, limit int64) {
	now := time.Now()
	minutes := map[time.Time]map[string]bool{}
	for _, d := range l.users {
		if d.Paused {
			continue
		}
		for i := range d.Schedules {
			s, err := parse(&d.Schedules[i].Schedule)
			if err != nil || !d.Schedules[i].Active {
				continue
			}
			for t := range s.From(now) {
				if t.Sub(now) > 24*time.Hour {
					break
				}
				t = t.Truncate(time.Minute).UTC()
				if minutes[t] == nil {
					minutes[t] = map[string]bool{}
				}
				minutes[t][d.FullName] = true
			}
		}
	}
	var worst time.Time
	for t, names := range minutes {
		if n := len(names); int64(n) > limit && (n > len(minutes[worst]) || n == len(minutes[worst]) && t.Before(worst)) {
			worst = t
		}
	}
	if n := len(minutes[worst]); n > 0 {
		x.find(Hint, l.users[0].File, "Spread the schedules over the hour, or raise the queue's limit.", "%d deployments start at %s in %s, which lets %d run at once: the others begin late",
			n, worst.Format("15:04 MST"), l, limit)
	}
}
