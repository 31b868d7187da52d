package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/overlay"
)

// told is what compare says, in short: the names of what changes and of what
// has drifted.
func told(base map[string]string, server, wanted fields) string {
	changes, drift := compare(base, server, wanted, nil)
	var out []string
	for _, c := range changes {
		mark := ""
		if c.ByHand {
			mark = "*"
		}
		out = append(out, c.Name+mark)
	}
	s := strings.Join(out, " ") + " |"
	for _, d := range drift {
		s += " " + d.Name
	}
	return s
}

func TestThreeWaysToDiffer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		what                string
		base, server, wants fields
		told                string
	}{
		{"nothing differs", fields{"tags": "1"}, fields{"tags": "1"}, fields{"tags": "1"}, " |"},
		{"the repository changed it", fields{"tags": "1"}, fields{"tags": "1"}, fields{"tags": "2"}, "tags |"},
		{"somebody changed it", fields{"tags": "1"}, fields{"tags": "2"}, fields{"tags": "1"}, " | tags"},
		{"both changed it", fields{"tags": "1"}, fields{"tags": "2"}, fields{"tags": "3"}, "tags* |"},
		{"both changed it to the same", fields{"tags": "1"}, fields{"tags": "2"}, fields{"tags": "2"}, " |"},
		{"somebody removed it", fields{"a": "1"}, fields{}, fields{"a": "1"}, " | a"},
		{"the repository removed it", fields{"a": "1"}, fields{"a": "1"}, fields{}, "a |"},
		{"somebody added it", fields{}, fields{"a": "1"}, fields{}, " | a"},
		{"the repository added it", fields{}, fields{}, fields{"a": "1"}, "a |"},
		{"nothing is known of the last deploy", nil, fields{"a": "1"}, fields{"a": "2"}, "a |"},
		{"nothing is known, and it was paused", nil, fields{"paused": "true"}, fields{"paused": "false"}, " | paused"},
		{"nothing is known, and a schedule was switched off", nil, fields{"schedule x active": "false"}, fields{"schedule x active": "true"}, " | schedule x active"},
		{"nothing is known, and the file pauses it", nil, fields{"paused": "false"}, fields{"paused": "true"}, "paused |"},
	} {
		var base map[string]string
		if row.base != nil {
			base = row.base.digests()
		}
		if got := told(base, row.server, row.wants); got != row.told {
			t.Errorf("%s: %q, want %q", row.what, got, row.told)
		}
	}
}

func TestValuesThatMayBeSecretAreNotShown(t *testing.T) {
	t.Parallel()
	b := &overlay.BlockUse{Type: "kubernetes-job", Anonymous: true, Data: overlay.Body(`{"image":"etl:1.5","env":{"TOKEN":"s3cret"},"password":"s3cret"}`)}
	d := &orion.Deployment{JobVariables: orion.JSON(`{"env":{"TOKEN":"s3cret"},"image":"etl:1.5"}`)}
	changes, _ := compare(nil, fields{}, fieldsOf(d, b, b, false), nil)
	shown := fmt.Sprintf("%+v", changes)
	if strings.Contains(shown, "s3cret") {
		t.Errorf("a plan shows a secret: %s", shown)
	}
	for _, want := range []string{"infrastructure.env.TOKEN", "infrastructure.password", "job variables.env.TOKEN", `etl:1.5`} {
		if !strings.Contains(shown, want) {
			t.Errorf("%s is not in the plan: %s", want, shown)
		}
	}
}

func schedule(cron string, active bool) orion.DeploymentSchedule {
	return orion.DeploymentSchedule{Schedule: orion.Schedule{Cron: &cron}, Active: active}
}

