package store

import (
	"github.com/orionflows/orion"
)

const versionColumns = `v.id, v.created, v.actor, v.deployment_id, v.number, v.repository, v.file, v.commit_id, v.author, v.message, v.dirty,
	v.bundle, v.store, v.view, v.requirements, v.declared, v.inputs, v.rolled_back_to, v.collected, v.storage_document_id, v.settings,
	EXISTS (SELECT 1 FROM deployment d WHERE d.workspace_id = v.workspace_id AND d.version_id = v.id)`

// Version is a deployment's version with what only the server needs of it.
type Version struct {
	orion.DeploymentVersion
	StorageDocumentID orion.ID
	// Settings make the deployment again as it was, as an upsert's body.
	Settings orion.DeploymentCreate
}

func scanVersion(r *Row) (v Version, err error) {
	var store *string
	err = r.Scan(&v.ID, &v.Created, &v.Actor, &v.DeploymentID, &v.Number, &v.Repository, &v.File, &v.Commit, &v.Author, &v.Message, &v.Dirty,
		&v.Bundle, &store, &v.View, asJSON(&v.Requirements), asJSON(&v.Declared), &v.Inputs, &v.RolledBackTo, &v.Collected, &v.StorageDocumentID,
		asJSON(&v.Settings), &v.Current)
	if store != nil {
		s := orion.BundleStore(*store)
		v.Store = &s
	}
	if v.Requirements == nil {
		v.Requirements = []string{}
	}
	return v, err
}

// Versions lists a deployment's versions, the newest first.
func (tx *Tx) Versions(deployment orion.ID, limit, offset int64) ([]Version, error) {
	return list(tx, "SELECT "+versionColumns+" FROM deployment_version v WHERE v.workspace_id = ? AND v.deployment_id = ? ORDER BY v.number DESC LIMIT ? OFFSET ?",
		[]any{tx.ws, deployment, limit, offset}, scanVersion)
}

// Version reads one version of a deployment; nil when there is none.
func (tx *Tx) Version(deployment orion.ID, number int64) (*Version, error) {
	return first(tx, "SELECT "+versionColumns+" FROM deployment_version v WHERE v.workspace_id = ? AND v.deployment_id = ? AND v.number = ?",
		[]any{tx.ws, deployment, number}, scanVersion)
}

func (tx *Tx) versionByID(id orion.ID) (*Version, error) {
	return first(tx, "SELECT "+versionColumns+" FROM deployment_version v WHERE v.workspace_id = ? AND v.id = ?", []any{tx.ws, id}, scanVersion)
}

// CurrentVersion reads the version a deployment runs; nil when it was not made
// by a deploy of its repository, or changed since in another way.
func (tx *Tx) CurrentVersion(deployment orion.ID) (*Version, error) {
	return first(tx, "SELECT "+versionColumns+` FROM deployment_version v WHERE v.workspace_id = ? AND v.id =
		(SELECT version_id FROM deployment WHERE workspace_id = ? AND id = ?)`, []any{tx.ws, tx.ws, deployment}, scanVersion)
}

