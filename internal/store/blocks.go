package store

import (
	"strings"

	"github.com/google/uuid"
	"github.com/orionflows/orion"
)

const blockTypeColumns = "block_type.id, block_type.created, block_type.updated, block_type.name, block_type.slug, block_type.logo_url, block_type.documentation_url, block_type.description, block_type.code_example, block_type.is_protected"

func scanBlockType(r *Row) (b orion.BlockType, err error) {
	err = r.Scan(&b.ID, &b.Created, &b.Updated, &b.Name, &b.Slug, &b.LogoURL, &b.DocumentationURL, &b.Description, &b.CodeExample, &b.IsProtected)
	return b, err
}

// BlockType reads a type; nil when there is none.
func (tx *Tx) BlockType(id orion.ID) (*orion.BlockType, error) {
	return first(tx, "SELECT "+blockTypeColumns+" FROM block_type WHERE workspace_id = ? AND id = ?", []any{tx.ws, id}, scanBlockType)
}

// BlockTypeBySlug reads a type; nil when there is none.
func (tx *Tx) BlockTypeBySlug(slug string) (*orion.BlockType, error) {
	return first(tx, "SELECT "+blockTypeColumns+" FROM block_type WHERE workspace_id = ? AND slug = ?", []any{tx.ws, slug}, scanBlockType)
}

func (tx *Tx) blockTypeCond(f *orion.BlockTypeFilter) cond {
	if f == nil {
		return cond{}
	}
	return all(column(tx, "block_type.name", f.Name), column(tx, "block_type.slug", f.Slug))
}

func (tx *Tx) blockSchemaCond(f *orion.BlockSchemaFilter) cond {
	if f == nil {
		return cond{}
	}
	var caps cond
	if f.BlockCapabilities != nil && f.BlockCapabilities.All != nil {
		for _, c := range *f.BlockCapabilities.All {
			q, _ := orion.Encode(c)
			caps = all(caps, where(tx.d.contains("block_schema.capabilities"), string(q)))
		}
	}
	return joined(f.Operator, column(tx, "block_schema.block_type_id", f.BlockTypeID), caps, column(tx, "block_schema.id", f.ID), column(tx, "block_schema.version", f.Version))
}

// BlockTypes lists types by name: those that fit, and have a schema that fits.
func (tx *Tx) BlockTypes(f *orion.BlockTypeFilter, s *orion.BlockSchemaFilter, limit, offset int64) ([]orion.BlockType, error) {
	w := all(where("block_type.workspace_id = ?", tx.ws), tx.blockTypeCond(f), tx.related("block_type.id", "block_type_id", "block_schema", tx.blockSchemaCond(s)))
	return list(tx, "SELECT "+blockTypeColumns+" FROM block_type WHERE "+w.sql+" ORDER BY block_type.name LIMIT ? OFFSET ?", append(w.args, limit, offset), scanBlockType)
}

// CreateBlockType registers a type; a slug that is taken is a Conflict error.
func (tx *Tx) CreateBlockType(c *orion.BlockTypeCreate, protected bool) (*orion.BlockType, error) {
	n, err := tx.exec("INSERT INTO block_type (workspace_id, id, created, updated, actor, name, slug, logo_url, documentation_url, description, code_example, is_protected) VALUES ("+marks(12)+") ON CONFLICT DO NOTHING",
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, c.Name, c.Slug, c.LogoURL, c.DocumentationURL, c.Description, c.CodeExample, protected)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, orion.Errorf(orion.Conflict, `Block type with name "%s" already exists`, c.Name)
	}
	return tx.BlockTypeBySlug(c.Slug)
}

// UpdateBlockType patches a type and reports whether it exists.
func (tx *Tx) UpdateBlockType(id orion.ID, u *orion.BlockTypeUpdate) (bool, error) {
	p := tx.patch("block_type")
	setOpt(p, "logo_url", u.LogoURL)
	setOpt(p, "documentation_url", u.DocumentationURL)
	setOpt(p, "description", u.Description)
	setOpt(p, "code_example", u.CodeExample)
	return p.run(id)
}

// DeleteBlockType removes a type with its schemas and blocks.
func (tx *Tx) DeleteBlockType(id orion.ID) (bool, error) { return tx.deleteByID("block_type", id) }

