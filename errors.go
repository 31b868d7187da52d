package orion

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what went wrong, in the few ways a caller can act on.
type Kind int

// The kinds. internal/api alone knows which HTTP status each becomes.
const (
	Internal     Kind = iota // a defect or a failing disk: logged, not explained
	Invalid                  // a field of the request is wrong: fix it
	BadRequest               // the request makes no sense now
	NotFound                 // no such record
	Conflict                 // the record exists, or another refers to it
	Forbidden                // protected, or not allowed
	Unauthorized             // who are you?
	Locked                   // no slot is free: try after RetryAfter
	TooLarge                 // the body is larger than the server takes
	Unavailable              // busy for the moment: try again
)

// Error is an error that a user can act on. Message names the thing and says
// what to do; Fields say which parts of a request were refused.
type Error struct {
	Kind       Kind
	Message    string
	Fields     []FieldError
	RetryAfter time.Duration
	// Inner marks the 404s that Prefect answers from its model layer, whose
	// body has another key.
	Inner bool
	Err   error
}

func (e *Error) Error() string {
	if e.Message == "" && len(e.Fields) > 0 {
		return e.Fields[0].Error()
	}
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a kind.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Missing is the 404 that Prefect's model layer raises, for instance by
// set_state on an unknown run.
func Missing(format string, args ...any) *Error {
	return &Error{Kind: NotFound, Message: fmt.Sprintf(format, args...), Inner: true}
}

// FieldError is one refused field, in the shape of pydantic 1, which
// Prefect 2 clients print.
type FieldError struct {
	Loc  []any  `json:"loc"`
	Msg  string `json:"msg"`
	Type string `json:"type"`
}

func (e *FieldError) Error() string {
	s := ""
	for i, l := range e.Loc {
		if i > 0 {
			s += "."
		}
		s += fmt.Sprint(l)
	}
	if s == "" {
		return e.Msg
	}
	return s + ": " + e.Msg
}

// Refuse is an Invalid error about one body field.
func Refuse(field, msg string) *Error {
	return &Error{Kind: Invalid, Fields: []FieldError{{Loc: []any{"body", field}, Msg: msg, Type: "value_error"}}}
}

// Required is the Invalid error for a body field that is missing.
func Required(field string) *Error {
	return &Error{Kind: Invalid, Fields: []FieldError{{Loc: []any{"body", field}, Msg: "field required", Type: "value_error.missing"}}}
}

// KindOf finds the kind of an error, Internal when it has none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
