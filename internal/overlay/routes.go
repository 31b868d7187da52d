package overlay

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// route is a request that the overlay answers; others pass through when they
// read, and are refused when they write.
type route struct {
	method, path string // {name} stands for one segment
	answer       func(c *call) (*answer, error)
}

// table is all that the overlay knows, in Prefect's own paths. Order counts.
var table = []route{
	{"POST", "flows", create(flows)},
	{"GET", "flows/name/{key}", readKey(flows)},
	{"POST", "deployments", createDeployment},
	{"GET", "deployments/name/{flow}/{name}", readKey(deployments, "flow", "name")},
	{"POST", "deployments/{id}/pause_deployment", switchDeployment(false)},
	{"POST", "deployments/{id}/resume_deployment", switchDeployment(true)},
	{"POST", "deployments/{id}/set_schedule_active", switchDeployment(true)},
	{"POST", "deployments/{id}/set_schedule_inactive", switchDeployment(false)},
	{"GET", "deployments/{id}/schedules", readSchedules},
	{"POST", "deployments/{id}/schedules", addSchedules},
	{"PATCH", "deployments/{id}/schedules/{schedule}", changeSchedule},
	{"DELETE", "deployments/{id}/schedules/{schedule}", changeSchedule},
	{"POST", "block_types", create(blockTypes)},
	{"GET", "block_types/slug/{key}", readKey(blockTypes)},
	{"GET", "block_types/slug/{slug}/block_documents", readBlocksOfType},
	{"GET", "block_types/slug/{slug}/block_documents/name/{name}", readBlockByName},
	{"POST", "block_schemas", create(blockSchemas)},
	{"GET", "block_schemas/checksum/{checksum}", readSchema},
	{"POST", "block_documents", create(blocks)},
	{"GET", "block_documents/{id}", readBlock},
	{"POST", "work_pools", create(workPools)},
	{"GET", "work_pools/{key}", readKey(workPools)},
	{"PATCH", "work_pools/{key}", update(workPools, "key")},
	{"DELETE", "work_pools/{key}", remove(workPools, "key")},
	{"POST", "work_pools/{pool}/queues", create(workQueues)},
	{"POST", "work_pools/{pool}/queues/filter", list(workQueues)},
	{"GET", "work_pools/{pool}/queues/{name}", readKey(workQueues, "pool", "name")},
	{"PATCH", "work_pools/{pool}/queues/{name}", update(workQueues, "pool", "name")},
	{"DELETE", "work_pools/{pool}/queues/{name}", remove(workQueues, "pool", "name")},
	{"POST", "work_queues", create(workQueues)},
	{"GET", "work_queues/name/{name}", readKey(workQueues, "pool", "name")},
	{"POST", "variables", create(variables)},
	{"GET", "variables/name/{key}", readKey(variables)},
	{"PATCH", "variables/name/{key}", update(variables, "key")},
	{"DELETE", "variables/name/{key}", remove(variables, "key")},
	{"POST", "concurrency_limits", create(tagLimits)},
	{"GET", "concurrency_limits/tag/{key}", readKey(tagLimits)},
	{"DELETE", "concurrency_limits/tag/{key}", remove(tagLimits, "key")},
	{"POST", "v2/concurrency_limits", create(globalLimits)},
	{"GET", "v2/concurrency_limits/{key}", readLimit},
	{"POST", "v2/concurrency_limits/filter", list(globalLimits)},
	{"PATCH", "v2/concurrency_limits/{key}", onLimit(update)},
	{"DELETE", "v2/concurrency_limits/{key}", onLimit(remove)},
	{"POST", "flow_run_notification_policies", create(notifications)},
	{"POST", "artifacts", create(artifacts)},
	{"POST", "automations", ifAutomations(create(automations))},
	{"PUT", "automations/{id}", ifAutomations(update(automations))},
	{"PATCH", "automations/{id}", ifAutomations(update(automations))},
	{"DELETE", "automations/owned-by/{resource}", ifAutomations(removeOwned)},

	// What every kind has; kinds with a name in the place of an id stand above.
	{"GET", "{kind}/{id}", readID},
	{"PATCH", "{kind}/{id}", onKind(update)},
	{"DELETE", "{kind}/{id}", onKind(remove)},
	{"POST", "{kind}/filter", listKind},
	{"POST", "{kind}/count", countKind},

	// What tells the server nothing that matters before anything is deployed.
	{"POST", "logs", swallow(http.StatusCreated)},
	{"POST", "events", swallow(http.StatusNoContent)},
	{"GET", "events/in", swallow(http.StatusForbidden)},
	{"POST", "block_types/install_system_block_types", swallow(http.StatusOK)},
}

