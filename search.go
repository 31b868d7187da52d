package orion

// SavedSearch is a named set of filters.
type SavedSearch struct {
	ID      ID     `json:"id"`
	Created Time   `json:"created"`
	Updated Time   `json:"updated"`
	Name    string `json:"name"`
	Filters JSON   `json:"filters"`
}

// SavedSearchCreate makes a search or replaces the one of that name.
type SavedSearchCreate struct {
	Name    string `json:"name"`
	Filters JSON   `json:"filters,omitzero"`
}

// Validate refuses a search without a name.
func (c *SavedSearchCreate) Validate() error {
	if c.Name == "" {
		return Required("name")
	}
	return nil
}

// NotificationPolicy says which state changes are told to whom (Prefect 2).
type NotificationPolicy struct {
	ID              ID       `json:"id"`
	Created         Time     `json:"created"`
	Updated         Time     `json:"updated"`
	IsActive        bool     `json:"is_active"`
	StateNames      []string `json:"state_names"`
	Tags            []string `json:"tags"`
	BlockDocumentID ID       `json:"block_document_id"`
	MessageTemplate *string  `json:"message_template"`
}

// NotificationPolicyCreate makes a policy.
type NotificationPolicyCreate struct {
	IsActive        *bool    `json:"is_active,omitzero"`
	StateNames      []string `json:"state_names"`
	Tags            []string `json:"tags"`
	BlockDocumentID ID       `json:"block_document_id"`
	MessageTemplate *string  `json:"message_template,omitzero"`
}

// Validate refuses a policy without a block to notify through.
func (c *NotificationPolicyCreate) Validate() error {
	if c.BlockDocumentID.IsZero() {
		return Required("block_document_id")
	}
	return nil
}

// NotificationPolicyUpdate is a policy's patch.
type NotificationPolicyUpdate struct {
	IsActive        Opt[bool]     `json:"is_active,omitzero"`
	StateNames      Opt[[]string] `json:"state_names,omitzero"`
	Tags            Opt[[]string] `json:"tags,omitzero"`
	BlockDocumentID Opt[ID]       `json:"block_document_id,omitzero"`
	MessageTemplate Opt[string]   `json:"message_template,omitzero"`
}
