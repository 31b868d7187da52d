package overlay

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/orionflows/orion"
)

// create answers the request that makes an object of a kind.
func create(k *kind) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) {
		x, status, err := c.create(k)
		if err != nil {
			return nil, err
		}
		return c.show(x, status)
	}
}

func (c *call) create(k *kind) (*object, int, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, 0, err
	}
	key := ""
	if k.key != nil {
		if key, err = k.key(c, body); err != nil {
			return nil, 0, err
		}
	}
	if key != "" {
		x, err := c.byKey(k, key)
		if err != nil {
			return nil, 0, err
		}
		if k.taken == conflicts && (x == nil || x.existing) {
			c.noteRead(http.MethodGet, k.find(key), nil) // the file may go on otherwise
		}
		if x != nil {
			return c.again(x, body)
		}
	}
	x := &object{of: k, key: key, changed: true, doc: document{}}
	if k.defaults != "" {
		if x.doc, err = parse([]byte(k.defaults)); err != nil {
			return nil, 0, err
		}
	}
	x.doc.merge(body)
	was := c.counts[c.countOf(k.kind)]
	x.id = c.provisional(k.kind, key)
	x.doc.set("id", x.id)
	x.doc.set("created", now())
	x.doc.set("updated", now())
	if k.fill != nil {
		if err := k.fill(c, x); err != nil {
			c.counts[c.countOf(k.kind)] = was // it may be tried again
			return nil, 0, err
		}
	}
	name := c.readable(x)
	x = c.keep(x)
	action := Create
	if k.taken == answersIt {
		action = Ensure
	}
	c.record(x, action, name)
	return x, http.StatusCreated, nil
}

// again answers a request to make what is there.
func (c *call) again(x *object, body document) (*object, int, error) {
	switch x.of.taken {
	case conflicts:
		return nil, 0, refuse(http.StatusConflict, "%s", alreadyThere(x.of.kind, c.readable(x)))
	case answersIt:
		name := c.readable(x)
		x = c.keep(x)
		c.record(x, Ensure, name)
		return x, http.StatusOK, nil
	}
	doc, err := c.updated(x, body)
	if err != nil {
		return nil, 0, err
	}
	name := c.readable(x)
	x = c.keep(x)
	c.change(x, doc)
	c.record(x, Update, name)
	return x, http.StatusOK, nil
}

func alreadyThere(k Kind, name string) string {
	switch k {
	case Block:
		return "Block already exists"
	case Variable:
		return "Data integrity conflict. This usually means a unique or foreign key constraint was violated. See server logs for details."
	}
	return strings.ToUpper(string(k[:1])) + string(k[1:]) + ` with name "` + name + `" already exists.`
}

// updated is an object's document after a change.
func (c *call) updated(x *object, body document) (document, error) {
	if x.of.update != nil {
		return x.of.update(c, x, body)
	}
	doc := document{}
	doc.merge(x.doc)
	doc.merge(body, "id")
	return doc, nil
}

// pick finds the object of a kind that the path names: by the key that is made
// of the variables of those names, or without any by its id.
func (c *call) pick(k *kind, vars []string) (*object, error) {
	if len(vars) == 0 {
		return c.byID(k, c.value("id"))
	}
	return c.byKey(k, c.keyOf(vars))
}

func (c *call) keyOf(vars []string) string {
	parts := make([]string, len(vars))
	for i, name := range vars {
		parts[i] = c.vars[name]
		if name == "pool" && parts[i] == "" {
			parts[i] = legacyPool
		}
	}
	return strings.Join(parts, "/")
}

func notFound(k *kind) error {
	return refuse(http.StatusNotFound, "%s", strings.ToUpper(string(k.kind[:1]))+string(k.kind[1:])+" not found")
}

// update answers the patch of an object.
func update(k *kind, vars ...string) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) {
		x, err := c.pick(k, vars)
		if err != nil {
			return nil, err
		}
		if x == nil {
			return nil, notFound(k)
		}
		body, err := parse(c.body)
		if err != nil {
			return nil, err
		}
		doc, err := c.updated(x, body)
		if err != nil {
			return nil, err
		}
		name := c.readable(x)
		x = c.keep(x)
		c.change(x, doc)
		if k == deployments {
			c.claim(x, body)
		}
		c.record(x, Update, name)
		return nothing, nil
	}
}

// remove answers the removal of an object.
func remove(k *kind, vars ...string) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) {
		x, err := c.pick(k, vars)
		if err != nil {
			return nil, err
		}
		if x == nil {
			return nil, notFound(k)
		}
		name := c.readable(x)
		x = c.keep(x)
		x.deleted = true
		c.record(x, Delete, name)
		return nothing, nil
	}
}

func onKind(f func(*kind, ...string) func(*call) (*answer, error)) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) { return f(c.kind())(c) }
}

// onLimit is for the kind whose paths have either id or name in one place.
func onLimit(f func(*kind, ...string) func(*call) (*answer, error)) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) {
		if uuids.MatchString(c.vars["key"]) {
			c.vars["id"] = c.vars["key"]
			return f(globalLimits)(c)
		}
		return f(globalLimits, "key")(c)
	}
}

// ifAutomations answers as a server without automations does, if this is one.
func ifAutomations(f func(*call) (*answer, error)) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) {
		// Every server that has them answers this, whether there is one or not.
		got, err := c.said(http.MethodGet, "/automations/related-to/none", nil)
		if err != nil {
			return nil, err
		}
		if got.status == http.StatusNotFound {
			return nil, refuse(http.StatusNotFound, "Not Found")
		}
		return f(c)
	}
}

// removeOwned forgets the automations that belong to an object, as a client
// asks before it makes them anew.
func removeOwned(c *call) (*answer, error) {
	owner := c.value("resource")
	for _, x := range c.order {
		if x.of == automations && bytes.Contains(x.doc.encode(), []byte(owner)) {
			x.deleted = true
		}
	}
	x := &object{of: automations, id: orion.ID{}.String(), existing: true, doc: document{}}
	c.record(x, Delete, "owned by "+owner)
	return &answer{status: http.StatusAccepted, body: []byte("null")}, nil
}
