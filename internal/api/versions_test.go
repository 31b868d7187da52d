package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/store"
	"github.com/orionflows/orion/internal/testenv"
)

// onBoth runs a test on a server with SQLite and on one with PostgreSQL.
func onBoth(t *testing.T, f func(t *testing.T, a *app)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, start(t))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		f(t, startOn(t, store.Options{URL: testenv.Postgres(t), Conns: 4}))
	})
}

func (a *app) client() *client.Client {
	a.t.Helper()
	c, err := client.New(client.Options{URL: a.url + "/api", Retries: -1})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(c.Close)
	return c
}

const (
	firstCode  = "1111111111111111111111111111111111111111111111111111111111111111"
	secondCode = "2222222222222222222222222222222222222222222222222222222222222222"
)

// deploy is what a deploy of a repository sends for one deployment.
func deploy(flow, name, path, bundle string) orion.Batch {
	id, flowID := "99999999-0000-4000-8000-000000000001", "99999999-0000-4000-8000-000000000002"
	return orion.Batch{Requests: []orion.BatchRequest{
		{Method: "POST", Path: "/flows/", Body: orion.JSON(`{"name":"` + flow + `"}`), Placeholder: mustID(flowID)},
		{Method: "POST", Path: "/deployments/", Placeholder: mustID(id), Body: orion.JSON(`{"name":"` + name + `","flow_id":"` + flowID + `","path":"` + path + `",
			"entrypoint":"flow.py:f","work_queue_name":"q","parameters":{"path":"` + path + `"},"schedules":[{"schedule":{"cron":"0 6 * * *"},"active":true}]}`)},
		{Method: "POST", Path: "/orion/deployments/" + id + "/versions", Body: orion.JSON(`{"repository":"shop","file":"daily.deployment.py","commit":"c0ffee",
			"bundle":"` + bundle + `","store":"storage","requirements":["prefect==2.20.0"],"declared":{"path":"x"},"inputs":{"files":["flow.py"]}}`)},
	}}
}

