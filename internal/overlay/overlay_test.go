package overlay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/testenv"
)

// talk sends requests to an API and keeps the ids of what it made by name.
type talk struct {
	t   *testing.T
	api string
	ids map[string]string
}

// say answers with the status and the answer, in which ids are names again and
// times are gone.
func (k *talk) say(method, path, body string) (int, any) {
	k.t.Helper()
	for name, id := range k.ids {
		path, body = strings.ReplaceAll(path, "<"+name+">", id), strings.ReplaceAll(body, "<"+name+">", id)
	}
	r, err := http.NewRequest(method, k.api+path, strings.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		k.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	var v any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &v); err != nil {
			k.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return response.StatusCode, v
}

var (
	anyID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyTime = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^"]*`)
)

func (k *talk) named(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		k.t.Fatal(err)
	}
	text = anyID.ReplaceAllFunc(text, func(id []byte) []byte {
		for name, known := range k.ids {
			if known == string(id) {
				return []byte("<" + name + ">")
			}
		}
		return []byte("<id>")
	})
	return string(anyTime.ReplaceAll(text, []byte("<time>")))
}

const schemaFields = `{"title":"Thing","type":"object","properties":{"value":{"title":"Value","type":"string","format":"password","writeOnly":true},"inner":{"title":"Inner","type":"object"}},"block_type_slug":"thing","secret_fields":["value","inner.value"],"block_schema_references":{}}`

