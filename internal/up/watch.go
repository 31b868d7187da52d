package up

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/orionflows/orion/internal/deploy"
)

// watch deploys again what a changed file concerns.
func (s *stack) watch(ctx context.Context) {
	s.agentsWG.Go(func() {
		for ctx.Err() == nil {
			err := deploy.Watch(ctx, s.root, func(paths []string) { s.redeploy(ctx, paths) })
			if ctx.Err() != nil {
				return
			}
			s.tell(func(e Events) { e.Note("changes cannot be watched: " + err.Error() + "; trying again") })
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
		}
	})
}

func (s *stack) redeploy(ctx context.Context, paths []string) {
	files, err := deploy.Discover([]string{s.root}, deploy.DiscoverOptions{Root: s.root})
	if err != nil {
		s.tell(func(e Events) { e.Note(err.Error()) })
		return
	}
	known := map[string]bool{}
	for _, f := range s.files {
		known[f.Path] = true
	}
	s.mu.Lock()
	s.files = files
	s.mu.Unlock()
	var todo []deploy.File
	changed := ""
	for _, f := range files {
		hit := ""
		if !known[f.Path] {
			hit = f.Path
		}
		for _, p := range paths {
			if concerns(p, f) {
				hit = p
				break
			}
		}
		if hit != "" {
			todo = append(todo, f)
			changed = filepath.Base(hit)
		}
	}
	if len(todo) == 0 {
		return
	}
	s.deploy(ctx, todo, changed+" changed")
	if ctx.Err() != nil || s.o.NoAgent {
		return
	}
	if sum, err := s.summary(ctx); err == nil {
		s.serve(ctx, sum.Deployments)
	}
}

// concerns: a change in a flow's folder concerns the flow's deployments; one in
// a folder without deployments, such as a shared module's, those beside and
// below its parent.
func concerns(path string, f deploy.File) bool {
	name := filepath.Base(path)
	if name == ".prefectignore" || strings.HasSuffix(name, ".pyc") {
		return false
	}
	if path == f.Folder || strings.HasPrefix(path, f.Folder+string(filepath.Separator)) {
		if strings.HasSuffix(name, ".deployment.py") {
			return path == f.Path
		}
		return true
	}
	if !strings.HasSuffix(name, ".py") || strings.HasSuffix(name, ".deployment.py") {
		return false
	}
	dir := filepath.Dir(path)
	parent := filepath.Dir(dir)
	return !sibling(dir, f.Folder) && strings.HasPrefix(f.Folder, parent+string(filepath.Separator))
}

// sibling reports that a folder looks like another flow's own.
func sibling(dir, folder string) bool {
	m, _ := filepath.Glob(filepath.Join(dir, "*.deployment.py"))
	return dir != folder && len(m) > 0
}