func mustID(s string) orion.ID {
	id, err := orion.ParseID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func TestABatchIsCarriedOutWholeOrNotAtAll(t *testing.T) {
	onBoth(t, func(t *testing.T, a *app) {
		c := a.client()
		b := deploy("load", "daily", ".orion/code/1", firstCode)
		b.Requests = append(b.Requests, orion.BatchRequest{Method: "POST", Path: "/deployments/", Body: orion.JSON(`{"name":"broken","flow_id":"` + nobody + `"}`)})
		_, err := c.Batch(t.Context(), b)
		if err == nil || !strings.Contains(err.Error(), "request 3 of the batch") {
			t.Fatalf("a batch with a wrong request: %v", err)
		}
		if got := a.want(200, "POST", "/flows/count", `{}`); got != "0" {
			t.Fatalf("%s flows are left of a batch that failed", got)
		}
		answers, err := c.Batch(t.Context(), deploy("load", "daily", ".orion/code/1", firstCode))
		if err != nil || len(answers) != 3 || answers[1].Status != 201 {
			t.Fatalf("batch: %v %v", answers, err)
		}
		d, err := c.DeploymentByName(t.Context(), "load/daily")
		if err != nil || *d.Path != ".orion/code/1" || len(d.Schedules) != 1 {
			t.Fatalf("the batch's deployment: %+v %v", d, err)
		}
		for what, bad := range map[string]orion.BatchRequest{
			"a request that does not exist":          {Method: "POST", Path: "/nothing/here"},
			"a batch in a batch":                     {Method: "POST", Path: "/orion/batch", Body: orion.JSON(`{"requests":[]}`)},
			"a placeholder for an answer with no id": {Method: "POST", Path: "/flows/count", Body: orion.JSON(`{}`), Placeholder: mustID(nobody)},
		} {
			if _, err := c.Batch(t.Context(), orion.Batch{Requests: []orion.BatchRequest{bad}}); orion.KindOf(err) != orion.Invalid {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func TestABatchRefusesWhenTheServerMoved(t *testing.T) {
	onBoth(t, func(t *testing.T, a *app) {
		c := a.client()
		b := deploy("load", "daily", "one", firstCode)
		b.Expect = []orion.Expectation{{Flow: "load", Deployment: "daily"}}
		if _, err := c.Batch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Batch(t.Context(), b); orion.KindOf(err) != orion.Conflict {
			t.Errorf("a deployment that should not be there yet: %v", err)
		}
		d, err := c.DeploymentByName(t.Context(), "load/daily")
		if err != nil {
			t.Fatal(err)
		}
		b = deploy("load", "daily", "two", secondCode)
		b.Expect = []orion.Expectation{{Flow: "load", Deployment: "daily", Revision: d.Revision()}}
		a.want(204, "PATCH", "/deployments/"+d.ID.String()+"/schedules/"+d.Schedules[0].ID.String(), `{"active":false}`)
		if _, err := c.Batch(t.Context(), b); orion.KindOf(err) != orion.Conflict || !strings.Contains(err.Error(), "load/daily was changed") {
			t.Errorf("a schedule was switched in the meantime: %v", err)
		}
		if d, err = c.DeploymentByName(t.Context(), "load/daily"); err != nil || *d.Path != "one" {
			t.Fatalf("%+v %v", d, err)
		}
		b.Expect[0].Revision = d.Revision()
		if _, err := c.Batch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if d, err = c.DeploymentByName(t.Context(), "load/daily"); err != nil || *d.Path != "two" || d.Schedules[0].Active {
			t.Errorf("after the deploy the path is %s and the schedule is active: %t (%v)", *d.Path, d.Schedules[0].Active, err)
		}
	})
}

func TestVersionsAndTheRunsThatTakeThem(t *testing.T) {
	onBoth(t, func(t *testing.T, a *app) {
		ctx := t.Context()
		c := a.client()
		must := func(_ any, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(c.Batch(ctx, deploy("load", "daily", "one", firstCode)))
		d, err := c.DeploymentByName(ctx, "load/daily")
		must(d, err)
		run := func() *orion.FlowRun {
			t.Helper()
			r, err := c.RunDeployment(ctx, d.ID, orion.DeploymentFlowRunCreate{Parameters: orion.JSON(`{"n":7}`)})
			must(r, err)
			return r
		}
		set := func(id orion.ID, s orion.StateType, claim *client.Claim) *orion.OrchestrationResult {
			t.Helper()
			r, err := c.SetFlowRunState(ctx, id, orion.StateCreate{Type: s}, false, claim)
			must(r, err)
			return r
		}
		code := func(id orion.ID) *orion.RunCode {
			t.Helper()
			r, err := c.RunCode(ctx, id)
			must(r, err)
			return r
		}
		ours := &client.Claim{Owner: "agent", For: 60e9}

		claimed, foreign, undecided, waiting := run(), run(), run(), run()
		set(claimed.ID, orion.Pending, ours)
		set(foreign.ID, orion.Pending, nil)
		set(foreign.ID, orion.Running, nil)
		set(undecided.ID, orion.Pending, nil)
		must(c.Batch(ctx, deploy("load", "daily", "two", secondCode)))
		set(claimed.ID, orion.Running, nil)
		set(undecided.ID, orion.Running, nil)
		for _, w := range []struct {
			what   string
			run    *orion.FlowRun
			number int64
			exact  bool
		}{
			{"claimed by an Orion agent before the deploy, begun after it", claimed, 1, true},
			{"begun by another agent before the deploy", foreign, 1, true},
			{"taken by another agent before the deploy and begun after it", undecided, 2, false},
			{"waiting", waiting, 2, false},
		} {
			if got := code(w.run.ID); got.Version.Number != w.number || got.Exact != w.exact || got.Pinned {
				t.Errorf("a run %s: version %d, exact %t, pinned %t", w.what, got.Version.Number, got.Exact, got.Pinned)
			}
		}
		if got := code(claimed.ID).Deployment; *got.Path != "one" {
			t.Errorf("the code of a run of version 1 is at %s", *got.Path)
		}

		// A process of that run is told where its code is, others are not.
		scoped := func(path string) string {
			_, body := a.send("GET", strings.TrimPrefix(path, a.url+"/api")+"/deployments/"+d.ID.String(), "")
			return field(t, body, "path")
		}
		if got := scoped(c.RunURL(claimed.ID, "")); got != "one" {
			t.Errorf("the run of version 1 reads the path %s", got)
		}
		if got := scoped(c.RunURL(claimed.ID, "/tmp/code of run")); got != "/tmp/code of run" {
			t.Errorf("the run whose code was fetched reads the path %s", got)
		}
		if got := field(t, a.want(200, "GET", "/deployments/"+d.ID.String(), ""), "path"); got != "two" {
			t.Errorf("everybody else reads the path %s", got)
		}

		// Again with the same code: only an agent that can tell versions apart.
		same, err := c.Rerun(ctx, claimed.ID, true)
		must(same, err)
		if got := field(t, a.want(200, "GET", "/flow_runs/"+same.ID.String(), ""), "parameters", "n"); got != "7" {
			t.Errorf("the run again has the parameter %s", got)
		}
		if r := set(same.ID, orion.Pending, nil); r.Status != orion.Abort || !strings.Contains(r.Details.Reason, "version 1") {
			t.Errorf("a Prefect agent took a run of another version: %+v", r)
		}
		if r := set(same.ID, orion.Pending, ours); r.Status != orion.Accept {
			t.Errorf("an Orion agent could not take a run of another version: %+v", r)
		}
		set(same.ID, orion.Running, nil)
		if got := code(same.ID); got.Version.Number != 1 || !got.Exact || !got.Pinned {
			t.Errorf("the run again took %+v", got)
		}
		latest, err := c.Rerun(ctx, claimed.ID, false)
		must(latest, err)
		if r := set(latest.ID, orion.Pending, nil); r.Status != orion.Accept {
			t.Errorf("a Prefect agent could not take a run again with the latest code: %+v", r)
		}

		// Back to what it was, as a version of its own.
		back, err := c.RollBack(ctx, d.ID, 1)
		must(back, err)
		if back.Number != 3 || back.RolledBackTo == nil || *back.RolledBackTo != 1 || *back.Bundle != firstCode {
			t.Errorf("rolled back: %+v", back)
		}
		d, err = c.DeploymentByName(ctx, "load/daily")
		must(d, err)
		if *d.Path != "one" || field(t, string(d.Parameters), "path") != "one" || len(d.Schedules) != 1 {
			t.Errorf("after rolling back: %+v", d)
		}
		if _, err := c.RollBack(ctx, d.ID, 9); orion.KindOf(err) != orion.NotFound {
			t.Errorf("rolling back to a version that never was: %v", err)
		}
		vs, err := c.Versions(ctx, d.ID, 10, 0)
		must(vs, err)
		if len(vs) != 3 || vs[0].Number != 3 || !vs[0].Current || vs[1].Current || vs[2].Commit == nil || *vs[2].Commit != "c0ffee" {
			t.Errorf("versions: %+v", vs)
		}

		if vs, err = c.Versions(ctx, d.ID, 1, 1); err != nil || len(vs) != 1 || vs[0].Number != 2 {
			t.Errorf("the second page of one: %+v %v", vs, err)
		}
		if vs, err = c.Versions(ctx, d.ID, 10, 3); err != nil || len(vs) != 0 {
			t.Errorf("behind the last: %+v %v", vs, err)
		}

		// A deploy in another way leaves the versions behind.
		a.want(201, "POST", "/deployments/", fmt.Sprintf(`{"name":"other","flow_id":"%s"}`, d.FlowID))
		a.want(200, "POST", "/deployments/", fmt.Sprintf(`{"name":"daily","flow_id":"%s","path":"three","work_queue_name":"q"}`, d.FlowID))
		if _, err := c.RunCode(ctx, run().ID); orion.KindOf(err) != orion.NotFound {
			t.Errorf("the code of a run that no deploy made is known: %v", err)
		}
		owned, err := c.OwnedDeployments(ctx, "shop")
		must(owned, err)
		if len(owned) != 1 || owned[0].FlowName != "load" || owned[0].Version.Number != 3 || owned[0].Version.Current {
			t.Errorf("owned: %+v", owned)
		}
		if owned, err = c.OwnedDeployments(ctx, "elsewhere"); err != nil || len(owned) != 0 {
			t.Errorf("owned by another repository: %+v %v", owned, err)
		}
	})
}

func TestBundlesNobodyNeeds(t *testing.T) {
	onBoth(t, func(t *testing.T, a *app) {
		ctx := t.Context()
		c := a.client()
		for i, b := range []string{firstCode, secondCode, firstCode} {
			if _, err := c.Batch(ctx, deploy("load", "daily", fmt.Sprint(i), b)); err != nil {
				t.Fatal(err)
			}
		}
		later := orion.Now().Add(60e9)
		unused := func(since orion.Time) string {
			t.Helper()
			bs, err := c.UnusedBundles(ctx, since)
			if err != nil {
				t.Fatal(err)
			}
			var s []string
			for _, b := range bs {
				s = append(s, b.Bundle[:1]+" in "+string(b.Store))
			}
			return strings.Join(s, ", ")
		}
		if got := unused(orion.Now().Add(-60e9)); got != "" {
			t.Errorf("of what was deployed a minute ago, unused are: %s", got)
		}
		if got := unused(later); got != "2 in storage" {
			t.Errorf("unused: %s, want the second only", got)
		}
		d, err := c.DeploymentByName(ctx, "load/daily")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.RollBack(ctx, d.ID, 2); err != nil {
			t.Fatal(err)
		}
		r, err := c.RunDeployment(ctx, d.ID, orion.DeploymentFlowRunCreate{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.SetFlowRunState(ctx, r.ID, orion.StateCreate{Type: orion.Pending}, false, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.RollBack(ctx, d.ID, 1); err != nil {
			t.Fatal(err)
		}
		if got := unused(later); got != "" {
			t.Errorf("a run refers to the second bundle, and unused are: %s", got)
		}
		if err := c.DeleteFlowRun(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		bs, err := c.UnusedBundles(ctx, later)
		if err != nil || len(bs) != 1 {
			t.Fatalf("after the run is deleted: %+v %v", bs, err)
		}
		if err := c.BundleCollected(ctx, bs[0]); err != nil {
			t.Fatal(err)
		}
		if got := unused(later); got != "" {
			t.Errorf("collected and still listed: %s", got)
		}
		if _, err := c.RollBack(ctx, d.ID, 2); orion.KindOf(err) != orion.Conflict || !strings.Contains(err.Error(), "was removed") {
			t.Errorf("rolling back to code that is gone: %v", err)
		}
	})
}

// A schedule that was paused by hand is not resumed: not by going back to a
// version at which it was paused already, and not by the deploy after that.
func TestNeitherARollbackNorADeployResumesASchedule(t *testing.T) {
	onBoth(t, func(t *testing.T, a *app) {
		c := a.client()
		read := func() *orion.Deployment {
			t.Helper()
			d, err := c.DeploymentByName(t.Context(), "load/daily")
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		deployed := func(path string) {
			t.Helper()
			if _, err := c.Batch(t.Context(), deploy("load", "daily", path, firstCode)); err != nil {
				t.Fatal(err)
			}
		}
		deployed("one")
		d := read()
		at := "/deployments/" + d.ID.String()
		a.want(204, "PATCH", at+"/schedules/"+d.Schedules[0].ID.String(), `{"active":false}`)
		deployed("two") // which has the schedule paused
		deployed("three")
		for _, gone := range []bool{false, true} {
			if gone {
				a.want(204, "DELETE", at+"/schedules/"+read().Schedules[0].ID.String(), "")
			}
			a.want(201, "POST", "/orion"+at+"/rollback", `{"number":2}`)
			if d := read(); len(d.Schedules) != 1 || d.Schedules[0].Active {
				t.Errorf("deleted before: %v, after the rollback: %+v", gone, d.Schedules)
			}
			deployed("four")
			if d := read(); len(d.Schedules) != 1 || d.Schedules[0].Active {
				t.Errorf("deleted before: %v, after the deploy that followed: %+v", gone, d.Schedules)
			}
		}
		// Somebody resumes it, and it stays so.
		a.want(204, "PATCH", at+"/schedules/"+read().Schedules[0].ID.String(), `{"active":true}`)
		a.want(201, "POST", "/orion"+at+"/rollback", `{"number":2}`)
		if d := read(); !d.Schedules[0].Active {
			t.Error("a rollback paused what somebody had resumed since")
		}
	})
}

// What a file declares counts from when it was seen to be there already, as if
// it had been deployed then.
func TestWhatAFileDeclaresIsNotedWithItsInputs(t *testing.T) {
	onBoth(t, func(t *testing.T, a *app) {
		c := a.client()
		if _, err := c.Batch(t.Context(), deploy("load", "daily", "one", firstCode)); err != nil {
			t.Fatal(err)
		}
		d, err := c.DeploymentByName(t.Context(), "load/daily")
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{`{"inputs":{"files":[]},"declared":{"tags":"y"}}`, `{"inputs":{"files":[]}}`} {
			a.want(204, "POST", "/orion/deployments/"+d.ID.String()+"/inputs", body)
			owned, err := c.OwnedDeployments(t.Context(), "shop")
			if err != nil || len(owned) != 1 || fmt.Sprint(owned[0].Version.Declared) != "map[tags:y]" {
				t.Fatalf("after %s: %+v %v", body, owned, err)
			}
		}
	})
}
