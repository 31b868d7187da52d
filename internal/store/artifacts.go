package store

import (
	"github.com/orionflows/orion"
)

const artifactColumns = "artifact.id, artifact.created, artifact.updated, artifact.key, artifact.type, artifact.description, artifact.data, artifact.metadata, artifact.flow_run_id, artifact.task_run_id"

func scanArtifact(r *Row) (a orion.Artifact, err error) {
	err = r.Scan(&a.ID, &a.Created, &a.Updated, &a.Key, &a.Type, &a.Description, &a.Data, &a.Metadata, &a.FlowRunID, &a.TaskRunID)
	return a, err
}

// Artifact reads one artifact; nil when there is none.
func (tx *Tx) Artifact(id orion.ID) (*orion.Artifact, error) {
	return first(tx, "SELECT "+artifactColumns+" FROM artifact WHERE workspace_id = ? AND id = ?", []any{tx.ws, id}, scanArtifact)
}

// LatestArtifact reads the newest artifact of a key; nil when there is none.
func (tx *Tx) LatestArtifact(key string) (*orion.Artifact, error) {
	return first(tx, "SELECT "+artifactColumns+` FROM artifact_collection c JOIN artifact ON artifact.workspace_id = c.workspace_id AND artifact.id = c.latest_id
		WHERE c.workspace_id = ? AND c.key = ?`, []any{tx.ws, key}, scanArtifact)
}

// CreateArtifact stores an artifact; with a key it becomes the latest of it.
func (tx *Tx) CreateArtifact(c *orion.ArtifactCreate) (*orion.Artifact, error) {
	a := &orion.Artifact{ID: orion.NewID(), Created: tx.now, Updated: tx.now, Key: c.Key, Type: c.Type, Description: c.Description,
		Data: c.Data, Metadata: c.Metadata, FlowRunID: c.FlowRunID, TaskRunID: c.TaskRunID}
	err := tx.later("INSERT INTO artifact (workspace_id, id, created, updated, actor, key, type, description, data, metadata, flow_run_id, task_run_id) VALUES ("+marks(12)+")",
		tx.ws, a.ID, tx.now, tx.now, tx.actor, a.Key, a.Type, a.Description, a.Data, a.Metadata, a.FlowRunID, a.TaskRunID)
	if err != nil || a.Key == nil {
		return a, err
	}
	err = tx.later(`INSERT INTO artifact_collection (workspace_id, id, created, updated, actor, key, latest_id) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (workspace_id, key) DO UPDATE SET latest_id = excluded.latest_id, updated = excluded.updated, actor = excluded.actor`,
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, *a.Key, a.ID)
	return a, err
}

var artifactSorts = map[string]string{
	"ID_DESC": "artifact.id DESC", "CREATED_DESC": "artifact.created DESC", "UPDATED_DESC": "artifact.updated DESC",
	"KEY_ASC": "artifact.key", "KEY_DESC": "artifact.key DESC",
}

func (tx *Tx) artifactsWhere(f *orion.ArtifactFilter, rf *orion.RunFilters) cond {
	w := where("artifact.workspace_id = ?", tx.ws)
	if f != nil {
		w = all(w, joined(f.Operator, column(tx, "artifact.id", f.ID), column(tx, "artifact.id", f.LatestID), column(tx, "artifact.key", f.Key),
			column(tx, "artifact.flow_run_id", f.FlowRunID), column(tx, "artifact.task_run_id", f.TaskRunID), column(tx, "artifact.type", f.Type)))
	}
	runs := *rf
	runs.TaskRuns = nil
	return all(w, tx.related("artifact.flow_run_id", "id", "flow_run", tx.flowRunsCond(&runs)),
		tx.related("artifact.task_run_id", "id", "task_run", tx.taskRunFilter(rf.TaskRuns)))
}

