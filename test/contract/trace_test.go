package contract

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"testing"
	"time"
)

// exchange is one recorded request and its answer.
type exchange struct {
	line int // in the file, from 1

	Seconds  float64           `json:"t"` // since the recording began
	Method   string            `json:"method"`
	Path     string            `json:"path"`
	Status   int               `json:"status"`
	Headers  map[string]string `json:"req_headers"`
	Request  json.RawMessage   `json:"request"`
	Response any               `json:"response"`

	// The rest is for what happened off the record, which is ours: see offRecord.
	partial bool   // only what the response names is compared
	Before  int    `json:"before"` // the line of the recording that it comes before
	Copy    string `json:"copy"`   // path of an object whose fields complete the request
}

func (e exchange) String() string {
	if e.partial {
		return fmt.Sprintf("off the record, line %d: %s %s", e.line, e.Method, e.Path)
	}
	return fmt.Sprintf("line %d: %s %s", e.line, e.Method, e.Path)
}

// trace is one recorded conversation.
type trace struct {
	name      string
	began     time.Time // by the recording server's clock
	exchanges []exchange
}

// readRecording reads a conversation and puts into it, where there is such a
// file, what a person did meanwhile without the recorder: objects that the
// conversation goes on to use.
func readRecording(t *testing.T, name string) trace {
	t.Helper()
	tr := readTrace(t, name+".jsonl")
	if _, err := os.Stat(filepath.Join("testdata", "traces", name+".offrecord.jsonl")); err != nil {
		return tr
	}
	var merged []exchange
	off := readTrace(t, name+".offrecord.jsonl").exchanges
	for _, e := range tr.exchanges {
		for len(off) > 0 && off[0].Before <= e.line {
			off[0].partial = true
			off[0].Seconds = e.Seconds
			off[0].Headers = e.Headers
			merged = append(merged, off[0])
			off = off[1:]
		}
		merged = append(merged, e)
	}
	tr.exchanges = merged
	return tr
}

// readTrace reads a conversation recorded as one JSON object per line. What
// the recorder shortened is restored where it can be (equal lines counted as
// references) and left marked where it cannot (cut strings and lists).
func readTrace(t *testing.T, file string) trace {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "traces", file))
	if err != nil {
		t.Fatal(err)
	}
	tr := trace{name: file}
	headers := map[string]string{}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 16<<20)
	for line := 1; scanner.Scan(); line++ {
		var probe map[string]json.RawMessage
		if err := json.Unmarshal(scanner.Bytes(), &probe); err != nil {
			t.Fatalf("%s line %d: %v", file, line, err)
		}
		if probe["method"] == nil {
			continue // the header
		}
		e := exchange{line: line}
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			t.Fatalf("%s line %d: %v", file, line, err)
		}
		if e.Headers != nil {
			headers = e.Headers
		}
		e.Headers = headers
		if same, ok := e.Response.(map[string]any); ok && same["__same_as_line__"] != nil {
			e.Response = tr.exchanges[int(same["__same_as_line__"].(float64))-1].Response
		}
		tr.exchanges = append(tr.exchanges, e)
	}
	if err := scanner.Err(); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	tr.began = began(tr.exchanges)
	return tr
}

// began estimates when the recording began: each answer to a create or a state
// change says what the time was. The median ignores the odd ones.
func began(exchanges []exchange) time.Time {
	var starts []time.Time
	for _, e := range exchanges {
		object, _ := e.Response.(map[string]any)
		stamp, _ := object["created"].(string)
		if state, ok := object["state"].(map[string]any); ok && stamp == "" {
			stamp, _ = state["timestamp"].(string)
		}
		if at, err := time.Parse(time.RFC3339, stamp); err == nil && e.Status == 201 {
			starts = append(starts, at.Add(-time.Duration(e.Seconds*float64(time.Second))))
		}
	}
	if len(starts) == 0 {
		return time.Time{}
	}
	sort.Slice(starts, func(i, j int) bool { return starts[i].Before(starts[j]) })
	return starts[len(starts)/2]
}

// What in a string differs from one recording to the next.
var (
	idPattern   = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
	timePattern = `\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)`
	cutPattern  = `\.\.\.\[cut \d+ chars\]`
	// The words of a generated run name: adjective-animal.
	generatedName = regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`)
	varying       = regexp.MustCompile(idPattern + "|" + timePattern + "|" + cutPattern)
	anyID         = regexp.MustCompile(idPattern)
	isID          = regexp.MustCompile("^" + idPattern + "$")
	isTime        = regexp.MustCompile("^" + timePattern + "$")
	isCut         = regexp.MustCompile("^" + cutPattern + "$")
)
