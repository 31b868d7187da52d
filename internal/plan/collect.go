package plan

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/codestore/storage"
	"github.com/orionflows/orion/internal/deploy"
	"github.com/orionflows/orion/internal/overlay"
	"github.com/orionflows/orion/internal/pyenv"
)

// collect runs files against the overlay and plans what they would do.
func (p *Plan) collect(ctx context.Context, files []deploy.File, owned []orion.OwnedDeployment) error {
	jobs := p.jobs(ctx, files)
	runner := deploy.NewRunner(deploy.RunnerOptions{Env: p.environ()})
	defer runner.Close()
	done := 0
	collected := runner.Collect(ctx, p.over, jobs, deploy.CollectOptions{Root: p.o.Repository.Root, Parallel: p.o.Parallel, Timeout: p.o.Timeout}, func(e deploy.Event) {
		if e.Result == nil {
			return
		}
		done++
		if p.o.On.Ran != nil {
			p.o.On.Ran(*e.Result, done, len(jobs))
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var err error
	if p.recording, err = p.over.Recording(ctx); err != nil {
		return err
	}
	ran := map[string]*deploy.Collected{}
	envs := map[string]pyenv.Environment{}
	failed := map[string]bool{}
	for i := range collected {
		c := &collected[i]
		ran[c.File.Rel] = c
		envs[c.File.Rel] = jobs[i].Environment
		p.Warnings = append(p.Warnings, prefixed(c.File.Rel, c.Warnings)...)
		if c.Err != nil {
			failed[c.File.Rel] = true
			p.fail(c.File.Rel, c.Err, c.Hint)
		}
	}
	for _, c := range p.recording.Conflicts {
		slices.Sort(c.Files)
		for _, f := range c.Files {
			failed[f] = true
		}
		p.fail(strings.Join(c.Files, ", "), fmt.Errorf("these files all declare the deployment %q; only one of them can", c.Deployment), "give the deployments different names")
	}
	byName := map[string]*orion.OwnedDeployment{}
	for i := range owned {
		byName[owned[i].FlowName+"/"+owned[i].Deployment.Name] = &owned[i]
	}
	bundles := newPacker(p)
	s := &shipment{p: p, stores: map[string]storage.Store{}}
	defer s.close()
	for i := range p.recording.Claims {
		c := &p.recording.Claims[i]
		if failed[c.File] || ran[c.File] == nil {
			continue
		}
		it, err := p.item(ctx, s, c, ran[c.File], byName[c.FullName()], bundles, envs[c.File].Requirements)
		if err != nil {
			failed[c.File] = true
			p.fail(c.File, err, "")
			continue
		}
		it.env = envs[c.File]
		p.Items = append(p.Items, *it)
	}
	p.Items = slices.DeleteFunc(p.Items, func(it Item) bool { return failed[it.File] })
	s.describe(ctx)
	if err := p.remember(ran, bundles); err != nil {
		return err
	}
	return p.planOthers(ctx, failed)
}

func prefixed(file string, texts []string) (out []string) {
	for _, t := range texts {
		out = append(out, file+": "+t)
	}
	return out
}

func (p *Plan) fail(file string, err error, hint string) {
	p.Failures = append(p.Failures, Failure{File: file, Error: err.Error(), Hint: hint, Err: err})
}

// item plans one deployment that a file declares.
func (p *Plan) item(ctx context.Context, s *shipment, c *overlay.Claim, ran *deploy.Collected, owned *orion.OwnedDeployment, bundles *packer, requirements string) (*Item, error) {
	it := &Item{Deployment: c.FullName(), File: c.File, claim: c}
	want := &orion.Deployment{}
	if err := orion.Decode(c.After, want); err != nil {
		return nil, fmt.Errorf("the deployment %q as it would be: %w", c.FullName(), err)
	}
	var err error
	if it.bundle, err = bundles.of(ctx, c, ran, requirements); err != nil {
		return nil, err
	}
	bundled := it.bundle != nil && it.bundle.store == orion.InStorage
	if bundled && it.bundle.step {
		if err := s.leadPullSteps(ctx, want, c, ran, it.bundle); err != nil {
			return nil, err
		}
	}
	var server fields
	var base map[string]string
	var serverStorage, serverInfrastructure *overlay.BlockUse
	if c.Existing {
		it.server = &orion.Deployment{}
		if err := orion.Decode(c.Before, it.server); err != nil {
			return nil, fmt.Errorf("the deployment %q as it is: %w", c.FullName(), err)
		}
		it.ID, it.revision = it.server.ID, it.server.Revision()
		if serverStorage, err = p.block(ctx, it.server.StorageDocumentID); err != nil {
			return nil, err
		}
		if serverInfrastructure, err = p.block(ctx, it.server.InfrastructureDocumentID); err != nil {
			return nil, err
		}
		server = fieldsOf(it.server, serverStorage, serverInfrastructure, bundled)
	}
	var from string
	if owned != nil && owned.Version != nil {
		// Also when somebody has deployed in another way since: what that declared
		// nobody knows, and what looks as if it was changed by hand rather stays.
		base = owned.Version.Declared
		if owned.Version.Current && owned.Version.Bundle != nil {
			from = *owned.Version.Bundle
		}
	}
	madeUp := keepAnchors(want, it.server)
	it.declared = fieldsOf(want, c.Storage, c.Infrastructure, bundled)
	it.want = want
	changes, drift := compare(base, server, it.declared, madeUp)
	if p.o.Overwrite {
		for _, d := range drift {
			if !d.Hidden {
				d.From, d.To = d.To, d.From
			}
			changes = append(changes, d)
		}
		drift = nil
	}
	if it.bundle != nil && !it.bundle.step && it.bundle.hash != from {
		it.Code = &Code{From: from, To: it.bundle.hash}
	}
	owner := owned == nil || owned.Version == nil || !owned.Version.Current
	switch {
	case !c.Existing:
		it.Action, it.About = Create, about(want)
	case len(changes) > 0 || it.Code != nil:
		it.Action, it.Changes = Change, changes
	case owner: // nothing changes but that it is this repository's from now on
		it.Action, it.Changes = Change, []Field{{Name: "repository", To: canonical(quoted(p.Repository.Name))}}
	default:
		it.Action = Leave
	}
	it.Drift = drift
	keepDrift(it, drift)
	// An anonymous block with the same content need not be made again.
	if serverInfrastructure != nil && serverInfrastructure.Anonymous && sameBlock(serverInfrastructure, c.Infrastructure) {
		it.want.InfrastructureDocumentID = serverInfrastructure.ID
	}
	if serverStorage != nil && serverStorage.Anonymous && sameBlock(serverStorage, c.Storage) {
		it.want.StorageDocumentID = serverStorage.ID
	}
	return it, nil
}

// leadPullSteps makes a deployment's pull steps fetch its bundle.
func (s *shipment) leadPullSteps(ctx context.Context, d *orion.Deployment, c *overlay.Claim, ran *deploy.Collected, b *bundle) error {
	store, err := s.store(ctx, b.storage)
	if err != nil {
		return err
	}
	path, err := codestore.TreePath(store, b.hash)
	if err != nil {
		return err
	}
	d.PullSteps, _ = redirect(d.PullSteps, uploadOf(c, ran), path)
	return nil
}

func quoted(s string) orion.JSON {
	b, err := orion.Encode(s)
	if err != nil {
		return orion.JSON("null")
	}
	return b
}

func sameBlock(a, b *overlay.BlockUse) bool {
	return b != nil && b.Anonymous && a.Type == b.Type && canonical(a.Data.JSON()) == canonical(b.Data.JSON())
}

// block reads a block as the server has it; nil for no id, or one that is gone.
func (p *Plan) block(ctx context.Context, id orion.ID) (*overlay.BlockUse, error) {
	if id.IsZero() {
		return nil, nil
	}
	b, err := p.o.Client.BlockDocument(ctx, id, true)
	if orion.KindOf(err) == orion.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the block %s: %w", id, err)
	}
	u := &overlay.BlockUse{ID: b.ID, Existing: true, Type: b.TypeSlug(), Data: overlay.Body(b.Data), Anonymous: b.IsAnonymous}
	if b.Name != nil {
		u.Name = *b.Name
	}
	if b.BlockSchema != nil {
		if u.Schema, err = orion.Encode(b.BlockSchema); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// keepAnchors gives intervals the anchors that the server has, where the
// client made the anchor up as the file ran. It returns the fields of the
// schedules of which that is so: another anchor does not make them others.
func keepAnchors(want, server *orion.Deployment) (madeUp map[string]bool) {
	madeUp = map[string]bool{}
	for i, name := range scheduleFields(want.Schedules) {
		w := &want.Schedules[i].Schedule
		if w.Interval == nil || time.Since(w.AnchorDate.Std()).Abs() > 10*time.Minute {
			continue
		}
		madeUp[name] = true
		if server == nil {
			continue
		}
		for j := range server.Schedules {
			if s := &server.Schedules[j].Schedule; s.Interval != nil && *s.Interval == *w.Interval && sameText(s.Timezone, w.Timezone) {
				w.AnchorDate = s.AnchorDate
			}
		}
	}
	return madeUp
}

func sameText(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// about says in a line what a new deployment will do.
func about(d *orion.Deployment) string {
	var parts []string
	for i := range d.Schedules {
		s := describe(&d.Schedules[i].Schedule)
		if !d.Schedules[i].Active || d.Paused {
			s += " (paused)"
		}
		parts = append(parts, s)
	}
	if len(parts) == 0 {
		parts = append(parts, "no schedule")
	}
	to := ""
	if d.WorkPoolName != nil && *d.WorkPoolName != orion.DefaultAgentPool {
		to = " → pool " + *d.WorkPoolName
	} else if d.WorkQueueName != nil {
		to = " → queue " + *d.WorkQueueName
	}
	return strings.Join(parts, ", ") + to
}

// remember records on each item what its file depended on.
func (p *Plan) remember(ran map[string]*deploy.Collected, bundles *packer) error {
	packs := map[string]map[string]packing{}
	for i := range p.Items {
		it := &p.Items[i]
		if it.claim == nil {
			continue
		}
		if packs[it.File] == nil {
			packs[it.File] = map[string]packing{}
		}
		packs[it.File][it.Deployment] = bundles.packings[it.Deployment]
	}
	inputs := map[string]orion.JSON{}
	for i := range p.Items {
		it := &p.Items[i]
		if it.claim == nil {
			continue
		}
		if inputs[it.File] == nil {
			c := ran[it.File]
			m := remembered{Inputs: c.Inputs, Environment: it.env.Key, Needs: p.recording.Needs[it.File], Packs: packs[it.File]}
			var err error
			if m.Fingerprint, err = c.Inputs.Fingerprint(p.o.Repository.Root, p.environ(), p.hashes); err != nil {
				m.Inputs.Complete = false
			}
			for _, r := range p.recording.Reads[it.File] {
				if worthRemembering(r) {
					m.Reads = append(m.Reads, r)
				}
			}
			b, err := orion.Encode(m)
			if err != nil {
				return err
			}
			inputs[it.File] = b
		}
		it.inputs = inputs[it.File]
	}
	return nil
}

// planOthers finds the writes, besides deployments, that change something.
func (p *Plan) planOthers(ctx context.Context, failed map[string]bool) error {
	for i, w := range p.recording.Writes {
		if failed[w.File] {
			continue
		}
		switch w.Kind {
		case overlay.Flow, overlay.BlockType, overlay.BlockSchema, overlay.Deployment, overlay.Schedule:
			continue // these come along with what needs them
		}
		if w.Kind == overlay.Block && p.anonymous(w) {
			continue
		}
		changes, err := p.changesSomething(ctx, w)
		if err != nil {
			return err
		}
		if changes {
			p.others[i] = true
			p.Others = append(p.Others, Other{Kind: w.Kind, Name: w.Name, Action: w.Action, File: w.File})
		}
	}
	return nil
}

// anonymous tells a block that only the deployment knows which it belongs to.
func (p *Plan) anonymous(w overlay.Write) bool {
	var doc struct {
		IsAnonymous bool `json:"is_anonymous"`
	}
	return w.Action == overlay.Create && orion.Decode(w.Body, &doc) == nil && doc.IsAnonymous
}

// changesSomething compares an update with what the server has. What cannot be
// compared changes something.
func (p *Plan) changesSomething(ctx context.Context, w overlay.Write) (bool, error) {
	if w.Action != overlay.Update || !w.Existing {
		return true, nil
	}
	path := w.Path
	if w.Kind == overlay.Block {
		path += "?include_secrets=true"
	}
	var have map[string]orion.JSON
	if err := p.o.Client.Do(ctx, "GET", path, nil, &have); err != nil {
		if orion.KindOf(err) == orion.NotFound {
			return true, nil
		}
		return false, err
	}
	var body map[string]orion.JSON
	if err := orion.Decode(w.Body, &body); err != nil {
		return true, nil
	}
	for k, v := range body {
		if k == "merge_existing_data" {
			continue
		}
		if k == "block_schema_id" && len(w.Uses) > 0 && bytes.Contains(w.Body, []byte(w.Uses[0].String())) {
			return true, nil // a schema that the server does not have yet
		}
		if canonical(have[k]) != canonical(v) {
			return true, nil
		}
	}
	return false, nil
}

// below is a path below the root of the repository, or false.
func below(root, path string) (string, bool) {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	rel, err := filepath.Rel(root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}
