package orchestration

import (
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/schedule"
	"github.com/orionflows/orion/internal/store"
)

// How far ahead runs are made, as in Prefect 2.20: at least minRuns of each
// schedule, at least to minAhead, never more than maxRuns or past maxAhead.
const (
	minRuns  = 3
	minAhead = time.Hour
	maxRuns  = 100
	maxAhead = 100 * 24 * time.Hour
)

// Window is the span that runs are made for.
type Window struct {
	Start, End orion.Time
	MinRuns    int
	MaxRuns    int
	MinAhead   time.Duration
}

// DefaultWindow starts now.
func DefaultWindow(now orion.Time) Window {
	return Window{Start: now, End: now.Add(maxAhead), MinRuns: minRuns, MaxRuns: maxRuns, MinAhead: minAhead}
}

// SpecOf is the schedule in the terms of package schedule.
func SpecOf(s *orion.Schedule) schedule.Spec {
	sp := schedule.Spec{DayOr: s.DayOr == nil || *s.DayOr, Interval: s.Every(), Anchor: s.AnchorDate.Std()}
	if s.Cron != nil {
		sp.Cron = *s.Cron
	}
	if s.RRule != nil {
		sp.RRule = *s.RRule
	}
	if s.Timezone != nil {
		sp.Timezone = *s.Timezone
	}
	return sp
}

// CheckSchedule refuses a schedule that cannot be understood.
func CheckSchedule(s *orion.Schedule) error {
	if s == nil {
		return nil
	}
	if _, err := schedule.Parse(SpecOf(s)); err != nil {
		field := "schedule"
		switch {
		case s.Cron != nil:
			field = "schedule.cron"
		case s.RRule != nil:
			field = "schedule.rrule"
		case s.Interval != nil:
			field = "schedule.interval"
		}
		return orion.Refuse(field, err.Error())
	}
	return nil
}

// NeedsRuns reports whether the scheduler has something to do for a
// deployment: fewer runs ahead than wanted, or none far enough.
func NeedsRuns(tx *store.Tx, d *orion.Deployment) (bool, error) {
	n, last, err := tx.ScheduledAhead(d.ID, tx.Now())
	return n < minRuns || last.Before(tx.Now().Add(minAhead)), err
}

// ScheduleDeployment makes the coming runs of a deployment that are not there
// yet, and answers how many it made. Each has an idempotency key of the
// deployment and its time, so that doing it twice is harmless.
func ScheduleDeployment(tx *store.Tx, d *orion.Deployment, w Window) (int, error) {
	if d.Paused {
		return 0, nil
	}
	made := 0
	for i := range d.Schedules {
		s := &d.Schedules[i]
		if !s.Active {
			continue
		}
		sc, err := schedule.Parse(SpecOf(&s.Schedule))
		if err != nil {
			continue // it was checked when it came; one that is no longer understood must not stop the others
		}
		n := 0
		for at := range sc.From(w.Start.Std()) {
			t := orion.At(at)
			if t.After(w.End) || n >= w.MaxRuns || (n >= w.MinRuns && !t.Before(w.Start.Add(w.MinAhead))) {
				break
			}
			if s.MaxScheduledRuns != nil && int64(n) >= *s.MaxScheduledRuns {
				break
			}
			n++
			ok, err := scheduleRun(tx, d, s, at)
			if err != nil {
				return made, err
			}
			if ok {
				made++
			}
		}
	}
	if made > 0 {
		tx.Notify(store.TopicScheduled)
	}
	return made, nil
}

func scheduleRun(tx *store.Tx, d *orion.Deployment, s *orion.DeploymentSchedule, at time.Time) (bool, error) {
	t := orion.At(at)
	params := d.Parameters
	if !orion.IsNull(s.Parameters) {
		params = Overlay(d.Parameters, s.Parameters)
	}
	run := &orion.FlowRun{
		ID: orion.NewID(), Name: slug(nil), FlowID: d.FlowID, DeploymentID: d.ID, DeploymentVersion: d.Version,
		WorkQueueID: d.WorkQueueID, WorkQueueName: d.WorkQueueName, Parameters: params,
		IdempotencyKey:           ptr("scheduled " + d.ID.String() + " " + isoTime(at)),
		Tags:                     append([]string{"auto-scheduled"}, d.Tags...),
		InfrastructureDocumentID: d.InfrastructureDocumentID, AutoScheduled: true,
		ExpectedStartTime: t, NextScheduledStartTime: t,
	}
	st := &orion.State{ID: orion.NewID(), Type: orion.Scheduled, Name: "Scheduled", Timestamp: tx.Now(), Message: ptr("Flow run scheduled"),
		Details: orion.StateDetails{ScheduledTime: t}}
	setFlowState(run, st)
	return tx.InsertFlowRun(run)
}

// isoTime prints a time with the offset of its own zone, as the keys of
// Prefect 2 do.
func isoTime(t time.Time) string {
	if t.Nanosecond()/1000 == 0 {
		return t.Format("2006-01-02T15:04:05-07:00")
	}
	return t.Format("2006-01-02T15:04:05.000000-07:00")
}

// Overlay is a JSON object with the keys of another on top.
func Overlay(base, top orion.JSON) orion.JSON {
	var a, b map[string]orion.JSON
	if orion.Decode(orion.ObjectOr(base), &a) != nil || orion.Decode(orion.ObjectOr(top), &b) != nil {
		return orion.ObjectOr(base)
	}
	if a == nil {
		a = map[string]orion.JSON{}
	}
	for k, v := range b {
		a[k] = v
	}
	out, err := orion.Encode(a)
	if err != nil {
		return orion.ObjectOr(base)
	}
	return out
}
