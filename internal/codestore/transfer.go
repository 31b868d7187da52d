package codestore

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// Options of what moves files. The zero value serves most.
type Options struct {
	// Parallel is how many files move at a time; 0 is 8.
	Parallel int
	// Tries is how often a file is tried while the store cannot be reached; 0
	// is 5. The pauses between them grow from a fifth of a second.
	Tries int
	// Progress is told of every step, one call at a time; may be nil.
	Progress func(Progress)
}

// Progress is how far a transfer has come. What is there already counts as done.
type Progress struct {
	Files, AllFiles int
	Bytes, AllBytes int64
}

// transfer moves files side by side.
type transfer struct {
	Options
	mu   sync.Mutex // guards done, and that Progress is called once at a time
	done Progress
}

func newTransfer(o Options, files int, bytes int64) *transfer {
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.Tries <= 0 {
		o.Tries = 5
	}
	return &transfer{Options: o, done: Progress{AllFiles: files, AllBytes: bytes}}
}

// each runs move for each file until one fails.
func (t *transfer) each(ctx context.Context, files []File, move func(context.Context, File) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(t.Parallel)
	for _, f := range files {
		g.Go(func() error {
			return t.retry(ctx, func() error { return move(ctx, f) })
		})
	}
	return g.Wait()
}

// retry runs do again while its error may pass.
func (t *transfer) retry(ctx context.Context, do func() error) error {
	pause := 200 * time.Millisecond
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := do()
		if err == nil || !storage.Temporary(err) || try >= t.Tries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		// Half of it by chance, so that those who failed together do not come back together.
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, 10*time.Second)
	}
}

func (t *transfer) advance(files int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done.Files += files
	t.done.Bytes += bytes
	if t.Progress != nil {
		t.Progress(t.done)
	}
}

// list is everything below a folder, by its path there.
func (t *transfer) list(ctx context.Context, s storage.Store, folder string) (objects map[string]storage.Object, err error) {
	err = t.retry(ctx, func() error {
		objects = map[string]storage.Object{}
		for o, err := range s.List(ctx, folder) {
			if err != nil {
				return err
			}
			if at, ok := storage.Below(folder, o.Key); ok {
				objects[at] = o
			}
		}
		return nil
	})
	return objects, err
}

// same tells whether an object is the file, as far as the store can tell.
func (t *transfer) same(ctx context.Context, s storage.Store, o storage.Object, f File) (bool, error) {
	if o.Size != f.Size {
		return false, nil
	}
	if o.SHA256 != "" {
		return o.SHA256 == f.SHA256, nil
	}
	var err error
	err = t.retry(ctx, func() error {
		o, err = s.Stat(ctx, o.Key)
		return err
	})
	if isNotFound(err) {
		return false, nil
	}
	return o.SHA256 == f.SHA256, err
}
