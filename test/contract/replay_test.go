package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orionflows/orion/internal/testenv"
)

// The recordings: each goes on from the objects that the earlier ones left. What a person did between them, off the
// record, is in a prelude file beside the recording, written by us.
var recordings = []string{
	"2.20-a-deploy-apply",
	"2.20-b-agent-run",
	"2.20-d-cli",
	"2.20-e-secret",
	"2.20-g-map-cache",
	"2.20-c-worker-deploy",
	"2.20-c2-serve",
	"2.20-f-pause-suspend-input",
	"2.8-a-deploy-apply",
	"2.8-b-agent-run",
}

// The server answers every recorded request as Prefect did.
func TestRecordedConversations(t *testing.T) {
	t.Parallel()
	playAll(t, testenv.UnderTest(t, withoutServices()))
}

// Orion answers them the same on PostgreSQL.
func TestRecordedConversationsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	o := withoutServices()
	o.DatabaseURL = testenv.Postgres(t)
	playAll(t, testenv.Orion(t, o))
}

func playAll(t *testing.T, server *testenv.Server) {
	r := newReplay(newClient(server))
	for _, name := range recordings {
		t.Run(name, func(t *testing.T) {
			r.play(t, readRecording(t, name))
		})
	}
}

// withoutServices keeps the background services still, so that nothing changes
// but by the requests of the test.
func withoutServices() testenv.ServerOptions {
	return testenv.ServerOptions{
		Args: []string{"--no-services"},
		Env: []string{
			"PREFECT_API_SERVICES_SCHEDULER_ENABLED=false",
			"PREFECT_API_SERVICES_LATE_RUNS_ENABLED=false",
			"PREFECT_API_SERVICES_PAUSE_EXPIRATIONS_ENABLED=false",
			"PREFECT_API_SERVICES_CANCELLATION_CLEANUP_ENABLED=false",
			"PREFECT_API_SERVICES_FOREMAN_ENABLED=false",
			"PREFECT_API_SERVICES_FLOW_RUN_NOTIFICATIONS_ENABLED=false",
		},
	}
}

// replay sends recorded requests to a live server. Ids, times and generated
// names of the recording stand for whatever the live server says at the same
// place, once it has said it.
type replay struct {
	client  *client
	bound   map[string]string // recorded id or generated name → live one
	times   map[string]string // recorded time → live one, as the server wrote it
	literal map[string]bool   // names that the recorded client chose

	promised map[string]bool // recorded ids that came up first in an answer
}

func newReplay(client *client) *replay {
	return &replay{client: client, bound: map[string]string{}, times: map[string]string{}, literal: map[string]bool{}, promised: map[string]bool{}}
}

func (r *replay) play(t *testing.T, tr trace) {
	needless := 0
	defer func() {
		if needless > 0 {
			t.Errorf("%d exchanges were left out: they are about objects that the server did not make", needless)
		}
	}()
	for _, e := range tr.exchanges {
		if r.owed(e) {
			needless++
			continue
		}
		r.expect(e)
		if e.Status == http.StatusServiceUnavailable {
			continue // the recording server's database was busy; the client came again
		}
		now := time.Now()
		shift := now.Sub(tr.began.Add(time.Duration(e.Seconds * float64(time.Second))))
		if tr.began.IsZero() {
			shift = 0
		}
		status, answer, err := r.send(e, shift)
		if err != nil {
			t.Errorf("%s: %v", e, err)
			continue
		}
		c := comparison{replay: r, partial: e.partial}
		switch {
		case status != e.Status:
			c.differ("", "status %d, recorded %d: %s", status, e.Status, show(answer))
		case e.partial && e.Response == nil:
			// Nothing to compare.
		default:
			c.value("", e.Response, answer)
		}
		if len(c.differences) > 0 {
			t.Errorf("%s\n  request  %s\n  %s", e, clip(string(e.Request), 600), strings.Join(c.differences, "\n  "))
		}
		awaitDelay(answer)
	}
}

