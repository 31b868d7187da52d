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

// postgres is a pool of connections, and one more that listens for the
// wake-ups of other replicas.
type postgres struct {
	pool *pgxpool.Pool
	stop context.CancelFunc
	wg   sync.WaitGroup
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
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, &orion.Error{Kind: orion.Unavailable, Message: fmt.Sprintf("cannot reach PostgreSQL at %s:%d, database %q, as %q", cfg.ConnConfig.Host, cfg.ConnConfig.Port, cfg.ConnConfig.Database, cfg.ConnConfig.User), Err: err}
	}
	lctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.wg.Add(1)
	go func() { defer p.wg.Done(); p.listen(lctx, cfg.ConnConfig, h, o.Log) }()
	return p, nil
}

func (p *postgres) close() error {
	p.stop()
	p.wg.Wait()
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

func (p *postgres) read(ctx context.Context, f func(conn) error) error {
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		return pgError(err)
	}
	defer c.Release()
	return pgError(f(pgConn{c.Conn()}))
}

func (p *postgres) write(ctx context.Context, f func(*Tx) error, scope orion.Scope) error {
	for try := 0; ; try++ {
		tx := &Tx{ctx: ctx, ws: scope.Workspace, actor: scope.Actor, now: orion.Now()}
		err := p.transaction(ctx, func(c conn) error {
			tx.c = c
			return call(f, tx)
		})
		if err == nil {
			for _, h := range tx.hooks {
				h()
			}
			return nil
		}
		var pe *pgconn.PgError
		if try >= 5 || !errors.As(err, &pe) || (pe.Code != "40001" && pe.Code != "40P01") {
			return pgError(err)
		}
		time.Sleep(time.Duration(try+1) * 5 * time.Millisecond)
	}
}

func (p *postgres) transaction(ctx context.Context, f func(conn) error) error {
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	if err := f(pgConn{c.Conn()}); err != nil {
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		tx.Rollback(rctx)
		return err
	}
	return tx.Commit(ctx)
}

func (p *postgres) script(ctx context.Context, sql string) error {
	_, err := p.pool.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

type pgConn struct{ c *pgx.Conn }

func pgArgs(args []any) ([]any, error) {
	out := make([]any, 0, len(args)+1)
	out = append(out, pgx.QueryResultFormats{pgx.BinaryFormatCode})
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

func (c pgConn) query(ctx context.Context, sql string, args []any, row func(*Row) error) error {
	a, err := pgArgs(args)
	if err != nil {
		return err
	}
	rows, err := c.c.Query(ctx, dollars(sql), a...)
	if err != nil {
		return fmt.Errorf("%w in %s", err, sql)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(&Row{raw: rows.RawValues()}); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%w in %s", err, sql)
	}
	return nil
}

func (c pgConn) exec(ctx context.Context, sql string, args []any) (int64, error) {
	a, err := pgArgs(args)
	if err != nil {
		return 0, err
	}
	tag, err := c.c.Exec(ctx, dollars(sql), a[1:]...)
	if err != nil {
		return 0, fmt.Errorf("%w in %s", err, sql)
	}
	return tag.RowsAffected(), nil
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
