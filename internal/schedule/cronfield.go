package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/netresearch/go-cron"
)

// cronFields is an expression expanded as croniter's _expand does.
type cronFields struct {
	minute, hour, day, month, weekday, second, year cronField

	nth     []cron.DowConstraint // 5#2 and L5; they replace the weekday field
	nearest int                  // 15W; replaces the day field. 0: none
}

// cronField is the set of values a field allows.
type cronField struct {
	star   bool
	last   bool  // L, in the day field
	values []int // sorted, without repeats
}

func (f cronField) bits(lowest, highest int) uint64 {
	var bits uint64
	for v := lowest; v <= highest; v++ {
		if f.star || slices.Contains(f.values, v) {
			bits |= 1 << v
		}
	}
	return bits
}

// fieldKind says what may stand in one column.
type fieldKind struct {
	name            string
	lowest, highest int
	names           []string // the first one means lowest
	alias           [2]int   // a value that means another: 7 is Sunday, too
	aliasColumns    []int    // for which number of columns
}

// The order is croniter's: seconds are the sixth column, years the seventh.
// The odd aliases are croniter's as well: with six columns a day 0 is day 1.
var fieldKinds = []fieldKind{
	{name: "minute", highest: 59},
	{name: "hour", highest: 23},
	{name: "day of month", lowest: 1, highest: 31, alias: [2]int{0, 1}, aliasColumns: []int{6}},
	{name: "month", lowest: 1, highest: 12, names: strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")},
	{name: "day of week", highest: 6, names: strings.Fields("sun mon tue wed thu fri sat"), alias: [2]int{7, 0}, aliasColumns: []int{5}},
	{name: "second", highest: 59},
	{name: "year", lowest: 1970, highest: 2099},
}

const (
	dayColumn     = 2
	weekdayColumn = 4
)

var cronAliases = map[string]string{
	"@midnight": "0 0 * * *", "@daily": "0 0 * * *", "@hourly": "0 * * * *",
	"@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

const maxCronLength = 4096 // far above any honest expression; expansion is quadratic

func expandCron(expression string) (cronFields, error) {
	if len(expression) > maxCronLength {
		return cronFields{}, fmt.Errorf("the cron expression has %d characters; at most %d are allowed", len(expression), maxCronLength)
	}
	lower := strings.ToLower(expression)
	if full, ok := cronAliases[lower]; ok {
		lower = full
	}
	columns := strings.Fields(lower)
	if len(columns) < 5 || len(columns) > 7 {
		return cronFields{}, fmt.Errorf("cron %q has %d fields; it needs 5 (minute hour day month weekday), 6 (and second) or 7 (and year)", expression, len(columns))
	}

	x := cronExpansion{columns: columns}
	expanded := make([]cronField, len(fieldKinds))
	expanded[5] = cronField{values: []int{0}}
	expanded[6] = cronField{star: true}
	for i := range columns {
		field, err := x.expand(i)
		if err != nil {
			return cronFields{}, fmt.Errorf("cron %q: %s field %q: %w", expression, fieldKinds[i].name, columns[i], err)
		}
		expanded[i] = field
	}
	if x.mixesNth(expanded[weekdayColumn]) {
		return cronFields{}, fmt.Errorf("cron %q: the day of week field cannot mix plain days and nth days (5#2, L5)", expression)
	}
	return cronFields{
		expanded[0], expanded[1], expanded[2], expanded[3], expanded[4], expanded[5], expanded[6],
		x.nth, x.nearest,
	}, nil
}

// cronExpansion is the state that croniter shares between columns.
type cronExpansion struct {
	columns []string
	nth     []cron.DowConstraint
	nearest int
}

var (
	randomOrHashed  = regexp.MustCompile(`^[hr](\(\d+-\d+\))?(/\d+)?$`)
	nthWeekday      = regexp.MustCompile(`^([a-z]{3}-[a-z]{3}|\w+)#(\d+)$`)
	lastWeekday     = regexp.MustCompile(`^l(\d+)$`)
	nearestWeekday  = regexp.MustCompile(`^(?:(\d+)w|w(\d+))$`)
	rangeExpression = regexp.MustCompile(`^([^-]+)-([^-/]+)(?:/(\d+))?$`)
	digits          = regexp.MustCompile(`^\d+$`)
)

func (x *cronExpansion) expand(column int) (cronField, error) {
	text := x.columns[column]
	if randomOrHashed.MatchString(text) {
		return cronField{}, errors.New("random (R) and hashed (H) values are not supported; choose a fixed value")
	}
	if strings.Contains(text, "?") {
		if text != "?" || column != dayColumn && column != weekdayColumn {
			return cronField{}, errors.New("? can only stand alone, for the day of month or the day of week")
		}
		text = "*"
	}
	var field cronField
	elements := strings.Split(text, ",")
	for _, element := range elements {
		if err := x.element(column, element, len(elements) > 1, &field); err != nil {
			return cronField{}, err
		}
	}
	slices.Sort(field.values)
	field.values = slices.Compact(field.values)

	// A list of everything is a star, unless that would change how the two day
	// fields work together. croniter looks at the raw text for that, so even
	// the star in "*/2" counts.
	size := len(field.values)
	if field.star {
		size++
	}
	if field.last {
		size++
	}
	if size == fieldKinds[column].highest-fieldKinds[column].lowest+1 {
		other := map[int]int{dayColumn: weekdayColumn, weekdayColumn: dayColumn}[column]
		if other == 0 || strings.Contains(x.columns[other], "*") {
			field = cronField{star: true}
		}
	}
	return field, nil
}

// element adds one part of a comma-separated list to the field.
func (x *cronExpansion) element(column int, text string, listed bool, field *cronField) error {
	nth := 0 // 1–5, or -1 for the last one of the month
	if column == weekdayColumn {
		if m := nthWeekday.FindStringSubmatch(text); m != nil {
			n, err := strconv.Atoi(m[2])
			if err != nil || n < 1 || n > 5 {
				return fmt.Errorf("a month has no weekday number %s; use #1 to #5", m[2])
			}
			text, nth = m[1], n
		} else if m := lastWeekday.FindStringSubmatch(text); m != nil {
			text, nth = m[1], -1
		}
	}
	if column == dayColumn {
		if m := nearestWeekday.FindStringSubmatch(text); m != nil {
			day, err := strconv.Atoi(m[1] + m[2])
			if err != nil || day < 1 || day > 31 {
				return fmt.Errorf("there is no day %s in any month", m[1]+m[2])
			}
			if listed {
				return errors.New("W (nearest weekday) must stand alone, not in a list")
			}
			x.nearest = day
			field.values = append(field.values, day)
			return nil
		}
	}

	kind := fieldKinds[column]
	if low, high, step, ok := splitRange(text, kind); ok {
		values, err := x.rangeValues(column, low, high, step)
		if err != nil {
			return err
		}
		for _, v := range values {
			// As in croniter, each value of a range meets the alias and the
			// bounds once more: 0-5 is no range of months.
			if err := x.add(column, v, nth, field); err != nil {
				return err
			}
		}
		return nil
	}

	switch {
	case text == "*":
		field.star = true
		return nil
	case text == "l" && column == dayColumn:
		field.last = true
		return nil
	}
	v, err := x.number(column, text)
	if err != nil {
		return err
	}
	return x.add(column, v, nth, field)
}

func (x *cronExpansion) add(column, v, nth int, field *cronField) error {
	kind := fieldKinds[column]
	v = x.alias(column, v)
	if v < kind.lowest || v > kind.highest {
		return fmt.Errorf("%d is out of range; use %d to %d", v, kind.lowest, kind.highest)
	}
	field.values = append(field.values, v)
	if nth != 0 {
		x.nth = append(x.nth, cron.DowConstraint{Weekday: v, N: nth})
	}
	return nil
}

// splitRange recognises a-b, a-b/n, */n and a/n, which means a-highest/n.
func splitRange(text string, kind fieldKind) (low, high, step string, ok bool) {
	if rest, found := strings.CutPrefix(text, "*/"); found && rest != "" {
		text = fmt.Sprintf("%d-%d/%s", kind.lowest, kind.highest, rest)
	}
	m := rangeExpression.FindStringSubmatch(text)
	if m == nil {
		slash := strings.LastIndexByte(text, '/')
		if slash < 1 || slash == len(text)-1 {
			return "", "", "", false
		}
		m = rangeExpression.FindStringSubmatch(fmt.Sprintf("%s-%d%s", text[:slash], kind.highest, text[slash:]))
	}
	if m == nil {
		return "", "", "", false
	}
	return m[1], m[2], m[3], true
}

func (x *cronExpansion) rangeValues(column int, lowText, highText, stepText string) ([]int, error) {
	kind := fieldKinds[column]
	if column == dayColumn && highText == "l" {
		highText = "31"
	}
	low, err := x.number(column, lowText)
	if err != nil {
		return nil, err
	}
	high, err := x.number(column, highText)
	if err != nil {
		return nil, err
	}
	step := 1
	if stepText != "" {
		if step, err = strconv.Atoi(stepText); err != nil || step == 0 {
			return nil, fmt.Errorf("the step /%s must be a number above 0", stepText)
		}
	}
	low, high = x.alias(column, low), x.alias(column, high)
	if max(low, high) > kind.highest {
		return nil, fmt.Errorf("%s-%s is out of range; use %d to %d", lowText, highText, kind.lowest, kind.highest)
	}

	switch {
	case low == high: // "mon-mon" goes once around
		return stepped(kind.lowest, kind.highest, step), nil
	case low < high:
		return stepped(low, high, step), nil
	}
	// Over the end and on from the start. How much of the step is left over
	// then is croniter's own arithmetic, one short of what one would expect.
	values := stepped(low, kind.highest, step)
	left := kind.highest - values[len(values)-1]
	skip := 0
	if left+1 < step {
		skip = step - left
	}
	return append(values, stepped(kind.lowest+skip, high, step)...), nil
}

func stepped(low, high, step int) []int {
	var values []int
	for v := low; v <= high; v += step {
		values = append(values, v)
		if step > high { // also keeps v+step from overflowing
			break
		}
	}
	return values
}

func (x *cronExpansion) number(column int, text string) (int, error) {
	if digits.MatchString(text) {
		v, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%s is out of range", text)
		}
		return v, nil
	}
	kind := fieldKinds[column]
	if i := slices.Index(kind.names, text); i >= 0 {
		return kind.lowest + i, nil
	}
	return 0, fmt.Errorf("%q is neither a number nor a name it knows", text)
}

func (x *cronExpansion) alias(column, v int) int {
	kind := fieldKinds[column]
	if v == kind.alias[0] && slices.Contains(kind.aliasColumns, len(x.columns)) {
		return kind.alias[1]
	}
	return v
}

// mixesNth reports "1,5#2": croniter could not tell which rule is meant.
func (x *cronExpansion) mixesNth(weekday cronField) bool {
	if len(x.nth) == 0 || len(weekday.values) == 7 {
		return false
	}
	return slices.ContainsFunc(weekday.values, func(v int) bool {
		return !slices.ContainsFunc(x.nth, func(c cron.DowConstraint) bool { return c.Weekday == v })
	})
}
