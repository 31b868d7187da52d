package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/server"
	"github.com/orionflows/orion/internal/store"
)

// app is a whole server on an empty SQLite database.
type app struct {
	t    testing.TB
	url  string
	stop func()
}

func start(t testing.TB) *app {
	t.Helper()
	return startOn(t, store.Options{Dir: t.TempDir(), Durability: "normal"})
}

// startOn is start on a database of one's choice.
func startOn(t testing.TB, database store.Options) *app {
	t.Helper()
	s, err := server.New(t.Context(), server.Options{AnyPort: true, Version: "test", NoServices: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Database: database})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	a := &app{t: t, url: s.URL()}
	a.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(a.stop)
	return a
}

// send makes a request; headers are "Name: value". A path without /api is
// below it.
func (a *app) send(method, path, body string, headers ...string) (*http.Response, string) {
	a.t.Helper()
	r, err := http.NewRequest(method, a.url+"/api"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp, string(b)
}

// want is send with an expectation; it answers the body.
func (a *app) want(status int, method, path, body string, headers ...string) string {
	a.t.Helper()
	resp, got := a.send(method, path, body, headers...)
	if resp.StatusCode != status {
		a.t.Errorf("%s %s %.200s: %d %.400s, want %d", method, path, body, resp.StatusCode, got, status)
	}
	return got
}

// field is a member of a JSON answer, as text without quotes.
func field(t testing.TB, body string, path ...string) string {
	t.Helper()
	v := orion.JSON(body)
	for _, p := range path {
		var m map[string]orion.JSON
		if v.Kind() == '[' {
			var l []orion.JSON
			if err := orion.Decode(v, &l); err != nil || len(l) == 0 {
				t.Fatalf("%s of %s: %v", p, body, err)
			}
			v = l[0]
		}
		if err := orion.Decode(v, &m); err != nil {
			t.Fatalf("%s of %s: %v", p, body, err)
		}
		v = m[p]
	}
	return strings.Trim(string(v), `"`)
}

func (a *app) flow(name string) string {
	a.t.Helper()
	_, b := a.send("POST", "/flows/", `{"name":"`+name+`"}`)
	return field(a.t, b, "id")
}

const nobody = "11111111-1111-4111-8111-111111111111"

func TestErrors(t *testing.T) {
	t.Parallel()
	a := start(t)
	flow := a.flow("f")
	for _, c := range []struct {
		status             int
		method, path, body string
		says               []string
	}{
		{422, "POST", "/flows/", `{"name":`, []string{`"exception_message":"Invalid request received."`, `"loc":["body"`, "value_error.jsondecode", `"request_body":null`}},
		{422, "POST", "/flows/", `[]`, []string{"value is not a valid dict"}},
		{422, "POST", "/flows/", ``, []string{`"loc":["body","name"]`, "field required"}},
		{422, "POST", "/flows/", `{}`, []string{`{"exception_message":"Invalid request received.","exception_detail":[{"loc":["body","name"],"msg":"field required","type":"value_error.missing"}],"request_body":{}}`}},
		{422, "POST", "/flows/", `{"name":"a/b"}`, []string{`"loc":["body","name"]`}},
		{422, "POST", "/flows/", `{"name":{}}`, []string{`"loc":["body","name"]`, "type_error.str"}},
		{422, "POST", "/flows/", `{"name":"x","tags":"a"}`, []string{`"loc":["body","tags"]`, "type_error.list"}},
		{422, "GET", "/flows/nonsense", ``, []string{`"loc":["path","id"]`, "type_error.uuid"}},
		{404, "GET", "/flows/" + nobody, ``, []string{`{"detail":"`}},
		{404, "PATCH", "/flows/" + nobody, `{}`, []string{`"detail"`}},
		{404, "DELETE", "/flow_runs/" + nobody, ``, []string{`"detail"`}},
		{404, "POST", "/flow_runs/" + nobody + "/set_state", `{"state":{"type":"RUNNING"}}`, []string{`{"exception_message":"Flow run with id ` + nobody + ` not found"}`}},
		{404, "POST", "/task_runs/" + nobody + "/set_state", `{"state":{"type":"RUNNING"}}`, []string{`"exception_message"`}},
		{404, "GET", "/flow_runs/" + nobody + "/graph-v2", ``, []string{`not found`}},
		{422, "POST", "/flow_runs/" + nobody + "/set_state", `{"state":{"type":"NOPE"}}`, []string{"enumeration"}},
		{422, "POST", "/flow_runs/" + nobody + "/set_state", `{}`, []string{`["body","state"]`}},
		{422, "POST", "/flow_runs/", `{"flow_id":"x"}`, []string{`"loc":["body","flow_id"]`, "type_error.uuid"}},
		{409, "POST", "/flow_runs/", `{"flow_id":"` + nobody + `"}`, []string{`{"detail":"Data integrity conflict.`}},
		{409, "POST", "/task_runs/", `{"flow_run_id":"` + nobody + `","task_key":"a","dynamic_key":"b"}`, []string{"integrity"}},
		{422, "POST", "/task_runs/", `{"flow_run_id":null,"dynamic_key":"b"}`, []string{`"loc":["body","task_key"]`}},
		{422, "POST", "/flow_runs/filter", `{"limit":201}`, []string{`{"detail":"Invalid limit: must be less than or equal to 200."}`}},
		{422, "POST", "/flow_runs/filter", `{"limit":-1}`, []string{"limit"}},
		{422, "POST", "/flow_runs/filter", `{"offset":-1}`, []string{"offset"}},
		{422, "POST", "/flow_runs/filter", `{"sort":"UP"}`, []string{"sort"}},
		{422, "POST", "/flow_runs/filter", `{"flow_runs":{"id":{"any_":["x"]}}}`, []string{`["body","flow_runs","id","any_",0]`}},
		{422, "POST", "/flow_runs/filter", `{"flow_runs":{"start_time":{"after_":"soon"}}}`, []string{"invalid datetime format"}},
		{200, "POST", "/flow_runs/filter", `{"limit":0}`, []string{`[]`}},
		{200, "POST", "/flow_runs/filter", ``, []string{`[]`}},
		{200, "POST", "/flow_runs/filter", `{"sort":null,"limit":null,"offset":null,"flows":null,"flow_runs":{"id":null,"name":null,"tags":{"all_":null,"is_null_":null,"operator":null},"state":null,"operator":null},"task_runs":null,"deployments":null,"work_pools":null,"work_pool_queues":null}`, []string{`[]`}},
		{200, "POST", "/flow_runs/filter", `{"unheard_of":{"x":1},"flow_runs":{"new_field":{"any_":[1]}}}`, []string{`[]`}},
		{422, "POST", "/ui/flow_runs/history", `{"limit":1001}`, nil},
		{422, "POST", "/ui/task_runs/dashboard/counts", `{}`, []string{"start_time"}},
		{422, "POST", "/flow_runs/history", `{"history_start":"2030-01-01T00:00:00Z","history_end":"2030-01-02T00:00:00Z","history_interval_seconds":0}`, nil},
		{422, "POST", "/flow_runs/history", `{}`, nil},
		{422, "POST", "/variables/", `{"name":"Bad Name","value":"x"}`, []string{`"loc":["body","name"]`}},
		{422, "POST", "/variables/", `{"name":"v","value":"` + strings.Repeat("x", 5001) + `"}`, []string{`"loc":["body","value"]`}},
		{422, "POST", "/variables/", `{"name":"` + strings.Repeat("x", 256) + `","value":"x"}`, []string{"255"}},
		{422, "POST", "/concurrency_limits/", `{"tag":"t"}`, []string{`["body","concurrency_limit"]`}},
		{422, "POST", "/artifacts/", `{"key":"Bad Key"}`, []string{`["body","key"]`}},
		{403, "POST", "/block_types/", `{"name":"Prefect Thing","slug":"p"}`, []string{`"detail"`}},
		{422, "POST", "/block_types/", `{"name":"x","slug":"Bad Slug"}`, []string{`["body","slug"]`}},
		{404, "POST", "/block_schemas/", `{"fields":{},"block_type_id":"` + nobody + `"}`, nil},
		{403, "POST", "/work_pools/", `{"name":"prefect-pool"}`, []string{`"detail"`}},
		{422, "POST", "/work_pools/", `{"name":"p","base_job_template":{"x":1}}`, nil},
		{422, "POST", "/work_pools/", `{"name":"p","base_job_template":{"job_configuration":{"a":"{{ x }}"},"variables":{"properties":{}}}}`, nil},
		{422, "POST", "/work_pools/", `{"name":"p","concurrency_limit":-1}`, []string{`["body","concurrency_limit"]`}},
		{404, "GET", "/work_pools/none", ``, nil},
		{404, "GET", "/work_queues/name/none", ``, nil},
		{404, "POST", "/work_pools/none/get_scheduled_flow_runs", `{}`, nil},
		{404, "GET", "/deployments/name/none/none", ``, nil},
		{422, "POST", "/deployments/", `{"flow_id":"` + flow + `","name":"d","schedules":[{"schedule":{"cron":"nonsense"}}]}`, nil},
		{422, "POST", "/deployments/", `{"flow_id":"` + flow + `","name":"d","schedules":[{"schedule":{"cron":"0 0 * * *","timezone":"Mars/Base"}}]}`, nil},
		{422, "POST", "/deployments/", `{"flow_id":"` + flow + `","name":"d","schedules":[{"schedule":{"rrule":"FREQ=NEVER"}}]}`, nil},
		{422, "POST", "/deployments/", `{"flow_id":"` + flow + `","name":"d","schedules":[{"schedule":{"interval":0}}]}`, nil},
		{422, "POST", "/deployments/", `{"flow_id":"` + flow + `","name":"d","schedules":[{"schedule":{}}]}`, nil},
		{422, "POST", "/deployments/", `{"flow_id":"` + flow + `","name":"d","schedule":{"cron":"61 * * * *"}}`, nil},
		{404, "POST", "/deployments/", `{"flow_id":"` + flow + `","name":"d","work_pool_name":"none"}`, []string{`Work pool \"none\" not found`}},
		{409, "POST", "/deployments/", `{"flow_id":"` + flow + `","name":"d","storage_document_id":"` + nobody + `"}`, nil},
		{409, "POST", "/deployments/", `{"flow_id":"` + nobody + `","name":"d"}`, nil},
		{404, "POST", "/deployments/" + nobody + "/create_flow_run", `{}`, nil},
		{400, "POST", "/admin/database/clear", `{}`, []string{"confirm"}},
		{422, "GET", "/csrf-token?client=" + nobody, ``, []string{`{"detail":"CSRF protection is disabled."}`}},
		{404, "POST", "/events/filter", `{}`, []string{"Events are not enabled"}},
		{404, "POST", "/automations/filter", `{}`, []string{"Automations are not enabled"}},
		{404, "GET", "/collections/views/none", ``, []string{"none"}},
		{422, "POST", "/templates/validate", `"{{ x"`, []string{`"error":{"line":1`}},
		{422, "POST", "/flow_run_notification_policies/", `{"state_names":[],"tags":[],"block_document_id":"` + nobody + `","message_template":"{nope}"}`, []string{"message_template"}},
		{409, "POST", "/flow_run_notification_policies/", `{"state_names":[],"tags":[],"block_document_id":"` + nobody + `"}`, nil},
		{404, "GET", "/nothing/here", ``, []string{`{"detail":"Not Found"}`}},
		{405, "PUT", "/flows/", `{}`, []string{`{"detail":"Method Not Allowed"}`}},
		{405, "DELETE", "/health", ``, nil},
	} {
		got := a.want(c.status, c.method, c.path, c.body)
		for _, s := range c.says {
			if !strings.Contains(got, s) {
				t.Errorf("%s %s %.200s: %.500s does not say %s", c.method, c.path, c.body, got, s)
			}
		}
	}
	big := bytes.Repeat([]byte(" "), 33<<20)
	if resp, err := http.Post(a.url+"/api/flows/", "application/json", bytes.NewReader(big)); err != nil || resp.StatusCode != 413 {
		t.Errorf("a body of 33 MiB: %v, %v", resp, err)
	}
	if resp, err := http.Post(a.url+"/api/flows/", "application/json", io.MultiReader(bytes.NewReader(big))); err != nil || resp.StatusCode != 413 {
		t.Errorf("a body of 33 MiB without a length: %v, %v", resp, err)
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, c := range []struct {
		status int
		header string
	}{
		{200, "X-PREFECT-API-VERSION: 0.8.4"}, {200, "X-PREFECT-API-VERSION: 0.8.0"}, {200, "X-PREFECT-API-VERSION: 0.9.0"},
		{400, "X-PREFECT-API-VERSION: 0.1.0"}, {400, "X-PREFECT-API-VERSION: 0.8"}, {400, "X-PREFECT-API-VERSION: a.b.c"},
	} {
		a.want(c.status, "POST", "/flows/filter", `{}`, c.header)
		a.want(200, "GET", "/health", ``, c.header)
	}
	for path, want := range map[string]string{"/health": "true", "/version": `"0.8.4"`, "/hello": `"👋"`, "/ready": `{"message":"OK"}`, "/admin/storage": `{"default_result_storage_block_id":null}`} {
		if got := a.want(200, "GET", path, ``); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := a.want(200, "GET", "/admin/version", ``, "User-Agent: prefect/3.4.5 (API 0.8.4)"); got != `"3.4.5"` {
		t.Errorf("a Prefect 3 client is told %s", got)
	}
	if got := a.want(200, "GET", "/admin/version", ``, "User-Agent: python-httpx/0.27"); !strings.HasPrefix(got, `"2.20.`) {
		t.Errorf("an older client is told %s", got)
	}
	resp, body := a.send("HEAD", "/health", ``)
	if resp.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", resp.StatusCode, body)
	}
	for _, path := range []string{"/flows/", "/flows"} { // Prefect redirects; what follows is the same
		a.want(map[string]int{"/flows/": 201, "/flows": 200}[path], "POST", path, `{"name":"slash"}`)
	}
	resp, _ = a.send("POST", "/flows/filter", `{}`, "Origin: http://elsewhere")
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("no CORS header")
	}
	resp, _ = a.send("OPTIONS", "/flows/filter", ``, "Origin: http://elsewhere", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,x-prefect-ui")
	if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Headers") != "content-type,x-prefect-ui" || resp.Header.Get("Access-Control-Allow-Methods") == "" {
		t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
	}
	for _, path := range []string{"/openapi.json", "/docs", "/redoc", "/ui-settings"} {
		resp, err := http.Get(a.url + path)
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %v, %v", path, resp, err)
			continue
		}
		resp.Body.Close()
	}
	if got := a.want(204, "POST", "/templates/validate", `"{{ x }}"`); got != "" {
		t.Errorf("a good template: %s", got)
	}
	a.want(200, "POST", "/flows/filter", `{"limit": "5", "offset": 0.0}`) // as pydantic converts
}

