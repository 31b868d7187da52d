package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orionflows/orion/internal/testenv"
)

// The server under test decides every state change as a real Prefect 2.20
// server does: both are asked the same now, and everything they answer and
// store is compared, but for what is random or a duration.
func TestStateChangesAsPrefectDecidesThem(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	reference := testenv.Prefect(t, withoutServices())
	server := reference // Prefect against itself: is the table deterministic?
	if os.Getenv("ORION_TEST_SERVER") != "prefect" {
		server = testenv.UnderTest(t, withoutServices())
	}
	prefect, tested := newWorld(t, reference), newWorld(t, server)

	cases := slices.Concat(flowTransitions(), taskTransitions())
	if only := os.Getenv("ORION_TEST_TRANSITIONS"); only != "" { // a pattern, while working on a rule
		pattern := regexp.MustCompile(only)
		cases = slices.DeleteFunc(cases, func(c transition) bool { return !pattern.MatchString(c.name) })
	}
	names := map[string]bool{}
	for _, c := range cases {
		if names[c.name] {
			t.Fatalf("two cases are called %q", c.name)
		}
		names[c.name] = true
	}

	began := time.Now()
	want := prefect.askAll(cases)
	between := time.Now()
	got := tested.askAll(cases)
	t.Logf("asked %d transitions: prefect took %s, the server under test %s", len(cases), between.Sub(began).Round(time.Second), time.Since(between).Round(time.Millisecond))
	different, unanswered := 0, 0
	groups := map[string][]string{} // difference → cases that show it
	for i, c := range cases {
		if strings.Contains(want[i], "error: ") {
			t.Errorf("%s: Prefect does not get that far: %s", c.name, want[i])
			continue
		}
		if strings.Contains(want[i], "http = 500") {
			unanswered++ // a mistake in Prefect, which nobody can rely on
			t.Logf("Prefect itself fails: %s", c.name)
			continue
		}
		if lines := compareLines(want[i], got[i]); len(lines) > 0 {
			different++
			difference := strings.Join(lines, "\n  ")
			groups[difference] = append(groups[difference], c.name)
		}
	}
	for _, difference := range slices.Sorted(maps.Keys(groups)) {
		const few = 5
		names := groups[difference]
		more := ""
		if len(names) > few {
			more = fmt.Sprintf("\n  … and %d more", len(names)-few)
		}
		t.Errorf("%s%s\n  %s", strings.Join(names[:min(few, len(names))], "\n"), more, difference)
	}
	if unanswered > len(cases)/50 {
		t.Errorf("Prefect itself fails for %d of %d transitions: the table asks the wrong questions", unanswered, len(cases))
	}
	if different > 0 {
		t.Errorf("%d of %d transitions were answered differently", different, len(cases))
	}
}

// transition is one question to a server: a run in some state, and a state
// proposed for it.
type transition struct {
	name string
	ask  func(*question) error
}

// question is one transition being asked of one server.
type question struct {
	*world
	began  time.Time
	key    string            // unique to the asking of this transition
	names  map[string]string // id → what to call it, since ids differ
	answer []string          // what came of it, line by line
}

// world is a server, and the objects that the questions share.
type world struct {
	*client
	flowID       string
	deploymentID string
	running      string // a flow run that is running
}

func newWorld(t *testing.T, server *testenv.Server) *world {
	t.Helper()
	w := &world{client: newClient(server)}
	w.flowID = w.must(t, "/flows/", map[string]any{"name": "table"})
	w.deploymentID = w.must(t, "/deployments/", map[string]any{"name": "table", "flow_id": w.flowID})
	w.running = w.must(t, "/flow_runs/", map[string]any{"flow_id": w.flowID, "state": map[string]any{"type": "RUNNING"}})
	return w
}

func (w *world) must(t *testing.T, path string, body map[string]any) (id string) {
	t.Helper()
	id, err := w.create(path, body)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *world) create(path string, body map[string]any) (id string, err error) {
	object, err := call[struct{ ID string }](w.client, "POST", path, body)
	return object.ID, err
}

