package plan

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/deploy"
	"github.com/orionflows/orion/internal/overlay"
	"github.com/orionflows/orion/internal/pyenv"
)

// remembered is what a version keeps of the file that declared it: all that
// the outcome of running it depended on.
type remembered struct {
	Fingerprint string         `json:"fingerprint"`
	Inputs      deploy.Inputs  `json:"inputs"`
	Environment string         `json:"environment"` // key
	Reads       []overlay.Read `json:"reads,omitempty"`
	Needs       []string       `json:"needs,omitempty"`
	// Packs say how the bundles of the file's deployments were packed, by
	// deployment.
	Packs map[string]packing `json:"packs,omitempty"`
}

// packing says which files make a bundle. Paths are relative to the
// repository's root.
type packing struct {
	Folder string            `json:"folder"`
	Ignore string            `json:"ignore,omitzero"`
	Extra  map[string]string `json:"extra,omitempty"` // path in the bundle → file
	Hash   string            `json:"hash,omitzero"`   // of the bundle; "" where none was made
}

func (p packing) pack(ctx context.Context, root string) (*codestore.Bundle, error) {
	extra := map[string]string{}
	for at, file := range p.Extra {
		extra[at] = filepath.Join(root, filepath.FromSlash(file))
	}
	ignore := p.Ignore
	if ignore != "" {
		ignore = filepath.Join(root, filepath.FromSlash(ignore))
	}
	return codestore.Pack(ctx, codestore.PackOptions{Dir: filepath.Join(root, filepath.FromSlash(p.Folder)), Root: root, IgnoreFile: ignore, Extra: extra})
}

