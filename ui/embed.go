// Package ui is the small page at /: the deployments, the recent runs, and one
// run's states, task runs and logs. Its files are in page/, are served as they
// are, and take all their data from the public API. There is nothing to build.
// Start with [Handler] for how they are served and page/app.js for what they do.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed page
var page embed.FS

// policy lets the page load its own files and ask its own server, and nothing
// else: no inline script, no other host, no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page at / and at every path that is a view of it. Mount
// it below everything else: it answers whatever no other handler takes.
//
// The files carry the hash of all of them in their address and may be kept for
// ever; the document that names them is asked for again each time.
func Handler() http.Handler {
	load := sync.OnceValue(func() *site { return newSite(page) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { load().ServeHTTP(w, r) })
}

type site struct {
	document *file
	files    map[string]*file // by address
}

type file struct {
	body, zipped []byte // zipped is nil where it saves nothing
	kind, etag   string
}

const assets = "/assets/"

// newSite reads the files. They are a few and small, and embedded: an error
// is a mistake in the build.
func newSite(source fs.FS) *site {
	names, err := fs.Glob(source, "page/*")
	if err != nil {
		panic(err)
	}
	bodies := map[string][]byte{}
	all := sha256.New()
	for _, name := range names {
		b, err := fs.ReadFile(source, name)
		if err != nil {
			panic(err)
		}
		bodies[path.Base(name)] = b
		fmt.Fprintf(all, "%s %d\n%s", name, len(b), b)
	}
	base := assets + hex.EncodeToString(all.Sum(nil))[:12]
	s := &site{files: map[string]*file{}}
	var preload strings.Builder
	for _, name := range names {
		name = path.Base(name)
		if name == "index.html" {
			continue
		}
		s.files[base+"/"+name] = newFile(name, bodies[name])
		if path.Ext(name) == ".js" && name != "theme.js" && name != "app.js" {
			fmt.Fprintf(&preload, "<link rel=\"modulepreload\" href=\"%s/%s\">\n", base, name)
		}
	}
	document := strings.NewReplacer("{{assets}}", base, "{{preload}}\n", preload.String()).Replace(string(bodies["index.html"]))
	s.document = newFile("index.html", []byte(document))
	return s
}

func newFile(name string, body []byte) *file {
	sum := sha256.Sum256(body)
	f := &file{body: body, kind: mediaType(path.Ext(name)), etag: hex.EncodeToString(sum[:12])}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	z.Write(body)                                         // a buffer takes everything
	z.Close()
	if b.Len() < len(body) {
		f.zipped = b.Bytes()
	}
	return f
}

// mediaType does not ask the system's tables, which differ between machines.
func mediaType(ext string) string {
	switch ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(ext)
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "The API is below /api.", http.StatusMethodNotAllowed)
		return
	}
	if f := s.files[r.URL.Path]; f != nil {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		f.serve(w, r)
		return
	}
	if to := moved(r.URL.Path); to != "" {
		h.Set("Cache-Control", "no-cache")
		http.Redirect(w, r, to, http.StatusFound)
		return
	}
	if strings.HasPrefix(r.URL.Path, assets) || isFile(r) {
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	h.Set("Cache-Control", "no-cache")
	s.document.serve(w, r)
}

// isFile tells a request for a file (/robots.txt, /favicon.ico) from one for a
// view, which a browser asks for as a document whatever its name looks like.
func isFile(r *http.Request) bool {
	return path.Ext(r.URL.Path) != "" && !strings.Contains(r.Header.Get("Accept"), "text/html")
}

// moved leads the paths that a Prefect 2 client prints, and its bookmarks, to
// the page's own; "" for all others. Those that are the same here need no row.
func moved(p string) string {
	for _, m := range []struct{ from, to string }{
		{"/flow-runs/flow-run/", "/runs/flow-run/"},
		{"/task-runs/task-run/", "/runs/task-run/"},
	} {
		if id, ok := strings.CutPrefix(p, m.from); ok && id != "" {
			return m.to + strings.TrimSuffix(id, "/")
		}
	}
	switch strings.TrimSuffix(p, "/") {
	case "/dashboard", "/flow-runs", "/task-runs":
		return "/"
	}
	if strings.HasPrefix(p, "/work-queues/") || strings.HasPrefix(p, "/work-pools") {
		return "/work-queues"
	}
	return ""
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	body, etag := f.body, `"`+f.etag+`"`
	if f.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			body, etag = f.zipped, `"`+f.etag+`-gzip"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", etag)
	if fresh(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		w.Write(body) // an error means that the reader has gone
	}
}

func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == "gzip" {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && q != "q=0.0"
		}
	}
	return false
}

func fresh(header, etag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if p := strings.TrimSpace(part); p == "*" || strings.TrimPrefix(p, "W/") == etag {
			return true
		}
	}
	return false
}
