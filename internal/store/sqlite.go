package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/orionflows/orion"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// sqliteDB is one database file: the only connection which writes, with its
// writer, and a few connections that read.
type sqliteDB struct {
	path    string
	readers chan *sqlite.Conn
	w       *sqlite.Conn
	writer  *writer

	tally   *tally
	changes []runChange // what the open transaction has changed; the writer's own
}

func openSQLite(o Options, name string) (*sqliteDB, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, orion.Errorf(orion.Invalid, "cannot create the data folder %s: %v; choose another with ORION_HOME", o.Dir, err)
	}
	path := filepath.Join(o.Dir, name)
	sync := "FULL"
	switch o.Durability {
	case "", "full":
	case "normal":
		sync = "NORMAL"
	default:
		return nil, orion.Errorf(orion.Invalid, "durability is %q; it can be full or normal", o.Durability)
	}
	w, err := openConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate, "PRAGMA journal_mode=WAL", "PRAGMA synchronous="+sync,
		"PRAGMA foreign_keys=ON", "PRAGMA busy_timeout=10000", "PRAGMA temp_store=MEMORY", "PRAGMA cache_size=-8000", "PRAGMA wal_autocheckpoint=8000")
	if err != nil {
		return nil, openError(path, err)
	}
	db := &sqliteDB{path: path, w: w, tally: newTally()}
	n := max(2, min(8, runtime.NumCPU()*2))
	db.readers = make(chan *sqlite.Conn, n)
	for range n {
		db.readers <- nil // opened when first needed
	}
	db.writer = newWriter(db, 256)
	return db, nil
}

