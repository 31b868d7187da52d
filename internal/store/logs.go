package store

import (
	"context"

	"github.com/orionflows/orion"
)

const logColumns = "log.id, log.created, log.name, log.level, log.message, log.timestamp, log.flow_run_id, log.task_run_id"

func scanLog(r *Row) (l orion.Log, err error) {
	err = r.Scan(&l.ID, &l.Created, &l.Name, &l.Level, &l.Message, &l.Timestamp, &l.FlowRunID, &l.TaskRunID)
	l.Updated = l.Created
	return l, err
}

var logSorts = map[string]string{"TIMESTAMP_ASC": "log.timestamp, log.seq", "TIMESTAMP_DESC": "log.timestamp DESC, log.seq DESC"}

// Logs lists log lines.
func (s *Store) Logs(ctx context.Context, f *orion.LogFilter, sort *string, limit, offset int64) (out []orion.Log, err error) {
	o, err := order(logSorts, sort, "TIMESTAMP_ASC")
	if err != nil {
		return nil, err
	}
	err = s.readLogs(ctx, func(tx *Tx) (err error) {
		w := where("log.workspace_id = ?", tx.ws)
		if f != nil {
			w = all(w, joined(f.Operator,
				column(tx, "log.level", f.Level),
				column(tx, "log.timestamp", f.Timestamp),
				column(tx, "log.flow_run_id", f.FlowRunID),
				column(tx, "log.task_run_id", f.TaskRunID),
				column(tx, "log.message", f.Text)))
		}
		out, err = list(tx, "SELECT "+logColumns+" FROM log WHERE "+w.sql+o+" LIMIT ? OFFSET ?", append(w.args, limit, offset), scanLog)
		return err
	})
	return out, err
}

// logsPerInsert bounds the placeholders of one statement.
const logsPerInsert = 32

// AppendLogs stores a batch of lines. The digest is of the batch as it came: one
// that was stored before is not stored again, so a client may resend what it
// got no answer for.
func (s *Store) AppendLogs(ctx context.Context, logs []orion.LogCreate, digest orion.ID) error {
	if len(logs) == 0 {
		return nil
	}
	return s.writeLogs(ctx, func(tx *Tx) error {
		n, err := tx.exec("INSERT INTO log_batch (workspace_id, digest, received) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", tx.ws, digest, tx.now)
		if err != nil || n == 0 {
			return err
		}
		for len(logs) > 0 {
			part := logs[:min(len(logs), logsPerInsert)]
			logs = logs[len(part):]
			args := make([]any, 0, 10*len(part))
			for i := range part {
				l := &part[i]
				args = append(args, tx.ws, orion.NewID(), tx.now, tx.actor, l.Name, l.Level, l.Message, l.Timestamp, l.FlowRunID, l.TaskRunID)
			}
			if err := tx.later(insertLogs[len(part)], args...); err != nil {
				return err
			}
		}
		return nil
	})
}

var insertLogs = func() (q [logsPerInsert + 1]string) {
	row := "(" + marks(10) + ")"
	sql := "INSERT INTO log (workspace_id, id, created, actor, name, level, message, timestamp, flow_run_id, task_run_id) VALUES "
	for n := 1; n <= logsPerInsert; n++ {
		if n > 1 {
			sql += ", "
		}
		sql += row
		q[n] = sql
	}
	return q
}()

// ForgetBatches removes the digests of batches received before a time: nobody
// resends them any more.
func (s *Store) ForgetBatches(ctx context.Context, before orion.Time) error {
	return s.writeLogs(ctx, func(tx *Tx) error {
		_, err := tx.exec("DELETE FROM log_batch WHERE received < ?", before)
		return err
	})
}
