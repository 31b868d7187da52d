package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Hashes are the SHA-256 of files' content. A file that looks as it did when it
// was read last, by size, times and inode, is not read again; and each is
// looked at once, so that all answers are of one moment. Safe for concurrent
// use.
type Hashes struct {
	path  string
	begun time.Time

	mu      sync.Mutex
	seen    map[string]hashed // looked at by this value
	before  map[string]hashed // as stored
	changed bool
}

type hashed struct {
	Stamp string `json:"stamp"`
	Sum   string `json:"sum"` // "" for a file that is not there
}

// OpenHashes reads what is remembered in a cache folder; one that is empty or
// damaged only costs time. "" remembers nothing.
func OpenHashes(dir string) *Hashes {
	h := &Hashes{begun: time.Now(), seen: map[string]hashed{}, before: map[string]hashed{}}
	if dir == "" {
		return h
	}
	h.path = filepath.Join(dir, "hashes.json")
	if text, err := os.ReadFile(h.path); err == nil {
		if json.Unmarshal(text, &h.before) != nil || h.before == nil {
			h.before = map[string]hashed{}
		}
	}
	return h
}

// Of returns the hash of a file in hexadecimal, "" when there is no such file.
func (h *Hashes) Of(path string) (string, error) {
	h.mu.Lock()
	known, ok := h.seen[path]
	h.mu.Unlock()
	if ok {
		return known.Sum, nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return h.keep(path, hashed{})
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return h.keep(path, hashed{})
	}
	stamp := fileStamp(info)
	h.mu.Lock()
	known, ok = h.before[path]
	h.mu.Unlock()
	if ok && known.Stamp == stamp {
		return h.keep(path, known)
	}
	sum, err := hashFile(path)
	if err != nil {
		return "", err
	}
	// What was written in the moment in which it was read may be written again
	// without looking any different.
	if h.begun.Sub(info.ModTime()) < 2*time.Second {
		stamp = ""
	}
	return h.keep(path, hashed{stamp, sum})
}

func (h *Hashes) keep(path string, as hashed) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if first, ok := h.seen[path]; ok {
		return first.Sum, nil
	}
	h.seen[path] = as
	h.changed = h.changed || h.before[path] != as
	return as.Sum, nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Save stores what was learnt. Two that save at once lose only time.
func (h *Hashes) Save() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.path == "" || !h.changed {
		return nil
	}
	for path, as := range h.seen {
		if as.Stamp == "" {
			delete(h.before, path)
		} else {
			h.before[path] = as
		}
	}
	for path := range h.before {
		if _, ok := h.seen[path]; !ok {
			if _, err := os.Lstat(path); err != nil {
				delete(h.before, path)
			}
		}
	}
	text, err := json.Marshal(h.before)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(h.path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(h.path), ".hashes-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails, as it should, after the rename
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), h.path)
}
