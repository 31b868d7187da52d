package overlay

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/orionflows/orion"
)

// Work queues are found by pool and name.

func queueKey(c *call, d document) (string, error) {
	pool := d.text("work_pool_name") // in the server's answers
	if pool == "" && !d.has("id") {
		pool = c.value("pool")
	}
	if pool == "" {
		pool = legacyPool
	}
	if d.text("name") == "" {
		return "", refuse(http.StatusUnprocessableEntity, "name: field required")
	}
	return url.PathEscape(pool) + "/" + url.PathEscape(d.text("name")), nil
}

func findQueue(key string) string {
	pool, name, _ := strings.Cut(key, "/")
	if pool == legacyPool {
		return "/work_queues/name/" + name
	}
	return "/work_pools/" + pool + "/queues/" + name
}

func queueName(_ *call, x *object) string {
	if pool := x.doc.text("work_pool_name"); pool != "" && pool != legacyPool {
		return pool + "/" + x.doc.text("name")
	}
	return x.doc.text("name")
}

func fillQueue(c *call, x *object) error {
	pool, _, _ := strings.Cut(x.key, "/")
	name, err := url.PathUnescape(pool)
	if err != nil {
		return err
	}
	x.doc.set("work_pool_name", name)
	x.doc["work_pool_id"] = orion.JSON("null")
	if name == legacyPool {
		return nil
	}
	p, err := c.byKey(workPools, pool)
	if err != nil {
		return err
	}
	if p == nil {
		return refuse(http.StatusNotFound, "Work pool %q not found.", name)
	}
	x.doc["work_pool_id"] = p.doc["id"]
	return nil
}

// queue makes a work queue that nobody asked for by itself.
func (c *call) queue(pool, name string) (*object, error) {
	doc, err := parse([]byte(workQueues.defaults))
	if err != nil {
		return nil, err
	}
	key := url.PathEscape(pool) + "/" + url.PathEscape(name)
	x := &object{of: workQueues, id: c.provisional(WorkQueue, key), key: key, changed: true, implied: true, doc: doc, writers: []string{c.file.name}}
	doc.set("id", x.id)
	doc.set("name", name)
	doc.set("created", now())
	doc.set("updated", now())
	doc.set("work_pool_name", pool)
	doc["work_pool_id"] = orion.JSON("null")
	if p := c.named[workPools.path+" "+url.PathEscape(pool)]; p != nil {
		doc["work_pool_id"] = p.doc["id"]
	}
	return x, nil
}

func fillPool(c *call, x *object) error {
	name := x.doc.text("name")
	if orion.Reserved(name) {
		return refuse(http.StatusForbidden, "Worker pools starting with 'Prefect' are reserved for internal use.")
	}
	queue, err := c.queue(name, "default")
	if err != nil {
		return err
	}
	queue.doc["work_pool_id"] = x.doc["id"]
	queue.doc.set("description", "The work pool's default queue.")
	c.keep(queue)
	x.doc["default_queue_id"] = queue.doc["id"]
	return nil
}

// impliedQueue is the work queue that a deployment names and that the server
// makes along with it; nil when there is one, or none is named.
func (c *call) impliedQueue(body document) (*object, error) {
	pool, name := body.text("work_pool_name"), body.text("work_queue_name")
	switch pool {
	case "":
		pool = legacyPool
	case legacyPool: // comes with its first queue
	default:
		x, err := c.byKey(workPools, url.PathEscape(pool))
		if err != nil {
			return nil, err
		}
		if x == nil {
			return nil, refuse(http.StatusNotFound, "Work pool %q not found.", pool)
		}
	}
	if name == "" {
		return nil, nil
	}
	key := url.PathEscape(pool) + "/" + url.PathEscape(name)
	if x, err := c.byKey(workQueues, key); x != nil || err != nil {
		return nil, err
	}
	return c.queue(pool, name)
}
