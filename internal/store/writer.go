package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/orionflows/orion"
)

// writer runs functions one after another, and lets those that have queued
// meanwhile share a transaction: one commit answers them all.
//
// There are no savepoints. A function that fails before it has written leaves
// nothing to undo; one that fails later spoils the transaction, which is rolled
// back, and each function in it runs once more in one of its own.
type writer struct {
	db   transactor
	jobs chan *job
	done chan struct{}
}

// transactor is a database as its writer sees it.
type transactor interface {
	begin() (conn, error)
	// commit reports with an error whether it is certain that nothing was kept.
	commit(conn) (undone bool, err error)
	rollback(conn)
}

// job is a function waiting for the writer.
type job struct {
	f     func(*Tx) error
	tx    *Tx
	err   error
	taken atomic.Bool // by the writer, or back by a caller that is tired of waiting
	done  chan struct{}
}

// maxBatch bounds how many functions share a commit.
const maxBatch = 256

func startWriter(db transactor) *writer {
	w := &writer{db: db, jobs: make(chan *job, maxBatch), done: make(chan struct{})}
	go w.run()
	return w
}

// close ends the writer after what is queued.
func (w *writer) close() {
	close(w.jobs)
	<-w.done
}

// submit queues a function, which runs whatever becomes of the caller. It
// returns nil when the writer is closed or the context ends first.
func (w *writer) submit(ctx context.Context, f func(*Tx) error, scope orion.Scope) (j *job) {
	j = &job{f: f, done: make(chan struct{})}
	j.tx = &Tx{ctx: context.WithoutCancel(ctx), ws: scope.Workspace, actor: scope.Actor}
	defer func() {
		if recover() != nil { // the channel is closed: the server is stopping
			j = nil
		}
	}()
	select {
	case w.jobs <- j:
		return j
	case <-ctx.Done():
		return nil
	}
}

func (w *writer) run() {
	defer close(w.done)
	for j := range w.jobs {
		batch, spoiled := w.transaction(j, maxBatch)
		if spoiled && len(batch) > 1 {
			for _, j := range batch {
				j.taken.Store(false)
				w.transaction(j, 1)
			}
		}
		for _, j := range batch {
			close(j.done)
		}
	}
}

// transaction runs a function and those that queue while it runs, at most n.
// Spoiled says that nothing of it was kept.
func (w *writer) transaction(j *job, n int) (batch []*job, spoiled bool) {
	var c conn
	var err error
	for ; j != nil; j = w.next(n - len(batch)) {
		if !j.taken.CompareAndSwap(false, true) {
			continue
		}
		if batch = append(batch, j); len(batch) == 1 {
			c, err = w.db.begin()
		}
		if err != nil {
			j.err = err
			continue
		}
		j.tx.c, j.tx.now, j.tx.hooks, j.tx.wrote = c, orion.Now(), nil, false
		j.err = call(j.f, j.tx)
		var decided *orion.Error
		if j.err != nil && (j.tx.wrote || !errors.As(j.err, &decided)) {
			w.db.rollback(c)
			return batch, true
		}
	}
	if len(batch) == 0 || err != nil {
		return batch, false
	}
	if spoiled, err = w.db.commit(c); err != nil {
		for _, j := range batch {
			j.err = err
		}
	}
	return batch, spoiled
}

// next is a function that waits already; nil when there is none, or no room.
func (w *writer) next(room int) *job {
	if room <= 0 {
		return nil
	}
	select {
	case j := <-w.jobs: // nil once closed
		return j
	default:
		return nil
	}
}

// call turns a panic of one function into its error, so that the writer and
// whatever else waits live on.
func call(f func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v\n%s", p, stack())
		}
	}()
	return f(tx)
}

func stack() []byte {
	b := make([]byte, 8192)
	return b[:runtime.Stack(b, false)]
}
