// Package pyenv makes isolated Python environments and keeps them, named by
// their content: the same interpreter and the same requirements give the same
// environment, however many flow folders ask for it.
//
// It does not choose versions, edit requirements or know a package index: an
// installer (uv, else pip) does the work under the user's own configuration.
// It does not run flows either; see internal/deploy.
//
// Start at Manager: ForFolder says which environment a folder needs, Ensure
// sees to it that the environment exists.
package pyenv

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Options configure a Manager.
type Options struct {
	Dir    string            // cache folder; made when absent
	Python string            // interpreter; "" finds one: ORION_PYTHON, VIRTUAL_ENV, PATH
	Base   []string          // what an environment without requirements gets; nil is Prefect 2.20
	Env    []string          // environment of the tools; nil is this process's
	Log    func(line string) // receives the tools' output line by line; may be nil
}

// Manager builds and reuses environments below a cache folder. It is safe for
// concurrent use, also by several processes on one folder.
type Manager struct {
	options Options
	builds  chan struct{} // one token per build at a time

	mu          sync.Mutex
	interpreter *interpreter
	installer   installer
	flights     map[string]*flight
}

// Environment is one that is ready for use.
type Environment struct {
	Key          string
	Dir          string
	Python       string        // path of its interpreter
	Cached       bool          // it was there already
	Took         time.Duration // of this call
	Requirements string        // the requirements file; "" for the base environment
}

// New returns a Manager. It starts no process.
func New(o Options) (*Manager, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return nil, fmt.Errorf("a folder for Python environments is needed")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("the folder for Python environments cannot be made: %w", err)
	}
	o.Dir = dir
	if o.Base == nil {
		o.Base = []string{"prefect>=2.20,<3"}
	}
	if o.Env == nil {
		o.Env = os.Environ()
	}
	// Installers use several cores each; more than a few at once only fight.
	parallel := max(2, runtime.NumCPU()/2)
	return &Manager{options: o, builds: make(chan struct{}, parallel), flights: map[string]*flight{}}, nil
}

// Ensure returns the environment of spec and builds it if need be. Callers that
// ask for one environment at the same time share one build; it is given up only
// when every one of them has. progress is told, in a few words, what is being
// done; it may be nil.
//
// Requirements that cannot be installed give an *InstallError. A build that
// fails or is killed leaves nothing that a later call would take for ready.
func (m *Manager) Ensure(ctx context.Context, spec Spec, progress func(step string)) (Environment, error) {
	begun := time.Now()
	for {
		env, err := m.ready(spec)
		if err == nil {
			env.Cached = true
			env.Took = time.Since(begun)
			return env, nil
		}
		if err := m.share(ctx, spec, progress); err != nil {
			return Environment{}, err
		}
		// An edit while the installer was reading would be filed under the key
		// of the text before it.
		now, err := m.ForFolder(ctx, spec.folder, spec.root)
		if err != nil {
			return Environment{}, err
		}
		if now.Key == spec.Key {
			env, err := m.ready(spec)
			env.Took = time.Since(begun)
			return env, err
		}
		os.Remove(m.marker(spec)) // unmarked is as good as absent
		spec = now
	}
}

// record is what the marker file of a finished environment holds. It is for
// people: only its presence counts.
type record struct {
	Key          string    `json:"key"`
	Python       string    `json:"python"`
	Requirements []string  `json:"requirements"`
	Installer    string    `json:"installer"`
	Built        time.Time `json:"built"`
}

// dir is short because the first line of every script in it repeats the path,
// and kernels cut that line off.
func (m *Manager) dir(spec Spec) string { return filepath.Join(m.options.Dir, spec.Key[:16]) }
func (m *Manager) marker(spec Spec) string {
	return filepath.Join(m.dir(spec), "orion-environment.json")
}

// ready returns the finished environment of spec, or an error when there is none.
func (m *Manager) ready(spec Spec) (Environment, error) {
	env := Environment{
		Key: spec.Key, Dir: m.dir(spec), Requirements: spec.Requirements,
		Python: environmentPython(m.dir(spec)),
	}
	if _, err := os.Stat(m.marker(spec)); err != nil {
		return env, err
	}
	// The interpreter in it is a link to one that may have been removed since.
	_, err := os.Stat(env.Python)
	return env, err
}

// build makes the environment of spec, unless another process was faster.
func (m *Manager) build(ctx context.Context, spec Spec, progress func(string)) error {
	select {
	case m.builds <- struct{}{}:
		defer func() { <-m.builds }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	unlock, err := lock(ctx, m.dir(spec)+".lock", func() { progress("waiting for another build of it") })
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := m.ready(spec); err == nil {
		return nil
	}
	// What is there without a marker is what a killed build left.
	if err := os.RemoveAll(m.dir(spec)); err != nil {
		return fmt.Errorf("a half-built environment cannot be removed: %w", err)
	}
	used, err := m.install(ctx, spec, progress)
	if err != nil {
		os.RemoveAll(m.dir(spec)) // harmless if it stays: it has no marker
		return err
	}
	text, err := json.MarshalIndent(record{
		Key: spec.Key, Python: spec.python, Requirements: spec.lines, Installer: used, Built: time.Now().UTC(),
	}, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(m.marker(spec), append(text, '\n'))
}

// writeFile writes a file that is either absent or whole.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails, as it should, after the rename
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func environmentPython(dir string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(dir, "Scripts", "python.exe")
	}
	return filepath.Join(dir, "bin", "python")
}
