package store

import (
	"bytes"
	"slices"
	"time"

	"github.com/orionflows/orion"
)

const deploymentColumns = `deployment.id, deployment.created, deployment.updated, deployment.name, deployment.version, deployment.description,
	deployment.flow_id, deployment.paused, deployment.job_variables, deployment.parameters, deployment.tags, deployment.labels,
	deployment.work_queue_name, deployment.work_queue_id, deployment.last_polled, deployment.status, deployment.parameter_openapi_schema,
	deployment.enforce_parameter_schema, deployment.path, deployment.entrypoint, deployment.manifest_path, deployment.pull_steps,
	deployment.storage_document_id, deployment.infrastructure_document_id, deployment.created_by, deployment.updated_by, deployment.extra,
	(SELECT p.name FROM work_queue q JOIN work_pool p ON p.workspace_id = q.workspace_id AND p.id = q.work_pool_id
	 WHERE q.workspace_id = deployment.workspace_id AND q.id = deployment.work_queue_id)`

func (tx *Tx) scanDeployment(r *Row) (d orion.Deployment, err error) {
	err = r.Scan(&d.ID, &d.Created, &d.Updated, &d.Name, &d.Version, &d.Description,
		&d.FlowID, &d.Paused, &d.JobVariables, &d.Parameters, asJSON(&d.Tags), &d.Labels,
		&d.WorkQueueName, &d.WorkQueueID, &d.LastPolled, &d.Status, &d.ParameterOpenapiSchema,
		&d.EnforceParameterSchema, &d.Path, &d.Entrypoint, &d.ManifestPath, &d.PullSteps,
		&d.StorageDocumentID, &d.InfrastructureDocumentID, &d.CreatedBy, &d.UpdatedBy, &d.Extra, &d.WorkPoolName)
	d.InfraOverrides = d.JobVariables
	d.IsScheduleActive = !d.Paused
	if at := tx.s.polled(tx.ws, d.ID); at.After(d.LastPolled) {
		d.LastPolled, d.Status = at, orion.Ready
	}
	return d, err
}

func (tx *Tx) deployments(w string, args ...any) ([]orion.Deployment, error) {
	ds, err := list(tx, "SELECT "+deploymentColumns+" FROM deployment WHERE "+w, args, tx.scanDeployment)
	if err != nil {
		return nil, err
	}
	return ds, tx.attachSchedules(ds)
}

func (tx *Tx) oneDeployment(w string, args ...any) (*orion.Deployment, error) {
	ds, err := tx.deployments("deployment.workspace_id = ? AND "+w, append([]any{tx.ws}, args...)...)
	if err != nil || len(ds) == 0 {
		return nil, err
	}
	return &ds[0], nil
}

// attachSchedules reads the schedules of a list of deployments in one query.
func (tx *Tx) attachSchedules(ds []orion.Deployment) error {
	if len(ds) == 0 {
		return nil
	}
	at := map[orion.ID]int{}
	ids := make([]orion.ID, len(ds))
	for i := range ds {
		ids[i], at[ds[i].ID] = ds[i].ID, i
		ds[i].Schedules = []orion.DeploymentSchedule{}
	}
	c := in("deployment_id", ids)
	ss, err := list(tx, "SELECT "+scheduleColumns+" FROM deployment_schedule WHERE workspace_id = ? AND "+c.sql+" ORDER BY deployment_id, position",
		append([]any{tx.ws}, c.args...), scanSchedule)
	if err != nil {
		return err
	}
	for _, s := range ss {
		d := &ds[at[s.DeploymentID]]
		d.Schedules = append(d.Schedules, s)
		if d.Schedule == nil {
			sched := s.Schedule
			d.Schedule = &sched
		}
	}
	return nil
}

// Deployment reads one deployment with its schedules; nil when there is none.
func (tx *Tx) Deployment(id orion.ID) (*orion.Deployment, error) {
	return tx.oneDeployment("deployment.id = ?", id)
}

