package orion

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Opt is a field that may be absent, null or a value. Prefect's patches and
// upserts write only what the client has set, so absence matters.
type Opt[T any] struct {
	Set  bool // the key was in the body
	Null bool // its value was null
	V    T
}

// Some is a set value.
func Some[T any](v T) Opt[T] { return Opt[T]{Set: true, V: v} }

// Has reports a value that is present and not null.
func (o Opt[T]) Has() bool { return o.Set && !o.Null }

// Or is the value, or d when absent or null.
func (o Opt[T]) Or(d T) T {
	if o.Has() {
		return o.V
	}
	return d
}

// Ptr is the value, or nil when absent or null.
func (o Opt[T]) Ptr() *T {
	if o.Has() {
		return &o.V
	}
	return nil
}

// IsZero lets omitzero leave absent fields out.
func (o Opt[T]) IsZero() bool { return !o.Set }

// MarshalJSONTo writes the value or null.
func (o Opt[T]) MarshalJSONTo(e *jsontext.Encoder) error {
	if !o.Has() {
		return e.WriteToken(jsontext.Null)
	}
	return json.MarshalEncode(e, o.V)
}

// UnmarshalJSONFrom notes that the key was there.
func (o *Opt[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	o.Set = true
	if d.PeekKind() == 'n' {
		o.Null = true
		return d.SkipValue()
	}
	o.Null = false
	return json.UnmarshalDecode(d, &o.V)
}