const blockSchemaColumns = "block_schema.id, block_schema.created, block_schema.updated, block_schema.checksum, block_schema.fields, block_schema.block_type_id, block_schema.capabilities, block_schema.version"

const selectBlockSchema = "SELECT " + blockSchemaColumns + ", " + blockTypeColumns + ` FROM block_schema
	JOIN block_type ON block_type.workspace_id = block_schema.workspace_id AND block_type.id = block_schema.block_type_id`

func scanBlockSchema(r *Row) (s orion.BlockSchema, err error) {
	b := &orion.BlockType{}
	err = r.Scan(&s.ID, &s.Created, &s.Updated, &s.Checksum, &s.Fields, &s.BlockTypeID, asJSON(&s.Capabilities), &s.Version,
		&b.ID, &b.Created, &b.Updated, &b.Name, &b.Slug, &b.LogoURL, &b.DocumentationURL, &b.Description, &b.CodeExample, &b.IsProtected)
	s.BlockType = b
	return s, err
}

// BlockSchema reads a schema with its type; nil when there is none.
func (tx *Tx) BlockSchema(id orion.ID) (*orion.BlockSchema, error) {
	return first(tx, selectBlockSchema+" WHERE block_schema.workspace_id = ? AND block_schema.id = ?", []any{tx.ws, id}, scanBlockSchema)
}

// BlockSchemaByChecksum reads the newest schema of a checksum, of one version
// if that is given; nil when there is none.
func (tx *Tx) BlockSchemaByChecksum(sum, version string) (*orion.BlockSchema, error) {
	w := where("block_schema.workspace_id = ? AND block_schema.checksum = ?", tx.ws, sum)
	if version != "" {
		w = all(w, where("block_schema.version = ?", version))
	}
	return first(tx, selectBlockSchema+" WHERE "+w.sql+" ORDER BY block_schema.created DESC LIMIT 1", w.args, scanBlockSchema)
}

// BlockSchemas lists schemas, the newest first.
func (tx *Tx) BlockSchemas(f *orion.BlockSchemaFilter, limit, offset int64) ([]orion.BlockSchema, error) {
	w := all(where("block_schema.workspace_id = ?", tx.ws), tx.blockSchemaCond(f))
	return list(tx, selectBlockSchema+" WHERE "+w.sql+" ORDER BY block_schema.created DESC LIMIT ? OFFSET ?", append(w.args, limit, offset), scanBlockSchema)
}

// CreateBlockSchema registers a schema, or finds the one of that checksum and
// version, and reports which.
func (tx *Tx) CreateBlockSchema(c *orion.BlockSchemaCreate, sum string) (*orion.BlockSchema, bool, error) {
	version := "non-versioned"
	if c.Version != nil {
		version = *c.Version
	}
	n, err := tx.exec("INSERT INTO block_schema (workspace_id, id, created, updated, actor, checksum, fields, capabilities, version, block_type_id) VALUES ("+marks(10)+") ON CONFLICT DO NOTHING",
		tx.ws, orion.NewID(), tx.now, tx.now, tx.actor, sum, orion.ObjectOr(c.Fields), c.Capabilities, version, c.BlockTypeID)
	if err != nil {
		return nil, false, err
	}
	s, err := tx.BlockSchemaByChecksum(sum, version)
	return s, n > 0, err
}

// DeleteBlockSchema removes a schema with the blocks that use it.
func (tx *Tx) DeleteBlockSchema(id orion.ID) (bool, error) {
	return tx.deleteByID("block_schema", id)
}

// BlockCapabilities lists every capability that some schema has.
func (tx *Tx) BlockCapabilities() ([]string, error) {
	seen := map[string]bool{}
	out := []string{}
	err := tx.query("SELECT DISTINCT capabilities FROM block_schema WHERE workspace_id = ?", []any{tx.ws}, func(r *Row) error {
		var cs []string
		if err := r.Scan(asJSON(&cs)); err != nil {
			return err
		}
		for _, c := range cs {
			if !seen[c] {
				seen[c] = true
				out = append(out, c)
			}
		}
		return nil
	})
	return out, err
}

// HasBlockDocument reports whether there is a block of that id.
func (tx *Tx) HasBlockDocument(id orion.ID) (bool, error) {
	n, err := tx.count("SELECT COUNT(*) FROM block_document WHERE workspace_id = ? AND id = ?", tx.ws, id)
	return n > 0, err
}

