package pyenv

import (
	"context"
	"sync"
)

// flight is a build that several callers may be waiting for.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed

	mu       sync.Mutex
	step     string
	watchers []func(string)

	waiting int // guarded by Manager.mu
}

// share joins the build of spec, or begins it. A shared build must not end
// because the one caller who happened to begin it went away, so it has a
// context of its own, which ends with the last caller.
func (m *Manager) share(ctx context.Context, spec Spec, progress func(string)) error {
	m.mu.Lock()
	f := m.flights[spec.Key]
	if f == nil {
		building, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight{cancel: cancel, done: make(chan struct{})}
		m.flights[spec.Key] = f
		go func() {
			defer close(f.done)
			defer cancel()
			f.err = m.build(building, spec, f.tell)
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.flights[spec.Key] == f {
				delete(m.flights, spec.Key)
			}
		}()
	}
	f.waiting++
	m.mu.Unlock()
	f.watch(progress)

	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
	}
	m.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last {
		// Nobody may join a build that is being killed.
		if m.flights[spec.Key] == f {
			delete(m.flights, spec.Key)
		}
		f.cancel()
	}
	m.mu.Unlock()
	if last {
		<-f.done // whoever cancels wants to know that nothing is left running
	}
	return context.Cause(ctx)
}

func (f *flight) watch(progress func(string)) {
	if progress == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers = append(f.watchers, progress)
	if f.step != "" {
		progress(f.step)
	}
}

func (f *flight) tell(step string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.step = step
	for _, progress := range f.watchers {
		progress(step)
	}
}
