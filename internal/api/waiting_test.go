package api_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion"
)

// poll asks a queue for runs and answers how many came, and after what time.
func (a *app) poll(path, wait string) <-chan string {
	out := make(chan string, 1)
	go func() {
		r, _ := http.NewRequest("POST", a.url+"/api"+path, strings.NewReader(`{"limit":5}`))
		r.Header.Set("Orion-Wait-Seconds", wait)
		began := time.Now()
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			out <- err.Error()
			return
		}
		defer resp.Body.Close()
		var runs []orion.JSON
		b := make([]byte, 1<<20)
		n := 0
		for {
			k, err := resp.Body.Read(b[n:])
			n += k
			if err != nil {
				break
			}
		}
		if err := orion.Decode(b[:n], &runs); err != nil {
			out <- string(b[:n])
			return
		}
		out <- fmt.Sprintf("%d runs, %v", len(runs), time.Since(began) < 3*time.Second)
	}()
	return out
}

func TestWaitingForRuns(t *testing.T) {
	t.Parallel()
	a := start(t)
	flow := a.flow("f")
	d := field(t, a.want(201, "POST", "/deployments/", `{"flow_id":"`+flow+`","name":"d","work_queue_name":"lane"}`), "id")
	queue := field(t, a.want(200, "GET", "/work_queues/name/lane", ``), "id")
	lane, pool := "/work_queues/"+queue+"/get_runs", "/work_pools/default-agent-pool/get_scheduled_flow_runs"
	expect := func(what string, c <-chan string, want string) {
		t.Helper()
		select {
		case got := <-c:
			if got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: no answer", what)
		}
	}
	expect("a poll that does not wait", a.poll(lane, "0"), "0 runs, true")
	expect("a poll that waits a second", a.poll(lane, "1"), "0 runs, true")
	waiting, pooled := a.poll(lane, "30"), a.poll(pool, "30")
	time.Sleep(200 * time.Millisecond) // both wait
	run := field(t, a.want(201, "POST", "/deployments/"+d+"/create_flow_run", `{}`), "id")
	expect("a run created while waiting", waiting, "1 runs, true")
	expect("the same from the pool", pooled, "1 runs, true")
	a.want(204, "DELETE", "/flow_runs/"+run, ``)

	// A run that becomes due while a poll waits.
	soon := orion.Now().Add(1200 * time.Millisecond).String()
	run = field(t, a.want(201, "POST", "/deployments/"+d+"/create_flow_run", `{"state":{"type":"SCHEDULED","state_details":{"scheduled_time":"`+soon+`"}}}`), "id")
	expect("a run that is not due", a.poll(lane, "0"), "0 runs, true")
	expect("a run that becomes due", a.poll(lane, "30"), "1 runs, true")
	a.want(204, "DELETE", "/flow_runs/"+run, ``)

	// A paused queue gives nothing until it is resumed.
	a.want(201, "POST", "/deployments/"+d+"/create_flow_run", `{}`)
	a.want(204, "PATCH", "/work_queues/"+queue, `{"is_paused":true}`)
	expect("a paused queue", a.poll(lane, "0"), "0 runs, true")
	waiting = a.poll(lane, "30")
	time.Sleep(200 * time.Millisecond)
	a.want(204, "PATCH", "/work_queues/"+queue, `{"is_paused":false}`)
	expect("a queue resumed while waiting", waiting, "1 runs, true")

	// A place that becomes free in a queue that was full.
	a.want(204, "PATCH", "/work_queues/"+queue, `{"concurrency_limit":1}`)
	busy := field(t, a.want(200, "POST", lane, `{"limit":1}`), "id")
	a.want(201, "POST", "/flow_runs/"+busy+"/set_state", `{"state":{"type":"PENDING"}}`)
	a.want(201, "POST", "/flow_runs/"+busy+"/set_state", `{"state":{"type":"RUNNING"}}`)
	a.want(201, "POST", "/deployments/"+d+"/create_flow_run", `{}`)
	expect("a full queue", a.poll(lane, "0"), "0 runs, true")
	waiting = a.poll(lane, "30")
	time.Sleep(200 * time.Millisecond)
	a.want(201, "POST", "/flow_runs/"+busy+"/set_state", `{"state":{"type":"COMPLETED"}}`)
	expect("a place that becomes free while waiting", waiting, "1 runs, true")

	a.want(204, "PATCH", "/work_queues/"+queue, `{"is_paused":true}`)
	waiting = a.poll(lane, "50")
	time.Sleep(200 * time.Millisecond)
	a.stop()
	expect("a server that stops", waiting, "0 runs, true")
}

// The document describes every route with what it needs, and refers to nothing
// that is not in it.
func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	a := start(t)
	body := a.want(200, "GET", "/openapi.json", ``)
	var doc struct {
		OpenAPI    string                           `json:"openapi"`
		Paths      map[string]map[string]orion.JSON `json:"paths"`
		Components struct {
			Schemas map[string]orion.JSON `json:"schemas"`
		} `json:"components"`
	}
	if err := orion.Decode([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Paths) < 120 {
		t.Errorf("version %s, %d paths", doc.OpenAPI, len(doc.Paths))
	}
	for _, m := range regexp.MustCompile(`"\$ref":"#/components/schemas/([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if doc.Components.Schemas[m[1]] == nil {
			t.Errorf("the schema %s is referred to and not there", m[1])
		}
	}
	ids := map[string]string{}
	for path, ops := range doc.Paths {
		for method, op := range ops {
			var o struct {
				ID         string `json:"operationId"`
				Parameters []struct {
					Name     string `json:"name"`
					In       string `json:"in"`
					Required bool   `json:"required"`
				} `json:"parameters"`
				Responses map[string]orion.JSON `json:"responses"`
			}
			if err := orion.Decode(op, &o); err != nil {
				t.Fatal(err)
			}
			where := method + " " + path
			if other, taken := ids[o.ID]; taken || o.ID == "" {
				t.Errorf("%s and %s have the operation id %q", where, other, o.ID)
			}
			ids[o.ID] = where
			declared := map[string]bool{}
			for _, p := range o.Parameters {
				if p.In == "path" {
					declared["{"+p.Name+"}"] = p.Required
				}
			}
			for _, p := range regexp.MustCompile(`\{[^}]*\}`).FindAllString(path, -1) {
				if !declared[p] {
					t.Errorf("%s does not declare %s", where, p)
				}
				delete(declared, p)
			}
			if len(declared) > 0 {
				t.Errorf("%s declares %v, which its path lacks", where, declared)
			}
			for status := range o.Responses {
				if status < "200" || status > "599" {
					t.Errorf("%s answers %q", where, status)
				}
			}
		}
	}
}
