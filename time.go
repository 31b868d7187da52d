package orion

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Time is a moment in UTC with microseconds, the precision of the wire and of
// the store. The zero Time means "never": null in JSON, NULL in SQL.
type Time struct{ t time.Time }

// Now is the present moment.
func Now() Time { return At(time.Now()) }

// At truncates t to what the wire can carry.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Microsecond)}
}

// Micro is the time that many microseconds after 1970, as stored.
func Micro(us int64) Time { return Time{time.UnixMicro(us).UTC()} }

// Micro is the stored form: microseconds since 1970.
func (t Time) Micro() int64 { return t.t.UnixMicro() }

// Std is the standard library's form.
func (t Time) Std() time.Time { return t.t }

// IsZero reports whether the time means "never".
func (t Time) IsZero() bool { return t.t.IsZero() }

// Before, After, Add and Sub are as in package time.
func (t Time) Before(u Time) bool            { return t.t.Before(u.t) }
func (t Time) After(u Time) bool             { return t.t.After(u.t) }
func (t Time) Add(d time.Duration) Time      { return At(t.t.Add(d)) }
func (t Time) Sub(u Time) time.Duration      { return t.t.Sub(u.t) }
func (t Time) Equal(u Time) bool             { return t.t.Equal(u.t) }
func (t Time) String() string                { return string(t.Append(nil)) }
func (t Time) MarshalText() ([]byte, error)  { return t.Append(nil), nil }
func (t *Time) UnmarshalText(b []byte) error { v, err := ParseTime(string(b)); *t = v; return err }

// Append writes the form Prefect 2 answers with: 2026-01-02T03:04:05.000600+00:00,
// without the fraction when it is zero.
func (t Time) Append(b []byte) []byte {
	if t.t.Nanosecond() == 0 {
		return t.t.AppendFormat(b, "2006-01-02T15:04:05+00:00")
	}
	return t.t.AppendFormat(b, "2006-01-02T15:04:05.000000+00:00")
}

// MarshalJSONTo writes Append's form, or null for never.
func (t Time) MarshalJSONTo(e *jsontext.Encoder) error {
	if t.IsZero() {
		return e.WriteToken(jsontext.Null)
	}
	var a [40]byte
	b := append(a[:0], '"')
	b = t.Append(b)
	return e.WriteValue(append(b, '"'))
}

// UnmarshalJSONFrom accepts what Prefect's clients of both generations send:
// RFC 3339 with any offset, naive times (UTC), a space for the T, and epoch
// seconds.
func (t *Time) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	switch v.Kind() {
	case 'n':
		*t = Time{}
		return nil
	case '"':
		p, err := ParseTime(string(v[1 : len(v)-1]))
		if err != nil {
			return &FieldError{Msg: "invalid datetime format", Type: "value_error.datetime"}
		}
		*t = p
		return nil
	case '0':
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			break
		}
		if f > 2e10 { // milliseconds, as pydantic guesses
			f /= 1000
		}
		*t = Micro(int64(f * 1e6))
		return nil
	}
	return &FieldError{Msg: "invalid datetime format", Type: "value_error.datetime"}
}

var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
}

// ParseTime reads the spellings UnmarshalJSONFrom lists.
func ParseTime(s string) (Time, error) {
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + strings.TrimSpace(s[11:])
	}
	var first error
	for _, l := range timeLayouts {
		p, err := time.Parse(l, s)
		if err == nil {
			return At(p), nil
		}
		if first == nil {
			first = err
		}
	}
	return Time{}, first
}

// Seconds is a duration: float seconds on the wire, microseconds inside.
type Seconds time.Duration

// MarshalJSONTo writes float seconds.
func (s Seconds) MarshalJSONTo(e *jsontext.Encoder) error {
	b := strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', -1, 64)
	if !strings.Contains(string(b), ".") {
		b = append(b, '.', '0')
	}
	return e.WriteValue(b)
}

// UnmarshalJSONFrom reads float seconds; null is zero.
func (s *Seconds) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	if v.Kind() == 'n' {
		*s = 0
		return nil
	}
	f, err := strconv.ParseFloat(strings.Trim(string(v), `"`), 64)
	if err != nil {
		return &FieldError{Msg: "invalid duration format", Type: "value_error.duration"}
	}
	*s = Seconds(f * float64(time.Second))
	return nil
}
