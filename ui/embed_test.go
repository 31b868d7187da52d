package ui

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	return ask(t, http.MethodGet, path, header...)
}

func ask(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var named = regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)

func TestEveryAnswerIsGuarded(t *testing.T) {
	for _, path := range []string{"/", "/runs/flow-run/x", "/assets/gone/app.js", "/dashboard"} {
		h := get(t, path).Header
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy %q lacks %q", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy %q allows inline code", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "" {
			t.Errorf("%s: headers are missing: %v", path, h)
		}
	}
}

func TestViewsAreTheDocument(t *testing.T) {
	home := text(t, get(t, "/"))
	for _, path := range []string{"/runs/flow-run/6f1c", "/deployments/deployment/6f1c", "/work-queues", "/nothing/here"} {
		resp := get(t, path)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || text(t, resp) != home {
			t.Errorf("%s: answered %d %s, want the document", path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
	}
	if resp := get(t, "/deployments/deployment/v1.2", "Accept", "text/html"); resp.StatusCode != 200 {
		t.Errorf("a view whose last part has a dot answers %d", resp.StatusCode)
	}
}

func TestFilesOfTheDocumentExistAndLastForEver(t *testing.T) {
	found := named.FindAllStringSubmatch(text(t, get(t, "/")), -1)
	if len(found) < 5 {
		t.Fatalf("the document names %d files", len(found))
	}
	kinds := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	for _, f := range found {
		resp := get(t, f[1])
		if resp.StatusCode != 200 {
			t.Errorf("%s: answered %d", f[1], resp.StatusCode)
		}
		if c := resp.Header.Get("Cache-Control"); !strings.Contains(c, "immutable") {
			t.Errorf("%s: Cache-Control %q", f[1], c)
		}
		ext := f[1][strings.LastIndex(f[1], "."):]
		if k := resp.Header.Get("Content-Type"); k != kinds[ext] {
			t.Errorf("%s: Content-Type %q, want %q", f[1], k, kinds[ext])
		}
	}
}

// Modules name each other relative to the folder with the hash, so the document
// must preload each, or a reader on a slow line waits once per import.
func TestEveryModuleIsNamedByTheDocument(t *testing.T) {
	document := text(t, get(t, "/"))
	entries, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	imports := regexp.MustCompile(`from "\./([a-z]+\.js)"`)
	files := map[string]bool{}
	for _, e := range entries {
		files[e.Name()] = true
		if strings.HasSuffix(e.Name(), ".js") && !strings.Contains(document, "/"+e.Name()+`"`) {
			t.Errorf("%s is not named in the document", e.Name())
		}
	}
	for name := range files {
		b, err := os.ReadFile("page/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range imports.FindAllStringSubmatch(string(b), -1) {
			if !files[m[1]] {
				t.Errorf("%s imports %s, which does not exist", name, m[1])
			}
		}
	}
}

func TestDocumentIsAskedForAgain(t *testing.T) {
	resp := get(t, "/")
	if c := resp.Header.Get("Cache-Control"); c != "no-cache" {
		t.Errorf("Cache-Control is %q: a new version would not be seen", c)
	}
	etag := resp.Header.Get("ETag")
	again := get(t, "/", "If-None-Match", etag)
	if again.StatusCode != http.StatusNotModified || text(t, again) != "" {
		t.Errorf("the same document answers %d", again.StatusCode)
	}
	if other := get(t, "/", "If-None-Match", `"another"`); other.StatusCode != 200 {
		t.Errorf("another ETag answers %d", other.StatusCode)
	}
}

func TestCompressed(t *testing.T) {
	plain := get(t, "/")
	zipped := get(t, "/", "Accept-Encoding", "br, gzip")
	if zipped.Header.Get("Content-Encoding") != "gzip" || zipped.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("headers: %v", zipped.Header)
	}
	if zipped.Header.Get("ETag") == plain.Header.Get("ETag") {
		t.Error("two encodings share one ETag")
	}
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil || string(b) != text(t, plain) {
		t.Errorf("the compressed document differs: %v", err)
	}
	if refused := get(t, "/", "Accept-Encoding", "gzip;q=0"); refused.Header.Get("Content-Encoding") != "" {
		t.Error("compressed for a reader that refuses gzip")
	}
}

func TestPathsOfPrefect2LeadOn(t *testing.T) {
	for from, to := range map[string]string{
		"/flow-runs/flow-run/6f1c":     "/runs/flow-run/6f1c",
		"/flow-runs/flow-run/6f1c/":    "/runs/flow-run/6f1c",
		"/task-runs/task-run/6f1c":     "/runs/task-run/6f1c",
		"/flow-runs":                   "/",
		"/dashboard":                   "/",
		"/work-queues/work-queue/6f1c": "/work-queues",
		"/work-pools/work-pool/k8s":    "/work-queues",
	} {
		resp := get(t, from)
		if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != to {
			t.Errorf("%s: %d to %q, want %q", from, resp.StatusCode, resp.Header.Get("Location"), to)
		}
	}
	// A path must not become an address elsewhere.
	if to := get(t, "/flow-runs/flow-run//other.example/").Header.Get("Location"); strings.HasPrefix(to, "//") {
		t.Errorf("leads away, to %q", to)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	for _, path := range []string{"/assets/000000000000/app.js", "/assets/", "/favicon.ico", "/robots.txt"} {
		if resp := get(t, path); resp.StatusCode != 404 {
			t.Errorf("%s: answered %d, want 404", path, resp.StatusCode)
		}
	}
	if resp := ask(t, http.MethodPost, "/"); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST / answers %d", resp.StatusCode)
	}
	if resp := ask(t, http.MethodHead, "/"); resp.StatusCode != 200 || text(t, resp) != "" || resp.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD / answers %d", resp.StatusCode)
	}
}

// Data reaches the page as text only, and nothing is loaded from elsewhere.
func TestSourcesKeepTheRules(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://`)
	names := "http://www.w3.org/2000/svg"
	entries, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile("page/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if m := forbidden.FindString(strings.ReplaceAll(string(b), names, "")); m != "" {
			t.Errorf("%s contains %s", e.Name(), m)
		}
	}
}
