package orion_test

import (
	"testing"

	"github.com/orionflows/orion"
)

func TestDecodeLooseConvertsAsPydanticDoes(t *testing.T) {
	t.Parallel()
	type body struct {
		N    int64             `json:"n"`
		P    *int64            `json:"p"`
		O    orion.Opt[int64]  `json:"o"`
		F    float64           `json:"f"`
		B    *bool             `json:"b"`
		S    orion.Opt[string] `json:"s"`
		Tags []string          `json:"tags"`
	}
	var b body
	if err := orion.DecodeLoose([]byte(`{"n":30.0,"p":"7","o":2.9,"f":"1.5","b":"Yes","s":5,"tags":["a",1.5]}`), &b); err != nil {
		t.Fatal(err)
	}
	if b.N != 30 || *b.P != 7 || b.O.V != 2 || b.F != 1.5 || !*b.B || b.S.V != "5" || b.Tags[1] != "1.5" {
		t.Errorf("got %+v", b)
	}
	for _, bad := range []string{`{"n":"x"}`, `{"n":{}}`, `{"n":1e30}`, `{"b":"maybe"}`, `{"b":2}`, `{"s":{}}`, `{"tags":"a"}`, `{"f":"x"}`, `{"f":[]}`} {
		if err := orion.DecodeLoose([]byte(bad), &b); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if err := orion.DecodeLoose([]byte(`{"n":3,"p":null,"b":true,"s":"5"}`), &b); err != nil || b.N != 3 || b.P != nil {
		t.Errorf("plain values: %+v, %v", b, err)
	}
}
