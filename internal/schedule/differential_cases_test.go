package schedule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var testZones = []string{
	"Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo",
	"Africa/Casablanca", "Asia/Kathmandu", "UTC", "Europe/Dublin", "Pacific/Apia", "",
}

// changes are starts shortly before, inside and after changes of clocks in the
// test zones, and some ordinary days. None lies inside the very last change of a
// zone: what pendulum says there depends on how the zone files were compiled.
var changes = func() []int64 {
	var starts []int64
	for _, day := range []string{
		"2021-03-27T22:00:00", "2024-10-26T21:30:00", "2025-03-30T00:59:59", "2030-03-31T01:00:00", "2026-10-25T00:15:00", "2026-10-25T01:00:00", // Oslo, Dublin
		"2021-03-14T06:30:00", "2024-11-03T05:00:00", "2025-11-02T06:00:00", "2028-03-12T07:00:00", // New York
		"2023-04-01T14:30:00", "2024-10-05T15:20:00", "2025-04-05T15:00:00.5", "2025-10-04T15:30:00", // Lord Howe
		"2018-11-04T02:00:00", "2019-02-17T03:30:00", "2018-02-18T02:00:00", // São Paulo
		"2024-03-10T01:30:00", "2024-04-14T01:45:00", "2025-02-23T02:00:00", "2026-02-15T01:10:00", "2026-03-22T02:00:00", // Casablanca
		"2020-09-26T13:00:00", "2021-04-03T14:30:00", // Apia
		"2019-12-31T18:14:59.999999", "2024-02-28T12:34:56.789", "2025-06-15T12:00:00", "2031-12-31T23:59:59",
	} {
		layout := "2006-01-02T15:04:05"
		t, err := time.Parse(layout, day)
		if err != nil {
			panic(err) // a mistake in this table
		}
		starts = append(starts, t.UnixMicro())
	}
	return starts
}()