// OwnedDeployments lists the deployments whose last version a repository made,
// in the order of their ids.
func (tx *Tx) OwnedDeployments(repository string) ([]orion.OwnedDeployment, error) {
	out := []orion.OwnedDeployment{}
	vs, err := list(tx, "SELECT "+versionColumns+` FROM deployment_version v
		WHERE v.workspace_id = ? AND v.repository = ? AND v.number = (SELECT MAX(n.number) FROM deployment_version n WHERE n.workspace_id = v.workspace_id AND n.deployment_id = v.deployment_id)
		ORDER BY v.deployment_id`, []any{tx.ws, repository}, scanVersion)
	if err != nil || len(vs) == 0 {
		return out, err
	}
	ids := make([]orion.ID, len(vs))
	for i := range vs {
		ids[i] = vs[i].DeploymentID
	}
	byID := map[orion.ID]*orion.Deployment{}
	flows := map[orion.ID]string{}
	for len(ids) > 0 { // databases bound how many arguments a statement has
		n := min(len(ids), 500)
		c := in("deployment.id", ids[:n])
		ids = ids[n:]
		ds, err := tx.deployments("deployment.workspace_id = ? AND "+c.sql, append([]any{tx.ws}, c.args...)...)
		if err != nil {
			return nil, err
		}
		for i := range ds {
			byID[ds[i].ID] = &ds[i]
		}
	}
	err = tx.query("SELECT id, name FROM flow WHERE workspace_id = ?", []any{tx.ws}, func(r *Row) error {
		var id orion.ID
		var name string
		if err := r.Scan(&id, &name); err != nil {
			return err
		}
		flows[id] = name
		return nil
	})
	for i := range vs {
		if d := byID[vs[i].DeploymentID]; d != nil {
			out = append(out, orion.OwnedDeployment{FlowName: flows[d.FlowID], Deployment: d, Version: &vs[i].DeploymentVersion})
		}
	}
	return out, err
}

// AddVersion records the deployment, as it is now, as its next version, and
// makes that the one it runs.
func (tx *Tx) AddVersion(d *orion.Deployment, c *orion.DeploymentVersionCreate, rolledBackTo *int64) (*Version, error) {
	v := Version{Settings: settingsOf(d), StorageDocumentID: d.StorageDocumentID}
	v.ID, v.Created, v.Actor, v.DeploymentID, v.Current, v.RolledBackTo, v.DeploymentVersionCreate = orion.NewID(), tx.now, tx.actor, d.ID, true, rolledBackTo, *c
	if v.Requirements == nil {
		v.Requirements = []string{}
	}
	declared, err := orion.Encode(c.Declared)
	if err != nil {
		return nil, err
	}
	settings, err := orion.EncodeCompact(v.Settings)
	if err != nil {
		return nil, err
	}
	var store *string
	if c.Store != nil {
		s := string(*c.Store)
		store = &s
	}
	// The row of the deployment is written first: on PostgreSQL that makes two
	// deploys at once take turns, so that their numbers differ.
	if _, err := tx.exec("UPDATE deployment SET version_id = ? WHERE workspace_id = ? AND id = ?", v.ID, tx.ws, d.ID); err != nil {
		return nil, err
	}
	last, err := tx.count("SELECT COALESCE(MAX(number), 0) FROM deployment_version WHERE workspace_id = ? AND deployment_id = ?", tx.ws, d.ID)
	if err != nil {
		return nil, err
	}
	v.Number = last + 1
	_, err = tx.exec(`INSERT INTO deployment_version (workspace_id, id, created, actor, deployment_id, number, repository, file, commit_id, author, message, dirty,
		bundle, store, view, requirements, declared, inputs, rolled_back_to, storage_document_id, settings) VALUES (`+marks(21)+")",
		tx.ws, v.ID, tx.now, tx.actor, d.ID, v.Number, c.Repository, c.File, c.Commit, c.Author, c.Message, c.Dirty,
		c.Bundle, store, c.View, v.Requirements, orion.JSON(declared), c.Inputs, rolledBackTo, d.StorageDocumentID, settings)
	return &v, err
}

// NoteInputs renews what a deployment's present version keeps of its file: what
// it read and what it declared. It reports whether there is such a version.
func (tx *Tx) NoteInputs(deployment orion.ID, inputs orion.JSON, declared map[string]string) (bool, error) {
	text, err := orion.Encode(declared)
	if err != nil {
		return false, err
	}
	set, args := "inputs = ?", []any{inputs}
	if declared != nil {
		set, args = set+", declared = ?", append(args, orion.JSON(text))
	}
	n, err := tx.exec("UPDATE deployment_version SET "+set+" WHERE workspace_id = ? AND id = (SELECT version_id FROM deployment WHERE workspace_id = ? AND id = ?)",
		append(args, tx.ws, tx.ws, deployment)...)
	return n > 0, err
}