// DeploymentByName reads one deployment; nil when there is none.
func (tx *Tx) DeploymentByName(flow, name string) (*orion.Deployment, error) {
	return tx.oneDeployment("deployment.name = ? AND deployment.flow_id = (SELECT id FROM flow WHERE workspace_id = ? AND name = ?)", name, tx.ws, flow)
}

func (tx *Tx) deploymentOf(flow orion.ID, name string) (*orion.Deployment, error) {
	return tx.oneDeployment("deployment.flow_id = ? AND deployment.name = ?", flow, name)
}

var deploymentSorts = map[string]string{
	"NAME_ASC": "deployment.name", "NAME_DESC": "deployment.name DESC", "CREATED_DESC": "deployment.created DESC", "UPDATED_DESC": "deployment.updated DESC",
}

// Deployments lists deployments with their schedules.
func (tx *Tx) Deployments(f *orion.RunFilters, sort *string, limit, offset int64) ([]orion.Deployment, error) {
	o, err := order(deploymentSorts, sort, "NAME_ASC")
	if err != nil {
		return nil, err
	}
	w := tx.deploymentsWhere(f)
	return tx.deployments(w.sql+o+" LIMIT ? OFFSET ?", append(w.args, limit, offset)...)
}

// CountDeployments counts deployments.
func (tx *Tx) CountDeployments(f *orion.RunFilters) (int64, error) {
	w := tx.deploymentsWhere(f)
	return tx.count("SELECT COUNT(*) FROM deployment WHERE "+w.sql, w.args...)
}

// SchedulableDeployments lists, in the order of their ids, those after a given
// one that are not paused and have an active schedule.
func (tx *Tx) SchedulableDeployments(after orion.ID, limit int64) ([]orion.Deployment, error) {
	more := ""
	args := []any{tx.ws}
	if !after.IsZero() {
		more = " AND deployment.id > ?"
		args = append(args, after)
	}
	return tx.deployments(`deployment.workspace_id = ? AND NOT deployment.paused`+more+` AND EXISTS
		(SELECT 1 FROM deployment_schedule s WHERE s.workspace_id = deployment.workspace_id AND s.deployment_id = deployment.id AND s.active)
		ORDER BY deployment.id LIMIT ?`, append(args, limit)...)
}

// Upserted is what UpsertDeployment did.
type Upserted struct {
	Deployment *orion.Deployment
	Created    bool
}

