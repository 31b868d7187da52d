// Package store is all of Orion's SQL: one set of queries for SQLite and
// PostgreSQL, migrations, the group-committing writer, leases and wake-ups.
//
// It knows nothing of HTTP and decides nothing: orchestration decides, store
// keeps. Callers cannot tell the two databases apart. Start with [Store.Write]
// and [Tx]; each noun has one file whose methods stand in the same order.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/secret"
)

// Options say which database to open and how.
type Options struct {
	// URL is postgres://… for PostgreSQL; otherwise Dir is used.
	URL string
	// Dir is the folder of orion.db and orion-log.db on SQLite.
	Dir string
	// Durability is what a crash of the operating system may lose. "full"
	// (the default) loses nothing that was answered; "normal" may lose the
	// last moments, never corrupts. A crash of the process alone loses nothing
	// in either case.
	Durability string
	// Key seals the data of blocks: 32 bytes in base64. Without one a key is
	// kept in Dir, or on PostgreSQL in the database, where it protects dumps of
	// single tables only.
	Key string
	// Conns bounds the pool of PostgreSQL connections; 0 means 16. Two more
	// connections write and listen.
	Conns int
	// BuiltIn are the block types to store at the start and after a Clear.
	BuiltIn BuiltIn
	Log     *slog.Logger
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	main backend
	logs backend // the same as main on PostgreSQL
	d    *dialect
	hub  *hub
	log  *slog.Logger
	poll pollTimes
	seal *secret.Sealer

	builtIn BuiltIn
	closing sync.Once
}

// backend is a database that runs transactions.
type backend interface {
	read(ctx context.Context, f func(conn) error) error
	write(ctx context.Context, f func(*Tx) error, scope orion.Scope) error
	script(ctx context.Context, sql string) error
	close() error
}

// conn runs single statements of an open transaction.
type conn interface {
	query(ctx context.Context, sql string, args []any, row func(*Row) error) error
	exec(ctx context.Context, sql string, args []any) (int64, error)
	later(ctx context.Context, sql string, args []any) error
}

// Open opens the database, creating and migrating it as needed. It refuses a
// database that a newer version has migrated.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Store{hub: newHub(), log: o.Log, builtIn: o.BuiltIn}
	var err error
	switch {
	case strings.HasPrefix(o.URL, "postgres://") || strings.HasPrefix(o.URL, "postgresql://"):
		s.d = postgresDialect
		var pg *postgres
		if pg, err = openPostgres(ctx, o, s.hub); err != nil {
			return nil, err
		}
		s.main, s.logs = pg, pg
	case o.URL != "" && !strings.HasPrefix(o.URL, "sqlite"):
		return nil, orion.Errorf(orion.Invalid, "the database URL starts with %q; use postgres://user:password@host/name, or leave it empty for SQLite in the data folder", strings.SplitN(o.URL, ":", 2)[0])
	default:
		s.d = sqliteDialect
		if s.main, err = openSQLite(o, "orion.db"); err != nil {
			return nil, err
		}
		if s.logs, err = openSQLite(o, "orion-log.db"); err != nil {
			s.main.close()
			return nil, err
		}
	}
	if err := s.migrate(ctx); err != nil {
		s.Close()
		return nil, err
	}
	if db, ok := s.main.(*sqliteDB); ok {
		if err := db.watchDeletes(ctx); err != nil {
			s.Close()
			return nil, err
		}
	}
	if err := s.openSeal(ctx, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) openSeal(ctx context.Context, o Options) error {
	key := o.Key
	var err error
	switch {
	case key != "":
	case s.d == sqliteDialect:
		key, err = secret.KeyFile(filepath.Join(o.Dir, "encryption.key"))
	default:
		err = s.Write(ctx, func(tx *Tx) error {
			if _, err := tx.exec("INSERT INTO configuration (workspace_id, key, value, updated, actor) VALUES (?, 'ENCRYPTION_KEY', ?, ?, 'service:start') ON CONFLICT DO NOTHING",
				orion.DefaultWorkspace, secret.NewKey(), tx.now); err != nil {
				return err
			}
			_, err := tx.one("SELECT value FROM configuration WHERE workspace_id = ? AND key = 'ENCRYPTION_KEY'", []any{orion.DefaultWorkspace}, &key)
			return err
		})
	}
	if err != nil {
		return err
	}
	if s.seal, err = secret.Open(key); err != nil {
		return &orion.Error{Kind: orion.Invalid, Message: err.Error()}
	}
	return nil
}

// Close ends the writers after what is queued, and closes the files. Closing
// again does nothing.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		s.hub.close()
		err = s.main.close()
		if s.logs != nil && s.logs != s.main {
			err = errors.Join(err, s.logs.close())
		}
	})
	return err
}

// Database is the name of the kind of database: "sqlite" or "postgresql".
func (s *Store) Database() string { return s.d.name }

// Tx is a transaction on behalf of one workspace and actor.
type Tx struct {
	ctx   context.Context
	c     conn
	d     *dialect
	s     *Store
	ws    int64
	actor string
	hooks []func()
	now   orion.Time
	wrote bool                 // a statement may have changed something
	seen  map[runKey]runChange // runs as they are, in a transaction that may change them
}

type joinKey struct{}

