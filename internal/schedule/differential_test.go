package schedule

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

// oracleCase is one question to testdata/oracle.py.
type oracleCase struct {
	Kind     string `json:"kind"` // cron, interval, rrule; croniter, dateutil: the bare library, without zones
	Cron     string `json:"cron"`
	DayOr    bool   `json:"day_or"`
	RRule    string `json:"rrule"`
	Interval int64  `json:"interval"` // microseconds
	Anchor   string `json:"anchor"`
	Timezone string `json:"timezone"`
	Start    int64  `json:"start"` // microseconds since 1970
	N        int    `json:"n"`
}

func (c oracleCase) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain strings and numbers
	}
	return fmt.Sprintf("%s from %s", text, time.UnixMicro(c.Start).UTC().Format(time.RFC3339Nano))
}

type oracleAnswer struct {
	Valid bool       `json:"valid"`
	Error string     `json:"error"`
	Dates [][2]int64 `json:"dates"`
}

// askPrefect answers all cases with one Python process.
func askPrefect(t *testing.T, cases []oracleCase) []oracleAnswer {
	t.Helper()
	testenv.Heavy(t)
	python := testenv.Python220(t)
	var questions bytes.Buffer
	encoder := json.NewEncoder(&questions)
	for _, c := range cases {
		if err := encoder.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), python, "testdata/oracle.py")
	command.Stdin = &questions
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		t.Fatalf("the Prefect oracle failed: %v\n%s", err, complaints.String())
	}
	var answers []oracleAnswer
	scanner := bufio.NewScanner(bytes.NewReader(output))
	scanner.Buffer(nil, 1<<24)
	for scanner.Scan() {
		var a oracleAnswer
		if err := json.Unmarshal(scanner.Bytes(), &a); err != nil {
			t.Fatalf("reading an answer: %v", err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(cases) {
		t.Fatalf("%d answers to %d cases\n%s", len(answers), len(cases), complaints.String())
	}
	return answers
}

// ours answers a case with this package.
func ours(c oracleCase) oracleAnswer {
	start := time.UnixMicro(c.Start).UTC()
	spec := Spec{
		Cron: c.Cron, DayOr: c.DayOr, RRule: c.RRule, Timezone: c.Timezone,
		Interval: time.Duration(c.Interval) * time.Microsecond,
	}
	if c.Anchor != "" {
		anchor, err := time.Parse(time.RFC3339Nano, c.Anchor)
		if err != nil {
			panic(err) // a mistake in the table
		}
		spec.Anchor = anchor
	}
	s, err := Parse(spec)
	if err != nil {
		return oracleAnswer{Error: err.Error()}
	}
	answer := oracleAnswer{Valid: true}
	add := func(t time.Time) {
		_, offset := t.Zone()
		answer.Dates = append(answer.Dates, [2]int64{t.UnixMicro(), int64(offset)})
	}
	switch k := s.kind.(type) {
	case cronSchedule:
		if c.Kind == "croniter" {
			at := start
			for range c.N {
				if at = k.next(at); at.IsZero() {
					break
				}
				add(at)
			}
			return answer
		}
	case *recurrence:
		if c.Kind == "dateutil" {
			for at := range k.walls(start) {
				if at.Before(start) {
					continue
				}
				if len(answer.Dates) == c.N {
					break
				}
				add(at)
			}
			return answer
		}
	}
	for _, at := range s.Next(start, c.N) {
		add(at)
	}
	return answer
}

// compare reports every difference, up to a screenful.
func compare(t *testing.T, cases []oracleCase) {
	t.Helper()
	answers := askPrefect(t, cases)
	wrong, dates, refused, slow := 0, 0, 0, 0
	for i, want := range answers {
		c := cases[i]
		got := ours(c)
		slices.SortFunc(want.Dates, func(a, b [2]int64) int { return int(a[0]/1e6 - b[0]/1e6) })
		dates += len(want.Dates)
		if !want.Valid {
			refused++
		}
		if want.Error == "TooSlow: timeout" {
			slow++
		}
		got.Dates, want.Dates = trusted(got.Dates), trusted(want.Dates)
		problem := difference(c, got, want)
		if problem == "" {
			continue
		}
		if wrong++; wrong <= 25 {
			t.Errorf("%s\n\t%s", c, problem)
		}
	}
	if wrong > 25 {
		t.Errorf("and %d more", wrong-25)
	}
	t.Logf("%d cases, %d dates, %d refused by both, %d too slow for Prefect, %d differ", len(cases), dates, refused, slow, wrong)
}

// trusted drops dates after 2037, where dateutil's zones and some of pendulum's
// end or go wrong; the package comment says so.
func trusted(dates [][2]int64) [][2]int64 {
	end := time.Date(2037, 12, 31, 0, 0, 0, 0, time.UTC).UnixMicro()
	return slices.DeleteFunc(dates, func(d [2]int64) bool { return d[0] >= end })
}

func difference(c oracleCase, got, want oracleAnswer) string {
	switch {
	case want.Valid != got.Valid:
		return fmt.Sprintf("valid for Prefect: %t, for us: %t (%s)", want.Valid, got.Valid, got.Error)
	case want.Error != "":
		// Prefect gave up with an error; what it found before must be ours, too.
		if len(got.Dates) > len(want.Dates) {
			if !strings.HasPrefix(want.Error, "TooSlow") && !isDayOr(c) {
				return fmt.Sprintf("Prefect ends with %s after %d dates, we go on: %s", want.Error, len(want.Dates), show(got.Dates[len(want.Dates):]))
			}
			got.Dates = got.Dates[:len(want.Dates)]
		}
	}
	if !slices.Equal(got.Dates, want.Dates) {
		return fmt.Sprintf("Prefect: %s\n\tours:    %s", show(want.Dates), show(got.Dates))
	}
	return ""
}

// isDayOr reports a cron whose two day fields can run out one after the other.
func isDayOr(c oracleCase) bool { return c.Cron != "" && c.DayOr }

func show(dates [][2]int64) string {
	var text []string
	for i, d := range dates {
		if i == 12 {
			text = append(text, "…")
			break
		}
		text = append(text, time.UnixMicro(d[0]).In(time.FixedZone("", int(d[1]))).Format("2006-01-02T15:04:05.999999Z07:00"))
	}
	return strings.Join(text, " ")
}