// changedFiles parts the files into those that may say something new and those
// that cannot: what they read is as it was when they were run last.
func (p *Plan) changedFiles(ctx context.Context, files []deploy.File, known map[string][]*orion.OwnedDeployment) (run, same []deploy.File, err error) {
	if p.o.Refresh {
		return files, nil, nil
	}
	fresh := make([]bool, len(files))
	memories := make([]remembered, len(files))
	var wg sync.WaitGroup
	next := make(chan int)
	for range max(2, p.parallel()) {
		wg.Go(func() {
			for i := range next {
				fresh[i] = p.asItWas(ctx, files[i], known[files[i].Rel], &memories[i])
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	// What the server said to the files is asked once, however many asked it.
	answers := map[string]bool{}
	for i := range files {
		if !fresh[i] {
			continue
		}
		for _, r := range memories[i].Reads {
			key := r.Method + " " + r.Path + " " + string(r.Body) + " " + r.Digest
			ok, asked := answers[key]
			if !asked {
				now, err := p.over.Digest(ctx, r)
				ok = err == nil && now == r.Digest
				answers[key] = ok
			}
			fresh[i] = fresh[i] && ok
		}
	}
	// A file that read what another one wrote goes with it.
	running := map[string]bool{}
	for again := true; again; {
		again = false
		for i, f := range files {
			if running[f.Rel] {
				continue
			}
			if !fresh[i] || slices.ContainsFunc(memories[i].Needs, func(n string) bool { return running[n] }) {
				running[f.Rel], again = true, true
			}
		}
	}
	for _, f := range files {
		if running[f.Rel] {
			run = append(run, f)
		} else {
			same = append(same, f)
		}
	}
	return run, same, nil
}

// asItWas tells whether a file's inputs and code are as they were when the
// deployments it declared were deployed.
func (p *Plan) asItWas(ctx context.Context, f deploy.File, owned []*orion.OwnedDeployment, m *remembered) bool {
	if len(owned) == 0 || orion.Decode(owned[0].Version.Inputs, m) != nil || !m.Inputs.Complete {
		return false
	}
	if len(owned) != len(m.Packs) {
		return false // one of them was deployed in another way since, or deleted
	}
	spec, err := p.o.Environments.ForFolder(ctx, f.Folder, p.o.Repository.Root)
	if err != nil || spec.Key != m.Environment {
		return false
	}
	print, err := m.Inputs.Fingerprint(p.o.Repository.Root, p.environ(), p.hashes)
	if err != nil || print != m.Fingerprint {
		return false
	}
	for _, d := range owned {
		how, ok := m.Packs[d.FlowName+"/"+d.Deployment.Name]
		if !ok {
			return false
		}
		if how.Hash == "" {
			continue
		}
		b, err := how.pack(ctx, p.o.Repository.Root)
		if err != nil || b.Manifest.Hash() != how.Hash {
			return false // what is wrong, running the file tells in better words
		}
	}
	return true
}

// environ is what the files' processes see of the environment.
func (p *Plan) environ() []string { return environ(&p.o) }

func environ(o *Options) []string {
	env := append(os.Environ(), "PREFECT_API_URL="+o.Client.URL())
	if o.Key != "" {
		env = append(env, "PREFECT_API_KEY="+o.Key)
	}
	return env
}

// jobs finds the environment of each file, building those that are not there.
// A file whose environment cannot be made is a failure.
func (p *Plan) jobs(ctx context.Context, files []deploy.File) []deploy.Job {
	jobs, failures := environments(ctx, &p.o, files)
	for _, f := range failures {
		p.fail(f.File.Rel, f.Err, f.Hint)
	}
	return jobs
}

// environments pairs files with their environments, of which each is made
// once, several side by side.
func environments(ctx context.Context, o *Options, files []deploy.File) (jobs []deploy.Job, failures []deploy.Result) {
	type member struct {
		file         deploy.File
		requirements string // its own, of the same content as the others'
	}
	type group struct {
		spec  pyenv.Spec
		files []member
		env   pyenv.Environment
		err   error
	}
	groups := map[string]*group{}
	var order []*group
	for _, f := range files {
		spec, err := o.Environments.ForFolder(ctx, f.Folder, o.Repository.Root)
		if err != nil {
			failures = append(failures, deploy.Result{File: f, ExitCode: -1, Err: err})
			continue
		}
		g := groups[spec.Key]
		if g == nil {
			g = &group{spec: spec}
			groups[spec.Key] = g
			order = append(order, g)
		}
		g.files = append(g.files, member{f, spec.Requirements})
	}
	var mu sync.Mutex
	build := make(chan struct{}, 2) // installers are hungry
	var wg sync.WaitGroup
	for _, g := range order {
		wg.Go(func() {
			build <- struct{}{}
			defer func() { <-build }()
			g.env, g.err = o.Environments.Ensure(ctx, g.spec, func(step string) {
				mu.Lock()
				defer mu.Unlock()
				if o.On.Step != nil {
					o.On.Step(step)
				}
			})
			mu.Lock()
			defer mu.Unlock()
			if o.On.Environment != nil && ctx.Err() == nil {
				o.On.Environment(g.files[0].file.Flow, g.env, g.err)
			}
		})
	}
	wg.Wait()
	for _, g := range order {
		for _, f := range g.files {
			if g.err != nil {
				failures = append(failures, deploy.Result{File: f.file, ExitCode: -1, Err: g.err})
				continue
			}
			env := g.env
			env.Requirements = f.requirements
			jobs = append(jobs, deploy.Job{File: f.file, Environment: env})
		}
	}
	return jobs, failures
}

// RunFiles runs the files as they are, against the server itself. One that
// fails stops no other.
func RunFiles(ctx context.Context, o Options) ([]deploy.Result, error) {
	if err := o.Client.Do(ctx, "GET", "/health", nil, nil); err != nil {
		return nil, err
	}
	paths := o.Paths
	if len(paths) == 0 {
		paths = []string{o.Repository.Root}
	}
	files, err := discover(&o, paths)
	if err != nil {
		return nil, err
	}
	if o.On.Found != nil {
		o.On.Found(len(files), 0)
	}
	jobs, results := environments(ctx, &o, files)
	runner := deploy.NewRunner(deploy.RunnerOptions{Env: environ(&o)})
	defer runner.Close()
	done := 0
	results = append(results, runner.RunAll(ctx, jobs, o.Parallel, func(e deploy.Event) {
		if e.Result == nil {
			return
		}
		done++
		if o.On.Ran != nil {
			o.On.Ran(*e.Result, done, len(jobs))
		}
	})...)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return results, nil
}

func (p *Plan) parallel() int {
	if p.o.Parallel > 0 {
		return p.o.Parallel
	}
	return cores()
}

// worthRemembering tells the answers of the server that a file's outcome may
// depend on: not those about what it writes itself.
func worthRemembering(r overlay.Read) bool {
	for _, own := range []string{"/flows/", "/deployments/", "/block_types/slug/", "/block_schemas/", "/admin/", "/csrf", "/health", "/version", "/work_queues/", "/work_pools/"} {
		if strings.HasPrefix(r.Path, own) && !strings.Contains(r.Path, "/block_documents/") {
			return false
		}
	}
	return true
}
