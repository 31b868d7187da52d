package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/testenv"
)

const helloFlow = `
from prefect import flow, get_run_logger

@flow(name="Hello")
def hello(name: str = "world"):
    get_run_logger().info("hello %s, I am version ONE", name)
`

const helloDeployment = `
from prefect.deployments import Deployment
from prefect.client.schemas.schedules import CronSchedule
from flow import hello

for name, cron in [("daily", "0 6 * * *"), ("weekly", "0 6 * * 1")]:
    Deployment.build_from_flow(flow=hello, name=name, work_queue_name="q", tags=["team"], parameters={"name": name},
        schedule=CronSchedule(cron=cron, timezone="Europe/Oslo"), apply=True)
`

func TestADeployIsPlannedMadeAndThenThereIsNothingToDo(t *testing.T) {
	w := newWorld(t)
	w.write("projects/start/hello/flow.py", helloFlow)
	w.write("projects/start/hello/both.deployment.py", helloDeployment)
	w.commit("first")

	before := w.server()
	out := w.ok("plan", "--exit-code=false")
	if !strings.Contains(out, "+ Hello/daily") || !strings.Contains(out, `cron "0 6 * * 1" Europe/Oslo → queue q`) {
		t.Errorf("the plan:\n%s", out)
	}
	if after := w.server(); after != before {
		t.Errorf("a plan changed the server:\n%s\n%s", before, after)
	}
	if _, _, code := w.run("plan", "--exit-code"); code != 3 {
		t.Errorf("plan --exit-code with something to do: exit %d, want 3", code)
	}

	out = w.ok("deploy")
	if !strings.Contains(out, "2 deployments deployed in one step") {
		t.Errorf("the deploy:\n%s", out)
	}
	deployed := w.server()
	out = w.ok("plan", "--exit-code")
	if !strings.Contains(out, "Nothing to do: 2 deployments unchanged.") {
		t.Errorf("the plan after the deploy:\n%s", out)
	}
	// Also when the files are run again.
	out = w.ok("deploy", "--refresh")
	if !strings.Contains(out, "Nothing to do") {
		t.Errorf("a second deploy:\n%s", out)
	}
	if after := w.server(); after != deployed {
		t.Errorf("a second deploy changed the server:\n%s\n%s", deployed, after)
	}

	var v []version
	w.json(&v, "deployment", "history", "Hello/daily")
	if len(v) != 1 || v[0].Commit == nil || v[0].Dirty || *v[0].Message != "first" || v[0].Bundle == nil || len(v[0].Requirements) < 20 {
		t.Errorf("the version: %+v", v)
	}
}

func TestARunRunsTheVersionItTook(t *testing.T) {
	w := newWorld(t)
	w.write("hello/flow.py", helloFlow)
	w.write("hello/both.deployment.py", helloDeployment)
	w.commit("first")
	w.ok("deploy")
	first := w.start("Hello/daily")
	w.agent()
	w.ended(first, "COMPLETED", "hello daily, I am version ONE")

	w.write("hello/flow.py", strings.Replace(helloFlow, "ONE", "TWO", 1))
	w.commit("second")
	out := w.ok("deploy")
	if !strings.Contains(out, "~flow.py") {
		t.Errorf("the deploy does not name the changed file:\n%s", out)
	}
	second := w.start("Hello/daily")
	var again run
	w.json(&again, "flow-run", "rerun", first, "--same-code")
	w.agent()
	w.ended(second, "COMPLETED", "I am version TWO")
	w.ended(again.ID, "COMPLETED", "hello daily, I am version ONE")

	if got := w.ok("flow-run", "code", first, "--show", "flow.py"); !strings.Contains(got, "ONE") {
		t.Errorf("the code of the first run:\n%s", got)
	}
	out = w.ok("deployment", "diff", "Hello/daily")
	if !strings.Contains(out, "~flow.py") {
		t.Errorf("the difference:\n%s", out)
	}
	w.ok("deployment", "rollback", "Hello/daily", "--yes")
	third := w.start("Hello/daily")
	w.agent()
	w.ended(third, "COMPLETED", "I am version ONE")
	// The repository is the truth: the next deploy brings the second back.
	if out := w.ok("plan"); !strings.Contains(out, "~ Hello/daily") || strings.Contains(out, "~ Hello/weekly") {
		t.Errorf("the plan after a rollback:\n%s", out)
	}
}

