package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// beats are the schedules that files and people choose from: in Python, and in
// JSON.
var beats = map[string][2]string{
	"cron 5":       {`CronSchedule(cron="5 * * * *", timezone="UTC")`, `{"cron":"5 * * * *","timezone":"UTC"}`},
	"cron 7 Oslo":  {`CronSchedule(cron="7 3 * * *", timezone="Europe/Oslo")`, `{"cron":"7 3 * * *","timezone":"Europe/Oslo"}`},
	"cron 9":       {`CronSchedule(cron="9 9 * * 1", timezone="UTC")`, `{"cron":"9 9 * * 1","timezone":"UTC"}`},
	"interval 10m": {`IntervalSchedule(interval=timedelta(minutes=10))`, `{"interval":600}`},
	"interval 1h":  {`IntervalSchedule(interval=timedelta(hours=1))`, `{"interval":3600}`},
}

var beatNames = slices.Sorted(maps.Keys(beats))

// settings are those of a deployment that the sequences change: as a file
// declares them, or as a server has them.
type settings struct {
	Schedules map[string]bool // whether it is active
	Number    int             // a parameter
	Tag       string
	Paused    bool // no file says it
}

func (s settings) clone() settings { s.Schedules = maps.Clone(s.Schedules); return s }

// subject is a deployment in a sequence.
type subject struct {
	name     string // flow/name
	file     settings
	in       bool      // the file has it
	code     int       // of its flow
	declared *settings // by the last deploy; nil when nothing is known of that
	server   *settings // nil when it is not there
	versions map[int64][2]settings
}

// afterDeploy is what a deploy has to make of a deployment.
func (s *subject) afterDeploy() settings {
	if s.server == nil {
		return s.file.clone()
	}
	out := settings{Schedules: map[string]bool{}, Paused: s.server.Paused, Number: s.file.Number, Tag: s.file.Tag}
	if s.declared == nil {
		for beat, active := range s.file.Schedules {
			is, there := s.server.Schedules[beat]
			out.Schedules[beat] = active && (!there || is)
		}
		return out
	}
	// What was changed by hand stays unless the file changed the same.
	if s.file.Number == s.declared.Number {
		out.Number = s.server.Number
	}
	if s.file.Tag == s.declared.Tag {
		out.Tag = s.server.Tag
	}
	for _, beat := range beatNames {
		says, in := s.file.Schedules[beat]
		said, was := s.declared.Schedules[beat]
		is, there := s.server.Schedules[beat]
		switch {
		case in && was && there:
			if out.Schedules[beat] = is; says != said {
				out.Schedules[beat] = says
			}
		case in && was: // deleted by hand
		case in && there: // added by hand, and then by the file
			out.Schedules[beat] = is && says
		case in:
			out.Schedules[beat] = says
		case there && !was: // added by hand
			out.Schedules[beat] = is
		}
	}
	return out
}

// Whatever is edited, deployed, switched, changed by hand and rolled back, in
// whatever order: no deploy loses, doubles or resumes a schedule, what was
// changed by hand stays, and after a deploy there is nothing to do.
func TestRandomSequencesOfEditsDeploysAndHandsOn(t *testing.T) {
	// Always the same sequences, so that one that fails is about the change at
	// hand; ORION_TEST_SEED is for looking further.
	for name, seed := range map[string]uint64{"Orion": 1, "Orion again": 2, "Orion once more": 3, "Prefect": 1795653052425616280} {
		t.Run(name, func(t *testing.T) {
			start := orionServer
			if name == "Prefect" {
				start = prefectServer
			}
			w := newWorldOn(t, start)
			if given := os.Getenv("ORION_TEST_SEED"); given != "" {
				if _, err := fmt.Sscan(given, &seed); err != nil {
					t.Fatal(err)
				}
			}
			s := &sequence{world: w, random: rand.New(rand.NewPCG(seed, 1)), orion: name != "Prefect"}
			defer func() {
				t.Logf("ORION_TEST_SEED=%d, %d steps", seed, len(s.log))
				if t.Failed() {
					t.Logf("the steps:\n%s", strings.Join(s.log, "\n"))
				}
			}()
			s.run(16)
		})
	}
}

type sequence struct {
	*world
	random *rand.Rand
	orion  bool
	all    []*subject
	log    []string
}

