package orion

// Variable is a named value that flows read. Prefect 2 clients know strings
// only.
type Variable struct {
	ID      ID       `json:"id"`
	Created Time     `json:"created"`
	Updated Time     `json:"updated"`
	Name    string   `json:"name"`
	Value   JSON     `json:"value"`
	Tags    []string `json:"tags"`
}

// VariableCreate makes a variable.
type VariableCreate struct {
	Name  string   `json:"name"`
	Value JSON     `json:"value"`
	Tags  []string `json:"tags"`
}

// Validate checks name and value: the name is 255 characters of lower-case
// letters, digits and underscores (dashes too, as Prefect 3 allows), a
// string value at most 5000 characters long.
func (c *VariableCreate) Validate() error {
	if c.Name == "" {
		return Required("name")
	}
	if len(c.Value) == 0 {
		return Required("value")
	}
	if err := validVariableName(c.Name); err != nil {
		return err
	}
	return validVariableValue(c.Value)
}

func validVariableName(name string) error {
	if len(name) > 255 {
		return Refuse("name", "ensure this value has at most 255 characters")
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return Refuse("name", "Variable name must only contain lowercase letters, numbers, and underscores.")
		}
	}
	return nil
}

func validVariableValue(v JSON) error {
	if v.Kind() == '"' && len(v) > 5002 {
		var s string
		if Decode(v, &s) != nil || len([]rune(s)) > 5000 {
			return Refuse("value", "ensure this value has at most 5000 characters")
		}
	}
	return nil
}

// VariableUpdate is a variable's patch.
type VariableUpdate struct {
	Name  Opt[string]   `json:"name,omitzero"`
	Value Opt[JSON]     `json:"value,omitzero"`
	Tags  Opt[[]string] `json:"tags,omitzero"`
}

// Validate checks what is set.
func (u *VariableUpdate) Validate() error {
	if u.Name.Has() {
		if err := validVariableName(u.Name.V); err != nil {
			return err
		}
	}
	if u.Value.Has() {
		return validVariableValue(u.Value.V)
	}
	return nil
}
