// Package background is what the server does by itself, now and then: make the
// coming runs, mark late ones, expire pauses, finish cancellations, offer
// abandoned runs again, and keep account of who polls.
//
// Every service may run twice, on two replicas, without harm: changes go
// through orchestration and have unique keys. A lease in the database lets one
// replica at a time do the work. Start with [Services].
package background

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

// Service is one thing that is done every so often.
type Service struct {
	Name  string
	Every time.Duration
	// Everywhere runs on each replica, not only on the leader.
	Everywhere bool
	// Wake, when set, names a topic that runs it before its time.
	Wake string
	Run  func(context.Context, *store.Store) error
}

// Services are all of them.
func Services() []Service {
	return []Service{
		{Name: "scheduler", Every: 60 * time.Second, Run: schedule},
		{Name: "recent-deployments", Every: 5 * time.Minute, Wake: store.TopicDeployment, Run: schedule},
		{Name: "late-runs", Every: 5 * time.Second, Run: markLate},
		{Name: "pause-expiry", Every: 5 * time.Second, Run: expirePauses},
		{Name: "cancellation-cleanup", Every: 20 * time.Second, Run: cleanUpCancellations},
		{Name: "claims", Every: 5 * time.Second, Run: releaseClaims},
		{Name: "liveness", Every: 15 * time.Second, Run: markUnpolled},
		{Name: "polls", Every: 5 * time.Second, Everywhere: true, Run: flushPolls},
		{Name: "log-batches", Every: 10 * time.Minute, Run: forgetBatches},
		{Name: "bundles", Every: time.Hour, Run: collectBundles},
	}
}

// Runner runs services until its context ends.
type Runner struct {
	Store *store.Store
	Log   *slog.Logger
	// Enabled says which services run; nil means all.
	Enabled func(name string) bool
}

// leaseFor is how long a leader that falls silent keeps the lease.
const leaseFor = 15 * time.Second

// Run runs the services and returns when all have ended.
func (r *Runner) Run(ctx context.Context) {
	holder := newHolder()
	ctx = orion.WithScope(ctx, orion.Scope{Workspace: orion.DefaultWorkspace, Actor: "service"})
	lead := &leadership{}
	var wg sync.WaitGroup
	wg.Go(func() { lead.keep(ctx, r, holder) })
	for _, s := range Services() {
		if r.Enabled != nil && !r.Enabled(s.Name) {
			continue
		}
		wg.Go(func() { r.loop(ctx, s, lead) })
	}
	wg.Wait()
}

func (r *Runner) loop(ctx context.Context, s Service, lead *leadership) {
	ctx = orion.WithScope(ctx, orion.Scope{Workspace: orion.DefaultWorkspace, Actor: "service:" + s.Name})
	var wake <-chan struct{}
	if s.Wake != "" {
		c, stop := r.Store.Subscribe(s.Wake)
		defer stop()
		wake = c
	}
	t := time.NewTimer(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			if s.Everywhere { // what is in memory is written before the end
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				r.do(last, s)
				cancel()
			}
			return
		case <-t.C:
		case <-wake:
		}
		if s.Everywhere || lead.held() {
			r.do(ctx, s)
		}
		t.Reset(s.Every)
	}
}

// do runs a service once; what goes wrong is logged and tried again the next
// time.
func (r *Runner) do(ctx context.Context, s Service) {
	defer func() {
		if p := recover(); p != nil {
			r.Log.Error("panic in a service", "service", s.Name, "panic", p)
		}
	}()
	if err := s.Run(ctx, r.Store); err != nil && ctx.Err() == nil {
		r.Log.Warn("a service could not do its work; it tries again", "service", s.Name, "error", err)
	}
}

// leadership is whether this replica has the lease.
type leadership struct {
	mu    sync.Mutex
	until time.Time
}

func (l *leadership) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until)
}

// keep takes the lease and renews it. On SQLite there is nobody else and the
// lease costs a write now and then all the same, so that a second server on
// the same file does no work twice.
func (l *leadership) keep(ctx context.Context, r *Runner, holder string) {
	for {
		asked := time.Now()
		var ok bool
		err := r.Store.Write(ctx, func(tx *store.Tx) (err error) {
			ok, err = tx.Lease("services", holder, tx.Now().Add(leaseFor))
			return err
		})
		if err == nil && ok {
			l.mu.Lock()
			l.until = asked.Add(leaseFor - time.Second)
			l.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			r.Store.Write(last, func(tx *store.Tx) error { return tx.Resign("services", holder) }) // another may take over at once; if not, it expires
			return
		case <-time.After(leaseFor / 3):
		}
	}
}

func newHolder() string {
	b := make([]byte, 4)
	rand.Read(b)
	host, _ := os.Hostname() // only for people who look at the table
	return host + "-" + hex.EncodeToString(b)
}
