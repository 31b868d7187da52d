package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/overlay"
	"github.com/orionflows/orion/internal/pyenv"
	"github.com/orionflows/orion/internal/testenv"
)

// collections are all that a server keeps, as far as its API shows it.
var collections = []string{
	"flows", "deployments", "block_types", "block_schemas", "block_documents", "work_pools", "work_queues", "variables",
	"concurrency_limits", "v2/concurrency_limits", "flow_run_notification_policies", "artifacts", "flow_runs", "task_runs", "logs",
}

// dump is everything a server answers about what it keeps.
func dump(t *testing.T, api string) map[string][]map[string]any {
	t.Helper()
	all := map[string][]map[string]any{}
	for _, name := range collections {
		for offset := 0; ; offset += 200 {
			body := map[string]any{"limit": 200, "offset": offset, "include_secrets": true}
			if name == "block_documents" {
				body["block_documents"] = map[string]any{"is_anonymous": nil}
			}
			var page []map[string]any
			send(t, "POST", api+"/"+name+"/filter", body, &page)
			all[name] = append(all[name], page...)
			if len(page) < 200 {
				break
			}
		}
	}
	return all
}

func send(t *testing.T, method, url string, body, into any) int {
	t.Helper()
	text, ok := body.([]byte)
	if !ok {
		text, _ = json.Marshal(body)
	}
	r, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s", method, url, response.Status, answer)
	}
	if into != nil && len(answer) > 0 {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s %s: %v: %s", method, url, err, answer)
		}
	}
	return response.StatusCode
}

// replay sends a recording to a server.
func replay(t *testing.T, api string, writes []overlay.Write) {
	t.Helper()
	ids := map[orion.ID]orion.ID{}
	for _, w := range writes {
		path, body := w.Replay(ids)
		var made struct{ ID orion.ID }
		var into any
		if w.Action == overlay.Create || w.Action == overlay.Ensure || w.Method == "POST" {
			into = &struct {
				ID *orion.ID `json:"id"`
			}{&made.ID}
		}
		send(t, w.Method, api+path, body, into)
		if !made.ID.IsZero() {
			ids[w.ID] = made.ID
		}
	}
}

// essence is a dump without what differs from server to server: ids and times.
func essence(t *testing.T, all map[string][]map[string]any) map[string][]string {
	t.Helper()
	names := map[string]string{}
	for kind, items := range all {
		for _, item := range items {
			id, _ := item["id"].(string)
			name, _ := item["name"].(string)
			if item["is_anonymous"] == true {
				name = "anonymous"
			}
			names[id] = kind + " " + name
		}
	}
	// An interval without an anchor begins when its file was run.
	anchor := regexp.MustCompile(`"anchor_date":"` + time.Now().UTC().Format("2006-01-02") + `[^"]*"`)
	uuid := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	out := map[string][]string{}
	for kind, items := range all {
		for _, item := range items {
			delete(item, "created")
			delete(item, "updated")
			for _, name := range []string{"block_type", "block_schema", "last_polled"} {
				delete(item, name)
			}
			if schedules, ok := item["schedules"].([]any); ok {
				for _, s := range schedules {
					maps.DeleteFunc(s.(map[string]any), func(k string, _ any) bool { return k == "id" || k == "created" || k == "updated" })
				}
			}
			text, err := json.Marshal(item)
			if err != nil {
				t.Fatal(err)
			}
			text = anchor.ReplaceAll(text, []byte(`"anchor_date":"now"`))
			out[kind] = append(out[kind], uuid.ReplaceAllStringFunc(string(text), func(id string) string { return "<" + names[id] + ">" }))
		}
		slices.Sort(out[kind])
	}
	return out
}

func collecting(t *testing.T, api string) *overlay.Overlay {
	t.Helper()
	on, err := overlay.Start(overlay.Options{API: api})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { on.Close() })
	return on
}

