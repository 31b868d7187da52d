package agent

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/codestore"
)

// bundled makes a deployment of a version whose code, on the server, has these
// files. Its runs are `exit 7`.
func (w *world) bundled(name string, files map[string]string) (deployment orion.ID, hash string) {
	w.t.Helper()
	dir := w.t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	b, err := codestore.Pack(w.t.Context(), codestore.PackOptions{Dir: dir})
	if err != nil {
		w.t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := codestore.Archive(w.t.Context(), &archive, b); err != nil {
		w.t.Fatal(err)
	}
	if err := w.c.PutBundle(w.t.Context(), b.Hash(), archive.Bytes()); err != nil {
		w.t.Fatal(err)
	}
	id := w.deployment(name, "exit 7")
	w.do("POST", "/orion/deployments/"+id.String()+"/versions", map[string]any{"repository": "shop", "file": "x.deployment.py", "bundle": b.Hash(), "store": "server",
		"requirements": []string{}, "declared": map[string]string{}, "inputs": map[string]any{}}, nil)
	return id, b.Hash()
}

// between is a server in front of the world's. It counts how often bundles are
// asked for; those asked for by a lost hash it asks for by another.
func (w *world) between(lost string) (c *client.Client, asked *atomic.Int64) {
	w.t.Helper()
	target, err := url.Parse(strings.TrimSuffix(w.c.URL(), "/api"))
	if err != nil {
		w.t.Fatal(err)
	}
	asked = &atomic.Int64{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // the agent's end cuts its polls
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/orion/bundles/") {
			asked.Add(1)
			if lost != "" {
				r.URL.Path = strings.Replace(r.URL.Path, lost, strings.Repeat("0", 64), 1)
			}
		}
		proxy.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(s.Close)
	if c, err = client.New(client.Options{URL: s.URL + "/api"}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c, asked
}

func TestCodeIsFetchedOnceForManyRunsAndAgainWhenItIsDamaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"flow.py": "print('one')", "part.py": "pass"}
	d, hash := w.bundled("many", files)
	c, asked := w.between("")
	code := t.TempDir()
	var ids []orion.ID
	for range 6 {
		ids = append(ids, w.run(d))
	}
	w.agent(func(o *Options) { o.Client, o.Code = c, code })
	ran := func(id orion.ID) {
		t.Helper()
		if r := w.await(id, orion.Crashed, orion.Completed); !strings.Contains(message(r), "status 7") {
			t.Errorf("the run did not get as far as its process: %s", message(r))
		}
		for name, want := range files {
			if got, err := os.ReadFile(filepath.Join(code, hash, name)); err != nil || string(got) != want {
				t.Errorf("%s is %q: %v", name, got, err)
			}
		}
	}
	for _, id := range ids {
		ran(id)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("six runs fetched the code %d times", n)
	}
	for what, damage := range map[string]func(file string) error{
		"a file is gone":            os.Remove,
		"a file was cut short":      func(file string) error { return os.Truncate(file, 3) },
		"a file has other text":     func(file string) error { return os.WriteFile(file, []byte("print('two')"), 0o644) },
		"a file that was not in it": func(file string) error { return os.WriteFile(file+"x", nil, 0o644) },
	} {
		before := asked.Load()
		if err := damage(filepath.Join(code, hash, "flow.py")); err != nil {
			t.Fatal(err)
		}
		ran(w.run(d))
		if n := asked.Load() - before; n != 1 {
			t.Errorf("%s: the code was fetched %d times", what, n)
		}
	}
}

func TestARunWhoseCodeIsGoneSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, hash := w.bundled("gone", map[string]string{"flow.py": "pass"})
	c, _ := w.between(hash)
	w.agent(func(o *Options) { o.Client, o.Code = c, t.TempDir() })
	r := w.await(w.run(d), orion.Crashed, orion.Completed)
	for _, want := range []string{"version 1", hash[:12], "could not be fetched"} {
		if !strings.Contains(message(r), want) {
			t.Errorf("the reason %q does not say %q", message(r), want)
		}
	}
}
