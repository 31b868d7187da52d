package orion

// Flow is a function that has been run or deployed, known by its name.
type Flow struct {
	ID      ID       `json:"id"`
	Created Time     `json:"created"`
	Updated Time     `json:"updated"`
	Name    string   `json:"name"`
	Tags    []string `json:"tags"`
	Labels  JSON     `json:"labels,omitzero"`
}

// FlowCreate finds or makes a flow by name.
type FlowCreate struct {
	Name   string   `json:"name"`
	Tags   []string `json:"tags"`
	Labels JSON     `json:"labels,omitzero"`
}

// Validate refuses names that cannot stand in a URL.
func (c *FlowCreate) Validate() error { return validName("name", c.Name) }

// FlowUpdate is a flow's patch.
type FlowUpdate struct {
	Tags Opt[[]string] `json:"tags,omitzero"`
}