func (s *sequence) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("%2d ", len(s.log)+1)+fmt.Sprintf(format, args...))
}

func (s *sequence) run(steps int) {
	s.write(".gitignore", "__pycache__\n")
	for _, name := range []string{"Left/a", "Left/b", "Right/a"} {
		one := &subject{name: name, in: true, file: settings{Schedules: map[string]bool{s.beat(): true}, Tag: "t0"}, versions: map[int64][2]settings{}}
		s.all = append(s.all, one)
	}
	s.save()
	s.deploy()
	for len(s.log) < steps && !s.t.Failed() {
		one := s.all[s.random.IntN(len(s.all))]
		switch choice := s.random.IntN(20); {
		case choice < 6:
			s.edit(one)
		case choice < 13:
			s.byHand(one)
		case choice < 14:
			s.rollBack(one)
		case choice < 15:
			s.plain()
		default:
			s.deploy()
		}
	}
	if !s.t.Failed() {
		s.deploy()
		s.ok("plan", "--refresh", "--exit-code")
	}
}

func (s *sequence) beat() string { return beatNames[s.random.IntN(len(beatNames))] }

// edit changes the repository.
func (s *sequence) edit(one *subject) {
	switch s.random.IntN(7) {
	case 0, 1:
		beat := s.beat()
		if _, ok := one.file.Schedules[beat]; ok {
			delete(one.file.Schedules, beat)
		} else {
			one.file.Schedules[beat] = true
		}
		s.note("%s: the file toggles %s", one.name, beat)
	case 2:
		if present := slices.Sorted(maps.Keys(one.file.Schedules)); len(present) > 0 {
			beat := present[s.random.IntN(len(present))]
			one.file.Schedules[beat] = !one.file.Schedules[beat]
			s.note("%s: the file switches %s to %v", one.name, beat, one.file.Schedules[beat])
		}
	case 3:
		one.file.Number++
		s.note("%s: the file says number %d", one.name, one.file.Number)
	case 4:
		one.file.Tag = fmt.Sprintf("t%d", s.random.IntN(3))
		s.note("%s: the file says tag %s", one.name, one.file.Tag)
	case 5:
		one.code++
		s.note("%s: code %d", one.name, one.code)
	case 6:
		if one.name == "Left/b" { // every file keeps one
			one.in = !one.in
			s.note("%s: in the file: %v", one.name, one.in)
		}
	}
	s.save()
}

// save writes the repository.
func (s *sequence) save() {
	for _, flow := range []string{"Left", "Right"} {
		text := `
from datetime import timedelta
from prefect.deployments import Deployment
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.client.schemas.objects import MinimalDeploymentSchedule
from flow import f
`
		code := 0
		for _, one := range s.all {
			of, name, _ := strings.Cut(one.name, "/")
			if of != flow {
				continue
			}
			code += one.code
			if !one.in {
				continue
			}
			var schedules []string
			for _, beat := range slices.Sorted(maps.Keys(one.file.Schedules)) {
				active := "True"
				if !one.file.Schedules[beat] {
					active = "False"
				}
				schedules = append(schedules, fmt.Sprintf("MinimalDeploymentSchedule(schedule=%s, active=%s)", beats[beat][0], active))
			}
			text += fmt.Sprintf("Deployment.build_from_flow(flow=f, name=%q, work_queue_name=\"q\", parameters={\"n\": %d}, tags=[%q], schedules=[%s], apply=True)\n",
				name, one.file.Number, one.file.Tag, strings.Join(schedules, ", "))
		}
		s.write(strings.ToLower(flow)+"/all.deployment.py", text)
		s.write(strings.ToLower(flow)+"/flow.py", fmt.Sprintf("from prefect import flow\n\n@flow(name=%q)\ndef f(n: int = 0):\n    return %d\n", flow, code))
	}
}

