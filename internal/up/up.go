// Package up is `orion up`: a server, the environments, deployments and agents
// of a repository, all on one machine, and everything ended together.
//
// It brings the parts together and tells what happens through [Events]; how
// that looks is the command line's business. Start with [Run].
package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/agent"
	"github.com/orionflows/orion/internal/deploy"
	"github.com/orionflows/orion/internal/pyenv"
	"github.com/orionflows/orion/internal/server"
)

// Options say what to bring up.
type Options struct {
	// Path is the repository's folder, or one in it.
	Path string
	// Server are the server's options; its database is opened as they say.
	Server server.Options
	// Environments keeps the Python environments.
	Environments *pyenv.Manager
	// Code is where the agents keep the code of versions.
	Code    string
	NoAgent bool
	NoWatch bool
	// Once runs every deployment once and ends.
	Once bool
	// OnceTimeout bounds how long Once waits for the runs; 0 is 20 min.
	OnceTimeout time.Duration
	// Limit is how many runs go on at once; 0 is four, or twice the cores.
	Limit int
	Log   *slog.Logger
	On    Events
}

// Events are told what happens, from several goroutines but one at a time.
type Events struct {
	Serving     func(url, database string)
	Found       func(files []deploy.File)
	Environment func(name string, env pyenv.Environment, err error)
	Step        func(what string)
	Deployed    func(r deploy.Result, again string)
	Ready       func(s Summary)
	Agent       func(serves string)
	Run         func(run *orion.FlowRun, what string)
	Output      func(run *orion.FlowRun, line string)
	Outcome     func(o Outcome)
	Note        func(text string)
}

// Summary is what is up.
type Summary struct {
	URL         string
	Deployments []orion.Deployment
	Flows       map[orion.ID]string
	Failed      []deploy.Result
	Folders     int
	Took        time.Duration
}

// stack is everything that is running.
type stack struct {
	o        Options
	srv      *server.Server
	c        *client.Client
	runner   *deploy.Runner
	root     string
	since    orion.Time
	slots    chan struct{} // bounds the files that run at once
	mu       sync.Mutex
	on       sync.Mutex // Events are told one at a time
	files    []deploy.File
	failed   map[string]deploy.Result
	envs     map[string]pyenv.Environment
	agents   map[string]bool
	agentsWG sync.WaitGroup
}

