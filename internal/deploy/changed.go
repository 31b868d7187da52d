package deploy

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// ChangedSince returns those of files whose outcome may be another than it was
// at a git revision, in their order: a file in their folder changed, or one
// that they read, or repository code that they import, or what their
// environment is made of. Files that git does not know yet count as changed;
// ignored ones do not.
//
// inputs returns what is recorded for a file; where nothing is, the sources of
// its folder are looked through for imports. It may be nil.
func ChangedSince(ctx context.Context, root, rev string, files []File, inputs func(File) (Inputs, bool)) ([]File, error) {
	changed, err := changedPaths(ctx, root, rev)
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	is := map[string]bool{}
	for _, name := range changed {
		is[name] = true
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			is[dir+"/"] = true // something in or below it
			if dir == "." {
				break
			}
		}
	}
	sources := &imported{root: root, changed: is, of: map[string][]string{}}
	var out []File
	for _, file := range files {
		folder, err := filepath.Rel(root, file.Folder)
		if err != nil {
			return nil, err
		}
		folder = filepath.ToSlash(folder)
		var in Inputs
		ok := false
		if inputs != nil {
			in, ok = inputs(file)
		}
		needs := environmentFiles(folder)
		if ok && in.Complete {
			needs = slices.Concat(needs, in.Files, in.Absent)
			for _, dir := range in.Folders {
				needs = append(needs, dir+"/")
			}
		} else {
			needs = append(needs, sources.by(folder)...)
		}
		if is[folder+"/"] || slices.ContainsFunc(needs, func(name string) bool { return is[name] }) {
			out = append(out, file)
		}
	}
	return out, nil
}

// environmentFiles are what the environment of a folder may be made of.
func environmentFiles(folder string) []string {
	var names []string
	for dir := folder; ; dir = path.Dir(dir) {
		for _, name := range []string{"requirements.txt", "requirements.lock", "pyproject.toml", "uv.lock"} {
			names = append(names, path.Join(dir, name))
		}
		if dir == "." || dir == "/" || strings.HasPrefix(dir, "..") {
			return names
		}
	}
}

// changedPaths are the paths below root that differ from a revision.
func changedPaths(ctx context.Context, root, rev string) ([]string, error) {
	if strings.HasPrefix(rev, "-") {
		return nil, fmt.Errorf("%q is not a git revision", rev)
	}
	if _, err := git(ctx, root, "rev-parse", "--verify", "--quiet", rev+"^{commit}"); err != nil {
		if _, err := git(ctx, root, "rev-parse", "--git-dir"); err != nil {
			return nil, fmt.Errorf("%s is in no git repository, so nothing can be said about what changed: %w", root, err)
		}
		return nil, fmt.Errorf("git does not know the revision %q; a shallow clone may lack it: fetch it first", rev)
	}
	diff, err := git(ctx, root, "diff", "--name-only", "--no-renames", "--relative", "-z", rev, "--", ".")
	if err != nil {
		return nil, err
	}
	untracked, err := git(ctx, root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.Trim(string(diff)+"\x00"+string(untracked), "\x00"), "\x00")
	return slices.DeleteFunc(names, func(name string) bool { return name == "" }), nil
}

func git(ctx context.Context, dir string, arguments ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, arguments...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w %s", arguments[0], err, lastLines(stderr.Bytes(), 2))
	}
	return out, nil
}

// imported finds out, without Python, which code of the repository a folder's
// code imports. It may name too much, and misses what is imported by a name
// that is put together.
type imported struct {
	root    string
	changed map[string]bool     // what is in it may be gone and is missed all the same
	of      map[string][]string // by source file, below root
}

var importing = regexp.MustCompile(`(?m)^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b|import[ \t]+([.\w, \t]+))`)

// by returns files, and folders with a slash at the end, below root.
func (s *imported) by(folder string) []string {
	var queue, needs []string
	filepath.WalkDir(filepath.Join(s.root, filepath.FromSlash(folder)), func(file string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // unreadable for Python, too
		case entry.IsDir() && file != s.root && neverSearched(file):
			return filepath.SkipDir
		case strings.HasSuffix(file, ".py"):
			if rel, err := filepath.Rel(s.root, file); err == nil {
				queue = append(queue, filepath.ToSlash(rel))
			}
		}
		return nil
	})
	seen := map[string]bool{}
	for len(queue) > 0 {
		file := queue[0]
		queue = queue[1:]
		if seen[file] {
			continue
		}
		seen[file] = true
		needs = append(needs, file)
		for _, found := range s.from(file) {
			if strings.HasSuffix(found, ".py") {
				queue = append(queue, found)
			} else {
				needs = append(needs, found)
			}
		}
	}
	return needs
}

// from is what one source imports of the repository: below any folder between
// it and the root, for each of them may be on Python's path.
func (s *imported) from(file string) []string {
	if found, ok := s.of[file]; ok {
		return found
	}
	found := []string{}
	text, err := os.ReadFile(filepath.Join(s.root, filepath.FromSlash(file)))
	if err != nil {
		text = nil // gone: then it is among what changed
	}
	for _, match := range importing.FindAllStringSubmatch(string(text), -1) {
		names := []string{match[1]}
		if match[1] == "" {
			names = strings.Split(match[2], ",")
		}
		for _, name := range names {
			if fields := strings.Fields(name); len(fields) > 0 {
				found = append(found, s.locate(file, fields[0])...)
			}
		}
	}
	s.of[file] = found
	return found
}

func (s *imported) locate(file, name string) []string {
	top := path.Dir(file)
	if dots := len(name) - len(strings.TrimLeft(name, ".")); dots > 0 {
		for range dots - 1 {
			top = path.Dir(top)
		}
		return s.at(path.Join(top, strings.ReplaceAll(name[dots:], ".", "/")))
	}
	for dir := top; ; dir = path.Dir(dir) {
		for _, base := range []string{dir, path.Join(dir, "src")} {
			if found := s.at(path.Join(base, strings.ReplaceAll(name, ".", "/"))); len(found) > 0 {
				return found
			}
		}
		if dir == "." {
			return nil
		}
	}
}

// at is the module at a path: a file, or a package, of which anything may be
// what is wanted.
func (s *imported) at(name string) []string {
	info, err := os.Stat(filepath.Join(s.root, filepath.FromSlash(name)+".py"))
	if err == nil && info.Mode().IsRegular() || s.changed[name+".py"] {
		return []string{name + ".py"}
	}
	sources, err := filepath.Glob(filepath.Join(s.root, filepath.FromSlash(name), "*.py"))
	if err != nil || len(sources) == 0 && !s.changed[name+"/"] {
		return nil
	}
	found := []string{name + "/"}
	for _, source := range sources {
		if rel, err := filepath.Rel(s.root, source); err == nil {
			found = append(found, filepath.ToSlash(rel))
		}
	}
	return found
}
