package api

import "testing"

func TestPlaceholdersAreReplacedWhereverTheyStand(t *testing.T) {
	const placeholder, id = "0a1b2c3d-1111-4222-8333-444455556666", "f0f0f0f0-9999-4888-8777-666655554444"
	ids := map[string]string{placeholder: id}
	for text, want := range map[string]string{
		"": "",
		"/deployments/" + placeholder + "/schedules": "/deployments/" + id + "/schedules",
		placeholder: id,
		`{"a-b":"` + placeholder + `","c":"` + placeholder + `"}`: `{"a-b":"` + id + `","c":"` + id + `"}`,
		"-" + placeholder + placeholder + "-":                     "-" + id + id + "-",
		placeholder[:35]:                                          placeholder[:35],
		"another-" + placeholder[1:]:                              "another-" + placeholder[1:],
	} {
		if got := withIDs(text, ids); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
