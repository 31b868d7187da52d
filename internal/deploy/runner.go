package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orionflows/orion/internal/proctree"
	"github.com/orionflows/orion/internal/pyenv"
)

// RunnerOptions configure a Runner.
type RunnerOptions struct {
	// Env is the environment of the files' processes; nil is this process's.
	// Put PREFECT_API_URL in it: a file deploys to where it points.
	Env []string
	// Fresh starts a new Python for each file, as a person would.
	Fresh bool
	// MaxWarm is how many interpreters are kept waiting, each about as large as
	// Prefect; 0 is 8. Those not used for longest end first.
	MaxWarm int
	// MaxOutput is how much of a file's output is kept, its end; 0 is 256 KiB.
	MaxOutput int
	// Log receives what the files' output is not, line by line; may be nil.
	Log func(line string)
}

// Runner runs deployment files. By default it keeps a warm interpreter for each
// environment, which has Prefect imported and forks a child for each file; see
// warm.py for what that child shares with a fresh process (everything a file
// can see) and for when it is not used. Safe for concurrent use. Close it.
type Runner struct {
	options RunnerOptions

	mu     sync.Mutex
	closed bool
	warm   map[string]*warm // by interpreter
	wait   sync.WaitGroup
}

// Result is how a file ended.
type Result struct {
	File     File
	Output   []byte // what it wrote to both outputs, in order; the end of it, if it was much
	ExitCode int    // -1 if it did not come to an end of its own, minus the signal if one killed it
	Err      error  // nil when it ended with 0; a *FileError when it failed
	Took     time.Duration
	Hint     string // what to do about Err, where that is known
	Warm     bool   // it ran in a warm interpreter
}

// Job is a file and the environment to run it in.
type Job struct {
	File        File
	Environment pyenv.Environment
}

// Event tells that a job of RunAll began or, with Result set, ended.
type Event struct {
	Job    Job
	Result *Result
}

