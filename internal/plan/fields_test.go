package plan

import (
	"testing"
	"time"

	"github.com/orionflows/orion"
)

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
