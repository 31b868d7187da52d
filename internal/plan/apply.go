package plan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/codestore/storage"
	"github.com/orionflows/orion/internal/overlay"
	"github.com/orionflows/orion/internal/pyenv"
)

// Outcome is what a deploy did.
type Outcome struct {
	Deployments []Done `json:"deployments"`
	Removed     int    `json:"removed"`
	// Together tells that the server moved in one step; a server that is not
	// Orion is told one thing after another.
	Together bool `json:"together"`
}

// Done is one deployment that was deployed.
type Done struct {
	Deployment string   `json:"deployment"`
	ID         orion.ID `json:"id"`
	Action     Action   `json:"action"`
	Version    int64    `json:"version,omitzero"` // on Orion
}

// Apply uploads the code and then moves the server. Until the last moment the
// server is as it was: whatever fails or is killed before leaves nothing but
// code that nobody refers to. With prune what has left the repository goes,
// too.
//
// It refuses, with a Conflict, when a deployment was changed by somebody else
// since the plan was made.
func (p *Plan) Apply(ctx context.Context, prune bool) (*Outcome, error) {
	s := &shipment{p: p, stores: map[string]storage.Store{}}
	defer s.close()
	if err := s.upload(ctx); err != nil {
		return nil, err
	}
	requests, err := p.requests(s, prune)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Deployments: []Done{}, Together: p.o.Client.IsOrion()}
	if len(requests) == 0 {
		return out, p.rememberHere(ctx, prune)
	}
	answers := make([]orion.JSON, len(requests))
	if p.o.Client.IsOrion() {
		b := orion.Batch{}
		for i := range p.Items {
			it := &p.Items[i]
			if it.Action == Create || it.Action == Change || prune && it.Action == Remove {
				flow, name, _ := strings.Cut(it.Deployment, "/")
				b.Expect = append(b.Expect, orion.Expectation{Flow: flow, Deployment: name, Revision: it.revision})
			}
		}
		for _, r := range requests {
			b.Requests = append(b.Requests, r.BatchRequest)
		}
		got, err := p.o.Client.Batch(ctx, b)
		if err != nil {
			return nil, err
		}
		for i := range got {
			answers[i] = got[i].Body
		}
	} else if err := p.oneByOne(ctx, requests, answers); err != nil {
		return nil, err
	}
	for i, r := range requests {
		switch {
		case r.item == nil:
		case r.Method == http.MethodDelete:
			out.Removed++
		case r.version:
			var v orion.DeploymentVersion
			if err := orion.Decode(answers[i], &v); err != nil {
				return nil, err
			}
			out.Deployments[len(out.Deployments)-1].Version = v.Number
		case r.Path == "/deployments/":
			var d orion.Deployment
			if err := orion.Decode(answers[i], &d); err != nil {
				return nil, err
			}
			r.item.ID = d.ID
			out.Deployments = append(out.Deployments, Done{Deployment: r.item.Deployment, ID: d.ID, Action: r.item.Action})
		}
	}
	if !p.o.Client.IsOrion() {
		return out, p.rememberHere(ctx, prune)
	}
	// The deploy is done; what is left over from long ago can wait for the next.
	if _, err := CollectBundles(ctx, p.o.Client, KeepBundles, false); err != nil {
		p.o.note("code that nothing uses could not be removed: %v", err)
	}
	return out, nil
}

// request is one of those that an apply sends.
type request struct {
	orion.BatchRequest
	item    *Item // whose it is; nil for what is none of a deployment's
	version bool  // it records the item's version
	about   string
}

