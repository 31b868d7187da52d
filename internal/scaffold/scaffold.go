// Package scaffold writes a new flow folder from a template: it is the engine of
// "orion new".
//
// It is for templates in the format of cookiecutter (a cookiecutter.json, one folder
// whose name holds {{ cookiecutter.x }}, hooks), so that a team's own template folder
// works as it is. The built-in template is one of them, with questions of its own that
// know Prefect's rules for names. It is not for fetching templates (a folder must be on
// this machine), nor for registering what it wrote, nor for talking to a terminal: the
// caller passes Ask and Log.
//
// Start at New. source.go finds the template, questions.go and builtin.go collect the
// answers, render.go writes a staged tree with the Jinja of jinja.go, install.go moves
// it into place, hooks.go runs the template's scripts.
package scaffold

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options says which template to use, where to write, and what the user has told.
type Options struct {
	// Template is a folder with a cookiecutter.json; empty means the built-in template.
	Template string
	// Dir is where to write: the root of the repository for the built-in template,
	// the folder that receives the new one for any other. Empty is the current folder.
	Dir string
	// Answers given by flag, by the name of the question; they win over asking.
	Answers map[string]string
	// Ask puts a question to the user; nil takes the defaults instead, and a question
	// without a default is then an error that names its flag. An answer that does not
	// fit is explained through Log and asked for again.
	Ask func(Question) (string, error)
	// Force writes into a folder that exists, over the files of the same name.
	Force bool
	// NoHooks leaves the template's scripts alone.
	NoHooks bool
	// Log receives one line at a time, for example a hook's output; it may be nil.
	Log func(string)
}

// Question is one thing that a template wants to know.
type Question struct {
	Name    string // as in Options.Answers, and as in cookiecutter.json
	Prompt  string // how to put it to a person
	Default string // what an empty answer stands for
	Choices []string
}

// Result says what was written.
type Result struct {
	Dir   string   // the new folder, absolute
	Files []string // the files in it, relative to Dir, sorted
	Next  []string // what to type next
}

// errInvalid marks an answer that does not fit, so that it can be asked for again.
var errInvalid = errors.New("invalid answer")

// New renders a template into a new folder. It either writes all of it or, on an
// error, a failing hook or a cancelled context, leaves the disk as it was.
func New(ctx context.Context, o Options) (Result, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if o.Dir == "" {
		o.Dir = "."
	}
	output, err := filepath.Abs(o.Dir)
	if err != nil {
		return Result{}, fmt.Errorf("finding %s: %w", o.Dir, err)
	}
	if o.Template == "" {
		return newBuiltin(ctx, o, output)
	}

	source, cleanUp, err := openTemplate(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer cleanUp()
	answers, err := source.collect(o, output)
	if err != nil {
		return Result{}, err
	}
	return generate(ctx, o, source, answers, output)
}

// generate renders source with the answers and puts the outcome below output.
func generate(ctx context.Context, o Options, source *source, answers *object, output string) (Result, error) {
	jinja, err := newJinja(source, answers)
	if err != nil {
		return Result{}, err
	}
	top, err := jinja.name(source.top)
	if err != nil {
		return Result{}, err
	}
	if !filepath.IsLocal(top) || filepath.Clean(top) == "." {
		return Result{}, fmt.Errorf("the template folder %q becomes %q, which is outside %s", source.top, top, output)
	}

	site, err := openSite(output, filepath.Clean(top), o.Force)
	if err != nil {
		return Result{}, err
	}
	defer site.close()

	hooks := hooks{source: source, jinja: jinja, log: o.Log, off: o.NoHooks}
	if err := hooks.run(ctx, "pre_gen_project", site.staged()); err != nil {
		return Result{}, err
	}
	if err := renderTree(ctx, source, jinja, answers, site.staged()); err != nil {
		return Result{}, err
	}
	if err := site.install(); err != nil {
		return Result{}, errors.Join(err, site.undo())
	}
	if err := hooks.run(ctx, "post_gen_project", site.final()); err != nil {
		return Result{}, errors.Join(err, site.undo())
	}
	files, err := site.written()
	if err != nil {
		return Result{}, err
	}
	return Result{Dir: site.final(), Files: files, Next: nextCommands(site.final(), files)}, nil
}

// nextCommands tells how to go on from the new folder; where it has deployment files,
// that is registering them.
func nextCommands(dir string, files []string) []string {
	shown := dir
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, dir); err == nil && filepath.IsLocal(relative) {
			shown = relative
		}
	}
	if strings.ContainsAny(shown, " '\"$&;()") {
		shown = "'" + strings.ReplaceAll(shown, "'", `'\''`) + "'"
	}
	next := []string{"cd " + shown}
	i := slices.IndexFunc(files, func(f string) bool { return strings.HasSuffix(f, ".deployment.py") })
	if i >= 0 {
		next = append(next, "orion up .")
	}
	return next
}