const blockDocumentColumns = "block_document.id, block_document.created, block_document.updated, block_document.name, block_document.data, block_document.is_anonymous, block_document.block_schema_id, block_document.block_type_id"

const selectBlockDocument = "SELECT " + blockDocumentColumns + ", " + blockSchemaColumns + ", " + blockTypeColumns + ` FROM block_document
	JOIN block_schema ON block_schema.workspace_id = block_document.workspace_id AND block_schema.id = block_document.block_schema_id
	JOIN block_type ON block_type.workspace_id = block_document.workspace_id AND block_type.id = block_document.block_type_id`

func (tx *Tx) scanBlockDocument(r *Row) (d orion.BlockDocument, err error) {
	var name, sealed string
	s, b := &orion.BlockSchema{}, &orion.BlockType{}
	err = r.Scan(&d.ID, &d.Created, &d.Updated, &name, &sealed, &d.IsAnonymous, &d.BlockSchemaID, &d.BlockTypeID,
		&s.ID, &s.Created, &s.Updated, &s.Checksum, &s.Fields, &s.BlockTypeID, asJSON(&s.Capabilities), &s.Version,
		&b.ID, &b.Created, &b.Updated, &b.Name, &b.Slug, &b.LogoURL, &b.DocumentationURL, &b.Description, &b.CodeExample, &b.IsProtected)
	if err != nil {
		return d, err
	}
	d.Name, d.BlockSchema, d.BlockType, d.BlockTypeName = &name, s, b, &b.Name
	s.BlockType = b
	data, err := tx.s.seal.Unseal(sealed, d.ID.String())
	d.Data = data
	return d, err
}

// Blocks inside blocks are as deep as people nest credentials; more is a loop.
const maxBlockDepth = 8

// BlockDocument reads a block, its nested blocks inside, without masking
// anything; nil when there is none.
func (tx *Tx) BlockDocument(id orion.ID) (*orion.BlockDocument, error) {
	return tx.blockDocument(id, 0)
}

func (tx *Tx) blockDocument(id orion.ID, depth int) (*orion.BlockDocument, error) {
	d, err := first(tx, selectBlockDocument+" WHERE block_document.workspace_id = ? AND block_document.id = ?", []any{tx.ws, id}, tx.scanBlockDocument)
	if d == nil || err != nil {
		return nil, err
	}
	return d, tx.inlineBlocks(d, depth)
}

// BlockDocumentByName reads the block of a type and a name; nil when there is
// none.
func (tx *Tx) BlockDocumentByName(slug, name string) (*orion.BlockDocument, error) {
	d, err := first(tx, selectBlockDocument+" WHERE block_document.workspace_id = ? AND block_type.slug = ? AND block_document.name = ?", []any{tx.ws, slug, name}, tx.scanBlockDocument)
	if d == nil || err != nil {
		return nil, err
	}
	return d, tx.inlineBlocks(d, 0)
}

// inlineBlocks puts the data of nested blocks where they belong, and says which
// they are.
func (tx *Tx) inlineBlocks(d *orion.BlockDocument, depth int) error {
	d.BlockDocumentReferences = orion.EmptyObject
	type ref struct {
		name  string
		child orion.ID
	}
	refs, err := list(tx, "SELECT name, child_id FROM block_document_reference WHERE workspace_id = ? AND parent_id = ? ORDER BY name", []any{tx.ws, d.ID},
		func(r *Row) (x ref, err error) { err = r.Scan(&x.name, &x.child); return x, err })
	if err != nil || len(refs) == 0 {
		return err
	}
	if depth >= maxBlockDepth {
		return orion.Errorf(orion.Conflict, "the block %s holds blocks nested more than %d deep", d.ID, maxBlockDepth)
	}
	data := map[string]orion.JSON{}
	if err := orion.Decode(orion.ObjectOr(d.Data), &data); err != nil {
		return err
	}
	type inner struct {
		ID         orion.ID         `json:"id"`
		Name       *string          `json:"name"`
		Type       *orion.BlockType `json:"block_type"`
		Anonymous  bool             `json:"is_anonymous"`
		References orion.JSON       `json:"block_document_references"`
	}
	out := map[string]map[string]inner{}
	for _, r := range refs {
		c, err := tx.blockDocument(r.child, depth+1)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		data[r.name] = c.Data
		out[r.name] = map[string]inner{"block_document": {c.ID, c.Name, c.BlockType, c.IsAnonymous, c.BlockDocumentReferences}}
	}
	if d.Data, err = orion.Encode(data); err != nil {
		return err
	}
	d.BlockDocumentReferences, err = orion.Encode(out)
	return err
}