func TestCreatingAgain(t *testing.T) {
	t.Parallel()
	a := start(t)
	flow := a.flow("f")
	run := field(t, a.want(201, "POST", "/flow_runs/", `{"flow_id":"`+flow+`","idempotency_key":"first","state":{"type":"RUNNING"}}`), "id")
	for _, c := range []struct {
		path, body    string
		first, second int
	}{
		{"/flows/", `{"name":"again"}`, 201, 200},
		{"/flow_runs/", `{"flow_id":"` + flow + `","idempotency_key":"k"}`, 201, 200},
		{"/flow_runs/", `{"flow_id":"` + flow + `"}`, 201, 201},
		{"/task_runs/", `{"flow_run_id":"` + run + `","task_key":"a","dynamic_key":"0"}`, 201, 200},
		{"/task_runs/", `{"flow_run_id":null,"task_key":"a","dynamic_key":"0"}`, 201, 200},
		{"/deployments/", `{"flow_id":"` + flow + `","name":"d"}`, 201, 200},
		{"/concurrency_limits/", `{"tag":"t","concurrency_limit":1}`, 201, 200},
		{"/v2/concurrency_limits/", `{"name":"l","limit":1}`, 201, 409},
		{"/variables/", `{"name":"v","value":"x"}`, 201, 409},
		{"/work_pools/", `{"name":"p"}`, 201, 409},
		{"/work_queues/", `{"name":"q"}`, 201, 409},
		{"/work_pools/p/queues", `{"name":"q"}`, 201, 409},
		{"/block_types/", `{"name":"B","slug":"b"}`, 201, 409},
		{"/flow_runs/" + run + "/input", `{"key":"k","value":"v"}`, 201, 409},
	} {
		a.want(c.first, "POST", c.path, c.body)
		a.want(c.second, "POST", c.path, c.body)
	}
	a.want(201, "PUT", "/saved_searches/", `{"name":"s","filters":[]}`)
	a.want(200, "PUT", "/saved_searches/", `{"name":"s"}`)
	typ := field(t, a.want(200, "GET", "/block_types/slug/b", ``), "id")
	schema := a.want(201, "POST", "/block_schemas/", `{"fields":{"title":"B","secret_fields":["s"]},"block_type_id":"`+typ+`","capabilities":["notify"],"version":"1"}`)
	a.want(200, "POST", "/block_schemas/", `{"fields":{"title":"B","secret_fields":["s"]},"block_type_id":"`+typ+`","capabilities":["notify"],"version":"1"}`)
	doc := `{"name":"b","data":{"s":"x","t":"y"},"block_schema_id":"` + field(t, schema, "id") + `","block_type_id":"` + typ + `"}`
	saved := a.want(201, "POST", "/block_documents/", doc)
	if field(t, saved, "data", "s") != "********" || field(t, saved, "data", "t") != "y" {
		t.Errorf("a saved block is answered as %s", saved)
	}
	a.want(409, "POST", "/block_documents/", doc)
	id := field(t, saved, "id")
	if got := a.want(200, "GET", "/block_documents/"+id+"?include_secrets=true", ``); field(t, got, "data", "s") != "x" {
		t.Errorf("with secrets: %s", got)
	}
	a.want(204, "PATCH", "/block_documents/"+id, `{"data":{"s":"********","t":"z"},"merge_existing_data":false}`)
	if got := a.want(200, "GET", "/block_documents/"+id+"?include_secrets=true", ``); field(t, got, "data", "s") != "x" || field(t, got, "data", "t") != "z" {
		t.Errorf("after a patch with the mask: %s", got)
	}
	policy := a.want(201, "POST", "/flow_run_notification_policies/", `{"state_names":["Failed"],"tags":[],"block_document_id":"`+id+`"}`)
	a.want(204, "PATCH", "/flow_run_notification_policies/"+field(t, policy, "id"), `{"is_active":false}`)
	for body, want := range map[string]string{`{}`: "Failed", `{"flow_run_notification_policy_filter":{"is_active":{"eq_":true}}}`: "[]", `{"flow_run_notification_policy_filter":{"is_active":{"eq_":false}}}`: "Failed"} {
		if got := a.want(200, "POST", "/flow_run_notification_policies/filter", body); !strings.Contains(got, want) {
			t.Errorf("policies %s: %s", body, got)
		}
	}
	a.want(204, "DELETE", "/flow_run_notification_policies/"+field(t, policy, "id"), ``)
	a.want(404, "GET", "/flow_run_notification_policies/"+field(t, policy, "id"), ``)
	a.want(200, "PUT", "/admin/storage", `{"default_result_storage_block_id":"`+id+`"}`)
	if got := a.want(200, "GET", "/admin/storage", ``); field(t, got, "default_result_storage_block_id") != id {
		t.Errorf("result storage: %s", got)
	}
	a.want(204, "DELETE", "/admin/storage", ``)
	secret := field(t, a.want(200, "GET", "/block_types/slug/secret", ``), "id")
	a.want(403, "DELETE", "/block_types/"+secret, ``)
	a.want(204, "DELETE", "/block_types/"+typ, ``)

	// Variables: any JSON, told to Prefect 2 as text.
	a.want(201, "POST", "/variables/", `{"name":"obj","value":{"a":[1,2]}}`, "User-Agent: prefect/3.4.5 (API 0.8.4)")
	if got := a.want(200, "GET", "/variables/name/obj", ``, "User-Agent: prefect/3.4.5 (API 0.8.4)"); field(t, got, "value", "a") != "[1,2]" {
		t.Errorf("to Prefect 3: %s", got)
	}
	var two struct {
		Value any `json:"value"`
	}
	if err := orion.Decode([]byte(a.want(200, "GET", "/variables/name/obj", ``, "User-Agent: prefect/2.20.0 (API 0.8.4)")), &two); err != nil {
		t.Fatal(err)
	}
	if s, ok := two.Value.(string); !ok || !strings.Contains(s, "[1") {
		t.Errorf("to Prefect 2: %v", two.Value)
	}
}

