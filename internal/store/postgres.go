package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orionflows/orion"
)

// postgres is a pool of connections, one more for the writer, and one that
// listens for the wake-ups of other replicas.
type postgres struct {
	pool   *pgxpool.Pool
	shared *pgxpool.Pool // of one connection
	writer *writer
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

func openPostgres(ctx context.Context, o Options, h *hub) (*postgres, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, orion.Errorf(orion.Invalid, "the database URL cannot be read: use postgres://user:password@host:5432/name")
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "orion"
	}
	if o.Durability == "normal" {
		cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	}
	if o.Conns == 0 {
		o.Conns = 16
	}
	cfg.MaxConns = int32(o.Conns)
	cfg.ConnConfig.ConnectTimeout = 10 * time.Second
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p := &postgres{pool: pool}
	one := cfg.Copy()
	one.MaxConns = 1
	one.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET lock_timeout = "+lockTimeout)
		return err
	}
	if p.shared, err = pgxpool.NewWithConfig(ctx, one); err != nil {
		pool.Close()
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		p.shared.Close()
		pool.Close()
		return nil, &orion.Error{Kind: orion.Unavailable, Message: fmt.Sprintf("cannot reach PostgreSQL at %s:%d, database %q, as %q", cfg.ConnConfig.Host, cfg.ConnConfig.Port, cfg.ConnConfig.Database, cfg.ConnConfig.User), Err: err}
	}
	p.writer = newWriter(p, 32) // each is a round trip
	lctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.wg.Add(1)
	go func() { defer p.wg.Done(); p.listen(lctx, cfg.ConnConfig, h, o.Log) }()
	p.wg.Add(1)
	go func() { defer p.wg.Done(); p.keepStatistics(lctx, o.Log) }()
	return p, nil
}

func (p *postgres) close() error {
	p.stop()
	p.wg.Wait()
	p.writer.close()
	p.shared.Close()
	p.pool.Close()
	return nil
}

// listen hands the notices of all replicas, this one's too, to the hub.
func (p *postgres) listen(ctx context.Context, cfg *pgx.ConnConfig, h *hub, log *slog.Logger) {
	for ctx.Err() == nil {
		err := func() error {
			c, err := pgx.ConnectConfig(ctx, cfg)
			if err != nil {
				return err
			}
			defer c.Close(context.Background())
			if _, err := c.Exec(ctx, "LISTEN orion"); err != nil {
				return err
			}
			for {
				n, err := c.WaitForNotification(ctx)
				if err != nil {
					return err
				}
				h.wake(n.Payload)
			}
		}()
		if ctx.Err() != nil {
			return
		}
		log.Warn("the connection that listens for other replicas was lost; reconnecting", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
}

// keepStatistics analyses the tables that have become four times as large,
// until they are large. PostgreSQL does so too, but once a minute, and keeps a
// plan until then: one that it made for a table of a few rows, in which every
// index is as good as any other, costs a hundred times as much when there are
// thousands.
func (p *postgres) keepStatistics(ctx context.Context, log *slog.Logger) {
	const grown = `SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r'
		AND relpages < 128 AND pg_relation_size(oid) > 4 * current_setting('block_size')::bigint * greatest(relpages, 2)`
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rows, err := p.pool.Query(ctx, grown)
		if err == nil {
			var tables []string
			if tables, err = pgx.CollectRows(rows, pgx.RowTo[string]); err == nil && len(tables) > 0 {
				// Another replica may be at it.
				_, err = p.pool.Exec(ctx, "ANALYZE (SKIP_LOCKED) "+strings.Join(tables, ", "), pgx.QueryExecModeSimpleProtocol)
			}
		}
		if err != nil && ctx.Err() == nil {
			log.Debug("the statistics of the tables could not be kept", "error", err)
		}
	}
}

func (p *postgres) read(ctx context.Context, f func(conn) error) error {
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		return pgError(err)
	}
	defer c.Release()
	return pgError(f(&pgConn{c: c.Conn()}))
}

// Most writes are short and share the writer's transactions. One that must wait
// for a lock that another replica holds, or for a long one before it, gets a
// transaction and a connection of its own.
const (
	lockTimeout = "'100ms'"
	patience    = 50 * time.Millisecond
)

func (p *postgres) write(ctx context.Context, f func(*Tx) error, scope orion.Scope) error {
	tired := time.NewTimer(patience)
	defer tired.Stop()
	tx, err := p.writer.write(ctx, f, scope, tired.C)
	if err == errTired || again(err) {
		return p.writeAlone(ctx, f, scope)
	}
	return finish(tx, pgError(err))
}

// again reports whether a transaction gave way to another: to serialize, out
// of a deadlock, or because a lock was not to be had in time.
func again(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == "40001" || pe.Code == "40P01" || pe.Code == "55P03")
}

