package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"strings"

	"github.com/orionflows/orion"
)

// Migrations are written once, in words that dialect.schema spells for each
// database, so that the two cannot drift apart. Files named log_… belong to
// the log tables. An applied file is never edited.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings both databases forward, and refuses one that a newer Orion
// has written.
func (s *Store) migrate(ctx context.Context) error {
	if err := s.migrateOne(ctx, s.main, "migration", ""); err != nil {
		return err
	}
	if err := s.migrateOne(ctx, s.logs, "log_migration", "log_"); err != nil {
		return err
	}
	return s.main.write(ctx, s.bind(func(tx *Tx) error {
		if _, err := tx.exec("INSERT INTO workspace (id, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", orion.DefaultWorkspace, "default", tx.now); err != nil {
			return err
		}
		return tx.seed()
	}), orion.Scope{Workspace: orion.DefaultWorkspace, Actor: "service:migration"})
}

func (s *Store) migrateOne(ctx context.Context, db backend, table, prefix string) error {
	files, err := migrationFiles(prefix)
	if err != nil {
		return err
	}
	if err := db.script(ctx, s.d.schema("CREATE TABLE IF NOT EXISTS "+table+" (version INT PRIMARY KEY, applied TIME NOT NULL);")); err != nil {
		return openError(s.d.name, err)
	}
	for {
		done := false
		err := db.write(ctx, s.bind(func(tx *Tx) error {
			if s.d == postgresDialect { // replicas that start together take turns
				if _, err := tx.exec("LOCK TABLE " + table + " IN EXCLUSIVE MODE"); err != nil {
					return err
				}
			}
			at, err := tx.count("SELECT COALESCE(MAX(version), 0) FROM " + table)
			if err != nil {
				return err
			}
			last := int64(len(files))
			if at > last {
				return orion.Errorf(orion.Invalid, "the database was written by a newer Orion (schema %d, this one knows %d): install that version or restore a backup from before the upgrade", at, last)
			}
			if at == last {
				done = true
				return nil
			}
			sql, err := migrations.ReadFile("migrations/" + files[at])
			if err != nil {
				return err
			}
			for _, stmt := range strings.Split(s.d.schema(string(sql)), ";") {
				if strings.TrimSpace(stmt) == "" {
					continue
				}
				if _, err := tx.exec(stmt); err != nil {
					return fmt.Errorf("migration %s: %w", files[at], err)
				}
			}
			_, err = tx.exec("INSERT INTO "+table+" (version, applied) VALUES (?, ?)", at+1, tx.now)
			return err
		}), orion.Scope{})
		if err != nil || done {
			return err
		}
	}
}

func migrationFiles(prefix string) ([]string, error) {
	all, err := fs.Glob(migrations, "migrations/"+prefix+"[0-9]*.sql")
	if err != nil {
		return nil, err
	}
	sort.Strings(all)
	for i, f := range all {
		name := strings.TrimPrefix(f, "migrations/")
		n, err := strconv.Atoi(strings.TrimPrefix(name, prefix)[:4])
		if err != nil || n != i+1 {
			return nil, fmt.Errorf("migration %s: expected number %04d", name, i+1)
		}
		all[i] = name
	}
	return all, nil
}
