package store

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/orionflows/orion"
)

func TestBundles(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		hash := func(c string) string { return strings.Repeat(c, 64) }
		archive := make([]byte, 2*pieceSize+100)
		rand.Read(archive)
		must(t, s, func(tx *Tx) error { return tx.PutBundle(hash("a"), archive) })
		must(t, s, func(tx *Tx) error { return tx.PutBundle(hash("a"), []byte("sent again")) })
		must(t, s, func(tx *Tx) error { return tx.PutBundle(hash("b"), nil) })
		var got bytes.Buffer
		must(t, s, func(tx *Tx) error { return tx.WriteBundle(hash("a"), &got) })
		if !bytes.Equal(got.Bytes(), archive) {
			t.Errorf("%d bytes came back, not the %d that were stored first", got.Len(), len(archive))
		}
		if missing := do(t, s, func(tx *Tx) ([]string, error) { return tx.MissingBundles([]string{hash("c"), hash("a")}) }); !slices.Equal(missing, []string{hash("c")}) {
			t.Errorf("missing: %v", missing)
		}

		// One bundle is in use, one was, one never was.
		d := do(t, s, func(tx *Tx) (*orion.Deployment, error) {
			f, _, err := tx.CreateFlow(&orion.FlowCreate{Name: "f"})
			if err != nil {
				return nil, err
			}
			up, err := tx.UpsertDeployment(&orion.DeploymentCreate{Name: "d", FlowID: f.ID}, nil)
			if err != nil {
				return nil, err
			}
			return up.Deployment, nil
		})
		store := orion.InServer
		for _, h := range []string{hash("b"), hash("a")} {
			must(t, s, func(tx *Tx) error {
				_, err := tx.AddVersion(d, &orion.DeploymentVersionCreate{Repository: "r", Bundle: &h, Store: &store}, nil)
				return err
			})
		}
		must(t, s, func(tx *Tx) error { return tx.PutBundle(hash("d"), []byte("a deploy that was cut short")) })
		collect := func(since orion.Time) int {
			return do(t, s, func(tx *Tx) (int, error) { return tx.CollectBundles(since, 100) })
		}
		if n := collect(orion.Now().Add(-60e9)); n != 0 {
			t.Errorf("%d bundles of this minute were collected", n)
		}
		later := orion.Now().Add(60e9)
		if n := collect(later); n != 2 {
			t.Errorf("%d bundles were collected, want the one that was in use and the one that never was", n)
		}
		for h, want := range map[string]bool{hash("a"): true, hash("b"): false, hash("d"): false} {
			must(t, s, func(tx *Tx) error {
				if _, ok, err := tx.BundleSize(h); err != nil || ok != want {
					t.Errorf("bundle %.1s is kept: %t, want %t (%v)", h, ok, want, err)
				}
				return nil
			})
		}
		vs := do(t, s, func(tx *Tx) ([]Version, error) { return tx.Versions(d.ID, 10, 0) })
		if len(vs) != 2 || !vs[0].Collected.IsZero() || vs[1].Collected.IsZero() {
			t.Errorf("the versions after collecting: %+v", vs)
		}
		if n := collect(later); n != 0 {
			t.Errorf("%d bundles were collected again", n)
		}
		must(t, s, func(tx *Tx) error { _, err := tx.DeleteDeployment(d.ID); return err })
		if vs := do(t, s, func(tx *Tx) ([]Version, error) { return tx.Versions(d.ID, 10, 0) }); len(vs) != 0 {
			t.Errorf("versions of a deleted deployment, to which no run refers: %+v", vs)
		}
	})
}
