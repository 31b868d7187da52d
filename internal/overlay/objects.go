package overlay

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/orionflows/orion"
)

// document is a JSON object. The server's own fields are kept as they are,
// whatever its version has.
type document map[string]orion.JSON

func parse(text []byte) (document, error) {
	d := document{}
	if err := orion.Decode(text, &d); err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "the body is no JSON object")
	}
	return d, nil
}

func (d document) set(name string, v any) {
	text, err := orion.Encode(v)
	if err != nil {
		text = []byte("null") // only strings, numbers and documents are set
	}
	d[name] = text
}

// text is a field that is a string, else "".
func (d document) text(name string) string {
	var s string
	if d[name].Kind() == '"' {
		_ = orion.Decode(d[name], &s) // its kind says that it can
	}
	return s
}

// has reports a field that is there and not null.
func (d document) has(name string) bool { return len(d[name]) > 0 && d[name].Kind() != 'n' }

func (d document) isTrue(name string) bool { return d[name].Kind() == 't' }

// merge takes over the fields of another document that are set in it.
func (d document) merge(from document, except ...string) {
	for name, value := range from {
		if !slices.Contains(except, name) {
			d[name] = value
		}
	}
}

func (d document) encode() []byte {
	text, err := orion.Encode(d)
	if err != nil {
		return []byte("null") // its fields were read as JSON
	}
	return text
}

// object is one that files wrote, as it would now be.
type object struct {
	of       *kind
	id       string
	key      string // what it is found by; "" when only its id is
	existing bool
	before   []byte   // what the server says of it; nil unless existing
	doc      document // what it would say; never changed in place
	changed  bool     // doc is not what the server has
	deleted  bool
	implied  bool // no write makes it: another's does
	writers  []string

	// Of deployments: the requests for it, merged, and who made them.
	claim     document
	claimants []string
}

// kind is what the overlay knows of one kind of object.
type kind struct {
	kind Kind
	path string // of the collection
	// filter is the name of the kind's own filter in the bodies of lists.
	filter string
	// defaults are the fields of a new object that a body need not have.
	defaults string
	// taken says what the server does with a new object whose key is taken.
	taken taken
	// key is what an object is found by, as the last segments of a path; nil
	// where there is only its id.
	key func(c *call, body document) (string, error)
	// find is where the server answers the object of a key.
	find func(key string) string
	// fill completes a new object, or refuses it.
	fill func(c *call, x *object) error
	// update changes an object; nil merges the fields of the body.
	update func(c *call, x *object, body document) (document, error)
	// name is for people; nil is the field "name".
	name func(c *call, x *object) string
}

type taken int

const (
	conflicts taken = iota // 409
	answersIt              // 200 with what is there
	upserts                // 200, and it is updated
)

func field(name string) func(*call, document) (string, error) {
	return func(_ *call, d document) (string, error) {
		if d.text(name) == "" {
			return "", refuse(http.StatusUnprocessableEntity, "%s: field required", name)
		}
		return url.PathEscape(d.text(name)), nil
	}
}

func below(path string) func(string) string { return func(key string) string { return path + key } }

// legacyPool holds the queues that are in no pool.
const legacyPool = "default-agent-pool"

