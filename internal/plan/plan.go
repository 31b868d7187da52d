// Package plan says what a deploy of a repository would change on a server, and
// makes it so.
//
// [Make] runs the deployment files that may say something new against an
// overlay, on which nothing is written (internal/deploy, internal/overlay),
// packs the code (internal/codestore) and compares three things: what the last
// deploy declared, what the server has now, and what the files say. [Plan.Apply]
// uploads the code first and moves the server last: on Orion in one
// transaction, elsewhere request after request.
//
// It prints nothing; how a plan looks is the command line's business.
package plan

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/deploy"
	"github.com/orionflows/orion/internal/overlay"
	"github.com/orionflows/orion/internal/pyenv"
)

// Options say what to deploy, and where.
type Options struct {
	Client       *client.Client
	Environments *pyenv.Manager
	Repository   Repository
	// Paths are files, folders and patterns; the repository's root if empty.
	Paths []string
	// Pattern narrows them to the files whose path it matches somewhere; nil is
	// all.
	Pattern *regexp.Regexp
	// ChangedSince narrows them to what changed since a git revision; "" is all.
	ChangedSince string
	// Refresh runs files whose inputs are as they were, too.
	Refresh bool
	// Overwrite gives up what was changed by hand on the server.
	Overwrite bool
	// State is a folder on this machine: for the hashes of files, and for what
	// servers that are not Orion cannot remember.
	State string
	// Key is what the client sends, for the processes that run the files.
	Key string
	// Parallel is how many files run at once; 0 is one for each core.
	Parallel int
	// Timeout is how long one file may take; 0 is 10 minutes.
	Timeout time.Duration
	On      Events
}

// Events are told what happens, from several goroutines but one at a time. Any
// may be nil.
type Events struct {
	Found       func(files, unchanged int)
	Environment func(name string, e pyenv.Environment, err error)
	Step        func(what string)
	Ran         func(r deploy.Result, done, of int)
	Uploaded    func(what string, done, of int)
	Note        func(text string)
}

// Action is what a plan does to a deployment.
type Action string

// The actions.
const (
	Create Action = "create"
	Change Action = "change"
	Leave  Action = "leave"
	Remove Action = "remove"
)

// Item is one deployment of a plan.
type Item struct {
	Deployment string  `json:"deployment"` // "flow/name"
	File       string  `json:"file"`
	Action     Action  `json:"action"`
	Changes    []Field `json:"changes,omitempty"`
	// Drift is what was changed on the server by hand, and stays as it is.
	Drift []Field `json:"drift,omitempty"`
	Code  *Code   `json:"code,omitempty"`
	// About is, for one that is created, what it will do: schedules and queue.
	About string `json:"about,omitzero"`
	// ID is the deployment's on the server; zero for one that is not there yet.
	ID orion.ID `json:"id,omitzero"`

	revision string // on the server now; "" when it is not there
	claim    *overlay.Claim
	want     *orion.Deployment // as it will be, what was changed by hand included
	declared fields            // as the file says
	bundle   *bundle
	inputs   orion.JSON
	env      pyenv.Environment
	server   *orion.Deployment
}

// Code is how a deployment's code changes.
type Code struct {
	From string `json:"from,omitzero"` // hash; "" when there was none
	To   string `json:"to"`
	// Files are those that differ, each behind a mark: + - ~; empty when what
	// was there is not known.
	Files []string `json:"files,omitempty"`
}

// Other is something else that the files change: a block, a variable, a queue.
type Other struct {
	Kind   overlay.Kind   `json:"kind"`
	Name   string         `json:"name"`
	Action overlay.Action `json:"action"`
	File   string         `json:"file"`
}

// Failure is a file that could not be planned.
type Failure struct {
	File  string `json:"file"`
	Error string `json:"error"`
	Hint  string `json:"hint,omitzero"`

	Err error `json:"-"`
}

// Plan is what a deploy would change. Make one with [Make].
type Plan struct {
	Repository Repository `json:"repository"`
	Server     string     `json:"server"`
	Items      []Item     `json:"deployments"`
	Others     []Other    `json:"others,omitempty"`
	Failures   []Failure  `json:"failures,omitempty"`
	Warnings   []string   `json:"warnings,omitempty"`
	// Files and Unchanged count the deployment files, and those of them that
	// were not run since nothing they read has changed.
	Files     int `json:"files"`
	Unchanged int `json:"unchanged_files"`

	o         Options
	ledger    ledger
	recording *overlay.Recording
	others    map[int]bool // writes of the recording that change something
	packages  map[string][]string
	hashes    *deploy.Hashes
	over      *overlay.Overlay
}

