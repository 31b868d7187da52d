package orion

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// JSONOptions are how every body is read: Prefect's clients may repeat a key
// or send broken UTF-8 in a log line, and neither is worth refusing.
var JSONOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Decode reads JSON with JSONOptions.
func Decode(b []byte, v any) error { return json.Unmarshal(b, v, JSONOptions) }

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
