package runner

import (
	"slices"
	"testing"

	"github.com/orionflows/orion"
)

func TestBlockWithOverrides(t *testing.T) {
	b := &orion.BlockDocument{Data: orion.JSON(`{"type":"process","env":{"FOO":"1","GONE":"x"},"command":null,"working_dir":"/a","stream_output":false}`)}
	j, err := FromBlock(b, orion.JSON(`{"env.X.Y":"2","env":{"GONE":null},"working_dir":"/b"}`))
	if err != nil {
		t.Fatal(err)
	}
	if j.Type != "process" || j.Dir != "/b" || j.Stream || *j.Env["FOO"] != "1" || *j.Env["X.Y"] != "2" {
		t.Errorf("got %+v", j)
	}
	if v, ok := j.Env["GONE"]; !ok || v != nil {
		t.Error("a null must remove the variable")
	}
}

func TestTemplateKeepsTypesAndLeavesOutWhatHasNoValue(t *testing.T) {
	tpl := orion.JSON(`{"job_configuration":{"command":"{{ command }}","env":"{{ env }}","stream_output":"{{ stream_output }}","working_dir":"{{ base }}/flows"},
		"variables":{"properties":{"stream_output":{"default":true},"base":{"default":"/srv"},"env":{"type":"object"},"command":{"type":"string"}}}}`)
	j, err := FromTemplate("process", tpl, orion.JSON(`{"env":{"A":1}}`), orion.JSON(`{"stream_output":false,"env.B":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if j.Command != nil || j.Dir != "/srv/flows" || j.Stream || *j.Env["A"] != "1" || *j.Env["B"] != "True" {
		t.Errorf("got %+v", j)
	}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		`python -m prefect.engine`: {"python", "-m", "prefect.engine"},
		`a "b c" 'd "e"' f\ g ""`:  {"a", "b c", `d "e"`, "f g", ""},
		`  `:                       nil,
	} {
		got, err := Split(in)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Split(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := Split(`a "b`); err == nil {
		t.Error("an open quote was accepted")
	}
}