// Count counts the items with an action.
func (p *Plan) Count(a Action) (n int) {
	for i := range p.Items {
		if p.Items[i].Action == a {
			n++
		}
	}
	return n
}

// Drifted counts the deployments that were changed by hand.
func (p *Plan) Drifted() (n int) {
	for i := range p.Items {
		if len(p.Items[i].Drift) > 0 {
			n++
		}
	}
	return n
}

// Empty tells that there is nothing to do but, with prune, to remove.
func (p *Plan) Empty(prune bool) bool {
	return p.Count(Create)+p.Count(Change)+len(p.Others) == 0 && (!prune || p.Count(Remove) == 0)
}

// Fingerprint is the same for two plans that would do the same to servers in
// the same state.
func (p *Plan) Fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", p.Server, p.Repository.Name)
	for i := range p.Items {
		it := &p.Items[i]
		fmt.Fprintf(h, "%s %s %s\n", it.Action, it.Deployment, it.revision)
		for _, c := range it.Changes {
			fmt.Fprintf(h, "  %s %s %s\n", c.Name, c.From, c.To)
		}
		if it.declared != nil {
			for _, d := range sorted(it.declared.digests()) {
				fmt.Fprintf(h, "  %s\n", d)
			}
		}
		if it.Code != nil {
			fmt.Fprintf(h, "  %s\n", it.Code.To)
		}
	}
	for _, o := range p.Others {
		fmt.Fprintf(h, "%s %s %s\n", o.Action, o.Kind, o.Name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sorted(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k, v := range m {
		out = append(out, k+" "+v)
	}
	slices.Sort(out)
	return out
}

// Item finds a deployment's item; nil when the plan does not know it.
func (p *Plan) Item(deployment string) *Item {
	for i := range p.Items {
		if p.Items[i].Deployment == deployment {
			return &p.Items[i]
		}
	}
	return nil
}

func (p *Plan) sort() {
	slices.SortStableFunc(p.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Deployment, b.Deployment))
	})
}

// note tells something, if somebody listens.
func (o *Options) note(format string, args ...any) {
	if o.On.Note != nil {
		o.On.Note(fmt.Sprintf(format, args...))
	}
}

// Make makes a plan. A file that fails is among the plan's failures; what
// keeps anything from being planned is an error.
func Make(ctx context.Context, o Options) (*Plan, error) {
	if err := o.Client.Do(ctx, "GET", "/health", nil, nil); err != nil {
		return nil, err
	}
	p := &Plan{Repository: o.Repository, Server: o.Client.URL(), o: o, others: map[int]bool{}, packages: map[string][]string{}, hashes: deploy.OpenHashes(o.State)}
	if o.Client.IsOrion() {
		p.ledger = serverLedger{o.Client}
	} else {
		p.ledger = localLedger{o.Client, o.State}
	}
	paths := o.Paths
	if len(paths) == 0 {
		paths = []string{o.Repository.Root}
	}
	files, err := discover(&o, paths)
	if err != nil {
		return nil, err
	}
	owned, err := p.ledger.owned(ctx, o.Repository.Name)
	if err != nil {
		return nil, err
	}
	known := byFile(owned)
	if o.ChangedSince != "" {
		files, err = deploy.ChangedSince(ctx, o.Repository.Root, o.ChangedSince, files, func(f deploy.File) (deploy.Inputs, bool) {
			var m remembered
			ds := known[f.Rel]
			return m.Inputs, len(ds) > 0 && orion.Decode(ds[0].Version.Inputs, &m) == nil
		})
		if err != nil {
			return nil, err
		}
	}
	if p.over, err = overlay.Start(overlay.Options{API: o.Client.URL(), Key: o.Key}); err != nil {
		return nil, err
	}
	defer p.over.Close()
	run, same, err := p.changedFiles(ctx, files, known)
	if err != nil {
		return nil, err
	}
	p.Files, p.Unchanged = len(files), len(same)
	if o.On.Found != nil {
		o.On.Found(len(files), len(same))
	}
	for _, f := range same {
		for _, d := range known[f.Rel] {
			p.leave(f.Rel, d)
		}
	}
	if len(run) > 0 {
		if err := p.collect(ctx, run, owned); err != nil {
			return nil, err
		}
	}
	p.removals(owned)
	p.sort()
	if err := p.hashes.Save(); err != nil {
		o.note("what was read cannot be remembered for the next time: %v", err)
	}
	return p, nil
}

