package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// CheckByWriting puts an object of its own into a store, reads it back, lists
// and removes it: what every Check ends with that may write. It does so below
// the place that the block names; an identity may be allowed nothing else.
func CheckByWriting(ctx context.Context, s Store) error {
	body := []byte("orion was here\n")
	sum := sha256.Sum256(body)
	place, err := s.Key("")
	if err != nil {
		return err
	}
	folder := Join(place, ".orion/check/"+rand.Text())
	key := folder + "/probe"
	err = s.Put(ctx, key, Content{Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:]), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(body)), nil
	}})
	if err != nil {
		return err
	}
	read := func() error {
		r, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, body) {
			return fmt.Errorf("%s: what was written just now reads differently", s)
		}
		found := false
		for o, err := range s.List(ctx, folder) {
			if err != nil {
				return err
			}
			found = found || o.Key == key
		}
		if !found {
			return fmt.Errorf("%s: what was written just now is not listed", s)
		}
		return nil
	}
	err = read()
	if gone := s.Delete(ctx, []string{key}); err == nil {
		err = gone
	}
	return err
}
