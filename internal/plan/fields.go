package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/overlay"
)

// fields are a deployment's settings, one by one, each as canonical JSON. Two
// deployments with equal fields are the same to their users.
type fields map[string]string

// The fields that need to be known by name.
const (
	fieldPaused = "paused"
	fieldPath   = "path"
)

// fieldsOf takes a deployment apart. The blocks are nil where nothing is known
// of them but that the deployment names them; bundled leaves the path out,
// which then is where the code's bundle happens to lie.
func fieldsOf(d *orion.Deployment, storage, infrastructure *overlay.BlockUse, bundled bool) fields {
	f := fields{}
	f.set(fieldPaused, d.Paused)
	f.set("description", d.Description)
	f.set("version", d.Version)
	tags := slices.DeleteFunc(slices.Clone(d.Tags), isOwnerTag)
	slices.Sort(tags)
	f.set("tags", tags)
	if d.WorkPoolName != nil && *d.WorkPoolName != orion.DefaultAgentPool { // which goes without saying
		f.set("work pool", d.WorkPoolName)
	}
	f.set("work queue", d.WorkQueueName)
	f.set("entrypoint", d.Entrypoint)
	f.set("manifest path", d.ManifestPath)
	f.raw("pull steps", d.PullSteps)
	f.set("enforce parameter schema", d.EnforceParameterSchema)
	f.raw("parameter schema", d.ParameterOpenapiSchema)
	f.members("parameters", d.Parameters)
	f.members("job variables", d.JobVariables)
	if !bundled {
		f.set(fieldPath, d.Path)
	}
	f.block("storage", storage)
	f.block("infrastructure", infrastructure)
	for i, name := range scheduleFields(d.Schedules) {
		s := &d.Schedules[i]
		f.set(name, map[string]any{"schedule": s.Schedule, "max_active_runs": s.MaxActiveRuns, "max_scheduled_runs": s.MaxScheduledRuns,
			"catchup": s.Catchup, "parameters": s.Parameters})
		f.set(name+" active", s.Active)
	}
	return f
}

const schedulePrefix = "schedule "

// scheduleField names a schedule by its slug, else by what it says, so that a
// changed schedule is one removed and one added, as on the server.
func scheduleField(s *orion.DeploymentSchedule) string {
	if s.Slug != nil {
		return schedulePrefix + *s.Slug
	}
	return schedulePrefix + describe(&s.Schedule)
}

// scheduleFields names schedules: the same one twice is two schedules.
func scheduleFields(list []orion.DeploymentSchedule) []string {
	var names []string
	for i := range list {
		name := scheduleField(&list[i])
		for n := 2; slices.Contains(names, name); n++ {
			name = fmt.Sprintf("%s (%d)", scheduleField(&list[i]), n)
		}
		names = append(names, name)
	}
	return names
}

func describe(s *orion.Schedule) string {
	zone := ""
	if s.Timezone != nil && *s.Timezone != "" && *s.Timezone != "UTC" {
		zone = " " + *s.Timezone
	}
	switch {
	case s.Cron != nil:
		return fmt.Sprintf("cron %q%s", *s.Cron, zone)
	case s.Interval != nil:
		return fmt.Sprintf("every %s%s", time.Duration(*s.Interval), zone)
	case s.RRule != nil:
		return fmt.Sprintf("rrule %q%s", *s.RRule, zone)
	}
	return "none"
}

// isSwitch tells the fields that people switch in the UI and that stay
// as they were switched.
func isSwitch(field string) bool {
	return field == fieldPaused || strings.HasPrefix(field, schedulePrefix) && strings.HasSuffix(field, " active")
}

func (f fields) set(name string, v any) {
	b, err := orion.Encode(v)
	if err != nil {
		b = []byte("null") // settings came from JSON, and go back
	}
	f.raw(name, b)
}

func (f fields) raw(name string, v orion.JSON) {
	if text := canonical(v); text != "null" {
		f[name] = text
	}
}

// members makes each member of an object a field of its own; one level of
// objects below is taken apart, too, so that a plan can name the variable.
func (f fields) members(name string, object orion.JSON) {
	m, ok := membersOf(object)
	if !ok {
		f.raw(name, object)
		return
	}
	for k, v := range m {
		if inner, ok := membersOf(v); ok && len(inner) > 0 {
			for ik, iv := range inner {
				f.raw(name+"."+k+"."+ik, iv)
			}
			continue
		}
		f.raw(name+"."+k, v)
	}
}

