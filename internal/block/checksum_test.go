package block_test

import (
	"testing"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/block"
)

// The sums are those of hashlib.sha256(json.dumps([[fields], {}], sort_keys=True))
// in Python, over the fields without secrets and without other blocks.
func TestChecksum(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, fields, sum string }{
		{"nothing", `{}`, "sha256:f8e6e96abbc38504d4e9c99fc57281fa0026bede1fa42db79f22f984501710f4"},
		{"the order of keys and what is secret do not count", `{"title":"A","secret_fields":["x"],"properties":{"x":{"type":"string","default":"é😀\"\\\n\u007f/"},"n":{"default":5.0,"b":true,"z":null,"a":[1,-2.5,1e-07]}}}`, "sha256:a79a7b692c9944277271f5a6a56edac05348813d1ec4ac1ebc7f87aca4cd05cc"},
		{"definitions count when they are reached and no blocks", `{"properties":{"a":{"$ref":"#/definitions/A"},"c":{"$ref":"#/definitions/C"}},"definitions":{"A":{"allOf":[{"$ref":"#/definitions/B"}]},"B":{"type":"object"},"C":{"block_type_slug":"c"},"D":{"type":"string"}}}`, "sha256:079f20ab72bddbddd98a1c4fbb526a66d44abe1a72cf2d525cb240bfcfb353e4"},
	} {
		got, err := block.Checksum(orion.JSON(c.fields))
		if err != nil || got != c.sum {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.sum)
		}
	}
	if _, err := block.Checksum(orion.JSON(`[]`)); orion.KindOf(err) != orion.Invalid {
		t.Errorf("fields that are no object: %v", err)
	}
}
