package api

import "net/http"

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// table is the whole API at a glance, sorted by resource. Paths are Prefect's;
// those of Orion alone are below /orion.
func (a *API) table() []*route {
	return []*route{
		// method, path, status, handler
		{method: get, path: "/health", status: 200, h: do(a.health), open: true},
		{method: get, path: "/hello", status: 200, h: do(a.hello), open: true},
		{method: get, path: "/ready", status: 200, h: do(a.ready), open: true},
		{method: get, path: "/version", status: 200, h: do(a.protocolVersion), open: true},
		{method: get, path: "/csrf-token", status: 200, h: do(a.csrfToken)},
		{method: get, path: "/openapi.json", raw: a.serveOpenAPI, open: true},
		{method: get, path: "/admin/version", status: 200, h: do(a.adminVersion)},
		{method: get, path: "/admin/settings", status: 200, h: do(a.adminSettings)},
		{method: post, path: "/admin/database/clear", status: 204, h: do(a.clearDatabase)},
		{method: post, path: "/admin/database/create", status: 204, h: do(a.createDatabase)},
		{method: post, path: "/admin/database/drop", status: 204, h: do(a.clearDatabase)},

		{method: post, path: "/flows/", h: do(a.createFlow)},
		{method: post, path: "/flows/filter", status: 200, h: do(a.filterFlows)},
		{method: post, path: "/flows/count", status: 200, h: do(a.countFlows)},
		{method: get, path: "/flows/name/{name}", status: 200, h: do(a.readFlowByName)},
		{method: get, path: "/flows/{id}", status: 200, h: do(a.readFlow)},
		{method: patch, path: "/flows/{id}", status: 204, h: do(a.updateFlow)},
		{method: remove, path: "/flows/{id}", status: 204, h: do(a.deleteFlow)},
	}
}