func TestAFileThatFailsLeavesTheServerAsItWas(t *testing.T) {
	w := newWorld(t)
	w.write("a/flow.py", helloFlow)
	w.write("a/both.deployment.py", helloDeployment)
	w.write("b/raises.deployment.py", `
from prefect.deployments import Deployment
from prefect import flow
@flow
def late(): pass
Deployment.build_from_flow(flow=late, name="x", entrypoint="raises.deployment.py:late", apply=True)
raise RuntimeError("no such table: orders")
`)
	w.write("c/syntax.deployment.py", "def broken(:\n")
	w.write("d/missing.deployment.py", "import pandas_not_there\n")
	w.commit("first")
	before := w.server()
	out, errs, code := w.run("deploy")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"b/raises.deployment.py", "no such table: orders", "c/syntax.deployment.py", "SyntaxError",
		"d/missing.deployment.py", "add pandas_not_there to", "3 of 4 files failed, so nothing was deployed"} {
		if !strings.Contains(out+errs, want) {
			t.Errorf("%q is missing in:\n%s%s", want, out, errs)
		}
	}
	if after := w.server(); after != before {
		t.Errorf("a failed deploy changed the server:\n%s\n%s", before, after)
	}
	out, errs, code = w.run("deploy", "--no-atomic")
	if code != 1 || !strings.Contains(out+errs, "1 file ran, 3 failed") {
		t.Errorf("--no-atomic: exit %d\n%s%s", code, out, errs)
	}
	if got := w.server(); !strings.Contains(got, "Hello/daily") || !strings.Contains(got, "late/x") {
		t.Errorf("--no-atomic left:\n%s", got)
	}
}

func TestWhatWasChangedByHandStays(t *testing.T) {
	w := newWorld(t)
	w.write("hello/flow.py", helloFlow)
	w.write("hello/both.deployment.py", helloDeployment)
	w.commit("first")
	w.ok("deploy")
	d := w.deployment("Hello/daily")
	w.patch("/deployments/"+d.ID+"/schedules/"+d.Schedules[0].ID, `{"active":false}`)
	w.patch("/deployments/"+d.ID, `{"tags":["by hand"],"parameters":{"name":"somebody"}}`)
	out := w.ok("plan", "--exit-code")
	for _, want := range []string{"! Hello/daily", `tags             now ["by hand"]`, `parameters.name  now "somebody"`, "active  now false", "1 drifted."} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%q is missing in the plan:\n%s", want, out)
		}
	}
	// The repository changes something else of it.
	w.write("hello/both.deployment.py", strings.Replace(helloDeployment, `tags=["team"],`, `tags=["team"], description="Says hello.",`, 1))
	w.ok("deploy")
	d = w.deployment("Hello/daily")
	if d.Description != "Says hello." || d.Tags[0] != "by hand" || d.Parameters["name"] != "somebody" || len(d.Schedules) != 1 || d.Schedules[0].Active {
		t.Errorf("after a deploy of something else: %+v", d)
	}
	// The repository changes the same: then it is not a matter of drift.
	w.write("hello/both.deployment.py", strings.Replace(helloDeployment, `["team"]`, `["crew"]`, 1))
	if out := w.ok("plan"); !strings.Contains(out, `["by hand"] → ["crew"]`) || !strings.Contains(out, "(was changed by hand)") {
		t.Errorf("the plan of a conflict:\n%s", out)
	}
	w.ok("deploy")
	d = w.deployment("Hello/daily")
	if d.Tags[0] != "crew" || d.Parameters["name"] != "somebody" || d.Schedules[0].Active {
		t.Errorf("after a deploy of the same: %+v", d)
	}
	// Somebody runs the file alone, and then changes something by hand.
	w.python("hello/both.deployment.py")
	d = w.deployment("Hello/daily")
	w.patch("/deployments/"+d.ID, `{"parameters":{"name":"by hand again"}}`)
	w.ok("deploy")
	d = w.deployment("Hello/daily")
	if d.Parameters["name"] != "by hand again" || d.Schedules[0].Active {
		t.Errorf("after a deploy in another way, a change by hand and a deploy: %+v", d)
	}
	w.ok("deploy", "--overwrite-drift", "--refresh")
	d = w.deployment("Hello/daily")
	if d.Parameters["name"] != "daily" {
		t.Errorf("after giving up what was changed by hand: %+v", d)
	}
}