// expect remembers the ids that the recorded server made up in its answer.
func (r *replay) expect(e exchange) {
	data, err := json.Marshal(e.Response)
	if err != nil {
		return // it came from JSON
	}
	for _, id := range anyID.FindAllString(string(data), -1) {
		if r.bound[id] == "" {
			r.promised[id] = true
		}
	}
}

// owed is whether the request is about an object that the recorded server
// made, and the live one did not.
func (r *replay) owed(e exchange) bool {
	for _, id := range anyID.FindAllString(e.Path+string(e.Request), -1) {
		if r.promised[id] && r.bound[id] == "" {
			return true
		}
	}
	return false
}

// awaitDelay waits as the client did when the server told it to.
func awaitDelay(answer any) {
	object, _ := answer.(map[string]any)
	if object["status"] != "WAIT" {
		return
	}
	details, _ := object["details"].(map[string]any)
	seconds, _ := details["delay_seconds"].(float64)
	// The server rounds the delay, down by up to half a second.
	time.Sleep(time.Duration(min(seconds, 10)*float64(time.Second)) + 550*time.Millisecond)
}

// send repeats a recorded request, in terms of the live server.
func (r *replay) send(e exchange, shift time.Duration) (status int, answer any, err error) {
	var body []byte
	if len(e.Request) > 0 && string(e.Request) != "null" {
		var v any
		if err := json.Unmarshal(e.Request, &v); err != nil {
			return 0, nil, err
		}
		r.noteNames(v)
		v = r.translate(v, shift)
		if e.Copy != "" {
			if err := r.complete(v.(map[string]any), e.Copy); err != nil {
				return 0, nil, err
			}
		}
		if body, err = json.Marshal(v); err != nil {
			return 0, nil, err
		}
	}
	return r.client.do(e.Method, r.translateString(e.Path, shift), e.Headers, body)
}

// complete adds to a request what it leaves out of a live object.
func (r *replay) complete(request map[string]any, path string) error {
	status, object, err := r.send(exchange{Method: http.MethodGet, Path: path}, 0)
	if err != nil {
		return err
	}
	original, ok := object.(map[string]any)
	if !ok || status != http.StatusOK {
		return fmt.Errorf("GET %s: status %d: %s", path, status, show(object))
	}
	for _, field := range []string{"fields", "block_type_id", "capabilities"} {
		if request[field] == nil {
			request[field] = original[field]
		}
	}
	return nil
}

// noteNames remembers the names a client sends: those are not generated.
func (r *replay) noteNames(v any) {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["name"].(string); ok && r.bound[name] == "" {
			r.literal[name] = true
		}
		for _, child := range v {
			r.noteNames(child)
		}
	case []any:
		for _, child := range v {
			r.noteNames(child)
		}
	}
}

func (r *replay) translate(v any, shift time.Duration) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, child := range v {
			if slices.Contains(emptiedProse, key) && child == "" {
				child = "https://example.org/" // the server insists on some text
			}
			out[r.translateString(key, shift)] = r.translate(child, shift)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = r.translate(child, shift)
		}
		return out
	case string:
		return r.translateString(v, shift)
	default:
		return v
	}
}

// translateString replaces what the live server calls otherwise. An id not
// seen before is one that the client made, and gets a new value; a time not
// seen before keeps its distance from now.
func (r *replay) translateString(s string, shift time.Duration) string {
	if live, ok := r.bound[s]; ok {
		return live
	}
	s = anyChecksum.ReplaceAllStringFunc(s, func(sum string) string {
		if live, ok := r.bound[sum]; ok {
			return live
		}
		return sum
	})
	return varying.ReplaceAllStringFunc(s, func(part string) string {
		if live, ok := r.bound[part]; ok {
			return live
		}
		if live, ok := r.times[part]; ok {
			return live
		}
		if isID.MatchString(part) {
			r.bound[part] = uuid.NewString()
			return r.bound[part]
		}
		at, err := time.Parse(time.RFC3339, strings.Replace(part, " ", "T", 1))
		if err != nil {
			return part // a cut string stays as it was cut
		}
		return at.Add(shift).Format("2006-01-02T15:04:05.000000-07:00")
	})
}

// comparison collects how an answer differs from the recorded one.
type comparison struct {
	*replay
	partial     bool // compare only what the recording names
	differences []string
}