var (
	flows = &kind{kind: Flow, path: "flows", filter: "flows", defaults: `{"tags":[]}`, taken: answersIt,
		key: field("name"), find: below("/flows/name/")}
	deployments = &kind{kind: Deployment, path: "deployments", filter: "deployments", taken: upserts, find: below("/deployments/name/"),
		defaults: `{"version":null,"description":null,"schedule":null,"is_schedule_active":true,"paused":false,"schedules":[],
			"infra_overrides":{},"job_variables":{},"parameters":{},"tags":[],"work_queue_name":null,"last_polled":null,
			"parameter_openapi_schema":null,"path":null,"pull_steps":null,"entrypoint":null,"manifest_path":null,
			"storage_document_id":null,"infrastructure_document_id":null,"created_by":null,"updated_by":null,
			"work_pool_name":null,"status":"NOT_READY","enforce_parameter_schema":false}`}
	blockTypes = &kind{kind: BlockType, path: "block_types", filter: "block_types", key: field("slug"), find: below("/block_types/slug/"),
		defaults: `{"logo_url":null,"documentation_url":null,"description":null,"code_example":null,"is_protected":false}`}
	blockSchemas = &kind{kind: BlockSchema, path: "block_schemas", filter: "block_schemas", taken: answersIt,
		find: below("/block_schemas/checksum/"), defaults: `{"capabilities":[],"version":"non-versioned"}`}
	blocks    = &kind{kind: Block, path: "block_documents", filter: "block_documents", find: findBlock}
	workPools = &kind{kind: WorkPool, path: "work_pools", filter: "work_pools", key: field("name"), find: below("/work_pools/"),
		defaults: `{"description":null,"type":"prefect-agent","base_job_template":{},"is_paused":false,"concurrency_limit":null,"status":"NOT_READY"}`}
	workQueues = &kind{kind: WorkQueue, path: "work_queues", filter: "work_queues", find: findQueue,
		defaults: `{"description":"","is_paused":false,"concurrency_limit":null,"priority":1,"filter":null,"last_polled":null,"status":"NOT_READY"}`}
	variables = &kind{kind: Variable, path: "variables", filter: "variables", defaults: `{"tags":[]}`, key: field("name"), find: below("/variables/name/")}
	tagLimits = &kind{kind: TagLimit, path: "concurrency_limits", defaults: `{"active_slots":[]}`, taken: upserts,
		key: field("tag"), find: below("/concurrency_limits/tag/"), name: func(_ *call, x *object) string { return x.doc.text("tag") }}
	globalLimits = &kind{kind: GlobalLimit, path: "v2/concurrency_limits", key: field("name"), find: below("/v2/concurrency_limits/"),
		defaults: `{"active":true,"active_slots":0,"slot_decay_per_second":0.0}`}
	notifications = &kind{kind: Notification, path: "flow_run_notification_policies", filter: "flow_run_notification_policy_filter",
		defaults: `{"is_active":true,"state_names":[],"tags":[],"message_template":null}`}
	artifacts = &kind{kind: Artifact, path: "artifacts", filter: "artifacts",
		defaults: `{"key":null,"type":null,"description":null,"data":null,"metadata_":null,"flow_run_id":null,"task_run_id":null}`,
		name:     func(_ *call, x *object) string { return x.doc.text("key") }}
	automations = &kind{kind: Automation, path: "automations", filter: "automations", defaults: `{"description":"","enabled":true}`}

	kinds = []*kind{flows, deployments, blockTypes, blockSchemas, blocks, workPools, workQueues, variables, tagLimits, globalLimits,
		notifications, artifacts, automations}
)

// Functions of kinds that need other kinds: Go wants them told apart.
func init() {
	deployments.key, deployments.name = deploymentKey, deploymentName
	deployments.fill, deployments.update = fillDeployment, updateDeployment
	blockSchemas.key, blockSchemas.name, blockSchemas.fill = schemaKey, schemaName, fillSchema
	blocks.key, blocks.name, blocks.fill, blocks.update = blockKey, blockName, fillBlock, updateBlock
	workPools.fill = fillPool
	workQueues.key, workQueues.name, workQueues.fill = queueKey, queueName, fillQueue
}

// readable is an object's name for people.
func (c *call) readable(x *object) string {
	if x.of.name != nil {
		return x.of.name(c, x)
	}
	return x.doc.text("name")
}

// ids are made from names, so that a file which is run again writes the same.
var namespace = uuid.MustParse("4a6f6b6c-9d0e-5b54-8c2a-6f72696f6e00")

func madeID(parts ...string) string {
	return uuid.NewSHA1(namespace, []byte(strings.Join(parts, "\x00"))).String()
}

// provisional makes the id of a new object.
func (c *call) provisional(k Kind, key string) string {
	var id string
	if key != "" {
		id = madeID(string(k), key)
	} else {
		c.counts[c.countOf(k)]++
		id = madeID(string(k), "", c.file.name, fmt.Sprint(c.counts[c.countOf(k)]))
	}
	c.made[id] = true
	return id
}

func (c *call) countOf(k Kind) string { return c.file.name + "\x00" + string(k) }

