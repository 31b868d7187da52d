package pyenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orionflows/orion/internal/proctree"
)

// installer is a tool that makes environments and installs into them.
type installer struct {
	name    string
	create  func(dir string) []string    // command that makes an environment
	install func(python string) []string // command that installs into it, up to the requirements
}

// uvInstaller is uv, however it is started here.
func uvInstaller(uv []string, python string) installer {
	return installer{
		name: "uv pip install",
		create: func(dir string) []string {
			// Seeded with pip, as an environment made by hand is: pull steps
			// and users' scripts call it.
			return append(slices.Clone(uv), "venv", "--quiet", "--seed", "--python", python, dir)
		},
		install: func(python string) []string {
			return append(slices.Clone(uv), "pip", "install", "--color", "never", "--python", python)
		},
	}
}

func pipInstaller(python string) installer {
	return installer{
		name:   "pip install",
		create: func(dir string) []string { return []string{python, "-m", "venv", dir} },
		install: func(python string) []string {
			return []string{python, "-m", "pip", "install", "--disable-pip-version-check"}
		},
	}
}

// install makes the environment of spec in its folder, which is absent, and
// returns the name of the installer.
func (m *Manager) install(ctx context.Context, spec Spec, progress func(string)) (string, error) {
	tool, err := m.findInstaller(ctx, progress)
	if err != nil {
		return "", err
	}
	progress("creating")
	dir := m.dir(spec)
	if out, err := m.run(ctx, "", tool.create(dir)); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", fmt.Errorf("a Python environment cannot be made (%w):\n%s\n%s",
			err, lastLines(out, 6), adviceToInstall)
	}

	progress("installing")
	command := tool.install(environmentPython(dir))
	switch filepath.Base(spec.Requirements) {
	case projectFile:
		command = append(command, spec.lines...)
	case uvLock:
		exported, err := m.exportLock(ctx, spec.Requirements)
		if err != nil {
			return "", err
		}
		defer os.Remove(exported)
		command = append(command, "-r", exported)
	default:
		if spec.Requirements != "" {
			command = append(command, "-r", spec.Requirements)
		}
	}
	if len(spec.extra) == 0 && spec.Requirements == "" {
		return tool.name, nil // a base of nothing: a bare interpreter
	}
	command = append(command, spec.extra...)
	// Installers take relative paths in a requirements file from here.
	out, err := m.run(ctx, filepath.Dir(spec.Requirements), command)
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", &InstallError{Requirements: spec.Requirements, Packages: spec.extra, Tool: tool.name, Output: out, Err: err}
	}
	return tool.name, nil
}

const adviceToInstall = "install what makes environments: apt-get install python3-venv, or uv"

// findInstaller settles on an installer: uv if there is one or one can be
// had, else venv and pip. A fresh Debian has Python without the venv module;
// uv does not need it.
func (m *Manager) findInstaller(ctx context.Context, progress func(string)) (installer, error) {
	m.mu.Lock()
	found := m.installer
	m.mu.Unlock()
	if found.name != "" {
		return found, nil
	}
	python, err := m.python(ctx)
	if err != nil {
		return installer{}, err
	}
	uv, why, err := m.findUV(ctx, python, progress)
	if err != nil {
		return installer{}, err
	}
	if uv != nil {
		found = uvInstaller(uv, python.Answer.Executable)
	} else {
		found = pipInstaller(python.Path)
		if out, err := m.run(ctx, "", []string{python.Path, "-c", "import venv, ensurepip"}); err != nil {
			if ctx.Err() != nil {
				return installer{}, err
			}
			return installer{}, fmt.Errorf("no way to make a Python environment: %s, and %s has no venv module (%s)\n%s",
				why, python.Path, lastLines(out, 1), adviceToInstall)
		}
	}
	m.mu.Lock()
	m.installer = found
	m.mu.Unlock()
	return found, nil
}

// findUV returns the command that starts uv, or why there is none. The error is
// that of ctx.
func (m *Manager) findUV(ctx context.Context, python *interpreter, progress func(string)) (command []string, why string, err error) {
	works := func(uv ...string) bool {
		// Asked, not only found: a version manager's stand-in may lead nowhere.
		_, err := m.run(ctx, "", append(uv, "--version"))
		return err == nil
	}
	if uv, err := m.lookPath("uv"); err == nil && works(uv) {
		return []string{uv}, "", nil
	}
	if works(python.Path, "-m", "uv") {
		return []string{python.Path, "-m", "uv"}, "", nil
	}
	tools := filepath.Join(m.options.Dir, "tools")
	own := filepath.Join(tools, "bin", "uv")
	unlock, err := lock(ctx, tools+".lock", func() { progress("waiting for uv") })
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	if _, err := os.Stat(own); err == nil && works(own) {
		return []string{own}, "", nil
	}
	progress("fetching uv")
	fresh, err := os.MkdirTemp(m.options.Dir, "tools-*")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(fresh) // gone already when all went well
	// Into a folder of ours: it needs no rights, and systems that forbid
	// installing among their own packages allow it.
	out, err := m.run(ctx, "", []string{python.Path, "-m", "pip", "install", "--quiet",
		"--disable-pip-version-check", "--only-binary", ":all:", "--target", fresh, "uv"})
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	if err != nil {
		return nil, "uv is not on PATH and could not be fetched with pip (" + lastLines(out, 1) + ")", nil
	}
	os.RemoveAll(tools)
	if err := os.Rename(fresh, tools); err != nil {
		return nil, "", err
	}
	if !works(own) {
		return nil, "the uv that pip fetched does not work here", nil
	}
	return []string{own}, "", nil
}

// misleading variables say where to install rather than what, or put another
// library in an environment's place; the rest of the user's configuration is
// the tools' to read.
var misleading = []string{
	"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV",
	"PYTHONHOME", "UV_SYSTEM_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_PYTHON", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__",
}

// run runs a tool, passes its output to the log and returns it.
func (m *Manager) run(ctx context.Context, dir string, command []string) (string, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(m.fromPip(), m.options.Env...) // what the user set comes later and wins
	cmd.Env = slices.DeleteFunc(cmd.Env, func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains(misleading, name)
	})
	var out bytes.Buffer
	lines := &lineWriter{to: m.options.Log}
	both := teeWriter{&out, lines}
	cmd.Stdout, cmd.Stderr = both, both
	m.started(cmd)
	err := proctree.Run(ctx, cmd)
	lines.flush()
	if err == nil || ctx.Err() != nil {
		return out.String(), err
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return out.String(), fmt.Errorf("%s cannot be started: %w", filepath.Base(command[0]), err)
	}
	return out.String(), err
}

// started is told of every process: in the log first, so that a hang has a name.
func (m *Manager) started(cmd *exec.Cmd) {
	if m.options.Log != nil {
		first, _, _ := strings.Cut(strings.Join(cmd.Args, " "), "\n") // of a program, its first line
		m.options.Log("$ " + first)
	}
}
