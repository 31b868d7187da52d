package orion

// Artifact is something a run left to be seen: a table, a text, a link, or the
// reference to a result.
type Artifact struct {
	ID          ID      `json:"id"`
	Created     Time    `json:"created"`
	Updated     Time    `json:"updated"`
	Key         *string `json:"key"`
	Type        *string `json:"type"`
	Description *string `json:"description"`
	Data        JSON    `json:"data"`
	Metadata    JSON    `json:"metadata_"`
	FlowRunID   ID      `json:"flow_run_id"`
	TaskRunID   ID      `json:"task_run_id"`
}

// ArtifactCollection is the latest artifact of a key.
type ArtifactCollection struct {
	ID          ID      `json:"id"`
	Created     Time    `json:"created"`
	Updated     Time    `json:"updated"`
	Key         string  `json:"key"`
	LatestID    ID      `json:"latest_id"`
	Type        *string `json:"type"`
	Description *string `json:"description"`
	Data        JSON    `json:"data"`
	Metadata    JSON    `json:"metadata_"`
	FlowRunID   ID      `json:"flow_run_id"`
	TaskRunID   ID      `json:"task_run_id"`
}

// ArtifactCreate leaves an artifact.
type ArtifactCreate struct {
	Key         *string `json:"key,omitzero"`
	Type        *string `json:"type,omitzero"`
	Description *string `json:"description,omitzero"`
	Data        JSON    `json:"data,omitzero"`
	Metadata    JSON    `json:"metadata_,omitzero"`
	FlowRunID   ID      `json:"flow_run_id,omitzero"`
	TaskRunID   ID      `json:"task_run_id,omitzero"`
}

// Validate checks the key's characters.
func (c *ArtifactCreate) Validate() error {
	if c.Key == nil {
		return nil
	}
	return validSlug("key", *c.Key)
}

// ArtifactUpdate is an artifact's patch.
type ArtifactUpdate struct {
	Data        Opt[JSON]   `json:"data,omitzero"`
	Description Opt[string] `json:"description,omitzero"`
	Metadata    Opt[JSON]   `json:"metadata_,omitzero"`
}