// steps are what deployment files and their clients ask, in order. With keep
// set, the id in the answer gets that name. Of errors only the status counts.
var steps = []struct{ keep, method, path, body string }{
	{"flow", "POST", "/flows/", `{"name":"my flow"}`},
	{"", "POST", "/flows/", `{"name":"my flow","tags":["new"]}`},
	{"", "GET", "/flows/<flow>", ""},
	{"", "GET", "/flows/name/my%20flow", ""},
	{"", "GET", "/flows/name/none", ""},
	{"", "POST", "/flows/filter", `{"flows":{"name":{"any_":["my flow"]}},"limit":null,"offset":0}`},
	{"", "POST", "/flows/filter", `{"flows":{"name":{"any_":["other"]}}}`},
	{"", "POST", "/flows/count", `{}`},
	{"pool", "POST", "/work_pools/", `{"name":"my-pool","type":"process","base_job_template":{}}`},
	{"", "POST", "/work_pools/", `{"name":"my-pool","type":"process"}`},
	{"", "PATCH", "/work_pools/my-pool", `{"description":"better","concurrency_limit":3}`},
	{"", "POST", "/work_pools/filter", `{"work_pools":{"name":{"any_":["my-pool"]}}}`},
	{"default", "GET", "/work_pools/my-pool/queues/default", ""},
	{"", "GET", "/work_pools/my-pool", ""},
	{"queue", "POST", "/work_pools/my-pool/queues", `{"name":"fast","priority":2}`},
	{"", "POST", "/work_pools/my-pool/queues", `{"name":"fast"}`},
	{"", "GET", "/work_pools/my-pool/queues/none", ""},
	{"old", "POST", "/work_queues/", `{"name":"old-queue"}`},
	{"", "PATCH", "/work_queues/<old>", `{"concurrency_limit":2}`},
	{"deployment", "POST", "/deployments/", `{"name":"d","flow_id":"<flow>","tags":["a"],"work_pool_name":"my-pool","work_queue_name":"fast","schedules":[{"schedule":{"cron":"0 1 * * *","timezone":"UTC","day_or":true},"active":true}],"parameters":{"n":1},"path":"/p","entrypoint":"f.py:f","parameter_openapi_schema":{"type":"object","properties":{}}}`},
	{"", "GET", "/deployments/<deployment>", ""},
	{"", "GET", "/deployments/name/my%20flow/d", ""},
	{"", "POST", "/deployments/", `{"name":"d","flow_id":"<flow>","tags":["b"],"work_pool_name":"my-pool","version":"2","parameters":{"n":2},"path":"/q","entrypoint":"g.py:g","parameter_openapi_schema":{"type":"object","properties":{}}}`},
	{"", "GET", "/deployments/<deployment>", ""},
	{"", "PATCH", "/deployments/<deployment>", `{"tags":["c"]}`},
	{"", "POST", "/deployments/filter", `{"deployments":{"tags":{"all_":["c"]}},"flows":{"name":{"any_":["my flow"]}}}`},
	{"", "POST", "/deployments/filter", `{"flows":{"name":{"any_":["other"]}}}`},
	{"", "POST", "/deployments/count", `{"deployments":{"name":{"any_":["d"]}}}`},
	{"", "POST", "/deployments/", `{"name":"e","flow_id":"<flow>","work_pool_name":"no-such-pool"}`},
	{"", "POST", "/deployments/", `{"name":"e","flow_id":"<flow>","work_queue_name":"made-along"}`},
	{"along", "GET", "/work_queues/name/made-along", ""},
	{"", "PATCH", "/work_queues/<along>", `{"concurrency_limit":5}`},
	{"type", "POST", "/block_types/", `{"name":"Thing","slug":"thing"}`},
	{"", "POST", "/block_types/", `{"name":"Thing","slug":"thing"}`},
	{"", "GET", "/block_types/slug/thing", ""},
	{"", "PATCH", "/block_types/<type>", `{"description":"A thing."}`},
	{"", "GET", "/block_types/<type>", ""},
	{"schema", "POST", "/block_schemas/", `{"fields":` + schemaFields + `,"block_type_id":"<type>","capabilities":["do"],"version":"1"}`},
	{"", "POST", "/block_schemas/", `{"fields":` + schemaFields + `,"block_type_id":"<type>","capabilities":["do"],"version":"1"}`},
	{"", "POST", "/block_schemas/filter", `{"block_schemas":{"block_type_id":{"any_":["<type>"]}}}`},
	{"inner", "POST", "/block_documents/", `{"name":"inner","data":{"value":"hush"},"block_schema_id":"<schema>","block_type_id":"<type>"}`},
	{"", "POST", "/block_documents/", `{"name":"inner","data":{},"block_schema_id":"<schema>","block_type_id":"<type>"}`},
	{"outer", "POST", "/block_documents/", `{"name":"outer","data":{"value":"x","inner":{"$ref":{"block_document_id":"<inner>"}}},"block_schema_id":"<schema>","block_type_id":"<type>"}`},
	{"", "GET", "/block_documents/<outer>?include_secrets=true", ""},
	{"", "GET", "/block_documents/<inner>", ""},
	{"", "PATCH", "/block_documents/<outer>", `{"data":{"value":"y","inner":{"$ref":{"block_document_id":"<inner>"}}}}`},
	{"", "GET", "/block_types/slug/thing/block_documents/name/outer?include_secrets=true", ""},
	{"", "GET", "/block_types/slug/thing/block_documents/name/none", ""},
	{"nameless", "POST", "/block_documents/", `{"is_anonymous":true,"data":{"value":"z"},"block_schema_id":"<schema>","block_type_id":"<type>"}`},
	{"", "POST", "/block_documents/filter", `{"block_types":{"slug":{"any_":["thing"]}}}`},
	{"", "GET", "/block_types/slug/thing/block_documents", ""},
	{"", "DELETE", "/block_documents/<outer>", ""},
	{"", "DELETE", "/block_documents/<outer>", ""},
	{"variable", "POST", "/variables/", `{"name":"v","value":"1"}`},
	{"", "POST", "/variables/", `{"name":"v","value":"1"}`},
	{"", "PATCH", "/variables/name/v", `{"value":"2"}`},
	{"", "GET", "/variables/name/v", ""},
	{"", "DELETE", "/variables/name/v", ""},
	{"", "GET", "/variables/name/v", ""},
	{"limit", "POST", "/concurrency_limits/", `{"tag":"t","concurrency_limit":2}`},
	{"", "POST", "/concurrency_limits/", `{"tag":"t","concurrency_limit":3}`},
	{"", "GET", "/concurrency_limits/tag/t", ""},
	{"global", "POST", "/v2/concurrency_limits/", `{"name":"g","limit":2}`},
	{"", "GET", "/v2/concurrency_limits/g", ""},
	{"", "PATCH", "/v2/concurrency_limits/g", `{"limit":4}`},
	{"policy", "POST", "/flow_run_notification_policies/", `{"is_active":true,"state_names":["Failed"],"tags":[],"block_document_id":"<inner>"}`},
	{"", "GET", "/flow_run_notification_policies/<policy>", ""},
	{"artifact", "POST", "/artifacts/", `{"key":"k","type":"markdown","data":"x"}`},
	{"", "GET", "/artifacts/<artifact>", ""},
	{"", "POST", "/automations/", `{"name":"a"}`},
	{"", "DELETE", "/automations/owned-by/prefect.deployment.x", ""},
	{"", "DELETE", "/deployments/<deployment>", ""},
	{"", "GET", "/deployments/<deployment>", ""},
}