// UpsertDeployment makes a deployment or updates the one of that flow and
// name. Only the fields that the client set are written. A schedule that was
// there before keeps its identity, and its switch unless the deployment file
// now says something else than it did last time.
func (tx *Tx) UpsertDeployment(c *orion.DeploymentCreate, queue *orion.WorkQueue) (*Upserted, error) {
	before, err := tx.deploymentOf(c.FlowID, c.Name)
	if err != nil {
		return nil, err
	}
	paused := declaredPaused(c.Paused, c.IsScheduleActive)
	created := false
	if before == nil {
		n, err := tx.exec(`INSERT INTO deployment (workspace_id, id, created, updated, actor, name, flow_id, paused, job_variables, parameters, tags, status, enforce_parameter_schema)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, '{}', '{}', '[]', ?, ?) ON CONFLICT (workspace_id, flow_id, name) DO NOTHING`,
			tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, c.Name, c.FlowID, paused.Or(false), orion.NotReady, false)
		if err != nil {
			return nil, err
		}
		created = n > 0 // else somebody made it at the same moment
		if before, err = tx.deploymentOf(c.FlowID, c.Name); err != nil {
			return nil, err
		}
	}
	p := tx.patch("deployment")
	if paused.Set {
		var last *int64
		if _, err := tx.one("SELECT CASE WHEN declared_paused THEN 1 WHEN NOT declared_paused THEN 0 END FROM deployment WHERE workspace_id = ? AND id = ?", []any{tx.ws, before.ID}, &last); err != nil {
			return nil, err
		}
		if last == nil || (*last == 1) != paused.V {
			p.set("paused", paused.V)
		}
		p.set("declared_paused", paused.V)
	}
	p.set("version_id", nil) // who deploys in another way leaves the versions; AddVersion comes after this
	setOpt(p, "version", c.Version)
	setOpt(p, "description", c.Description)
	if c.Parameters.Set {
		p.set("parameters", orion.ObjectOr(c.Parameters.V))
	}
	if c.Tags.Set {
		p.set("tags", c.Tags.V)
	}
	setOpt(p, "labels", c.Labels)
	setOpt(p, "parameter_openapi_schema", c.ParameterOpenapiSchema)
	if c.EnforceParameterSchema.Has() {
		p.set("enforce_parameter_schema", c.EnforceParameterSchema.V)
	}
	setOpt(p, "path", c.Path)
	setOpt(p, "entrypoint", c.Entrypoint)
	setOpt(p, "manifest_path", c.ManifestPath)
	setOpt(p, "pull_steps", c.PullSteps)
	setOpt(p, "storage_document_id", c.StorageDocumentID)
	setOpt(p, "infrastructure_document_id", c.InfrastructureDocumentID)
	setJobVariables(p, c.JobVariables, c.InfraOverrides)
	setQueue(p, c.WorkPoolName, c.WorkQueueName, queue)
	if len(c.Extra) > 0 {
		p.set("extra", c.Extra)
	}
	if _, err := p.run(before.ID); err != nil {
		return nil, err
	}
	wanted := c.Schedules.V
	if !c.Schedules.Has() && c.Schedule.Has() {
		wanted = []orion.DeploymentScheduleCreate{{Schedule: &c.Schedule.V, Active: c.IsScheduleActive.Ptr()}}
	}
	if err := tx.replaceSchedules(before.ID, before.Schedules, wanted); err != nil {
		return nil, err
	}
	d, err := tx.Deployment(before.ID)
	return &Upserted{Deployment: d, Created: created}, err
}

// declaredPaused reads the two spellings of one switch; paused wins.
func declaredPaused(paused, active orion.Opt[bool]) orion.Opt[bool] {
	if paused.Has() {
		return paused
	}
	if active.Has() {
		return orion.Some(!active.V)
	}
	return orion.Opt[bool]{}
}

// setJobVariables: an empty object does not clear, as in Prefect 2.
func setJobVariables(p *patch, jobVariables, overrides orion.Opt[orion.JSON]) {
	for _, o := range []orion.Opt[orion.JSON]{jobVariables, overrides} {
		if o.Has() && string(bytes.TrimSpace(o.V)) != "{}" {
			p.set("job_variables", o.V)
			return
		}
	}
	if overrides.Has() {
		p.set("job_variables", overrides.V)
	}
}

func setQueue(p *patch, pool, name orion.Opt[string], queue *orion.WorkQueue) {
	if queue != nil {
		p.set("work_queue_id", queue.ID)
		p.set("work_queue_name", queue.Name)
		return
	}
	if pool.Set || name.Set {
		p.set("work_queue_id", nil)
		p.set("work_queue_name", nil)
	}
}

