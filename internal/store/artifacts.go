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
	_, err := tx.exec("INSERT INTO artifact (workspace_id, id, created, updated, actor, key, type, description, data, metadata, flow_run_id, task_run_id) VALUES ("+marks(12)+")",
		tx.ws, a.ID, tx.now, tx.now, tx.actor, a.Key, a.Type, a.Description, a.Data, a.Metadata, a.FlowRunID, a.TaskRunID)
	if err != nil || a.Key == nil {
		return a, err
	}
	_, err = tx.exec(`INSERT INTO artifact_collection (workspace_id, id, created, updated, actor, key, latest_id) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (workspace_id, key) DO UPDATE SET latest_id = excluded.latest_id, updated = excluded.updated, actor = excluded.actor`,
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, *a.Key, a.ID)
	return a, err
}
