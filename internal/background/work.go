package background

import (
	"context"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/store"
)

// batch is how many rows a service changes in one transaction, so that it
// never holds the writer for long.
const batch = 100

// schedule makes the coming runs of every deployment that needs some.
func schedule(ctx context.Context, s *store.Store) error {
	var after orion.ID
	for ctx.Err() == nil {
		var todo []orion.Deployment
		n := 0
		err := s.Read(ctx, func(tx *store.Tx) error {
			todo = todo[:0]
			ds, err := tx.SchedulableDeployments(after, batch)
			if err != nil {
				return err
			}
			n = len(ds)
			for i := range ds {
				need, err := orchestration.NeedsRuns(tx, &ds[i])
				if err != nil {
					return err
				}
				if need {
					todo = append(todo, ds[i])
				}
				after = ds[i].ID
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i := range todo {
			if err := s.Write(ctx, func(tx *store.Tx) error {
				d, err := tx.Deployment(todo[i].ID) // it may have changed since
				if d == nil || err != nil {
					return err
				}
				_, err = orchestration.ScheduleDeployment(tx, d, orchestration.DefaultWindow(tx.Now()))
				return err
			}); err != nil {
				return err
			}
		}
		if n < batch {
			return nil
		}
	}
	return nil
}

// lateAfter is how long a run may be overdue before it is called late.
const lateAfter = 15 * time.Second

// eachRun finds runs in a read and changes them one by one in a write, until
// fewer than a batch are found.
func eachRun(ctx context.Context, s *store.Store, find func(*store.Tx) ([]*orion.FlowRun, error), still func(*orion.FlowRun) bool, change func(*store.Tx, *orion.FlowRun) error) error {
	for ctx.Err() == nil {
		var runs []*orion.FlowRun
		if err := s.Read(ctx, func(tx *store.Tx) (err error) {
			runs, err = find(tx)
			return err
		}); err != nil || len(runs) == 0 {
			return err
		}
		if err := s.Write(ctx, func(tx *store.Tx) error {
			for _, r := range runs {
				run, err := tx.LockFlowRun(r.ID)
				if err != nil {
					return err
				}
				if run == nil || !still(run) {
					continue
				}
				if err := change(tx, run); err != nil {
					return err
				}
			}
			return nil
		}); err != nil || len(runs) < batch {
			return err
		}
	}
	return nil
}

func markLate(ctx context.Context, s *store.Store) error {
	return eachRun(ctx, s,
		func(tx *store.Tx) ([]*orion.FlowRun, error) {
			return tx.OverdueRuns(tx.Now().Add(-lateAfter), batch)
		},
		func(r *orion.FlowRun) bool {
			return r.Type() == orion.Scheduled && r.StateName != nil && *r.StateName == "Scheduled"
		},
		orchestration.MarkLate)
}

func expirePauses(ctx context.Context, s *store.Store) error {
	return eachRun(ctx, s,
		func(tx *store.Tx) ([]*orion.FlowRun, error) { return tx.ExpiredPauses(batch) },
		func(r *orion.FlowRun) bool { return r.Type() == orion.Paused },
		orchestration.ExpirePause)
}

func releaseClaims(ctx context.Context, s *store.Store) error {
	return eachRun(ctx, s,
		func(tx *store.Tx) ([]*orion.FlowRun, error) { return tx.ExpiredClaims(batch) },
		func(r *orion.FlowRun) bool {
			return r.Type() == orion.Pending && !r.ClaimExpires.IsZero() && r.ClaimExpires.Before(orion.Now())
		},
		orchestration.ReleaseClaim)
}

// cleanUpCancellations cancels what a cancelled flow run has left behind: its
// task runs and its subflows.
func cleanUpCancellations(ctx context.Context, s *store.Store) error {
	for ctx.Err() == nil {
		var tasks []*orion.TaskRun
		if err := s.Read(ctx, func(tx *store.Tx) (err error) {
			tasks, err = tx.TasksOfCancelled(tx.Now().Add(-24*time.Hour), batch)
			return err
		}); err != nil {
			return err
		}
		if len(tasks) > 0 {
			if err := s.Write(ctx, func(tx *store.Tx) error {
				for _, t := range tasks {
					run, err := tx.LockTaskRun(t.ID)
					if err != nil {
						return err
					}
					if run == nil || run.Type().Final() {
						continue
					}
					if err := orchestration.CancelTask(tx, run); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
		if len(tasks) < batch {
			break
		}
	}
	return eachRun(ctx, s,
		func(tx *store.Tx) ([]*orion.FlowRun, error) { return tx.SubflowsOfCancelled(batch) },
		func(r *orion.FlowRun) bool { return !r.Type().Final() && r.Type() != orion.Cancelling },
		orchestration.CancelSubflow)
}

// unpolledAfter is how long a queue or deployment counts as ready after a poll.
const unpolledAfter = time.Minute

func markUnpolled(ctx context.Context, s *store.Store) error {
	if err := s.FlushPolls(ctx); err != nil {
		return err
	}
	return s.Write(ctx, func(tx *store.Tx) error { return tx.MarkUnpolled(tx.Now().Add(-unpolledAfter)) })
}

func flushPolls(ctx context.Context, s *store.Store) error { return s.FlushPolls(ctx) }

// resendWindow is how long a client may take to send a batch of logs again.
const resendWindow = time.Hour

func forgetBatches(ctx context.Context, s *store.Store) error {
	return s.ForgetBatches(ctx, orion.Now().Add(-resendWindow))
}

// keepBundles is how long code that the server keeps stays after the last
// version that needs it was made.
const keepBundles = 30 * 24 * time.Hour

func collectBundles(ctx context.Context, s *store.Store) error {
	return s.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.CollectBundles(tx.Now().Add(-keepBundles), batch)
		return err
	})
}
