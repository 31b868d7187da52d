package schedule

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func mustParse(t *testing.T, s Spec) *Schedule {
	t.Helper()
	parsed, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestNext(t *testing.T) {
	t.Parallel()
	oslo := "Europe/Oslo"
	for _, test := range []struct {
		name  string
		spec  Spec
		start string
		want  string
	}{
		{"cron keeps the wall clock across the change to summer time",
			Spec{Cron: "0 6 * * *", DayOr: true, Timezone: oslo}, "2025-03-29T00:00:00Z",
			"2025-03-29T06:00:00+01:00 2025-03-30T06:00:00+02:00 2025-03-31T06:00:00+02:00"},
		{"cron counts the start itself",
			Spec{Cron: "0 6 * * *", DayOr: true}, "2025-01-01T06:00:00Z",
			"2025-01-01T06:00:00Z 2025-01-02T06:00:00Z 2025-01-03T06:00:00Z"},
		{"cron does not count a start that is a moment late",
			Spec{Cron: "0 6 * * *", DayOr: true}, "2025-01-01T06:00:00.000001Z",
			"2025-01-02T06:00:00Z 2025-01-03T06:00:00Z 2025-01-04T06:00:00Z"},
		{"a missing wall time moves on with the clock",
			Spec{Cron: "30 2 * * *", DayOr: true, Timezone: oslo}, "2025-03-29T12:00:00Z",
			"2025-03-30T03:30:00+02:00 2025-03-31T02:30:00+02:00 2025-04-01T02:30:00+02:00"},
		{"a wall time that comes twice runs the second time",
			Spec{Cron: "30 2 * * *", DayOr: true, Timezone: oslo}, "2025-10-25T12:00:00Z",
			"2025-10-26T02:30:00+01:00 2025-10-27T02:30:00+01:00 2025-10-28T02:30:00+01:00"},
		{"day or weekday", Spec{Cron: "0 0 13 * fri", DayOr: true}, "2025-06-01T00:00:00Z",
			"2025-06-06T00:00:00Z 2025-06-13T00:00:00Z 2025-06-20T00:00:00Z"},
		{"day and weekday", Spec{Cron: "0 0 13 * fri"}, "2025-06-01T00:00:00Z",
			"2025-06-13T00:00:00Z 2026-02-13T00:00:00Z 2026-03-13T00:00:00Z"},
		{"the last Friday", Spec{Cron: "0 0 * * L5", DayOr: true}, "2025-06-01T00:00:00Z",
			"2025-06-27T00:00:00Z 2025-07-25T00:00:00Z 2025-08-29T00:00:00Z"},
		{"the weekday nearest to the 30th, in February the last one", Spec{Cron: "0 0 30W * *", DayOr: true}, "2026-01-01T00:00:00Z",
			"2026-01-30T00:00:00Z 2026-02-27T00:00:00Z 2026-03-30T00:00:00Z"},
		{"seconds are the sixth column", Spec{Cron: "0 0 * * * 30", DayOr: true}, "2025-06-01T00:00:00Z",
			"2025-06-01T00:00:30Z 2025-06-02T00:00:30Z 2025-06-03T00:00:30Z"},
		{"years run out", Spec{Cron: "0 0 1 1 * 0 2026-2027", DayOr: true}, "2025-06-01T00:00:00Z",
			"2026-01-01T00:00:00Z 2027-01-01T00:00:00Z"},
		{"a date that never comes", Spec{Cron: "0 0 30 2 *", DayOr: true}, "2025-06-01T00:00:00Z", ""},

		{"whole days keep the wall clock",
			Spec{Interval: 24 * time.Hour, Anchor: at(t, "2025-03-01T08:00:00Z"), Timezone: oslo}, "2025-03-29T00:00:00Z",
			"2025-03-29T09:00:00+01:00 2025-03-30T09:00:00+02:00 2025-03-31T09:00:00+02:00"},
		{"hours are elapsed time",
			Spec{Interval: 12 * time.Hour, Anchor: at(t, "2025-03-01T08:00:00Z"), Timezone: oslo}, "2025-03-29T12:00:00Z",
			"2025-03-29T21:00:00+01:00 2025-03-30T10:00:00+02:00 2025-03-30T22:00:00+02:00"},
		{"of two runs that read the same on the wall only the first stays",
			Spec{Interval: time.Hour, Anchor: at(t, "2025-01-01T00:30:00Z"), Timezone: oslo}, "2025-10-25T23:30:00Z",
			"2025-10-26T01:30:00+02:00 2025-10-26T02:30:00+02:00 2025-10-26T03:30:00+01:00"},
		{"an anchor in the future counts backwards",
			Spec{Interval: time.Hour, Anchor: at(t, "2030-01-01T00:15:00Z")}, "2025-01-01T00:00:00Z",
			"2025-01-01T00:15:00Z 2025-01-01T01:15:00Z 2025-01-01T02:15:00Z"},
		{"an anchor further away than a Duration reaches",
			Spec{Interval: time.Hour, Anchor: at(t, "1600-01-01T00:15:00Z")}, "2025-01-01T00:00:00Z",
			"2025-01-01T00:15:00Z 2025-01-01T01:15:00Z 2025-01-01T02:15:00Z"},
		{"an offset is as good as UTC",
			Spec{Interval: time.Hour, Anchor: at(t, "2025-01-01T00:15:00+02:00")}, "2025-01-01T00:00:00Z",
			"2025-01-01T00:15:00Z 2025-01-01T01:15:00Z 2025-01-01T02:15:00Z"},

		{"an rrule starts in 2020, at midnight in the zone",
			Spec{RRule: "FREQ=WEEKLY", Timezone: oslo}, "2025-03-24T00:00:00Z",
			"2025-03-26T00:00:00+01:00 2025-04-02T00:00:00+02:00 2025-04-09T00:00:00+02:00"},
		{"a missing wall time moves back in an rrule",
			Spec{RRule: "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", Timezone: oslo}, "2025-03-29T12:00:00Z",
			"2025-03-30T01:30:00+01:00 2025-03-31T02:30:00+02:00 2025-04-01T02:30:00+02:00"},
		{"two rules and an exception",
			Spec{RRule: "RRULE:FREQ=DAILY;BYHOUR=9 RRULE:FREQ=DAILY;BYHOUR=17 EXRULE:FREQ=WEEKLY;BYDAY=MO;BYHOUR=9"}, "2025-06-16T00:00:00Z",
			"2025-06-16T17:00:00Z 2025-06-17T09:00:00Z 2025-06-17T17:00:00Z"},
		{"RDATE adds and EXDATE removes",
			Spec{RRule: "RRULE:FREQ=MONTHLY\nRDATE:20250615T120000\nEXDATE:20250701T000000"}, "2025-06-02T00:00:00Z",
			"2025-06-15T12:00:00Z 2025-08-01T00:00:00Z 2025-09-01T00:00:00Z"},
		{"a zone in DTSTART is dropped",
			Spec{RRule: "DTSTART;TZID=America/New_York:20250601T090000 RRULE:FREQ=DAILY;COUNT=2", Timezone: oslo}, "2025-01-01T00:00:00Z",
			"2025-06-01T09:00:00+02:00 2025-06-02T09:00:00+02:00"},
		{"every second, years after the start, without walking there",
			Spec{RRule: "FREQ=SECONDLY;INTERVAL=7"}, "2099-01-01T00:00:00Z",
			"2099-01-01T00:00:01Z 2099-01-01T00:00:08Z 2099-01-01T00:00:15Z"},
		{"COUNT=0 is no dates", Spec{RRule: "FREQ=DAILY;COUNT=0"}, "2025-01-01T00:00:00Z", ""},
		{"the third second of a second is no date", Spec{RRule: "FREQ=SECONDLY;BYSETPOS=3"}, "2025-01-01T00:00:00Z", ""},
		{"everything excluded is no date", Spec{RRule: "RRULE:FREQ=SECONDLY EXRULE:FREQ=SECONDLY"}, "2025-01-01T00:00:00Z", ""},
		{"there is no 30th of February", Spec{RRule: "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30"}, "2025-01-01T00:00:00Z", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, d := range mustParse(t, test.spec).Next(at(t, test.start), 3) {
				got = append(got, d.Format(time.RFC3339Nano))
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	anchor := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		spec Spec
		want string // part of the message
	}{
		{Spec{}, "exactly one"},
		{Spec{Cron: "* * * * *", RRule: "FREQ=DAILY"}, "exactly one"},
		{Spec{Cron: "* * * *"}, "has 4 fields"},
		{Spec{Cron: "61 * * * *"}, "minute field \"61\": 61 is out of range; use 0 to 59"},
		{Spec{Cron: "* * * * foo"}, "day of week field"},
		{Spec{Cron: "*/0 * * * *"}, "above 0"},
		{Spec{Cron: "R * * * *"}, "random (R) and hashed (H)"},
		{Spec{Cron: "H(0-10)/2 * * * *"}, "random (R) and hashed (H)"},
		{Spec{Cron: "0 0 * * 1,5#2"}, "cannot mix"},
		{Spec{Cron: strings.Repeat("1,", 4000) + "1 * * * *"}, "at most"},
		{Spec{Cron: "* * * * *", Timezone: "Europe/Olso"}, `unknown time zone "Europe/Olso"`},
		{Spec{Cron: "* * * * *", Timezone: "Local"}, "unknown time zone"},
		{Spec{Interval: -time.Second, Anchor: anchor}, "longer than 0"},
		{Spec{Interval: time.Nanosecond, Anchor: anchor}, "longer than 0"},
		{Spec{Interval: time.Hour}, "anchor"},
		{Spec{RRule: "FREQ=DAILY;BYHOUR=25"}, "byhour must be between 0 and 23"},
		{Spec{RRule: "FREQ=HOURLY;INTERVAL=2;BYHOUR=1"}, "never reaches"},
		{Spec{RRule: "FREQ=DAILY;UNTIL=20250101T000000Z"}, "drop the Z"},
		{Spec{RRule: "FREQ=DAILY;INTERVAL=0"}, "1 or more"},
		{Spec{RRule: "EXDATE:20250101"}, "no dates at all"},
		{Spec{RRule: "FREQ=SECONDLY;BYDAY=MO;COUNT=2000000"}, "too much to count"},
		{Spec{RRule: "FREQ=DAILY;BYHOUR=1" + strings.Repeat(" ", 6500)}, "at most 6500"},
	} {
		_, err := Parse(test.spec)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want … %s …", test.spec, err, test.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	anchor := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		spec Spec
		want string
	}{
		{Spec{Cron: "0 6 * * *", Timezone: "Europe/Oslo"}, "every day at 06:00 (Europe/Oslo)"},
		{Spec{Cron: "*/10 * * * *", Timezone: "Europe/Oslo"}, "every 10 minutes"},
		{Spec{Cron: "* * * * *"}, "every minute"},
		{Spec{Cron: "0 9 * * 1-5"}, "Mon–Fri at 09:00"},
		{Spec{Cron: "0 9,17 * * mon,wed"}, "Mon, Wed at 09:00, 17:00"},
		{Spec{Cron: "@hourly"}, "every hour"},
		{Spec{Cron: "15 */2 * * *", Timezone: "Asia/Kathmandu"}, "every 2 hours at :15 (Asia/Kathmandu)"},
		{Spec{Cron: "*/5 * * * 0,6"}, "every 5 minutes, Sat, Sun"},
		{Spec{Cron: "0 0 1,15 * *"}, "on day 1, 15 of the month at 00:00"},
		{Spec{Cron: "0 0 L jan *"}, "on the last day of the month in Jan at 00:00"},
		{Spec{Cron: "0 0 * * 5#2"}, "cron 0 0 * * 5#2"},
		{Spec{Interval: 10 * time.Minute, Anchor: anchor}, "every 10 minutes"},
		{Spec{Interval: 24 * time.Hour, Anchor: anchor}, "every day"},
		{Spec{Interval: 90 * time.Minute, Anchor: anchor}, "every 90 minutes"},
		{Spec{Interval: 1500 * time.Millisecond, Anchor: anchor}, "every 1.5s"},
		{Spec{RRule: "FREQ=DAILY;BYHOUR=6", Timezone: "Europe/Oslo"}, "every day at 06:00 (Europe/Oslo)"},
		{Spec{RRule: "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU,WE;BYHOUR=9;COUNT=5"}, "every 2 weeks on Mon–Wed at 09:00, 5 times"},
		{Spec{RRule: "FREQ=MONTHLY;BYDAY=-1FR,2MO;UNTIL=20300101"}, "every month on last Fri, 2. Mon at 00:00, until 2030-01-01"},
		{Spec{RRule: "RRULE:FREQ=HOURLY EXDATE:20250101"}, "every hour, with exceptions"},
		{Spec{RRule: "RDATE:20250101,20260101"}, "on 2 given dates"},
	} {
		if got := mustParse(t, test.spec).Describe(); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.spec, got, test.want)
		}
	}
}

// From must give what Next gives, in order, even where Prefect's own order
// jumps back around a change of clocks.
func TestFromIsNextInOrder(t *testing.T) {
	t.Parallel()
	for _, spec := range []Spec{
		{Cron: "20,40 * * * *", DayOr: true},
		{Cron: "10,40 2 * * * */7", DayOr: true},
		{RRule: "FREQ=HOURLY;BYMINUTE=0,10,45"},
		{RRule: "FREQ=DAILY;BYHOUR=0,1,2,3;BYMINUTE=15,45"},
		{Interval: 25 * time.Minute, Anchor: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Interval: 36 * time.Hour, Anchor: time.Date(2025, 1, 1, 2, 30, 0, 0, time.UTC)},
	} {
		for z, zone := range testZones {
			spec.Timezone = zone
			s := mustParse(t, spec)
			for i := z % 5; i < len(changes); i += 5 {
				start := time.UnixMicro(changes[i])
				got := slices.Collect(s.From(start))
				if !slices.IsSortedFunc(got, time.Time.Compare) {
					t.Errorf("%+v from %s is not in order", spec, start.UTC())
				}
				if want := s.Next(start, 5000); !slices.EqualFunc(got, want, time.Time.Equal) {
					t.Errorf("%+v from %s: From has %d times, Next %d", spec, start.UTC(), len(got), len(want))
				}
			}
		}
	}
}

func TestFromStopsWhenTheReaderDoes(t *testing.T) {
	t.Parallel()
	read := 0
	for range mustParse(t, Spec{Cron: "* * * * *", Timezone: "Europe/Oslo"}).From(time.UnixMicro(changes[0])) {
		if read++; read == 3 {
			break
		}
	}
	if read != 3 {
		t.Errorf("read %d times", read)
	}
	if n := len(mustParse(t, Spec{Cron: "* * * * *"}).Next(time.UnixMicro(changes[0]), 5000)); n != maxCandidates {
		t.Errorf("%d times, want at most %d", n, maxCandidates)
	}
}

func FuzzCron(f *testing.F) {
	for _, expression := range cronExpressions {
		f.Add(expression, true)
	}
	f.Fuzz(func(t *testing.T, expression string, dayOr bool) {
		checkInvariants(t, Spec{Cron: expression, DayOr: dayOr, Timezone: "Europe/Oslo"})
	})
}

func FuzzRRule(f *testing.F) {
	for _, text := range rruleTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkInvariants(t, Spec{RRule: text, Timezone: "America/New_York"})
	})
}

func FuzzInterval(f *testing.F) {
	f.Add(int64(time.Hour), int64(0))
	f.Add(int64(36*time.Hour), int64(1e18))
	f.Fuzz(func(t *testing.T, every, anchor int64) {
		checkInvariants(t, Spec{Interval: time.Duration(every), Anchor: time.Unix(0, anchor), Timezone: "Africa/Casablanca"})
	})
}

// checkInvariants: whatever the text, Parse refuses or the times are in order
// and found soon, and there is a description.
func checkInvariants(t *testing.T, spec Spec) {
	s, err := Parse(spec)
	if err != nil {
		return
	}
	began := time.Now()
	times := s.Next(time.UnixMicro(changes[2]), 5)
	if !slices.IsSortedFunc(times, time.Time.Compare) {
		t.Errorf("out of order: %v", times)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	if s.Describe() == "" {
		t.Error("no description")
	}
}

func BenchmarkCronNext(b *testing.B) {
	s, err := Parse(Spec{Cron: "0 9 * * 1-5", DayOr: true, Timezone: "Europe/Oslo"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.Next(time.UnixMicro(changes[2]), 3)
	}
}