// settingsOf are a deployment's settings as the body that would make it.
func settingsOf(d *orion.Deployment) orion.DeploymentCreate {
	c := orion.DeploymentCreate{Name: d.Name, FlowID: d.FlowID,
		EnforceParameterSchema: orion.Some(d.EnforceParameterSchema), ParameterOpenapiSchema: orion.Some(d.ParameterOpenapiSchema),
		Parameters: orion.Some(d.Parameters), Tags: orion.Some(d.Tags), PullSteps: orion.Some(d.PullSteps), JobVariables: orion.Some(d.JobVariables),
		Labels: orion.Some(d.Labels), ManifestPath: optional(d.ManifestPath), WorkQueueName: optional(d.WorkQueueName), WorkPoolName: optional(d.WorkPoolName),
		Description: optional(d.Description), Path: optional(d.Path), Version: optional(d.Version), Entrypoint: optional(d.Entrypoint),
		StorageDocumentID:        orion.Opt[orion.ID]{Set: true, Null: d.StorageDocumentID.IsZero(), V: d.StorageDocumentID},
		InfrastructureDocumentID: orion.Opt[orion.ID]{Set: true, Null: d.InfrastructureDocumentID.IsZero(), V: d.InfrastructureDocumentID}}
	schedules := []orion.DeploymentScheduleCreate{}
	for _, s := range d.Schedules {
		schedules = append(schedules, orion.DeploymentScheduleCreate{Schedule: &s.Schedule, Active: &s.Active, MaxActiveRuns: s.MaxActiveRuns,
			MaxScheduledRuns: s.MaxScheduledRuns, Catchup: &s.Catchup, Parameters: s.Parameters, Slug: s.Slug})
	}
	c.Schedules = orion.Some(schedules)
	return c
}

func optional(s *string) orion.Opt[string] {
	if s == nil {
		return orion.Opt[string]{Set: true, Null: true}
	}
	return orion.Some(*s)
}

// dropVersions removes the versions of a deployment that is gone, but for
// those that runs refer to.
func (tx *Tx) dropVersions(deployment orion.ID) error {
	_, err := tx.exec(`DELETE FROM deployment_version WHERE workspace_id = ? AND deployment_id = ? AND NOT EXISTS
		(SELECT 1 FROM flow_run r WHERE r.workspace_id = deployment_version.workspace_id AND r.version_id = deployment_version.id)`, tx.ws, deployment)
	return err
}

// NoteVersion records on a run which version it takes, unless it was made for
// a certain one. exact says that whoever runs it reads that very version.
func (tx *Tx) NoteVersion(run *orion.FlowRun, exact bool) error {
	_, err := tx.exec(`UPDATE flow_run SET version_id = (SELECT d.version_id FROM deployment d WHERE d.workspace_id = flow_run.workspace_id AND d.id = flow_run.deployment_id),
		code_exact = ? WHERE workspace_id = ? AND id = ? AND code_pinned IS NULL`, exact, tx.ws, run.ID)
	return err
}

// SettleVersion is for a run that begins and whose client read its deployment
// at some time since the run was taken. If the deployment is still at the
// version noted then, that is what was read.
func (tx *Tx) SettleVersion(run *orion.FlowRun) error {
	const current = "(SELECT d.version_id FROM deployment d WHERE d.workspace_id = flow_run.workspace_id AND d.id = flow_run.deployment_id)"
	_, err := tx.exec(`UPDATE flow_run SET code_exact = COALESCE(version_id = `+current+`, FALSE), version_id = `+current+`
		WHERE workspace_id = ? AND id = ? AND code_pinned IS NULL AND (code_exact IS NULL OR NOT code_exact)`, tx.ws, run.ID)
	return err
}

