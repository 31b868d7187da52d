package store

import (
	"context"

	"github.com/orionflows/orion"
)

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.Read(ctx, func(tx *Tx) error {
		_, err := tx.count("SELECT 1")
		return err
	})
}

// tables of a workspace's data, children before parents.
var tables = []string{
	"notification_policy", "saved_search", "artifact_collection", "artifact", "variable", "concurrency_limit",
	"tag_slot", "tag_limit", "task_run_cache", "task_run_state", "task_run_tag", "task_run", "flow_run_input",
	"flow_run_state", "flow_run_tag", "flow_run", "deployment_schedule", "deployment_version", "deployment", "bundle_piece", "bundle", "block_document_reference",
	"block_document", "block_schema", "block_type", "worker", "work_queue", "work_pool", "flow", "configuration",
}

// keep is what Clear leaves: without its key nothing sealed could be read.
var keep = map[string]string{"configuration": " AND key <> 'ENCRYPTION_KEY'"}

// Clear removes everything of the workspace but the built-in block types.
func (s *Store) Clear(ctx context.Context) error {
	err := s.Write(ctx, func(tx *Tx) error {
		for _, t := range tables {
			if _, err := tx.exec("DELETE FROM "+t+" WHERE workspace_id = ?"+keep[t], tx.ws); err != nil {
				return wrap("clearing "+t, err)
			}
		}
		return tx.seed()
	})
	if err != nil {
		return err
	}
	return s.writeLogs(ctx, func(tx *Tx) error {
		for _, t := range []string{"log", "log_batch"} {
			if _, err := tx.exec("DELETE FROM "+t+" WHERE workspace_id = ?", tx.ws); err != nil {
				return err
			}
		}
		return nil
	})
}

// Lease takes or renews the lease of a name for holder until expires, and
// reports whether holder has it.
func (tx *Tx) Lease(name, holder string, expires orion.Time) (bool, error) {
	n, err := tx.exec(`INSERT INTO lease (name, holder, expires) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires
		WHERE lease.holder = excluded.holder OR lease.expires < ?`, name, holder, expires, tx.now)
	return n > 0, err
}