var blockDocumentSorts = map[string]string{
	"NAME_ASC": "block_document.name", "NAME_DESC": "block_document.name DESC", "BLOCK_TYPE_AND_NAME_ASC": "block_type.name, block_document.name",
}

func (tx *Tx) blockDocumentsWhere(f *orion.BlockDocumentFilter, t *orion.BlockTypeFilter, s *orion.BlockSchemaFilter) cond {
	w := where("block_document.workspace_id = ?", tx.ws)
	named := where("block_document.is_anonymous = ?", false)
	if f == nil {
		w = all(w, named)
	} else {
		anonymous := named
		if f.IsAnonymous.Set {
			anonymous = cond{}
			if f.IsAnonymous.Has() {
				anonymous = column(tx, "block_document.is_anonymous", &f.IsAnonymous.V)
			}
		}
		w = all(w, joined(f.Operator, column(tx, "block_document.id", f.ID), anonymous, column(tx, "block_document.block_type_id", f.BlockTypeID), column(tx, "block_document.name", f.Name)))
	}
	return all(w, tx.related("block_document.block_type_id", "id", "block_type", tx.blockTypeCond(t)),
		tx.related("block_document.block_schema_id", "id", "block_schema", tx.blockSchemaCond(s)))
}

// BlockDocuments lists blocks, unmasked.
func (tx *Tx) BlockDocuments(f *orion.BlockDocumentFilter, t *orion.BlockTypeFilter, s *orion.BlockSchemaFilter, sort *string, limit, offset int64) ([]orion.BlockDocument, error) {
	o, err := order(blockDocumentSorts, sort, "NAME_ASC")
	if err != nil {
		return nil, err
	}
	w := tx.blockDocumentsWhere(f, t, s)
	ds, err := list(tx, selectBlockDocument+" WHERE "+w.sql+o+" LIMIT ? OFFSET ?", append(w.args, limit, offset), tx.scanBlockDocument)
	for i := range ds {
		if err == nil {
			err = tx.inlineBlocks(&ds[i], 0)
		}
	}
	return ds, err
}

// CountBlockDocuments counts blocks.
func (tx *Tx) CountBlockDocuments(f *orion.BlockDocumentFilter, t *orion.BlockTypeFilter, s *orion.BlockSchemaFilter) (int64, error) {
	w := tx.blockDocumentsWhere(f, t, s)
	return tx.count("SELECT COUNT(*) FROM block_document WHERE "+w.sql, w.args...)
}

// CreateBlockDocument saves a block. A name that is taken is a Conflict error.
func (tx *Tx) CreateBlockDocument(c *orion.BlockDocumentCreate) (*orion.BlockDocument, error) {
	id := orion.NewID()
	anonymous := c.IsAnonymous != nil && *c.IsAnonymous
	name := "anonymous-" + uuid.NewString()
	if c.Name != nil && *c.Name != "" {
		name = *c.Name
	}
	data, refs, err := splitReferences(c.Data)
	if err != nil {
		return nil, err
	}
	n, err := tx.exec("INSERT INTO block_document (workspace_id, id, created, updated, actor, name, data, is_anonymous, block_type_id, block_schema_id) VALUES ("+marks(10)+") ON CONFLICT DO NOTHING",
		tx.ws, id, tx.now, tx.now, tx.actor, name, tx.s.seal.Seal(data, id.String()), anonymous, c.BlockTypeID, c.BlockSchemaID)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, orion.Errorf(orion.Conflict, "Block already exists")
	}
	if err := tx.setReferences(id, refs); err != nil {
		return nil, err
	}
	return tx.BlockDocument(id)
}

// splitReferences takes the nested blocks out of a block's data.
func splitReferences(data orion.JSON) (orion.JSON, map[string]orion.ID, error) {
	var m map[string]orion.JSON
	if err := orion.Decode(orion.ObjectOr(data), &m); err != nil {
		return nil, nil, orion.Refuse("data", "value is not a valid dict")
	}
	refs := map[string]orion.ID{}
	for k, v := range m {
		var r struct {
			Ref *struct {
				ID orion.ID `json:"block_document_id"`
			} `json:"$ref"`
		}
		if v.Kind() == '{' && strings.Contains(string(v), `"$ref"`) && orion.Decode(v, &r) == nil && r.Ref != nil {
			if r.Ref.ID.IsZero() {
				return nil, nil, orion.Refuse("data."+k, "a reference to a block needs its block_document_id")
			}
			refs[k] = r.Ref.ID
			delete(m, k)
		}
	}
	out, err := orion.Encode(m)
	return out, refs, err
}

