package scaffold

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// renderer writes a template's tree into a folder. It writes through an os.Root, so
// that no rendered name and no link can lead out of it.
type renderer struct {
	source   *source
	jinja    *jinja
	copyOnly []*regexp.Regexp // from _copy_without_render
	newline  string           // from _new_lines; "" keeps each file's own
	target   *os.Root
}

func renderTree(ctx context.Context, source *source, jinja *jinja, answers *object, target string) error {
	root, err := os.OpenRoot(target)
	if err != nil {
		return fmt.Errorf("opening %s: %w", target, err)
	}
	defer root.Close()
	r := renderer{source: source, jinja: jinja, target: root}
	patterns, _ := answers.values["_copy_without_render"].([]any)
	for _, pattern := range patterns {
		r.copyOnly = append(r.copyOnly, fnmatch(textOf(pattern)))
	}
	r.newline, _ = answers.values["_new_lines"].(string)
	return r.folder(ctx, ".")
}

// folder renders what is directly in one folder of the template and then goes down.
// The order is cookiecutter's, which matters where two names become one.
func (r *renderer) folder(ctx context.Context, folder string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(r.source.files, path.Join(r.source.top, folder))
	if err != nil {
		return fmt.Errorf("reading the template: %w", err)
	}
	var folders, files []string
	for _, entry := range entries {
		name := path.Join(folder, entry.Name())
		// Links are followed: what is generated stands on its own.
		info, err := fs.Stat(r.source.files, path.Join(r.source.top, name))
		switch {
		case err != nil:
			return fmt.Errorf("reading the template: %w", err)
		case !info.IsDir():
			files = append(files, name)
		case r.isCopyOnly(name):
			if err := r.copyFolder(name); err != nil {
				return err
			}
		default:
			if _, err := r.makeFolder(name); err != nil {
				return err
			}
			if entry.Type()&fs.ModeSymlink == 0 {
				folders = append(folders, name)
			}
		}
	}
	for _, name := range files {
		if err := r.file(name); err != nil {
			return err
		}
	}
	for _, name := range folders {
		if err := r.folder(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) isCopyOnly(name string) bool {
	return slices.ContainsFunc(r.copyOnly, func(p *regexp.Regexp) bool { return p.MatchString(name) })
}

// place renders a name. One that ends with a slash has an empty last part, which is how
// a template leaves a file out.
func (r *renderer) place(name string) (rendered string, empty bool, err error) {
	rendered, err = r.jinja.name(name)
	if err != nil {
		return "", false, err
	}
	empty = rendered == "" || strings.HasSuffix(rendered, "/")
	if rendered == "" {
		rendered = "."
	}
	if !filepath.IsLocal(rendered) {
		return "", false, fmt.Errorf("template %s: the name %q becomes %q, which is outside the new folder", r.source.name, name, rendered)
	}
	return path.Clean(rendered), empty, nil
}

func (r *renderer) makeFolder(name string) (string, error) {
	rendered, _, err := r.place(name)
	if err != nil {
		return "", err
	}
	if err := r.target.MkdirAll(rendered, 0o777); err != nil {
		return "", fmt.Errorf("creating the folder %s: %w", rendered, err)
	}
	return rendered, nil
}

// copyFolder copies a folder as it is; only its own name and those above are rendered.
func (r *renderer) copyFolder(name string) error {
	rendered, _, err := r.place(name)
	if err != nil {
		return err
	}
	from := path.Join(r.source.top, name)
	return fs.WalkDir(r.source.files, from, func(at string, _ fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading the template: %w", err)
		}
		to := path.Join(rendered, strings.TrimPrefix(at, from))
		info, err := fs.Stat(r.source.files, at)
		if err != nil {
			return fmt.Errorf("reading the template: %w", err)
		}
		if info.IsDir() {
			return r.target.MkdirAll(to, 0o777)
		}
		content, err := fs.ReadFile(r.source.files, at)
		if err != nil {
			return fmt.Errorf("reading the template: %w", err)
		}
		return r.write(to, content, info.Mode())
	})
}

func (r *renderer) file(name string) error {
	rendered, empty, err := r.place(name)
	if err != nil || empty {
		return err
	}
	if info, err := r.target.Stat(rendered); err == nil && info.IsDir() {
		return nil
	}
	from := path.Join(r.source.top, name)
	content, err := fs.ReadFile(r.source.files, from)
	if err != nil {
		return fmt.Errorf("reading the template: %w", err)
	}
	info, err := fs.Stat(r.source.files, from)
	if err != nil {
		return fmt.Errorf("reading the template: %w", err)
	}
	if !r.isCopyOnly(name) && !isBinary(content) {
		text, err := r.jinja.file(name, normaliseNewlines(string(content)))
		if err != nil {
			return err
		}
		newline := r.newline
		if newline == "" {
			newline = newlineOf(content)
		}
		if newline != "\n" {
			text = strings.ReplaceAll(text, "\n", newline)
		}
		content = []byte(text)
	}
	return r.write(rendered, content, info.Mode())
}

func (r *renderer) write(name string, content []byte, mode fs.FileMode) error {
	// An embedded file is read-only, which says nothing about the file it becomes.
	if r.source.dir == "" {
		mode = 0o644
	}
	if err := r.target.MkdirAll(path.Dir(name), 0o777); err != nil {
		return fmt.Errorf("creating the folder of %s: %w", name, err)
	}
	file, err := r.target.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("creating the file %s: %w", name, err)
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Chmod(mode.Perm())
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("writing the file %s: %w", name, err)
	}
	return nil
}

// isBinary tells what is no text in UTF-8.
func isBinary(content []byte) bool {
	return bytes.IndexByte(content, 0) >= 0 || !utf8.Valid(content)
}

func normaliseNewlines(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

// newlineOf finds how a file ends its lines. Where it mixes them cookiecutter takes the
// first of these three that occurs in the first block that Python reads.
func newlineOf(content []byte) string {
	block := string(content[:min(len(content), 8192)])
	without := strings.ReplaceAll(block, "\r\n", "")
	switch {
	case strings.Contains(without, "\r"):
		return "\r"
	case strings.Contains(without, "\n"):
		return "\n"
	case strings.Contains(block, "\r\n"):
		return "\r\n"
	}
	return "\n"
}

// fnmatch compiles a pattern of Python's fnmatch, where * also matches a slash.
func fnmatch(pattern string) *regexp.Regexp {
	var out strings.Builder
	out.WriteString(`(?s)\A`)
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			out.WriteString(".*")
		case '?':
			out.WriteString(".")
		case '[':
			end := strings.IndexByte(pattern[min(i+2, len(pattern)):], ']')
			if end < 0 {
				out.WriteString(`\[`)
				continue
			}
			set := pattern[i+1 : i+2+end]
			if rest, negated := strings.CutPrefix(set, "!"); negated {
				set = "^" + rest
			}
			out.WriteString("[" + strings.ReplaceAll(set, `\`, `\\`) + "]")
			i += 2 + end
		default:
			out.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	compiled, err := regexp.Compile(out.String() + `\z`)
	if err != nil {
		// A set such as [z-a]: Python's matches nothing, either.
		return regexp.MustCompile(`\A\z.`)
	}
	return compiled
}
