package prefect

import "github.com/orionflows/orion"

// Variable is a variable as the client can read it: Prefect 2 knows strings
// only, so other values become their JSON text. It changes v.
func Variable(c Client, v *orion.Variable) *orion.Variable {
	if v != nil && c.Generation == 2 && len(v.Value) > 0 && v.Value.Kind() != '"' {
		if b, err := orion.Encode(string(v.Value)); err == nil {
			v.Value = b
		}
	}
	return v
}
