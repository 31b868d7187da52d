package pyenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Spec says which environment a folder needs. Two folders with equal keys
// share one environment.
type Spec struct {
	Key          string
	Requirements string // absolute path of the file that states them; "" for the base environment

	folder, root string
	python       string   // identity of the interpreter
	lines        []string // what the requirements say, comments and layout aside
	extra        []string // requirements to install besides the file
}

// ForFolder finds the requirements of a flow folder: in it, else in the nearest
// parent up to and including root, else the base. In a folder requirements.txt
// counts before requirements.lock, that before uv.lock, and that before the
// dependencies of the project in pyproject.toml. It reads and hashes; nothing is
// installed, and no Python is started once the interpreter is known to the
// cache.
func (m *Manager) ForFolder(ctx context.Context, folder, root string) (Spec, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return Spec{}, err
	}
	if root, err = filepath.Abs(root); err != nil {
		return Spec{}, err
	}
	python, err := m.python(ctx)
	if err != nil {
		return Spec{}, err
	}
	spec := Spec{folder: folder, root: root, python: python.identity()}
	if spec.Requirements, err = findRequirements(folder, root); err != nil {
		return Spec{}, err
	}

	hash := sha256.New()
	fmt.Fprintf(hash, "orion environment 1\n%s\n", spec.python)
	if spec.Requirements == "" {
		spec.lines, spec.extra = m.options.Base, m.options.Base
	} else {
		r, err := m.read(spec.Requirements)
		if err != nil {
			return Spec{}, err
		}
		spec.lines = r.lines
		spec.extra = r.missing(m.options.Base)
		for _, line := range r.expanded {
			fmt.Fprintf(hash, "line %s\n", line)
		}
		for _, l := range r.local {
			if err := l.hash(hash); err != nil {
				return Spec{}, fmt.Errorf("%s names %s: %w", spec.Requirements, l.path, err)
			}
		}
	}
	fmt.Fprintf(hash, "extra %q\n", spec.extra)
	m.hashSettings(hash)
	spec.Key = hex.EncodeToString(hash.Sum(nil))
	return spec, nil
}

// findRequirements looks in folder and its parents. A folder outside root is
// its own root: requirements of strangers above it are none of its business.
func findRequirements(folder, root string) (string, error) {
	if rel, err := filepath.Rel(root, folder); err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		root = folder
	}
	for dir := folder; ; dir = filepath.Dir(dir) {
		for _, name := range sources {
			path := filepath.Join(dir, name)
			info, err := os.Stat(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("looking for requirements: %w", err)
			}
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			if name == projectFile {
				// Tools keep their settings in this file, too.
				p, err := readProject(path)
				if err != nil {
					return "", err
				}
				if len(p.Project.Dependencies) == 0 {
					continue
				}
			}
			return path, nil
		}
		if dir == root || dir == filepath.Dir(dir) {
			return "", nil
		}
	}
}

// settings are those of the installers' variables that change which versions
// are chosen; a value that is the path of a file counts with its content. Where
// packages come from is not among them: a mirror serves the same packages.
var settings = []string{
	"PIP_CONSTRAINT", "PIP_PRE", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE_NEWER",
	"UV_PRERELEASE", "UV_RESOLUTION",
}

func (m *Manager) hashSettings(hash io.Writer) {
	for _, name := range settings {
		value := m.getenv(name)
		if value == "" {
			continue
		}
		fmt.Fprintf(hash, "setting %s=%s\n", name, value)
		for _, path := range strings.Fields(value) {
			if text, err := os.ReadFile(path); err == nil {
				fmt.Fprintf(hash, "file %d\n%s\n", len(text), text)
			}
		}
	}
}

// hash adds the content behind a local requirement. Of an editable one only
// what decides its dependencies counts: its code is read in place, and a
// changed line of it must not cost a new environment.
func (l localPath) hash(to io.Writer) error {
	info, err := os.Stat(l.path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return hashFile(to, l.path, filepath.Base(l.path))
	}
	if l.editable {
		fmt.Fprintf(to, "editable %s\n", l.path)
		for _, name := range []string{"pyproject.toml", "setup.cfg", "setup.py"} {
			err := hashFile(to, filepath.Join(l.path, name), name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	return filepath.WalkDir(l.path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != l.path && notSource(path, name) {
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() || strings.HasSuffix(name, ".pyc") {
			return nil
		}
		rel, err := filepath.Rel(l.path, path)
		if err != nil {
			return err
		}
		return hashFile(to, path, filepath.ToSlash(rel))
	})
}

// notSource tells the folders that tools leave beside a package's source; an
// installer itself makes some of them, which must not change the key.
func notSource(path, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".egg-info") ||
		slices.Contains([]string{"__pycache__", "build", "dist", "node_modules"}, name) {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "pyvenv.cfg"))
	return err == nil
}

func hashFile(to io.Writer, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	content := sha256.New()
	if _, err := io.Copy(content, f); err != nil {
		return err
	}
	fmt.Fprintf(to, "file %s %x\n", name, content.Sum(nil))
	return nil
}

func (m *Manager) getenv(name string) string { return lookup(m.options.Env, name) }

// lookup finds a variable as the system does: the last assignment counts.
func lookup(env []string, name string) string {
	for _, line := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}