// askAll asks all questions, a few at a time, and returns the answers in order.
func (w *world) askAll(cases []transition) []string {
	answers := make([]string, len(cases))
	asking := uuid.NewString()[:8] // the same server may be asked twice
	next := make(chan int)
	var workers sync.WaitGroup
	// A real Prefect locks itself out of its SQLite database when asked by more
	// than one at a time.
	askers := 4
	if w.server.Kind == "prefect" {
		askers = 1
	}
	for range askers {
		workers.Go(func() {
			for i := range next {
				q := &question{world: w, began: time.Now(), key: fmt.Sprintf("case-%s-%d", asking, i), names: map[string]string{
					w.flowID: "<flow>", w.deploymentID: "<deployment>", w.running: "<running flow run>",
				}}
				err := cases[i].ask(q)
				if err != nil {
					q.answer = append(q.answer, "error: "+q.normalText(err.Error()))
				}
				answers[i] = strings.Join(q.answer, "\n")
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	workers.Wait()
	return answers
}

// state is one to be in or to propose.
type state struct {
	label   string // how cases name it
	Type    string
	Name    string
	Message string
	Details map[string]any // durations are times from now
	Data    any
}

func (s state) body(q *question) map[string]any {
	body := map[string]any{"type": s.Type}
	if s.Name != "" {
		body["name"] = s.Name
	}
	if s.Message != "" {
		body["message"] = s.Message
	}
	if s.Data != nil {
		body["data"] = s.Data
	}
	details := map[string]any{}
	for key, value := range s.Details {
		if d, ok := value.(time.Duration); ok {
			value = q.began.Add(d).UTC().Format(time.RFC3339Nano)
		}
		if key == "cache_key" {
			value = fmt.Sprint(value, " of ", q.key)
		}
		details[key] = value
	}
	if len(details) > 0 {
		body["state_details"] = details
	}
	return body
}

// with is the state with further details.
func (s state) with(details map[string]any) state {
	all := map[string]any{}
	maps.Copy(all, s.Details)
	maps.Copy(all, details)
	s.Details = all
	return s
}

// propose sets a run's state and notes everything that the server says.
func (q *question) propose(kind, id string, s state, force bool, headers map[string]string) error {
	body, err := json.Marshal(map[string]any{"state": s.body(q), "force": force})
	if err != nil {
		return err
	}
	status, answer, err := q.do("POST", "/api/"+kind+"/"+id+"/set_state", headers, body)
	if err != nil {
		return err
	}
	q.note("http", status)
	if object, ok := answer.(map[string]any); ok {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			q.note(key, object[key])
		}
	} else {
		q.note("answer", answer)
	}
	return nil
}

// reach puts a run into a state on the way to the one asked about.
func (q *question) reach(kind, id string, s state) error {
	_, err := call[any](q.client, "POST", "/"+kind+"/"+id+"/set_state", map[string]any{"state": s.body(q), "force": true})
	return err
}

// read notes a stored object.
func (q *question) read(what, path string) error {
	object, err := call[map[string]any](q.client, "GET", path, nil)
	if err != nil {
		return err
	}
	q.note(what, object)
	return nil
}

// What says nothing about a decision: when, by which row, and for how long.
var unspoken = map[string]bool{
	"id": true, "state_id": true, "created": true, "updated": true, "timestamp": true,
	"estimated_run_time": true, "estimated_start_time_delta": true,
}

// note adds a value to the answer, one line for each leaf that says something.
func (q *question) note(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			q.answer = append(q.answer, path+" = {}")
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			switch {
			case unspoken[key]:
			case key == "name" && v["expected_start_time"] != nil:
				// A run's generated name.
			case key == "total_run_time":
				seconds, _ := v[key].(float64)
				q.answer = append(q.answer, fmt.Sprintf("%s.%s > 0: %v", path, key, seconds > 0))
			case key == "pause_keys" || key == "active_slots": // sets
				keys, _ := v[key].([]any)
				var names []string
				for _, k := range keys {
					names = append(names, q.normalText(fmt.Sprint(k)))
				}
				slices.Sort(names)
				q.answer = append(q.answer, fmt.Sprintf("%s.%s = %q", path, key, names))
			case key == "delay_seconds":
				seconds, _ := v[key].(float64)
				q.answer = append(q.answer, fmt.Sprintf("%s.%s ≈ %s", path, key, time.Duration(seconds*float64(time.Second)).Round(30*time.Second)))
			default:
				q.note(path+"."+key, v[key])
			}
		}
	case []any:
		if len(v) == 0 {
			q.answer = append(q.answer, path+" = []")
		}
		for i, element := range v {
			q.note(fmt.Sprintf("%s[%d]", path, i), element)
		}
	case string:
		q.answer = append(q.answer, fmt.Sprintf("%s = %q", path, q.normalText(v)))
	default:
		q.answer = append(q.answer, fmt.Sprintf("%s = %v", path, v))
	}
}

// normalText replaces times by their distance from the question's beginning,
// and ids by what they are called.
func (q *question) normalText(s string) string {
	s = varying.ReplaceAllStringFunc(s, func(part string) string {
		if name, ok := q.names[part]; ok {
			return name
		}
		if at, err := time.Parse(time.RFC3339, part); err == nil {
			return "now" + signed(at.Sub(q.began).Round(30*time.Second))
		}
		return "<id>"
	})
	return strings.ReplaceAll(s, q.key, "<case>")
}

func signed(d time.Duration) string {
	if d < 0 {
		return d.String()
	}
	return "+" + d.String()
}

// transitionID is one that both the current and the proposed state may carry.
func (q *question) transitionID() string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(q.key)).String()
}

// compareLines is the difference between two answers, as a diff.
func compareLines(want, got string) []string {
	if want == got {
		return nil
	}
	wanted, gotten := strings.Split(want, "\n"), strings.Split(got, "\n")
	var lines []string
	for _, line := range wanted {
		if !slices.Contains(gotten, line) {
			lines = append(lines, "prefect: "+line)
		}
	}
	for _, line := range gotten {
		if !slices.Contains(wanted, line) {
			lines = append(lines, "tested:  "+line)
		}
	}
	if len(lines) == 0 {
		return []string{"the same lines in another order or number", want, got}
	}
	return lines
}