func openConn(path string, flags sqlite.OpenFlags, pragmas ...string) (*sqlite.Conn, error) {
	stablePlans()
	c, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	for _, p := range pragmas {
		if err := sqlitex.ExecuteTransient(c, p, nil); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

func openError(path string, err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultCantOpen, sqlite.ResultReadOnly, sqlite.ResultPerm:
		return &orion.Error{Kind: orion.Invalid, Message: fmt.Sprintf("cannot write the database %s: the folder or the file is read-only; make it writable, or choose another data folder with ORION_HOME", path), Err: err}
	case sqlite.ResultNotADB, sqlite.ResultCorrupt:
		return &orion.Error{Kind: orion.Invalid, Message: fmt.Sprintf("%s is not an Orion database or is damaged; move it away, or restore a backup", path), Err: err}
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return &orion.Error{Kind: orion.Invalid, Message: fmt.Sprintf("%s is in use by another process; is a server already running on this data folder?", path), Err: err}
	case sqlite.ResultFull:
		return &orion.Error{Kind: orion.Invalid, Message: fmt.Sprintf("no space is left on the disk that holds %s", path), Err: err}
	}
	return fmt.Errorf("opening %s: %w", path, err)
}

func (db *sqliteDB) close() error {
	db.writer.close()
	err := db.w.Close()
	for range cap(db.readers) {
		if c := <-db.readers; c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

func (db *sqliteDB) read(ctx context.Context, f func(conn) error) error {
	var c *sqlite.Conn
	select {
	case c = <-db.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { db.readers <- c }()
	if c == nil {
		var err error
		c, err = openConn(db.path, sqlite.OpenReadWrite, "PRAGMA query_only=ON", "PRAGMA busy_timeout=10000", "PRAGMA temp_store=MEMORY", "PRAGMA cache_size=-4000", "PRAGMA mmap_size=1073741824")
		if err != nil {
			return openError(db.path, err)
		}
	}
	sc := &sqliteConn{c: c, tally: db.tally}
	if _, err := sc.exec(ctx, "BEGIN", nil); err != nil {
		return sqliteError(err)
	}
	sc.fresh = true
	err := f(sc)
	if _, e := sc.exec(ctx, "COMMIT", nil); err == nil && e != nil {
		err = e
	}
	return sqliteError(err)
}

func (db *sqliteDB) write(ctx context.Context, f func(*Tx) error, scope orion.Scope) error {
	tx, err := db.writer.write(ctx, f, scope, nil)
	return finish(tx, sqliteError(err))
}

func (db *sqliteDB) begin() (conn, error) {
	if db.changes = db.changes[:0]; cap(db.changes) > 4096 {
		db.changes = nil // after a great many deletes
	}
	c := &sqliteConn{c: db.w, changes: &db.changes}
	_, err := c.exec(context.Background(), "BEGIN IMMEDIATE", nil)
	return c, err
}

func (db *sqliteDB) commit(c conn) (undone bool, err error) {
	err = db.tally.commit(func() error { _, err := c.exec(context.Background(), "COMMIT", nil); return err }, db.changes)
	if err != nil {
		db.rollback(c)
	}
	return err != nil, err
}

// watchDeletes has the writer know of each run that is deleted from now on.
func (db *sqliteDB) watchDeletes(ctx context.Context) error {
	return db.write(ctx, func(*Tx) error {
		return watchDeletes(db.w, func(c runChange) { db.changes = append(db.changes, c) })
	}, orion.Scope{})
}

func (db *sqliteDB) rollback(c conn) {
	c.exec(context.Background(), "ROLLBACK", nil) // fails when SQLite has rolled back by itself
}

func (db *sqliteDB) script(ctx context.Context, sql string) error {
	return db.write(ctx, func(tx *Tx) error {
		return sqlitex.ExecuteScript(tx.c.(*sqliteConn).c, sql, nil)
	}, orion.Scope{})
}

type sqliteConn struct {
	c       *sqlite.Conn
	tally   *tally       // of a connection that reads
	fresh   bool         // nothing was read yet
	changes *[]runChange // of the connection that writes
}

func (c *sqliteConn) prepare(sql string, args []any) (*sqlite.Stmt, error) {
	c.fresh = false
	s, err := c.c.Prepare(sql)
	if err != nil {
		return nil, fmt.Errorf("%w in %s", err, sql)
	}
	if n := s.BindParamCount(); n != len(args) {
		return nil, fmt.Errorf("%d arguments for %d placeholders in %s", len(args), n, sql)
	}
	for i, a := range args {
		v, err := bindValue(a)
		if err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case nil:
			s.BindNull(i + 1)
		case int64:
			s.BindInt64(i+1, v)
		case float64:
			s.BindFloat(i+1, v)
		case bool:
			s.BindBool(i+1, v)
		case string:
			s.BindText(i+1, v)
		case []byte:
			s.BindBytes(i+1, v)
		case octets:
			s.BindBytes(i+1, v)
		}
	}
	return s, nil
}

func (c *sqliteConn) query(_ context.Context, sql string, args []any, row func(*Row) error) error {
	s, err := c.prepare(sql, args)
	if err != nil {
		return err
	}
	defer reset(s)
	r := Row{s: s}
	for before := c.reported(); ; {
		more, err := s.Step()
		if err != nil {
			c.undone(before)
		}
		if err != nil || !more {
			return err
		}
		if err := row(&r); err != nil {
			return err
		}
	}
}

func (c *sqliteConn) exec(_ context.Context, sql string, args []any) (int64, error) {
	s, err := c.prepare(sql, args)
	if err != nil {
		return 0, err
	}
	defer reset(s)
	for before := c.reported(); ; {
		more, err := s.Step()
		if err != nil {
			c.undone(before)
			return 0, err
		}
		if !more {
			return int64(c.c.Changes()), nil
		}
	}
}

// reported is how many changes of runs were, and undone takes back those since,
// of a statement that failed.
func (c *sqliteConn) reported() int {
	if c.changes == nil {
		return 0
	}
	return len(*c.changes)
}

func (c *sqliteConn) undone(before int) {
	if c.changes != nil {
		*c.changes = (*c.changes)[:before]
	}
}

func (c *sqliteConn) later(ctx context.Context, sql string, args []any) error {
	_, err := c.exec(ctx, sql, args)
	return err
}

func reset(s *sqlite.Stmt) {
	s.Reset()
	s.ClearBindings()
}

// sqliteError gives the errors of the database the kinds that callers act on.
func sqliteError(err error) error {
	var e *orion.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	switch sqlite.ErrCode(err) {
	case sqlite.ResultConstraintUnique, sqlite.ResultConstraintPrimaryKey, sqlite.ResultConstraintForeignKey, sqlite.ResultConstraintNotNull, sqlite.ResultConstraintRowID:
		return integrity(err)
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked, sqlite.ResultInterrupt:
		return errBusy(err)
	case sqlite.ResultFull:
		return &orion.Error{Kind: orion.Unavailable, Message: "no space is left on the database's disk; nothing was written", Err: err}
	case sqlite.ResultConstraint:
		return integrity(err)
	}
	if strings.Contains(err.Error(), "interrupted") {
		return errBusy(err)
	}
	return err
}

// integrity is the answer to a violated constraint, in Prefect's words.
func integrity(err error) error {
	return &orion.Error{Kind: orion.Conflict, Message: "Data integrity conflict. This usually means a unique or foreign key constraint was violated. See server logs for details.", Err: err}
}