// Artifacts lists artifacts.
func (tx *Tx) Artifacts(f *orion.ArtifactFilter, rf *orion.RunFilters, sort *string, limit, offset int64) ([]orion.Artifact, error) {
	o, err := order(artifactSorts, sort, "ID_DESC")
	if err != nil {
		return nil, err
	}
	w := tx.artifactsWhere(f, rf)
	o = tx.few(o, fewFlowRuns(rf.FlowRuns) || fewTaskRuns(rf) || (f != nil && !f.Operator.Or() && (picks(f.FlowRunID) || picks(f.TaskRunID) || picks(f.Key))))
	return list(tx, "SELECT "+artifactColumns+" FROM artifact WHERE "+w.sql+o+" LIMIT ? OFFSET ?", append(w.args, limit, offset), scanArtifact)
}

// CountArtifacts counts artifacts.
func (tx *Tx) CountArtifacts(f *orion.ArtifactFilter, rf *orion.RunFilters) (int64, error) {
	w := tx.artifactsWhere(f, rf)
	return tx.count("SELECT COUNT(*) FROM artifact WHERE "+w.sql, w.args...)
}

const latestFrom = " FROM artifact_collection c JOIN artifact ON artifact.workspace_id = c.workspace_id AND artifact.id = c.latest_id WHERE "

var latestSorts = map[string]string{
	"ID_DESC": "c.id DESC", "CREATED_DESC": "c.created DESC", "UPDATED_DESC": "c.updated DESC", "KEY_ASC": "c.key", "KEY_DESC": "c.key DESC",
}

// LatestArtifacts lists the newest artifact of each key.
func (tx *Tx) LatestArtifacts(f *orion.ArtifactFilter, rf *orion.RunFilters, sort *string, limit, offset int64) ([]orion.ArtifactCollection, error) {
	o, err := order(latestSorts, sort, "ID_DESC")
	if err != nil {
		return nil, err
	}
	w := tx.artifactsWhere(f, rf)
	return list(tx, "SELECT c.id, c.created, c.updated, c.key, c.latest_id, artifact.type, artifact.description, artifact.data, artifact.metadata, artifact.flow_run_id, artifact.task_run_id"+
		latestFrom+w.sql+o+" LIMIT ? OFFSET ?", append(w.args, limit, offset), func(r *Row) (a orion.ArtifactCollection, err error) {
		err = r.Scan(&a.ID, &a.Created, &a.Updated, &a.Key, &a.LatestID, &a.Type, &a.Description, &a.Data, &a.Metadata, &a.FlowRunID, &a.TaskRunID)
		return a, err
	})
}

// CountLatestArtifacts counts the keys.
func (tx *Tx) CountLatestArtifacts(f *orion.ArtifactFilter, rf *orion.RunFilters) (int64, error) {
	w := tx.artifactsWhere(f, rf)
	return tx.count("SELECT COUNT(*)"+latestFrom+w.sql, w.args...)
}

// UpdateArtifact patches an artifact and reports whether it exists.
func (tx *Tx) UpdateArtifact(id orion.ID, u *orion.ArtifactUpdate) (bool, error) {
	p := tx.patch("artifact")
	setOpt(p, "data", u.Data)
	setOpt(p, "description", u.Description)
	setOpt(p, "metadata", u.Metadata)
	return p.run(id)
}

// DeleteArtifact removes an artifact. When it was the latest of its key the
// one before takes its place.
func (tx *Tx) DeleteArtifact(id orion.ID) (bool, error) {
	a, err := tx.Artifact(id)
	if a == nil || err != nil {
		return false, err
	}
	if _, err := tx.deleteByID("artifact", id); err != nil || a.Key == nil {
		return true, err
	}
	n, err := tx.exec(`UPDATE artifact_collection SET latest_id = (SELECT id FROM artifact WHERE workspace_id = ? AND key = ? ORDER BY created DESC, id DESC LIMIT 1), updated = ?
		WHERE workspace_id = ? AND key = ? AND latest_id = ? AND EXISTS (SELECT 1 FROM artifact WHERE workspace_id = ? AND key = ?)`,
		tx.ws, *a.Key, tx.now, tx.ws, *a.Key, id, tx.ws, *a.Key)
	if err != nil || n > 0 {
		return true, err
	}
	_, err = tx.exec("DELETE FROM artifact_collection WHERE workspace_id = ? AND key = ? AND latest_id = ?", tx.ws, *a.Key, id)
	return true, err
}
