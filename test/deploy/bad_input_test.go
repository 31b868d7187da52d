package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

// plainDeployment deploys the flow of marked.
const plainDeployment = `
from prefect.deployments import Deployment
from flow import both
Deployment.build_from_flow(flow=both, name="main", work_queue_name="q", apply=True)
`

// Whatever is wrong with a repository is told, all of it at once and by name,
// with what to do; nothing is deployed of it, and nothing left behind.
func TestWhatIsWrongWithARepositoryIsToldByName(t *testing.T) {
	w := newWorld(t)
	temporary := filepath.Join(w.home, "tmp")
	storage := filepath.Join(w.home, "storage")
	for _, dir := range []string{temporary, storage} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.env = append(w.env, "TMPDIR="+temporary)
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(w.repo, filepath.FromSlash(at))); err != nil {
			t.Fatal(err)
		}
	}
	wants := map[string][]string{}
	folder := func(name, deployment string, words ...string) {
		w.marked(name, name, "v1")
		w.write(name+"/x.deployment.py", deployment)
		if len(words) > 0 {
			wants[name] = append(words, name+"/x.deployment.py")
		}
	}
	folder("good", plainDeployment)
	folder("circle", plainDeployment, "leads back to it, in a circle: remove the link")
	link("..", "circle/up")
	folder("outside", plainDeployment, "outside/away leads to", "so copy it into the repository")
	link(w.home, "outside/away")
	folder("nowhere", plainDeployment, "nowhere/lost", "leads nowhere: remove it, or name it in .prefectignore")
	link("gone", "nowhere/lost")
	folder("large", plainDeployment, "data.bin (3072.0 MB)", "name in .prefectignore what a run does not need")
	if err := os.WriteFile(filepath.Join(w.repo, "large", "data.bin"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(w.repo, "large", "data.bin"), 3<<30); err != nil {
		t.Fatal(err)
	}
	folder("name", plainDeployment, `caf\xe9.txt`, "not UTF-8: rename it")
	if err := os.WriteFile(filepath.Join(w.repo, "name", "caf\xe9.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 { // who may read everything
		folder("unreadable", plainDeployment, "unreadable/secret.txt", "permission denied")
		if err := os.WriteFile(filepath.Join(w.repo, "unreadable", "secret.txt"), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	stored := func(path string) string {
		return `
from prefect.deployments import Deployment
from prefect.filesystems import LocalFileSystem
from flow import both
LocalFileSystem(basepath="` + storage + `").save("code", overwrite=True)
Deployment.build_from_flow(flow=both, name="main", work_queue_name="q", storage=LocalFileSystem.load("code"), path="` + path + `", apply=True)
`
	}
	folder("path", stored("../../elsewhere"), `the path "../../elsewhere"`, "leads out of its storage")
	folder("block", strings.Replace(stored("x"), `load("code")`, `load("not-there")`, 1), "the server has no block local-file-system/not-there: make it first")
	folder("hangs", "import time; time.sleep(600)\n", "did not end within 45s", "--timeout")
	folder("dies", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n", "was ended by signal 9", "ran out of memory")
	folder("requires", plainDeployment, "requires/requirements.txt", "no-such-folder")
	w.write("requires/requirements.txt", "./no-such-folder\n")

	before := w.server()
	cmd := exec.Command(testenv.OrionBinary(t), "deploy", "--timeout", "45s")
	cmd.Env, cmd.Dir = w.env, w.repo
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the deploy ended with %v", err)
	}
	text := string(out)
	for name, words := range wants {
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("%s: %q is missing", name, word)
			}
		}
	}
	if want := fmt.Sprintf("%d of %d files failed, so nothing was deployed", len(wants), len(wants)+1); !strings.Contains(text, want) {
		t.Errorf("%q is missing", want)
	}
	if strings.Contains(text, "good/x.deployment.py") {
		t.Error("what is right is told to be wrong")
	}
	if peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10; peak > 200 {
		t.Errorf("it took %d MB of memory", peak)
	}
	if after := w.server(); after != before {
		t.Errorf("a failed deploy changed the server:\n%s\n%s", before, after)
	}
	for _, dir := range []string{temporary, storage, filepath.Join(w.repo, "..", "elsewhere")} {
		left, err := os.ReadDir(dir)
		if err == nil && len(left) > 0 {
			t.Errorf("left in %s: %v", dir, left)
		}
	}
	testenv.Eventually(t, 20*time.Second, "all processes to end", func() bool { return len(processesOf(w.home)) == 0 })
	if t.Failed() {
		t.Logf("it said:\n%s", text)
	}

	// Not together, what is right is deployed.
	if out, errs, code := w.run("deploy", "--no-atomic", "good", "block", "dies", "requires"); code != 1 || !strings.Contains(w.server(), "good/main") || !strings.Contains(out, "1 file ran, 3 failed") {
		t.Errorf("--no-atomic: exit %d\n%s%s", code, out, errs)
	}
}