// requests are what the server is to be told, in order: what the files wrote,
// less what changes nothing and what nothing needs.
func (p *Plan) requests(s *shipment, prune bool) ([]request, error) {
	var out []request
	if p.recording != nil {
		items := map[orion.ID]*Item{}
		wanted := map[orion.ID]bool{}
		for i := range p.Items {
			it := &p.Items[i]
			if it.claim == nil || it.Action != Create && it.Action != Change {
				continue
			}
			items[it.claim.ID] = it
			for _, id := range []orion.ID{it.want.FlowID, it.want.StorageDocumentID, it.want.InfrastructureDocumentID} {
				wanted[id] = true
			}
		}
		needed := make([]bool, len(p.recording.Writes))
		for i, w := range slices.Backward(p.recording.Writes) {
			made := w.Kind != overlay.Deployment && w.Action != overlay.Delete && !w.Existing && wanted[w.ID]
			if !made && !p.others[i] {
				continue
			}
			needed[i] = true
			for _, id := range append(slices.Clone(w.Uses), w.ID) {
				wanted[id] = true
			}
		}
		for i, w := range p.recording.Writes {
			if it := items[w.ID]; it != nil && w.Kind == overlay.Deployment {
				delete(items, w.ID) // later writes are part of the claim
				more, err := p.deploymentRequests(s, it)
				if err != nil {
					return nil, err
				}
				out = append(out, more...)
				continue
			}
			if !needed[i] {
				continue
			}
			r := request{about: fmt.Sprintf("%s %s %q", w.Action, w.Kind, w.Name), BatchRequest: orion.BatchRequest{Method: w.Method, Path: w.Path, Body: w.Body.JSON()}}
			if !w.Existing && w.Action != overlay.Delete && w.Method == http.MethodPost {
				r.Placeholder = w.ID
			}
			out = append(out, r)
		}
	}
	for i := range p.Items {
		it := &p.Items[i]
		switch {
		case it.Action == Remove && prune:
			out = append(out, request{item: it, about: fmt.Sprintf("remove %q", it.Deployment), BatchRequest: orion.BatchRequest{Method: http.MethodDelete, Path: client.Path("/deployments/%s", it.ID)}})
		case it.Action == Leave && it.inputs != nil && p.o.Client.IsOrion():
			// Its file depends on other things than before, or says now what was done
			// by hand.
			b, err := orion.Encode(map[string]any{"inputs": it.inputs, "declared": it.declared.digests()})
			if err != nil {
				return nil, err
			}
			out = append(out, request{about: "note the inputs of " + it.File, BatchRequest: orion.BatchRequest{Method: http.MethodPost, Path: client.Path("/orion/deployments/%s/inputs", it.ID), Body: b}})
		}
	}
	return out, nil
}

// deploymentRequests are what makes a deployment what it is to be.
func (p *Plan) deploymentRequests(s *shipment, it *Item) ([]request, error) {
	c := it.claim.Create
	d := it.want
	text := func(o *orion.Opt[string], v *string) {
		switch {
		case v != nil:
			*o = orion.Some(*v)
		case o.Set:
			*o = orion.Opt[string]{Set: true, Null: true}
		}
	}
	text(&c.Description, d.Description)
	text(&c.Version, d.Version)
	text(&c.Entrypoint, d.Entrypoint)
	text(&c.ManifestPath, d.ManifestPath)
	text(&c.Path, d.Path)
	text(&c.WorkQueueName, d.WorkQueueName)
	if c.WorkPoolName.Set || d.WorkPoolName != nil && *d.WorkPoolName != orion.DefaultAgentPool {
		text(&c.WorkPoolName, d.WorkPoolName)
	}
	c.Tags, c.Parameters = orion.Some(d.Tags), orion.Some(orion.ObjectOr(d.Parameters))
	if c.PullSteps.Set || !orion.IsNull(d.PullSteps) {
		c.PullSteps = orion.Some(d.PullSteps)
	}
	if c.JobVariables.Set || !c.InfraOverrides.Set {
		c.JobVariables = orion.Some(orion.ObjectOr(d.JobVariables))
	} else {
		c.InfraOverrides = orion.Some(orion.ObjectOr(d.JobVariables))
	}
	if !d.StorageDocumentID.IsZero() {
		c.StorageDocumentID = orion.Some(d.StorageDocumentID)
	}
	if !d.InfrastructureDocumentID.IsZero() {
		c.InfrastructureDocumentID = orion.Some(d.InfrastructureDocumentID)
	}
	if !orion.IsNull(d.ParameterOpenapiSchema) {
		c.ParameterOpenapiSchema = orion.Some(d.ParameterOpenapiSchema)
	}
	ours := p.o.Client.IsOrion()
	if ours || c.Schedules.Set {
		c.Schedules, c.Schedule = orion.Some(schedulesOf(it, ours)), orion.Opt[orion.Schedule]{}
	}
	if !ours {
		// Orion itself leaves a switch alone as long as the file says the same
		// as before; others do what they are told.
		if c.Paused.Set {
			c.Paused = orion.Some(d.Paused)
		}
		// Said always: a Prefect server takes silence for "not paused".
		c.IsScheduleActive = orion.Some(!d.Paused)
		if tag := ownerTag(p.Repository.Name); !slices.Contains(d.Tags, tag) {
			c.Tags = orion.Some(append(slices.Clone(d.Tags), tag))
		}
	}
	if it.bundle != nil && it.bundle.store == orion.InStorage && !it.bundle.step {
		store, err := s.store(context.Background(), it.bundle.storage)
		if err != nil {
			return nil, err
		}
		path, err := codestore.TreePath(store, it.bundle.hash)
		if err != nil {
			return nil, err
		}
		c.Path = orion.Some(path)
	}
	b, err := orion.Encode(c)
	if err != nil {
		return nil, err
	}
	r := request{item: it, about: fmt.Sprintf("%s deployment %q", it.Action, it.Deployment), BatchRequest: orion.BatchRequest{Method: http.MethodPost, Path: "/deployments/", Body: b}}
	if !it.claim.Existing {
		r.Placeholder = it.claim.ID
	}
	if !ours {
		return []request{r}, nil
	}
	v, err := p.version(it)
	if err != nil {
		return nil, err
	}
	if b, err = orion.Encode(v); err != nil {
		return nil, err
	}
	return []request{r, {item: it, version: true, about: fmt.Sprintf("the version of %q", it.Deployment), BatchRequest: orion.BatchRequest{Method: http.MethodPost,
		Path: client.Path("/orion/deployments/%s/versions", it.claim.ID), Body: b}}}, nil
}

