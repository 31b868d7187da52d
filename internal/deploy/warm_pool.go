package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orionflows/orion/internal/pyenv"
)

// Warm starts the warm interpreter of env ahead of its first use and waits
// until it is ready. Without it the first Run does so.
func (r *Runner) Warm(ctx context.Context, env pyenv.Environment) error {
	if !r.canWarm() {
		return nil
	}
	w, err := r.warmFor(ctx, env)
	if err == nil {
		w.release()
	}
	return err
}

// warmFor returns the interpreter of env, ready and held until release. The
// error is a needsFresh when there can be none.
func (r *Runner) warmFor(ctx context.Context, env pyenv.Environment) (*warm, error) {
	stamp := r.stamp(env)
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, errors.New("the runner is closed")
	}
	w := r.warm[env.Python]
	if w != nil && (w.stamp != stamp || w.ended()) {
		w.retire()
		delete(r.warm, env.Python)
		w = nil
	}
	if w == nil {
		r.makeRoom()
		w = startWarm(env, r.environ(env), stamp, &r.wait, r.options.Log)
		r.warm[env.Python] = w
	}
	w.hold()
	r.mu.Unlock()

	select {
	case <-w.ready:
	case <-ctx.Done():
		w.release()
		return nil, context.Cause(ctx)
	}
	if w.err != nil {
		w.release()
		return nil, needsFresh{fmt.Sprintf("the warm interpreter of %s did not start: %v", env.Python, w.err)}
	}
	return w, nil
}

// makeRoom retires interpreters until one more may be started. One that is in
// use ends when it no longer is.
func (r *Runner) makeRoom() {
	for len(r.warm) >= r.options.MaxWarm {
		oldest := slices.MinFunc(slices.Collect(maps.Values(r.warm)), func(a, b *warm) int {
			return cmp.Or(cmp.Compare(a.holders(), b.holders()), a.lastUsed().Compare(b.lastUsed()))
		})
		oldest.retire()
		delete(r.warm, oldest.python)
	}
}

// stamp changes when a new process would import something else, or import it
// under other settings, than the warm interpreter did.
func (r *Runner) stamp(env pyenv.Environment) string {
	var b strings.Builder
	home := lookup(r.options.Env, "PREFECT_HOME")
	if home == "" {
		home = filepath.Join(lookup(r.options.Env, "HOME"), ".prefect")
	}
	for _, path := range []string{
		filepath.Join(home, "profiles.toml"), filepath.Join(home, "logging.yml"),
		lookup(r.options.Env, "PREFECT_PROFILES_PATH"), lookup(r.options.Env, "PREFECT_LOGGING_SETTINGS_PATH"),
	} {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintln(&b, path, info.ModTime().UnixNano(), info.Size())
		}
	}
	// Packages that somebody installed into the environment by hand.
	lib := filepath.Join(filepath.Dir(filepath.Dir(env.Python)), "lib", "python3*", "site-packages")
	packages, _ := filepath.Glob(lib) // the only error is a malformed pattern
	for _, dir := range packages {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), "-info") || strings.HasSuffix(entry.Name(), ".pth") {
				fmt.Fprintln(&b, entry.Name())
			}
		}
	}
	return b.String()
}