func (s *sequence) deploy() {
	s.t.Helper()
	s.note("deploy")
	if out, errs, code := s.world.run("deploy"); code != 0 {
		s.t.Errorf("deploy: exit %d\n%s%s", code, out, errs)
		return
	}
	for _, one := range s.all {
		if !one.in {
			s.is(one, one.server)
			continue
		}
		want := one.afterDeploy()
		said := one.file.clone()
		one.server, one.declared = &want, &said
		s.is(one, &want)
		if n := s.version(one); n > 0 {
			if _, ok := one.versions[n]; !ok {
				one.versions[n] = [2]settings{want.clone(), said.clone()}
			} else {
				one.versions[n] = [2]settings{one.versions[n][0], said.clone()} // the file may say now what was done by hand
			}
		}
	}
	if out, errs, code := s.world.run("plan", "--exit-code"); code != 0 {
		s.t.Errorf("right after a deploy there is something to do: exit %d\n%s%s", code, out, errs)
	}
}

// plain runs a file with the client, as people did before.
func (s *sequence) plain() {
	s.t.Helper()
	flow := []string{"Left", "Right"}[s.random.IntN(2)]
	s.note("python %s", flow)
	s.python(strings.ToLower(flow) + "/all.deployment.py")
	for _, one := range s.all {
		if !one.in || !strings.HasPrefix(one.name, flow) {
			continue
		}
		is := s.read(one)
		if !slices.Equal(slices.Sorted(maps.Keys(is.Schedules)), slices.Sorted(maps.Keys(one.file.Schedules))) {
			s.t.Errorf("%s has %v after the file with %v was run", one.name, is.Schedules, one.file.Schedules)
		}
		for beat, active := range is.Schedules {
			if one.server == nil || one.declared == nil || !s.orion {
				break
			}
			was, there := one.server.Schedules[beat]
			said, known := one.declared.Schedules[beat]
			if there && !was && active && known && said == one.file.Schedules[beat] {
				s.t.Errorf("%s: %s was paused, and running the file resumed it", one.name, beat)
			}
		}
		one.server = is
		if s.orion {
			one.declared = nil // a client that knows nothing of versions says nothing of what it declared
		}
	}
	s.deploy()
}

// byHand changes the server.
func (s *sequence) byHand(one *subject) {
	s.t.Helper()
	if one.server == nil {
		return
	}
	d := s.deployment(one.name)
	at := "/deployments/" + d.ID
	present := slices.Sorted(maps.Keys(one.server.Schedules))
	var absent []string
	for _, beat := range beatNames {
		if _, ok := one.server.Schedules[beat]; !ok {
			absent = append(absent, beat)
		}
	}
	schedule := func(beat string) string {
		for _, x := range s.schedules(one) {
			if x.beat() == beat {
				return at + "/schedules/" + x.ID
			}
		}
		s.t.Fatalf("%s has no %s", one.name, beat)
		return ""
	}
	switch s.random.IntN(8) {
	case 0, 1, 2:
		if len(present) > 0 {
			beat := present[s.random.IntN(len(present))]
			active := !one.server.Schedules[beat]
			s.patch(schedule(beat), fmt.Sprintf(`{"active":%v}`, active))
			one.server.Schedules[beat] = active
			s.note("%s: %s is switched to %v by hand", one.name, beat, active)
		}
	case 3:
		paused := !one.server.Paused
		s.patch(at, fmt.Sprintf(`{"paused":%v}`, paused))
		one.server.Paused = paused
		s.note("%s: paused by hand: %v", one.name, paused)
	case 4:
		if len(present) > 0 && len(absent) > 0 {
			from, to := present[s.random.IntN(len(present))], absent[s.random.IntN(len(absent))]
			s.patch(schedule(from), `{"schedule":`+beats[to][1]+`}`)
			one.server.Schedules[to] = one.server.Schedules[from]
			delete(one.server.Schedules, from)
			s.note("%s: %s becomes %s by hand", one.name, from, to)
		}
	case 5:
		if len(absent) > 0 {
			beat := absent[s.random.IntN(len(absent))]
			s.post(at+"/schedules", `[{"active":true,"schedule":`+beats[beat][1]+`}]`)
			one.server.Schedules[beat] = true
			s.note("%s: %s is added by hand", one.name, beat)
		}
	case 6:
		if len(present) > 0 {
			beat := present[s.random.IntN(len(present))]
			s.request("DELETE", schedule(beat), "")
			delete(one.server.Schedules, beat)
			s.note("%s: %s is deleted by hand", one.name, beat)
		}
	case 7:
		one.server.Number, one.server.Tag = 100+s.random.IntN(3), "hand"
		s.patch(at, fmt.Sprintf(`{"parameters":{"n":%d},"tags":%s}`, one.server.Number, s.tags(one)))
		s.note("%s: number %d and a tag by hand", one.name, one.server.Number)
	}
	s.is(one, one.server)
}

