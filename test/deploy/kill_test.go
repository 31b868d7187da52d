package deploy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

// On each database.
const (
	kills         = 100
	runsByOrion   = 10
	runsByPrefect = 2 // by Prefect's own agent
)

// A deploy is killed again and again, at any time: before and after each, all
// deployments are of one version, and so is what every run reads.
func TestDeploysThatAreKilledMoveAllOrNothing(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { killDeploys(newWorld(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		killDeploys(newWorldOn(t, func(t *testing.T) *testenv.Server {
			return testenv.Orion(t, testenv.ServerOptions{DatabaseURL: testenv.Postgres(t)})
		}))
	})
}

func killDeploys(w *world) {
	t := w.t
	storage := t.TempDir()
	w.write("disk/all.deployment.py", `
from prefect.deployments import Deployment
from prefect.filesystems import LocalFileSystem
from flow import both, VERSION
LocalFileSystem(basepath="`+storage+`").save("code", overwrite=True)
for n in range(6):
    Deployment.build_from_flow(flow=both, name=f"d{n}", work_queue_name="prefect" if n == 0 else "q", storage=LocalFileSystem.load("code"),
        path="repo/disk", parameters={"version": VERSION}, apply=True)
`)
	w.write("server/all.deployment.py", `
from prefect.deployments import Deployment
from flow import both, VERSION
for n in range(6):
    Deployment.build_from_flow(flow=both, name=f"s{n}", work_queue_name="q", parameters={"version": VERSION}, apply=True)
`)
	w.write(".gitignore", "__pycache__\n")
	mark := func(version string) {
		w.marked("disk", "Disk", version)
		w.marked("server", "Server", version)
		w.commit(version)
	}
	mark("v0")
	deploying := startDeploy(w)
	deploying.planned()
	whole, applying := deploying.end(t)

	orionAgent := background(w, testenv.OrionBinary(t), "agent", "start", "-q", "q")
	prefectAgent := background(w, filepath.Join(filepath.Dir(testenv.Python220(t)), "prefect"), "agent", "start", "-q", "prefect", "--hide-welcome")

	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	killed := map[string]int{}
	runs := map[string]string{} // id → who runs it
	underWay := map[string]bool{}
	now, done, round, begun := "v0", 0, 0, time.Now()
	for ; done < kills && round < 3*kills/2; round++ {
		next := fmt.Sprintf("v%d", round+1)
		mark(next)
		d := startDeploy(w)
		// A third are killed at any time of the whole, the others once they have
		// planned: then the code is uploaded and the server moved.
		anyTime := round%3 == 0
		if anyTime {
			d.wait(time.Duration(random.Float64() * float64(whole)))
		} else {
			d.planned()
			d.wait(time.Duration(random.Float64() * 1.2 * float64(applying)))
		}
		starts := round%(kills/(runsByOrion+runsByPrefect)) == 0
		if starts {
			// Which of both comes first is left to chance.
			go d.kill()
			name, agent := fmt.Sprintf("Server/s%d", random.IntN(6)), "orion"
			switch {
			case len(runs)%6 == 0:
				name, agent = "Disk/d0", "prefect"
			case len(runs)%2 == 0:
				name = fmt.Sprintf("Disk/d%d", 1+random.IntN(5))
			}
			runs[w.start(name)] = agent
		}
		d.kill()
		found := w.oneVersion(storage)
		if done > 0 && done%20 == 0 {
			t.Logf("%s: %d killed: %v", time.Since(begun).Round(time.Second), done, killed)
		}
		failed := func(why string) {
			t.Helper()
			t.Fatalf("round %d (seed %d): %s: the server was at %s, %s was deployed, and now it is at %s\n%s", round, seed, why, now, next, found, d.errs.String())
		}
		// The server may have been told all by one that was killed before, and have
		// been at work on it while it was looked at.
		moved := underWay[found]
		delete(underWay, found)
		if found != now && found != next && !moved {
			failed("all is of a wrong version")
		}
		now = found
		switch {
		case d.ended && found != next:
			failed("it ended well")
		case d.ended:
			// It was faster: a measurement, and no kill.
			whole, applying = (whole+d.took)/2, (applying+d.took-d.plannedAt)/2
			killed["too late"]++
			continue
		case !d.killed && !(moved && strings.Contains(d.errs.String(), "was changed")):
			failed("it failed")
		case !d.killed:
			killed["refused, as one before had still been on its way"]++
			continue
		}
		underWay[next] = found != next
		done++
		switch {
		case found == next:
			killed["after the server moved"]++
		case d.plannedAt == 0:
			killed["while it planned"]++
		case !holds(storage, next):
			killed["while it uploaded"]++
		default:
			killed["before the server moved"]++
		}
	}
	t.Logf("seed %d, %d deploys, %d killed: %v; a whole one took %s, %s of it after the plan", seed, round, done, killed, whole.Round(time.Millisecond), applying.Round(time.Millisecond))
	if done < kills {
		t.Errorf("only %d of %d deploys could be killed in time", done, round)
	}
	for _, when := range []string{"while it planned", "while it uploaded", "after the server moved"} {
		if killed[when] == 0 {
			t.Errorf("none was killed %s", when)
		}
	}
	by := map[string]int{}
	for id, agent := range runs {
		w.ended(id, "COMPLETED", "read only v")
		by[agent]++
		var code struct {
			Exact   bool
			Version struct{ Message string }
		}
		if err := json.Unmarshal([]byte(w.request("GET", "/orion/flow_runs/"+id+"/code", "")), &code); err != nil {
			t.Fatal(err)
		}
		if code.Exact {
			w.ended(id, "COMPLETED", "read only "+code.Version.Message+".")
		} else if agent == "orion" {
			t.Errorf("run %s: what it ran is not certain", id)
		}
	}
	if by["orion"] < runsByOrion || by["prefect"] < runsByPrefect {
		t.Errorf("only so many runs were started: %v", by)
	}
	orionAgent()
	prefectAgent()

	mark("last")
	w.ok("deploy")
	if found := w.oneVersion(storage); found != "last" {
		t.Errorf("in the end the server is at %s", found)
	}
	if out := w.ok("plan", "--exit-code"); !strings.Contains(out, "Nothing to do") {
		t.Errorf("the plan in the end:\n%s", out)
	}
	testenv.Eventually(t, 20*time.Second, "the interpreters of the killed to end", func() bool { return len(processesOf(w.home)) == 0 })
}

// deploying is an `orion deploy` that may be killed.
type deploying struct {
	cmd       *exec.Cmd
	begun     time.Time
	errs      bytes.Buffer
	plan      chan struct{} // closed when it has planned
	over      chan struct{}
	ended     bool // well, by itself
	killed    bool
	took      time.Duration // until the end
	plannedAt time.Duration // 0 when it was killed before
}

func startDeploy(w *world) *deploying {
	w.t.Helper()
	d := &deploying{cmd: exec.Command(testenv.OrionBinary(w.t), "deploy"), begun: time.Now(), plan: make(chan struct{}), over: make(chan struct{})}
	d.cmd.Env, d.cmd.Dir, d.cmd.Stderr = w.env, w.repo, &d.errs
	d.cmd.WaitDelay = 5 * time.Second
	stdout, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(d.over)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if d.plannedAt == 0 {
				d.plannedAt = time.Since(d.begun)
				close(d.plan)
			}
		}
		d.ended = d.cmd.Wait() == nil
		d.killed = d.cmd.ProcessState.ExitCode() < 0
		d.took = time.Since(d.begun)
	}()
	return d
}

