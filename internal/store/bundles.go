package store

import (
	"errors"
	"io"

	"github.com/orionflows/orion"
)

// pieceSize is how much of a bundle one row holds.
const pieceSize = 1 << 20

// MissingBundles tells which of the bundles are not here. The others are noted
// as used now, so that they are not collected before the deploy that asks is
// done.
func (tx *Tx) MissingBundles(hashes []string) ([]string, error) {
	missing := []string{}
	for _, h := range hashes {
		n, err := tx.exec("UPDATE bundle SET used = ? WHERE workspace_id = ? AND hash = ?", tx.now, tx.ws, h)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			missing = append(missing, h)
		}
	}
	return missing, nil
}

// PutBundle stores a bundle's archive. One that is here already stays.
func (tx *Tx) PutBundle(hash string, archive []byte) error {
	n, err := tx.exec("INSERT INTO bundle (workspace_id, hash, created, used, actor, size) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		tx.ws, hash, tx.now, tx.now, tx.actor, int64(len(archive)))
	if err != nil || n == 0 {
		return err
	}
	for i := int64(0); len(archive) > 0; i++ {
		n := min(len(archive), pieceSize)
		if _, err := tx.exec("INSERT INTO bundle_piece (workspace_id, hash, position, content) VALUES (?, ?, ?, ?)", tx.ws, hash, i, octets(archive[:n])); err != nil {
			return err
		}
		archive = archive[n:]
	}
	return nil
}

// BundleSize is how long a bundle's archive is; false when it is not here.
func (tx *Tx) BundleSize(hash string) (size int64, ok bool, err error) {
	ok, err = tx.one("SELECT size FROM bundle WHERE workspace_id = ? AND hash = ?", []any{tx.ws, hash}, &size)
	return size, ok, err
}

// WriteBundle copies a bundle's archive to w, piece by piece.
func (tx *Tx) WriteBundle(hash string, w io.Writer) error {
	var piece octets
	for i := int64(0); ; i++ {
		ok, err := tx.one("SELECT content FROM bundle_piece WHERE workspace_id = ? AND hash = ? AND position = ?", []any{tx.ws, hash, i}, &piece)
		if err != nil || !ok {
			return err
		}
		if _, err := w.Write(piece); err != nil {
			return errors.Join(errWrite, err)
		}
	}
}

var errWrite = errors.New("the reader of a bundle is gone")

// CollectBundles removes the bundles of the server itself that are unused, and
// were not asked for since a time. It answers how many.
func (tx *Tx) CollectBundles(since orion.Time, limit int64) (int, error) {
	unused, err := tx.UnusedBundles(since, limit)
	if err != nil {
		return 0, err
	}
	collected := 0
	for _, b := range unused {
		if b.Store != orion.InServer {
			continue
		}
		n, err := tx.exec("DELETE FROM bundle WHERE workspace_id = ? AND hash = ? AND used < ?", tx.ws, b.Bundle, since)
		if err != nil {
			return collected, err
		}
		if n == 0 {
			continue
		}
		collected++
		if err := tx.MarkCollected(b); err != nil {
			return collected, err
		}
	}
	// Of deploys that never came to an end no version knows.
	n, err := tx.exec(`DELETE FROM bundle WHERE workspace_id = ? AND used < ? AND NOT EXISTS
		(SELECT 1 FROM deployment_version v WHERE v.workspace_id = bundle.workspace_id AND v.bundle = bundle.hash AND v.collected IS NULL)`, tx.ws, since)
	return collected + int(n), err
}