var cronExpressions = strings.Split(strings.TrimSpace(`
* * * * *
*/5 * * * *
*/7 */5 * * *
0 * * * *
30 2 * * *
30 1 * * *
15,45 2,3 * * *
20,40 1,2,3 * * *
0 */2 * * *
59 23 * * *
0 0 * * *
0 6 * * *
0 9 * * mon-fri
0 9 * * 1-5
0 9 * * MON,wed,Fri
0 9 * * 7
0 9 * * 0
0 9 * * 5-7
0 9 * * 0-7
0 9 * * 1-7
0 9 * * 6-2
0 9 * * fri-mon
0 9 * * sun-sun
0 9 * * 7-7
0 9 * * */2
0 9 * * 1/2
0 9 * * fri-tue/2
0 9 * * sat-wed/3
0 0 1 * *
0 0 31 * *
0 0 30 * *
0 0 29 2 *
0 0 30 2 *
0 0 31 4,6 *
0 0 L * *
0 0 l * *
0 0 L 2 *
0 0 1,15,L * *
0 0 30,L * *
0 0 28-L * *
0 0 L-5 * *
0 0 LW * *
0 0 15W * *
0 0 W15 * *
0 0 1W * *
0 0 29W * *
0 0 30W * *
0 0 31W * *
0 0 31W 2,4,5 *
0 0 30W 2 *
0 0 15W,20 * *
0 0 32W * *
0 0 15W * 1
0 0 15W * 5#2
0 0 1-7 * 1
0 0 13 * 5
0 0 13 * fri
0 0 */2 * 1
0 0 */1 * 1
0 0 1-31 * 1
0 0 1-31 * *
0 0 1-31 * ?
0 0 1-31 * */2
0 0 * * 0-6
0 0 1 * 0-6
0 0 1 * 0,1,2,3,4,5,6
0 0 1 * */1
0 0 1-30,L * *
0 0 1-30,L * 2
0 0 *,5 * 1
0 0 5 * *,1
0 0 ? * 1
0 0 1 * ?
? 0 1 * *
0 0 1? * *
0 0 * * 5#2
0 0 * * fri#1
0 0 * * mon-wed#3
0 0 * * 1-3#2
0 0 * * 5#5
0 0 * * 7#1
0 0 * * 5#6
0 0 * * 5#0
0 0 * * L5
0 0 * * L7
0 0 * * l0,l3
0 0 * * 5L
0 0 * * L
0 0 * * 1,5#2
0 0 * * 5#1,5#3
0 0 * * 1#1,5#3
0 0 * * 5#1,L5
0 0 * * *,5#2
0 0 * * 0-6,5#2
0 0 1 * 5#2
0 0 1 * L1
0 0 1-7 * 5#1
0 0 * jan *
0 0 * 1-3 *
0 0 * nov-feb *
0 0 1 nov-feb/2 *
0 0 1 apr-jan/3 *
0 0 1 10-3/4 *
0 0 1 jan-jan *
0 0 1 */3 *
0 0 1 2/3 *
0 0 1 */100 *
0 0 1 0 *
0 0 1 0-5 *
0 0 0 * *
0 0 0-5 * *
0 0 5-0 * *
0 0 1 13 *
0 0 32 * *
0 24 * * *
60 * * * *
*/60 * * * *
*/100 * * * *
*/0 * * * *
5/15 * * * *
5-5 * * * *
50-10 * * * *
50-10/7 * * * *
0-59/59 * * * *
22 22-2 * * *
22 22-2/3 * * *
5,5,5 0 * * *
1,,2 * * * *
1-2-3 * * * *
1-5/2/3 * * * *
-5 * * * *
1- * * * *
a * * * *
* * * * 8
* * * * mon#
* * * foo *
01 002 03 04 *
@daily
@DAILY
@hourly
@weekly
@monthly
@yearly
@annually
@midnight
@reboot
@every 5m
 @daily
* * * *
* * * * * * * *
* * * * * *
* * * * * */15
* * * * * 5-50/9
0 0 * * * 30
30 2 * * * 15,45
0 0 0 * * 0
0 0 0-3 * * 0
0 0 * * 7 0
0 0 * * 0-6 0
0 0 1 0 * 0
0 0 * * 5#2 0
0 0 * * * 60
0 0 1 1 * 0 2027
0 0 1 1 * 0 2024-2030/2
0 0 1 * 1 0 2026
0 0 1 1 * 0 */4
0 0 1 1 * 0 *
0 0 1 1 * 0 1969
0 0 1 1 * 0 1960-1980
0 0 1 1 * 0 2030-2030
0 0 1 1 * 0 2098-1972
0 0 0 1 * 0 2027
0 0 29 2 * 0 2025,2026
TZ=Europe/Oslo 0 0 * * *
0	9	*  *   1
`), "\n")

