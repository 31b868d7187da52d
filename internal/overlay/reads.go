package overlay

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/orionflows/orion"
)

// through answers a reading request as the server does.
func (c *call) through() (*answer, error) {
	path := c.path
	if c.request.URL.RawQuery != "" {
		path += "?" + c.request.URL.RawQuery
	}
	got, err := c.said(c.request.Method, path, c.body)
	if err != nil {
		return nil, err
	}
	c.noteRead(c.request.Method, path, c.body)
	return got, nil
}

// noteRead remembers that the file was told what the server said.
func (c *call) noteRead(method, path string, body []byte) {
	got := c.cached.get(method, path, body)
	if got == nil || slices.ContainsFunc(c.file.reads, func(r Read) bool {
		return r.Method == method && r.Path == path && bytes.Equal(r.Body, body)
	}) {
		return
	}
	c.file.reads = append(c.file.reads, Read{Method: method, Path: path, Body: slices.Clone(body), Digest: digest(got)})
}

// show answers with an object.
func (c *call) show(x *object, status int) (*answer, error) {
	doc := x.doc
	if x.of == blocks {
		var err error
		if doc, err = c.expanded(x, c.secretsWanted()); err != nil {
			return nil, err
		}
	}
	return &answer{status: status, body: doc.encode()}, nil
}

// written is an object that is not as the server has it. It is nil where the
// server may answer.
func written(x *object) *object {
	if x == nil || !x.changed && !x.deleted {
		return nil
	}
	return x
}

func (c *call) answerOne(k *kind, x *object) (*answer, error) {
	c.noteUse(x)
	switch x := written(x); {
	case x == nil:
		return c.through()
	case x.deleted:
		return nil, notFound(k)
	default:
		return c.show(x, http.StatusOK)
	}
}

// readID answers {kind}/{id}.
func readID(c *call) (*answer, error) {
	return c.answerOne(c.kind(), c.objects[c.vars["kind"]+" "+c.value("id")])
}

// readKey answers where a kind's key is in the path.
func readKey(k *kind, vars ...string) func(*call) (*answer, error) {
	if len(vars) == 0 {
		vars = []string{"key"}
	}
	return func(c *call) (*answer, error) { return c.answerOne(k, c.named[k.path+" "+c.keyOf(vars)]) }
}

func readLimit(c *call) (*answer, error) {
	if x := c.objects[globalLimits.path+" "+c.value("key")]; x != nil {
		return c.answerOne(globalLimits, x)
	}
	return readKey(globalLimits)(c)
}

// list answers the filter of a kind: what the server finds, with what was
// written laid over it.
func list(k *kind) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) {
		filters, err := c.filters()
		if err != nil {
			return nil, err
		}
		parent := c.named[workPools.path+" "+c.vars["pool"]]
		return c.list(k, filters, parent == nil || parent.existing)
	}
}

func listKind(c *call) (*answer, error) { return list(c.kind())(c) }

func (c *call) filters() (document, error) {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return document{}, nil
	}
	return parse(c.body)
}

// list asks the server, too, unless it knows nothing of what is asked for.
func (c *call) list(k *kind, filters document, onServer bool) (*answer, error) {
	items := []document{}
	if onServer {
		got, err := c.through()
		if err != nil || got.status != http.StatusOK {
			return got, err
		}
		if err := orion.Decode(got.body, &items); err != nil {
			return got, nil // no list: nothing we know how to lay over
		}
	}
	fits := func(x *object) (bool, error) {
		if pool := c.value("pool"); k == workQueues && pool != "" && pool != x.doc.text("work_pool_name") {
			return false, nil
		}
		return c.fits(k, filters, x)
	}
	laid := items[:0]
	listed := map[string]bool{}
	for _, item := range items {
		listed[item.text("id")] = true
		x := written(c.objects[k.path+" "+item.text("id")])
		if x != nil {
			c.noteUse(x)
			ok, err := fits(x)
			if err != nil {
				return nil, err
			}
			if x.deleted || !ok {
				continue
			}
			if item, err = c.shown(x, filters); err != nil {
				return nil, err
			}
		}
		laid = append(laid, item)
	}
	for _, x := range c.order {
		if x.of != k || written(x) == nil || x.deleted || listed[x.id] || c.objects[k.path+" "+x.id] != x {
			continue
		}
		ok, err := fits(x)
		if err != nil {
			return nil, err
		}
		if ok {
			c.noteUse(x)
			item, err := c.shown(x, filters)
			if err != nil {
				return nil, err
			}
			laid = append(laid, item)
		}
	}
	return reply(http.StatusOK, laid), nil
}

// shown is an object as an item of a list.
func (c *call) shown(x *object, filters document) (document, error) {
	if x.of != blocks {
		return x.doc, nil
	}
	return c.expanded(x, filters.isTrue("include_secrets") || c.secretsWanted())
}

