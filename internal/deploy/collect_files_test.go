package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/overlay"
	"github.com/orionflows/orion/internal/testenv"
)

// repository writes files into a folder of their own.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		put(t, root, name, text)
	}
	return root
}

const someFlow = `
from prefect import flow
@flow
def load(n: int = 1):
    return n
`

// Each row is a repository that a real client deploys to an overlay of an Orion
// server, forked and in a fresh process.
func TestWhatFilesDoIsCollected(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	server := testenv.Orion(t, testenv.ServerOptions{})
	before := dump(t, server.API())
	runners := map[string][]*Runner{}
	for _, client := range clients(t) {
		vars := append(clientEnv(t), "WHERE="+t.TempDir(), "GREETING=hello", "PREFECT_LOGGING_LEVEL=INFO")
		for _, fresh := range []bool{false, true} {
			runner := NewRunner(RunnerOptions{Env: vars, Fresh: fresh})
			t.Cleanup(runner.Close)
			runners[client.name] = append(runners[client.name], runner)
		}
	}
	for _, row := range []struct {
		name    string
		only220 bool
		fresh   bool // in a process of its own as well
		files   map[string]string
		check   func(t *testing.T, root string, all map[string]Collected, r *overlay.Recording)
	}{
		{
			name: "a block is read as it was saved, and saved over",
			files: map[string]string{"a/flow.py": someFlow, "a/a.deployment.py": `
from prefect.blocks.system import JSON, Secret
from prefect.deployments import Deployment
from prefect.filesystems import LocalFileSystem
from prefect.infrastructure import Process
from flow import load
Secret(value="hush-hush").save("token")
assert Secret.load("token").get() == "hush-hush"
Secret(value="other").save("token", overwrite=True)
assert Secret.load("token").get() == "other"
JSON(value={"a": [1, 2]}).save("settings")
assert JSON.load("settings").value == {"a": [1, 2]}
Process(env={"X": "1"}).save("proc")
d = Deployment.build_from_flow(load, name="d", infrastructure=Process.load("proc"), tags=["t"])
id = d.apply()
import asyncio
from prefect import get_client
async def look():
    async with get_client() as client:
        found = await client.read_deployment(id)
        assert found.tags == ["t"], found
        assert (await client.read_deployment_by_name("load/d")).id == id
        assert [x.id for x in await client.read_deployments()] == [id]
        assert (await client.read_flow_by_name("load")).id == found.flow_id
        assert [x.name for x in await client.read_flows()] == ["load"]
        assert {x.name for x in await client.read_block_documents()} == {"token", "settings", "proc"}
        assert found.infrastructure_document_id == d.infrastructure._block_document_id
asyncio.run(look())
`},
			check: func(t *testing.T, root string, all map[string]Collected, r *overlay.Recording) {
				claim := onlyClaim(t, r)
				if u := claim.Infrastructure; u == nil || u.Name != "proc" || u.Anonymous || !strings.Contains(string(u.Data), `"X"`) {
					t.Errorf("infrastructure %+v", u)
				}
				if printed := fmt.Sprintf("%v %+v %#v %s", r, r, r.Writes, r.Writes[0].Body); strings.Contains(printed, "hush") {
					t.Error("a secret is printed")
				}
				if *claim.Create.Entrypoint.Ptr() != "flow.py:load" || *claim.Create.Path.Ptr() != root+"/a" {
					t.Errorf("%+v", claim.Create)
				}
				var secrets int
				for _, w := range r.Writes {
					if w.Kind == overlay.Block && w.Secret {
						secrets++
					}
				}
				if secrets != 4 {
					t.Errorf("%d writes of blocks", secrets)
				}
			},
		},
		{
			name: "uploads are not made", fresh: true,
			files: map[string]string{"a/flow.py": someFlow, "a/a.deployment.py": `
import os
from prefect.deployments import Deployment
from prefect.filesystems import Azure, LocalFileSystem, RemoteFileSystem
from flow import load
where = os.environ["WHERE"]
local = LocalFileSystem(basepath=where + "/local")
local.save("here")
Deployment.build_from_flow(load, name="local", storage=local, path="p/q", apply=True)
remote = RemoteFileSystem(basepath="memory://bucket/remote")
d = Deployment.build_from_flow(load, name="remote", storage=remote, skip_upload=True, ignore_file="other-ignore")
assert d.apply(upload=True)
azure = Azure(bucket_path="container/base", azure_storage_connection_string="AccountKey=hush-hush")
Deployment.build_from_flow(load, name="azure", storage=azure, apply=True)
Deployment.build_from_flow(load, name="skipped", storage=local, skip_upload=True, apply=True)
local.put_directory(local_path="data", to_path="further")
local.write_path("one.txt", b"x")
assert not os.path.exists(where + "/local")
`},
			check: func(t *testing.T, root string, all map[string]Collected, r *overlay.Recording) {
				c := all["a/a.deployment.py"]
				text, err := json.Marshal(c.Uploads)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(text), "hush") {
					t.Errorf("a secret is reported: %s", text)
				}
				var got []string
				for _, u := range c.Uploads {
					got = append(got, strings.Join([]string{u.What, u.Flow, u.Deployment, u.Storage, u.Path, u.LocalPath, u.IgnoreFile}, "|"))
					if u.CWD != root+"/a" || u.StorageID == "" {
						t.Errorf("%+v", u)
					}
				}
				want := []string{
					"code|load|local|local-file-system|p/q|.|.prefectignore", "code|load|remote|remote-file-system||.|.prefectignore",
					"code|load|azure|azure||.|.prefectignore", "folder|||local-file-system|further|data|", "file|||local-file-system|one.txt||",
				}
				if !slices.Equal(got, want) {
					t.Errorf("got  %q\nwant %q", got, want)
				}
				for _, claim := range r.Claims {
					if claim.Storage == nil || claim.Name == "azure" && (!claim.Storage.Anonymous || claim.Storage.ID.String() != c.Uploads[2].StorageID) {
						t.Errorf("%s: %+v", claim.Name, claim.Storage)
					}
					if claim.Name == "azure" && (strings.Contains(string(claim.Storage.Masked), "hush") || !strings.Contains(string(claim.Storage.Data), "hush")) {
						t.Errorf("masked %s", claim.Storage.Masked)
					}
				}
				if len(r.Claims) != 4 {
					t.Errorf("%d claims", len(r.Claims))
				}
				for _, name := range []string{".prefectignore", "other-ignore"} {
					if _, err := os.Stat(filepath.Join(root, "a", name)); err == nil {
						t.Errorf("%s was left behind", name)
					}
				}
			},
		},
		{
			name: "two files claim one deployment, a third reads what one wrote",
			files: map[string]string{"a/flow.py": someFlow, "a/a.deployment.py": `
from prefect.blocks.system import String
from prefect.deployments import Deployment
from flow import load
String(value="x").save("shared", overwrite=True)
Deployment.build_from_flow(load, name="d", apply=True)
`, "b/flow.py": someFlow, "b/b.deployment.py": `
from prefect.deployments import Deployment
from flow import load
Deployment.build_from_flow(load, name="d", apply=True)
`, "c/c.deployment.py": `
from prefect.blocks.system import String
assert String.load("shared").value == "x"
`},
			check: func(t *testing.T, root string, all map[string]Collected, r *overlay.Recording) {
				if len(r.Conflicts) != 1 || r.Conflicts[0].Deployment != "load/d" ||
					!slices.Equal(r.Conflicts[0].Files, []string{"a/a.deployment.py", "b/b.deployment.py"}) {
					t.Errorf("%+v", r.Conflicts)
				}
				if !slices.Contains(r.Needs["c/c.deployment.py"], "a/a.deployment.py") {
					t.Errorf("%v", r.Needs)
				}
			},
		},
		{
			name: "files fail, each in its way",
			files: map[string]string{"a/flow.py": someFlow, "a/raises.deployment.py": `
from prefect.deployments import Deployment
from flow import load
Deployment.build_from_flow(load, name="d", apply=True)
raise RuntimeError("too late")
`, "b/syntax.deployment.py": "x = (", "c/imports.deployment.py": "import no_such_thing_at_all", "c/requirements.txt": "prefect",
				"d/killed.deployment.py": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
				"f/runs.deployment.py":   "from prefect.deployments import run_deployment\nfrom prefect import flow\n@flow\ndef f(): pass\nf()",
			},
			check: func(t *testing.T, root string, all map[string]Collected, r *overlay.Recording) {
				for rel, want := range map[string]string{
					"a/raises.deployment.py": "RuntimeError: too late", "b/syntax.deployment.py": "SyntaxError", "c/imports.deployment.py": "no_such_thing_at_all",
					"d/killed.deployment.py": "signal 9", "f/runs.deployment.py": "flow_runs",
				} {
					c := all[rel]
					if c.Err == nil || !strings.Contains(c.Err.Error(), want) {
						t.Errorf("%s: %v", rel, c.Err)
					}
				}
				if c := all["c/imports.deployment.py"]; !strings.Contains(c.Hint, "c/requirements.txt") {
					t.Errorf("hint %q", c.Hint)
				}
				if c := all["f/runs.deployment.py"]; !strings.Contains(c.Hint, "--no-atomic") {
					t.Errorf("hint %q", c.Hint)
				}
				if c := all["d/killed.deployment.py"]; c.Inputs.Complete {
					t.Error("a killed file says it has reported all")
				}
				if claim := onlyClaim(t, r); claim.File != "a/raises.deployment.py" {
					t.Errorf("%+v", claim)
				}
			},
		},
		{
			name:  "what it reads is reported",
			fresh: true,
			files: map[string]string{
				"projects/shop/orders/a.deployment.py": `
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from prefect.deployments import Deployment
from flow import load
import helper
try:
    import local_settings
except ImportError:
    pass
assert os.environ["GREETING"] == "hello" and os.getenv("NOT_SET_AT_ALL") is None
with open("../../../settings.ini") as f: f.read()
with open("out.txt", "w") as f: f.write("x")
os.listdir("queries")
Deployment.build_from_flow(load, name="d", apply=True)
`,
				"projects/shop/orders/flow.py": `
import helper
from prefect import flow
from shared.money import cents
@flow
def load():
    import shared.late
    from shared import later
    from second import something
`,
				"projects/shop/orders/helper.py":         "",
				"projects/shop/orders/queries/one.sql":   "",
				"projects/shop/shared/__init__.py":       "",
				"projects/shop/shared/money.py":          "from .deep import x\ndef cents(): pass",
				"projects/shop/shared/deep.py":           "x = 1",
				"projects/shop/shared/late.py":           "import even.later",
				"projects/shop/shared/later.py":          "",
				"projects/shop/shared/unused.py":         "",
				"projects/shop/even/later.py":            "",
				"projects/shop/second/__init__.py":       "something = 1",
				"projects/shop/other/x.py":               "",
				"settings.ini":                           "",
				"projects/shop/orders/unused/strange.py": "import shared.unused_too",
			},
			check: func(t *testing.T, root string, all map[string]Collected, r *overlay.Recording) {
				in := all["projects/shop/orders/a.deployment.py"].Inputs
				if !in.Complete || in.Python == "" || in.Prefect == "" {
					t.Errorf("%+v", in)
				}
				for _, want := range []string{
					"projects/shop/orders/a.deployment.py", "projects/shop/orders/flow.py", "projects/shop/orders/helper.py",
					"projects/shop/shared/__init__.py", "projects/shop/shared/money.py", "projects/shop/shared/late.py", "settings.ini",
				} {
					if !slices.Contains(in.Files, want) {
						t.Errorf("%s is not among %q", want, in.Files)
					}
				}
				for _, name := range in.Files {
					if strings.Contains(name, "__pycache__") || strings.HasSuffix(name, "out.txt") || strings.HasSuffix(name, "shared/unused.py") {
						t.Errorf("%s is among the inputs", name)
					}
				}
				if !slices.Contains(in.Absent, "projects/shop/orders/local_settings.py") {
					t.Errorf("absent %q", in.Absent)
				}
				if !slices.Contains(in.Folders, "projects/shop/orders/queries") {
					t.Errorf("folders %q", in.Folders)
				}
				sum := sha256.Sum256([]byte("hello"))
				if in.Env["GREETING"] != hex.EncodeToString(sum[:]) {
					t.Errorf("env %v", in.Env)
				}
				if v, ok := in.Env["NOT_SET_AT_ALL"]; !ok || v != "" {
					t.Errorf("env %v", in.Env)
				}
				if len(in.Env) != 2 {
					t.Errorf("env %v", in.Env)
				}
				var got []string
				for _, m := range in.Modules {
					got = append(got, fmt.Sprintf("%s %s %v", m.Name, m.Bundle, m.Lazy))
					if m.File != "projects/shop/"+m.Bundle {
						t.Errorf("%+v", m)
					}
				}
				want := []string{
					"even.later even/later.py true", "second second/__init__.py true", "shared shared/__init__.py false",
					"shared.deep shared/deep.py false", "shared.late shared/late.py true", "shared.later shared/later.py true",
					"shared.money shared/money.py false",
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("got  %q\nwant %q", got, want)
				}
			},
		},
		{
			name: "the flow lies outside of the folder",
			files: map[string]string{
				"flows/__init__.py": "", "flows/etl.py": someFlow,
				"deployments/daily/a.deployment.py": `
import os, sys
sys.path.insert(0, os.path.abspath("../.."))
from prefect.deployments import Deployment
from flows.etl import load
Deployment.build_from_flow(load, name="d").apply()
`,
			},
			check: func(t *testing.T, root string, all map[string]Collected, r *overlay.Recording) {
				if got := *onlyClaim(t, r).Create.Entrypoint.Ptr(); got != "flows/etl.py:load" {
					t.Errorf("entrypoint %s", got)
				}
				in := all["deployments/daily/a.deployment.py"].Inputs
				if len(in.Modules) != 2 || in.Modules[1].Bundle != "flows/etl.py" {
					t.Errorf("%+v", in.Modules)
				}
			},
		},
		{
			name: "a prefect.yaml", only220: true, fresh: true,
			files: map[string]string{
				"y/flow.py": someFlow,
				"y/pool.deployment.py": `
import asyncio
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
async def main():
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name="yaml-pool", type="process"))
asyncio.run(main())
`,
				"y/prefect.yaml": `
build:
  - prefect.deployments.steps.run_shell_script:
      script: touch built
  - prefect_docker.deployments.steps.build_docker_image:
      id: build-image
      image_name: registry/x
      tag: "7"
push:
  - prefect_azure.deployments.steps.push_to_azure_blob_storage:
      id: pushed
      container: code
      folder: flows/y
pull:
  - prefect_azure.deployments.steps.pull_from_azure_blob_storage:
      container: "{{ pushed.container }}"
      folder: "{{ pushed.folder }}"
deployments:
  - name: one
    entrypoint: flow.py:load
    work_pool: {name: yaml-pool, job_variables: {image: "{{ build-image.image }}"}}
    schedules: [{cron: "0 1 * * *", timezone: UTC}]
  - name: two
    entrypoint: flow.py:load
    work_pool: {name: yaml-pool}
`,
			},
			check: func(t *testing.T, root string, all map[string]Collected, r *overlay.Recording) {
				c := all["y/prefect.yaml"]
				if len(r.Claims) != 2 || len(c.Uploads) != 2 || c.Uploads[0].Bucket != "code" || c.Uploads[0].Path != "flows/y" {
					t.Fatalf("%+v %+v\n%s", r.Claims, c.Uploads, c.Output)
				}
				claim := r.Claims[0]
				if pull := string(claim.Create.PullSteps.V); !strings.Contains(pull, `"folder":"flows/y"`) {
					t.Errorf("pull %s", pull)
				}
				if !strings.Contains(string(claim.After), `"image":"registry/x:7"`) {
					t.Errorf("after %s", string(claim.After))
				}
				if _, err := os.Stat(filepath.Join(root, "y", "built")); err == nil {
					t.Error("a script was run")
				}
				if !slices.ContainsFunc(c.Warnings, func(s string) bool { return strings.Contains(s, "run_shell_script") }) {
					t.Errorf("warnings %q", c.Warnings)
				}
				if !slices.Contains(c.Inputs.Files, "y/prefect.yaml") || !slices.Contains(c.Inputs.Files, "y/flow.py") {
					t.Errorf("files %q", c.Inputs.Files)
				}
			},
		},
		{
			name: "flow.serve and flow.deploy", only220: true,
			files: map[string]string{"s/flow.py": someFlow, "s/serve.deployment.py": `
from flow import load
if __name__ == "__main__":
    load.serve(name="served")
`, "t/flow.py": someFlow, "t/deploy.deployment.py": `
import asyncio
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from flow import load
async def main():
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name="image-pool", type="docker",
            base_job_template={"job_configuration": {}, "variables": {"properties": {"image": {"type": "string"}}}}))
asyncio.run(main())
load.deploy(name="imaged", work_pool_name="image-pool", image="registry/x:1")
`},
			check: func(t *testing.T, root string, all map[string]Collected, r *overlay.Recording) {
				if len(r.Claims) != 2 {
					t.Errorf("%+v", r.Claims)
				}
				if got := strings.Join(all["s/serve.deployment.py"].Warnings, ";"); !strings.Contains(got, "serves runs itself") {
					t.Errorf("%q", got)
				}
				if got := strings.Join(all["t/deploy.deployment.py"].Warnings, ";"); !strings.Contains(got, "would build image registry/x:1") || !strings.Contains(got, "would push") {
					t.Errorf("%q", got)
				}
			},
		},
	} {
		for _, client := range clients(t) {
			if row.only220 && client.name != "prefect 2.20" {
				continue
			}
			for _, runner := range runners[client.name] {
				fresh := runner.options.Fresh
				if fresh && !row.fresh {
					continue
				}
				name := row.name + ", " + client.name
				if fresh {
					name += ", fresh"
				}
				t.Run(name, func(t *testing.T) {
					root := repository(t, row.files)
					files, err := Discover([]string{root}, DiscoverOptions{Kinds: []Kind{Python, PrefectYAML}})
					if err != nil {
						t.Fatal(err)
					}
					on := collecting(t, server.API())
					var jobs []Job
					for _, file := range files {
						jobs = append(jobs, Job{file, client.env})
					}
					all := map[string]Collected{}
					for _, c := range runner.Collect(t.Context(), on, jobs, CollectOptions{Root: root, Parallel: 1}, nil) {
						all[c.File.Rel] = c
						if c.Err != nil && !strings.Contains(row.name, "fail") {
							t.Fatalf("%s: %v\n%s", c.File.Rel, c.Err, c.Output)
						}
						if c.Warm == fresh {
							t.Errorf("%s: warm is %v", c.File.Rel, c.Warm)
						}
					}
					row.check(t, root, all, recordingOf(t, on))
				})
			}
		}
	}
	if after := dump(t, server.API()); !equalJSON(t, before, after) {
		t.Error("collecting changed the server")
	}
}

