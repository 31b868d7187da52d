package codestore

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// Archive writes a bundle as one gzipped tar, which holds nothing but names,
// executable bits and contents, in order.
func Archive(ctx context.Context, w io.Writer, b *Bundle) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, f := range b.Files {
		if err := archiveFile(ctx, t, b, f); err != nil {
			return fmt.Errorf("packing %s: %w", f.Path, err)
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func archiveFile(ctx context.Context, t *tar.Writer, b *Bundle, f File) error {
	r, err := b.Open(f.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	mode := int64(0o644)
	if f.Executable {
		mode = 0o755
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Size: f.Size, Mode: mode, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(t, storage.Reader(ctx, r))
	return err
}

// Unarchive unpacks what [Archive] wrote into dir, which appears as a whole (see
// [Fetch]), and only if it is the bundle with this hash and no larger than
// maxSize; 0 is DefaultMaxSize. When dir is there already nothing is read, and
// the manifest that is returned is empty.
func Unarchive(ctx context.Context, r io.Reader, hash, dir string, maxSize int64) (Manifest, error) {
	var m Manifest
	err := install(dir, func(part string) (err error) {
		if m, err = unpack(ctx, r, part, maxSize); err != nil {
			return err
		}
		if got := m.Hash(); got != hash {
			return fmt.Errorf("the archive holds the bundle %s, not %s", got, hash)
		}
		return nil
	})
	return m, err
}

// ReadArchive reads an archive without unpacking it and returns what it holds:
// what a server does with one before it keeps it.
func ReadArchive(ctx context.Context, r io.Reader, maxSize int64) (Manifest, error) {
	return unpack(ctx, r, "", maxSize)
}

func unpack(ctx context.Context, r io.Reader, dir string, maxSize int64) (Manifest, error) {
	if maxSize == 0 {
		maxSize = DefaultMaxSize
	}
	z, err := gzip.NewReader(storage.Reader(ctx, r))
	if err != nil {
		return Manifest{}, notABundle(err)
	}
	t := tar.NewReader(z)
	var m Manifest
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Manifest{}, notABundle(err)
		}
		if h.Typeflag != tar.TypeReg {
			return Manifest{}, fmt.Errorf("the archive has %q in it, which is no file", h.Name)
		}
		if err := storage.ValidKey(h.Name); err != nil {
			return Manifest{}, fmt.Errorf("the archive is not safe to unpack: %w", err)
		}
		if n := len(m.Files); n > 0 && m.Files[n-1].Path >= h.Name {
			return Manifest{}, fmt.Errorf("the archive has %q twice, or out of order", h.Name)
		}
		// Sizes are those of the headers: the reader delivers no more.
		if maxSize -= h.Size; h.Size < 0 || maxSize < 0 || len(m.Files) >= maxFiles {
			return Manifest{}, fmt.Errorf("the archive unpacks to more than is allowed")
		}
		f := File{Path: h.Name, Size: h.Size, Executable: h.Mode&0o100 != 0}
		sum := sha256.New()
		content := io.TeeReader(t, sum)
		if dir == "" {
			_, err = io.Copy(io.Discard, content)
		} else {
			err = writeFile(ctx, filepath.Join(dir, filepath.FromSlash(f.Path)), content, f.Executable)
		}
		if err != nil {
			return Manifest{}, notABundle(err)
		}
		f.SHA256 = hex.EncodeToString(sum.Sum(nil))
		m.Files = append(m.Files, f)
	}
	return m, m.Validate()
}

// maxFiles bounds an archive: empty files take no size.
const maxFiles = 200_000

func notABundle(err error) error {
	var path *os.PathError
	if errors.As(err, &path) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if s := err.Error(); strings.HasPrefix(s, "gzip:") || strings.HasPrefix(s, "archive/tar:") || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("the archive is broken or incomplete: %w", err)
	}
	return err
}