func described(list []orion.DeploymentSchedule) string {
	var out []string
	for _, s := range list {
		text := *s.Schedule.Cron
		if !s.Active {
			text += " off"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func TestSchedulesChangedByHandStay(t *testing.T) {
	t.Parallel()
	type list = []orion.DeploymentSchedule
	on := func(cron string) orion.DeploymentSchedule { return schedule(cron, true) }
	for _, row := range []struct {
		what                string
		base, server, wants list
		after               string
	}{
		{"switched off", list{on("a")}, list{schedule("a", false)}, list{on("a")}, "a off"},
		{"another time", list{on("a")}, list{on("b")}, list{on("a")}, "b"},
		{"another time, and off", list{on("a")}, list{schedule("b", false)}, list{on("a")}, "b off"},
		{"deleted", list{on("a"), on("b")}, list{on("b")}, list{on("a"), on("b")}, "b"},
		{"added", list{on("a")}, list{on("a"), on("b")}, list{on("a")}, "a, b"},
		{"switched off, and the repository adds one", list{on("a")}, list{schedule("a", false)}, list{on("a"), on("b")}, "a off, b"},
		{"switched off, and the repository removes it", list{on("a")}, list{schedule("a", false)}, list{}, ""},
		{"the repository alone changes it", list{on("a")}, list{on("a")}, list{on("b")}, "b"},
		{"twice the same", list{on("a"), on("a")}, list{on("a"), schedule("a", false)}, list{on("a"), on("a")}, "a, a off"},
	} {
		of := func(l list) fields { return fieldsOf(&orion.Deployment{Schedules: l}, nil, nil, false) }
		_, drift := compare(of(row.base).digests(), of(row.server), of(row.wants), nil)
		it := &Item{want: &orion.Deployment{Schedules: row.wants}, server: &orion.Deployment{Schedules: row.server}}
		keepDrift(it, drift)
		if got := described(it.want.Schedules); got != row.after {
			t.Errorf("%s: %q, want %q", row.what, got, row.after)
		}
	}
}

func TestSingleParametersStay(t *testing.T) {
	t.Parallel()
	server := &orion.Deployment{Parameters: orion.JSON(`{"a":1,"b":{"c":"by hand","d":2},"x.y":"by hand","new":true}`)}
	want := &orion.Deployment{Parameters: orion.JSON(`{"a":5,"b":{"c":"file","d":2},"x.y":"file","gone":1}`)}
	it := &Item{want: want, server: server}
	keepDrift(it, []Field{{Name: "parameters.b.c"}, {Name: "parameters.x.y"}, {Name: "parameters.new"}, {Name: "parameters.gone"}})
	if got := canonical(it.want.Parameters); got != `{"a":5,"b":{"c":"by hand","d":2},"new":true,"x.y":"by hand"}` {
		t.Errorf("the parameters are %s", got)
	}
}

func TestNamesOfRepositories(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"https://host.example/team/flows.git":              "team/flows",
		"https://user:token@host.example/team/flows":       "team/flows",
		"git@host.example:team/flows.git":                  "team/flows",
		"ssh://git@host.example:22/group/sub/flows.git":    "sub/flows",
		"https://dev.example/organisation/project/_git/fl": "_git/fl",
		"/srv/git/flows.git/":                              "git/flows",
	} {
		if got := nameOfRemote(remote); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

func every(d time.Duration, anchor time.Time) orion.DeploymentSchedule {
	interval := orion.Seconds(d)
	return orion.DeploymentSchedule{Active: true, Schedule: orion.Schedule{Interval: &interval, AnchorDate: orion.At(anchor)}}
}

// The client makes an interval's anchor up each time that a file runs.
func TestAnIntervalThatWasDeletedByHandStaysDeleted(t *testing.T) {
	t.Parallel()
	then, now := time.Now().Add(-time.Hour), time.Now()
	base := fieldsOf(&orion.Deployment{Schedules: []orion.DeploymentSchedule{every(time.Hour, then)}}, nil, nil, false).digests()
	server := &orion.Deployment{}
	want := &orion.Deployment{Schedules: []orion.DeploymentSchedule{every(time.Hour, now)}}
	vague := keepAnchors(want, server)
	changes, drift := compare(base, fieldsOf(server, nil, nil, false), fieldsOf(want, nil, nil, false), vague)
	if len(changes) > 0 || len(drift) != 2 {
		t.Errorf("changes %v, drift %v", changes, drift)
	}
	// One that the file has not had before is a change.
	if changes, _ := compare(map[string]string{}, fieldsOf(server, nil, nil, false), fieldsOf(want, nil, nil, false), vague); len(changes) != 2 {
		t.Errorf("a new one: %v", changes)
	}
	// And one that is there goes on with its beat.
	server.Schedules = []orion.DeploymentSchedule{every(time.Hour, then)}
	vague = keepAnchors(want, server)
	if changes, drift := compare(base, fieldsOf(server, nil, nil, false), fieldsOf(want, nil, nil, false), vague); len(changes)+len(drift) > 0 {
		t.Errorf("nothing was changed, and there are changes %v, drift %v", changes, drift)
	}
}