// By hand a file's own module comes before one of Python's that was not loaded
// yet; that collect.py needs it must not show.
func TestAFileThatHidesAModuleIsCollectedAllTheSame(t *testing.T) {
	t.Parallel()
	env := python(t)
	warm, _ := runners(t, nil)
	root := repository(t, map[string]string{
		"a/a.deployment.py": `
import json, sys
print(json.mine, sys.argv, sys.stdin.read())
open("data.txt").read()
import http.client
`,
		"a/json.py": "mine = 'my own'", "a/data.txt": "",
	})
	file := newFile(root, filepath.Join(root, "a", "a.deployment.py"), Python)
	on := collecting(t, "http://127.0.0.1:9/api")
	c := warm.Collect(t.Context(), on, []Job{{file, env}}, CollectOptions{}, nil)[0]
	if c.Err != nil || c.Warm || strings.TrimSpace(string(c.Output)) != "my own ['a.deployment.py']" {
		t.Fatalf("%v, warm %v: %s", c.Err, c.Warm, c.Output)
	}
	if want := []string{"a/a.deployment.py", "a/data.txt", "a/json.py"}; !slices.Equal(c.Inputs.Files, want) || !c.Inputs.Complete {
		t.Errorf("%+v", c.Inputs)
	}
}

func TestAFileThatHangsIsStopped(t *testing.T) {
	t.Parallel()
	env := python(t)
	warm, _ := runners(t, nil)
	on := collecting(t, "http://127.0.0.1:9/api")
	job := Job{fileWith(t, "import time\ntime.sleep(600)"), env}
	c := warm.Collect(t.Context(), on, []Job{job}, CollectOptions{Timeout: time.Second}, nil)[0]
	if c.Err == nil || !strings.Contains(c.Err.Error(), job.File.Rel+" did not end within 1s") || c.Inputs.Complete {
		t.Errorf("%v, complete %v", c.Err, c.Inputs.Complete)
	}
}

func onlyClaim(t *testing.T, r *overlay.Recording) overlay.Claim {
	t.Helper()
	if len(r.Claims) != 1 {
		t.Fatalf("%d deployments are claimed: %+v", len(r.Claims), r.Claims)
	}
	return r.Claims[0]
}
