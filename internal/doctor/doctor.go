// Package doctor looks, before anything runs, whether what a repository's
// deployments name is there and can be reached: blocks, variables, storages,
// images, pools and queues, and whether schedules, parameters and entrypoints
// make sense.
//
// It changes nothing: it reads a plan and asks the server, the storages and
// the registries. How a plan is made is internal/plan's business, how findings
// look the command line's. Start with [Examine].
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/plan"
	"github.com/orionflows/orion/internal/pyenv"
)

// Level says how bad a finding is.
type Level string

// The levels: an error keeps runs, or the deploy itself, from working; a
// warning probably will; a hint is worth knowing.
const (
	Error   Level = "error"
	Warning Level = "warning"
	Hint    Level = "hint"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Level Level `json:"level"`
	// File is below the repository's root: the deployment file, or the file
	// that is to be changed where that is another.
	File string `json:"file"`
	Line int    `json:"line,omitzero"`
	What string `json:"what"`
	Fix  string `json:"fix"` // in one sentence
}

// Report is what an examination found, the worst first.
type Report struct {
	Findings []Finding `json:"findings"`
	// NotChecked is what could not be looked at from here; that says nothing
	// about it.
	NotChecked  []string `json:"not_checked"`
	Files       int      `json:"files"`
	Deployments int      `json:"deployments"`
}

// Count counts the findings of a level.
func (r *Report) Count(l Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// examination is one at work.
type examination struct {
	c      *client.Client
	p      *plan.Plan
	report *Report
	all    []plan.Declared
	names  map[string]bool   // blocks and variables that were looked for
	types  map[string]string // slugs of block types by the name of the class
	made   map[string]bool   // what the plan itself makes
}

// Examine looks at all that a plan's deployments name. An error means that the
// server could not be asked.
func Examine(ctx context.Context, c *client.Client, p *plan.Plan) (*Report, error) {
	all, err := p.Declared(ctx)
	if err != nil {
		return nil, err
	}
	x := &examination{c: c, p: p, all: all, names: map[string]bool{}, made: map[string]bool{},
		report: &Report{Findings: []Finding{}, NotChecked: []string{}, Files: p.Files, Deployments: len(all)}}
	for _, o := range p.Others {
		x.made[string(o.Kind)+" "+o.Name] = true
	}
	x.failures()
	x.entrypoints()
	x.parameters()
	x.schedules()
	for _, check := range []func(context.Context) error{x.blocks, x.templates, x.sources, x.queues, x.storages, x.images} {
		if err := check(ctx); err != nil {
			return nil, err
		}
	}
	order := map[Level]int{Error: 0, Warning: 1, Hint: 2}
	slices.SortStableFunc(x.report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.Level], order[b.Level]), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	x.report.Findings = slices.Compact(x.report.Findings)
	return x.report, nil
}

func (x *examination) find(l Level, file, fix, what string, args ...any) {
	x.report.Findings = append(x.report.Findings, Finding{Level: l, File: file, What: fmt.Sprintf(what, args...), Fix: fix})
}

func (x *examination) notChecked(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(x.report.NotChecked, text) {
		x.report.NotChecked = append(x.report.NotChecked, text)
	}
}

// failures are the files that do not run; among them those whose requirements
// cannot be installed.
func (x *examination) failures() {
	for _, f := range x.p.Failures {
		fix := cmp.Or(f.Hint, "Correct the file; running it by hand in its folder shows all of the error.")
		var install *pyenv.InstallError
		if errors.As(f.Err, &install) {
			file := install.Requirements
			if rel, err := filepath.Rel(x.p.Repository.Root, file); err == nil {
				file = filepath.ToSlash(rel)
			}
			x.find(Error, file, cmp.Or(f.Hint, "Correct the requirement that the installer names."), "the requirements cannot be installed:\n%s", install.Tail())
			continue
		}
		if m := noPool.FindStringSubmatch(f.Error); m != nil {
			x.noPool(m[1], f.File)
			continue
		}
		for file := range strings.SplitSeq(f.File, ", ") {
			x.find(Error, file, fix, "%s", strings.TrimSpace(f.Error))
		}
	}
}

// entrypoints must be among the files that are uploaded.
func (x *examination) entrypoints() {
	for i := range x.all {
		d := &x.all[i]
		if d.Code == nil || d.Entrypoint == nil {
			continue
		}
		file, _, ok := strings.Cut(*d.Entrypoint, ":")
		if !ok || !strings.HasSuffix(file, ".py") {
			continue // a module, which may come from a package
		}
		file = filepath.ToSlash(filepath.Clean(file))
		if filepath.IsAbs(file) || !slices.ContainsFunc(d.Code.Files, func(f codestore.File) bool { return f.Path == file }) {
			x.find(Error, d.File, "Give the entrypoint relative to the uploaded folder, and take it out of .prefectignore if it is there.",
				"the entrypoint %s of %q is not among the files that are uploaded", *d.Entrypoint, d.FullName)
		}
	}
}

// parameters must fit the flow's schema, also where nobody enforces it: a run
// fails on them as it begins.
func (x *examination) parameters() {
	for i := range x.all {
		d := &x.all[i]
		if orion.IsNull(d.ParameterOpenapiSchema) {
			continue
		}
		if err := orchestration.CheckParameters(d.ParameterOpenapiSchema, d.Parameters, true); err != nil {
			x.find(Error, d.File, "Change the deployment's parameters, or the types that the flow declares.", "the parameters of %q do not fit the flow: %v", d.FullName, err)
			continue
		}
		if !x.scheduled(d) {
			continue
		}
		if err := orchestration.CheckParameters(d.ParameterOpenapiSchema, d.Parameters, false); err != nil {
			x.find(Error, d.File, "Give the deployment a value for it, or the flow's parameter a default.", "%q is scheduled, and its runs would miss a parameter: %v", d.FullName, err)
		}
	}
}

// scheduled tells whether runs of the deployment begin by themselves.
func (x *examination) scheduled(d *plan.Declared) bool {
	return !d.Paused && slices.ContainsFunc(d.Schedules, func(s orion.DeploymentSchedule) bool { return s.Active })
}

// someOf are names for a sentence.
func someOf(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return strings.Join(names, ", ")
}

// missing tells the errors that mean an object is not there.
func missing(err error) bool { return orion.KindOf(err) == orion.NotFound }
