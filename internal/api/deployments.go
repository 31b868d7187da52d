package api

import (
	"context"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createDeployment(ctx context.Context, in struct{ Body orion.DeploymentCreate }) (made[*orion.Deployment], error) {
	c := &in.Body
	if err := checkSchedules(c.Schedule, c.Schedules); err != nil {
		return made[*orion.Deployment]{}, err
	}
	return write(ctx, a, func(tx *store.Tx) (out made[*orion.Deployment], err error) {
		if err := a.checkDeploymentBlocks(tx, c.StorageDocumentID.V, c.InfrastructureDocumentID.V); err != nil {
			return out, err
		}
		queue, err := orchestration.ResolveQueue(tx, c.WorkPoolName.Ptr(), c.WorkQueueName.Ptr())
		if err != nil {
			return out, err
		}
		if err := checkPoolVariables(tx, c.WorkPoolName.Ptr(), c.JobVariables.V, c.InfraOverrides.V); err != nil {
			return out, err
		}
		up, err := tx.UpsertDeployment(c, queue)
		if err != nil {
			return out, err
		}
		if !up.Created {
			if err := tx.DeleteAutoScheduled(up.Deployment.ID); err != nil {
				return out, err
			}
		}
		return made[*orion.Deployment]{up.Deployment, up.Created}, a.scheduleSoon(tx, up.Deployment)
	})
}

// scheduleSoon makes a deployment's coming runs at once, in the transaction
// that changed it. Where the scheduler is switched off, a replica that has one
// is told, which then looks through all deployments.
func (a *API) scheduleSoon(tx *store.Tx, d *orion.Deployment) error {
	if !a.o.Schedule {
		tx.Notify(store.TopicDeployment)
		return nil
	}
	_, err := orchestration.ScheduleDeployment(tx, d, orchestration.DefaultWindow(tx.Now()))
	return err
}

func checkSchedules(one orion.Opt[orion.Schedule], many orion.Opt[[]orion.DeploymentScheduleCreate]) error {
	if one.Has() {
		if err := orchestration.CheckSchedule(&one.V); err != nil {
			return err
		}
	}
	for _, s := range many.V {
		if err := orchestration.CheckSchedule(s.Schedule); err != nil {
			return err
		}
	}
	return nil
}

// checkDeploymentBlocks refuses ids of blocks that are not here, which happens
// when a deployment was built against another server.
func (a *API) checkDeploymentBlocks(tx *store.Tx, storage, infrastructure orion.ID) error {
	const why = " This usually occurs when applying a deployment specification that was built against a different Prefect database / workspace."
	for what, id := range map[string]orion.ID{"storage": storage, "infrastructure": infrastructure} {
		if id.IsZero() {
			continue
		}
		ok, err := tx.HasBlockDocument(id)
		if err != nil {
			return err
		}
		if !ok {
			return orion.Errorf(orion.Conflict, "Error creating deployment. Could not find %s block with id: %s.%s", what, id, why)
		}
	}
	return nil
}

func (a *API) readDeployment(ctx context.Context, in byID) (*orion.Deployment, error) {
	return one(ctx, a, "Deployment", func(tx *store.Tx) (*orion.Deployment, error) {
		d, err := tx.Deployment(in.ID)
		if scope, ok := ctx.Value(runScopeKey{}).(*runScope); ok && d != nil && err == nil {
			err = scope.seenBy(tx, d)
		}
		return d, err
	})
}

func (a *API) readDeploymentByName(ctx context.Context, in struct {
	Flow       string `path:"flow_name"`
	Deployment string `path:"deployment_name"`
}) (*orion.Deployment, error) {
	return one(ctx, a, "Deployment", func(tx *store.Tx) (*orion.Deployment, error) {
		return tx.DeploymentByName(in.Flow, in.Deployment)
	})
}

func (a *API) filterDeployments(ctx context.Context, in filtered) ([]orion.Deployment, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.Deployment, error) {
		return tx.Deployments(&in.Body.RunFilters, in.Body.Sort, limit, offset)
	})
}

func (a *API) countDeployments(ctx context.Context, in filtered) (int64, error) {
	return read(ctx, a, func(tx *store.Tx) (int64, error) { return tx.CountDeployments(&in.Body.RunFilters) })
}