func (c *comparison) differ(path, format string, args ...any) {
	c.differences = append(c.differences, strings.TrimPrefix(path+": ", ": ")+fmt.Sprintf(format, args...))
}

// Fields whose text the recorder emptied, because it is long prose.
var emptiedProse = []string{"description", "code_example", "logo_url", "documentation_url", "install_command"}

// Fields that say how long something took or is late: any number will do, as
// long as it is one.
var durations = []string{"total_run_time", "estimated_run_time", "estimated_start_time_delta"}

// Fields that tell of polls which the recording left out.
var pollBookkeeping = []string{"last_polled", "healthy"}

func (c *comparison) value(path string, recorded, live any) {
	switch recorded := recorded.(type) {
	case map[string]any:
		if object, ok := live.(map[string]any); ok {
			c.object(path, recorded, object)
			return
		}
	case []any:
		if list, ok := live.([]any); ok {
			c.list(path, recorded, list)
			return
		}
	case string:
		if text, ok := live.(string); ok {
			c.text(path, recorded, text)
			return
		}
	default:
		if recorded == live {
			return
		}
	}
	c.differ(path, "%s, recorded %s", show(live), show(recorded))
}

func (c *comparison) object(path string, recorded, live map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(recorded)) {
		at := path + "." + key
		was := recorded[key]
		is, ok := live[c.translateString(key, 0)]
		switch {
		case !ok && slices.Contains(emptiedProse, key) && was == "":
			// Prose of Prefect's that a server need not have; the recorder cut it, too.
		case !ok && key == "example":
			// The same, as a value.
		case !ok:
			c.differ(at, "missing, recorded %s", show(was))
		case slices.Contains(emptiedProse, key) && was == "":
			if _, text := is.(string); is != nil && !text {
				c.differ(at, "%s, recorded a text", show(is))
			}
		case slices.Contains(durations, key):
			if _, number := is.(float64); !number {
				c.differ(at, "%s, recorded a number", show(is))
			}
		case slices.Contains(pollBookkeeping, key):
			// Either may have been polled since.
		case key == "status" && isReadiness(was):
			if !isReadiness(is) {
				c.differ(at, "%s, recorded %s", show(is), show(was))
			}
		case key == "delay_seconds":
			a, _ := was.(float64)
			if b, ok := is.(float64); !ok || b < a-1 || b > a+1 {
				c.differ(at, "%s, recorded %s", show(is), show(was))
			}
		case key == "name" && recorded["expected_start_time"] != nil && c.generated(was):
			c.bind(at, was.(string), is)
		case key == "checksum" && isChecksum(was) && isChecksum(is):
			// It is of the whole schema, whose prose the recorder cut: one that is
			// registered from the recording has another.
			c.bound[was.(string)] = is.(string)
		case key == "state" && was == nil && recorded["state_id"] != nil:
			// Workers get runs without their states; one that is there harms nobody.
		case key == "work_queue_name" && was == nil && recorded["work_queue_id"] != nil:
			// Likewise the name of the queue.
		case key == "capabilities":
			c.set(at, was, is)
		default:
			c.value(at, was, is)
		}
	}
	if c.partial {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(live)) {
		if slices.Contains(additions, key) {
			continue
		}
		if _, ok := recorded[key]; !ok && !c.isBoundTo(recorded, key) {
			c.differ(path+"."+key, "%s, not in the recording", show(live[key]))
		}
	}
}

// additions are fields that Orion answers beyond those of the recordings:
// clients ignore what they do not know, and newer ones look for these.
var additions = []string{"job_variables", "work_pool_id", "work_pool_name", "is_beta"}

func isChecksum(v any) bool {
	s, ok := v.(string)
	return ok && strings.HasPrefix(s, "sha256:")
}

var anyChecksum = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// isBoundTo is whether the live key is a recorded key that holds an id.
func (c *comparison) isBoundTo(recorded map[string]any, key string) bool {
	for was := range recorded {
		if c.bound[was] == key {
			return true
		}
	}
	return false
}

func isReadiness(v any) bool { return v == "READY" || v == "NOT_READY" }

