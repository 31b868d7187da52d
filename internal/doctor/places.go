package doctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/codestore/storage"
	"github.com/orionflows/orion/internal/plan"
)

// polledLately is how long after its last question an agent counts as there;
// Prefect's own is a minute, too.
const polledLately = time.Minute

// lane is a queue that deployments send their runs to.
type lane struct {
	pool, queue string
	users       []*plan.Declared
}

func (l lane) String() string {
	if l.pool == orion.DefaultAgentPool {
		return "the queue " + l.queue
	}
	return fmt.Sprintf("the queue %s of the pool %s", l.queue, l.pool)
}

func (l lane) start() string {
	if l.pool == orion.DefaultAgentPool {
		return "Start one with: orion agent start -q " + l.queue
	}
	return "Start one with: orion agent start -p " + l.pool
}

// lanes groups the deployments by the queue they name; "" is the pool's own.
func (x *examination) lanes() []*lane {
	var out []*lane
	by := map[[2]string]*lane{}
	for i := range x.all {
		d := &x.all[i]
		key := [2]string{orion.DefaultAgentPool, ""}
		if d.WorkPoolName != nil {
			key[0] = *d.WorkPoolName
		}
		if d.WorkQueueName != nil {
			key[1] = *d.WorkQueueName
		}
		if key[1] == "" && d.WorkPoolName == nil {
			continue // runs of it are started by whoever knows it, not by agents
		}
		if key[1] == "" {
			key[1] = "default"
		}
		if by[key] == nil {
			by[key] = &lane{pool: key[0], queue: key[1]}
			out = append(out, by[key])
		}
		by[key].users = append(by[key].users, d)
	}
	return out
}

// noPool is what a server says to a deployment whose pool it does not have.
var noPool = regexp.MustCompile(`Work pool "([^"]+)" not found`)

func (x *examination) noPool(pool, file string) {
	x.find(Error, file, "Make it with: orion work-pool create "+pool+" --type process", "there is no work pool %s, which this file names", pool)
}

// queues looks whether pools and queues are there, and somebody asks them.
func (x *examination) queues(ctx context.Context) error {
	for _, l := range x.lanes() {
		file := l.users[0].File
		var pool orion.WorkPool
		err := x.c.Do(ctx, "GET", client.Path("/work_pools/%s", l.pool), nil, &pool)
		poolMissing := missing(err)
		switch {
		case poolMissing && l.pool == orion.DefaultAgentPool: // it comes with its first queue
		case poolMissing && x.made["work pool "+l.pool]:
		case poolMissing:
			x.noPool(l.pool, file)
			continue
		case err != nil:
			return err
		case pool.IsPaused:
			x.find(Warning, file, "Let it go on with: orion work-pool resume "+l.pool, "the work pool %s is paused: no run of %s begins", l.pool, someOf(files(l.users)))
		}
		var queue orion.WorkQueue
		err = orion.Errorf(orion.NotFound, "no pool")
		if !poolMissing {
			err = x.c.Do(ctx, "GET", client.Path("/work_pools/%s/queues/%s", l.pool, l.queue), nil, &queue)
		}
		switch {
		case missing(err):
			x.find(Hint, file, l.start(), "%s will be made by the deploy, and no agent asks it yet", l)
			continue
		case err != nil:
			return err
		case queue.IsPaused:
			x.find(Warning, file, "Let it go on with: orion work-queue resume "+l.queue, "%s is paused: no run of %s begins", l, someOf(files(l.users)))
		case queue.LastPolled.IsZero():
			x.find(Warning, file, l.start(), "no agent has ever asked %s for runs of %s", l, someOf(files(l.users)))
		case time.Since(queue.LastPolled.Std()) > polledLately:
			x.find(Warning, file, l.start(), "no agent asks %s for runs; the last did at %s", l, queue.LastPolled.Std().UTC().Format("2006-01-02 15:04 MST"))
		}
		if limit := queue.ConcurrencyLimit; limit != nil {
			x.crowd(l, *limit)
		}
	}
	return nil
}

// checkPatience is how long a storage may take to answer.
const checkPatience = 30 * time.Second

// storages are tried with the identity of this machine: written to, read, and
// left as they were.
func (x *examination) storages(ctx context.Context) error {
	tried := map[string]bool{}
	for i := range x.all {
		d := &x.all[i]
		if d.Storage == nil {
			continue
		}
		key := d.Storage.Type + " " + string(d.Storage.Data.JSON())
		if tried[key] {
			continue
		}
		tried[key] = true
		if !codestore.Known(d.Storage.Type) {
			x.notChecked("the storage block %s/%s: Orion does not know blocks of this type", d.Storage.Type, d.Storage.Name)
			continue
		}
		err := try(ctx, d)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			continue
		}
		level := Warning // an agent may reach what this machine cannot
		if willBeMade := d.Storage.Type == "local-file-system" && errors.Is(err, storage.ErrNoContainer); d.Uploads && !willBeMade {
			level = Error
		}
		fix := "Correct the block, or start this where the storage can be reached."
		why := err.Error()
		var e *storage.Error
		if errors.As(err, &e) && e.Fix != "" {
			fix, why = e.Fix, strings.Replace(why, ": "+e.Fix, "", 1)
		}
		x.find(level, d.File, fix, "the storage of %q cannot be used from here: %s", d.FullName, why)
	}
	return nil
}

func try(ctx context.Context, d *plan.Declared) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	s, err := codestore.Open(ctx, d.Storage.Type, d.Storage.Data.JSON())
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Check(ctx)
}