func (a *API) updateDeployment(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.DeploymentUpdate
}) (none, error) {
	u := &in.Body
	if err := checkSchedules(u.Schedule, u.Schedules); err != nil {
		return none{}, err
	}
	return change(ctx, a, "Deployment", func(tx *store.Tx) (bool, error) {
		d, err := tx.Deployment(in.ID)
		if d == nil || err != nil {
			return false, err
		}
		if err := oneSchedule(d, u); err != nil {
			return false, err
		}
		if u.Parameters.Has() {
			if u.Parameters.V, err = orchestration.Hydrate(tx, u.Parameters.V); err != nil {
				return false, orion.Errorf(orion.BadRequest, "Error hydrating deployment parameters: %v", err)
			}
			enforce := u.EnforceParameterSchema.Or(d.EnforceParameterSchema)
			if enforce {
				if err := orchestration.CheckParameters(d.ParameterOpenapiSchema, u.Parameters.V, true); err != nil {
					return false, orion.Errorf(orion.Conflict, "Error updating deployment: %v", err)
				}
			}
		}
		var queue *orion.WorkQueue
		if u.WorkPoolName.Has() || u.WorkQueueName.Has() {
			pool := u.WorkPoolName.Ptr()
			if pool == nil {
				pool = d.WorkPoolName
			}
			if queue, err = orchestration.ResolveQueue(tx, pool, u.WorkQueueName.Ptr()); err != nil {
				return false, err
			}
		}
		ok, err := tx.UpdateDeployment(in.ID, u, queue)
		if err != nil || !ok {
			return ok, err
		}
		return true, a.reschedule(tx, in.ID)
	})
}

// oneSchedule translates the older spellings of a deployment's schedule, which
// only fit deployments with at most one.
func oneSchedule(d *orion.Deployment, u *orion.DeploymentUpdate) error {
	if !u.Schedule.Set && !u.IsScheduleActive.Set {
		return nil
	}
	if len(d.Schedules) > 1 {
		return multipleSchedules(d.ID)
	}
	sched := u.Schedule.Ptr()
	if !u.Schedule.Set {
		sched = d.Schedule
	}
	active := !d.Paused
	if u.IsScheduleActive.Has() {
		active = u.IsScheduleActive.V
	}
	list := []orion.DeploymentScheduleCreate{}
	if sched != nil {
		list = append(list, orion.DeploymentScheduleCreate{Schedule: sched, Active: &active})
	}
	u.Schedules = orion.Some(list)
	return nil
}

func multipleSchedules(id orion.ID) error {
	return &orion.Error{Kind: orion.Invalid, Message: "Error updating deployment: Deployment " + id.String() + " has multiple schedules. Please use the UI or update your client to adjust this deployment's schedules."}
}

// reschedule replaces the runs that were made by how the deployment was.
func (a *API) reschedule(tx *store.Tx, id orion.ID) error {
	if err := tx.DeleteAutoScheduled(id); err != nil {
		return err
	}
	d, err := tx.Deployment(id)
	if d == nil || err != nil {
		return err
	}
	return a.scheduleSoon(tx, d)
}

func (a *API) deleteDeployment(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Deployment", func(tx *store.Tx) (bool, error) { return tx.DeleteDeployment(in.ID) })
}

func (a *API) pauseDeployment(ctx context.Context, in byID) (none, error) {
	return a.setPaused(ctx, in.ID, true)
}

func (a *API) resumeDeployment(ctx context.Context, in byID) (none, error) {
	return a.setPaused(ctx, in.ID, false)
}

// setPaused switches a deployment; a single schedule follows, as in Prefect 2.
func (a *API) setPaused(ctx context.Context, id orion.ID, paused bool) (none, error) {
	return change(ctx, a, "Deployment", func(tx *store.Tx) (bool, error) {
		d, err := tx.Deployment(id)
		if d == nil || err != nil {
			return false, err
		}
		if len(d.Schedules) > 1 {
			return false, multipleSchedules(id)
		}
		if _, err := tx.SetPaused(id, paused); err != nil {
			return false, err
		}
		for _, s := range d.Schedules {
			if _, err := tx.UpdateSchedule(id, s.ID, &orion.DeploymentScheduleUpdate{Active: orion.Some(!paused)}); err != nil {
				return false, err
			}
		}
		return true, a.reschedule(tx, id)
	})
}

func (a *API) createDeploymentRun(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.DeploymentFlowRunCreate
}) (made[*orion.FlowRun], error) {
	c := &in.Body
	return write(ctx, a, func(tx *store.Tx) (out made[*orion.FlowRun], err error) {
		d, err := tx.Deployment(in.ID)
		if err != nil {
			return out, err
		}
		if d == nil {
			return out, orion.Errorf(orion.NotFound, "Deployment not found")
		}
		if c.Parameters, err = orchestration.Hydrate(tx, c.Parameters); err != nil {
			return out, orion.Errorf(orion.BadRequest, "Error hydrating flow run parameters: %v", err)
		}
		if d.EnforceParameterSchema || (c.EnforceParameterSchema != nil && *c.EnforceParameterSchema) {
			if err := orchestration.CheckParameters(d.ParameterOpenapiSchema, orchestration.Overlay(d.Parameters, c.Parameters), false); err != nil {
				return out, orion.Errorf(orion.Conflict, "Error creating flow run: %v", err)
			}
		}
		if err := checkPoolVariables(tx, d.WorkPoolName, c.JobVariables, nil); err != nil {
			return out, err
		}
		out.v, out.new, err = orchestration.CreateDeploymentRun(tx, d, c)
		return out, err
	})
}

