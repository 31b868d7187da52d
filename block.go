package orion

// BlockType is a kind of configuration, such as "secret" or "kubernetes-job".
type BlockType struct {
	ID               ID      `json:"id"`
	Created          Time    `json:"created"`
	Updated          Time    `json:"updated"`
	Name             string  `json:"name"`
	Slug             string  `json:"slug"`
	LogoURL          *string `json:"logo_url"`
	DocumentationURL *string `json:"documentation_url"`
	Description      *string `json:"description"`
	CodeExample      *string `json:"code_example"`
	IsProtected      bool    `json:"is_protected"`
}

// BlockTypeCreate registers a type.
type BlockTypeCreate struct {
	Name             string  `json:"name"`
	Slug             string  `json:"slug"`
	LogoURL          *string `json:"logo_url,omitzero"`
	DocumentationURL *string `json:"documentation_url,omitzero"`
	Description      *string `json:"description,omitzero"`
	CodeExample      *string `json:"code_example,omitzero"`
}

// Validate checks name and slug.
func (c *BlockTypeCreate) Validate() error {
	if err := validName("name", c.Name); err != nil {
		return err
	}
	if c.Slug == "" {
		return Required("slug")
	}
	return validSlug("slug", c.Slug)
}

// BlockTypeUpdate is a type's patch.
type BlockTypeUpdate struct {
	LogoURL          Opt[string] `json:"logo_url,omitzero"`
	DocumentationURL Opt[string] `json:"documentation_url,omitzero"`
	Description      Opt[string] `json:"description,omitzero"`
	CodeExample      Opt[string] `json:"code_example,omitzero"`
}

// BlockSchema is the form of a type as one client version knows it.
type BlockSchema struct {
	ID           ID         `json:"id"`
	Created      Time       `json:"created"`
	Updated      Time       `json:"updated"`
	Checksum     string     `json:"checksum"`
	Fields       JSON       `json:"fields"`
	BlockTypeID  ID         `json:"block_type_id"`
	BlockType    *BlockType `json:"block_type"`
	Capabilities []string   `json:"capabilities"`
	Version      string     `json:"version"`
}

// BlockSchemaCreate registers a schema.
type BlockSchemaCreate struct {
	Fields       JSON     `json:"fields"`
	BlockTypeID  ID       `json:"block_type_id"`
	Capabilities []string `json:"capabilities"`
	Version      *string  `json:"version,omitzero"`
}

// Validate refuses a schema without a type.
func (c *BlockSchemaCreate) Validate() error {
	if c.BlockTypeID.IsZero() {
		return Required("block_type_id")
	}
	return nil
}

// BlockDocument is a block: named data in the form of a schema.
type BlockDocument struct {
	ID                      ID           `json:"id"`
	Created                 Time         `json:"created"`
	Updated                 Time         `json:"updated"`
	Name                    *string      `json:"name"`
	Data                    JSON         `json:"data"`
	BlockSchemaID           ID           `json:"block_schema_id"`
	BlockSchema             *BlockSchema `json:"block_schema"`
	BlockTypeID             ID           `json:"block_type_id"`
	BlockTypeName           *string      `json:"block_type_name"`
	BlockType               *BlockType   `json:"block_type"`
	BlockDocumentReferences JSON         `json:"block_document_references"`
	IsAnonymous             bool         `json:"is_anonymous"`
}

// TypeSlug is the slug of the block's type, "" when the answer leaves it out.
func (d *BlockDocument) TypeSlug() string {
	if d.BlockType == nil {
		return ""
	}
	return d.BlockType.Slug
}

// BlockDocumentCreate saves a block.
type BlockDocumentCreate struct {
	Name          *string `json:"name,omitzero"`
	Data          JSON    `json:"data,omitzero"`
	BlockSchemaID ID      `json:"block_schema_id"`
	BlockTypeID   ID      `json:"block_type_id"`
	IsAnonymous   *bool   `json:"is_anonymous,omitzero"`
}

// Validate checks the name: it may be missing only for anonymous blocks.
func (c *BlockDocumentCreate) Validate() error {
	switch {
	case c.BlockSchemaID.IsZero():
		return Required("block_schema_id")
	case c.BlockTypeID.IsZero():
		return Required("block_type_id")
	case c.IsAnonymous != nil && *c.IsAnonymous:
		return nil
	case c.Name == nil || *c.Name == "":
		return Refuse("__root__", "Names must be provided for block documents.")
	}
	return validSlug("name", *c.Name)
}

// BlockDocumentUpdate is a block's patch. Data is merged into what is stored
// unless MergeExistingData is false.
type BlockDocumentUpdate struct {
	BlockSchemaID     Opt[ID]   `json:"block_schema_id,omitzero"`
	Data              Opt[JSON] `json:"data,omitzero"`
	MergeExistingData *bool     `json:"merge_existing_data,omitzero"`
}
