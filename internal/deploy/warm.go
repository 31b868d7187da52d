package deploy

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/orionflows/orion/internal/proctree"
	"github.com/orionflows/orion/internal/pyenv"
)

//go:embed warm.py
var warmProgram string

// bootstrap runs the program that comes on standard input.
const bootstrap = "import sys; exec(compile(sys.stdin.read(), '<orion>', 'exec'))"

// needsFresh says why a file cannot run in a warm interpreter. It was not begun.
type needsFresh struct{ why string }

func (e needsFresh) Error() string { return e.why }

// warm is an interpreter that runs warm.py.
type warm struct {
	python string
	stamp  string
	ready  chan struct{} // closed when it takes requests, or never will
	err    error         // why it never will; set before ready is closed
	conn   *packets

	mu      sync.Mutex
	users   int
	used    time.Time
	retired bool
	over    bool // no answers come any more
	next    int
	pending map[int]chan answer
}

type request struct {
	ID     int               `json:"id"`
	Folder string            `json:"folder"`
	Name   string            `json:"name"`
	Env    map[string]string `json:"env"`
	Path   []string          `json:"path"`
	// Source is run in the place of the file, with Argv.
	Source  string   `json:"source,omitempty"`
	Argv    []string `json:"argv,omitempty"`
	Collect *shim    `json:"collect,omitempty"`
}

// newRequest asks for a file to be run, with what comes before it, if anything.
func newRequest(file File, pythonPath string, before *shim) request {
	r := request{Folder: file.Folder, Name: file.script(),
		Env: map[string]string{"PWD": file.Folder}, Path: []string{}, Collect: before}
	if file.Kind == PrefectYAML {
		r.Source, r.Argv = prefectProgram, append([]string{"prefect"}, prefectArguments...)
	}
	if pythonPath != "" {
		r.Env["PYTHONPATH"] = pythonPath
		r.Path = filepath.SplitList(pythonPath)
	}
	return r
}

type answer struct {
	ID    int     `json:"id"`
	Ready *string `json:"ready"`
	PID   int     `json:"pid"`
	Fresh string  `json:"fresh"`
	Exit  *int    `json:"exit"`
}

// startWarm starts an interpreter. wait is held until the process has ended.
func startWarm(env pyenv.Environment, environ []string, stamp string, wait *sync.WaitGroup, log func(string)) *warm {
	w := &warm{python: env.Python, stamp: stamp, ready: make(chan struct{}), pending: map[int]chan answer{}, used: time.Now()}
	conn, theirs, err := newPackets()
	if err != nil {
		w.err, w.over = err, true
		close(w.ready)
		return w
	}
	w.conn = conn
	output := &tail{limit: 16 << 10}
	cmd := exec.Command(env.Python, "-c", bootstrap)
	cmd.Dir = filepath.Dir(env.Python) // a folder without modules: nothing of the user's is imported
	cmd.Env = environ
	if path := lookup(environ, "PYTHONPATH"); path != "" {
		cmd.Env = append(cmd.Env, "PYTHONPATH="+strings.Join(absolute(path), string(os.PathListSeparator)))
	}
	cmd.Stdin = strings.NewReader(warmProgram)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = []*os.File{theirs}
	tidiesUp(cmd)
	process, err := proctree.Start(cmd)
	theirs.Close()
	if err != nil {
		conn.Close()
		w.err, w.over = err, true
		close(w.ready)
		return w
	}
	wait.Go(func() {
		w.listen()
		conn.Close()
		select {
		case <-process.Done(): // closing its end is enough
		case <-time.After(5 * time.Second):
			process.Kill()
		}
		err := process.Wait()
		select {
		case <-w.ready:
		default:
			w.err = fmt.Errorf("%v\n%s", err, lastLines(output.bytes(), 5))
			close(w.ready)
		}
		if text := lastLines(output.bytes(), 5); text != "" {
			log("warm interpreter of " + w.python + ": " + text)
		}
	})
	return w
}

// listen hands out answers until the interpreter ends.
func (w *warm) listen() {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.over = true
		for id, to := range w.pending {
			close(to)
			delete(w.pending, id)
		}
	}()
	for {
		packet, err := w.conn.receive()
		if err != nil {
			return
		}
		var a answer
		if err := json.Unmarshal(packet, &a); err != nil {
			return
		}
		if a.Ready != nil {
			close(w.ready)
			continue
		}
		w.mu.Lock()
		to := w.pending[a.ID]
		if a.Fresh != "" || a.Exit != nil {
			delete(w.pending, a.ID) // its last answer
		}
		w.mu.Unlock()
		if to != nil {
			to <- a // has room for both that can come
		}
	}
}

// run runs a file in a child and returns its exit code.
func (w *warm) run(ctx context.Context, r request, out io.Writer) (int, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return -1, needsFresh{err.Error()}
	}
	defer read.Close()
	answers, err := w.send(r, write)
	write.Close()
	if err != nil {
		return -1, needsFresh{err.Error()}
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		io.Copy(out, read) // it ends with the pipe or with the deadline below
	}()
	defer func() {
		// A stranger to the tree may hold the pipe: read on for a moment only.
		read.SetReadDeadline(time.Now().Add(time.Second))
		<-copied
	}()

	pid, done := 0, ctx.Done()
	for {
		select {
		case a, ok := <-answers:
			switch {
			case !ok && pid == 0 && ctx.Err() == nil:
				return -1, needsFresh{"the warm interpreter ended"}
			case !ok:
				return -1, errors.New("the warm interpreter ended while it ran the file")
			case a.Fresh != "":
				return -1, needsFresh{a.Fresh}
			case a.Exit != nil:
				proctree.KillTree(pid) // what it left; its id is its own until we say "reap"
				w.conn.send(map[string]int{"reap": pid}, nil)
				if ctx.Err() != nil {
					return -1, context.Cause(ctx)
				}
				return *a.Exit, nil
			default:
				pid = a.PID
				if ctx.Err() != nil {
					proctree.KillTree(pid)
				}
			}
		case <-done:
			done = nil
			if pid != 0 {
				proctree.KillTree(pid)
			}
		}
	}
}

func (w *warm) send(r request, output *os.File) (<-chan answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return nil, errors.New("the warm interpreter ended")
	}
	w.next++
	r.ID = w.next
	if err := w.conn.send(r, output); err != nil {
		return nil, err
	}
	answers := make(chan answer, 2)
	w.pending[r.ID] = answers
	return answers, nil
}

func (w *warm) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users++
}

func (w *warm) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users--
	w.used = time.Now()
	if w.retired && w.users == 0 {
		w.close()
	}
}

// retire ends the interpreter as soon as nothing runs in it.
func (w *warm) retire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.retired = true
	if w.users == 0 {
		w.close()
	}
}

// close ends the interpreter with all that runs in it: it watches its end of
// the connection.
func (w *warm) close() {
	if w.conn != nil {
		w.conn.Close()
	}
}

func (w *warm) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	// One that never started is kept, so that not every file waits for another try.
	return w.over && w.err == nil
}

func (w *warm) holders() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.users
}

func (w *warm) lastUsed() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.used
}

func absolute(list string) []string {
	var paths []string
	for _, path := range filepath.SplitList(list) {
		if filepath.IsAbs(path) {
			paths = append(paths, path)
		}
	}
	return paths
}
