package scaffold

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
	"github.com/nikolalohinski/gonja/v2/parser"
)

// jinja renders texts as cookiecutter's own environment would: undefined variables are
// errors, and the last newline of a file is kept.
type jinja struct {
	source      *source
	answers     *object
	config      *config.Config
	environment *exec.Environment
}

func newJinja(source *source, answers *object) (*jinja, error) {
	settings := config.New()
	settings.StrictUndefined = true
	settings.KeepTrailingNewline = true
	if variables, ok := source.settings.values["_jinja2_env_vars"].(*object); ok {
		if err := configure(settings, variables); err != nil {
			return nil, fmt.Errorf("template %s: cookiecutter.json, _jinja2_env_vars: %w", source.name, err)
		}
	}
	asked := newObject()
	for _, name := range source.settings.public() {
		asked.set(name, source.settings.values[name])
	}
	environment := pythonEnvironment()
	environment.Context.Set("cookiecutter", toJinja(answers))
	environment.Context.Set("_cookiecutter", toJinja(asked))
	return &jinja{source: source, answers: answers, config: settings, environment: environment}, nil
}

// configure applies the options of jinja2.Environment that a template may set.
func configure(settings *config.Config, variables *object) error {
	flags := map[string]*bool{
		"trim_blocks": &settings.TrimBlocks, "lstrip_blocks": &settings.LeftStripBlocks,
		"keep_trailing_newline": &settings.KeepTrailingNewline,
	}
	markers := map[string]*string{
		"block_start_string": &settings.BlockStartString, "block_end_string": &settings.BlockEndString,
		"variable_start_string": &settings.VariableStartString, "variable_end_string": &settings.VariableEndString,
		"comment_start_string": &settings.CommentStartString, "comment_end_string": &settings.CommentEndString,
		"line_statement_prefix": &settings.LineStatementPrefix, "line_comment_prefix": &settings.LineCommentPrefix,
	}
	for _, name := range variables.names {
		value := variables.values[name]
		flag, isFlag := value.(bool)
		marker, isMarker := value.(string)
		switch {
		case flags[name] != nil && isFlag:
			*flags[name] = flag
		case markers[name] != nil && isMarker:
			*markers[name] = marker
		default:
			return fmt.Errorf("%s: %v is not supported here", name, value)
		}
	}
	return nil
}

// name renders the name of a file or folder.
func (j *jinja) name(text string) (string, error) {
	return j.render("name "+text, text)
}

// file renders the contents of a file; newlines must be \n already.
func (j *jinja) file(name, text string) (string, error) {
	return j.render("file "+name, text)
}

// variable renders a default of cookiecutter.json, and everything in it.
func (j *jinja) variable(raw any) (any, error) {
	switch v := raw.(type) {
	case nil, bool:
		return v, nil
	case *object:
		rendered := newObject()
		for _, name := range v.names {
			key, err := j.variable(name)
			if err != nil {
				return nil, err
			}
			value, err := j.variable(v.values[name])
			if err != nil {
				return nil, err
			}
			rendered.set(textOf(key), value)
		}
		return rendered, nil
	case []any:
		rendered := make([]any, len(v))
		for i, item := range v {
			value, err := j.variable(item)
			if err != nil {
				return nil, err
			}
			rendered[i] = value
		}
		return rendered, nil
	}
	return j.render("", textOf(raw))
}

// render renders one text. what names it in errors, "" where the caller does.
func (j *jinja) render(what, text string) (rendered string, err error) {
	// Most names and many files hold nothing to render.
	if c := j.config; c.LineStatementPrefix == "" && c.LineCommentPrefix == "" && c.KeepTrailingNewline &&
		!strings.Contains(text, c.VariableStartString) && !strings.Contains(text, c.BlockStartString) && !strings.Contains(text, c.CommentStartString) {
		return text, nil
	}
	defer func() {
		// The library panics at a few templates that it cannot handle; a template is
		// the user's input, which must never end the program.
		if failure := recover(); failure != nil {
			rendered, err = "", fmt.Errorf("template %s, %s: cannot be rendered: %v", j.source.name, what, failure)
		}
	}()
	// Each template gets a copy: {% set %} at the top of one must not reach another.
	environment := *j.environment
	environment.Context = exec.EmptyContext().Update(j.environment.Context)
	loader := &fileLoader{source: j.source, text: text}
	template, err := exec.NewTemplate(mainText, j.config, loader, &environment)
	if err == nil {
		rendered, err = template.ExecuteToString(nil)
	}
	if err != nil {
		return "", j.explain(what, err)
	}
	return rendered, nil
}

