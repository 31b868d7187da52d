package pyenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Files that say what an environment is to hold, the first one counting.
const (
	projectFile = "pyproject.toml"
	uvLock      = "uv.lock"
)

var sources = []string{"requirements.txt", "requirements.lock", uvLock, projectFile}

// project is what counts of a pyproject.toml.
type project struct {
	Project struct {
		Dependencies []string `toml:"dependencies"`
	} `toml:"project"`
}

func readProject(path string) (p project, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return p, fmt.Errorf("reading requirements: %w", err)
	}
	if err := toml.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	return p, nil
}

// read understands a file of any kind as far as the cache key needs it.
func (m *Manager) read(path string) (*requirements, error) {
	switch filepath.Base(path) {
	case projectFile:
		p, err := readProject(path)
		if err != nil {
			return nil, err
		}
		r := &requirements{dir: filepath.Dir(path), getenv: m.getenv}
		for _, line := range p.Project.Dependencies {
			if err := r.add(strings.TrimSpace(line), path, false); err != nil {
				return nil, err
			}
		}
		return r, nil
	case uvLock:
		return readLock(path)
	}
	return readRequirements(path, m.getenv)
}

// readLock takes a lock file for its packages; what it leaves open, such as for
// which systems one counts, its own tool decides.
func readLock(path string) (*requirements, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading requirements: %w", err)
	}
	var lock struct {
		Packages []struct {
			Name    string `toml:"name"`
			Version string `toml:"version"`
		} `toml:"package"`
	}
	if err := toml.Unmarshal(text, &lock); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	r := &requirements{dir: filepath.Dir(path), hashed: true}
	for _, p := range lock.Packages {
		line := p.Name
		if p.Version != "" {
			line += "==" + p.Version
		}
		r.prefect = r.prefect || namesPrefect(p.Name)
		r.lines = append(r.lines, line)
	}
	// The text as it is: hashes and sources decide what is installed.
	r.expanded = []string{string(bytes.TrimSpace(text))}
	return r, nil
}

// exportLock writes what a lock file says as a requirements file, which the
// caller removes.
func (m *Manager) exportLock(ctx context.Context, lock string) (string, error) {
	python, err := m.python(ctx)
	if err != nil {
		return "", err
	}
	uv, why, err := m.findUV(ctx, python, func(string) {})
	if err != nil {
		return "", err
	}
	if uv == nil {
		return "", fmt.Errorf("%s can only be read by uv, which is not here (%s); beside it, a requirements.txt made by `uv export` does without", lock, why)
	}
	f, err := os.CreateTemp(m.options.Dir, ".exported-*.txt")
	if err != nil {
		return "", err
	}
	f.Close()
	out, err := m.run(ctx, filepath.Dir(lock), append(uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project",
		"--no-header", "--format", "requirements-txt", "--python", python.Answer.Executable, "--output-file", f.Name()))
	if err != nil {
		os.Remove(f.Name())
		if ctx.Err() != nil {
			return "", err
		}
		return "", &InstallError{Requirements: lock, Tool: "uv export", Output: out, Err: err}
	}
	return f.Name(), nil
}