// planned waits until it has shown its plan.
func (d *deploying) planned() {
	select {
	case <-d.plan:
	case <-d.over:
	}
}

func (d *deploying) wait(t time.Duration) {
	select {
	case <-time.After(t):
	case <-d.over:
	}
}

func (d *deploying) kill() {
	_ = d.cmd.Process.Kill() // it may have ended
	<-d.over
}

func (d *deploying) end(t *testing.T) (whole, applying time.Duration) {
	t.Helper()
	<-d.over
	if !d.ended {
		t.Fatalf("the deploy failed\n%s", d.errs.String())
	}
	return d.took, d.took - d.plannedAt
}

// oneVersion is the version that all deployments are of.
func (w *world) oneVersion(storage string) string {
	w.t.Helper()
	list := func() (ds []deployment, state string) {
		if err := json.Unmarshal([]byte(w.post("/deployments/filter", `{"sort":"NAME_ASC"}`)), &ds); err != nil {
			w.t.Fatal(err)
		}
		for _, d := range ds {
			state += d.Updated + " "
		}
		return ds, state
	}
	// The server may still be at work for who was killed: what is read in
	// several requests counts if nothing moved meanwhile.
	for {
		ds, before := list()
		found := w.versionOf(ds, storage)
		if _, after := list(); before == after {
			return found
		}
	}
}