// readingPosts are the last segments of requests that change nothing although
// they are sent by POST.
var readingPosts = map[string]bool{
	"filter": true, "count": true, "history": true, "lateness": true, "paginate": true, "validate": true, "counts": true,
}

// call is one request of a file. Its methods run with Overlay.mu held, unless
// they say otherwise.
type call struct {
	*Overlay
	file    *File
	request *http.Request
	path    string // below the API, escaped
	body    []byte
	vars    map[string]string // escaped
}

// missing is what the server must be asked before a call can be answered.
type missing struct {
	method, path string
	body         []byte
}

func (m missing) Error() string { return m.path + " is not known yet" }

// locked runs a function with Overlay.mu held, and again after each question to
// the server that it turned out to need. So everything is decided in one piece
// and nobody waits for the network while others want the lock; a function must
// not change anything before it knows all it has to.
func (c *call) locked(f func() (*answer, error)) (*answer, error) {
	for {
		c.mu.Lock()
		got, err := f()
		c.mu.Unlock()
		var m missing
		if !errors.As(err, &m) {
			return got, err
		}
		said, err := c.ask(c.request.Context(), c.readHeader(), m.method, m.path, m.body)
		if err != nil {
			return nil, err
		}
		if !said.keeps() {
			return said, nil
		}
	}
}

// route answers a request; it takes the lock itself.
func (c *call) route(w http.ResponseWriter) (*answer, error) {
	segments := strings.Split(strings.Trim(c.path, "/"), "/")
	var err error
	for _, r := range table {
		if r.method != c.request.Method || !c.matches(r.path, segments) {
			continue
		}
		if c.vars["kind"] != "" && c.kind() == nil {
			continue
		}
		if c.body, err = io.ReadAll(http.MaxBytesReader(w, c.request.Body, maxBody)); err != nil {
			return nil, refuse(http.StatusRequestEntityTooLarge, "the request cannot be read: %v", err)
		}
		return c.locked(func() (*answer, error) { return r.answer(c) })
	}
	switch c.request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	case http.MethodPost:
		if !readingPosts[segments[len(segments)-1]] && c.path != "/deployments/get_scheduled_flow_runs" {
			return nil, c.refuseWrite()
		}
	default:
		return nil, c.refuseWrite()
	}
	c.proxy.ServeHTTP(w, c.request)
	return nil, errProxied
}

// kind is the one whose collection the path begins with.
func (c *call) kind() *kind {
	for _, k := range kinds {
		if k.path == c.vars["kind"] {
			return k
		}
	}
	return nil
}

func (c *call) matches(pattern string, segments []string) bool {
	parts := strings.Split(pattern, "/")
	if len(parts) != len(segments) {
		return false
	}
	c.vars = map[string]string{}
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			c.vars[strings.TrimSuffix(name, "}")] = segments[i]
		} else if part != segments[i] {
			return false
		}
	}
	return true
}

// value is a variable of the path as it was meant.
func (c *call) value(name string) string {
	value, err := url.PathUnescape(c.vars[name])
	if err != nil {
		return c.vars[name] // it came from a URL
	}
	return value
}

// refuseWrite answers what would change the server and cannot be recorded.
func (c *call) refuseWrite() error {
	what := fmt.Sprintf("%s %s", c.request.Method, c.path)
	why := "would change the server in a way that cannot be collected first"
	switch {
	case strings.Contains(c.path, "flow_run") || strings.Contains(c.path, "task_run"):
		why = "would start or change a run"
	case strings.HasSuffix(c.path, "/schedule"):
		why = "would schedule runs"
	case strings.HasSuffix(c.path, "get_runs") || strings.Contains(c.path, "/workers/"):
		why = "is what an agent or worker does"
	}
	text := fmt.Sprintf("%s %s. Deployment files are run without touching the server, and what they write is applied afterwards; "+
		"--no-atomic runs them against the server as they go", what, why)
	c.mu.Lock()
	c.file.refused = append(c.file.refused, text)
	c.mu.Unlock()
	return refuse(http.StatusForbidden, "%s", text)
}

// swallow answers without doing anything.
func swallow(status int) func(*call) (*answer, error) {
	return func(*call) (*answer, error) {
		if status == http.StatusNoContent {
			return nothing, nil
		}
		return &answer{status: status, body: []byte("null")}, nil
	}
}