// UpdateDeployment patches a deployment and reports whether it exists. Only
// Schedules is looked at for schedules: whoever calls has translated the older
// spellings.
func (tx *Tx) UpdateDeployment(id orion.ID, u *orion.DeploymentUpdate, queue *orion.WorkQueue) (bool, error) {
	before, err := tx.Deployment(id)
	if before == nil || err != nil {
		return false, err
	}
	p := tx.patch("deployment")
	if paused := declaredPaused(u.Paused, u.IsScheduleActive); paused.Set {
		p.set("paused", paused.V)
	}
	setOpt(p, "version", u.Version)
	setOpt(p, "description", u.Description)
	if u.Parameters.Has() {
		p.set("parameters", u.Parameters.V)
	}
	if u.Tags.Has() {
		p.set("tags", u.Tags.V)
	}
	setOpt(p, "labels", u.Labels)
	setOpt(p, "parameter_openapi_schema", u.ParameterOpenapiSchema)
	if u.EnforceParameterSchema.Has() {
		p.set("enforce_parameter_schema", u.EnforceParameterSchema.V)
	}
	setOpt(p, "path", u.Path)
	setOpt(p, "entrypoint", u.Entrypoint)
	setOpt(p, "manifest_path", u.ManifestPath)
	setOpt(p, "pull_steps", u.PullSteps)
	setOpt(p, "storage_document_id", u.StorageDocumentID)
	setOpt(p, "infrastructure_document_id", u.InfrastructureDocumentID)
	setJobVariables(p, u.JobVariables, u.InfraOverrides)
	if queue != nil {
		setQueue(p, u.WorkPoolName, u.WorkQueueName, queue)
	}
	if len(u.Extra) > 0 {
		p.set("extra", u.Extra)
	}
	if _, err := p.run(id); err != nil {
		return false, err
	}
	if u.Schedules.Has() {
		return true, tx.replaceSchedules(id, before.Schedules, u.Schedules.V)
	}
	return true, nil
}

// SetPaused switches a deployment and reports whether it exists.
func (tx *Tx) SetPaused(id orion.ID, paused bool) (bool, error) {
	p := tx.patch("deployment")
	p.set("paused", paused)
	return p.run(id)
}

// DeleteDeployment removes a deployment and its runs that have not started.
func (tx *Tx) DeleteDeployment(id orion.ID) (bool, error) {
	if _, err := tx.exec("DELETE FROM flow_run WHERE workspace_id = ? AND deployment_id = ? AND "+scheduledOfDeployment, tx.ws, id); err != nil {
		return false, err
	}
	ok, err := tx.deleteByID("deployment", id)
	if err != nil || !ok {
		return ok, err
	}
	if err := tx.dropVersions(id); err != nil {
		return false, err
	}
	_, err = tx.exec("UPDATE flow_run SET deployment_id = NULL WHERE workspace_id = ? AND deployment_id = ?", tx.ws, id)
	return true, err
}

// DeleteAutoScheduled removes the runs that the scheduler made for a
// deployment and that have not started.
func (tx *Tx) DeleteAutoScheduled(deployment orion.ID) error {
	_, err := tx.exec("DELETE FROM flow_run WHERE workspace_id = ? AND deployment_id = ? AND auto_scheduled AND "+scheduledOfDeployment, tx.ws, deployment)
	return err
}

// scheduledOfDeployment is state_type = 'SCHEDULED', said so that SQLite looks
// among the runs of the deployment rather than among all that are scheduled.
const scheduledOfDeployment = "state_type || '' = 'SCHEDULED'"

// ScheduledAhead counts the runs the scheduler has made for a deployment from
// now on, and tells when the last one starts.
func (tx *Tx) ScheduledAhead(deployment orion.ID, from orion.Time) (n int64, last orion.Time, err error) {
	_, err = tx.one(`SELECT COUNT(*), MAX(next_scheduled_start_time) FROM flow_run
		WHERE workspace_id = ? AND deployment_id = ? AND auto_scheduled AND state_type = 'SCHEDULED' AND expected_start_time >= ?`,
		[]any{tx.ws, deployment, from}, &n, &last)
	return n, last, err
}

const scheduleColumns = "id, created, updated, deployment_id, schedule, active, max_active_runs, max_scheduled_runs, catchup, parameters, slug"

func scanSchedule(r *Row) (s orion.DeploymentSchedule, err error) {
	err = r.Scan(&s.ID, &s.Created, &s.Updated, &s.DeploymentID, asJSON(&s.Schedule), &s.Active, &s.MaxActiveRuns, &s.MaxScheduledRuns, &s.Catchup, &s.Parameters, &s.Slug)
	return s, err
}