// PinVersion makes a run that has not been taken one of a certain version.
func (tx *Tx) PinVersion(run, version orion.ID) error {
	_, err := tx.exec("UPDATE flow_run SET version_id = ?, code_pinned = ?, code_exact = ? WHERE workspace_id = ? AND id = ?", version, true, true, tx.ws, run)
	return err
}

// PinnedElsewhere is the number of the version that a run was made for, when
// its deployment runs another one; else 0.
func (tx *Tx) PinnedElsewhere(run orion.ID) (number int64, err error) {
	_, err = tx.one(`SELECT v.number FROM flow_run r JOIN deployment d ON d.workspace_id = r.workspace_id AND d.id = r.deployment_id
		JOIN deployment_version v ON v.workspace_id = r.workspace_id AND v.id = r.version_id
		WHERE r.workspace_id = ? AND r.id = ? AND r.code_pinned AND (d.version_id IS NULL OR d.version_id <> r.version_id)`, []any{tx.ws, run}, &number)
	return number, err
}

// RunVersion is the version a run takes or took; nil when none is known.
type RunVersion struct {
	*Version
	Pinned, Exact bool
}

// RunVersion reads which version a run took; nil when none is known.
func (tx *Tx) RunVersion(run orion.ID) (*RunVersion, error) {
	var id orion.ID
	var r RunVersion
	ok, err := tx.one("SELECT version_id, COALESCE(code_pinned, FALSE), COALESCE(code_exact, FALSE) FROM flow_run WHERE workspace_id = ? AND id = ? AND version_id IS NOT NULL",
		[]any{tx.ws, run}, &id, &r.Pinned, &r.Exact)
	if err != nil || !ok {
		return nil, err
	}
	r.Version, err = tx.versionByID(id)
	if r.Version == nil || err != nil {
		return nil, err
	}
	return &r, nil
}

// KeptBundle is a bundle somewhere, by the place it lies in.
type KeptBundle struct {
	Bundle            string            `json:"bundle"`
	Store             orion.BundleStore `json:"store"`
	StorageDocumentID orion.ID          `json:"storage_document_id"`
}

// UnusedBundles lists the bundles that no deployment runs, no run refers to,
// and no version made since a time needs.
func (tx *Tx) UnusedBundles(since orion.Time, limit int64) ([]KeptBundle, error) {
	return list(tx, `SELECT v.bundle, v.store, v.storage_document_id FROM deployment_version v WHERE v.workspace_id = ? AND v.bundle IS NOT NULL AND v.collected IS NULL
		GROUP BY v.bundle, v.store, v.storage_document_id
		HAVING MAX(CASE WHEN v.created >= ?
			OR EXISTS (SELECT 1 FROM deployment d WHERE d.workspace_id = ? AND d.version_id = v.id)
			OR EXISTS (SELECT 1 FROM flow_run r WHERE r.workspace_id = ? AND r.version_id = v.id) THEN 1 ELSE 0 END) = 0
		ORDER BY v.bundle LIMIT ?`, []any{tx.ws, since, tx.ws, tx.ws, limit}, func(r *Row) (b KeptBundle, err error) {
		var store string
		err = r.Scan(&b.Bundle, &store, &b.StorageDocumentID)
		b.Store = orion.BundleStore(store)
		return b, err
	})
}

// MarkCollected notes that a bundle is no longer where it was.
func (tx *Tx) MarkCollected(b KeptBundle) error {
	_, err := tx.exec(`UPDATE deployment_version SET collected = ? WHERE workspace_id = ? AND bundle = ? AND store = ?
		AND COALESCE(storage_document_id, ?) = ?`, tx.now, tx.ws, b.Bundle, string(b.Store), noDocument, or(b.StorageDocumentID, noDocument))
	return err
}

// noDocument stands for NULL where two ids are compared: both databases spell
// a comparison that holds for NULL differently.
var noDocument = orion.ID{0xff}

func or(id, other orion.ID) orion.ID {
	if id.IsZero() {
		return other
	}
	return id
}