func TestDeployingAgain(t *testing.T) {
	t.Parallel()
	a := start(t)
	flow := a.flow("f")
	deploy := func(status int, more string) string {
		t.Helper()
		return a.want(status, "POST", "/deployments/", `{"flow_id":"`+flow+`","name":"d"`+more+`}`)
	}
	d := deploy(201, `,"work_queue_name":"lane","infra_overrides":{"env":{"A":"b"}},"tags":["x"],"schedule":{"cron":"0 0 * * *","timezone":"Europe/Berlin"},"is_schedule_active":false,"manifest_path":"m","future_field":[1]`)
	id := field(t, d, "id")
	for path, want := range map[string]string{"work_pool_name": "default-agent-pool", "work_queue_name": "lane", "paused": "true", "is_schedule_active": "false", "manifest_path": "m", "status": "NOT_READY", "future_field": "[1]"} {
		if got := field(t, d, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if field(t, d, "job_variables", "env", "A") != "b" || field(t, d, "infra_overrides", "env", "A") != "b" || field(t, d, "schedules", "schedule", "cron") != "0 0 * * *" || field(t, d, "schedule", "timezone") != "Europe/Berlin" {
		t.Errorf("deployed: %s", d)
	}
	d = deploy(200, `,"description":"said"`)
	if field(t, d, "id") != id || field(t, d, "schedules") != "[]" || field(t, d, "schedule") != "null" || field(t, d, "tags") != `["x"]` || field(t, d, "description") != "said" {
		t.Errorf("deployed again: %s", d)
	}
	a.want(204, "PATCH", "/deployments/"+id, `{"schedule":{"interval":3600},"paused":false}`)
	if d = a.want(200, "GET", "/deployments/name/f/d", ``); field(t, d, "schedule", "interval") != "3600.0" || field(t, d, "is_schedule_active") != "true" {
		t.Errorf("patched: %s", d)
	}
	a.want(201, "POST", "/deployments/"+id+"/schedules", `[{"schedule":{"cron":"1 1 * * *"},"active":true}]`)
	a.want(422, "PATCH", "/deployments/"+id, `{"schedule":{"interval":60}}`)
	a.want(422, "POST", "/deployments/"+id+"/set_schedule_inactive", ``)
	a.want(404, "PATCH", "/deployments/"+id+"/schedules/"+nobody, `{"active":false}`)
	run := a.want(201, "POST", "/deployments/"+id+"/create_flow_run", `{"idempotency_key":"k","tags":["y"]}`)
	a.want(200, "POST", "/deployments/"+id+"/create_flow_run", `{"idempotency_key":"k"}`)
	if field(t, run, "state", "type") != "SCHEDULED" || field(t, run, "work_queue_name") != "lane" || !strings.Contains(field(t, run, "tags"), "x") || !strings.Contains(field(t, run, "tags"), "y") {
		t.Errorf("a run of it: %s", run)
	}
	a.want(204, "DELETE", "/deployments/"+id, ``)
	a.want(404, "GET", "/flow_runs/"+field(t, run, "id"), ``)
	a.want(404, "DELETE", "/deployments/"+id, ``)
}

func TestPaging(t *testing.T) {
	t.Parallel()
	a := start(t)
	for i := range 7 {
		a.flow(fmt.Sprint("f", i))
	}
	seen := ""
	for offset := 0; offset < 9; offset += 3 {
		var page []struct {
			Name string `json:"name"`
		}
		if err := orion.Decode([]byte(a.want(200, "POST", "/flows/filter", fmt.Sprintf(`{"limit":3,"offset":%d,"sort":"NAME_DESC"}`, offset))), &page); err != nil {
			t.Fatal(err)
		}
		for _, f := range page {
			seen += f.Name
		}
	}
	if seen != "f6f5f4f3f2f1f0" {
		t.Errorf("pages: %s", seen)
	}
	if got := a.want(200, "POST", "/flows/count", `{"flows":{"name":{"like_":"F"}}}`); got != "7" {
		t.Errorf("count: %s", got)
	}
}

func TestSockets(t *testing.T) {
	t.Parallel()
	a := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	dial := func(path string, protocols ...string) *websocket.Conn {
		t.Helper()
		c, _, err := websocket.Dial(ctx, a.url+"/api"+path, &websocket.DialOptions{Subprotocols: protocols})
		if err != nil {
			t.Fatal(path, err)
		}
		t.Cleanup(func() { c.CloseNow() })
		return c
	}
	type message struct {
		Type string   `json:"type"`
		Keys []string `json:"keys,omitempty"`
	}
	in := dial("/events/in")
	for _, m := range []any{message{Type: "x"}, []int{1}, message{Type: "auth"}} {
		if err := wsjson.Write(ctx, in, m); err != nil {
			t.Fatal(err)
		}
	}
	var m message
	if err := wsjson.Read(ctx, in, &m); err != nil || m.Type != "auth_success" {
		t.Errorf("a Prefect 3 client's greeting: %+v, %v", m, err)
	}
	out := dial("/events/out", "prefect")
	wsjson.Write(ctx, out, message{Type: "auth"})
	if err := wsjson.Read(ctx, out, &m); err != nil || m.Type != "auth_success" {
		t.Errorf("the greeting: %+v, %v", m, err)
	}
	wsjson.Write(ctx, out, message{Type: "filter"})
	for what, c := range map[websocket.StatusCode]*websocket.Conn{websocket.StatusProtocolError: dial("/events/out"), 4001: dial("/task_runs/subscriptions/scheduled", "prefect")} {
		wsjson.Write(ctx, c, message{Type: "auth"})
		wsjson.Write(ctx, c, message{Type: "subscribe"})
		var err error
		for err == nil {
			err = wsjson.Read(ctx, c, &m)
		}
		if websocket.CloseStatus(err) != what {
			t.Errorf("closed with %v, want %d", err, what)
		}
	}
	began := time.Now()
	a.stop()
	if err := wsjson.Read(ctx, out, &m); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("at the server's end: %v", err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("stopping took %v", took)
	}
}
