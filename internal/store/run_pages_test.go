package store

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orionflows/orion"
)

// However a page is found, it is the part of the sorted list that was asked for.
func TestPagesByStartTime(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		rnd := rand.New(rand.NewPCG(3, 5))
		f := newFlow(t, s, "f")
		states := []orion.StateCreate{{Type: orion.Completed}, {Type: orion.Completed}, {Type: orion.Completed, Name: ptr("Cached")}, {Type: orion.Failed}, {Type: orion.Scheduled}, {Type: orion.Scheduled, Name: ptr("Late")}}
		const n = 2 * (manyRuns + fewRuns)
		must(t, s, func(tx *Tx) error {
			for i := range n {
				r := orion.FlowRun{ID: orion.NewID(), Name: fmt.Sprint("Run-", i), FlowID: f.ID, ExpectedStartTime: at(0, 0).Add(time.Duration(rnd.Int64N(int64(240 * time.Hour)))).Add(time.Duration(i) * time.Microsecond)}
				st := states[rnd.IntN(len(states))].State(at(0, 0))
				r.State, r.StateID, r.StateType, r.StateName = st, st.ID, ptr(string(st.Type)), &st.Name
				if st.Type != orion.Scheduled {
					r.StartTime = r.ExpectedStartTime.Add(time.Duration(rnd.Int64N(int64(time.Hour))) - 5*time.Minute)
				}
				if _, err := tx.InsertFlowRun(&r); err != nil {
					return err
				}
			}
			if tx.d == postgresDialect {
				_, err := tx.exec("ANALYZE flow_run")
				return err
			}
			return nil
		})
		runs := ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.FlowRuns(&orion.RunFilters{}, nil, n, 0) })
		key := func(r *orion.FlowRun) orion.Time {
			if r.StartTime.IsZero() {
				return r.ExpectedStartTime
			}
			return r.StartTime
		}
		slices.SortFunc(runs, func(a, b *orion.FlowRun) int { return cmp.Compare(key(a).Micro(), key(b).Micro()) })
		between := func(a, b orion.Time) func(*orion.FlowRun) bool {
			return func(r *orion.FlowRun) bool { return !r.ExpectedStartTime.Before(a) && !r.ExpectedStartTime.After(b) }
		}
		in := func(types ...string) func(*orion.FlowRun) bool {
			return func(r *orion.FlowRun) bool { return slices.Contains(types, *r.StateType) }
		}
		window := func(a, b orion.Time) string {
			return `"expected_start_time":{"after_":"` + a.String() + `","before_":"` + b.String() + `"}`
		}
		var (
			all    = between(orion.Time{}, at(999, 0))
			narrow = [2]orion.Time{at(20, 0), at(25, 0)}
			late   = [2]orion.Time{at(150, 0), at(300, 0)}
			early  = [2]orion.Time{at(0, 0), at(50, 0)}
			middle = [2]orion.Time{at(5, 0), at(235, 0)}
		)
		for _, c := range []struct {
			filter string
			keep   []func(*orion.FlowRun) bool
		}{
			{``, nil},
			{window(narrow[0], narrow[1]), []func(*orion.FlowRun) bool{between(narrow[0], narrow[1])}},
			{window(late[0], late[1]), []func(*orion.FlowRun) bool{between(late[0], late[1])}},
			{window(early[0], early[1]), []func(*orion.FlowRun) bool{between(early[0], early[1])}},
			{window(middle[0], middle[1]), []func(*orion.FlowRun) bool{between(middle[0], middle[1])}},
			{`"expected_start_time":{"after_":"` + at(50, 0).String() + `"}`, []func(*orion.FlowRun) bool{between(at(50, 0), at(999, 0))}},
			{`"state":{"type":{"any_":["FAILED"]}}`, []func(*orion.FlowRun) bool{in("FAILED")}},
			{`"state":{"type":{"any_":["FAILED","SCHEDULED"]}}`, []func(*orion.FlowRun) bool{in("FAILED", "SCHEDULED")}},
			{`"state":{"type":{"any_":["RUNNING"]}}`, []func(*orion.FlowRun) bool{in()}},
			{`"state":{"type":{"not_any_":["COMPLETED"]},"name":{"not_any_":["Failed"]}}`, []func(*orion.FlowRun) bool{in("SCHEDULED")}},
			{`"state":{"operator":"or_","type":{"any_":["FAILED"]},"name":{"any_":["Late","Scheduled"]}}`, []func(*orion.FlowRun) bool{in("FAILED", "SCHEDULED")}},
			{`"state":{"name":{"any_":["Cached"]}},` + window(late[0], late[1]), []func(*orion.FlowRun) bool{between(late[0], late[1]), func(r *orion.FlowRun) bool { return *r.StateName == "Cached" }}},
			{`"state":{"type":{"any_":["FAILED","SCHEDULED"]}},` + window(early[0], early[1]), []func(*orion.FlowRun) bool{between(early[0], early[1]), in("FAILED", "SCHEDULED")}},
			{`"name":{"like_":"rUn-7"}`, []func(*orion.FlowRun) bool{func(r *orion.FlowRun) bool { return r.Name[4] == '7' }}},
			{`"name":{"like_":"run-7"},"state":{"type":{"any_":["COMPLETED"]}},` + window(middle[0], middle[1]), []func(*orion.FlowRun) bool{between(middle[0], middle[1]), in("COMPLETED"), func(r *orion.FlowRun) bool { return r.Name[4] == '7' }}},
			{`"name":{"like_":"nothing"}`, []func(*orion.FlowRun) bool{in()}},
			{`"operator":"or_","state":{"type":{"any_":["FAILED"]}},` + window(narrow[0], narrow[1]), []func(*orion.FlowRun) bool{func(r *orion.FlowRun) bool { return in("FAILED")(r) || between(narrow[0], narrow[1])(r) }}},
		} {
			var want []*orion.FlowRun
			for _, r := range runs {
				if all(r) && !slices.ContainsFunc(c.keep, func(keep func(*orion.FlowRun) bool) bool { return !keep(r) }) {
					want = append(want, r)
				}
			}
			for _, sort := range []string{"START_TIME_ASC", "START_TIME_DESC"} {
				for _, p := range [][2]int{{50, 0}, {7, 20}, {200, 150}} {
					from, to := min(p[1], len(want)), min(p[0]+p[1], len(want))
					got := ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) {
						return tx.FlowRuns(filters(t, `{"flow_runs":{`+c.filter+`}}`), &sort, int64(p[0]), int64(p[1]))
					})
					equal(t, fmt.Sprint(sort, " ", p, " of ", c.filter), names(got, runName), names(want[from:to], runName))
				}
				slices.Reverse(want)
			}
		}
	})
}
