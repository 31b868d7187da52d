package plan

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/orionflows/orion"
)

// Repository is what is deployed: a folder, in a git repository or not.
type Repository struct {
	// Name owns the deployments: "owner/name" of the origin, else the folder's
	// name.
	Name string
	// Root is absolute. Mirrored paths are relative to it.
	Root string
	// Commit, Author and Message are the revision's; empty outside git. Dirty
	// tells that the working tree differs from it.
	Commit, Author, Message string
	Dirty                   bool
}

// Base is the last part of the name: the first folder of mirrored paths.
func (r Repository) Base() string { return path.Base(r.Name) }

// FindRepository looks for the repository that a folder is in. A name that is
// given wins; else the origin's, what a CI system says, or the folder's counts.
func FindRepository(ctx context.Context, dir, name string) (Repository, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Repository{}, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return Repository{}, orion.Errorf(orion.NotFound, "there is no folder %s", dir)
	}
	if !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return Repository{}, err
	}
	r := Repository{Root: dir, Name: name}
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		out, err := cmd.Output()
		return strings.TrimRight(string(out), "\n"), err
	}
	top, err := git("rev-parse", "--show-toplevel")
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if err != nil { // no git, or not in a repository: the folder is all there is
		r.Name = firstOf(r.Name, filepath.Base(dir))
		return r, nil
	}
	if r.Root, err = filepath.EvalSymlinks(top); err != nil {
		return r, err
	}
	if r.Name == "" {
		origin, err := git("remote", "get-url", "origin")
		if err == nil {
			r.Name = nameOfRemote(origin)
		}
		r.Name = firstOf(r.Name, os.Getenv("GITHUB_REPOSITORY"), os.Getenv("CI_PROJECT_PATH"), os.Getenv("BUILD_REPOSITORY_NAME"), filepath.Base(r.Root))
	}
	if head, err := git("log", "-1", "--format=%H%x00%an <%ae>%x00%s"); err == nil { // a repository may have no commit yet
		parts := strings.SplitN(head, "\x00", 3)
		if len(parts) == 3 {
			r.Commit, r.Author, r.Message = parts[0], parts[1], parts[2]
		}
	}
	status, err := git("status", "--porcelain", "--untracked-files=normal")
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return r, err
	}
	r.Dirty = status != ""
	return r, nil
}

// nameOfRemote is "owner/name" of a remote's address, without what may be
// secret in it.
func nameOfRemote(remote string) string {
	remote = strings.TrimSuffix(strings.TrimSuffix(remote, "/"), ".git")
	at := remote
	if u, err := url.Parse(remote); err == nil && u.Scheme != "" {
		at = u.Path
	} else if _, p, ok := strings.Cut(remote, ":"); ok { // git@host:owner/name
		at = p
	}
	parts := strings.Split(strings.Trim(filepath.ToSlash(at), "/"), "/")
	if len(parts) > 2 {
		parts = parts[len(parts)-2:]
	}
	return strings.Join(parts, "/")
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
