package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/orionflows/orion"
)

// writer runs functions one after another, and lets those that have queued
// meanwhile share a transaction: one commit answers them all. It has no
// goroutine of its own: whoever finds nobody at work does the work of all who
// queue until its own is done, which saves two switches when there is but one.
//
// There are no savepoints. A function that fails before it has written leaves
// nothing to undo; one that fails later spoils the transaction, which is rolled
// back, and each function in it runs once more in one of its own.
type writer struct {
	db    transactor
	most  int // functions that share a commit
	jobs  chan *job
	turn  chan struct{} // holds one while somebody is at work
	ended chan struct{}
}

// transactor is a database as its writer sees it.
type transactor interface {
	begin() (conn, error)
	// commit reports with an error whether it is certain that nothing was kept.
	commit(conn) (undone bool, err error)
	rollback(conn)
}

// job is a function waiting for its turn.
type job struct {
	f     func(*Tx) error
	tx    *Tx
	err   error
	taken atomic.Bool // to be run, or back by a caller that is tired of waiting
	done  chan struct{}
}

func newWriter(db transactor, most int) *writer {
	return &writer{db: db, most: most, jobs: make(chan *job, most), turn: make(chan struct{}, 1), ended: make(chan struct{})}
}

// close waits for the functions that have begun, and refuses others.
func (w *writer) close() {
	close(w.ended)
	w.turn <- struct{}{}
}

// errTired is of a function that was not begun in time, and is not going to be.
var errTired = errors.New("the writer is busy")

// write runs a function, whatever becomes of the caller once it is queued, and
// returns its transaction. It gives up when the channel tired receives before
// the function has begun.
func (w *writer) write(ctx context.Context, f func(*Tx) error, scope orion.Scope, tired <-chan time.Time) (*Tx, error) {
	j := &job{f: f, done: make(chan struct{})}
	j.tx = &Tx{ctx: context.WithoutCancel(ctx), ws: scope.Workspace, actor: scope.Actor}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.ended:
		return nil, errBusy(nil)
	}
	select {
	case <-j.done:
	case w.turn <- struct{}{}:
		w.workUntil(j.done)
		<-w.turn
	case <-tired:
		if j.taken.CompareAndSwap(false, true) {
			return nil, errTired
		}
	case <-w.ended:
		if j.taken.CompareAndSwap(false, true) {
			return nil, errBusy(nil)
		}
	}
	<-j.done
	return j.tx, j.err
}

// workUntil runs what is queued until one of them is done.
func (w *writer) workUntil(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case j := <-w.jobs:
			batch, spoiled := w.transaction(j, w.most)
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
		j.tx.c, j.tx.now, j.tx.hooks, j.tx.wrote, j.tx.seen = c, orion.Now(), nil, false, nil
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
	case j := <-w.jobs:
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