// ownFields differ between servers and are of no use to a deployment file.
var ownFields = []string{"work_pool_id", "is_protected", "logo_url", "documentation_url", "last_polled", "status", "metadata_", "checksum", "actor",
	"created_by", "updated_by", "labels", "latest_id", "filter", "job_variables", "priority",
	"denied_slots", "avg_slot_occupancy_seconds", "name"}

func without(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range ownFields {
			if name == "name" && v["is_anonymous"] != true {
				continue
			}
			delete(v, name)
		}
		for name := range v {
			v[name] = without(v[name])
		}
	case []any:
		for i := range v {
			v[i] = without(v[i])
		}
	}
	return v
}

// A file must be told by the overlay what a server would have told it. Both are
// asked the same, and the server below the overlay stays as it was.
func TestAnswersAreThoseOfTheServer(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	for _, server := range []struct {
		name  string
		start func(testing.TB, testenv.ServerOptions) *testenv.Server
	}{{"orion", testenv.Orion}, {"prefect 2.20", testenv.Prefect}} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			below := server.start(t, testenv.ServerOptions{})
			direct := &talk{t, server.start(t, testenv.ServerOptions{}).API(), map[string]string{}}
			over, err := Start(Options{API: below.API()})
			if err != nil {
				t.Fatal(err)
			}
			defer over.Close()
			laid := &talk{t, over.File("a.deployment.py").URL(), map[string]string{}}
			under := &talk{t, below.API(), map[string]string{}}
			state := func(k *talk) string {
				var all []string
				for _, path := range []string{"flows", "deployments", "work_pools", "work_queues", "block_types", "block_schemas", "block_documents",
					"variables", "concurrency_limits", "v2/concurrency_limits", "artifacts", "flow_run_notification_policies", "work_pools/my-pool/queues"} {
					_, v := k.say("POST", "/"+path+"/filter", "{}")
					list, _ := v.([]any)
					var items []string
					for _, item := range list {
						items = append(items, (&talk{t: t}).named(without(item)))
					}
					slices.Sort(items)
					all = append(all, path+": "+strings.Join(items, "\n"))
				}
				return strings.Join(all, "\n")
			}
			before := state(under)
			for _, step := range steps {
				wantStatus, want := direct.say(step.method, step.path, step.body)
				gotStatus, got := laid.say(step.method, step.path, step.body)
				made := gotStatus/100 == 2 && gotStatus < 202 && wantStatus < 202 // the clock decides which one Prefect says
				if gotStatus != wantStatus && !made {
					t.Errorf("%s %s: status %d, want %d: %v", step.method, step.path, gotStatus, wantStatus, got)
					continue
				}
				if step.keep != "" && gotStatus < 300 {
					for k, v := range map[*talk]any{direct: want, laid: got} {
						id, _ := v.(map[string]any)["id"].(string)
						k.ids[step.keep] = id
					}
				}
				if a, b := laid.named(without(got)), direct.named(without(want)); gotStatus < 300 && a != b {
					t.Errorf("%s %s:\ngot  %s\nwant %s", step.method, step.path, a, b)
				}
			}
			if after := state(under); after != before {
				t.Error("the server below was changed")
			}
			r, err := over.Recording(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			text, err := orion.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			stored := &Recording{}
			if err := orion.Decode(text, stored); err != nil {
				t.Fatal(err)
			}
			replay(under, stored)
			lines := func(k *talk) []string {
				// Prefect lists the capabilities of its own schemas in another order in every process.
				return slices.DeleteFunc(strings.Split(state(k), "\n"), func(line string) bool {
					return strings.Contains(line, `"capabilities":`) && !strings.Contains(line, `"slug":"thing"`)
				})
			}
			got, want := lines(under), lines(direct)
			for _, line := range got {
				if !slices.Contains(want, line) {
					t.Errorf("only where it was replayed: %s", line)
				}
			}
			for _, line := range want {
				if !slices.Contains(got, line) {
					t.Errorf("only where it was done: %s", line)
				}
			}
		})
	}
}

