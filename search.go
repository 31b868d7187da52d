package orion

import (
	"fmt"
	"slices"
	"strings"
)

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

// Validate refuses a policy without a block to notify through, or with a
// message that asks for what is not known.
func (c *NotificationPolicyCreate) Validate() error {
	switch {
	case c.StateNames == nil:
		return Required("state_names")
	case c.Tags == nil:
		return Required("tags")
	case c.BlockDocumentID.IsZero():
		return Required("block_document_id")
	case c.MessageTemplate != nil:
		return validMessage(*c.MessageTemplate)
	}
	return nil
}

// MessageKeys are what a notification's message may name in {braces}.
var MessageKeys = []string{
	"flow_run_notification_policy_id", "flow_id", "flow_name", "flow_run_url", "flow_run_id", "flow_run_name", "flow_run_parameters",
	"flow_run_state_type", "flow_run_state_name", "flow_run_state_timestamp", "flow_run_state_message",
}

// validMessage reads a template as Python's str.format does: {{ and }} are
// braces, {key} one of MessageKeys.
func validMessage(s string) error {
	refuse := func(msg string) error { return Refuse("message_template", msg) }
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '{' && s[i] != '}':
		case i+1 < len(s) && s[i+1] == s[i]:
			i++
		case s[i] == '}':
			return refuse("a } stands alone: write }} for a brace")
		default:
			n := strings.IndexByte(s[i:], '}')
			if n < 0 {
				return refuse("a { is never closed: write {{ for a brace")
			}
			key := s[i+1 : i+n]
			if !slices.Contains(MessageKeys, key) {
				return refuse(fmt.Sprintf("Invalid template variable %q. Valid variables are: %s", key, strings.Join(MessageKeys, ", ")))
			}
			i += n
		}
	}
	return nil
}

// NotificationPolicyFilter selects policies. As in Prefect, a filter that does
// not speak of is_active means the inactive ones.
type NotificationPolicyFilter struct {
	IsActive Opt[Cond[bool]] `json:"is_active,omitzero"`
}

// Active is which policies the filter wants, nil for all.
func (f *NotificationPolicyFilter) Active() *bool {
	switch {
	case f == nil || f.IsActive.Null:
		return nil
	case !f.IsActive.Set:
		no := false
		return &no
	}
	return f.IsActive.V.Eq
}

// NotificationPolicyUpdate is a policy's patch.
type NotificationPolicyUpdate struct {
	IsActive        Opt[bool]     `json:"is_active,omitzero"`
	StateNames      Opt[[]string] `json:"state_names,omitzero"`
	Tags            Opt[[]string] `json:"tags,omitzero"`
	BlockDocumentID Opt[ID]       `json:"block_document_id,omitzero"`
	MessageTemplate Opt[string]   `json:"message_template,omitzero"`
}

// Validate checks a new message.
func (u *NotificationPolicyUpdate) Validate() error {
	if u.MessageTemplate.Has() {
		return validMessage(u.MessageTemplate.V)
	}
	return nil
}
