package overlay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/orionflows/orion"
)

// answer is one of the server's, or of ours.
type answer struct {
	status int
	header http.Header // nil: JSON
	body   []byte
}

func (a *answer) write(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.header == nil && a.status != http.StatusNoContent {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(a.status)
	w.Write(a.body) // the client went away, if it fails
}

func reply(status int, v any) *answer {
	body, err := orion.Encode(v)
	if err != nil {
		return &answer{status: http.StatusInternalServerError, body: []byte(`{"exception_message":"Internal Server Error"}`)}
	}
	return &answer{status: status, body: body}
}

var nothing = &answer{status: http.StatusNoContent}

// keeps reports an answer that may be relied on for a while.
func (a *answer) keeps() bool {
	return a.status == http.StatusOK || a.status == http.StatusNotFound || a.status == http.StatusUnprocessableEntity
}

// answers are what the server said so far of the objects that files write.
// They are kept, so that all files of a deploy see one state of the server, and
// it is asked once.
type answers struct {
	mu sync.Mutex
	of map[string]*answer
}

func (a *answers) get(method, path string, body []byte) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[method+" "+path+" "+string(body)]
}

func (a *answers) keep(method, path string, body []byte, got *answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil {
		a.of = map[string]*answer{}
	}
	a.of[method+" "+path+" "+string(body)] = got
}

// errProxied says that the answer has been written already.
var errProxied = errors.New("proxied")

// below is the server's URL of a path, which may have a query.
func (v *Overlay) below(path string) string { return strings.TrimRight(v.base.String(), "/") + path }

// rewrite aims a request at the server, and leaves all else in it as it is.
func (v *Overlay) rewrite(p *httputil.ProxyRequest) {
	_, _, path := split(p.In)
	to, err := url.Parse(v.below(path))
	if err != nil {
		to = v.base // it came from a URL and is one
	}
	to.RawQuery = p.In.URL.RawQuery
	p.Out.URL, p.Out.Host = to, ""
	v.authorize(p.Out)
}

func (v *Overlay) authorize(r *http.Request) {
	if v.key != "" {
		r.Header.Set("Authorization", "Bearer "+v.key)
	}
}

func (v *Overlay) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	problem(v.cannotReach(err)).write(w)
}

func (v *Overlay) cannotReach(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	return fmt.Errorf("cannot reach %s: %w", v.base.Redacted(), err)
}

// ask sends a reading request to the server. header is that of the request on
// whose behalf it is.
func (v *Overlay) ask(ctx context.Context, header http.Header, method, path string, body []byte) (*answer, error) {
	if got := v.cached.get(method, path, body); got != nil {
		return got, nil
	}
	r, err := http.NewRequestWithContext(ctx, method, v.below(path), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		switch name {
		case "Accept-Encoding", "Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive": // our own connection's
		default:
			r.Header[name] = values
		}
	}
	v.authorize(r)
	response, err := v.http.Do(r)
	if err != nil {
		return nil, v.cannotReach(err)
	}
	defer response.Body.Close()
	got := &answer{status: response.StatusCode, header: http.Header{}}
	if got.body, err = io.ReadAll(response.Body); err != nil {
		return nil, v.cannotReach(err)
	}
	for _, name := range []string{"Content-Type", "Location", "Retry-After"} {
		if values := response.Header.Values(name); values != nil {
			got.header[name] = values
		}
	}
	if got.keeps() {
		v.cached.keep(method, path, body, got)
	}
	return got, nil
}

// Digest asks the server what a file asked it once, and returns the digest of
// what it says now. Answers are kept: a file that is run afterwards is told
// the same.
func (v *Overlay) Digest(ctx context.Context, r Read) (string, error) {
	got, err := v.ask(ctx, http.Header{"Content-Type": {"application/json"}}, r.Method, r.Path, r.Body)
	if err != nil {
		return "", err
	}
	return digest(got), nil
}

// digest is over what a file can make use of: not over what moves by itself.
func digest(a *answer) string {
	hash := sha256.New()
	fmt.Fprintln(hash, a.status)
	var body any
	if err := orion.Decode(a.body, &body); err != nil {
		hash.Write(a.body)
	} else {
		text, err := json.Marshal(settled(body), orion.JSONOptions, json.Deterministic(true))
		if err != nil {
			text = a.body
		}
		hash.Write(text)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

func settled(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v["id"] != nil {
			for _, name := range []string{"created", "updated", "last_polled", "status", "created_by", "updated_by"} {
				delete(v, name)
			}
		}
		for name := range v {
			v[name] = settled(v[name])
		}
	case []any:
		for i := range v {
			v[i] = settled(v[i])
		}
	}
	return v
}