// discover finds the files that the options mean.
func discover(o *Options, paths []string) ([]deploy.File, error) {
	return deploy.Discover(paths, deploy.DiscoverOptions{Root: o.Repository.Root, Kinds: []deploy.Kind{deploy.Python, deploy.PrefectYAML}, Pattern: o.Pattern, Skipped: func(path, why string) {
		o.note("%s is passed over: %s", path, why)
	}})
}

// byFile groups the deployments that the repository made last by their file.
func byFile(owned []orion.OwnedDeployment) map[string][]*orion.OwnedDeployment {
	out := map[string][]*orion.OwnedDeployment{}
	for i := range owned {
		if v := owned[i].Version; v != nil && v.Current {
			out[v.File] = append(out[v.File], &owned[i])
		}
	}
	return out
}

// leave plans a deployment whose file has nothing new to say.
func (p *Plan) leave(file string, d *orion.OwnedDeployment) {
	it := Item{Deployment: d.FlowName + "/" + d.Deployment.Name, File: file, Action: Leave, ID: d.Deployment.ID, server: d.Deployment, revision: d.Deployment.Revision()}
	have := fieldsOf(d.Deployment, nil, nil, d.Version.Bundle != nil && *d.Version.Store == orion.InStorage)
	for _, k := range sortedKeys(d.Version.Declared, have) {
		was, declared := d.Version.Declared[k]
		is, there := have[k]
		if ofBlock(k) || there == declared && (!there || digest(is) == was) {
			continue
		}
		if hides(k) {
			it.Drift = append(it.Drift, Field{Name: k, ByHand: true, Hidden: true})
			continue
		}
		it.Drift = append(it.Drift, Field{Name: k, To: is, ByHand: true})
	}
	p.Items = append(p.Items, it)
}

// removals plans what the repository deployed once and has no file for any
// more. Only a look at the whole repository can tell.
func (p *Plan) removals(owned []orion.OwnedDeployment) {
	if len(p.o.Paths) > 0 || p.o.Pattern != nil || p.o.ChangedSince != "" {
		return
	}
	failed := map[string]bool{}
	for _, f := range p.Failures {
		failed[f.File] = true
	}
	for i := range owned {
		d := &owned[i]
		name := d.FlowName + "/" + d.Deployment.Name
		if p.Item(name) != nil || failed[d.Version.File] {
			continue // a file that fails says nothing of what it would declare
		}
		p.Items = append(p.Items, Item{Deployment: name, File: d.Version.File, Action: Remove, ID: d.Deployment.ID, server: d.Deployment, revision: d.Deployment.Revision()})
	}
}

// bundle is the code of some deployments, and where it goes.
type bundle struct {
	*codestore.Bundle
	hash    string
	store   orion.BundleStore
	storage *overlay.BlockUse // for InStorage
	step    bool              // the storage is that of a push step, and the pull steps lead there
	views   []string
}

// Write saves what identifies the plan, so that a later deploy can insist on
// it: no setting's value is in it, for values may be secret.
func (p *Plan) Write(w io.Writer) error {
	b, err := orion.Encode(Saved{Format: 1, Server: p.Server, Repository: p.Repository.Name, Commit: p.Repository.Commit, Fingerprint: p.Fingerprint()})
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// Saved is a plan on file.
type Saved struct {
	Format      int    `json:"orion_plan"`
	Server      string `json:"server"`
	Repository  string `json:"repository"`
	Commit      string `json:"commit"`
	Fingerprint string `json:"fingerprint"`
}

// Matches refuses when the plan is not the one that was saved.
func (p *Plan) Matches(s Saved) error {
	switch {
	case s.Format != 1:
		return orion.Errorf(orion.Invalid, "this is no plan that this version of orion wrote")
	case s.Server != p.Server:
		return orion.Errorf(orion.Conflict, "the plan is for %s, not for %s", s.Server, p.Server)
	case s.Repository != p.Repository.Name:
		return orion.Errorf(orion.Conflict, "the plan is for the repository %s, not for %s", s.Repository, p.Repository.Name)
	case s.Fingerprint != p.Fingerprint():
		why := "the server has moved"
		if s.Commit != p.Repository.Commit {
			why = fmt.Sprintf("the plan is of commit %.12s, this is %.12s", s.Commit, p.Repository.Commit)
		}
		return orion.Errorf(orion.Conflict, "what would be done now is not what was planned (%s): look at a new plan with: orion plan", why)
	}
	return nil
}