// countKind answers how many objects fit.
func countKind(c *call) (*answer, error) {
	k := c.kind()
	filters, err := c.filters()
	if err != nil {
		return nil, err
	}
	got, err := c.through()
	if err != nil || got.status != http.StatusOK {
		return got, err
	}
	var n int64
	if err := orion.Decode(got.body, &n); err != nil {
		return got, nil // no number: nothing we know how to lay over
	}
	for _, x := range c.order {
		if x.of != k || written(x) == nil || c.objects[k.path+" "+x.id] != x {
			continue
		}
		if x.existing {
			before, err := parse(x.before)
			if err != nil {
				return nil, err
			}
			was, err := c.fits(k, filters, &object{of: k, doc: before})
			if err != nil {
				return nil, err
			}
			if was {
				n--
			}
		}
		is, err := c.fits(k, filters, x)
		if err != nil {
			return nil, err
		}
		if is && !x.deleted {
			n++
		}
	}
	return reply(http.StatusOK, n), nil
}

// fits tells whether an object is among those that a list's filters name.
func (c *call) fits(k *kind, filters document, x *object) (bool, error) {
	if k == blocks && x.doc.isTrue("is_anonymous") {
		own, err := parse(orion.ObjectOr(filters[blocks.filter]))
		if _, asked := own["is_anonymous"]; err != nil || !asked {
			return false, nil // they are shown only to who asks
		}
	}
	for name, raw := range filters {
		if raw.Kind() != '{' {
			continue
		}
		filter, err := parse(raw)
		if err != nil {
			return false, err
		}
		ok := true
		switch name {
		case k.filter:
			ok = matches(filter, x.doc)
		case "flow_runs", "task_runs":
			ok = false // nothing that is only planned has runs
		case "work_pools":
			ok = k != deployments || matches(filter, document{"name": x.doc["work_pool_name"]})
		case "work_pool_queues":
			ok = k != deployments || matches(filter, document{"name": x.doc["work_queue_name"]})
		case "flows", "block_types", "block_schemas", "deployments":
			ok, err = c.relativeFits(k, name, filter, x)
		}
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// owners are the fields by which an object names what it belongs to.
var owners = map[string]struct {
	of    *kind
	field string
}{
	"flows":         {flows, "flow_id"},
	"block_types":   {blockTypes, "block_type_id"},
	"block_schemas": {blockSchemas, "block_schema_id"},
}

// relativeFits tells whether what an object belongs to, or what belongs to it,
// fits a filter.
func (c *call) relativeFits(k *kind, name string, filter document, x *object) (bool, error) {
	if owner, ok := owners[name]; ok && x.doc.has(owner.field) {
		parent, err := c.byID(owner.of, x.doc.text(owner.field))
		return parent != nil && matches(filter, parent.doc), err
	}
	for _, other := range c.order {
		belongs := other.of == deployments && k == flows && other.doc.text("flow_id") == x.id ||
			other.of == blockSchemas && k == blockTypes && other.doc.text("block_type_id") == x.id
		if belongs && other.of.filter == name && !other.deleted && matches(filter, other.doc) {
			return true, nil
		}
	}
	return false, nil
}

// matches tells whether a document fits one kind's filter. Operators that are
// not known let everything through.
func matches(filter, doc document) bool {
	anyOf, met, asked := filter.text("operator") == "or_", false, false
	for name, raw := range filter {
		if raw.Kind() != '{' {
			continue
		}
		operators, err := parse(raw)
		if err != nil {
			continue
		}
		if name == "block_capabilities" {
			name = "capabilities"
		}
		for operator, want := range operators {
			if want.Kind() == 'n' {
				continue
			}
			asked = true
			ok := fulfils(operator, want, doc[name])
			if !ok && !anyOf {
				return false
			}
			met = met || ok
		}
	}
	return met || !asked || !anyOf
}

func fulfils(operator string, want, have orion.JSON) bool {
	switch operator {
	case "any_":
		if have.Kind() == '[' {
			return slices.ContainsFunc(elements(have), func(v string) bool { return slices.Contains(elements(want), v) })
		}
		return slices.Contains(elements(want), plain(have))
	case "not_any_":
		return !slices.Contains(elements(want), plain(have))
	case "all_":
		has := elements(have)
		return !slices.ContainsFunc(elements(want), func(v string) bool { return !slices.Contains(has, v) })
	case "eq_":
		return plain(want) == plain(have)
	case "like_":
		return strings.Contains(strings.ToLower(plain(have)), strings.ToLower(plain(want)))
	case "startswith_":
		return slices.ContainsFunc(elements(want), func(v string) bool { return strings.HasPrefix(plain(have), v) })
	case "is_null_":
		null := len(have) == 0 || have.Kind() == 'n' || string(have) == "[]"
		return null == (want.Kind() == 't')
	}
	return true
}

// plain is a JSON value as text, to be compared.
func plain(v orion.JSON) string {
	var s string
	if v.Kind() == '"' && orion.Decode(v, &s) == nil {
		return s
	}
	return string(v)
}

func elements(v orion.JSON) []string {
	var list []orion.JSON
	if v.Kind() != '[' || orion.Decode(v, &list) != nil {
		return []string{plain(v)}
	}
	out := make([]string, len(list))
	for i := range list {
		out[i] = plain(list[i])
	}
	return out
}

func (c *call) secretsWanted() bool {
	query, err := url.ParseQuery(c.request.URL.RawQuery)
	return err == nil && strings.EqualFold(query.Get("include_secrets"), "true")
}
