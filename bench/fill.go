package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// fill stores n more flow runs, by copying one that the API has made: neither
// server could be asked for so many in reasonable time, and the copy has every
// column that the server itself would have written. The runs are spread over
// the last seven days, one in twenty FAILED, one in twenty CRASHED, one in
// fifty with the tag "nightly", the others COMPLETED. The server must be
// halted.
func (s *subject) fill(ctx context.Context, template string, from, n int) error {
	exec, columns, done, err := s.openDatabase(ctx)
	if err != nil {
		return err
	}
	defer done()
	q := s.spelling()
	id, state := q.id("7a", "i"), q.id("7b", "i")
	typ := "CASE i % 20 WHEN 1 THEN 'FAILED' WHEN 2 THEN 'CRASHED' ELSE 'COMPLETED' END"
	name := "CASE i % 20 WHEN 1 THEN 'Failed' WHEN 2 THEN 'Crashed' ELSE 'Completed' END"
	at := func(offset int) string { return q.ago(fmt.Sprintf("(i * 604800.0 / %d - %d)", from+n, offset)) }
	run := map[string]string{"id": id, "state_id": state, "name": "'run-' || i", "state_type": typ, "state_name": name,
		"tags":    "CASE i % 50 WHEN 0 THEN " + q.json(`["nightly"]`) + " ELSE " + q.json(`[]`) + " END",
		"created": at(0), "updated": at(2), "expected_start_time": at(0), "start_time": at(1), "end_time": at(2), "state_timestamp": at(2),
		"idempotency_key": "NULL", "parent_task_run_id": "NULL"}
	states := map[string]string{"id": state, q.runOfState: id, "type": typ, "name": name, "timestamp": at(2), "created": at(2), "updated": at(2), "result_artifact_id": "NULL"}
	numbers := fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) ", from+1, from+n)
	ids := q.literal(template)
	for _, step := range []struct {
		table, where string
		change       map[string]string
	}{
		{"flow_run", "t.id = " + ids, run},
		{"flow_run_state", "t.id = (SELECT state_id FROM flow_run WHERE id = " + ids + ")", states},
	} {
		cols, err := columns(step.table)
		if err != nil {
			return err
		}
		values := make([]string, len(cols))
		for i, c := range cols {
			if values[i] = "t." + c; step.change[c] != "" {
				values[i] = step.change[c]
			}
		}
		sql := "INSERT INTO " + step.table + " (" + strings.Join(cols, ", ") + ") "
		sel := "SELECT " + strings.Join(values, ", ") + " FROM " + step.table + " t, n WHERE " + step.where
		// Where WITH may stand, the two databases agree.
		if err := exec(sql + numbers + sel); err != nil {
			return fmt.Errorf("filling %s: %w", step.table, err)
		}
	}
	if !s.prefect {
		if err := exec("INSERT INTO flow_run_tag (workspace_id, tag, run_id) " + numbers + "SELECT 1, 'nightly', " + id + " FROM n WHERE i % 50 = 0"); err != nil {
			return err
		}
	}
	return nil
}

// spelling is how a server's database writes what fill needs.
type spelling struct {
	runOfState string
	id         func(prefix, number string) string
	literal    func(id string) string
	ago        func(seconds string) string
	json       func(string) string
}

func (s *subject) spelling() spelling {
	q := spelling{runOfState: "run_id", json: func(v string) string { return "'" + v + "'" }}
	if s.prefect {
		q.runOfState = "flow_run_id"
	}
	switch {
	case s.pg != nil:
		q.id = func(p, n string) string {
			return "(lpad(to_hex(" + n + "), 8, '0') || '-0000-7000-80" + p + "-000000000000')::uuid"
		}
		q.literal = func(id string) string { return "'" + id + "'" }
		q.ago = func(sec string) string { return "(now() - " + sec + " * interval '1 second')" }
		q.json = func(v string) string { return "'" + v + "'::jsonb" }
		if !s.prefect {
			q.ago = func(sec string) string {
				return "((extract(epoch FROM now()) - " + sec + ") * 1000000)::bigint"
			}
			q.json = func(v string) string { return "'" + v + "'" }
		}
	case s.prefect:
		q.id = func(p, n string) string { return "printf('%08x-0000-4000-80" + p + "-000000000000', " + n + ")" }
		q.literal = func(id string) string { return "'" + id + "'" }
		q.ago = func(sec string) string {
			return "strftime('%Y-%m-%d %H:%M:%f000', julianday('now') - " + sec + " / 86400.0)"
		}
	default:
		q.id = func(p, n string) string { return "unhex(printf('%08x0000700080" + p + "000000000000', " + n + "))" }
		q.literal = func(id string) string { return "X'" + strings.ReplaceAll(id, "-", "") + "'" }
		q.ago = func(sec string) string {
			return "CAST((unixepoch('now', 'subsec') - " + sec + ") * 1000000 AS INTEGER)"
		}
	}
	return q
}

func (s *subject) openDatabase(ctx context.Context) (exec func(string) error, columns func(table string) ([]string, error), done func(), err error) {
	if s.pg != nil {
		c, err := pgx.Connect(ctx, s.pg.url()+"?sslmode=disable")
		if err != nil {
			return nil, nil, nil, err
		}
		exec = func(sql string) error { _, err := c.Exec(ctx, sql); return err }
		columns = func(table string) ([]string, error) {
			rows, err := c.Query(ctx, "SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position", table)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return exec, columns, func() { exec("ANALYZE"); c.Close(ctx) }, nil
	}
	file := "orion.db"
	if s.prefect {
		file = "prefect.db"
	}
	c, err := sqlite.OpenConn(filepath.Join(s.home, file), sqlite.OpenReadWrite)
	if err != nil {
		return nil, nil, nil, err
	}
	exec = func(sql string) error { return sqlitex.ExecuteTransient(c, sql, nil) }
	columns = func(table string) (out []string, err error) {
		err = sqlitex.ExecuteTransient(c, "SELECT name FROM pragma_table_info('"+table+"')", &sqlitex.ExecOptions{
			ResultFunc: func(st *sqlite.Stmt) error { out = append(out, st.ColumnText(0)); return nil }})
		return out, err
	}
	return exec, columns, func() { exec("PRAGMA wal_checkpoint(TRUNCATE)"); c.Close() }, nil
}