func membersOf(v orion.JSON) (map[string]orion.JSON, bool) {
	var m map[string]orion.JSON
	if orion.IsNull(v) {
		return nil, true
	}
	if v.Kind() != '{' || orion.Decode(v, &m) != nil {
		return nil, false
	}
	return m, true
}

// block is a block's name where it has one, for who changes it then changes it
// for all; else what it holds.
func (f fields) block(name string, b *overlay.BlockUse) {
	switch {
	case b == nil:
	case !b.Anonymous:
		f.set(name, b.Type+"/"+b.Name)
	default:
		f.set(name, b.Type)
		f.members(name, b.Data.JSON())
	}
}

func canonical(v orion.JSON) string {
	if orion.IsNull(v) {
		return "null"
	}
	c := slices.Clone(jsontext.Value(v))
	if err := c.Canonicalize(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return string(v)
	}
	return string(c)
}

// digests are what a version keeps of its deployment's fields.
func (f fields) digests() map[string]string {
	out := make(map[string]string, len(f))
	for k, v := range f {
		out[k] = digest(v)
	}
	return out
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:10])
}

// Field is a setting that a deploy changes, or that somebody changed by hand.
// From and To are JSON, empty where the setting is absent; both are empty where
// the value is nobody's business.
type Field struct {
	Name string `json:"name"`
	From string `json:"from,omitzero"`
	To   string `json:"to,omitzero"`
	// ByHand tells that From is not what the last deploy left.
	ByHand bool `json:"by_hand,omitzero"`
	// Hidden tells that the values are left out: they may be secret.
	Hidden bool `json:"hidden,omitzero"`
}

// IsSchedule tells a field that is a whole schedule, which its name describes.
func (f Field) IsSchedule() bool {
	return strings.HasPrefix(f.Name, schedulePrefix) && !strings.HasSuffix(f.Name, " active")
}

// compare says what a deploy of wanted has to change on the server, and what
// was changed there by hand since the last deploy and is left as it is. base
// are the digests of what the last deploy declared; nil when there is none. The
// vague fields say the same each time, though not in the same words.
func compare(base map[string]string, server, wanted fields, vague map[string]bool) (changes, drift []Field) {
	names := map[string]bool{}
	for k := range server {
		names[k] = true
	}
	for k := range wanted {
		names[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(names)) {
		was, have := server[k]
		is, want := wanted[k]
		if was == is {
			continue
		}
		before, known := base[k]
		byHand := base != nil && (have != known || have && digest(was) != before)
		same := base != nil && want == known && (!want || vague[k] || digest(is) == before) // the repository says what it said
		switch {
		case byHand && same:
			drift = append(drift, field(k, is, was, true))
		case base == nil && have && isSwitch(k) && off(k, was):
			// Nothing is known of the last deploy: what is switched off stays off.
			drift = append(drift, field(k, is, was, true))
		default:
			changes = append(changes, field(k, was, is, byHand))
		}
	}
	return changes, drift
}

// off tells whether the value of a switch stops a deployment from being run.
func off(field, value string) bool { return (field == fieldPaused) == (value == "true") }

func field(name, from, to string, byHand bool) Field {
	if hides(name) {
		return Field{Name: name, ByHand: byHand, Hidden: true}
	}
	return Field{Name: name, From: from, To: to, ByHand: byHand}
}

// hides tells the fields whose values may be secret: what an environment
// variable holds, or a block's own field.
func hides(name string) bool {
	return strings.Contains(name, ".env.") || strings.HasSuffix(name, ".env") || strings.HasPrefix(name, "storage.") ||
		strings.HasPrefix(name, "infrastructure.") && !slices.Contains(shownOfInfrastructure, strings.SplitN(name, ".", 3)[1])
}

// shownOfInfrastructure are the fields of infrastructure blocks that people
// want to see in a plan, and that hold no secrets.
var shownOfInfrastructure = []string{"image", "image_pull_policy", "namespace", "service_account_name", "finished_job_ttl", "command", "cluster_config",
	"job_watch_timeout_seconds", "pod_watch_timeout_seconds", "stream_output", "labels", "working_dir", "cpu", "memory", "network_mode", "mem_limit"}
