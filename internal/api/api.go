// Package api is the REST API: every route in routes.go, one file of handlers
// for each resource. A handler is the call and nothing else; decoding,
// validation, status codes and error bodies happen once, in endpoint.go and
// errors.go.
package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/prefect"
	"github.com/orionflows/orion/internal/store"
)

// MaxBody bounds a request's body. Prefect's clients send log batches of up to
// 4 MB and more.
const MaxBody = 32 << 20

// Options are what the API needs.
type Options struct {
	Store *store.Store
	Log   *slog.Logger
	// Version is Orion's own version, told in the Orion-Version header by
	// which Orion's agent knows its server.
	Version string
	// Schedule makes the coming runs of a deployment in the request that
	// changes it. Off when the scheduler service is off.
	Schedule bool
	// Stopping is closed when the server stops, so that polls which wait end.
	Stopping <-chan struct{}
	// Settings is what GET /admin/settings answers, without secrets.
	Settings map[string]any
}

// API serves the routes below /api.
type API struct {
	o      Options
	s      *store.Store
	routes router
	doc    func() []byte
}

// New builds the API.
func New(o Options) *API {
	a := &API{o: o, s: o.Store}
	table := a.table()
	for _, r := range table {
		a.routes.add(r)
	}
	a.doc = sync.OnceValue(func() []byte { return openAPI(table, o.Version) })
	return a
}

type clientKey struct{}

// clientOf is which Prefect client asks.
func clientOf(ctx context.Context) prefect.Client {
	c, _ := ctx.Value(clientKey{}).(prefect.Client)
	return c
}

// ServeHTTP answers one request. The path starts with /api.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	w.Header().Set("Orion-Version", a.o.Version)
	status := 0
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			a.o.Log.Error("panic in a request", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			if status == 0 {
				status = a.fail(w, r, &orion.Error{Kind: orion.Internal}, nil)
			}
		}
		if a.o.Log.Enabled(r.Context(), slog.LevelDebug) {
			a.o.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", status, "took", time.Since(started))
		}
	}()
	if cors(w, r) {
		status = http.StatusOK
		return
	}
	path, scope := scoped(strings.TrimPrefix(r.URL.EscapedPath(), "/api"))
	rt, params, found := a.routes.match(r.Method, path)
	if rt == nil {
		status = http.StatusNotFound
		detail := "Not Found"
		if found {
			status, detail = http.StatusMethodNotAllowed, "Method Not Allowed"
		}
		writeJSON(w, r, status, map[string]string{"detail": detail})
		return
	}
	client, err := prefect.ClientOf(r.Header)
	if err != nil && !rt.open {
		status = a.fail(w, r, err, nil)
		return
	}
	ctx := context.WithValue(r.Context(), clientKey{}, client)
	ctx = orion.WithScope(ctx, orion.Scope{Workspace: orion.DefaultWorkspace, Actor: "anonymous"})
	if scope != nil {
		ctx = context.WithValue(ctx, runScopeKey{}, scope)
	}
	if rt.raw != nil {
		rt.raw(w, r.WithContext(ctx), params)
		status = http.StatusOK
		return
	}
	in, body, err := rt.h.decode(r, params)
	if err != nil {
		status = a.fail(w, r, err, body)
		return
	}
	out, err := rt.h.call(ctx, in)
	if err != nil {
		status = a.fail(w, r, err, body)
		return
	}
	status = rt.status
	if s, ok := out.(interface{ status() int }); ok {
		status = s.status()
	}
	if v, ok := out.(interface{ body() any }); ok {
		out = v.body()
	}
	if t, ok := out.(plainText); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		w.Write([]byte(t))
		return
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	writeJSON(w, r, status, out)
}

// cors answers preflights and lets any page call, as Prefect's server does.
func cors(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Origin") == "" {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodOptions {
		return false
	}
	w.Header().Set("Access-Control-Allow-Methods", "*")
	w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusOK)
	return true
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// compressFrom is the size from which an answer to another machine is
// compressed. On loopback compression costs time and saves nothing.
const compressFrom = 2 << 10

func writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	defer func() {
		if b.Cap() < 1<<20 {
			buffers.Put(b)
		}
	}()
	if v == nil {
		b.WriteString("null")
	} else if err := json.MarshalWrite(b, v, orion.JSONOptions, jsontext.AllowInvalidUTF8(true)); err != nil {
		slog.Error("an answer could not be encoded", "path", r.URL.Path, "error", err)
		status = http.StatusInternalServerError
		b.Reset()
		b.WriteString(`{"exception_message":"Internal Server Error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if b.Len() >= compressFrom && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && !loopback(r.RemoteAddr) {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		w.WriteHeader(status)
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		z.Write(b.Bytes())
		z.Close()
		return
	}
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
