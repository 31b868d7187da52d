package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/codestore/storage"
)

// code is where a flow's code is, and how its process finds it.
type code struct {
	// folder is "" when the process fetches the code itself and nothing is known
	// of its requirements.
	folder string
	// api is the server as the process sees it.
	api string
}

// code gets a run's code onto this machine, so that its requirements can be
// read and its process need not know how storages are reached. A run of a
// version gets exactly that version.
func (e *execution) code(d *orion.Deployment, dir string) (code, error) {
	c := code{api: e.a.c.URL()}
	if e.a.c.IsOrion() {
		rc, err := e.a.c.RunCode(e.ctx, e.run.ID)
		switch {
		case err == nil && rc.Version != nil && rc.Version.Bundle != nil:
			c.folder, err = e.bundle(rc)
			c.api = e.a.c.RunURL(e.run.ID, c.folder)
			return c, err
		case err == nil:
			c.api = e.a.c.RunURL(e.run.ID, "")
			if rc.Deployment != nil {
				d = rc.Deployment
			}
		case orion.KindOf(err) != orion.NotFound:
			return c, fmt.Errorf("the version of its code cannot be read: %w", err)
		}
	}
	if !orion.IsNull(d.PullSteps) {
		c.folder = pulled(d.PullSteps)
		return c, nil
	}
	path := ""
	if d.Path != nil {
		path = *d.Path
	}
	if d.StorageDocumentID.IsZero() {
		if path == "" {
			return c, nil
		}
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			return c, fmt.Errorf("the deployment's folder %s is not on this machine: deploy with orion deploy, which keeps the code on the server, or give the deployment a storage block", path)
		}
		c.folder = path
		return c, nil
	}
	store, err := e.storage(d.StorageDocumentID)
	if store == nil || err != nil {
		return c, err // one that Orion does not know the engine may know
	}
	defer store.Close()
	if err := codestore.FetchPath(e.ctx, store, path, dir, codestore.Options{}); err != nil {
		return c, fmt.Errorf("the code could not be fetched: %w", err)
	}
	c.folder = dir
	if e.a.c.IsOrion() {
		c.api = e.a.c.RunURL(e.run.ID, dir)
	}
	return c, nil
}

// storage opens the place that a storage block names; nil for one of a type
// that Orion does not know.
func (e *execution) storage(id orion.ID) (storage.Store, error) {
	b, err := e.a.c.BlockDocument(e.ctx, id, true)
	if err != nil {
		return nil, fmt.Errorf("its storage block cannot be read: %w", err)
	}
	if !codestore.Known(b.TypeSlug()) {
		return nil, nil
	}
	store, err := codestore.Open(e.ctx, b.TypeSlug(), b.Data)
	if err != nil {
		return nil, fmt.Errorf("its storage block %q: %w", name(b), err)
	}
	return store, nil
}

// bundle gets the code of a version into the folder that keeps such code for
// all runs. Nobody writes there: the engine copies it.
func (e *execution) bundle(rc *orion.RunCode) (string, error) {
	hash := *rc.Version.Bundle
	dir := filepath.Join(e.a.o.Code, hash)
	failed := func(err error) (string, error) {
		return "", fmt.Errorf("the code of version %d (bundle %.12s) could not be fetched: %w", rc.Version.Number, hash, err)
	}
	// Runs that begin at once fetch once.
	defer e.a.codes.lock(hash)()
	now := time.Now()
	if os.Chtimes(dir, now, now) == nil { // it is there, and in use
		if codestore.Holds(e.ctx, dir, hash) {
			return dir, nil
		}
		// A full disk, a cleaner or somebody's hands: it is not the version's code.
		if err := os.RemoveAll(dir); err != nil {
			return failed(err)
		}
	}
	if *rc.Version.Store == orion.InServer {
		archive, err := e.a.c.GetBundle(e.ctx, hash)
		if err != nil {
			return failed(err)
		}
		defer archive.Close()
		if _, err := codestore.Unarchive(e.ctx, archive, hash, dir, 0); err != nil {
			return failed(err)
		}
		return dir, nil
	}
	if rc.Deployment == nil {
		return failed(errors.New("its deployment is gone"))
	}
	store, err := e.storage(rc.Deployment.StorageDocumentID)
	if err == nil && store == nil {
		err = errors.New("its storage block is of a type that this agent does not know: update it")
	}
	if err != nil {
		return failed(err)
	}
	defer store.Close()
	if _, err := codestore.Fetch(e.ctx, store, hash, dir, codestore.Options{}); err != nil {
		return failed(err)
	}
	return dir, nil
}

// locks are held one by one for each name.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	sync.Mutex
	users int
}

// lock waits until nobody else has the name, and returns what gives it back.
func (l *locks) lock(name string) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	one := l.held[name]
	if one == nil {
		one = &lock{}
		l.held[name] = one
	}
	one.users++
	l.mu.Unlock()
	one.Lock()
	return func() {
		one.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.held, name)
		}
	}
}

// keepCode is how long code that no run has needed stays on this machine.
const keepCode = 14 * 24 * time.Hour

// forgetCode removes code that no run has needed for a while.
func (a *Agent) forgetCode() {
	entries, err := os.ReadDir(a.o.Code)
	if err != nil {
		return // nothing was ever kept
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < keepCode {
			continue
		}
		if err := os.RemoveAll(filepath.Join(a.o.Code, entry.Name())); err != nil {
			a.o.Log.Debug("old code could not be removed", "error", err)
		}
	}
}

// flowFolder is where the flow's own file lies below the code: its
// requirements are beside it.
func flowFolder(code string, entrypoint *string) string {
	if code == "" || entrypoint == nil {
		return code
	}
	file, _, _ := strings.Cut(*entrypoint, ":")
	if filepath.IsAbs(file) || !strings.HasSuffix(file, ".py") {
		return code
	}
	dir := filepath.Join(code, filepath.Dir(file))
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return code
	}
	return dir
}

func name(b *orion.BlockDocument) string {
	if b.Name == nil {
		return b.ID.String()
	}
	return *b.Name
}

// pulled is the folder a pull step works in, when it is one on this machine.
func pulled(steps orion.JSON) string {
	var list []map[string]struct {
		Directory string `json:"directory"`
	}
	if orion.Decode(steps, &list) != nil {
		return ""
	}
	for _, s := range list {
		for k, v := range s {
			if strings.HasSuffix(k, "set_working_directory") {
				if info, err := os.Stat(v.Directory); err == nil && info.IsDir() {
					return v.Directory
				}
			}
		}
	}
	return ""
}
