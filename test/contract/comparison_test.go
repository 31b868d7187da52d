package contract

import (
	"encoding/json"
	"testing"
)

// The replay is only as good as its comparison: it must see what differs, and
// overlook what may.
func TestComparison(t *testing.T) {
	t.Parallel()
	const (
		id1, id2     = `11111111-1111-1111-1111-111111111111`, `22222222-2222-2222-2222-222222222222`
		time1, time2 = `2026-11-23T01:00:00.123456+00:00`, `2030-01-01T05:06:07+00:00`
	)
	for _, test := range []struct {
		name           string
		recorded, live string
		same           bool
	}{
		{"equal values", `{"a":1,"b":[true,null,"x"]}`, `{"b":[true,null,"x"],"a":1}`, true},
		{"another number", `{"a":1}`, `{"a":2}`, false},
		{"another text", `{"a":"x"}`, `{"a":"y"}`, false},
		{"null for a value", `{"a":"x"}`, `{"a":null}`, false},
		{"a value for null", `{"a":null}`, `{"a":"x"}`, false},
		{"text for a number", `{"a":1}`, `{"a":"1"}`, false},
		{"a missing key", `{"a":1,"b":2}`, `{"a":1}`, false},
		{"a key too many", `{"a":1}`, `{"a":1,"b":null}`, false},
		{"a longer list", `[1]`, `[1,1]`, false},
		{"another order", `[1,2]`, `[2,1]`, false},
		{"another id", `"` + id1 + `"`, `"` + id2 + `"`, true},
		{"no id where one was", `"` + id1 + `"`, `"x"`, false},
		{"one id, then two", `["` + id1 + `","` + id1 + `"]`, `["` + id1 + `","` + id2 + `"]`, false},
		{"an id inside a text", `"run ` + id1 + ` went"`, `"run ` + id2 + ` went"`, true},
		{"another text around an id", `"run ` + id1 + ` went"`, `"run ` + id2 + ` came"`, false},
		{"another time", `"` + time1 + `"`, `"` + time2 + `"`, true},
		{"no time where one was", `{"start_time":"` + time1 + `"}`, `{"start_time":null}`, false},
		{"one time, then two", `["` + time1 + `","` + time1 + `"]`, `["` + time1 + `","` + time2 + `"]`, false},
		{"a row touched more often", `[{"updated":"` + time1 + `"},{"updated":"` + time1 + `"}]`, `[{"updated":"` + time1 + `"},{"updated":"` + time2 + `"}]`, true},
		{"a duration", `{"total_run_time":1.5}`, `{"total_run_time":0.1}`, true},
		{"no duration", `{"total_run_time":1.5}`, `{"total_run_time":null}`, false},
		{"prose that was emptied", `{"description":""}`, `{"description":"long"}`, true},
		{"a cut text", `"abc...[cut 10 chars]"`, `"abcdefghijklm"`, true},
		{"a cut text that begins otherwise", `"abc...[cut 10 chars]"`, `"xbcdefghijklm"`, false},
		{"a cut list", `[1,{"__cut__":2}]`, `[1,2,3]`, true},
		{"a cut list that begins otherwise", `[1,{"__cut__":2}]`, `[2,2,3]`, false},
		{"a generated name", `{"name":"wild-fox","expected_start_time":"` + time1 + `"}`, `{"name":"calm-owl","expected_start_time":"` + time1 + `"}`, true},
		{"a name of the client's", `{"name":"wild-fox"}`, `{"name":"calm-owl"}`, false},
		{"a set in another order", `{"capabilities":["a","b"]}`, `{"capabilities":["b","a"]}`, true},
		{"another set", `{"capabilities":["a","b"]}`, `{"capabilities":["b","c"]}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var recorded, live any
			if err := json.Unmarshal([]byte(test.recorded), &recorded); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(test.live), &live); err != nil {
				t.Fatal(err)
			}
			c := comparison{replay: newReplay(nil)}
			c.value("", recorded, live)
			if same := len(c.differences) == 0; same != test.same {
				t.Errorf("same: %v, want %v; differences %q", same, test.same, c.differences)
			}
		})
	}
}
