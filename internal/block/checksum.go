// Package block knows the form of blocks: how a schema's checksum is made, and
// the types that every server has from the start. Start with [Checksum] and
// [BuiltIn].
package block

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf16"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/orionflows/orion"
)

// Checksum is how Prefect's clients recognise a schema: the SHA-256 of its
// fields, without what is secret and without the definitions of other blocks,
// as Python prints them (prefect.blocks.core, 2.20).
func Checksum(fields orion.JSON) (string, error) {
	var v any
	if err := json.Unmarshal(orion.ObjectOr(fields), &v, orion.JSONOptions, keepNumbers); err != nil {
		return "", err
	}
	m, ok := without(v, "secret_fields").(map[string]any)
	if !ok {
		return "", orion.Refuse("fields", "value is not a valid dict")
	}
	if defs, ok := m["definitions"].(map[string]any); ok {
		delete(m, "definitions")
		kept := map[string]any{}
		ownDefinitions(m, defs, kept)
		if len(kept) > 0 {
			m["definitions"] = kept
		}
	}
	var b strings.Builder
	b.WriteString("[[")
	pythonJSON(&b, m)
	b.WriteString("], {}]")
	sum := sha256.Sum256([]byte(b.String()))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// number is a number as it was written.
type number string

var keepNumbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
	if d.PeekKind() != '0' {
		return errors.ErrUnsupported
	}
	n, err := d.ReadValue()
	*v = number(n)
	return err
}))

// without removes a key wherever it stands.
func without(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		for k, c := range v {
			if k == key {
				delete(v, k)
			} else {
				v[k] = without(c, key)
			}
		}
	case []any:
		for i := range v {
			v[i] = without(v[i], key)
		}
	}
	return v
}

// ownDefinitions collects the definitions that v refers to, however far, which
// are no blocks themselves.
func ownDefinitions(v any, defs, kept map[string]any) {
	switch v := v.(type) {
	case map[string]any:
		for k, c := range v {
			ref, ok := c.(string)
			if k != "$ref" || !ok {
				ownDefinitions(c, defs, kept)
				continue
			}
			name := strings.TrimPrefix(ref, "#/definitions/")
			def, ok := defs[name].(map[string]any)
			if !ok || kept[name] != nil || def["block_type_slug"] != nil {
				continue
			}
			kept[name] = def
			ownDefinitions(def, defs, kept)
		}
	case []any:
		for _, c := range v {
			ownDefinitions(c, defs, kept)
		}
	}
}

// pythonJSON writes as json.dumps(v, sort_keys=True) does.
func pythonJSON(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		fmt.Fprint(b, v)
	case number:
		b.WriteString(string(v))
	case string:
		pythonString(b, v)
	case []any:
		b.WriteByte('[')
		for i, c := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			pythonJSON(b, c)
		}
		b.WriteByte(']')
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		b.WriteByte('{')
		for i, k := range keys {
			if i > 0 {
				b.WriteString(", ")
			}
			pythonString(b, k)
			b.WriteString(": ")
			pythonJSON(b, v[k])
		}
		b.WriteByte('}')
	}
}

func pythonString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < 0x20 || (r > 0x7e && r < 0x10000):
			fmt.Fprintf(b, `\u%04x`, r)
		case r >= 0x10000:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, hi, lo)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
