// Package storage is the contract between the code of flows and the places it
// lies in: a folder, a container of blobs, a git repository. Every store keeps
// objects by key below the place a storage block names, and tells the same few
// kinds of errors.
//
// What is kept there and in which order it is written is not known here: that
// is package codestore. [Local] is the store that needs no library; the others
// have a package each. Start with [Store].
package storage

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Store keeps objects by key. A key is a path of slash-separated names below
// the store's own place (see [ValidKey]).
//
// A store may be used by several goroutines. It tries nothing twice: that is
// the caller's decision, who asks [Temporary]. Errors are those of this
// package, see [Error]; a method that is cancelled returns the context's error.
type Store interface {
	// String is the place for people: "the Azure container flows, below prod".
	String() string

	// Key is the key of the folder that the Python block of this type reads when
	// it is told to fetch path: a deployment's path is one. Key("") is the place
	// that the block itself names, below which everything of Orion's lies.
	Key(path string) (string, error)

	// Put stores an object, in place of one that may be there. It is there as a
	// whole or not at all, and Put has returned nil only if it is whole.
	Put(ctx context.Context, key string, c Content) error

	// Get opens an object for reading. Whether what arrives is whole is for the
	// caller to check. The reader's errors are errors of this package, too.
	Get(ctx context.Context, key string) (io.ReadCloser, error)

	// Stat describes an object, with its hash where that can be known at all.
	Stat(ctx context.Context, key string) (Object, error)

	// List yields the objects below a folder, at any depth, in no particular
	// order; "" is all of the store. A folder that is not there has none.
	List(ctx context.Context, folder string) iter.Seq2[Object, error]

	// Delete removes objects. One that is not there is no error.
	Delete(ctx context.Context, keys []string) error

	// Check tells whether the store can be reached, read and (unless it is
	// [ReadOnly]) written with the identity at hand. It leaves nothing behind.
	Check(ctx context.Context) error

	// Close releases what the store holds, such as a clone.
	Close() error
}

// Object describes what lies in a store.
type Object struct {
	Key      string
	Size     int64
	Modified time.Time
	SHA256   string // hexadecimal; "" when the store does not know: ask Stat
}

// Content is what is to be stored.
type Content struct {
	Size       int64
	SHA256     string // hexadecimal
	Executable bool   // for stores that keep such a thing
	// Open starts reading from the beginning. The reader fails rather than
	// deliver its last bytes when they are not what Size and SHA256 say.
	Open func() (io.ReadCloser, error)
}

// Read opens the content for a store to send.
func (c Content) Read() (*Source, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	return &Source{ReadCloser: r}, nil
}

// Source is content that is being sent. Err is why it could not be read, if it
// could not: whatever the store then says, it is not the store's fault.
type Source struct {
	io.ReadCloser
	Err error
}

func (s *Source) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		s.Err = err
	}
	return n, err
}

// Checkout is implemented by the stores that bring everything to this machine's
// disk at once, where it stays until they are closed. Their Python blocks fetch
// a folder into a folder of the same path, not into the working directory.
type Checkout interface {
	Checkout(ctx context.Context) (*Local, error)
}

// ReadOnly is implemented by the stores that nothing can be put into.
type ReadOnly interface{ ReadOnly() }

// ValidKey refuses what cannot be a key in every store: an absolute path, one
// with "..", "." or empty names in it, with a backslash, with control
// characters, or that is not UTF-8.
func ValidKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("a path is empty")
	case !utf8.ValidString(key):
		return fmt.Errorf("the name %q is not UTF-8: rename it", key)
	case strings.HasPrefix(key, "/"):
		return fmt.Errorf("the path %q is absolute", key)
	case strings.ContainsRune(key, '\\'):
		return fmt.Errorf("the name %q has a backslash, which is not the same on every system: rename it", key)
	case strings.ContainsFunc(key, unicode.IsControl):
		return fmt.Errorf("the name %q has a control character in it: rename it", key)
	}
	for name := range strings.SplitSeq(key, "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("the path %q has %q in it", key, name)
		}
	}
	return nil
}

// Join is the key of a key below another, where either may be "".
func Join(folder, key string) string {
	switch {
	case folder == "":
		return key
	case key == "":
		return folder
	}
	return folder + "/" + key
}

// Below is the part of a key that lies below a folder.
func Below(folder, key string) (rest string, ok bool) {
	if folder == "" {
		return key, key != ""
	}
	rest, ok = strings.CutPrefix(key, folder+"/")
	return rest, ok && rest != ""
}

// Reader is r until the context ends, and fails then.
func Reader(ctx context.Context, r io.Reader) io.Reader { return reader{ctx, r} }

type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// Body is a reader whose errors tell makes into errors of this package.
func Body(r io.ReadCloser, tell func(error) error) io.ReadCloser { return body{r, tell} }

type body struct {
	io.ReadCloser
	tell func(error) error
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.tell(err)
	}
	return n, err
}
