package scaffold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// hooks runs the scripts that a template brings along.
type hooks struct {
	source *source
	jinja  *jinja
	log    func(string)
	off    bool
}

// run renders and runs the hook of that name, if there is one, in dir.
func (h *hooks) run(ctx context.Context, name, dir string) error {
	if h.off {
		return nil
	}
	scripts, err := findHooks(h.source.files, name)
	if err != nil {
		return fmt.Errorf("template %s: %w", h.source.name, err)
	}
	for _, script := range scripts {
		text, err := fs.ReadFile(h.source.files, script)
		if err != nil {
			return fmt.Errorf("reading the hook %s: %w", script, err)
		}
		rendered, err := h.jinja.file(script, normaliseNewlines(string(text)))
		if err != nil {
			return err
		}
		if err := runRendered(ctx, script, rendered, dir, h.log); err != nil {
			return err
		}
	}
	return nil
}

// findHooks lists the scripts of one hook: any ending counts, but not an editor's backup.
func findHooks(files fs.FS, name string) ([]string, error) {
	entries, err := fs.ReadDir(files, "hooks")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var scripts []string
	for _, entry := range entries {
		file := entry.Name()
		if strings.TrimSuffix(file, path.Ext(file)) == name && !strings.HasSuffix(file, "~") && !entry.IsDir() {
			scripts = append(scripts, path.Join("hooks", file))
		}
	}
	return scripts, nil
}

// runRendered runs a hook from a file of its own outside dir, so that the hook finds
// only the new folder where it runs.
func runRendered(ctx context.Context, script, text, dir string, log func(string)) error {
	folder, err := os.MkdirTemp("", "orion-hook-")
	if err != nil {
		return fmt.Errorf("preparing the hook %s: %w", script, err)
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, path.Base(script))
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		return fmt.Errorf("preparing the hook %s: %w", script, err)
	}
	return runScript(ctx, script, file, dir, log)
}

// runScript runs a file in dir, passes its output on line by line, and repeats the last
// lines in the error when it fails. A hook has no standard input: it cannot ask.
func runScript(ctx context.Context, name, file, dir string, log func(string)) error {
	var command *exec.Cmd
	switch content, err := os.ReadFile(file); {
	case err != nil:
		return fmt.Errorf("reading the hook %s: %w", name, err)
	case strings.HasSuffix(file, ".py"):
		python, err := findPython()
		if err != nil {
			return fmt.Errorf("the hook %s needs Python: %w; --no-hooks leaves hooks out", name, err)
		}
		command = exec.CommandContext(ctx, python, file)
	case !bytes.HasPrefix(content, []byte("#!")):
		command = exec.CommandContext(ctx, "sh", file)
	default:
		command = exec.CommandContext(ctx, file)
	}
	out := &lines{log: log}
	command.Dir, command.Stdout, command.Stderr = dir, out, out
	// A child of the hook that keeps the output open must not hold us up for ever.
	command.WaitDelay = 5 * time.Second
	err := command.Run()
	out.flush()
	if ctx.Err() != nil {
		return fmt.Errorf("the hook %s was stopped: %w", name, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("the hook %s failed (%w), nothing was written%s", name, err, out.last())
	}
	return nil
}

func findPython() (string, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return exec.LookPath("python")
	}
	return python, nil
}

// lines is a writer that cuts what it gets into lines.
type lines struct {
	log func(string)

	mu      sync.Mutex
	partial []byte
	recent  []string
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, text...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte("\n"))
		if !found {
			return len(text), nil
		}
		l.add(string(line))
		l.partial = rest
	}
}

func (l *lines) add(line string) {
	l.log(line)
	l.recent = append(l.recent, line)
	l.recent = l.recent[max(0, len(l.recent)-10):]
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.add(string(l.partial))
		l.partial = nil
	}
}

func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) == 0 {
		return "; it said nothing"
	}
	return "; it said:\n" + strings.Join(l.recent, "\n")
}

// copyForPrePrompt runs the pre_prompt hook, which may write into the template (most
// often cookiecutter.json), in a copy of it, and returns the copy.
func copyForPrePrompt(ctx context.Context, dir string, scripts []string, log func(string)) (string, error) {
	if log == nil {
		log = func(string) {}
	}
	folder, err := os.MkdirTemp("", "orion-template-")
	if err != nil {
		return "", fmt.Errorf("copying the template: %w", err)
	}
	copied := filepath.Join(folder, filepath.Base(dir))
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		os.RemoveAll(folder)
		return "", fmt.Errorf("copying the template: %w", err)
	}
	for _, script := range scripts {
		if err := runScript(ctx, script, filepath.Join(copied, filepath.FromSlash(script)), copied, log); err != nil {
			os.RemoveAll(folder)
			return "", err
		}
	}
	return copied, nil
}