func TestPruneRemovesWhatLeftTheRepository(t *testing.T) {
	w := newWorld(t)
	w.write("hello/flow.py", helloFlow)
	w.write("hello/both.deployment.py", helloDeployment)
	w.write("old/flow.py", strings.ReplaceAll(helloFlow, "Hello", "Old"))
	w.write("old/old.deployment.py", strings.ReplaceAll(helloDeployment, "weekly", "monthly"))
	w.commit("first")
	w.ok("deploy")
	w.post("/flows/", `{"name":"Stranger"}`)
	w.ok("deployment", "create", filepath.Join(w.repo, "hello", "flow.py")+":hello", "--name", "not ours")
	if err := os.RemoveAll(filepath.Join(w.repo, "old")); err != nil {
		t.Fatal(err)
	}
	out := w.ok("deploy")
	if !strings.Contains(out, "- Old/daily") || !strings.Contains(out, "only with --prune") {
		t.Errorf("without --prune:\n%s", out)
	}
	if got := w.server(); !strings.Contains(got, "Old/monthly") {
		t.Errorf("removed without --prune:\n%s", got)
	}
	if out, errs, code := w.run("deploy", "--prune"); code != 2 || !strings.Contains(errs, "--yes") {
		t.Errorf("--prune without --yes and nobody to ask: exit %d\n%s%s", code, out, errs)
	}
	// A part of the repository says nothing of the rest.
	w.ok("deploy", "hello", "--prune", "--yes")
	if got := w.server(); !strings.Contains(got, "Old/monthly") {
		t.Errorf("removed by a deploy of another folder:\n%s", got)
	}
	w.ok("deploy", "--prune", "--yes")
	if got := w.server(); strings.Contains(got, "Old/") || !strings.Contains(got, "Hello/daily") || !strings.Contains(got, "Hello/not ours") {
		t.Errorf("after --prune:\n%s", got)
	}
	if n := w.post("/flow_runs/count", `{"deployments":{"name":{"any_":["monthly"]}}}`); n != "0" {
		t.Errorf("%s scheduled runs of a removed deployment are left", n)
	}
}

func TestASavedPlanIsHeldTo(t *testing.T) {
	w := newWorld(t)
	w.write("hello/flow.py", helloFlow)
	w.write("hello/both.deployment.py", helloDeployment)
	w.commit("first")
	file := filepath.Join(t.TempDir(), "plan.json")
	w.ok("plan", "--out", file)
	w.write("hello/flow.py", strings.Replace(helloFlow, "ONE", "TWO", 1))
	if _, errs, code := w.run("deploy", "--plan", file); code != 1 || !strings.Contains(errs, "not what was planned") {
		t.Errorf("the code changed since: exit %d %s", code, errs)
	}
	w.ok("plan", "--out", file)
	w.ok("deployment", "create", filepath.Join(w.repo, "hello", "flow.py")+":hello", "--name", "daily")
	if _, errs, code := w.run("deploy", "--plan", file); code != 1 || !strings.Contains(errs, "the server has moved") {
		t.Errorf("the server moved since: exit %d %s", code, errs)
	}
	w.ok("plan", "--out", file)
	w.ok("deploy", "--plan", file)
}

