package codestore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// ErrChanged is a file's that changed between packing and reading it.
var ErrChanged = errors.New("the file was changed while it was read: deploy again when nobody writes to it")

// Bundle is a manifest together with where its files lie on this machine.
type Bundle struct {
	Manifest
	sources map[string]string // by bundle path
}

// OpenBundle is the bundle that lies unpacked in a folder, such as one that
// [Fetch] made. Its files are checked when they are read.
func OpenBundle(m Manifest, dir string) *Bundle {
	b := &Bundle{Manifest: m, sources: make(map[string]string, len(m.Files))}
	for _, f := range m.Files {
		b.sources[f.Path] = filepath.Join(dir, filepath.FromSlash(f.Path))
	}
	return b
}

// Open reads one of the bundle's files. The reader fails with [ErrChanged],
// before it has delivered everything, when the file is not what was packed.
func (b *Bundle) Open(path string) (io.ReadCloser, error) {
	f, ok := b.file(path)
	if !ok {
		return nil, fmt.Errorf("the bundle has no file %q", path)
	}
	source := b.sources[path]
	r, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{verify(r, f.Size, f.SHA256, fmt.Errorf("%s: %w", source, ErrChanged)), r}, nil
}

func (b *Bundle) content(f File) storage.Content {
	return storage.Content{Size: f.Size, SHA256: f.SHA256, Executable: f.Executable, Open: func() (io.ReadCloser, error) {
		return b.Open(f.Path)
	}}
}

// verifier delivers a stream's last bytes only when all of it is what it
// should be, so that whoever waits for size bytes never gets wrong ones.
type verifier struct {
	r       io.Reader
	left    int64
	want    string
	sum     hash.Hash
	wrong   error
	checked bool
}

// verify reads r and fails with wrong when it does not have the size and hash.
func verify(r io.Reader, size int64, sum string, wrong error) io.Reader {
	return &verifier{r: r, left: size, want: sum, sum: sha256.New(), wrong: wrong}
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.left == 0 {
		return 0, v.end()
	}
	if int64(len(p)) > v.left {
		p = p[:v.left]
	}
	n, err := v.r.Read(p)
	v.sum.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		if err := v.end(); err != io.EOF {
			return 0, err
		}
		return n, nil
	case err == io.EOF:
		return 0, v.wrong
	}
	return n, err
}

// end is io.EOF when everything arrived as it should.
func (v *verifier) end() error {
	if v.checked {
		return io.EOF
	}
	var more [1]byte
	if n, err := io.ReadFull(v.r, more[:]); n > 0 || err != io.EOF {
		if n == 0 {
			return err
		}
		return v.wrong
	}
	if hex.EncodeToString(v.sum.Sum(nil)) != v.want {
		return v.wrong
	}
	v.checked = true
	return io.EOF
}