// RestoreDeployment makes a deployment what it was. What people have switched
// since stays as they switched it, and a schedule that comes back comes back as
// it was switched then.
func (tx *Tx) RestoreDeployment(before *orion.Deployment, c *orion.DeploymentCreate, queue *orion.WorkQueue) (*orion.Deployment, error) {
	c.Paused, c.IsScheduleActive = orion.Opt[bool]{}, orion.Opt[bool]{}
	have := slices.Clone(before.Schedules)
	for i := range c.Schedules.V {
		w := &c.Schedules.V[i]
		j := indexOfSchedule(have, w)
		if j < 0 {
			continue
		}
		declared, err := tx.declaredActive(have[j].ID)
		if err != nil {
			return nil, err
		}
		w.Active = &declared
		have = slices.Delete(have, j, j+1)
	}
	up, err := tx.UpsertDeployment(c, queue)
	if err != nil {
		return nil, err
	}
	for _, s := range up.Deployment.Schedules {
		if s.Active || slices.ContainsFunc(before.Schedules, func(b orion.DeploymentSchedule) bool { return b.ID == s.ID }) {
			continue
		}
		// As if somebody had just paused it: the next deploy must not resume it.
		if _, err := tx.exec("UPDATE deployment_schedule SET declared_active = ? WHERE workspace_id = ? AND id = ?", true, tx.ws, s.ID); err != nil {
			return nil, err
		}
	}
	return up.Deployment, nil
}

// declaredActive is how a schedule's switch was declared last, which need not
// be how people have set it.
func (tx *Tx) declaredActive(schedule orion.ID) (active bool, err error) {
	_, err = tx.one("SELECT declared_active FROM deployment_schedule WHERE workspace_id = ? AND id = ?", []any{tx.ws, schedule}, &active)
	return active, err
}

// indexOfSchedule finds the schedule that is the same as the wanted one: it has
// its slug, or says the same. -1 if there is none.
func indexOfSchedule(have []orion.DeploymentSchedule, w *orion.DeploymentScheduleCreate) int {
	return slices.IndexFunc(have, func(h orion.DeploymentSchedule) bool {
		if w.Slug != nil && h.Slug != nil {
			return *w.Slug == *h.Slug
		}
		return sameSchedule(&h.Schedule, w.Schedule)
	})
}

// replaceSchedules makes the schedules of a deployment those wanted. One that
// says the same as before, or carries the same slug, is the same schedule.
func (tx *Tx) replaceSchedules(deployment orion.ID, have []orion.DeploymentSchedule, want []orion.DeploymentScheduleCreate) error {
	have = slices.Clone(have)
	for i := range want {
		w := &want[i]
		j := indexOfSchedule(have, w)
		if j < 0 {
			if _, err := tx.insertSchedule(deployment, int64(i), w); err != nil {
				return err
			}
			continue
		}
		declared := w.Active == nil || *w.Active
		p := tx.patch("deployment_schedule")
		last, err := tx.declaredActive(have[j].ID)
		if err != nil {
			return err
		}
		if last != declared {
			p.set("active", declared)
		}
		p.set("declared_active", declared)
		p.set("position", int64(i))
		if w.Schedule.Interval != nil && tx.now.Sub(w.Schedule.AnchorDate).Abs() < time.Minute {
			// The client made the anchor up as it deployed: the beat goes on.
			w.Schedule.AnchorDate = have[j].Schedule.AnchorDate
		}
		p.set("schedule", *w.Schedule)
		p.set("max_active_runs", w.MaxActiveRuns)
		p.set("max_scheduled_runs", w.MaxScheduledRuns)
		p.set("catchup", w.Catchup != nil && *w.Catchup)
		p.set("parameters", w.Parameters)
		p.set("slug", w.Slug)
		if _, err := p.run(have[j].ID); err != nil {
			return err
		}
		have = slices.Delete(have, j, j+1)
	}
	for _, h := range have {
		if _, err := tx.deleteByID("deployment_schedule", h.ID); err != nil {
			return err
		}
	}
	return nil
}