// replay sends what was recorded to a server.
func replay(k *talk, r *Recording) {
	k.t.Helper()
	ids := map[orion.ID]orion.ID{}
	learn := func(id orion.ID, answer any) {
		if object, ok := answer.(map[string]any); ok && !id.IsZero() {
			text, _ := object["id"].(string)
			if real, err := orion.ParseID(text); err == nil {
				ids[id] = real
			}
		}
	}
	for _, w := range r.Writes {
		for _, implied := range r.Implied {
			if _, known := ids[implied.ID]; !known && (w.ID == implied.ID || slices.Contains(w.Uses, implied.ID)) {
				_, answer := k.say("GET", implied.Path, "")
				learn(implied.ID, answer)
			}
		}
		path, body := w.Replay(ids)
		status, answer := k.say(w.Method, path, string(body))
		if status >= 300 {
			k.t.Errorf("%s: %s %s: %d %v", w, w.Method, path, status, answer)
		}
		learn(w.ID, answer)
	}
}

func TestWhatWouldStartRunsIsRefusedInWords(t *testing.T) {
	t.Parallel()
	over, err := Start(Options{API: "http://127.0.0.1:9/api"})
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	file := over.File("a.deployment.py")
	k := &talk{t, file.URL(), nil}
	for _, path := range []string{"/flow_runs/", "/deployments/x/create_flow_run", "/work_queues/x/get_runs", "/admin/database/clear", "/unheard-of"} {
		status, answer := k.say("POST", path, "{}")
		if text := fmt.Sprint(answer); status != http.StatusForbidden || !strings.Contains(text, path) || !strings.Contains(text, "--no-atomic") {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	if len(file.Refused()) != 5 {
		t.Errorf("%q", file.Refused())
	}
	if status, _ := k.say("POST", "/logs/", "[]"); status != http.StatusCreated {
		t.Errorf("logs: %d", status)
	}
	if status, answer := k.say("GET", "/flows/name/x", ""); status != http.StatusBadGateway || !strings.Contains(fmt.Sprint(answer), "cannot reach") {
		t.Errorf("a server that does not answer: %d %v", status, answer)
	}
	if status, _ := (&talk{t, over.url + "/api/guessed", nil}).say("GET", "/flows/name/x", ""); status != http.StatusNotFound {
		t.Errorf("a guessed token: %d", status)
	}
}

func TestProvisionalIDsAreTheSameEveryTime(t *testing.T) {
	t.Parallel()
	server := testenv.Orion(t, testenv.ServerOptions{})
	var all [2][]string
	for i := range all {
		over, err := Start(Options{API: server.API()})
		if err != nil {
			t.Fatal(err)
		}
		defer over.Close()
		k := &talk{t, over.File("a.deployment.py").URL(), map[string]string{}}
		for _, step := range steps {
			status, answer := k.say(step.method, step.path, step.body)
			if step.keep != "" && status < 300 {
				k.ids[step.keep], _ = answer.(map[string]any)["id"].(string)
			}
		}
		r, err := over.Recording(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range r.Writes {
			all[i] = append(all[i], w.String()+w.ID.String()+string(w.Body))
		}
	}
	if len(all[0]) < 20 || !slices.Equal(all[0], all[1]) {
		t.Errorf("%q\n%q", all[0], all[1])
	}
}

func TestBodiesAreNeverPrinted(t *testing.T) {
	t.Parallel()
	b := Body(`{"password":"hush"}`)
	text := fmt.Sprintf("%v %+v %#v %s %q %x %d", b, b, b, b, b, b, b) + fmt.Sprintf("%v %+v %#v", Write{Body: b}, &Write{Body: b}, Claim{Before: b})
	if strings.Contains(text, "hush") || bytes.Contains([]byte(text), []byte(fmt.Sprintf("%x", "hush"))) || strings.Contains(text, "104 117") {
		t.Error(text)
	}
}

// While the digests of what a file was told are the same, it need not run again.
func TestDigestsChangeWithWhatTheServerSays(t *testing.T) {
	t.Parallel()
	server := testenv.Orion(t, testenv.ServerOptions{})
	direct := &talk{t, server.API(), map[string]string{}}
	direct.say("POST", "/variables/", `{"name":"region","value":"north"}`)
	direct.say("POST", "/variables/", `{"name":"unread","value":"1"}`)
	overlay := func() *Overlay {
		over, err := Start(Options{API: server.API()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { over.Close() })
		return over
	}
	first := overlay()
	k := &talk{t, first.File("a.deployment.py").URL(), map[string]string{}}
	k.say("GET", "/variables/name/region", "")
	k.say("GET", "/flows/name/none", "")
	k.say("POST", "/flows/filter", `{"flows":{"name":{"any_":["f"]}}}`)
	r, err := first.Recording(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reads := r.Reads["a.deployment.py"]
	if len(reads) != 3 {
		t.Fatalf("%d reads", len(reads))
	}
	changed := func() (paths []string) {
		now := overlay()
		for _, read := range reads {
			digest, err := now.Digest(t.Context(), read)
			if err != nil {
				t.Fatal(err)
			}
			if digest != read.Digest {
				paths = append(paths, read.Path)
			}
		}
		return paths
	}
	direct.say("PATCH", "/variables/name/unread", `{"value":"2"}`)
	direct.say("PATCH", "/variables/name/region", `{"value":"north"}`)
	if got := changed(); len(got) > 0 {
		t.Errorf("nothing changed but a time, and %q did", got)
	}
	direct.say("PATCH", "/variables/name/region", `{"value":"south"}`)
	direct.say("POST", "/flows/", `{"name":"f"}`)
	if got := changed(); !slices.Equal(got, []string{"/variables/name/region", "/flows/filter"}) {
		t.Errorf("changed are %q", got)
	}
}

// What is not the overlay's passes as it is, with the key that only Orion has.
func TestReadingPassesThroughWithTheKey(t *testing.T) {
	t.Parallel()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
		w.Header().Set("X-Own", "kept")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, `"as it is"`)
	}))
	defer server.Close()
	over, err := Start(Options{API: server.URL + "/api/accounts/a/workspaces/w", Key: "secret-key"})
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	file := over.File("a.deployment.py")
	for _, path := range []string{"/flow_runs/x?a=b%2Fc", "/flows/name/a%20b"} {
		response, err := http.Get(file.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusTeapot || string(text) != `"as it is"` {
			t.Errorf("%s: %s %s %v", path, response.Status, text, err)
		}
		if want := "GET /api/accounts/a/workspaces/w" + path + " Bearer secret-key"; !slices.Contains(asked, want) {
			t.Errorf("%q lacks %s", asked, want)
		}
	}
}