// versionOf is the version of deployments, by all that says it: their settings,
// the records of their versions, and the code in the storage.
func (w *world) versionOf(ds []deployment, storage string) (found string) {
	w.t.Helper()
	seen := map[string][]string{}
	bundles := map[string]bool{}
	for _, d := range ds {
		found = fmt.Sprint(d.Parameters["version"])
		if strings.HasPrefix(d.Name, "d") {
			for _, file := range []string{"flow.py", "part.py", "late.py"} {
				b, err := os.ReadFile(filepath.Join(storage, d.Path, file))
				if err != nil || !strings.Contains(string(b), fmt.Sprintf("VERSION = %q", found)) {
					w.t.Fatalf("%s is of version %s, and its code in %s is not: %v %s", d.Name, found, d.Path, err, b)
				}
			}
		}
		var vs []version
		if err := json.Unmarshal([]byte(w.request("GET", "/orion/deployments/"+d.ID+"/versions?limit=1", "")), &vs); err != nil || len(vs) != 1 {
			w.t.Fatalf("%s has %d versions: %v", d.Name, len(vs), err)
		}
		seen[found] = append(seen[found], d.Name)
		seen[*vs[0].Message] = append(seen[*vs[0].Message], d.Name)
		bundles[*vs[0].Bundle] = true
	}
	if len(ds) != 12 || len(seen) != 1 || len(bundles) != 2 {
		return fmt.Sprintf("a mixture: %v, bundles %v", seen, bundles)
	}
	return found
}

// holds tells whether the storage has the whole code of a version.
func holds(storage, version string) bool {
	files, _ := filepath.Glob(filepath.Join(storage, ".orion", "code", "*", "part.py")) // the pattern is a pattern
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(b), fmt.Sprintf("%q", version)) {
			_, err = os.Stat(filepath.Join(storage, ".orion", "manifests", filepath.Base(filepath.Dir(file))+".json"))
			return err == nil
		}
	}
	return false
}

// background starts what ends when the function is called, or the test.
func background(w *world, program string, args ...string) (stop func()) {
	w.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir = append(w.env, "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH")), w.home
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, 5*time.Second
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGINT) // it may have ended
		late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // how an agent ends when it is interrupted is not the matter here
		late.Stop()
		if w.t.Failed() {
			w.t.Logf("%s printed:\n%.4000s", program, out.String())
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// processesOf are those with a home in their environment.
func processesOf(home string) (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // none elsewhere than on Linux
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err == nil && bytes.Contains(b, []byte("HOME="+home+"\x00")) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline")) // it may have ended
			found = append(found, strings.ReplaceAll(string(name), "\x00", " "))
		}
	}
	return found
}