func (tx *Tx) setReferences(parent orion.ID, refs map[string]orion.ID) error {
	if _, err := tx.exec("DELETE FROM block_document_reference WHERE workspace_id = ? AND parent_id = ?", tx.ws, parent); err != nil {
		return err
	}
	for name, child := range refs {
		inside, err := tx.holds(child, parent, 0)
		if err != nil {
			return err
		}
		if inside {
			return orion.Refuse("data."+name, "a block cannot hold itself, neither directly nor inside another block")
		}
		if _, err := tx.exec("INSERT INTO block_document_reference (workspace_id, parent_id, name, child_id) VALUES (?, ?, ?, ?)", tx.ws, parent, name, child); err != nil {
			return err
		}
	}
	return nil
}

// holds reports whether a block is another or has it inside, however deep.
func (tx *Tx) holds(id, other orion.ID, depth int) (bool, error) {
	if id == other {
		return true, nil
	}
	if depth > maxBlockDepth {
		return false, nil
	}
	children, err := list(tx, "SELECT child_id FROM block_document_reference WHERE workspace_id = ? AND parent_id = ?", []any{tx.ws, id},
		func(r *Row) (c orion.ID, err error) { err = r.Scan(&c); return c, err })
	for _, c := range children {
		if err == nil {
			var in bool
			if in, err = tx.holds(c, other, depth+1); in {
				return true, err
			}
		}
	}
	return false, err
}

// UpdateBlockDocument patches a block and reports whether it exists. Values
// that are the mask of a secret leave the secret as it is.
func (tx *Tx) UpdateBlockDocument(id orion.ID, u *orion.BlockDocumentUpdate) (bool, error) {
	cur, err := first(tx, selectBlockDocument+" WHERE block_document.workspace_id = ? AND block_document.id = ?", []any{tx.ws, id}, tx.scanBlockDocument)
	if cur == nil || err != nil {
		return false, err
	}
	p := tx.patch("block_document")
	if u.BlockSchemaID.Has() && u.BlockSchemaID.V != cur.BlockSchemaID {
		s, err := tx.BlockSchema(u.BlockSchemaID.V)
		if err != nil {
			return false, err
		}
		if s == nil || s.BlockTypeID != cur.BlockTypeID {
			return false, orion.Errorf(orion.BadRequest, "Must migrate block document to a block schema of the same block type.")
		}
		p.set("block_schema_id", s.ID)
	}
	if u.Data.Has() {
		data, refs, err := splitReferences(u.Data.V)
		if err != nil {
			return false, err
		}
		merge := u.MergeExistingData == nil || *u.MergeExistingData
		if data, err = keepSecrets(cur.Data, data, merge); err != nil {
			return false, err
		}
		p.set("data", tx.s.seal.Seal(data, id.String()))
		if merge {
			kept, err := tx.references(id)
			if err != nil {
				return false, err
			}
			var set map[string]orion.JSON
			orion.Decode(data, &set)
			for k, v := range kept {
				if _, ok := refs[k]; !ok {
					if _, ok := set[k]; !ok {
						refs[k] = v
					}
				}
			}
		}
		if err := tx.setReferences(id, refs); err != nil {
			return false, err
		}
	}
	return p.run(id)
}

func (tx *Tx) references(parent orion.ID) (map[string]orion.ID, error) {
	out := map[string]orion.ID{}
	err := tx.query("SELECT name, child_id FROM block_document_reference WHERE workspace_id = ? AND parent_id = ?", []any{tx.ws, parent}, func(r *Row) error {
		var n string
		var c orion.ID
		if err := r.Scan(&n, &c); err != nil {
			return err
		}
		out[n] = c
		return nil
	})
	return out, err
}

// DeleteBlockDocument removes a block.
func (tx *Tx) DeleteBlockDocument(id orion.ID) (bool, error) {
	return tx.deleteByID("block_document", id)
}
