package scaffold

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The prefix all: takes files along whose name begins with a dot.
//
//go:embed all:template
var builtinTemplate embed.FS

// source is a template folder that was found to be one.
type source struct {
	files    fs.FS
	name     string  // how the user called it, for messages
	dir      string  // where it lies; empty for the built-in template
	top      string  // the folder in it that becomes the new folder
	settings *object // cookiecutter.json
}

// openTemplate finds the template that the options name. Its pre_prompt hook, which may
// change the template itself, works on a copy, which cleanUp removes.
func openTemplate(ctx context.Context, o Options) (_ *source, cleanUp func(), err error) {
	dir, err := filepath.Abs(o.Template)
	if err != nil {
		return nil, nil, fmt.Errorf("finding template %s: %w", o.Template, err)
	}
	cleanUp = func() {}
	// A template may be a menu of templates; the depth is limited because a menu can
	// name itself.
	for range 8 {
		if found, err := findHooks(os.DirFS(dir), "pre_prompt"); err == nil && len(found) > 0 && !o.NoHooks {
			copied, err := copyForPrePrompt(ctx, dir, found, o.Log)
			if err != nil {
				return nil, nil, err
			}
			previous := cleanUp
			cleanUp = func() { previous(); os.RemoveAll(filepath.Dir(copied)) }
			dir = copied
		}
		s := &source{files: os.DirFS(dir), name: o.Template, dir: dir}
		if err := s.readSettings(); err != nil {
			cleanUp()
			return nil, nil, err
		}
		nested, err := s.chooseNested(o)
		if err != nil {
			cleanUp()
			return nil, nil, err
		}
		if nested == "" {
			if err := s.findTop(); err != nil {
				cleanUp()
				return nil, nil, err
			}
			return s, cleanUp, nil
		}
		dir = filepath.Join(dir, nested)
	}
	cleanUp()
	return nil, nil, fmt.Errorf("template %s: its menu of templates never ends", o.Template)
}

// openBuiltin returns the template that is part of this package.
func openBuiltin() (*source, error) {
	files, err := fs.Sub(builtinTemplate, "template")
	if err != nil {
		return nil, err
	}
	s := &source{files: files, name: "built in"}
	if err := s.readSettings(); err != nil {
		return nil, err
	}
	return s, s.findTop()
}

func (s *source) readSettings() error {
	text, err := fs.ReadFile(s.files, "cookiecutter.json")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no template: there is no cookiecutter.json in it", s.name)
	}
	if err != nil {
		return fmt.Errorf("reading template %s: %w", s.name, err)
	}
	settings, err := parseObject(string(text))
	if err != nil {
		return fmt.Errorf("template %s: cookiecutter.json, %w", s.name, err)
	}
	s.settings = settings
	return s.checkExtensions()
}

// Extensions whose tags and filters are there anyway.
var builtinExtensions = []string{
	"jinja2.ext.do", "jinja2.ext.loopcontrols", "jinja2.ext.with_", "jinja2_time.TimeExtension",
	"cookiecutter.extensions.JsonifyExtension", "cookiecutter.extensions.RandomStringExtension",
	"cookiecutter.extensions.SlugifyExtension", "cookiecutter.extensions.TimeExtension",
	"cookiecutter.extensions.UUIDExtension",
}

func (s *source) checkExtensions() error {
	extensions, _ := s.settings.values["_extensions"].([]any)
	for _, extension := range extensions {
		if name, _ := extension.(string); !slices.Contains(builtinExtensions, name) {
			return fmt.Errorf("template %s needs the Jinja extension %v, which is Python code: generate from it with cookiecutter itself", s.name, extension)
		}
	}
	return nil
}

// findTop finds the folder whose name is to be rendered.
func (s *source) findTop() error {
	opening, closing := "{{", "}}"
	if variables, ok := s.settings.values["_jinja2_env_vars"].(*object); ok {
		if marker, ok := variables.values["variable_start_string"].(string); ok {
			opening = marker
		}
		if marker, ok := variables.values["variable_end_string"].(string); ok {
			closing = marker
		}
	}
	entries, err := fs.ReadDir(s.files, ".")
	if err != nil {
		return fmt.Errorf("reading template %s: %w", s.name, err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.Contains(name, "cookiecutter") && strings.Contains(name, opening) && strings.Contains(name, closing) {
			s.top = name
			return nil
		}
	}
	return fmt.Errorf("%s is no template: it has no folder with a name like {{cookiecutter.name}}", s.name)
}

// In the older form of a menu the folder stands in brackets behind the title.
var inBrackets = regexp.MustCompile(`\((.+)\)`)

// chooseNested returns the folder of the template chosen from a menu, and "" where the
// template is no menu.
func (s *source) chooseNested(o Options) (string, error) {
	question := Question{Name: "template", Prompt: "Select a template"}
	folders := map[string]string{}
	switch menu := firstOf(s.settings.values["templates"], s.settings.values["template"]).(type) {
	case nil:
		return "", nil
	case *object:
		for _, name := range menu.names {
			entry, _ := menu.values[name].(*object)
			if entry == nil {
				return "", fmt.Errorf("template %s: cookiecutter.json, templates: %q is no object", s.name, name)
			}
			folder, _ := entry.values["path"].(string)
			folders[name] = folder
			question.Choices = append(question.Choices, name)
		}
	case []any:
		for _, item := range menu {
			title := fmt.Sprint(item)
			if found := inBrackets.FindStringSubmatch(title); found != nil {
				folders[title] = found[1]
			}
			question.Choices = append(question.Choices, title)
		}
	default:
		// A variable that happens to be called template.
		return "", nil
	}
	if len(question.Choices) == 0 {
		return "", fmt.Errorf("template %s: its menu of templates is empty", s.name)
	}
	question.Default = question.Choices[0]
	chosen, err := answer(o, question, nil)
	if err != nil {
		return "", err
	}
	folder := folders[chosen]
	if !filepath.IsLocal(folder) || path.Clean(folder) == "." {
		return "", fmt.Errorf("template %s: the menu entry %q names the folder %q, which is not inside it", s.name, chosen, folder)
	}
	return folder, nil
}

func firstOf(values ...any) any {
	for _, value := range values {
		if value != nil {
			return value
		}
	}
	return nil
}
