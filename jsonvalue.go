package orion

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// JSONOptions are how every body is read: Prefect's clients may repeat a key
// or send broken UTF-8 in a log line, and neither is worth refusing.
var JSONOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Decode reads JSON with JSONOptions.
func Decode(b []byte, v any) error { return json.Unmarshal(b, v, JSONOptions) }

// DecodeLoose is Decode with the conversions that pydantic 1 makes, and on
// which clients rely: a worker sends the integer 30 as 30.0.
func DecodeLoose(b []byte, v any) error { return json.Unmarshal(b, v, JSONOptions, loose) }

var loose = json.WithUnmarshalers(json.JoinUnmarshalers(
	json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *int64) error {
		s, err := scalar(d, '0', '"', 't', 'f')
		if err != nil {
			return err
		}
		switch s {
		case "true":
			*v = 1
			return nil
		case "false":
			*v = 0
			return nil
		}
		if *v, err = strconv.ParseInt(s, 10, 64); err == nil {
			return nil
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.Abs(f) >= 1<<63 {
			return &FieldError{Msg: "value is not a valid integer", Type: "type_error.integer"}
		}
		*v = int64(f)
		return nil
	}),
	json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *float64) error {
		s, err := scalar(d, '"')
		if err == nil {
			*v, err = strconv.ParseFloat(s, 64)
		}
		if err != nil && err != errors.ErrUnsupported {
			return &FieldError{Msg: "value is not a valid float", Type: "type_error.float"}
		}
		return err
	}),
	json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *bool) error {
		s, err := scalar(d, '0', '"')
		if err != nil {
			return err
		}
		switch strings.ToLower(s) {
		case "1", "true", "t", "yes", "y", "on":
			*v = true
		case "0", "false", "f", "no", "n", "off":
			*v = false
		default:
			return &FieldError{Msg: "value could not be parsed to a boolean", Type: "type_error.bool"}
		}
		return nil
	}),
	json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *string) (err error) {
		*v, err = scalar(d, '0')
		return err
	}),
))

// scalar reads a value of one of the kinds as text; others are left alone.
func scalar(d *jsontext.Decoder, kinds ...jsontext.Kind) (string, error) {
	for _, k := range kinds {
		if d.PeekKind() != k {
			continue
		}
		v, err := d.ReadValue()
		return strings.Trim(string(v), `"`), err
	}
	return "", errors.ErrUnsupported
}

// Encode writes JSON with JSONOptions.
func Encode(v any) ([]byte, error) { return json.Marshal(v, JSONOptions) }

// EncodeCompact writes JSON without zero fields, as the store keeps it.
func EncodeCompact(v any) (JSON, error) {
	return json.Marshal(v, JSONOptions, json.OmitZeroStructFields(true))
}

func unmarshalLoose(b []byte, v any) error { return Decode(b, v) }

// EmptyObject is {}.
var EmptyObject = JSON("{}")

// ObjectOr is v, or {} when v is absent or null.
func ObjectOr(v JSON) JSON {
	if len(v) == 0 || v.Kind() == 'n' {
		return EmptyObject
	}
	return v
}

// IsNull reports an absent or null value.
func IsNull(v JSON) bool { return len(v) == 0 || v.Kind() == 'n' }