func (p *postgres) writeAlone(ctx context.Context, f func(*Tx) error, scope orion.Scope) error {
	for try := 0; ; try++ {
		tx := &Tx{ctx: ctx, ws: scope.Workspace, actor: scope.Actor, now: orion.Now()}
		c, err := p.beginOn(ctx, p.pool)
		if err != nil {
			return pgError(err)
		}
		tx.c = c
		if err = call(f, tx); err == nil {
			_, err = c.commit(ctx)
		} else {
			c.rollback()
		}
		if try >= 5 || !again(err) {
			return finish(tx, pgError(err))
		}
		time.Sleep(time.Duration(try+1) * 5 * time.Millisecond)
	}
}

func (p *postgres) begin() (conn, error) { return p.beginOn(context.Background(), p.shared) }

func (p *postgres) commit(c conn) (undone bool, err error) {
	return c.(*pgConn).commit(context.Background())
}

func (p *postgres) rollback(c conn) { c.(*pgConn).rollback() }

func (p *postgres) script(ctx context.Context, sql string) error {
	_, err := p.pool.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// pgConn is a connection that keeps statements back until an answer is waited
// for, and then sends all of them at once: BEGIN travels with the first query,
// what a transaction writes at its end with the COMMIT.
type pgConn struct {
	c    *pgx.Conn
	held pgx.Batch
	from *pgxpool.Conn // of a transaction
}

func (p *postgres) beginOn(ctx context.Context, pool *pgxpool.Pool) (*pgConn, error) {
	from, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	c := &pgConn{c: from.Conn(), from: from}
	c.held.Queue("BEGIN")
	return c, nil
}

// commit ends the transaction. With an error undone says that the server has
// refused it; when the connection was lost, nobody knows.
func (c *pgConn) commit(ctx context.Context) (undone bool, err error) {
	c.held.Queue("COMMIT")
	err = c.flush(ctx, func(answers pgx.BatchResults) error {
		tag, err := answers.Exec()
		if err == nil && tag.String() != "COMMIT" { // a statement had failed, and nobody said so
			err = pgx.ErrTxCommitRollback
		}
		return err
	})
	undone = err != nil && !c.c.IsClosed()
	c.rollback()
	return undone, err
}

// rollback ends the transaction unless it has ended, and lets go of the
// connection; a connection that is closed has undone it.
func (c *pgConn) rollback() {
	if !c.c.IsClosed() && c.c.PgConn().TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.c.Exec(ctx, "ROLLBACK")
	}
	c.from.Release()
}

func (c *pgConn) later(_ context.Context, sql string, args []any) error {
	a, err := pgArgs(args)
	if err == nil {
		c.held.Queue(dollars(sql), a...)
	}
	return err
}

// flush sends what is held and lets last look at the answer to the last
// statement, once those before it have gone well.
func (c *pgConn) flush(ctx context.Context, last func(pgx.BatchResults) error) error {
	sent := c.held
	c.held = pgx.Batch{}
	answers := c.c.SendBatch(ctx, &sent)
	for i, q := range sent.QueuedQueries {
		var err error
		if i < len(sent.QueuedQueries)-1 {
			_, err = answers.Exec()
		} else {
			err = last(answers)
		}
		if err != nil {
			answers.Close()
			return fmt.Errorf("%w in %s", err, q.SQL)
		}
	}
	return answers.Close()
}

func (c *pgConn) query(ctx context.Context, sql string, args []any, row func(*Row) error) error {
	if err := c.later(ctx, sql, args); err != nil {
		return err
	}
	return c.flush(ctx, func(answers pgx.BatchResults) error {
		rows, err := answers.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := row(&Row{raw: rows.RawValues()}); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

func (c *pgConn) exec(ctx context.Context, sql string, args []any) (n int64, err error) {
	if err := c.later(ctx, sql, args); err != nil {
		return 0, err
	}
	err = c.flush(ctx, func(answers pgx.BatchResults) error {
		tag, err := answers.Exec()
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

func pgArgs(args []any) ([]any, error) {
	out := make([]any, 0, len(args))
	for _, a := range args {
		v, err := bindValue(a)
		if err != nil {
			return nil, err
		}
		switch b := v.(type) {
		case []byte:
			var id [16]byte
			copy(id[:], b)
			v = id
		case octets:
			v = []byte(b)
		case string:
			v = pgText(b)
		}
		out = append(out, v)
	}
	return out, nil
}

// pgText replaces what PostgreSQL's text cannot hold, which a run may well
// print: zero bytes and broken UTF-8.
func pgText(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func pgError(err error) error {
	var e *orion.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch {
		case strings.HasPrefix(pe.Code, "23"):
			return integrity(err)
		case strings.HasPrefix(pe.Code, "53"), strings.HasPrefix(pe.Code, "57"), pe.Code == "40001", pe.Code == "40P01":
			return errBusy(err)
		}
		return err
	}
	var ne net.Error
	if errors.As(err, &ne) || pgconn.SafeToRetry(err) {
		return errBusy(err)
	}
	return err
}