// NewRunner returns a Runner. Nothing is started before the first file.
func NewRunner(o RunnerOptions) *Runner {
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.MaxWarm == 0 {
		o.MaxWarm = 8
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = 256 << 10
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	return &Runner{options: o, warm: map[string]*warm{}}
}

// Run runs a file and waits for it. When ctx ends, the file's process and all
// it started are killed. Whatever the file leaves running when it ends is
// killed, too.
func (r *Runner) Run(ctx context.Context, file File, env pyenv.Environment) Result {
	return r.runWith(ctx, file, env, nil)
}

// runWith is Run with something that happens in the file's process before it.
func (r *Runner) runWith(ctx context.Context, file File, env pyenv.Environment, before *shim) Result {
	begun := time.Now()
	out := &tail{limit: r.options.MaxOutput}
	code, warm, err := r.run(ctx, file, env, before, out)
	result := Result{File: file, Output: out.bytes(), ExitCode: code, Warm: warm, Err: err, Took: time.Since(begun)}
	if err == nil && code != 0 {
		failure := explain(file, code, result.Output)
		result.Err = failure
		result.Hint = hint(failure, env, r.options.Env)
	}
	return result
}

// RunAll runs jobs, up to parallel at once (0: one per core), and returns their
// results in the same order. A failing file stops no other. progress is called
// from one goroutine at a time; it may be nil.
func (r *Runner) RunAll(ctx context.Context, jobs []Job, parallel int, progress func(Event)) []Result {
	return runEach(jobs, parallel, progress, func(job Job) Result {
		return r.Run(ctx, job.File, job.Environment) // after ctx's end over at once, with its error
	}, func(result *Result) *Result { return result })
}

// runEach does RunAll's part for any way to run a job.
func runEach[T any](jobs []Job, parallel int, progress func(Event), run func(Job) T, result func(*T) *Result) []T {
	if parallel <= 0 {
		parallel = runtime.NumCPU()
	}
	var mu sync.Mutex
	tell := func(e Event) {
		if progress != nil {
			mu.Lock()
			defer mu.Unlock()
			progress(e)
		}
	}
	results := make([]T, len(jobs))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(parallel, len(jobs)) {
		workers.Go(func() {
			for i := range next {
				tell(Event{Job: jobs[i]})
				results[i] = run(jobs[i])
				tell(Event{Job: jobs[i], Result: result(&results[i])})
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

// run decides how a file is run, and falls back to a fresh process wherever a
// warm one cannot be had or would not be the same.
func (r *Runner) run(ctx context.Context, file File, env pyenv.Environment, before *shim, out *tail) (code int, warm bool, err error) {
	if err := ctx.Err(); err != nil {
		return -1, false, context.Cause(ctx)
	}
	request := newRequest(file, lookup(r.options.Env, "PYTHONPATH"), before)
	if r.canWarm() {
		w, err := r.warmFor(ctx, env)
		if err == nil {
			defer w.release()
			code, err = w.run(ctx, request, out)
		}
		var fresh needsFresh
		switch {
		case ctx.Err() != nil:
			return -1, true, context.Cause(ctx)
		case errors.As(err, &fresh):
			r.options.Log(file.Rel + " runs in a fresh Python: " + err.Error())
		default:
			return code, true, err
		}
	}
	code, err = r.runFresh(ctx, file, env, request, out)
	return code, false, err
}

func (r *Runner) canWarm() bool {
	// Elsewhere forking is not possible, or not safe once libraries of the
	// system are loaded. Extra entry points are modules of the user's that
	// Prefect imports along with itself.
	return !r.options.Fresh && runtime.GOOS == "linux" && lookup(r.options.Env, "PREFECT_EXTRA_ENTRYPOINTS") == ""
}

func (r *Runner) runFresh(ctx context.Context, file File, env pyenv.Environment, request request, out *tail) (int, error) {
	cmd := exec.Command(env.Python, file.script())
	cmd.Dir = file.Folder
	cmd.Env = append(r.environ(env), "PWD="+file.Folder)
	switch {
	case request.Collect != nil:
		text, err := json.Marshal(request)
		if err != nil {
			return -1, err
		}
		literal, err := json.Marshal(string(text)) // is one of Python's, too
		if err != nil {
			return -1, err
		}
		cmd.Args = []string{env.Python, "-c", bootstrap}
		cmd.Stdin = strings.NewReader("REQUEST = " + string(literal) + "\n" + warmProgram)
		// It goes to the file's folder by itself, after it has imported what it needs.
		cmd.Dir = filepath.Dir(env.Python)
		if path := lookup(cmd.Env, "PYTHONPATH"); path != "" {
			cmd.Env = append(cmd.Env, "PYTHONPATH="+strings.Join(absolute(path), string(os.PathListSeparator)))
		}
	case request.Source != "":
		cmd.Args = append([]string{env.Python, "-c", request.Source}, request.Argv[1:]...)
	}
	cmd.Stdout, cmd.Stderr = out, out
	err := proctree.Run(ctx, cmd)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return -1, context.Cause(ctx)
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exitCode(exit.ProcessState), nil
	}
	return -1, err
}

// environ is the environment of an interpreter: the user's, with env activated.
func (r *Runner) environ(env pyenv.Environment) []string {
	vars := slices.DeleteFunc(slices.Clone(r.options.Env), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return name == "PYTHONHOME" || name == "__PYVENV_LAUNCHER__"
	})
	vars = append(vars, "PYTHONUNBUFFERED=1") // else a pipe's reader gets the two outputs out of order
	bin := filepath.Dir(env.Python)
	if _, err := os.Stat(filepath.Join(filepath.Dir(bin), "pyvenv.cfg")); err != nil {
		return vars // an interpreter of the system's
	}
	return append(vars, "VIRTUAL_ENV="+filepath.Dir(bin),
		"PATH="+bin+string(os.PathListSeparator)+lookup(vars, "PATH"))
}

// Close ends the warm interpreters and what still runs in them.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	for key, w := range r.warm {
		w.close()
		delete(r.warm, key)
	}
	r.mu.Unlock()
	r.wait.Wait()
}

// lookup finds a variable as the system does: the last assignment counts.
func lookup(env []string, name string) string {
	for _, line := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}
