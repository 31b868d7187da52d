package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// parseRecurrence reads what dateutil's rrulestr reads: white space separates
// properties, letters may be of either case, and a line without a name is an
// RRULE.
func parseRecurrence(text string) (*recurrence, error) {
	lines := strings.Fields(strings.ToUpper(text))
	if len(lines) == 0 {
		return nil, errors.New("it is empty")
	}
	r := &recurrence{start: defaultStart}
	startHasZone := false
	var rules, exRules []string
	for _, line := range lines {
		name, value, named := strings.Cut(line, ":")
		if !named {
			name, value = "RRULE", line
		}
		name, parameters, _ := strings.Cut(name, ";")
		var err error
		switch name {
		case "RRULE", "EXRULE":
			if parameters != "" {
				return nil, fmt.Errorf("%s takes no parameter %s", name, parameters)
			}
			if name == "RRULE" {
				rules = append(rules, value)
			} else {
				exRules = append(exRules, value)
			}
		case "RDATE":
			if parameters != "" && parameters != "VALUE=DATE-TIME" {
				return nil, fmt.Errorf("RDATE takes no parameter %s", parameters)
			}
			err = appendDates(&r.moreDates, value)
		case "EXDATE":
			if _, err = dateParameters(parameters); err == nil {
				err = appendDates(&r.exDates, value)
			}
		case "DTSTART":
			r.start, startHasZone, err = parseStart(parameters, value)
		default:
			return nil, fmt.Errorf("%q is not RRULE, EXRULE, RDATE, EXDATE or DTSTART", name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(rules)+len(r.moreDates) == 0 {
		return nil, errors.New("it has no RRULE and no RDATE, so no dates at all")
	}
	r.isSet = len(rules) != 1 || len(exRules)+len(r.moreDates)+len(r.exDates) > 0

	var err error
	if r.rules, err = parseRules(rules, r.start, startHasZone); err != nil {
		return nil, err
	}
	if r.exRules, err = parseRules(exRules, r.start, startHasZone); err != nil {
		return nil, err
	}
	slices.SortFunc(r.moreDates, time.Time.Compare)
	slices.SortFunc(r.exDates, time.Time.Compare)
	return r, nil
}

func parseStart(parameters, value string) (time.Time, bool, error) {
	zoned, err := dateParameters(parameters)
	if err != nil {
		return time.Time{}, false, err
	}
	t, hasZone, err := parseDate(value)
	if err == nil && zoned && hasZone {
		err = errors.New("the date has a zone and TZID gives another")
	}
	return t, zoned || hasZone, err
}

// dateParameters checks the parameters of a date and reports a time zone among
// them. dateutil understands TZID only as the last one.
func dateParameters(text string) (zoned bool, err error) {
	if text == "" {
		return false, nil
	}
	parameters := strings.Split(text, ";")
	values := 0
	for i, p := range parameters {
		switch {
		case strings.HasPrefix(p, "TZID="):
			zoned = i == len(parameters)-1
		case p == "VALUE=DATE-TIME" || p == "VALUE=DATE":
			values++
		default:
			return false, fmt.Errorf("the parameter %q is not supported", p)
		}
	}
	if values > 1 {
		return false, errors.New("VALUE is given more than once")
	}
	return zoned, nil
}

func appendDates(to *[]time.Time, list string) error {
	for text := range strings.SplitSeq(list, ",") {
		t, _, err := parseDate(text)
		if err != nil {
			return err
		}
		*to = append(*to, t)
	}
	return nil
}

var (
	dateZone    = regexp.MustCompile(`^(.*[T ].*|\d{12,14})(Z|[+-]\d{2}:?\d{2}|[+-]\d{2})$`)
	dateLayouts = []string{
		"20060102T150405", "20060102T1504", "20060102T15", "20060102", "20060102150405", "200601021504",
		"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02",
	}
)

// parseDate reads a date as wall time: a zone is noticed and then dropped, as
// Prefect's to_rrule does.
func parseDate(text string) (wall time.Time, hasZone bool, err error) {
	local := text
	if m := dateZone.FindStringSubmatch(text); m != nil {
		local, hasZone = m[1], true
	}
	for _, layout := range dateLayouts {
		if len(layout) != len(local) {
			continue
		}
		if t, err := time.Parse(layout, local); err == nil {
			return t, hasZone, nil
		}
	}
	return time.Time{}, false, fmt.Errorf("%q is no date; write it like 20240131T090000", text)
}

func parseRules(texts []string, start time.Time, startHasZone bool) ([]rrule.ROption, error) {
	var rules []rrule.ROption
	for _, text := range texts {
		o, never, err := parseRule(text, start, startHasZone)
		if err != nil {
			return nil, err
		}
		if !never {
			rules = append(rules, o)
		}
	}
	return rules, nil
}

var frequencies = map[string]rrule.Frequency{
	"YEARLY": rrule.YEARLY, "MONTHLY": rrule.MONTHLY, "WEEKLY": rrule.WEEKLY, "DAILY": rrule.DAILY,
	"HOURLY": rrule.HOURLY, "MINUTELY": rrule.MINUTELY, "SECONDLY": rrule.SECONDLY,
}

var weekdays = map[string]rrule.Weekday{
	"MO": rrule.MO, "TU": rrule.TU, "WE": rrule.WE, "TH": rrule.TH,
	"FR": rrule.FR, "SA": rrule.SA, "SU": rrule.SU,
}

// parseRule reads FREQ=…;KEY=VALUE;…. never means that it can have no dates.
func parseRule(text string, start time.Time, startHasZone bool) (o rrule.ROption, never bool, err error) {
	o = rrule.ROption{Freq: -1, Dtstart: start, Interval: 1}
	for pair := range strings.SplitSeq(text, ";") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || value == "" || strings.ContainsAny(value, "=:") {
			return o, false, fmt.Errorf("%q is not KEY=VALUE", pair)
		}
		switch key {
		case "FREQ":
			if o.Freq, ok = frequencies[value]; !ok {
				err = errors.New("use YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY or SECONDLY")
			}
		case "WKST":
			if o.Wkst, ok = weekdays[value]; !ok {
				err = errors.New("use MO, TU, WE, TH, FR, SA or SU")
			}
		case "UNTIL":
			err = parseUntil(&o, value, startHasZone)
		case "COUNT":
			o.Count, err = strconv.Atoi(value)
			never = err == nil && o.Count <= 0
		case "INTERVAL":
			o.Interval, err = strconv.Atoi(value)
			if err == nil && (o.Interval < 1 || o.Interval > 1_000_000_000) {
				err = errors.New("it must be 1 or more")
			}
		case "BYDAY", "BYWEEKDAY":
			o.Byweekday, err = parseWeekdays(value)
		default:
			list := ruleList(&o, key)
			if list == nil {
				return o, false, fmt.Errorf("%s is not a part of a rule", key)
			}
			*list, err = parseNumbers(value)
		}
		if err != nil {
			return o, false, fmt.Errorf("%s: %w", pair, err)
		}
	}
	if o.Freq < 0 {
		return o, false, errors.New("a rule needs FREQ, such as FREQ=DAILY")
	}
	noWeekday, err := checkRule(&o)
	return o, never || noWeekday, err
}

// ruleList is the list that a BYxxx key fills.
func ruleList(o *rrule.ROption, key string) *[]int {
	return map[string]*[]int{
		"BYSETPOS": &o.Bysetpos, "BYMONTH": &o.Bymonth, "BYMONTHDAY": &o.Bymonthday,
		"BYYEARDAY": &o.Byyearday, "BYWEEKNO": &o.Byweekno, "BYEASTER": &o.Byeaster,
		"BYHOUR": &o.Byhour, "BYMINUTE": &o.Byminute, "BYSECOND": &o.Bysecond,
	}[key]
}

func parseNumbers(list string) ([]int, error) {
	var numbers []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		if !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

func parseUntil(o *rrule.ROption, value string, startHasZone bool) error {
	until, hasZone, err := parseDate(value)
	switch {
	case err != nil:
		return err
	case hasZone && !startHasZone:
		return errors.New("UNTIL has a zone (Z) but DTSTART has none; drop the Z: the schedule's own zone applies")
	case !hasZone && startHasZone:
		return errors.New("DTSTART has a zone, so UNTIL must end in Z")
	}
	o.Until = until
	return nil
}

var weekdayText = regexp.MustCompile(`^(?:([+-]?\d+)?([A-Z]{2})|([A-Z]{2})\(([+-]?\d+)\))$`)

func parseWeekdays(list string) ([]rrule.Weekday, error) {
	var days []rrule.Weekday
	for text := range strings.SplitSeq(list, ",") {
		m := weekdayText.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("%q is no weekday; write MO or 2MO or -1FR", text)
		}
		day, ok := weekdays[m[2]+m[3]]
		if !ok {
			return nil, fmt.Errorf("%q is no weekday; write MO or 2MO or -1FR", text)
		}
		if number := m[1] + m[4]; number != "" {
			n, err := strconv.Atoi(number)
			if err != nil || n == 0 || n < -53 || n > 53 {
				return nil, fmt.Errorf("%q: the number must be 1 to 53 or -1 to -53", text)
			}
			day = day.Nth(n)
		}
		days = append(days, day)
	}
	return days, nil
}
