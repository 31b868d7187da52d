package overlay

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/block"
)

// Block schemas are found by checksum and version.

func schemaKey(_ *call, d document) (string, error) {
	sum, version := d.text("checksum"), d.text("version")
	if sum == "" || !d.has("id") {
		var err error
		if sum, err = block.Checksum(d["fields"]); err != nil {
			return "", refuse(http.StatusUnprocessableEntity, "fields: %v", err)
		}
	}
	if version == "" {
		version = "non-versioned"
	}
	return sum + "?version=" + url.QueryEscape(version), nil
}

func fillSchema(c *call, x *object) error {
	t, err := c.byID(blockTypes, x.doc.text("block_type_id"))
	if err != nil {
		return err
	}
	if t == nil {
		return refuse(http.StatusNotFound, "Block type %s not found.", x.doc.text("block_type_id"))
	}
	sum, _, _ := strings.Cut(x.key, "?")
	x.doc.set("checksum", sum)
	x.doc.set("block_type", t.doc)
	if !x.doc.has("version") {
		x.doc.set("version", "non-versioned")
	}
	return nil
}

func schemaName(_ *call, x *object) string {
	t, _ := parse(x.doc["block_type"]) // without one its name is empty
	return t.text("slug") + " " + x.doc.text("version")
}

func readSchema(c *call) (*answer, error) {
	query, err := url.ParseQuery(c.request.URL.RawQuery)
	if err != nil {
		return c.through()
	}
	want := c.value("checksum") + "?version=" + url.QueryEscape(query.Get("version"))
	for _, x := range c.order {
		if x.of == blockSchemas && written(x) != nil &&
			(x.key == want || query.Get("version") == "" && x.doc.text("checksum") == c.value("checksum")) {
			return c.answerOne(blockSchemas, x)
		}
	}
	return c.through()
}

// Blocks are found by the slug of their type and their name. Their document
// keeps references to other blocks as they were sent; see expanded.

func blockKey(c *call, d document) (string, error) {
	if d.isTrue("is_anonymous") {
		return "", nil
	}
	t, _ := parse(d["block_type"]) // the server's answers hold the type
	slug := t.text("slug")
	if slug == "" {
		x, err := c.byID(blockTypes, d.text("block_type_id"))
		if err != nil {
			return "", err
		}
		if x == nil {
			return "", refuse(http.StatusNotFound, "Block type %s not found.", d.text("block_type_id"))
		}
		slug = x.doc.text("slug")
	}
	if d.text("name") == "" {
		return "", refuse(http.StatusUnprocessableEntity, "Names must be provided for block documents.")
	}
	return url.PathEscape(slug) + "/" + url.PathEscape(d.text("name")), nil
}

func findBlock(key string) string {
	slug, name, _ := strings.Cut(key, "/")
	return "/block_types/slug/" + slug + "/block_documents/name/" + name + "?include_secrets=true"
}

func blockName(_ *call, x *object) string {
	t, _ := parse(x.doc["block_type"])
	if x.doc.isTrue("is_anonymous") {
		return t.text("slug") + " (anonymous)"
	}
	return t.text("slug") + "/" + x.doc.text("name")
}

func fillBlock(c *call, x *object) error {
	if !x.doc.has("data") {
		x.doc["data"] = orion.EmptyObject
	}
	if !x.doc.has("is_anonymous") {
		x.doc.set("is_anonymous", false)
	}
	if x.doc.text("name") == "" {
		x.doc.set("name", "anonymous-"+x.id)
	}
	return c.typed(x.doc)
}

// typed completes a block with its schema and type, and refuses it when they
// or the blocks inside it are not there.
func (c *call) typed(doc document) error {
	schema, err := c.byID(blockSchemas, doc.text("block_schema_id"))
	if err != nil {
		return err
	}
	if schema == nil {
		return refuse(http.StatusNotFound, "Block schema %s not found.", doc.text("block_schema_id"))
	}
	t, err := c.byID(blockTypes, doc.text("block_type_id"))
	if err != nil {
		return err
	}
	if t == nil {
		return refuse(http.StatusNotFound, "Block type %s not found.", doc.text("block_type_id"))
	}
	doc.set("block_schema", schema.doc)
	doc.set("block_type", t.doc)
	doc.set("block_type_name", t.doc.text("name"))
	doc["block_document_references"] = orion.EmptyObject
	_, err = c.nested(doc, 0)
	return err
}

func updateBlock(c *call, x *object, body document) (document, error) {
	doc := document{}
	doc.merge(x.doc)
	data := document{}
	if !x.changed { // still as the server shows it, with the blocks inside in place
		var err error
		if data, err = collapsed(x.doc); err != nil {
			return nil, err
		}
	} else if err := orion.Decode(orion.ObjectOr(x.doc["data"]), &data); err != nil {
		return nil, err
	}
	if body.has("data") {
		sent, err := parse(body["data"])
		if err != nil {
			return nil, err
		}
		if body["merge_existing_data"].Kind() == 'f' {
			data = document{}
		}
		data.merge(sent)
	}
	doc["data"] = data.encode()
	if body.has("block_schema_id") {
		doc["block_schema_id"] = body["block_schema_id"]
	}
	return doc, c.typed(doc)
}