// mainText is the identifier of the text being rendered; no file can have this name.
const mainText = "/"

// fileLoader serves {% include %}, {% import %} and {% extends %}: paths start from the
// template's top folder or from templates/ beside it, and never leave them.
type fileLoader struct {
	source *source
	text   string
}

func (l *fileLoader) Read(name string) (io.Reader, error) {
	if name == mainText {
		return strings.NewReader(l.text), nil
	}
	resolved, err := l.Resolve(name)
	if err != nil {
		return nil, err
	}
	text, err := fs.ReadFile(l.source.files, resolved)
	if err != nil {
		return nil, err
	}
	return strings.NewReader(normaliseNewlines(string(text))), nil
}

func (l *fileLoader) Resolve(name string) (string, error) {
	if name == mainText {
		return name, nil
	}
	for _, folder := range []string{"", l.source.top, "templates"} {
		candidate := path.Join(folder, name)
		// The first, empty folder is for names that were resolved before.
		if folder == "" && !strings.HasPrefix(candidate, l.source.top+"/") && !strings.HasPrefix(candidate, "templates/") {
			continue
		}
		if info, err := fs.Stat(l.source.files, candidate); err == nil && info.Mode().IsRegular() {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("there is no file %q to include", name)
}

func (l *fileLoader) Inherit(string) (loaders.Loader, error) { return l, nil }

var (
	lineOf       = regexp.MustCompile(`(?:at line |\bLine[:=] ?)(\d+)`)
	unknownName  = regexp.MustCompile(`[Uu]nable to evaluate name "([^"]+)"|[Uu]nable to evaluate ([\w.]+): attribute '\w+' not found|[Uu]nable to evaluate (\S+): item \S+ not found`)
	unknownWords = regexp.MustCompile(`(filter|test) '(\w+)' not found`)
)

// explain turns the library's nested messages, which may repeat the whole source text,
// into one line with the place and the reason.
func (j *jinja) explain(what string, err error) error {
	var syntax *parser.SyntaxError
	isSyntax := errors.As(err, &syntax)
	message, line := err.Error(), ""
	switch {
	case isSyntax && syntax.Line > 0:
		message, line = fmt.Sprintf("%s near %q", strings.TrimSuffix(syntax.Message, "."), syntax.Raw), fmt.Sprint(syntax.Line)
	case isSyntax:
		message = syntax.Message
	default:
		// Where blocks are nested, the innermost place comes last.
		if inner := errors.Unwrap(err); inner != nil {
			message = inner.Error()
		}
		if found := lineOf.FindAllStringSubmatch(message, -1); found != nil {
			line = found[len(found)-1][1]
		}
		message = j.reason(message)
	}

	var place strings.Builder
	if what != "" {
		fmt.Fprintf(&place, "template %s, %s", j.source.name, what)
	}
	if line != "" && !strings.HasPrefix(what, "name ") && what != "" {
		fmt.Fprintf(&place, ", line %s", line)
	}
	if place.Len() > 0 {
		place.WriteString(": ")
	}
	return errors.New(place.String() + message)
}

func (j *jinja) reason(message string) string {
	if found := unknownName.FindAllStringSubmatch(message, -1); found != nil {
		groups := found[len(found)-1]
		return fmt.Sprintf("%q is not defined; the answers are: %s", groups[1]+groups[2]+groups[3], strings.Join(j.answered(), ", "))
	}
	if found := unknownWords.FindStringSubmatch(message); found != nil {
		return fmt.Sprintf("there is no %s %q", found[1], found[2])
	}
	parts := strings.Split(message, ": ")
	return parts[len(parts)-1]
}

func (j *jinja) answered() []string {
	var names []string
	for _, name := range j.answers.names {
		if !strings.HasPrefix(name, "_") {
			names = append(names, "cookiecutter."+name)
		}
	}
	return names
}