// schedulesOf are the schedules that a deployment is to have. Orion is told
// the switches as the file has them, and keeps those that people have set.
func schedulesOf(it *Item, ours bool) []orion.DeploymentScheduleCreate {
	out := []orion.DeploymentScheduleCreate{}
	for i := range it.want.Schedules {
		s := &it.want.Schedules[i]
		active := s.Active
		if says := it.declared[scheduleField(s)+" active"]; ours && says != "" {
			active = says == "true"
		}
		out = append(out, orion.DeploymentScheduleCreate{Schedule: &s.Schedule, Active: &active, MaxActiveRuns: s.MaxActiveRuns,
			MaxScheduledRuns: s.MaxScheduledRuns, Catchup: &s.Catchup, Parameters: s.Parameters, Slug: s.Slug})
	}
	return out
}

// version is what is recorded of a deployment.
func (p *Plan) version(it *Item) (orion.DeploymentVersionCreate, error) {
	installed, err := p.installed(it.env)
	v := orion.DeploymentVersionCreate{Repository: p.Repository.Name, File: it.File, Dirty: p.Repository.Dirty,
		Requirements: installed, Declared: it.declared.digests(), Inputs: it.inputs}
	for to, from := range map[**string]string{&v.Commit: p.Repository.Commit, &v.Author: p.Repository.Author, &v.Message: p.Repository.Message} {
		if from != "" {
			*to = &from
		}
	}
	if it.bundle != nil && !it.bundle.step { // the pull steps say where that is
		v.Bundle, v.Store = &it.bundle.hash, &it.bundle.store
		if len(it.bundle.views) > 0 {
			v.View = &it.bundle.views[0]
		}
	}
	return v, err
}

// installed are the packages of an environment, read once for all deployments
// that have it.
func (p *Plan) installed(env pyenv.Environment) ([]string, error) {
	if list, ok := p.packages[env.Key]; ok {
		return list, nil
	}
	list, err := pyenv.Locked(env)
	if err != nil {
		return nil, fmt.Errorf("what is installed in %s: %w", env.Dir, err)
	}
	p.packages[env.Key] = list
	return list, nil
}

// oneByOne tells a server that knows no batches.
func (p *Plan) oneByOne(ctx context.Context, requests []request, answers []orion.JSON) error {
	for i := range p.Items {
		it := &p.Items[i]
		if it.Action != Create && it.Action != Change {
			continue
		}
		d, err := p.o.Client.DeploymentByName(ctx, it.Deployment)
		if err != nil && orion.KindOf(err) != orion.NotFound {
			return err
		}
		if now := ""; d != nil && d.Revision() != it.revision || d == nil && it.revision != now {
			return orion.Errorf(orion.Conflict, "the deployment %s was changed by somebody else since the plan was made", it.Deployment)
		}
	}
	ids := map[string]string{}
	for i, r := range requests {
		path, body := r.Path, r.Body
		for from, to := range ids {
			path, body = strings.ReplaceAll(path, from, to), bytes.ReplaceAll(body, []byte(from), []byte(to))
		}
		var in any
		if len(body) > 0 {
			in = orion.JSON(body)
		}
		var out []byte
		if err := p.o.Client.Do(ctx, r.Method, path, in, &out); err != nil {
			if i > 0 {
				err = fmt.Errorf("%s: %w (%d of %d steps were done before; this server cannot do them together, so run it again once the cause is gone)", r.about, err, i, len(requests))
			}
			return err
		}
		answers[i] = out
		if r.Placeholder.IsZero() {
			continue
		}
		var record struct {
			ID orion.ID `json:"id"`
		}
		if err := orion.Decode(out, &record); err != nil || record.ID.IsZero() {
			return fmt.Errorf("%s: the server's answer has no id", r.about)
		}
		ids[r.Placeholder.String()] = record.ID.String()
	}
	return nil
}

