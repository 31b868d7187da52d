package orion

import (
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// ID identifies a record. The zero ID means "none": it is null in JSON and
// NULL in SQL.
type ID [16]byte

// NewID makes a time-ordered id (UUIDv7), so that new rows land together in
// every index.
func NewID() ID { return ID(uuid.Must(uuid.NewV7())) }

// ParseID reads the dashed or plain hexadecimal form.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("%q is not a valid id", s)
	}
	return ID(u), nil
}

// IsZero reports whether the id means "none".
func (id ID) IsZero() bool { return id == ID{} }

func (id ID) String() string {
	var b [36]byte
	id.encode(b[:])
	return string(b[:])
}

func (id ID) encode(b []byte) {
	hex.Encode(b, id[:4])
	b[8] = '-'
	hex.Encode(b[9:], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
}

// MarshalJSONTo writes the dashed form, or null for none.
func (id ID) MarshalJSONTo(e *jsontext.Encoder) error {
	if id.IsZero() {
		return e.WriteToken(jsontext.Null)
	}
	var b [38]byte
	b[0], b[37] = '"', '"'
	id.encode(b[1:])
	return e.WriteValue(b[:])
}

// UnmarshalJSONFrom accepts a UUID string or null.
func (id *ID) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	if v.Kind() == 'n' {
		*id = ID{}
		return nil
	}
	if v.Kind() != '"' || len(v) < 2 {
		return &FieldError{Msg: "value is not a valid uuid", Type: "type_error.uuid"}
	}
	u, err := uuid.ParseBytes(v[1 : len(v)-1])
	if err != nil {
		return &FieldError{Msg: "value is not a valid uuid", Type: "type_error.uuid"}
	}
	*id = ID(u)
	return nil
}

// MarshalText makes IDs usable as JSON object keys.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (id *ID) UnmarshalText(b []byte) error {
	v, err := ParseID(string(b))
	*id = v
	return err
}
