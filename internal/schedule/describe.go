package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// description is a schedule in words; clock says that it names times of day, so
// that the zone matters to the reader.
type description struct {
	text  string
	clock bool
}

// Describe says it in words for a table: "every day at 06:00 (Europe/Oslo)",
// "every 10 minutes", "Mon–Fri at 09:00". What would take more than a line is
// shown as written. A zone other than UTC follows where times of day are named.
func (s *Schedule) Describe() string {
	d := s.kind.describe()
	if zone := s.zone.loc.String(); d.clock && zone != "UTC" {
		return d.text + " (" + zone + ")"
	}
	return d.text
}

func (iv interval) describe() description {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{7 * 24 * time.Hour, "week"}, {24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if iv.every%unit.length == 0 {
			return description{every(int(iv.every/unit.length), unit.name), false}
		}
	}
	return description{"every " + iv.every.String(), false}
}

// every is "every hour" or "every 3 hours".
func every(n int, unit string) string {
	if n == 1 {
		return "every " + unit
	}
	return fmt.Sprintf("every %d %ss", n, unit)
}

func (c cronSchedule) describe() description {
	asWritten := description{fmt.Sprintf("cron %s", c.expression), true}
	f := c.fields
	if f.nearest > 0 || len(f.nth) > 0 || !f.year.star || f.second.star || !slices.Equal(f.second.values, []int{0}) {
		return asWritten
	}
	days, ok := f.describeDays()
	if !ok {
		return asWritten
	}

	if n, ok := f.minute.repeats(60); ok && f.hour.star {
		return inDays(every(n, "minute"), days)
	}
	if len(f.minute.values) != 1 || f.minute.star {
		return asWritten
	}
	minute := f.minute.values[0]
	if n, ok := f.hour.repeats(24); ok {
		text := every(n, "hour")
		if minute > 0 {
			text += fmt.Sprintf(" at :%02d", minute)
		}
		d := inDays(text, days)
		d.clock = d.clock || n > 1
		return d
	}
	if len(f.hour.values) > 4 {
		return asWritten
	}
	return description{days + " at " + clockTimes(f.hour.values, []int{minute}), true}
}

// inDays leaves out "every day" where the hours say enough.
func inDays(text, days string) description {
	if days == "every day" {
		return description{text, false}
	}
	return description{text + ", " + days, true}
}

// repeats reports a field that is 0, n, 2n, … all the way around.
func (f cronField) repeats(around int) (n int, ok bool) {
	if f.star {
		return 1, true
	}
	if len(f.values) < 2 || f.values[0] != 0 || around%len(f.values) != 0 {
		return 0, false
	}
	n = around / len(f.values)
	for i, v := range f.values {
		if v != i*n {
			return 0, false
		}
	}
	return n, true
}

func (f cronFields) describeDays() (string, bool) {
	var days string
	switch {
	case f.day.star && f.weekday.star:
		days = "every day"
	case f.day.star:
		days = weekdayNames(f.weekday.values)
	case f.weekday.star && f.day.last && len(f.day.values) == 0:
		days = "on the last day of the month"
	case f.weekday.star && !f.day.last && len(f.day.values) <= 4:
		days = "on day " + joinNumbers(f.day.values) + " of the month"
	default:
		return "", false
	}
	if !f.month.star {
		if len(f.month.values) > 4 {
			return "", false
		}
		days += " in " + monthNames(f.month.values)
	}
	return days, true
}

// weekdayNames takes Sunday as 0 and joins runs: "Mon–Fri", "Mon, Wed".
func weekdayNames(days []int) string {
	names := strings.Fields("Mon Tue Wed Thu Fri Sat Sun")
	sorted := make([]int, 0, len(days)) // Monday as 0
	for _, d := range days {
		sorted = append(sorted, (d+6)%7)
	}
	slices.Sort(sorted)
	if last := len(sorted) - 1; last >= 2 && sorted[last]-sorted[0] == last {
		return names[sorted[0]] + "–" + names[sorted[last]]
	}
	var text []string
	for _, d := range sorted {
		text = append(text, names[d])
	}
	return strings.Join(text, ", ")
}

func monthNames(months []int) string {
	var text []string
	for _, m := range months {
		text = append(text, time.Month(m).String()[:3])
	}
	return strings.Join(text, ", ")
}

func joinNumbers(numbers []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
}

func clockTimes(hours, minutes []int) string {
	var times []string
	for _, h := range hours {
		for _, m := range minutes {
			times = append(times, fmt.Sprintf("%02d:%02d", h, m))
		}
	}
	slices.Sort(times)
	return strings.Join(times, ", ")
}

func (r *recurrence) describe() description {
	if len(r.rules) == 0 {
		return description{fmt.Sprintf("on %d given dates", len(r.moreDates)), false}
	}
	text := describeRule(r.rules[0])
	if n := len(r.rules) - 1; n > 0 {
		text += fmt.Sprintf(", and %d more rules", n)
	}
	if n := len(r.moreDates); n > 0 {
		text += fmt.Sprintf(", and %d more dates", n)
	}
	if len(r.exRules)+len(r.exDates) > 0 {
		text += ", with exceptions"
	}
	return description{text, true}
}

func describeRule(o rrule.ROption) string {
	unit := strings.Fields("year month week day hour minute second")[o.Freq]
	text := every(o.Interval, unit)

	if len(o.Byweekday) > 0 {
		text += " on " + ruleWeekdays(o)
	}
	if len(o.Bymonthday) > 0 {
		text += " on day " + joinNumbers(o.Bymonthday)
	}
	if len(o.Bymonth) > 0 {
		text += " in " + monthNames(o.Bymonth)
	}
	if o.Freq < rrule.HOURLY && len(o.Byhour)*max(1, len(o.Byminute)) <= 4 {
		hours, minutes := o.Byhour, o.Byminute
		if len(hours) == 0 {
			hours = []int{o.Dtstart.Hour()}
		}
		if len(minutes) == 0 {
			minutes = []int{o.Dtstart.Minute()}
		}
		text += " at " + clockTimes(hours, minutes)
	}
	if len(o.Bysetpos)+len(o.Byyearday)+len(o.Byweekno)+len(o.Byeaster) > 0 {
		text += ", further restricted"
	}
	if o.Count > 0 {
		text += fmt.Sprintf(", %d times", o.Count)
	}
	if !o.Until.IsZero() {
		text += ", until " + o.Until.Format(time.DateOnly)
	}
	return text
}

// ruleWeekdays is "Mon–Fri", or "1. Mon, last Fri" where they are counted.
func ruleWeekdays(o rrule.ROption) string {
	var plain []int
	var text []string
	for _, w := range o.Byweekday {
		day := (w.Day() + 1) % 7
		switch n := w.N(); {
		case n == 0 || o.Freq > rrule.MONTHLY:
			plain = append(plain, day)
		case n == -1:
			text = append(text, "last "+weekdayNames([]int{day}))
		default:
			text = append(text, fmt.Sprintf("%d. %s", n, weekdayNames([]int{day})))
		}
	}
	if len(plain) > 0 {
		slices.Sort(plain)
		text = append([]string{weekdayNames(slices.Compact(plain))}, text...)
	}
	return strings.Join(text, ", ")
}
