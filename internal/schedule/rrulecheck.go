package schedule

import (
	"errors"
	"fmt"
	"slices"

	"github.com/teambition/rrule-go"
)

// checkRule refuses rules on which the library would panic or never return,
// and normalises the rest. never means that the rule has no dates.
func checkRule(o *rrule.ROption) (never bool, err error) {
	if _, err := rrule.NewRRule(*o); err != nil {
		return false, err
	}
	for _, offset := range o.Byeaster {
		if offset < -80 || offset > 250 {
			return false, fmt.Errorf("BYEASTER=%d is out of range; use -80 to 250", offset)
		}
	}
	if !reachable(*o) {
		return false, errors.New("with this FREQ and INTERVAL it never reaches the given BYHOUR, BYMINUTE or BYSECOND")
	}
	if o.Count > maxFilteredCount && unitSeconds(o.Freq) != 0 && !isPlain(*o) {
		return false, fmt.Errorf("COUNT=%d is too much to count through; use at most %d, or UNTIL", o.Count, maxFilteredCount)
	}
	return dropImpossiblePositions(o) || dropImpossibleWeekdays(o), nil
}

// maxFilteredCount bounds the walk through a COUNT that cannot be calculated.
const maxFilteredCount = 1_000_000

// dropImpossiblePositions removes what BYSETPOS could never pick, such as the
// third second of a second, for which the library would look for ever.
func dropImpossiblePositions(o *rrule.ROption) (never bool) {
	if len(o.Bysetpos) == 0 {
		return false
	}
	size := 1
	switch o.Freq {
	case rrule.YEARLY:
		size = 366
	case rrule.MONTHLY:
		size = 31
	case rrule.WEEKLY:
		size = 7
	}
	if o.Freq < rrule.HOURLY {
		size *= max(1, len(o.Byhour))
	}
	if o.Freq < rrule.MINUTELY {
		size *= max(1, len(o.Byminute))
	}
	if o.Freq < rrule.SECONDLY {
		size *= max(1, len(o.Bysecond))
	}
	o.Bysetpos = slices.DeleteFunc(o.Bysetpos, func(pos int) bool { return pos > size || pos < -size })
	return len(o.Bysetpos) == 0
}

// dropImpossibleWeekdays removes "the 9th Monday of a month": no month has one,
// and the library looks for it outside its tables.
func dropImpossibleWeekdays(o *rrule.ROption) (never bool) {
	withinMonth := o.Freq == rrule.MONTHLY || o.Freq == rrule.YEARLY && len(o.Bymonth) > 0
	if !withinMonth {
		return false
	}
	numbered := 0
	kept := slices.DeleteFunc(slices.Clone(o.Byweekday), func(w rrule.Weekday) bool {
		if w.N() != 0 {
			numbered++
		}
		return w.N() > 5 || w.N() < -5
	})
	dropped := len(o.Byweekday) - len(kept)
	o.Byweekday = kept
	return dropped > 0 && dropped == numbered
}

// reachable reports whether an interval of hours, minutes or seconds ever meets
// the wanted time of day. The library steps until it does.
func reachable(o rrule.ROption) bool {
	if o.Freq < rrule.HOURLY {
		return true
	}
	const day = 24 * 60 * 60
	step := gcd(o.Interval*int(unitSeconds(o.Freq)), day)
	wanted := func(list []int, n int) bool { return len(list) == 0 || slices.Contains(list, n) }
	hour, minute, second := o.Dtstart.Clock()
	for t := (hour*3600 + minute*60 + second) % step; t < day; t += step {
		if wanted(o.Byhour, t/3600) &&
			(o.Freq < rrule.MINUTELY || wanted(o.Byminute, t/60%60)) &&
			(o.Freq < rrule.SECONDLY || wanted(o.Bysecond, t%60)) {
			return true
		}
	}
	return false
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