func TestCronLikeCroniter(t *testing.T) {
	t.Parallel()
	var cases []oracleCase
	for i, expression := range cronExpressions {
		for _, dayOr := range []bool{true, false} {
			for k := range 3 {
				cases = append(cases, oracleCase{
					Kind: "croniter", Cron: expression, DayOr: dayOr,
					Start: changes[(i+k*9)%len(changes)], N: 25,
				})
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		cases = append(cases, oracleCase{
			Kind: "croniter", Cron: randomCron(random), DayOr: random.IntN(2) == 0,
			Start: changes[random.IntN(len(changes))], N: 12,
		})
	}
	compare(t, cases)
}

func TestCronLikePrefect(t *testing.T) {
	t.Parallel()
	var cases []oracleCase
	for i, expression := range cronExpressions {
		for j, zone := range testZones {
			cases = append(cases, oracleCase{
				Kind: "cron", Cron: expression, DayOr: (i+j)%2 == 0, Timezone: zone,
				Start: changes[(i+7*j)%len(changes)], N: 14,
			})
		}
	}
	for _, expression := range []string{"*/10 * * * *", "*/30 * * * *", "20,40 2 * * *", "5 1,2,3 * * *", "0 * * * *", "30 2 * * * */20"} {
		for _, zone := range testZones {
			for _, start := range changes {
				cases = append(cases, oracleCase{Kind: "cron", Cron: expression, DayOr: true, Timezone: zone, Start: start, N: 20})
			}
		}
	}
	cases = append(cases, oracleCase{Kind: "cron", Cron: "* * * * *", DayOr: true, Timezone: "Europe/Oslo", Start: changes[0], N: 5000})
	compare(t, cases)
}

func TestIntervalLikePrefect(t *testing.T) {
	t.Parallel()
	var cases []oracleCase
	random := rand.New(rand.NewPCG(3, 4))
	for _, every := range []string{
		"1s", "90s", "10m", "25m", "30m", "1h", "90m", "7h", "23h", "23h59m59s", "24h", "25h", "36h", "48h", "72h30m",
		"168h", "720h", "8760h", "0.5s", "1h0m0.000001s", "24h0m0.25s", "0s", "-5m",
	} {
		d, err := time.ParseDuration(every)
		if err != nil {
			t.Fatal(err)
		}
		for _, anchor := range []string{
			"2020-01-01T00:00:00Z", "2025-03-29T01:30:00Z", "2024-07-01T09:00:00+02:00", "2026-10-24T02:30:00+02:00",
			"2018-10-28T00:30:00-03:00", "2024-01-15T02:15:00.123456+11:00", "2035-05-05T05:05:05-04:00", "1999-12-31T23:59:59Z",
		} {
			for _, zone := range testZones {
				for range 2 {
					cases = append(cases, oracleCase{
						Kind: "interval", Interval: d.Microseconds(), Anchor: anchor, Timezone: zone,
						Start: changes[random.IntN(len(changes))], N: 15,
					})
				}
			}
		}
	}
	compare(t, cases)
}

var rruleTexts = strings.Split(strings.TrimSpace(`
FREQ=DAILY
RRULE:FREQ=DAILY
freq=daily;byhour=9
FREQ=DAILY;INTERVAL=3;BYHOUR=2;BYMINUTE=30
FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,15,45
FREQ=DAILY;BYHOUR=9;BYDAY=MO,TU,WE,TH,FR
FREQ=DAILY;BYMONTH=3,10;BYHOUR=2;BYMINUTE=20,40
FREQ=DAILY;COUNT=10
FREQ=DAILY;COUNT=0
FREQ=DAILY;COUNT=-1
FREQ=DAILY;UNTIL=20301231
FREQ=DAILY;UNTIL=20250401T020000
FREQ=DAILY;UNTIL=2030-01-01
FREQ=DAILY;UNTIL=nonsense
FREQ=DAILY;UNTIL=20180101
FREQ=WEEKLY
FREQ=WEEKLY;BYDAY=MO,WE;BYHOUR=6,18
FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,SU
FREQ=WEEKLY;INTERVAL=2;WKST=MO;BYDAY=TU,SU
FREQ=WEEKLY;BYDAY=2MO
FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1
FREQ=MONTHLY
FREQ=MONTHLY;BYMONTHDAY=31
FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=23;BYMINUTE=59
FREQ=MONTHLY;BYMONTHDAY=1,15,-1
FREQ=MONTHLY;BYDAY=1MO
FREQ=MONTHLY;BYDAY=-1FR
FREQ=MONTHLY;BYDAY=MO(+1),FR(-1)
FREQ=MONTHLY;BYDAY=+2TU,MO
FREQ=MONTHLY;BYDAY=9MO
FREQ=MONTHLY;BYDAY=-9MO
FREQ=MONTHLY;BYDAY=0MO
FREQ=MONTHLY;BYDAY=
FREQ=MONTHLY;BYDAY=XX
FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13
FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1
FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1;BYHOUR=8,20
FREQ=MONTHLY;BYSETPOS=0;BYDAY=MO
FREQ=MONTHLY;BYSETPOS=400;BYDAY=MO
FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=10
FREQ=YEARLY
FREQ=YEARLY;BYMONTH=3,11;BYDAY=1SU;BYHOUR=2
FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU;BYHOUR=2;BYMINUTE=30
FREQ=YEARLY;BYDAY=20MO
FREQ=YEARLY;BYDAY=-53MO
FREQ=YEARLY;BYDAY=53FR
FREQ=YEARLY;BYYEARDAY=1,100,-1
FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO
FREQ=YEARLY;BYWEEKNO=1,53
FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU
FREQ=YEARLY;BYEASTER=0
FREQ=YEARLY;BYEASTER=-2,1,39;BYHOUR=10
FREQ=YEARLY;BYMONTHDAY=29;BYMONTH=2
FREQ=YEARLY;INTERVAL=4
FREQ=HOURLY
FREQ=HOURLY;INTERVAL=7
FREQ=HOURLY;INTERVAL=5;BYDAY=SA,SU
FREQ=HOURLY;BYHOUR=1,2,3
FREQ=HOURLY;BYMINUTE=0,30
FREQ=HOURLY;INTERVAL=3;BYHOUR=3,9,10
FREQ=HOURLY;BYMONTH=10,11;BYMONTHDAY=1,-1
FREQ=HOURLY;INTERVAL=2;COUNT=20000;BYDAY=MO
FREQ=HOURLY;BYSETPOS=2;BYMINUTE=1,2,3
FREQ=MINUTELY
FREQ=MINUTELY;INTERVAL=17
FREQ=MINUTELY;INTERVAL=15;BYHOUR=1,2
FREQ=MINUTELY;INTERVAL=7;BYMINUTE=0,14,30
FREQ=MINUTELY;INTERVAL=45;BYDAY=SU
FREQ=MINUTELY;BYSECOND=10,50
FREQ=DAILY;INTERVAL=x
FREQ=FORTNIGHTLY
INTERVAL=2
FREQ=DAILY;
FREQ=DAILY;FOO=1
FREQ=DAILY;BYHOUR=24
FREQ=DAILY;BYMINUTE=60
FREQ=DAILY;WKST=1
FREQ=DAILY;BYHOUR=
FREQ
RRULE:FREQ=DAILY:X
RRULE;X=1:FREQ=DAILY
DTSTART:20240310T023000 RRULE:FREQ=DAILY
DTSTART:20240310T023000Z RRULE:FREQ=DAILY
DTSTART:20240310T023000Z RRULE:FREQ=DAILY;UNTIL=20260401T000000Z
DTSTART:20240310T023000Z RRULE:FREQ=DAILY;UNTIL=20260401T000000
DTSTART:20240310T023000 RRULE:FREQ=DAILY;UNTIL=20260401T000000Z
DTSTART;TZID=America/New_York:20240310T013000 RRULE:FREQ=DAILY
DTSTART;TZID=America/New_York:20240310T013000 RRULE:FREQ=DAILY;UNTIL=20260401T000000Z
DTSTART;TZID=America/New_York:20240310T013000Z RRULE:FREQ=DAILY
DTSTART;VALUE=DATE:20240310 RRULE:FREQ=WEEKLY
DTSTART;FOO=BAR:20240310 RRULE:FREQ=WEEKLY
DTSTART:2024-03-10T09:00:00 RRULE:FREQ=WEEKLY
DTSTART:20240310T0915 RRULE:FREQ=WEEKLY
DTSTART:20240310,20240311 RRULE:FREQ=WEEKLY
DTSTART:20991231T000000 RRULE:FREQ=DAILY
RRULE:FREQ=DAILY;BYHOUR=9 RRULE:FREQ=DAILY;BYHOUR=17
RRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=30 RRULE:FREQ=WEEKLY;BYHOUR=2;BYMINUTE=30 RRULE:FREQ=MONTHLY
RRULE:FREQ=DAILY EXRULE:FREQ=WEEKLY;BYDAY=SA,SU
DTSTART:20200101T080000 RRULE:FREQ=DAILY EXDATE:20250615T080000,20250616T080000 RDATE:20250617T120000
RRULE:FREQ=MONTHLY;BYMONTHDAY=1 RDATE:20251010T101010Z,20260101T000000
RRULE:FREQ=DAILY EXDATE;VALUE=DATE:20250616
RRULE:FREQ=DAILY EXDATE;TZID=Europe/Oslo:20250616T000000
RRULE:FREQ=DAILY RDATE;VALUE=DATE:20250616
RRULE:FREQ=DAILY RDATE;VALUE=DATE-TIME:20250616T111111
RRULE:FREQ=DAILY EXRULE;X=1:FREQ=WEEKLY
RDATE:20250616T111111,20280101T000000
RRULE:FREQ=DAILY VEVENT:1
RRULE:FREQ=HOURLY EXRULE:FREQ=HOURLY;INTERVAL=2
RRULE:FREQ=MINUTELY;INTERVAL=30 EXRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=0,30
FREQ=DAILY FREQ=WEEKLY;BYHOUR=5
`), "\n")

func TestRRuleLikeDateutil(t *testing.T) {
	t.Parallel()
	var cases []oracleCase
	random := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		text, start := randomRRule(random)
		cases = append(cases, oracleCase{Kind: "dateutil", RRule: text, Start: start.UnixMicro(), N: 25})
	}
	compare(t, cases)
}

func TestRRuleLikePrefect(t *testing.T) {
	t.Parallel()
	var cases []oracleCase
	for i, text := range rruleTexts {
		zones := len(testZones)
		if strings.Contains(text, "HOURLY") || strings.Contains(text, "MINUTELY") {
			zones = 2 // Prefect walks there from 2020, hour by hour
		}
		for j := range zones {
			cases = append(cases, oracleCase{
				Kind: "rrule", RRule: text, Timezone: testZones[(i+j)%len(testZones)],
				Start: changes[(i*5+j*11)%len(changes)], N: 14,
			})
		}
	}
	for _, zone := range testZones {
		for _, start := range changes {
			begin := time.UnixMicro(start).UTC().AddDate(0, 0, -3).Format("20060102T150000")
			for _, rule := range []string{"FREQ=HOURLY;BYMINUTE=0,10,20,30,40,50", "FREQ=DAILY;BYHOUR=0,1,2,3;BYMINUTE=15,45"} {
				cases = append(cases, oracleCase{
					Kind: "rrule", RRule: "DTSTART:" + begin + " RRULE:" + rule, Timezone: zone, Start: start, N: 20,
				})
			}
		}
	}
	compare(t, cases)
}

// These are on the list in the package comment. Prefect must still fail on them,
// or the list is out of date.
func TestDifferencesArePrefectsFailures(t *testing.T) {
	t.Parallel()
	refused := []oracleCase{
		{Kind: "rrule", RRule: "FREQ=DAILY;UNTIL=20350401T020000Z"},
		{Kind: "rrule", RRule: "FREQ=DAILY;INTERVAL=0"},
		{Kind: "rrule", RRule: "FREQ=MINUTELY;INTERVAL=1440;BYHOUR=5"},
		{Kind: "cron", Cron: "R/5 * * * *"},
	}
	goOn := []oracleCase{
		{Kind: "rrule", RRule: "FREQ=MONTHLY;BYDAY=9MO,1TU"},
		{Kind: "cron", Cron: "0 0 30 2 mon", DayOr: true},
	}
	cases := append(refused, goOn...)
	for i := range cases {
		cases[i].Start, cases[i].N = changes[0], 3
	}
	for i, answer := range askPrefect(t, cases) {
		c := cases[i]
		if random := strings.HasPrefix(c.Cron, "R"); !answer.Valid || (answer.Error == "") != random {
			t.Errorf("%s: Prefect no longer fails: %+v", c, answer)
		}
		if got := ours(c); got.Valid == (i < len(refused)) {
			t.Errorf("%s: ours is %+v", c, got)
		}
	}
}

// randomCron writes an expression; one in ten or so is invalid.
func randomCron(random *rand.Rand) string {
	kinds := fieldKinds[:5+max(0, random.IntN(6)-3)]
	var columns []string
	for i, kind := range kinds {
		value := func() string {
			if len(kind.names) > 0 && random.IntN(3) == 0 {
				return kind.names[random.IntN(len(kind.names))]
			}
			v := kind.lowest + random.IntN(kind.highest-kind.lowest+1)
			if random.IntN(40) == 0 {
				v = kind.highest + 1
			}
			if kind.name == "year" {
				v = 2018 + random.IntN(20)
			}
			return fmt.Sprint(v)
		}
		element := func() string {
			switch random.IntN(9) {
			case 0, 1:
				return value() + "-" + value()
			case 2:
				return fmt.Sprintf("%s-%s/%d", value(), value(), 1+random.IntN(9))
			case 3:
				return fmt.Sprintf("*/%d", 1+random.IntN(12))
			case 4:
				if i == dayColumn {
					return []string{"L", "15W", "31w", "l", "3W"}[random.IntN(5)]
				}
				if i == weekdayColumn {
					return []string{"5#2", "L3", "mon#1", "0#5", "7"}[random.IntN(5)]
				}
			}
			return value()
		}
		switch random.IntN(5) {
		case 0, 1:
			columns = append(columns, "*")
		case 2:
			columns = append(columns, element()+","+element())
		default:
			columns = append(columns, element())
		}
	}
	return strings.Join(columns, " ")
}

// randomRRule writes a rule and picks a start that dateutil, which walks from
// DTSTART, reaches soon enough.
func randomRRule(random *rand.Rand) (string, time.Time) {
	frequency := []string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"}[random.IntN(7)]
	intraday := frequency == "HOURLY" || frequency == "MINUTELY" || frequency == "SECONDLY"
	parts := []string{"FREQ=" + frequency}
	list := func(key string, chance int, value func() string) {
		if random.IntN(chance) != 0 {
			return
		}
		values := []string{value()}
		for random.IntN(2) == 0 {
			values = append(values, value())
		}
		parts = append(parts, key+"="+strings.Join(values, ","))
	}
	between := func(low, high int) func() string {
		return func() string { return fmt.Sprint(low + random.IntN(high-low+1)) }
	}
	signed := func(high int) func() string {
		return func() string { return fmt.Sprint((1 + random.IntN(high)) * (1 - 2*random.IntN(2))) }
	}
	if random.IntN(2) == 0 {
		parts = append(parts, fmt.Sprintf("INTERVAL=%d", 1+random.IntN(12)))
	}
	if random.IntN(5) == 0 {
		parts = append(parts, fmt.Sprintf("COUNT=%d", 1+random.IntN(400)))
	} else if random.IntN(4) == 0 {
		parts = append(parts, fmt.Sprintf("UNTIL=20%02d0%d15T1%d0000", 20+random.IntN(20), 1+random.IntN(9), random.IntN(10)))
	}
	if random.IntN(4) == 0 {
		parts = append(parts, "WKST="+[]string{"SU", "MO", "WE"}[random.IntN(3)])
	}
	list("BYMONTH", 4, between(1, 12))
	list("BYMONTHDAY", 6, signed(31))
	list("BYYEARDAY", 12, signed(366))
	if frequency == "YEARLY" {
		list("BYWEEKNO", 5, signed(53))
		list("BYEASTER", 12, between(-50, 60))
	}
	list("BYDAY", 4, func() string {
		day := []string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}[random.IntN(7)]
		if random.IntN(3) == 0 && (frequency == "MONTHLY" || frequency == "YEARLY") {
			return signed(5)() + day
		}
		return day
	})
	list("BYHOUR", 4, between(0, 23))
	list("BYMINUTE", 5, between(0, 59))
	list("BYSECOND", 8, between(0, 59))
	list("BYSETPOS", 6, signed(4))

	begin := time.Date(2024, 1, 1, 0, 15, 30, 0, time.UTC)
	near := 3 * 365 * 24 * time.Hour
	if intraday {
		begin = time.Date(2025, 3, 1+random.IntN(28), random.IntN(24), 0, 15, 0, time.UTC)
		near = map[string]time.Duration{"HOURLY": 1000 * time.Hour, "MINUTELY": 100 * time.Hour, "SECONDLY": 3 * time.Hour}[frequency]
	}
	text := "DTSTART:" + begin.Format("20060102T150405") + " RRULE:" + strings.Join(parts, ";")
	if random.IntN(6) == 0 {
		text += " EXRULE:FREQ=WEEKLY;BYDAY=TU,SA"
	}
	if random.IntN(6) == 0 {
		text += " RRULE:FREQ=MONTHLY;BYMONTHDAY=7"
	}
	return text, begin.Add(time.Duration(random.Int64N(int64(near))))
}