func recordingOf(t *testing.T, on *overlay.Overlay) *overlay.Recording {
	t.Helper()
	r, err := on.Recording(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type clientUnderTest struct {
	name string
	env  pyenv.Environment
}

func clients(t *testing.T) []clientUnderTest {
	t.Helper()
	return []clientUnderTest{
		{"prefect 2.20", pyenv.Environment{Python: testenv.Python220(t)}},
		{"prefect 2.8", pyenv.Environment{Python: testenv.Python28(t)}},
	}
}

// clientEnv is the environment of files that must not find a server by chance.
func clientEnv(t *testing.T) []string {
	return append(testenv.Environment(), "PREFECT_HOME="+t.TempDir(), "PREFECT_API_URL=http://127.0.0.1:9/api")
}

// The examples are collected without a trace on the server, and what was
// recorded makes of another server what running them by hand makes of it.
func TestTheExamplesAreCollectedWithoutATraceAndReplayed(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	examples := filepath.Join(t.TempDir(), "examples")
	if err := os.CopyFS(examples, os.DirFS(filepath.Join(testenv.Root(t), "examples"))); err != nil {
		t.Fatal(err)
	}
	files, err := Discover([]string{examples}, DiscoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	env := pyenv.Environment{Python: testenv.Python220(t)}
	var jobs []Job
	for _, file := range files {
		if file.Flow != "older_words" && file.Flow != "newer_words" { // they need a package of their own
			jobs = append(jobs, Job{file, env})
		}
	}
	planned, byHand := testenv.Orion(t, testenv.ServerOptions{}), testenv.Orion(t, testenv.ServerOptions{})
	before := dump(t, planned.API())
	on := collecting(t, planned.API())
	runner := NewRunner(RunnerOptions{Env: clientEnv(t)})
	t.Cleanup(runner.Close)
	for _, c := range runner.Collect(t.Context(), on, jobs, CollectOptions{Root: examples}, nil) {
		if c.Err != nil {
			t.Errorf("%s: %v", c.File.Rel, c.Err)
		}
		if !c.Inputs.Complete || len(c.Warnings) > 0 || !c.Warm {
			t.Errorf("%s: complete %v, warm %v, warnings %q", c.File.Rel, c.Inputs.Complete, c.Warm, c.Warnings)
		}
	}
	if after := dump(t, planned.API()); !equalJSON(t, before, after) {
		t.Error("collecting changed the server")
	}
	recording := recordingOf(t, on)
	if len(recording.Claims) < 15 {
		t.Errorf("only %d deployments", len(recording.Claims))
	}
	for _, claim := range recording.Claims {
		if claim.Infrastructure == nil || claim.Infrastructure.Type != "process" {
			t.Errorf("%s: infrastructure %+v", claim.FullName(), claim.Infrastructure)
		}
	}
	replay(t, planned.API(), recording.Writes)

	direct := NewRunner(RunnerOptions{Env: append(clientEnv(t), "PREFECT_API_URL="+byHand.API())})
	t.Cleanup(direct.Close)
	for _, result := range direct.RunAll(t.Context(), jobs, 0, nil) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
	}
	got, want := essence(t, dump(t, planned.API())), essence(t, dump(t, byHand.API()))
	for _, kind := range collections {
		if kind == "flow_runs" { // made by the scheduler, with names of its own
			continue
		}
		if !slices.Equal(got[kind], want[kind]) {
			t.Errorf("%s: replayed, not by hand:\n%s\nby hand, not replayed:\n%s", kind,
				missingFrom(want[kind], got[kind]), missingFrom(got[kind], want[kind]))
		}
	}

	// Deployed once, they are the same again, but for ids the server now knows.
	again := collecting(t, planned.API())
	for _, c := range runner.Collect(t.Context(), again, jobs, CollectOptions{Root: examples}, nil) {
		if c.Err != nil {
			t.Errorf("%s the second time: %v", c.File.Rel, c.Err)
		}
		t.Logf("%s: %v", c.File.Rel, c.Took)
	}
	for _, claim := range recordingOf(t, again).Claims {
		if !claim.Existing || len(claim.Before) == 0 {
			t.Errorf("%s is not known to be there", claim.FullName())
		}
	}
}

func missingFrom(list, items []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(items), func(s string) bool { return slices.Contains(list, s) }), "\n")
}

func equalJSON(t *testing.T, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}
