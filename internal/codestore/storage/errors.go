package storage

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
)

// The kinds of errors that a caller can act on; use [errors.Is].
var (
	ErrNotFound    = errors.New("there is no such object")
	ErrNoContainer = errors.New("the container does not exist")
	ErrDenied      = errors.New("access denied")
	ErrCredentials = errors.New("the credentials are not accepted")
	ErrUnreachable = errors.New("it cannot be reached")
	ErrReadOnly    = errors.New("it can only be read")
	ErrInvalid     = errors.New("its settings make no sense")
)

// Error is an error of a kind, told for people.
type Error struct {
	Kind  error  // one of the errors above
	Store string // the store's String
	Op    string // what was tried: "write flow.py"
	Fix   string // what to do; "" when nothing can be said
	Err   error  // the cause; may be nil
}

func (e *Error) Error() string {
	s := e.Store + ": "
	if e.Op != "" {
		s += "cannot " + e.Op + ": "
	}
	s += e.Kind.Error()
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	return s
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Temporary tells whether the same call may succeed a moment later.
func Temporary(err error) bool {
	return errors.Is(err, ErrUnreachable) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// Broken tells whether an error of a library means that a connection could not
// be made or was cut.
func Broken(err error) bool {
	var network net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &network)
}