// byID finds an object: among those written, else on the server. Nil is none.
func (c *call) byID(k *kind, id string) (*object, error) {
	x := c.objects[k.path+" "+id]
	c.noteUse(x)
	switch {
	case x != nil && x.deleted || x == nil && c.made[id]:
		return nil, nil
	case x != nil:
		return x, nil
	}
	path := "/" + k.path + "/" + url.PathEscape(id)
	if k == blocks {
		path += "?include_secrets=true"
	}
	return c.fromServer(k, path)
}

// byKey is byID for the key of a kind.
func (c *call) byKey(k *kind, key string) (*object, error) {
	x := c.named[k.path+" "+key]
	c.noteUse(x)
	switch {
	case x != nil && x.deleted:
		return nil, nil
	case x != nil:
		return x, nil
	}
	return c.fromServer(k, k.find(key))
}

// said is what the server answered; if it has not been asked yet, a missing
// error: see call.locked.
func (c *call) said(method, path string, body []byte) (*answer, error) {
	if got := c.cached.get(method, path, body); got != nil {
		return got, nil
	}
	return nil, missing{method, path, body}
}

// fromServer reads an object that no file has written so far.
func (c *call) fromServer(k *kind, path string) (*object, error) {
	got, err := c.said(http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	if got.status != http.StatusOK {
		return nil, nil // none of that id or name, or it is no id
	}
	doc, err := parse(got.body)
	if err != nil {
		return nil, err
	}
	x := &object{of: k, id: doc.text("id"), existing: true, before: got.body, doc: doc}
	if known := c.objects[k.path+" "+x.id]; known != nil { // found by another way
		c.noteUse(known)
		if known.deleted {
			return nil, nil
		}
		return known, nil
	}
	if k.key != nil {
		if x.key, err = k.key(c, doc); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// noteUse remembers that the file saw what another wrote.
func (c *call) noteUse(x *object) {
	if x == nil {
		return
	}
	for _, writer := range x.writers {
		if writer != c.file.name {
			c.file.needs[writer] = true
		}
	}
}

// keep takes an object into the overlay, or returns the one that came first.
func (c *call) keep(x *object) *object {
	if known := c.objects[x.of.path+" "+x.id]; known != nil && !known.deleted {
		return known
	}
	c.objects[x.of.path+" "+x.id] = x
	if x.key != "" {
		c.named[x.of.path+" "+x.key] = x
	}
	c.order = append(c.order, x)
	return x
}

// change puts a new document in the place of an object's.
func (c *call) change(x *object, doc document) {
	x.doc, x.changed = doc, true
	doc.set("updated", now())
	if !slices.Contains(x.writers, c.file.name) {
		x.writers = append(x.writers, c.file.name)
	}
}

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000000-07:00") }

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// record notes a write.
func (c *call) record(x *object, action Action, name string) {
	id, err := orion.ParseID(x.id)
	if err != nil {
		id = orion.ID{} // the server's ids are not ours to judge
	}
	path := c.path
	if c.request.URL.RawQuery != "" {
		path += "?" + c.request.URL.RawQuery
	}
	w := Write{
		Seq: len(c.writes), File: c.file.name, Method: c.request.Method, Path: path, Body: slices.Clone(c.body),
		Kind: x.of.kind, Action: action, Name: name, ID: id, Existing: x.existing, Secret: x.of == blocks,
	}
	seen := map[string]bool{x.id: true}
	for _, text := range [][]byte{[]byte(path), c.body} {
		for _, found := range uuids.FindAll(text, -1) {
			if used := string(found); c.made[used] && !seen[used] {
				seen[used] = true
				id, _ := orion.ParseID(used) // we made it
				w.Uses = append(w.Uses, id)
			}
		}
	}
	c.writes = append(c.writes, w)
	if !slices.Contains(x.writers, c.file.name) {
		x.writers = append(x.writers, c.file.name)
	}
}

// readHeader is what a request of ours to the server takes from the file's.
func (c *call) readHeader() http.Header {
	header := maps.Clone(c.request.Header)
	if header == nil {
		header = http.Header{}
	}
	for name := range header {
		if name == "Content-Length" || strings.HasPrefix(name, "Prefect-Csrf-") {
			delete(header, name)
		}
	}
	return header
}
