package api

import (
	"context"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/orchestration"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createTaskRun(ctx context.Context, in struct{ Body orion.TaskRunCreate }) (made[*orion.TaskRun], error) {
	return write(ctx, a, func(tx *store.Tx) (out made[*orion.TaskRun], err error) {
		out.v, out.new, err = orchestration.CreateTaskRun(tx, &in.Body)
		return out, err
	})
}

func (a *API) readTaskRun(ctx context.Context, in byID) (*orion.TaskRun, error) {
	return one(ctx, a, "Task", func(tx *store.Tx) (*orion.TaskRun, error) { return tx.TaskRun(in.ID) })
}

func (a *API) filterTaskRuns(ctx context.Context, in filtered) ([]*orion.TaskRun, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]*orion.TaskRun, error) {
		return tx.TaskRuns(&in.Body.RunFilters, in.Body.Sort, limit, offset)
	})
}

func (a *API) countTaskRuns(ctx context.Context, in filtered) (int64, error) {
	return read(ctx, a, func(tx *store.Tx) (int64, error) { return tx.CountTaskRuns(&in.Body.RunFilters) })
}

func (a *API) taskRunHistory(ctx context.Context, in historyRequest) ([]orion.HistoryBucket, error) {
	return a.history(ctx, in, (*store.Tx).TaskRunHistory)
}

func (a *API) updateTaskRun(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.TaskRunUpdate
}) (none, error) {
	return change(ctx, a, "Task run", func(tx *store.Tx) (bool, error) { return tx.UpdateTaskRun(in.ID, &in.Body) })
}

func (a *API) deleteTaskRun(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "Task run", func(tx *store.Tx) (bool, error) { return tx.DeleteTaskRun(in.ID) })
}

func (a *API) listTaskRunStates(ctx context.Context, in struct {
	TaskRunID orion.ID `query:"task_run_id"`
}) ([]orion.State, error) {
	return read(ctx, a, func(tx *store.Tx) ([]orion.State, error) { return tx.TaskRunStates(in.TaskRunID) })
}

func (a *API) readTaskRunState(ctx context.Context, in byID) (*orion.State, error) {
	return one(ctx, a, "State", func(tx *store.Tx) (*orion.State, error) { return tx.TaskRunState(in.ID) })
}

func (a *API) setTaskRunState(ctx context.Context, in setState) (decided, error) {
	return write(ctx, a, func(tx *store.Tx) (decided, error) {
		r, err := orchestration.SetTaskRunState(tx, in.ID, in.proposal(ctx, tx.Now()))
		return decidedAt(tx, r), err
	})
}

// claimTime bounds how long a claim holds without renewal: 10 s to 10 min, one
// minute unless asked otherwise.
func claimTime(seconds int64) time.Duration {
	if seconds == 0 {
		seconds = 60
	}
	return time.Duration(min(max(seconds, 10), 600)) * time.Second
}