func (a *API) scheduleDeployment(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body struct {
		StartTime orion.Time     `json:"start_time"`
		EndTime   orion.Time     `json:"end_time"`
		MinTime   *orion.Seconds `json:"min_time"`
		MinRuns   *int64         `json:"min_runs"`
		MaxRuns   *int64         `json:"max_runs"`
	}
}) (none, error) {
	return change(ctx, a, "Deployment", func(tx *store.Tx) (bool, error) {
		d, err := tx.Deployment(in.ID)
		if d == nil || err != nil {
			return false, err
		}
		w := orchestration.DefaultWindow(tx.Now())
		if !in.Body.StartTime.IsZero() {
			w.Start = in.Body.StartTime
		}
		if !in.Body.EndTime.IsZero() {
			w.End = in.Body.EndTime
		}
		if in.Body.MinTime != nil {
			w.MinAhead = time.Duration(*in.Body.MinTime)
		}
		if in.Body.MinRuns != nil {
			w.MinRuns = int(*in.Body.MinRuns)
		}
		if in.Body.MaxRuns != nil {
			w.MaxRuns = int(*in.Body.MaxRuns)
		}
		_, err = orchestration.ScheduleDeployment(tx, d, w)
		return true, err
	})
}

// deploymentRuns is what flow.serve() polls.
func (a *API) deploymentRuns(ctx context.Context, in struct {
	Body struct {
		DeploymentIDs   []orion.ID `json:"deployment_ids"`
		ScheduledBefore orion.Time `json:"scheduled_before"`
		Limit           *int64     `json:"limit"`
	}
}) ([]*orion.FlowRun, error) {
	b := in.Body
	if b.ScheduledBefore.IsZero() {
		b.ScheduledBefore = orion.Now()
	}
	a.s.Polled(orion.ScopeOf(ctx).Workspace, b.DeploymentIDs...)
	return page(ctx, a, orion.Page{Limit: b.Limit}, func(tx *store.Tx, limit, _ int64) ([]*orion.FlowRun, error) {
		return tx.DueForDeployments(b.DeploymentIDs, b.ScheduledBefore, limit)
	})
}

func (a *API) listSchedules(ctx context.Context, in byID) ([]orion.DeploymentSchedule, error) {
	d, err := a.readDeployment(ctx, in)
	if err != nil {
		return nil, err
	}
	return d.Schedules, nil
}

func (a *API) addSchedules(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body []orion.DeploymentScheduleCreate
}) ([]orion.DeploymentSchedule, error) {
	for i := range in.Body {
		if err := in.Body[i].Validate(); err != nil {
			return nil, err
		}
		if err := orchestration.CheckSchedule(in.Body[i].Schedule); err != nil {
			return nil, err
		}
	}
	return write(ctx, a, func(tx *store.Tx) ([]orion.DeploymentSchedule, error) {
		d, err := tx.Deployment(in.ID)
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, orion.Errorf(orion.NotFound, "Deployment not found.")
		}
		out, err := tx.AddSchedules(in.ID, in.Body)
		if err != nil {
			return nil, err
		}
		return out, a.reschedule(tx, in.ID)
	})
}

func (a *API) updateSchedule(ctx context.Context, in struct {
	ID       orion.ID `path:"id"`
	Schedule orion.ID `path:"schedule_id"`
	Body     orion.DeploymentScheduleUpdate
}) (none, error) {
	if in.Body.Schedule.Has() {
		if err := orchestration.CheckSchedule(&in.Body.Schedule.V); err != nil {
			return none{}, err
		}
	}
	return change(ctx, a, "Schedule", func(tx *store.Tx) (bool, error) {
		ok, err := tx.UpdateSchedule(in.ID, in.Schedule, &in.Body)
		if err != nil || !ok {
			return ok, err
		}
		return true, a.reschedule(tx, in.ID)
	})
}

func (a *API) deleteSchedule(ctx context.Context, in struct {
	ID       orion.ID `path:"id"`
	Schedule orion.ID `path:"schedule_id"`
}) (none, error) {
	return change(ctx, a, "Schedule", func(tx *store.Tx) (bool, error) {
		ok, err := tx.DeleteSchedule(in.ID, in.Schedule)
		if err != nil || !ok {
			return ok, err
		}
		return true, a.reschedule(tx, in.ID)
	})
}

// workQueueCheck lists the queues that would run a deployment (deprecated).
func (a *API) workQueueCheck(ctx context.Context, in byID) ([]orion.WorkQueue, error) {
	return read(ctx, a, func(tx *store.Tx) ([]orion.WorkQueue, error) {
		d, err := tx.Deployment(in.ID)
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, orion.Errorf(orion.NotFound, "Deployment not found")
		}
		out := []orion.WorkQueue{}
		q, err := tx.WorkQueue(d.WorkQueueID)
		if q != nil {
			out = append(out, *q)
		}
		return out, err
	})
}