// Run brings everything up and keeps it until the context ends, or with Once
// until every run has ended. With Once the error says how many ended
// otherwise than they should.
func Run(ctx context.Context, o Options) error {
	root, err := filepath.Abs(o.Path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(root); err != nil {
		return orion.Errorf(orion.NotFound, "there is no folder %s", o.Path)
	}
	files, err := deploy.Discover([]string{root}, deploy.DiscoverOptions{Root: root})
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return orion.Errorf(orion.NotFound, "no *.deployment.py below %s; write a first flow with: orion new", o.Path)
	}
	var expected Expectations
	if o.Once {
		if expected, err = ReadExpectations(filepath.Join(root, "orion.yaml")); err != nil {
			return err
		}
	}
	started := time.Now()
	s := &stack{o: o, root: root, files: files, failed: map[string]deploy.Result{}, envs: map[string]pyenv.Environment{}, agents: map[string]bool{}, since: orion.Now(),
		slots: make(chan struct{}, runtime.NumCPU())}
	if s.srv, err = server.New(ctx, o.Server); err != nil {
		return err
	}
	// The server outlives the context: the agents report to it while they stop.
	srvCtx, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	var serving sync.WaitGroup
	var srvErr error
	ctx, cancel := context.WithCancelCause(ctx)
	serving.Go(func() {
		if srvErr = s.srv.Run(srvCtx); srvErr != nil {
			cancel(srvErr)
		}
	})
	defer func() {
		cancel(nil)
		s.agentsWG.Wait()
		stopServer()
		serving.Wait()
	}()
	s.tell(func(e Events) { e.Serving(s.srv.URL(), s.srv.Database()) })
	if s.c, err = client.New(client.Options{URL: s.srv.URL() + "/api", UserAgent: "orion-up"}); err != nil {
		return err
	}
	defer s.c.Close()
	s.runner = deploy.NewRunner(deploy.RunnerOptions{Env: append(os.Environ(), "PREFECT_API_URL="+s.c.URL())})
	defer s.runner.Close()
	s.tell(func(e Events) { e.Found(files) })
	s.deploy(ctx, files, "")
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	sum, err := s.summary(ctx)
	if err != nil {
		return err
	}
	sum.Took = time.Since(started)
	s.tell(func(e Events) { e.Ready(sum) })
	if !o.NoAgent {
		s.serve(ctx, sum.Deployments)
	}
	if o.Once {
		return s.once(ctx, sum, expected)
	}
	if !o.NoWatch {
		s.watch(ctx)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (s *stack) tell(f func(Events)) {
	s.on.Lock()
	defer s.on.Unlock()
	f(s.o.On)
}

// deploy runs files, each in the environment of its folder: environments are
// built side by side, and the files of one run as soon as it is there.
func (s *stack) deploy(ctx context.Context, files []deploy.File, why string) {
	groups := map[string][]deploy.File{}
	specs := map[string]pyenv.Spec{}
	var order []string
	for _, f := range files {
		spec, err := s.o.Environments.ForFolder(ctx, f.Folder, s.root)
		if err != nil {
			s.failedFile(f, err, why)
			continue
		}
		if _, ok := groups[spec.Key]; !ok {
			order = append(order, spec.Key)
			specs[spec.Key] = spec
		}
		groups[spec.Key] = append(groups[spec.Key], f)
	}
	var wg sync.WaitGroup
	build := make(chan struct{}, 2) // installers are hungry
	for _, key := range order {
		wg.Go(func() {
			build <- struct{}{}
			env, err := s.o.Environments.Ensure(ctx, specs[key], func(step string) { s.tell(func(e Events) { e.Step(step) }) })
			<-build
			if ctx.Err() != nil {
				return
			}
			s.mu.Lock()
			_, known := s.envs[key]
			s.envs[key] = env
			s.mu.Unlock()
			if !known || err != nil {
				s.tell(func(e Events) { e.Environment(s.nameOf(specs[key], groups[key]), env, err) })
			}
			if err != nil {
				for _, f := range groups[key] {
					s.failedFile(f, err, why)
				}
				return
			}
			var files sync.WaitGroup
			for _, f := range groups[key] {
				files.Go(func() {
					s.slots <- struct{}{}
					defer func() { <-s.slots }()
					if ctx.Err() != nil {
						return
					}
					r := s.runner.Run(ctx, f, env)
					if ctx.Err() != nil {
						return
					}
					s.note(r)
					s.tell(func(e Events) { e.Deployed(r, why) })
				})
			}
			files.Wait()
		})
	}
	wg.Wait()
}

func (s *stack) failedFile(f deploy.File, err error, why string) {
	r := deploy.Result{File: f, ExitCode: -1, Err: err}
	s.note(r)
	s.tell(func(e Events) { e.Deployed(r, why) })
}

func (s *stack) note(r deploy.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Err != nil {
		s.failed[r.File.Path] = r
	} else {
		delete(s.failed, r.File.Path)
	}
}

// nameOf is what people call an environment: the folder of its requirements.
func (s *stack) nameOf(spec pyenv.Spec, files []deploy.File) string {
	if spec.Requirements == "" {
		return "base"
	}
	name := filepath.Base(filepath.Dir(spec.Requirements))
	folders := map[string]bool{}
	for _, f := range files {
		folders[f.Folder] = true
	}
	if len(folders) > 1 {
		return fmt.Sprintf("%s and %d more", name, len(folders)-1)
	}
	return name
}

// summary lists what the files have registered since the start.
func (s *stack) summary(ctx context.Context) (Summary, error) {
	sum := Summary{URL: s.srv.URL(), Flows: map[orion.ID]string{}}
	for offset := int64(0); ; offset += orion.MaxLimit {
		ds, err := s.c.Deployments(ctx, client.Query{Page: orion.Page{Offset: &offset}})
		if err != nil {
			return sum, err
		}
		for _, d := range ds {
			if !d.Updated.Before(s.since) {
				sum.Deployments = append(sum.Deployments, d)
			}
		}
		if len(ds) < orion.MaxLimit {
			break
		}
	}
	for _, d := range sum.Deployments {
		if _, ok := sum.Flows[d.FlowID]; ok {
			continue
		}
		f, err := s.c.Flow(ctx, d.FlowID)
		if err != nil {
			return sum, err
		}
		sum.Flows[d.FlowID] = f.Name
	}
	folders := map[string]bool{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		folders[f.Folder] = true
		if r, ok := s.failed[f.Path]; ok {
			sum.Failed = append(sum.Failed, r)
		}
	}
	sum.Folders = len(folders)
	return sum, nil
}

// serve starts an agent for each queue and pool that the deployments name and
// that has none yet. All share the limit of runs at once through the machine.
func (s *stack) serve(ctx context.Context, ds []orion.Deployment) {
	limit := s.o.Limit
	if limit == 0 {
		limit = max(4, 2*runtime.NumCPU())
	}
	for _, d := range ds {
		if d.WorkQueueName == nil {
			continue
		}
		pool, queue := orion.DefaultAgentPool, *d.WorkQueueName
		if d.WorkPoolName != nil {
			pool = *d.WorkPoolName
		}
		o := agent.Options{Client: s.c, Limit: limit, Environment: s.environment, Output: s.output, Changed: s.changed, StopGrace: 3 * time.Second, Code: s.o.Code, Log: s.o.Log}
		key := pool
		if pool == orion.DefaultAgentPool {
			key = "queue " + queue
			o.Queues = []string{queue}
		} else {
			o.Pool = pool
		}
		s.mu.Lock()
		have := s.agents[key]
		s.agents[key] = true
		s.mu.Unlock()
		if have {
			continue
		}
		if o.Pool != "" {
			p, err := s.c.WorkPool(ctx, pool)
			if err != nil {
				s.tell(func(e Events) { e.Note(fmt.Sprintf("the pool %s cannot be served: %v", pool, err)) })
				continue
			}
			if p.Type != "process" && p.Type != "prefect-agent" {
				s.tell(func(e Events) { e.Note(fmt.Sprintf("the pool %s is of type %s and is not served here", pool, p.Type)) })
				continue
			}
		}
		ag := agent.New(o)
		s.agentsWG.Go(func() {
			if err := ag.Run(ctx); err != nil {
				s.tell(func(e Events) { e.Note("an agent ended: " + err.Error()) })
			}
		})
		s.tell(func(e Events) { e.Agent(key) })
	}
}

func (s *stack) environment(ctx context.Context, folder, root string) (string, error) {
	if root == "" {
		root = s.root
	}
	spec, err := s.o.Environments.ForFolder(ctx, folder, root)
	if err != nil {
		return "", err
	}
	env, err := s.o.Environments.Ensure(ctx, spec, nil)
	return env.Python, err
}

func (s *stack) output(run *orion.FlowRun, line string) {
	s.tell(func(e Events) { e.Output(run, line) })
}

func (s *stack) changed(run *orion.FlowRun, what string) {
	s.tell(func(e Events) { e.Run(run, what) })
}