// rememberHere keeps what a server that is not Orion cannot.
func (p *Plan) rememberHere(ctx context.Context, prune bool) error {
	l, ok := p.ledger.(localLedger)
	if !ok {
		return nil
	}
	made := map[orion.ID]localVersion{}
	var gone []orion.ID
	for i := range p.Items {
		it := &p.Items[i]
		switch {
		case it.Action == Remove && prune:
			gone = append(gone, it.ID)
		case it.inputs != nil: // its file was run
			revision := it.revision
			if it.Action != Leave {
				d, err := p.o.Client.Deployment(ctx, it.ID)
				if err != nil {
					return err
				}
				revision = d.Revision()
			}
			v, err := p.version(it)
			if err != nil {
				return err
			}
			made[it.ID] = localVersion{Revision: revision, Version: v}
		}
	}
	return l.remember(p.Repository.Name, made, gone)
}

// shipment is the code on its way.
type shipment struct {
	p      *Plan
	stores map[string]storage.Store
}

func (s *shipment) close() {
	for _, store := range s.stores {
		store.Close()
	}
}

// store opens the place that a storage block names, once.
func (s *shipment) store(ctx context.Context, b *overlay.BlockUse) (storage.Store, error) {
	key := b.ID.String() + digest(b.Type+string(b.Data))
	if store := s.stores[key]; store != nil {
		return store, nil
	}
	store, err := codestore.Open(ctx, b.Type, b.Data.JSON())
	if err != nil {
		return nil, fmt.Errorf("the storage block %s/%s: %w", b.Type, b.Name, err)
	}
	s.stores[key] = store
	return store, nil
}

// upload brings every bundle to where its deployments look for it: the trees,
// which nobody reads yet, and then the views.
func (s *shipment) upload(ctx context.Context) error {
	type cargo struct {
		*bundle
		item *Item
	}
	var cargoes []cargo
	seen := map[string]bool{}
	for i := range s.p.Items {
		it := &s.p.Items[i]
		if it.bundle == nil || it.Action != Create && it.Action != Change {
			continue
		}
		key := string(it.bundle.store) + it.bundle.hash
		if it.bundle.storage != nil {
			key += it.bundle.storage.ID.String() + digest(string(it.bundle.storage.Data))
		}
		key += "\x00" + strings.Join(it.bundle.views, "\x00")
		if !seen[key] {
			seen[key] = true
			cargoes = append(cargoes, cargo{it.bundle, it})
		}
	}
	missing, err := s.missing(ctx)
	if err != nil {
		return err
	}
	for i, c := range cargoes {
		var err error
		if c.store == orion.InServer {
			if missing[c.hash] {
				err = s.toServer(ctx, c.bundle)
			}
		} else {
			err = s.toStorage(ctx, c.bundle)
		}
		if err != nil {
			return fmt.Errorf("the code of %s: %w", c.item.Deployment, err)
		}
		if s.p.o.On.Uploaded != nil {
			s.p.o.On.Uploaded(c.item.Deployment, i+1, len(cargoes))
		}
	}
	return nil
}

func (s *shipment) missing(ctx context.Context) (map[string]bool, error) {
	var hashes []string
	for i := range s.p.Items {
		it := &s.p.Items[i]
		if it.bundle != nil && it.bundle.store == orion.InServer && (it.Action == Create || it.Action == Change) && !slices.Contains(hashes, it.bundle.hash) {
			hashes = append(hashes, it.bundle.hash)
		}
	}
	out := map[string]bool{}
	if len(hashes) == 0 {
		return out, nil
	}
	missing, err := s.p.o.Client.MissingBundles(ctx, hashes)
	for _, h := range missing {
		out[h] = true
	}
	return out, err
}

func (s *shipment) toServer(ctx context.Context, b *bundle) error {
	var archive bytes.Buffer
	if err := codestore.Archive(ctx, &archive, b.Bundle); err != nil {
		return err
	}
	return s.p.o.Client.PutBundle(ctx, b.hash, archive.Bytes())
}

func (s *shipment) toStorage(ctx context.Context, b *bundle) error {
	store, err := s.store(ctx, b.storage)
	if err != nil {
		return err
	}
	if _, err := codestore.Upload(ctx, store, b.Bundle, codestore.Options{}); err != nil {
		return err
	}
	var errs []error
	for _, v := range b.views {
		_, err := codestore.SyncView(ctx, store, b.Bundle, v, codestore.Options{})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
