package orchestration

import "github.com/orionflows/orion"

// bookkeep writes on the run what follows from the state that is about to be
// entered: times, counts, and the ids in the state's details. It follows
// Prefect 2.20's global policy.
func (t *Transition) bookkeep() {
	s := t.proposed
	if t.flow != nil {
		f := t.flow
		t.times(&f.StartTime, &f.EndTime, &f.ExpectedStartTime, &f.NextScheduledStartTime, &f.TotalRunTime)
		s.Details.FlowRunID = f.ID
		if !f.ParentTaskRunID.IsZero() {
			s.Details.TaskRunID = f.ParentTaskRunID
		}
		resuming := f.EmpiricalPolicy.Resuming
		if s.Type == orion.Running && !(resuming && t.Client.TracksPauses()) {
			f.RunCount++
		}
		if resuming && t.Client.TracksPauses() && (s.Type == orion.Running || s.Type.Final()) {
			f.EmpiricalPolicy.Resuming = false
		}
		return
	}
	r := t.task
	t.times(&r.StartTime, &r.EndTime, &r.ExpectedStartTime, &r.NextScheduledStartTime, &r.TotalRunTime)
	s.Details.FlowRunID, s.Details.TaskRunID = r.FlowRunID, r.ID
	if s.Type == orion.Running {
		r.RunCount++
	}
}

func (t *Transition) times(start, end, expected, next *orion.Time, total *orion.Seconds) {
	s := t.proposed
	if s.Type == orion.Running && start.IsZero() {
		*start = s.Timestamp
	}
	if t.initial != nil && t.initial.Type.Final() && !s.Type.Final() {
		*end = orion.Time{}
	}
	if s.Type.Final() && !start.IsZero() && end.IsZero() {
		*end = s.Timestamp
	}
	if stateType(t.initial) == orion.Running {
		*total += orion.Seconds(s.Timestamp.Sub(t.initial.Timestamp))
	}
	if expected.IsZero() {
		*expected = s.Timestamp
		if s.Type == orion.Scheduled {
			*expected = s.Details.ScheduledTime
		}
	}
	if stateType(t.initial) == orion.Scheduled {
		*next = orion.Time{}
	}
	if s.Type == orion.Scheduled {
		*next = s.Details.ScheduledTime
	}
}