// sameSchedule compares what two schedules mean. An interval's anchor is left
// out when the client made it up at the moment of the deploy.
func sameSchedule(a, b *orion.Schedule) bool {
	x, y := *a, *b
	if x.Interval != nil && y.Interval != nil {
		x.AnchorDate, y.AnchorDate = orion.Time{}, orion.Time{}
	}
	m, _ := orion.Encode(x)
	n, _ := orion.Encode(y)
	return bytes.Equal(m, n)
}

func (tx *Tx) insertSchedule(deployment orion.ID, position int64, c *orion.DeploymentScheduleCreate) (orion.ID, error) {
	id := orion.NewID()
	active := c.Active == nil || *c.Active
	_, err := tx.exec("INSERT INTO deployment_schedule (workspace_id, id, created, updated, actor, deployment_id, position, schedule, active, declared_active, max_active_runs, max_scheduled_runs, catchup, parameters, slug) VALUES ("+marks(15)+")",
		tx.ws, id, tx.now, tx.now, tx.actor, deployment, position, *c.Schedule, active, active, c.MaxActiveRuns, c.MaxScheduledRuns, c.Catchup != nil && *c.Catchup, c.Parameters, c.Slug)
	return id, err
}

// AddSchedules adds schedules to a deployment and answers them.
func (tx *Tx) AddSchedules(deployment orion.ID, cs []orion.DeploymentScheduleCreate) ([]orion.DeploymentSchedule, error) {
	n, err := tx.count("SELECT COALESCE(MAX(position), -1) + 1 FROM deployment_schedule WHERE workspace_id = ? AND deployment_id = ?", tx.ws, deployment)
	if err != nil {
		return nil, err
	}
	ids := make([]orion.ID, len(cs))
	for i := range cs {
		if ids[i], err = tx.insertSchedule(deployment, n+int64(i), &cs[i]); err != nil {
			return nil, err
		}
	}
	c := in("id", ids)
	return list(tx, "SELECT "+scheduleColumns+" FROM deployment_schedule WHERE workspace_id = ? AND "+c.sql+" ORDER BY position", append([]any{tx.ws}, c.args...), scanSchedule)
}

// UpdateSchedule patches a schedule of a deployment and reports whether it
// exists. Null fields are left as they are, as in Prefect 2.
func (tx *Tx) UpdateSchedule(deployment, id orion.ID, u *orion.DeploymentScheduleUpdate) (bool, error) {
	n, err := tx.count("SELECT COUNT(*) FROM deployment_schedule WHERE workspace_id = ? AND id = ? AND deployment_id = ?", tx.ws, id, deployment)
	if n == 0 || err != nil {
		return false, err
	}
	p := tx.patch("deployment_schedule")
	if u.Schedule.Has() {
		p.set("schedule", u.Schedule.V)
	}
	if u.Active.Has() {
		p.set("active", u.Active.V)
	}
	if u.MaxActiveRuns.Has() {
		p.set("max_active_runs", u.MaxActiveRuns.V)
	}
	if u.MaxScheduledRuns.Has() {
		p.set("max_scheduled_runs", u.MaxScheduledRuns.V)
	}
	if u.Catchup.Has() {
		p.set("catchup", u.Catchup.V)
	}
	if u.Parameters.Has() {
		p.set("parameters", u.Parameters.V)
	}
	if u.Slug.Has() {
		p.set("slug", u.Slug.V)
	}
	return p.run(id)
}

// DeleteSchedule removes a schedule of a deployment.
func (tx *Tx) DeleteSchedule(deployment, id orion.ID) (bool, error) {
	n, err := tx.exec("DELETE FROM deployment_schedule WHERE workspace_id = ? AND id = ? AND deployment_id = ?", tx.ws, id, deployment)
	return n > 0, err
}