// generated is whether a run's name was made up by the server.
func (c *comparison) generated(name any) bool {
	text, ok := name.(string)
	return ok && !c.literal[text] && generatedName.MatchString(text)
}

func (c *comparison) list(path string, recorded, live []any) {
	if n := len(recorded); n > 0 {
		if mark, ok := recorded[n-1].(map[string]any); ok && mark["__cut__"] != nil {
			recorded = recorded[:n-1]
			if total := n - 1 + int(mark["__cut__"].(float64)); len(live) < n-1 {
				c.differ(path, "%d elements, recorded %d", len(live), total)
			}
			live = live[:min(len(live), len(recorded))]
		}
	}
	if len(recorded) != len(live) {
		c.differ(path, "%d elements, recorded %d: %s, recorded %s", len(live), len(recorded), show(live), show(recorded))
		return
	}
	for i := range recorded {
		c.value(fmt.Sprintf("%s[%d]", path, i), recorded[i], live[i])
	}
}

// set compares lists whose order says nothing.
func (c *comparison) set(path string, recorded, live any) {
	sorted := func(v any) string {
		list, _ := v.([]any)
		var words []string
		for _, word := range list {
			words = append(words, fmt.Sprint(word))
		}
		slices.Sort(words)
		return strings.Join(words, " ")
	}
	if sorted(recorded) != sorted(live) {
		c.differ(path, "%s, recorded %s", show(live), show(recorded))
	}
}

// text compares strings in which ids and times stand for others.
func (c *comparison) text(path, recorded, live string) {
	if bound, ok := c.bound[recorded]; ok && !varying.MatchString(recorded) {
		recorded = bound
	}
	if !varying.MatchString(recorded) {
		if recorded != live {
			c.differ(path, "%q, recorded %q", live, recorded)
		}
		return
	}
	// A pattern with one group for each part that may vary.
	var pattern strings.Builder
	var parts []string
	rest := recorded
	for rest != "" {
		at := varying.FindStringIndex(rest)
		if at == nil {
			pattern.WriteString(regexp.QuoteMeta(rest))
			break
		}
		pattern.WriteString(regexp.QuoteMeta(rest[:at[0]]))
		part := rest[at[0]:at[1]]
		rest = rest[at[1]:]
		parts = append(parts, part)
		switch {
		case isID.MatchString(part):
			pattern.WriteString("(" + idPattern + ")")
		case isTime.MatchString(part):
			pattern.WriteString("(" + timePattern + ")")
		default:
			pattern.WriteString("((?s:.*))")
		}
	}
	groups := regexp.MustCompile("^" + pattern.String() + "$").FindStringSubmatch(live)
	if groups == nil {
		c.differ(path, "%q, recorded %q", live, recorded)
		return
	}
	for i, part := range parts {
		switch {
		case isID.MatchString(part):
			c.bind(path, part, groups[i+1])
		case isTime.MatchString(part):
			c.bindTime(path, part, groups[i+1])
		}
	}
}

// bind makes a recorded id or name stand for the live one, and from then on
// insists on it.
func (c *comparison) bind(path, recorded string, live any) {
	text, ok := live.(string)
	if !ok || text == "" {
		c.differ(path, "%s, recorded %q", show(live), recorded)
		return
	}
	if bound, ok := c.bound[recorded]; !ok {
		c.bound[recorded] = text
	} else if bound != text {
		c.differ(path, "%q, but what the recording calls %q has been %q so far", text, recorded, bound)
	}
}

// bindTime is bind for times, which may be written in more than one way. When
// a row was last touched depends on polls that the recording left out.
func (c *comparison) bindTime(path, recorded, live string) {
	bound, ok := c.times[recorded]
	if !ok {
		c.times[recorded] = live
		return
	}
	a, errA := time.Parse(time.RFC3339, bound)
	b, errB := time.Parse(time.RFC3339, live)
	if (errA != nil || errB != nil || !a.Equal(b)) && !strings.HasSuffix(path, ".updated") {
		c.differ(path, "%q, but what the recording calls %q has been %q so far", live, recorded, bound)
	}
}

func show(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return clip(string(data), 300)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
