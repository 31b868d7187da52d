package api

import (
	"net/http"
	"net/url"
	"strings"
)

// route is one row of the table in routes.go.
type route struct {
	method, path string
	status       int
	h            endpoint
	// raw is for the few that are no JSON call: websockets, documents.
	raw func(http.ResponseWriter, *http.Request, []string)
	// open routes are answered whatever protocol version the client claims.
	open bool
	// alone routes cannot be part of a batch: they wait, or are a transaction
	// of their own.
	alone bool

	segments []string
}

// router finds the route of a path. The first that fits wins, as in the
// server it stands in for: net/http's mux refuses a table in which
// /work_queues/name/{name} and /work_queues/{id}/status stand side by side.
type router struct {
	by map[string][]*route // first segment → routes, in the order of the table
}

func split(path string) []string {
	return strings.Split(strings.Trim(path, "/"), "/")
}

func (rt *router) add(r *route) {
	if rt.by == nil {
		rt.by = map[string][]*route{}
	}
	r.segments = split(r.path)
	rt.by[r.segments[0]] = append(rt.by[r.segments[0]], r)
}

// match returns the route and its path parameters. found says that the path
// exists with another method.
func (rt *router) match(method, path string) (_ *route, params []string, found bool) {
	segs := split(path)
next:
	for _, r := range rt.by[segs[0]] {
		if len(r.segments) != len(segs) {
			continue
		}
		for i, s := range r.segments {
			if s != segs[i] && (s[0] != '{' || segs[i] == "") {
				continue next
			}
		}
		found = true
		if r.method != method && !(method == http.MethodHead && r.method == http.MethodGet) {
			continue
		}
		for i, s := range r.segments {
			if len(s) > 0 && s[0] == '{' {
				v, err := url.PathUnescape(segs[i])
				if err != nil {
					v = segs[i]
				}
				params = append(params, v)
			}
		}
		return r, params, true
	}
	return nil, nil, found
}