// collapsed is the data of a block as it was sent once: with references where
// the server shows the blocks inside.
func collapsed(doc document) (document, error) {
	data, err := parse(orion.ObjectOr(doc["data"]))
	if err != nil {
		return nil, err
	}
	var references map[string]struct {
		Document struct {
			ID orion.ID `json:"id"`
		} `json:"block_document"`
	}
	if err := orion.Decode(orion.ObjectOr(doc["block_document_references"]), &references); err != nil {
		return nil, err
	}
	for name, to := range references {
		data.set(name, map[string]any{"$ref": map[string]any{"block_document_id": to.Document.ID}})
	}
	return data, nil
}

// Blocks inside blocks are as deep as people nest credentials; more is a loop.
const maxDepth = 8

// nested reads the blocks that a block's data refers to.
func (c *call) nested(doc document, depth int) (map[string]*object, error) {
	data, err := parse(orion.ObjectOr(doc["data"]))
	if err != nil {
		return nil, err
	}
	inside := map[string]*object{}
	for name, raw := range data {
		var value struct {
			Ref *struct {
				ID orion.ID `json:"block_document_id"`
			} `json:"$ref"`
		}
		if raw.Kind() != '{' || orion.Decode(raw, &value) != nil || value.Ref == nil {
			continue
		}
		if depth >= maxDepth {
			return nil, refuse(http.StatusConflict, "the block %q holds blocks nested more than %d deep", doc.text("name"), maxDepth)
		}
		x, err := c.byID(blocks, value.Ref.ID.String())
		if err != nil {
			return nil, err
		}
		if x == nil {
			return nil, refuse(http.StatusNotFound, "Block document %s not found.", value.Ref.ID)
		}
		inside[name] = x
	}
	return inside, nil
}

// expanded is a block as the server shows it: with the data of the blocks
// inside where they belong, and which they are. Unless secrets are wanted, each
// is masked as its own schema says.
func (c *call) expanded(x *object, secrets bool) (document, error) { return c.expand(x, secrets, 0) }

func (c *call) expand(x *object, secrets bool, depth int) (document, error) {
	doc := document{}
	doc.merge(x.doc)
	inside := map[string]*object{}
	if x.changed { // else the server has put them in
		var err error
		if inside, err = c.nested(x.doc, depth); err != nil {
			return nil, err
		}
	}
	data, err := parse(orion.ObjectOr(x.doc["data"]))
	if err != nil {
		return nil, err
	}
	references := map[string]any{}
	for name, child := range inside {
		whole, err := c.expand(child, secrets, depth+1)
		if err != nil {
			return nil, err
		}
		data[name] = whole["data"]
		one := document{}
		for _, field := range []string{"id", "name", "block_type", "is_anonymous", "block_document_references"} {
			one[field] = whole[field]
		}
		references[name] = map[string]any{"block_document": one}
	}
	if x.changed {
		doc["data"] = data.encode()
		doc.set("block_document_references", references)
	}
	if !secrets {
		doc = masked(doc)
	}
	return doc, nil
}

// masked hides what a block's schema calls secret, as the server does.
func masked(doc document) document {
	schema, err := parse(orion.ObjectOr(doc["block_schema"]))
	if err != nil {
		return doc
	}
	var fields struct {
		Secret []string `json:"secret_fields"`
	}
	var data any
	if orion.Decode(orion.ObjectOr(schema["fields"]), &fields) != nil || orion.Decode(orion.ObjectOr(doc["data"]), &data) != nil {
		return doc
	}
	for _, path := range fields.Secret {
		data = hide(data, strings.Split(path, "."))
	}
	out := document{}
	out.merge(doc)
	out.set("data", data)
	return out
}

func hide(v any, path []string) any {
	if v == nil {
		return nil
	}
	if len(path) == 0 {
		return "********"
	}
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			if path[0] == "*" || path[0] == name {
				v[name] = hide(v[name], path[1:])
			}
		}
	case []any:
		for i := range v {
			v[i] = hide(v[i], path)
		}
	}
	return v
}

func readBlock(c *call) (*answer, error) {
	return c.answerOne(blocks, c.objects[blocks.path+" "+c.value("id")])
}

func readBlockByName(c *call) (*answer, error) {
	return c.answerOne(blocks, c.named[blocks.path+" "+c.vars["slug"]+"/"+c.vars["name"]])
}

func readBlocksOfType(c *call) (*answer, error) {
	filters := document{}
	filters.set("block_types", map[string]any{"slug": map[string]any{"any_": []string{c.value("slug")}}})
	t := c.named[blockTypes.path+" "+c.vars["slug"]]
	return c.list(blocks, filters, t == nil || t.existing)
}