func TestTwoFilesCannotDeclareOneDeployment(t *testing.T) {
	w := newWorld(t)
	w.write("hello/flow.py", helloFlow)
	w.write("hello/a.deployment.py", helloDeployment)
	w.write("hello/b.deployment.py", helloDeployment)
	w.commit("first")
	out, errs, code := w.run("deploy")
	if code != 1 || !strings.Contains(out+errs, "hello/a.deployment.py, hello/b.deployment.py") || !strings.Contains(out+errs, `"Hello/daily"`) {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

func TestSharedModulesGoWithTheCode(t *testing.T) {
	w := newWorld(t)
	w.write("lib/money.py", "def euros(n): return f'{n} EUR'\n")
	w.write("lib/__init__.py", "")
	w.write("lib/late.py", "def later(): return 'imported late'\n")
	w.write("lib/unused.py", "raise RuntimeError('nobody imports this')\n")
	w.write("projects/shop/bill/flow.py", `
from prefect import flow, get_run_logger
from lib.money import euros
@flow(name="Bill")
def bill():
    from lib.late import later
    get_run_logger().info("%s, %s", euros(5), later())
`)
	w.write("projects/shop/bill/daily.deployment.py", `
import sys; sys.path.insert(0, "../../..")
from prefect.deployments import Deployment
from flow import bill
Deployment.build_from_flow(flow=bill, name="daily", work_queue_name="q", apply=True)
`)
	w.commit("first")
	w.ok("deploy")
	id := w.start("Bill/daily")
	out := w.ok("flow-run", "code", id)
	if !strings.Contains(out, "lib/money.py") || !strings.Contains(out, "lib/late.py") || strings.Contains(out, "unused") {
		t.Errorf("the bundle:\n%s", out)
	}
	// It runs far from the repository.
	if err := os.Rename(w.repo, w.repo+"-gone"); err != nil {
		t.Fatal(err)
	}
	w.agent()
	w.ended(id, "COMPLETED", "5 EUR, imported late")
	if err := os.Rename(w.repo+"-gone", w.repo); err != nil {
		t.Fatal(err)
	}
	w.write("lib/money.py", "def euros(n): return f'{n} euros'\n")
	if out := w.ok("plan"); !strings.Contains(out, "~lib/money.py") {
		t.Errorf("a shared module changed, and the plan says:\n%s", out)
	}
}

func TestCodeInAStorage(t *testing.T) {
	w := newWorld(t)
	base := t.TempDir()
	w.write("projects/start/hello/flow.py", helloFlow)
	w.write("projects/start/hello/old.sql", "SELECT 1;\n")
	w.write("projects/start/hello/.prefectignore", "*.deployment.py\n")
	w.write("projects/start/hello/daily.deployment.py", `
from prefect.deployments import Deployment
from prefect.filesystems import LocalFileSystem
from flow import hello
LocalFileSystem(basepath="`+base+`").save("code", overwrite=True)
Deployment.build_from_flow(flow=hello, name="daily", work_queue_name="q", storage=LocalFileSystem.load("code"),
    path="repo/projects/start/hello", apply=True)
`)
	w.commit("first")
	w.ok("plan")
	if entries, _ := os.ReadDir(base); len(entries) > 0 {
		t.Errorf("a plan uploaded %v", entries)
	}
	w.ok("deploy")
	view := filepath.Join(base, "repo", "projects", "start", "hello")
	if _, err := os.Stat(filepath.Join(view, "old.sql")); err != nil {
		t.Errorf("the view: %v", err)
	}
	if _, err := os.Stat(filepath.Join(view, "daily.deployment.py")); err == nil {
		t.Error("the view holds what .prefectignore leaves out")
	}
	first := w.start("Hello/daily")
	w.prefectAgent()
	w.ended(first, "COMPLETED", "I am version ONE")

	w.write("projects/start/hello/flow.py", strings.Replace(helloFlow, "ONE", "TWO", 1))
	if err := os.Remove(filepath.Join(w.repo, "projects", "start", "hello", "old.sql")); err != nil {
		t.Fatal(err)
	}
	w.ok("deploy")
	if _, err := os.Stat(filepath.Join(view, "old.sql")); err == nil {
		t.Error("a file that left the repository is still in the view")
	}
	second := w.start("Hello/daily")
	w.prefectAgent()
	w.ended(second, "COMPLETED", "I am version TWO")
	var again run
	w.json(&again, "flow-run", "rerun", first, "--same-code")
	w.agent()
	w.ended(again.ID, "COMPLETED", "I am version ONE")
	if out := w.ok("plan", "--exit-code"); !strings.Contains(out, "Nothing to do") {
		t.Errorf("the plan after the deploy:\n%s", out)
	}
}

func TestAPrefectServerIsDeployedToAsWell(t *testing.T) {
	w := newWorldOn(t, prefectServer)
	w.write("hello/flow.py", helloFlow)
	w.write("hello/both.deployment.py", helloDeployment)
	w.write("old/flow.py", strings.ReplaceAll(helloFlow, "Hello", "Old"))
	w.write("old/old.deployment.py", strings.ReplaceAll(helloDeployment, "weekly", "monthly"))
	w.commit("first")
	w.ok("deploy")
	if out := w.ok("plan", "--exit-code"); !strings.Contains(out, "Nothing to do") {
		t.Errorf("the plan after the deploy:\n%s", out)
	}
	d := w.deployment("Hello/daily")
	w.patch("/deployments/"+d.ID+"/schedules/"+d.Schedules[0].ID, `{"active":false}`)
	w.write("hello/both.deployment.py", strings.Replace(helloDeployment, `tags=["team"],`, `tags=["team"], description="Says hello.",`, 1))
	if err := os.RemoveAll(filepath.Join(w.repo, "old")); err != nil {
		t.Fatal(err)
	}
	w.ok("deploy", "--prune", "--yes")
	d = w.deployment("Hello/daily")
	if d.Description != "Says hello." || len(d.Schedules) != 1 || d.Schedules[0].Active {
		t.Errorf("a schedule that was paused by hand, after a deploy: %+v", d)
	}
	if got := w.server(); strings.Contains(got, "Old/") {
		t.Errorf("after --prune:\n%s", got)
	}
}

func TestPushStepsOfAPrefectYAML(t *testing.T) {
	w := newWorld(t)
	connection, container := azureContainer(t)
	w.post("/work_pools/", `{"name":"here","type":"process"}`)
	w.write("projects/start/hello/flow.py", helloFlow)
	w.write("projects/start/hello/prefect.yaml", `
name: hello
push:
- prefect_azure.deployments.steps.push_to_azure_blob_storage:
    id: push_code
    container: `+container+`
    folder: repo/projects/start/hello
    credentials:
      connection_string: "`+connection+`"
pull:
- prefect_azure.deployments.steps.pull_from_azure_blob_storage:
    id: pull_code
    container: '{{ push_code.container }}'
    folder: '{{ push_code.folder }}'
    credentials:
      connection_string: "`+connection+`"
deployments:
- name: daily
  entrypoint: flow.py:hello
  work_pool: {name: here}
  schedule: {cron: "0 6 * * *", timezone: Europe/Oslo}
`)
	w.commit("first")
	w.ok("deploy")
	if out := w.ok("plan", "--exit-code"); !strings.Contains(out, "Nothing to do") {
		t.Errorf("the plan after the deploy:\n%s", out)
	}
	first := w.start("Hello/daily")
	w.ok("agent", "start", "-p", "here", "--run-once", "--python", testenv.StoragePython(t))
	w.ended(first, "COMPLETED", "I am version ONE")
	w.write("projects/start/hello/flow.py", strings.Replace(helloFlow, "ONE", "TWO", 1))
	if out := w.ok("deploy"); !strings.Contains(out, "pull steps") {
		t.Errorf("the deploy of changed code:\n%s", out)
	}
	second := w.start("Hello/daily")
	w.ok("agent", "start", "-p", "here", "--run-once", "--python", testenv.StoragePython(t))
	w.ended(second, "COMPLETED", "I am version TWO")
}

func TestFoldersWithTheSameRequirementsAreDeployedEachWithItsOwn(t *testing.T) {
	w := newWorld(t)
	for _, folder := range []string{"projects/a/one/", "projects/a/two/"} {
		w.write(folder+"requirements.txt", "prefect>=2.20,<3\n")
		w.write(folder+"flow.py", strings.ReplaceAll(helloFlow, "Hello", "Hello "+folder[11:14]))
		w.write(folder+"both.deployment.py", helloDeployment)
	}
	w.commit("first")
	if out := w.ok("deploy"); !strings.Contains(out, "4 deployments deployed in one step") {
		t.Errorf("the deploy:\n%s", out)
	}
	if out := w.ok("plan", "--exit-code"); !strings.Contains(out, "Nothing to do: 4 deployments unchanged.") {
		t.Errorf("the plan after the deploy:\n%s", out)
	}
}

// Folders of different generations of Prefect in one repository.
func TestAnOldClientBesideANewOne(t *testing.T) {
	w := newWorld(t)
	const flow = `
import prefect
from prefect import flow, get_run_logger
@flow(name="NAME")
def f():
    get_run_logger().info("code ONE with prefect %s.", prefect.__version__)
`
	deployment := func(schedules string) string {
		return `
from prefect.deployments import Deployment
from prefect.` + schedules + `.schemas.schedules import CronSchedule
from flow import f
Deployment.build_from_flow(flow=f, name="daily", work_queue_name="q", schedule=CronSchedule(cron="0 6 * * *", timezone="UTC"), apply=True)
`
	}
	w.write("old/requirements.txt", "prefect==2.8.7\npydantic<2\ngriffe<0.40\nhttpx<0.25\nanyio<4\napprise<1.7\npendulum<3\ncachetools\nsetuptools<81\n")
	w.write("old/flow.py", strings.Replace(flow, "NAME", "Old", 1))
	w.write("old/daily.deployment.py", deployment("server"))
	w.write("new/flow.py", strings.Replace(flow, "NAME", "New", 1))
	w.write("new/daily.deployment.py", deployment("client"))
	w.commit("first")
	if out := w.ok("plan"); !strings.Contains(out, "+ Old/daily") || !strings.Contains(out, "+ New/daily") {
		t.Errorf("the plan:\n%s", out)
	}
	w.ok("deploy")
	for _, again := range [][]string{{"plan", "--exit-code"}, {"plan", "--exit-code", "--refresh"}} {
		if out, errs, code := w.run(again...); code != 0 {
			t.Errorf("orion %v: exit %d\n%s%s", again, code, out, errs)
		}
	}
	old, now := w.start("Old/daily"), w.start("New/daily")
	w.agent()
	w.ended(old, "COMPLETED", "code ONE with prefect 2.8.7.")
	w.ended(now, "COMPLETED", "code ONE with prefect 2.20.")

	w.write("old/flow.py", strings.NewReplacer("NAME", "Old", "ONE", "TWO").Replace(flow))
	w.commit("second")
	if out := w.ok("deploy"); !strings.Contains(out, "~ Old/daily") || strings.Contains(out, "New/daily") {
		t.Errorf("the deploy:\n%s", out)
	}
	latest := w.start("Old/daily")
	var again run
	w.json(&again, "flow-run", "rerun", old, "--same-code")
	w.agent()
	w.ended(latest, "COMPLETED", "code TWO with prefect 2.8.7.")
	w.ended(again.ID, "COMPLETED", "code ONE with prefect 2.8.7.")
}
