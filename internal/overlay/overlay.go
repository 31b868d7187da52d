// Package overlay is an API in front of a real one, on which nothing is ever
// written: what a client reads comes from the server, what it writes is kept,
// answered as the server would answer, and laid over what it reads later. So a
// deployment file runs to its end and believes that it deployed, and what is
// left is a [Recording] of what it would have done.
//
// It knows the objects that deployment files write, not runs: whatever would
// start one is refused in words that the user can act on. It does not replay
// anything either.
//
// Start with [Start], which listens, and [Overlay.File], which gives each file
// a URL of its own, so that its requests are told from those of others.
package overlay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/orionflows/orion"
)

// Options say which server lies below.
type Options struct {
	// API is its URL, such as http://127.0.0.1:4200/api.
	API string
	// Key is sent as a bearer token when it is not empty; else whatever the
	// file's client sends.
	Key string
	// Transport is nil for the usual one.
	Transport http.RoundTripper
}

// Overlay is the API and what was written on it. All files share it: what one
// has written the others read. Safe for concurrent use.
type Overlay struct {
	base   *url.URL
	key    string
	http   *http.Client
	proxy  *httputil.ReverseProxy
	server *http.Server
	url    string

	cached answers

	mu      sync.Mutex
	files   map[string]*File // by token
	objects map[string]*object
	named   map[string]*object
	order   []*object // by first write
	writes  []Write
	made    map[string]bool // provisional ids
	counts  map[string]int  // nameless objects, by file and kind
}

// File is what the overlay keeps for one deployment file.
type File struct {
	name, token string
	overlay     *Overlay

	// guarded by Overlay.mu
	reports [][]byte
	reads   []Read
	refused []string
	needs   map[string]bool
}

// Start listens on a free port of this machine only.
func Start(o Options) (*Overlay, error) {
	base, err := url.Parse(strings.TrimRight(o.API, "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, orion.Errorf(orion.Invalid, "%q is not the URL of an API; it looks like http://127.0.0.1:4200/api", o.API)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for deployment files: %w", err)
	}
	v := &Overlay{
		base: base, key: o.Key, url: "http://" + listener.Addr().String(),
		http: &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
		files: map[string]*File{}, objects: map[string]*object{}, named: map[string]*object{},
		made: map[string]bool{}, counts: map[string]int{},
	}
	v.proxy = &httputil.ReverseProxy{Transport: o.Transport, Rewrite: v.rewrite, ErrorHandler: v.unreachable, FlushInterval: -1}
	v.server = &http.Server{Handler: v}
	go v.server.Serve(listener) // it ends with Close, with nothing to say
	return v, nil
}

// Close stops listening. The recording stays.
func (v *Overlay) Close() error { return v.server.Close() }

// File registers a file by a name that is its own and returns what is its
// alone: a URL. A file that is registered again begins anew: what it wrote
// before stays written.
func (v *Overlay) File(name string) *File {
	token := make([]byte, 16)
	rand.Read(token) // never fails; who guesses it could read the server's secrets
	f := &File{name: name, token: hex.EncodeToString(token), overlay: v, needs: map[string]bool{}}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files[f.token] = f
	return f
}

// URL is the API as the file is to see it: its PREFECT_API_URL.
func (f *File) URL() string { return f.overlay.url + "/api/" + f.token } // clients warn of paths that do not begin so

// ReportURL takes what the process of the file has to say besides requests: any
// body that is posted there.
func (f *File) ReportURL() string { return f.overlay.url + "/report/" + f.token }

// Reports are the bodies that were posted to ReportURL, in order.
func (f *File) Reports() [][]byte {
	f.overlay.mu.Lock()
	defer f.overlay.mu.Unlock()
	return slices.Clone(f.reports)
}

// Refused are the requests that were answered with an error, in words.
func (f *File) Refused() []string {
	f.overlay.mu.Lock()
	defer f.overlay.mu.Unlock()
	return slices.Clone(f.refused)
}

// maxBody bounds what a file may send in one request.
const maxBody = 64 << 20

// split takes the path of a request apart: what it is for, whose it is, and
// what is left.
func split(r *http.Request) (purpose, token, rest string) {
	purpose, rest, _ = strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	if at := strings.IndexByte(rest, '/'); at >= 0 {
		return purpose, rest[:at], rest[at:]
	}
	return purpose, rest, ""
}

// ServeHTTP answers /api/<token>/… and /report/<token>.
func (v *Overlay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	purpose, token, path := split(r)
	v.mu.Lock()
	f := v.files[token]
	v.mu.Unlock()
	switch {
	case f == nil || purpose != "api" && purpose != "report":
		(&answer{status: http.StatusNotFound, body: []byte(`{"detail":"Not Found"}`)}).write(w)
		return
	case purpose == "report":
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		v.mu.Lock()
		f.reports = append(f.reports, body)
		v.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	c := &call{Overlay: v, file: f, request: r, path: path}
	answer, err := c.route(w)
	switch {
	case errors.Is(err, errProxied):
		return
	case err != nil:
		answer = problem(err)
	}
	answer.write(w)
}

// problem answers an error as the server would put it.
func problem(err error) *answer {
	status := http.StatusBadGateway
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		status = refused.status
	case errors.Is(err, context.Canceled):
		status = 499
	}
	return reply(status, map[string]string{"detail": err.Error()})
}

// refusal is an answer of ours that is no success.
type refusal struct {
	status int
	detail string
}

func (e *refusal) Error() string { return e.detail }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// Recording is what was written so far.
func (v *Overlay) Recording(ctx context.Context) (*Recording, error) {
	v.mu.Lock()
	r := &Recording{Writes: slices.Clone(v.writes), Reads: map[string][]Read{}, Refused: map[string][]string{}, Needs: map[string][]string{}}
	for _, f := range v.files {
		if len(f.reads) > 0 {
			r.Reads[f.name] = append(r.Reads[f.name], f.reads...)
		}
		if len(f.refused) > 0 {
			r.Refused[f.name] = append(r.Refused[f.name], f.refused...)
		}
		if len(f.needs) > 0 {
			r.Needs[f.name] = append(r.Needs[f.name], slices.Sorted(maps.Keys(f.needs))...)
		}
	}
	var claimed []*object
	for _, x := range v.order {
		if x.of.kind == Deployment && x.claim != nil && !x.deleted {
			claimed = append(claimed, x)
		}
		if x.implied {
			id, _ := orion.ParseID(x.id) // we made it
			r.Implied = append(r.Implied, Implied{ID: id, Path: x.of.find(x.key)})
		}
	}
	v.mu.Unlock()
	for _, x := range claimed {
		var claim *Claim
		c := &call{Overlay: v, file: &File{needs: map[string]bool{}}, request: (&http.Request{Header: http.Header{}}).WithContext(ctx)}
		_, err := c.locked(func() (_ *answer, err error) {
			claim, err = c.claimOf(x)
			return nil, err
		})
		if err != nil {
			return nil, err
		}
		if claim == nil {
			continue
		}
		r.Claims = append(r.Claims, *claim)
		if len(x.claimants) > 1 {
			r.Conflicts = append(r.Conflicts, Conflict{Deployment: claim.FullName(), Files: slices.Clone(x.claimants)})
		}
	}
	return r, nil
}
