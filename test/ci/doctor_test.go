package ci

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/testenv"
)

const flow = `
from prefect import flow

@flow(name="Load")
def load(day: int = 1, table: str = "orders"):
    pass
`

// deployment is a deployment file that adds arguments to the usual ones.
func deployment(name, imports, arguments string) string {
	return fmt.Sprintf(`
from prefect.deployments import Deployment
from prefect.client.schemas.schedules import CronSchedule
%s
from flow import load
Deployment.build_from_flow(flow=load, name=%q, work_queue_name="q", apply=True%s)
`, imports, name, arguments)
}

type report struct {
	Findings []struct {
		Level, File, What, Fix string
		Line                   int
	}
	NotChecked []string `json:"not_checked"`
}

func (w *world) doctor(args ...string) (r report, code int) {
	w.t.Helper()
	out, errs, code := w.run(nil, append([]string{"doctor", "--output", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		w.t.Fatalf("orion doctor: exit %d, %v in %s%s", code, err, out, errs)
	}
	return r, code
}

// polled makes a queue look as if an agent was there.
func (w *world) polled(name string) {
	w.t.Helper()
	var q struct{ ID string }
	w.request("GET", "/work_queues/name/"+name, "", &q)
	w.request("POST", "/work_queues/"+q.ID+"/get_runs", `{}`, nil)
}

// byHand gives a deployment a block, as somebody might on the page, and deletes
// one after that.
func (w *world) byHand(deployment, field, block, gone string) {
	w.t.Helper()
	id := func(path string) string {
		var x struct{ ID string }
		w.request("GET", path, "", &x)
		return x.ID
	}
	document := func(block string) string {
		slug, name, _ := strings.Cut(block, "/")
		return id("/block_types/slug/" + slug + "/block_documents/name/" + name)
	}
	given, deleted := document(block), document(gone)
	w.request("PATCH", "/deployments/"+id("/deployments/name/"+strings.ReplaceAll(deployment, " ", "%20")), `{"`+field+`":"`+given+`"}`, nil)
	w.request("DELETE", "/block_documents/"+deleted, "", nil)
}

func TestADoctorWhoFindsNothing(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(filepath.Join(w.home, "code"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.python(fmt.Sprintf(`
from prefect.blocks.system import Secret
from prefect.filesystems import LocalFileSystem
from prefect.variables import Variable
Secret(value="x").save("token")
LocalFileSystem(basepath=%q).save("code")
`, filepath.Join(w.home, "code")))
	w.ok("variable", "set", "region", "north")
	w.ok("work-queue", "create", "q")
	w.write("load/flow.py", flow+`
def later():
    from prefect.blocks.system import Secret
    from prefect import variables
    return Secret.load("token"), variables.get("region")
`)
	w.write("load/daily.deployment.py", deployment("daily", "from prefect.filesystems import LocalFileSystem",
		`, storage=LocalFileSystem.load("code"), schedule=CronSchedule(cron="0 6 * * *", timezone="Europe/Oslo")`))
	w.commit("first")
	w.polled("q")
	out := w.ok("doctor")
	if !strings.Contains(out, "All is well with 1 deployment of 1 file.") {
		t.Errorf("the doctor says:\n%s", out)
	}
	r, code := w.doctor()
	if code != 0 || len(r.Findings)+len(r.NotChecked) > 0 {
		t.Errorf("exit %d, %+v", code, r)
	}
	// Nothing stays in the storage but folders, nothing comes to the server.
	_ = filepath.WalkDir(filepath.Join(w.home, "code"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("the doctor left %s", path)
		}
		return nil // a folder that is not there has nothing in it
	})
	var ds []json.RawMessage
	w.request("POST", "/deployments/filter", `{}`, &ds)
	if len(ds) > 0 {
		t.Errorf("the doctor made deployments: %s", ds)
	}
}

func TestADoctorFindsWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	// A double of a registry that everybody may ask, and that has one image.
	registry := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			fmt.Fprint(rw, `{"token":"visitor"}`)
		case r.Header.Get("Authorization") != "Bearer visitor":
			rw.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="registry"`)
			rw.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path != "/v2/team/load/manifests/1.0":
			rw.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(registry.Close)
	host := strings.TrimPrefix(registry.URL, "http://")

	notAFolder := filepath.Join(w.home, "file")
	if err := os.WriteFile(notAFolder, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w.python(fmt.Sprintf(`
from prefect.filesystems import LocalFileSystem
LocalFileSystem(basepath=%q).save("code")
LocalFileSystem(basepath=%q).save("broken")
LocalFileSystem(basepath="/tmp").save("gone")
`, filepath.Join(w.home, "code"), notAFolder))
	w.ok("work-pool", "create", "pool", "--type", "process")
	w.ok("work-queue", "create", "limited")
	w.ok("work-queue", "set-concurrency-limit", "limited", "1")
	w.ok("work-queue", "create", "still")
	w.ok("work-queue", "pause", "still")
	storage := "from prefect.filesystems import LocalFileSystem"

	for path, text := range map[string]string{
		"byhand/x.deployment.py":        deployment("byhand", "", ""),
		"storage/x.deployment.py":       deployment("storage", storage, `, storage=LocalFileSystem.load("broken")`),
		"noblock/x.deployment.py":       deployment("noblock", storage, `, storage=LocalFileSystem.load("no-such-block")`),
		"entry/x.deployment.py":         deployment("entry", storage, `, storage=LocalFileSystem.load("code")`),
		"entry/.prefectignore":          "flow.py\n",
		"parameters/x.deployment.py":    deployment("parameters", "", `, parameters={"day": "tomorrow"}`),
		"missing/x.deployment.py":       deployment("missing", "", `, schedule=CronSchedule(cron="0 6 * * *")`),
		"missing/flow.py":               strings.Replace(flow, "day: int = 1", "day: int", 1),
		"template/x.deployment.py":      deployment("template", "", `, work_pool_name="pool", job_variables={"env": {"TOKEN": "{{ prefect.blocks.secret.no-such-secret }}", "R": "{{ prefect.variables.no_such_variable }}"}}`),
		"nopool/x.deployment.py":        deployment("nopool", "", `, work_pool_name="no-such-pool"`),
		"cron/x.deployment.py":          deployment("cron", "", `, schedule=CronSchedule(cron="61 6 * * *")`),
		"zone/x.deployment.py":          deployment("zone", "", `, schedule=CronSchedule(cron="0 6 * * *", timezone="Europe/Olso")`),
		"requirements/x.deployment.py":  deployment("requirements", "", ""),
		"requirements/requirements.txt": "prefect==2.20.*\nno-such-package-of-orions-tests==1\n",
		"collide/x.deployment.py": strings.Replace(deployment("collide", "from prefect.client.schemas.objects import MinimalDeploymentSchedule", `,
    schedules=[MinimalDeploymentSchedule(schedule=CronSchedule(cron="0 6 * * *")), MinimalDeploymentSchedule(schedule=CronSchedule(cron="0 6 * * 1"))]`), `"q"`, `"still"`, 1),
		"never/x.deployment.py": deployment("never", "", `, schedule=CronSchedule(cron="0 0 30 2 *")`),
		"crowd/x.deployment.py": strings.Replace(deployment("one", "", `, schedule=CronSchedule(cron="0 6 * * *")`)+
			`Deployment.build_from_flow(flow=load, name="two", work_queue_name="q", schedule=CronSchedule(cron="0 6 * * *"), apply=True)`, `"q"`, `"limited"`, -1),
		"image/x.deployment.py":    deployment("image", "", `, work_pool_name="pool", job_variables={"image": "`+host+`/team/load:2.0"}`),
		"image/y.deployment.py":    deployment("image-there", "", `, work_pool_name="pool", job_variables={"image": "`+host+`/team/load:1.0"}`),
		"image/z.deployment.py":    deployment("image-form", "", `, work_pool_name="pool", job_variables={"image": "Team/Load:"}`),
		"image/away.deployment.py": deployment("image-away", "", `, work_pool_name="pool", job_variables={"image": "127.0.0.1:1/team/load:1.0"}`),
		"source/x.deployment.py":   deployment("source", "", ""),
		"source/flow.py": flow + `
def later():
    from prefect.blocks.system import Secret
    from prefect import variables
    # Secret.load("only-a-comment")
    return Secret.load("forgotten"), variables.get("region"), variables.get("else", "default"), Elsewhere.load("no-block")
`,
	} {
		w.write(path, text)
		folder, _, _ := strings.Cut(path, "/")
		if _, err := os.Stat(filepath.Join(w.repo, folder, "flow.py")); err != nil {
			w.write(folder+"/flow.py", strings.Replace(flow, `"Load"`, fmt.Sprintf("%q", "Load "+folder), 1))
		}
	}
	w.commit("first")
	// Somebody gives a deployment another storage by hand, and deletes it later.
	w.ok("deploy", "byhand")
	w.byHand("Load byhand/byhand", "storage_document_id", "local-file-system/gone", "local-file-system/gone")

	r, code := w.doctor()
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	for _, c := range []struct{ level, file, what, fix string }{
		{"error", "byhand/x.deployment.py", `the storage block of "Load byhand/byhand" does not exist any more`, "Save the block again"},
		{"error", "storage/x.deployment.py", "the storage of", ""},
		{"error", "noblock/x.deployment.py", "there is no block local-file-system/no-such-block", "Save a block of type local-file-system"},
		{"error", "entry/x.deployment.py", "the entrypoint flow.py:load", ".prefectignore"},
		{"error", "parameters/x.deployment.py", "do not fit the flow", "Change the deployment's parameters"},
		{"error", "missing/x.deployment.py", "its runs would miss a parameter", "Give the deployment a value"},
		{"error", "template/x.deployment.py", "there is no block secret/no-such-secret", "Save a block of type secret"},
		{"error", "template/x.deployment.py", `there is no variable "no_such_variable"`, "orion variable set no_such_variable VALUE"},
		{"error", "nopool/x.deployment.py", "no-such-pool", "orion work-pool create no-such-pool"},
		{"error", "cron/x.deployment.py", "61 6 * * *", ""},
		{"error", "zone/x.deployment.py", "Europe/Olso", ""},
		{"error", "requirements/requirements.txt", "no-such-package-of-orions-tests", ""},
		{"warning", "collide/x.deployment.py", "two schedules of \"Load collide/collide\" start a run at the same time", "Change one of the schedules"},
		{"warning", "never/x.deployment.py", "has no time to come", "Correct the schedule"},
		{"hint", "crowd/x.deployment.py", "2 deployments start at 06:00 UTC in the queue limited, which lets 1 run at once", "Spread the schedules"},
		{"error", "image/x.deployment.py", "has no image " + host + "/team/load:2.0", "Push the image"},
		{"error", "image/z.deployment.py", `an image that no registry can have: "Team/Load:"`, "lower case"},
		{"warning", "source/flow.py", "there is no block secret/forgotten", "Save a block of type secret"},
		{"warning", "source/flow.py", `there is no variable "region"`, "orion variable set region VALUE"},
		{"warning", "byhand/x.deployment.py", "no agent has ever asked the queue q", "orion agent start -q q"},
		{"warning", "collide/x.deployment.py", "the queue still is paused", "orion work-queue resume still"},
		{"hint", "image/away.deployment.py", "the queue q of the pool pool will be made", "orion agent start -p pool"},
	} {
		found := false
		for _, f := range r.Findings {
			found = found || f.Level == c.level && f.File == c.file && strings.Contains(f.What, c.what) && strings.Contains(f.Fix, c.fix) && f.Fix != ""
		}
		if !found {
			t.Errorf("not found: %+v", c)
		}
	}
	for _, f := range r.Findings {
		for _, not := range []string{"only-a-comment", "no-block", "team/load:1.0", `"else"`} {
			if strings.Contains(f.What, not) {
				t.Errorf("found where nothing is wrong: %+v", f)
			}
		}
	}
	if len(r.NotChecked) != 1 || !strings.Contains(r.NotChecked[0], "127.0.0.1:1/team/load:1.0") {
		t.Errorf("not checked: %q", r.NotChecked)
	}
	if t.Failed() {
		for _, f := range r.Findings {
			t.Logf("%s %s:%d\n\t%s\n\t→ %s", f.Level, f.File, f.Line, f.What, f.Fix)
		}
	}
}

func TestADeployWithACheckStopsAtAnError(t *testing.T) {
	w := newWorld(t)
	w.write("load/flow.py", flow)
	w.write("load/x.deployment.py", deployment("x", "", `, parameters={"day": "tomorrow"}`))
	w.commit("first")
	out, errs, code := w.run(nil, "deploy", "--check")
	if code != 1 || !strings.Contains(errs, "the check found 1 error, so nothing was deployed") || !strings.Contains(errs, "load/x.deployment.py") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	var ds []json.RawMessage
	w.request("POST", "/deployments/filter", `{}`, &ds)
	if len(ds) > 0 {
		t.Errorf("deployed all the same: %s", ds)
	}
	if _, errs, code = w.run(nil, "plan", "--check"); code != 1 || !strings.Contains(errs, "do not fit the flow") {
		t.Errorf("plan --check: exit %d\n%s", code, errs)
	}
	// A warning stops nothing.
	w.write("load/x.deployment.py", deployment("x", "", ""))
	w.commit("second")
	if out, errs, code = w.run(nil, "deploy", "--check"); code != 0 || !strings.Contains(errs, "hint") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// A file of which nothing changed is not run for the check, but what its
// deployment has on the server is looked at.
func TestACheckLooksAtDeploymentsThatStay(t *testing.T) {
	w := newWorld(t)
	w.python(`
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
class Outer(Block):
    inner: Secret
inner = Secret(value="x")
inner.save("inner")
Outer(inner=inner).save("outer")
`)
	w.write("load/flow.py", flow)
	w.write("load/x.deployment.py", deployment("x", "", ""))
	w.commit("first")
	w.ok("deploy")
	w.byHand("Load/x", "infrastructure_document_id", "outer/outer", "secret/inner")
	out, errs, code := w.run(nil, "plan", "--check")
	if code != 1 || !strings.Contains(errs, `the infrastructure block outer/outer of "Load/x" has no inner`) || !strings.Contains(errs, "1 of them unchanged") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// A storage is tried with the identity at hand, and the finding says what to do
// about it.
func TestADoctorTriesTheStorage(t *testing.T) {
	w := newWorld(t)
	w.python(fmt.Sprintf(`
from prefect.filesystems import Azure
Azure(bucket_path="not-there-yet/prod", azure_storage_connection_string=%q).save("flows")
`, "DefaultEndpointsProtocol=http;AccountName="+testenv.AzuriteAccount+";AccountKey="+testenv.AzuriteKey+";BlobEndpoint="+testenv.Azurite(t)+";"))
	w.write("load/flow.py", flow)
	w.write("load/x.deployment.py", deployment("x", "from prefect.filesystems import Azure", `, storage=Azure.load("flows")`))
	w.commit("first")
	r, code := w.doctor()
	if code != 1 || len(r.Findings) == 0 || r.Findings[0].File != "load/x.deployment.py" || !strings.Contains(r.Findings[0].What, "the container does not exist") ||
		!strings.Contains(r.Findings[0].Fix, "az storage container create --name not-there-yet") {
		t.Errorf("exit %d, %+v", code, r)
	}
}
