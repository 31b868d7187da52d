package store

import (
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/secret"
)

// MaskBlock replaces the secrets in a block's data, nested blocks' included,
// by the mask. Which fields are secret is in the block's schema: dotted paths,
// with * for everything below.
func MaskBlock(d *orion.BlockDocument) error {
	var f struct {
		Secret []string `json:"secret_fields"`
	}
	if d.BlockSchema != nil {
		if err := orion.Decode(orion.ObjectOr(d.BlockSchema.Fields), &f); err != nil {
			return err
		}
	}
	for _, path := range f.Secret {
		d.Data = maskAt(d.Data, strings.Split(path, "."))
	}
	return nil
}

func maskAt(v orion.JSON, path []string) orion.JSON {
	if orion.IsNull(v) {
		return v
	}
	if len(path) == 0 {
		return orion.JSON(`"` + secret.Mask + `"`)
	}
	if v.Kind() != '{' {
		return v
	}
	var m map[string]orion.JSON
	if orion.Decode(v, &m) != nil {
		return v
	}
	if path[0] == "*" {
		for k, c := range m {
			m[k] = maskAll(c)
		}
	} else if c, ok := m[path[0]]; ok {
		m[path[0]] = maskAt(c, path[1:])
	}
	out, err := orion.Encode(m)
	if err != nil {
		return v
	}
	return out
}

// maskAll masks every leaf.
func maskAll(v orion.JSON) orion.JSON {
	if len(v) == 0 || v.Kind() != '{' {
		return orion.JSON(`"` + secret.Mask + `"`)
	}
	return maskAt(v, []string{"*"})
}

// keepSecrets lays new data over what is stored: a masked value stands for the
// secret that is there.
func keepSecrets(old, data orion.JSON, merge bool) (orion.JSON, error) {
	var o, n map[string]orion.JSON
	if err := orion.Decode(orion.ObjectOr(old), &o); err != nil {
		return nil, err
	}
	if err := orion.Decode(orion.ObjectOr(data), &n); err != nil {
		return nil, err
	}
	if merge {
		for k, v := range o {
			if _, ok := n[k]; !ok {
				n[k] = v
			}
		}
	}
	for k, v := range n {
		before, had := o[k]
		if !had {
			continue
		}
		switch {
		case string(v) == `"`+secret.Mask+`"`:
			n[k] = before
		case v.Kind() == '{' && before.Kind() == '{':
			inner, err := keepSecrets(before, v, false)
			if err != nil {
				return nil, err
			}
			n[k] = inner
		}
	}
	return orion.Encode(n)
}