// Join returns a context whose reads and writes are part of the transaction:
// they see what it wrote, and are committed or not together with it. It serves
// only within the function that was given tx.
func (tx *Tx) Join(ctx context.Context) context.Context {
	return context.WithValue(ctx, joinKey{}, tx)
}

func joinedTx(ctx context.Context) *Tx {
	tx, _ := ctx.Value(joinKey{}).(*Tx)
	return tx
}

// Read runs f on a consistent view (on PostgreSQL each statement has its own).
// Reads never wait for the writer.
func (s *Store) Read(ctx context.Context, f func(*Tx) error) error {
	if tx := joinedTx(ctx); tx != nil {
		return f(tx)
	}
	sc := orion.ScopeOf(ctx)
	return s.main.read(ctx, func(c conn) error {
		return f(&Tx{ctx: ctx, c: c, d: s.d, s: s, ws: sc.Workspace, actor: sc.Actor, now: orion.Now()})
	})
}

// Write runs f in a transaction; it is the only way to write. When Write
// returns nil the change is committed. f must neither wait nor talk to the
// network, and may run again: what must happen once goes through
// [Tx.OnCommit].
func (s *Store) Write(ctx context.Context, f func(*Tx) error) error {
	if tx := joinedTx(ctx); tx != nil {
		return s.d.explain(f(tx))
	}
	return s.main.write(ctx, s.bind(f), orion.ScopeOf(ctx))
}

// readLogs and writeLogs are the same for the log tables.
func (s *Store) readLogs(ctx context.Context, f func(*Tx) error) error {
	sc := orion.ScopeOf(ctx)
	return s.logs.read(ctx, func(c conn) error {
		return f(&Tx{ctx: ctx, c: c, d: s.d, s: s, ws: sc.Workspace, actor: sc.Actor, now: orion.Now()})
	})
}

func (s *Store) writeLogs(ctx context.Context, f func(*Tx) error) error {
	return s.logs.write(ctx, s.bind(f), orion.ScopeOf(ctx))
}

// finish does what follows a transaction.
func finish(tx *Tx, err error) error {
	if err == nil {
		for _, h := range tx.hooks {
			h()
		}
	}
	return err
}

func (s *Store) bind(f func(*Tx) error) func(*Tx) error {
	return func(tx *Tx) error {
		tx.s, tx.d = s, s.d
		return f(tx)
	}
}

// Now is the time of the transaction: the same wherever it is asked.
func (tx *Tx) Now() orion.Time { return tx.now }

// Context is the context of the request that the transaction serves.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Actor is on whose behalf the transaction writes.
func (tx *Tx) Actor() string { return tx.actor }

// OnCommit runs f once, after the commit.
func (tx *Tx) OnCommit(f func()) { tx.hooks = append(tx.hooks, f) }

// query runs a statement with ? placeholders and hands each row to row.
func (tx *Tx) query(sql string, args []any, row func(*Row) error) error {
	tx.wrote = tx.wrote || !strings.HasPrefix(sql, "SELECT") // UPDATE … RETURNING
	return tx.c.query(tx.ctx, sql, args, row)
}

// exec runs a statement and returns how many rows it changed.
func (tx *Tx) exec(sql string, args ...any) (int64, error) {
	tx.wrote = true
	return tx.c.exec(tx.ctx, sql, args)
}

// later is exec for a statement whose outcome nobody looks at. On PostgreSQL it
// travels with the next one, or with the commit, and fails there.
func (tx *Tx) later(sql string, args ...any) error {
	tx.wrote = true
	return tx.c.later(tx.ctx, sql, args)
}

// one runs a query for at most one row and reports whether there was one.
func (tx *Tx) one(sql string, args []any, dest ...any) (bool, error) {
	found := false
	err := tx.query(sql, args, func(r *Row) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	})
	return found, err
}

// count runs a query for one number.
func (tx *Tx) count(sql string, args ...any) (int64, error) {
	var n int64
	_, err := tx.one(sql, args, &n)
	return n, err
}

// list collects rows; an empty answer is an empty slice, never nil.
func list[T any](tx *Tx, sql string, args []any, scan func(*Row) (T, error)) ([]T, error) {
	out := []T{}
	err := tx.query(sql, args, func(r *Row) error {
		v, err := scan(r)
		if err == nil {
			out = append(out, v)
		}
		return err
	})
	return out, err
}

// first is list for at most one row; nil when there is none.
func first[T any](tx *Tx, sql string, args []any, scan func(*Row) (T, error)) (*T, error) {
	var out *T
	err := tx.query(sql, args, func(r *Row) error {
		if out != nil {
			return nil
		}
		v, err := scan(r)
		out = &v
		return err
	})
	return out, err
}

// marks is "?, ?, ?" for n placeholders.
func marks(n int) string {
	if n <= 0 {
		return ""
	}
	return strings.Repeat("?, ", n-1) + "?"
}

// wrap says what was being done when the database failed.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// errBusy is answered as "try again": the writer is closed or the database
// cannot be reached at the moment.
func errBusy(err error) error {
	return &orion.Error{Kind: orion.Unavailable, Message: "the database is not available at the moment; try again", Err: err}
}

// pollTimes keeps when queues and deployments were last polled, so that a poll
// costs no write; background flushes it.
type pollTimes struct {
	mu    sync.Mutex
	queue map[pollKey]time.Time
}

type pollKey struct {
	ws int64
	id orion.ID
}
