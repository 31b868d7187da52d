package pyenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/orionflows/orion/internal/proctree"
)

// interpreter is the Python that environments are made from.
type interpreter struct {
	Path   string // as found, perhaps a version manager's stand-in
	Answer answer
}

// answer is what an interpreter says of itself.
type answer struct {
	Executable string `json:"executable"`
	Base       string `json:"base"`    // the one behind a virtual environment
	Version    string `json:"version"` // in full, with build and compiler
	Major      int    `json:"major"`
	Minor      int    `json:"minor"`
	ABI        string `json:"abi"`
	Platform   string `json:"platform"`
}

const probe = `import json, sys, sysconfig
print(json.dumps({
    "executable": sys.executable,
    "base": getattr(sys, "_base_executable", None) or sys.executable,
    "version": sys.implementation.name + " " + sys.version,
    "major": sys.version_info[0], "minor": sys.version_info[1],
    "abi": sysconfig.get_config_var("SOABI") or "",
    "platform": sysconfig.get_platform(),
}))`

// identity is the part of a cache key that stands for the interpreter. The
// path belongs to it because an environment points to the one it was made from.
func (i *interpreter) identity() string {
	base := i.Answer.Base
	if real, err := filepath.EvalSymlinks(base); err == nil {
		base = real
	}
	return strings.Join([]string{i.Answer.Version, i.Answer.ABI, i.Answer.Platform, base}, "\n")
}

// python finds the interpreter and asks it, once per Manager.
func (m *Manager) python(ctx context.Context) (*interpreter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.interpreter != nil {
		return m.interpreter, nil
	}
	path, err := m.findPython()
	if err != nil {
		return nil, err
	}
	a, err := m.ask(ctx, path)
	if err != nil {
		return nil, err
	}
	if a.Major != 3 || a.Minor < 7 {
		return nil, fmt.Errorf("%s is Python %d.%d: flows need Python 3.7 or newer; name another one with ORION_PYTHON", path, a.Major, a.Minor)
	}
	m.interpreter = &interpreter{Path: path, Answer: a}
	return m.interpreter, nil
}

func (m *Manager) findPython() (string, error) {
	for _, choice := range []struct{ name, from string }{
		{m.options.Python, "the settings"},
		{m.getenv("ORION_PYTHON"), "ORION_PYTHON"},
	} {
		if choice.name == "" {
			continue
		}
		path, err := m.lookPath(choice.name)
		if err != nil {
			return "", fmt.Errorf("the Python that %s names was not found: %s", choice.from, choice.name)
		}
		return path, nil
	}
	// A deactivated and removed environment may still be named: pass over it.
	if venv := m.getenv("VIRTUAL_ENV"); venv != "" {
		if path, err := m.lookPath(environmentPython(venv)); err == nil {
			return path, nil
		}
	}
	for _, name := range []string{"python3", "python"} {
		if path, err := m.lookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("Python 3 was not found: install it (apt-get install python3), or name one with ORION_PYTHON")
}

// lookPath is exec.LookPath for the tools' environment instead of our own.
func (m *Manager) lookPath(name string) (string, error) {
	if strings.ContainsRune(name, os.PathSeparator) {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", err
		}
		return filepath.Abs(path)
	}
	for _, dir := range filepath.SplitList(m.getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// known is a remembered answer with what must be unchanged for it to hold.
type known struct {
	Stamp  string `json:"stamp"`
	Answer answer `json:"answer"`
}

// ask returns what the interpreter at path says, from the cache folder when
// nothing has changed since it said so: starting Python may take longer than
// everything else in a second start.
func (m *Manager) ask(ctx context.Context, path string) (answer, error) {
	cache := filepath.Join(m.options.Dir, "interpreters.json")
	all := map[string]known{}
	if text, err := os.ReadFile(cache); err == nil {
		if json.Unmarshal(text, &all) != nil || all == nil {
			all = map[string]known{} // a damaged cache is an empty one
		}
	}
	if k, ok := all[path]; ok && k.Stamp == m.stamp(path, k.Answer.Executable) {
		return k.Answer, nil
	}

	var stdout, stderr bytes.Buffer
	cmd := exec.Command(path, "-c", probe)
	cmd.Env, cmd.Stdout, cmd.Stderr = m.options.Env, &stdout, &stderr
	m.started(cmd)
	if err := proctree.Run(ctx, cmd); err != nil {
		if ctx.Err() != nil {
			return answer{}, err
		}
		return answer{}, fmt.Errorf("%s does not work as Python 3: %w\n%s", path, err, lastLines(stderr.String(), 3))
	}
	var a answer
	// A start-up hook may print before we do; our line is the last.
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &a); err != nil || a.Executable == "" {
		return answer{}, fmt.Errorf("%s does not work as Python 3: it said %q", path, stdout.String())
	}
	all[path] = known{m.stamp(path, a.Executable), a}
	if text, err := json.Marshal(all); err == nil {
		_ = writeFile(cache, text) // without it the next start is merely slower
	}
	return a, nil
}

// stamp changes when the answer of the interpreter at path may have changed.
func (m *Manager) stamp(path, executable string) string {
	stamp := fileStamp(path) + fileStamp(executable)
	stamp += fileStamp(filepath.Join(filepath.Dir(filepath.Dir(path)), "pyvenv.cfg"))
	f, err := os.Open(path)
	if err != nil {
		return stamp
	}
	defer f.Close()
	start := make([]byte, 2)
	if f.Read(start); string(start) != "#!" {
		return stamp
	}
	// A version manager's stand-in chooses by variables and by files.
	for _, name := range []string{"PYENV_VERSION", "ASDF_PYTHON_VERSION", "MISE_PYTHON_VERSION"} {
		stamp += name + "=" + m.getenv(name) + "\n"
	}
	root := m.getenv("PYENV_ROOT")
	if root == "" {
		root = filepath.Join(m.getenv("HOME"), ".pyenv")
	}
	stamp += fileStamp(filepath.Join(root, "version"))
	dir, err := os.Getwd()
	for err == nil {
		for _, name := range []string{".python-version", ".tool-versions", "mise.toml", ".mise.toml"} {
			stamp += fileStamp(filepath.Join(dir, name))
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return stamp
}

func fileStamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return path + " " + err.Error() + "\n"
		}
		return ""
	}
	return fmt.Sprintf("%s %d %d\n", path, info.ModTime().UnixNano(), info.Size())
}