// tags are those to set by hand: on a Prefect server whose deployment it is
// stands there, too, and people leave that alone.
func (s *sequence) tags(one *subject) string {
	tags := []string{"hand"}
	for _, tag := range s.deployment(one.name).Tags {
		if strings.HasPrefix(tag, "repository:") {
			tags = append(tags, tag)
		}
	}
	b, err := json.Marshal(tags)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// rollBack goes back to some version.
func (s *sequence) rollBack(one *subject) {
	s.t.Helper()
	if one.declared == nil || len(one.versions) < 2 {
		return
	}
	numbers := slices.Sorted(maps.Keys(one.versions))
	number := numbers[s.random.IntN(len(numbers)-1)]
	s.note("%s: back to version %d", one.name, number)
	s.post("/orion/deployments/"+s.deployment(one.name).ID+"/rollback", fmt.Sprintf(`{"number":%d}`, number))
	was, said := one.versions[number][0].clone(), one.versions[number][1].clone()
	was.Paused = one.server.Paused
	for beat := range was.Schedules {
		if is, there := one.server.Schedules[beat]; there {
			was.Schedules[beat] = is // what was switched since stays
		}
	}
	one.server, one.declared = &was, &said
	s.is(one, &was)
	one.versions[s.version(one)] = [2]settings{was.clone(), said.clone()}
}

// version is the number of a deployment's last version; 0 where there are none.
func (s *sequence) version(one *subject) int64 {
	s.t.Helper()
	if !s.orion {
		return 0
	}
	var vs []version
	if err := json.Unmarshal([]byte(s.request("GET", "/orion/deployments/"+s.deployment(one.name).ID+"/versions?limit=1", "")), &vs); err != nil || len(vs) != 1 {
		s.t.Fatalf("%s has %d versions: %v", one.name, len(vs), err)
	}
	return vs[0].Number
}

// scheduled is a schedule as the API has it.
type scheduled struct {
	ID       string
	Active   bool
	Schedule struct {
		Cron     string
		Interval float64
		Timezone string
	}
}

func (x scheduled) beat() string {
	switch {
	case x.Schedule.Interval == 600:
		return "interval 10m"
	case x.Schedule.Interval == 3600:
		return "interval 1h"
	}
	for name, beat := range beats {
		if x.Schedule.Cron != "" && strings.Contains(beat[1], x.Schedule.Cron) && strings.Contains(beat[1], x.Schedule.Timezone) {
			return name
		}
	}
	return fmt.Sprintf("%+v", x.Schedule)
}

func (s *sequence) schedules(one *subject) (out []scheduled) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.request("GET", "/deployments/"+s.deployment(one.name).ID+"/schedules", "")), &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// read is what the server has of a deployment.
func (s *sequence) read(one *subject) *settings {
	s.t.Helper()
	var d struct {
		Paused     bool
		Tags       []string
		Parameters struct{ N int }
	}
	if err := json.Unmarshal([]byte(s.request("GET", "/deployments/name/"+one.name, "")), &d); err != nil {
		s.t.Fatal(err)
	}
	out := &settings{Paused: d.Paused, Number: d.Parameters.N, Schedules: map[string]bool{}}
	d.Tags = slices.DeleteFunc(d.Tags, func(tag string) bool { return strings.HasPrefix(tag, "repository:") })
	out.Tag = strings.Join(d.Tags, " ")
	for _, x := range s.schedules(one) {
		if _, twice := out.Schedules[x.beat()]; twice {
			s.t.Errorf("%s has %s twice", one.name, x.beat())
		}
		out.Schedules[x.beat()] = x.Active
	}
	return out
}

// is checks what the server has of a deployment.
func (s *sequence) is(one *subject, want *settings) {
	s.t.Helper()
	if want == nil {
		return
	}
	if got := s.read(one); !reflect.DeepEqual(got, want) {
		s.t.Errorf("step %d: %s is %+v, want %+v", len(s.log), one.name, *got, *want)
	}
}
