package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/secret"
)

func TestTagLimits(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		put := func(tag string, n int64) (l *orion.TagLimit, created bool) {
			must(t, s, func(tx *Tx) (err error) {
				l, created, err = tx.CreateTagLimit(&orion.TagLimitCreate{Tag: tag, ConcurrencyLimit: &n})
				return err
			})
			return l, created
		}
		l, created := put("b", 1)
		equal(t, "new", created, true)
		put("a", 5)
		x, y := orion.NewID(), orion.NewID()
		must(t, s, func(tx *Tx) error { return tx.TakeTagSlot(l.ID, x) })
		must(t, s, func(tx *Tx) error { return tx.TakeTagSlot(l.ID, x) })
		again, created := put("b", 3)
		if created || again.ConcurrencyLimit != 3 || !slices.Equal(again.ActiveSlots, []orion.ID{x}) || again.ID != l.ID {
			t.Errorf("put again: %+v, %v", again, created)
		}
		held := do(t, s, func(tx *Tx) ([]HeldLimit, error) { return tx.TagLimitsFor([]string{"b", "zz", "a"}) })
		if len(held) != 2 || held[0].Tag != "a" || held[1].Taken != 1 || held[0].Taken != 0 {
			t.Errorf("held: %+v", held)
		}
		must(t, s, func(tx *Tx) error { return tx.ReleaseTagSlots(x) })
		must(t, s, func(tx *Tx) error { _, err := tx.ResetTagLimit("b", []orion.ID{y}); return err })
		if got := ask(t, s, func(tx *Tx) (*orion.TagLimit, error) { return tx.TagLimitByTag("b") }); !slices.Equal(got.ActiveSlots, []orion.ID{y}) {
			t.Errorf("after a reset: %v", got.ActiveSlots)
		}
		equal(t, "by id", ask(t, s, func(tx *Tx) (*orion.TagLimit, error) { return tx.TagLimit(l.ID) }).Tag, "b")
		equal(t, "list", names(ask(t, s, func(tx *Tx) ([]orion.TagLimit, error) { return tx.TagLimits(10, 0) }), func(l orion.TagLimit) string { return l.Tag }), "a b")
		equal(t, "reset of none", do(t, s, func(tx *Tx) (bool, error) { return tx.ResetTagLimit("zz", nil) }), false)
		equal(t, "delete", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteTagLimitByTag("a") }), true)
		equal(t, "delete by id", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteTagLimit(l.ID) }), true)
		equal(t, "limits left", len(do(t, s, func(tx *Tx) ([]HeldLimit, error) { return tx.TagLimitsFor([]string{"a", "b"}) })), 0)
	})
}

func TestConcurrencyLimits(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		make := func(name string, n int64, decay float64) *orion.ConcurrencyLimit {
			return do(t, s, func(tx *Tx) (*orion.ConcurrencyLimit, error) {
				return tx.CreateConcurrencyLimit(&orion.ConcurrencyLimitCreate{Name: name, Limit: &n, SlotDecayPerSecond: &decay})
			})
		}
		a := make("a", 2, 0)
		make("b", 5, 0)
		slow := make("slow", 1, 0.001)
		if !a.Active || a.AvgSlotOccupancySeconds != 2 || slow.SlotDecayPerSecond != 0.001 {
			t.Errorf("made: %+v %+v", a, slow)
		}
		wantKind(t, "the name again", s.Write(bg, func(tx *Tx) error {
			_, err := tx.CreateConcurrencyLimit(&orion.ConcurrencyLimitCreate{Name: "a", Limit: ptr(int64(1))})
			return err
		}), orion.Conflict)
		take := func(slots int64, rate bool, names ...string) (taken []orion.ConcurrencyLimit, wait time.Duration, err error) {
			err = s.Write(bg, func(tx *Tx) (err error) { taken, wait, err = tx.TakeSlots(names, slots, rate); return err })
			return taken, wait, err
		}
		active := func(name string) int64 {
			return ask(t, s, func(tx *Tx) (*orion.ConcurrencyLimit, error) { return tx.ConcurrencyLimit(name) }).ActiveSlots
		}
		taken, wait, err := take(2, false, "b", "a", "unheard of")
		if err != nil || wait != 0 || len(taken) != 2 {
			t.Errorf("take: %+v, %v, %v", taken, wait, err)
		}
		taken, wait, err = take(1, false, "a", "b")
		if err != nil || wait <= 0 || len(taken) != 0 {
			t.Errorf("take from a full one: %+v, %v, %v", taken, wait, err)
		}
		equal(t, "slots of the one with room", active("b"), 2)
		equal(t, "refusals", ask(t, s, func(tx *Tx) (*orion.ConcurrencyLimit, error) { return tx.ConcurrencyLimit(a.ID.String()) }).DeniedSlots, 1)
		if l := ask(t, s, func(tx *Tx) (*orion.ConcurrencyLimit, error) { return tx.ConcurrencyLimit("unheard of") }); l == nil || l.Active || l.Limit != 1 {
			t.Errorf("an unknown name became %+v", l)
		}
		_, _, err = take(3, false, "a")
		wantKind(t, "more than the limit", err, orion.Invalid)
		_, _, err = take(1, true, "a")
		wantKind(t, "a rate of what does not decay", err, orion.Invalid)
		if _, wait, err = take(1, true, "slow"); err != nil || wait != 0 {
			t.Errorf("a rate: %v, %v", wait, err)
		}
		if _, wait, err = take(1, true, "slow"); err != nil || wait < 1000*time.Second {
			t.Errorf("a rate beyond its limit: wait %v, %v", wait, err)
		}
		must(t, s, func(tx *Tx) error { _, err := tx.GiveSlots([]string{"a", "b"}, 5, ptr(10.0)); return err })
		equal(t, "slots after giving back too many", active("a"), 0)
		l := ask(t, s, func(tx *Tx) (*orion.ConcurrencyLimit, error) { return tx.ConcurrencyLimit("a") })
		equal(t, "learnt occupancy", l.AvgSlotOccupancySeconds, 2.0) // 2 + 10/5/(2*2) - 2/(2*2)
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateConcurrencyLimit("a", &orion.ConcurrencyLimitUpdate{Active: orion.Some(false), Limit: orion.Some(int64(9)), Name: orion.Some("z"), ActiveSlots: orion.Some(int64(4))})
			return err
		})
		l = ask(t, s, func(tx *Tx) (*orion.ConcurrencyLimit, error) { return tx.ConcurrencyLimit("z") })
		if l.Active || l.Limit != 9 || l.ActiveSlots != 4 || l.ID != a.ID {
			t.Errorf("patched: %+v", l)
		}
		equal(t, "list", names(ask(t, s, func(tx *Tx) ([]orion.ConcurrencyLimit, error) { return tx.ConcurrencyLimits(2, 1) }), func(l orion.ConcurrencyLimit) string { return l.Name }), "slow unheard of")
		equal(t, "delete", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteConcurrencyLimit("z") }), true)
		equal(t, "delete again", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteConcurrencyLimit("z") }), false)
	})
}

func TestArtifacts(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		w := build(t, s)
		add := func(key *string, typ string, run orion.ID) *orion.Artifact {
			return do(t, s, func(tx *Tx) (*orion.Artifact, error) {
				return tx.CreateArtifact(&orion.ArtifactCreate{Key: key, Type: &typ, Data: orion.JSON(`"d"`), FlowRunID: run})
			})
		}
		a1, a2 := add(ptr("k"), "table", w.r1.ID), add(ptr("k"), "table", w.r2.ID)
		add(nil, "result", w.r2.ID)
		latest := func() *orion.Artifact {
			return ask(t, s, func(tx *Tx) (*orion.Artifact, error) { return tx.LatestArtifact("k") })
		}
		equal(t, "latest", latest().ID, a2.ID)
		count := func(f *orion.ArtifactFilter, body string) int64 {
			return ask(t, s, func(tx *Tx) (int64, error) { return tx.CountArtifacts(f, filters(t, body)) })
		}
		equal(t, "all", count(nil, `{}`), 3)
		equal(t, "with a key", count(&orion.ArtifactFilter{Key: &orion.Cond[string]{Exists: ptr(true)}}, `{}`), 2)
		equal(t, "without", count(&orion.ArtifactFilter{Key: &orion.Cond[string]{Exists: ptr(false)}}, `{}`), 1)
		equal(t, "of a type", count(&orion.ArtifactFilter{Type: &orion.Cond[string]{NotAny: &[]string{"result"}}}, `{}`), 2)
		equal(t, "of runs of a flow", count(nil, `{"flows":{"name":{"any_":["alpha"]}}}`), 3)
		equal(t, "of one run", count(&orion.ArtifactFilter{FlowRunID: &orion.Cond[orion.ID]{Any: &[]orion.ID{w.r1.ID}}}, `{}`), 1)
		equal(t, "keys", ask(t, s, func(tx *Tx) (int64, error) { return tx.CountLatestArtifacts(nil, filters(t, `{}`)) }), 1)
		coll := ask(t, s, func(tx *Tx) ([]orion.ArtifactCollection, error) {
			return tx.LatestArtifacts(nil, filters(t, `{}`), nil, 10, 0)
		})
		if len(coll) != 1 || coll[0].LatestID != a2.ID || coll[0].ID == a2.ID || coll[0].Key != "k" || string(coll[0].Data) != `"d"` {
			t.Errorf("collection: %+v", coll)
		}
		must(t, s, func(tx *Tx) error {
			ok, err := tx.UpdateArtifact(a2.ID, &orion.ArtifactUpdate{Data: orion.Some(orion.JSON(`{"x":1}`)), Description: orion.Some("said")})
			equal(t, "patch", ok, true)
			return err
		})
		if l := latest(); string(l.Data) != `{"x":1}` || *l.Description != "said" {
			t.Errorf("patched: %+v", l)
		}
		for _, sort := range []string{"ID_DESC", "CREATED_DESC", "UPDATED_DESC", "KEY_ASC", "KEY_DESC"} {
			equal(t, "sorted by "+sort, len(ask(t, s, func(tx *Tx) ([]orion.Artifact, error) { return tx.Artifacts(nil, filters(t, `{}`), &sort, 10, 0) })), 3)
		}
		equal(t, "delete the latest", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteArtifact(a2.ID) }), true)
		equal(t, "the one before", latest().ID, a1.ID)
		equal(t, "delete the last", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteArtifact(a1.ID) }), true)
		if latest() != nil || len(ask(t, s, func(tx *Tx) ([]orion.ArtifactCollection, error) {
			return tx.LatestArtifacts(nil, filters(t, `{}`), nil, 10, 0)
		})) != 0 {
			t.Error("the collection outlives its artifacts")
		}
	})
}

func TestLogs(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		run, task := orion.NewID(), orion.NewID()
		batch := make([]orion.LogCreate, 70)
		for i := range batch {
			batch[i] = orion.LogCreate{Name: "n", Level: int64(10 * (1 + i%5)), Message: fmt.Sprint("line ", i), Timestamp: at(1, 0).Add(time.Duration(i) * time.Second), FlowRunID: run}
		}
		batch[69].TaskRunID = task
		batch[0].Message = "zero \x00 and broken \xff"
		digest := orion.NewID()
		for range 3 { // a client that got no answer sends again
			if err := s.AppendLogs(bg, slices.Clone(batch), digest); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.AppendLogs(bg, nil, orion.NewID()); err != nil {
			t.Fatal(err)
		}
		logs := func(f *orion.LogFilter, sort string, limit, offset int64) []orion.Log {
			t.Helper()
			out, err := s.Logs(bg, f, &sort, limit, offset)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		all := logs(nil, "TIMESTAMP_ASC", 200, 0)
		equal(t, "stored", len(all), 70)
		equal(t, "the second", all[1].Message, "line 1")
		equal(t, "the last first", logs(nil, "TIMESTAMP_DESC", 1, 0)[0].TaskRunID, task)
		equal(t, "a page", logs(nil, "TIMESTAMP_ASC", 2, 5)[0].Message, "line 5")
		equal(t, "from warnings on", len(logs(&orion.LogFilter{Level: &orion.Cond[orion.ID]{Ge: ptr(int64(30))}}, "TIMESTAMP_ASC", 200, 0)), 42)
		equal(t, "up to info", len(logs(&orion.LogFilter{Level: &orion.Cond[orion.ID]{Le: ptr(int64(20))}}, "TIMESTAMP_ASC", 200, 0)), 28)
		equal(t, "since", len(logs(&orion.LogFilter{Timestamp: &orion.Cond[orion.ID]{After: batch[68].Timestamp}}, "TIMESTAMP_ASC", 200, 0)), 2)
		equal(t, "of the task", len(logs(&orion.LogFilter{TaskRunID: &orion.Cond[orion.ID]{Any: &[]orion.ID{task}}}, "TIMESTAMP_ASC", 200, 0)), 1)
		equal(t, "of the flow alone", len(logs(&orion.LogFilter{TaskRunID: &orion.Cond[orion.ID]{IsNull: ptr(true)}, FlowRunID: &orion.Cond[orion.ID]{Any: &[]orion.ID{run}}}, "TIMESTAMP_ASC", 200, 0)), 69)
		equal(t, "of another", len(logs(&orion.LogFilter{FlowRunID: &orion.Cond[orion.ID]{Any: &[]orion.ID{task}}}, "TIMESTAMP_ASC", 200, 0)), 0)
		equal(t, "with a text", len(logs(&orion.LogFilter{Text: &orion.Cond[string]{Like: ptr("LINE 6")}}, "TIMESTAMP_ASC", 200, 0)), 11)
		if err := s.ForgetBatches(bg, orion.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendLogs(bg, batch[:1], digest); err != nil {
			t.Fatal(err)
		}
		equal(t, "after the digest was forgotten", len(logs(nil, "TIMESTAMP_ASC", 200, 0)), 71)
	})
}

func TestVariablesSearchesInputs(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for _, v := range []struct{ name, value string }{{"b", `"text"`}, {"a", `{"x":1}`}, {"c", `null`}} {
			must(t, s, func(tx *Tx) error {
				got, err := tx.CreateVariable(&orion.VariableCreate{Name: v.name, Value: orion.JSON(v.value), Tags: []string{v.name}})
				if err == nil && string(got.Value) != v.value {
					t.Errorf("%s reads back as %s", v.value, got.Value)
				}
				return err
			})
		}
		wantKind(t, "the name again", s.Write(bg, func(tx *Tx) error {
			_, err := tx.CreateVariable(&orion.VariableCreate{Name: "a", Value: orion.JSON(`1`)})
			return err
		}), orion.Conflict)
		list := func(f *orion.VariableFilter, sort string) string {
			return names(ask(t, s, func(tx *Tx) ([]orion.Variable, error) { return tx.Variables(f, &sort, 10, 0) }), func(v orion.Variable) string { return v.Name })
		}
		equal(t, "by name", list(nil, "NAME_ASC"), "a b c")
		equal(t, "by name down", list(nil, "NAME_DESC"), "c b a")
		equal(t, "newest", list(nil, "CREATED_DESC"), "c a b")
		equal(t, "of a value", list(&orion.VariableFilter{Value: &orion.Cond[string]{Any: &[]string{"text"}}}, "NAME_ASC"), "b")
		equal(t, "like a value", list(&orion.VariableFilter{Value: &orion.Cond[string]{Like: ptr("EX")}}, "NAME_ASC"), "b")
		equal(t, "tagged", list(&orion.VariableFilter{Tags: &orion.Cond[string]{All: &[]string{"a"}}}, "NAME_ASC"), "a")
		equal(t, "count", ask(t, s, func(tx *Tx) (int64, error) {
			return tx.CountVariables(&orion.VariableFilter{Name: &orion.Cond[string]{Like: ptr("c")}})
		}), 1)
		v := ask(t, s, func(tx *Tx) (*orion.Variable, error) { return tx.VariableByName("b") })
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateVariable(v.ID, &orion.VariableUpdate{Name: orion.Some("bb"), Value: orion.Some(orion.JSON(`[1]`)), Tags: orion.Some([]string{})})
			return err
		})
		v = ask(t, s, func(tx *Tx) (*orion.Variable, error) { return tx.Variable(v.ID) })
		if v.Name != "bb" || string(v.Value) != `[1]` || len(v.Tags) != 0 {
			t.Errorf("patched: %+v", v)
		}
		equal(t, "delete", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteVariable(v.ID) }), true)

		put := func(name, f string) (out *orion.SavedSearch, created bool) {
			must(t, s, func(tx *Tx) (err error) {
				out, created, err = tx.PutSavedSearch(&orion.SavedSearchCreate{Name: name, Filters: orion.JSON(f)})
				return err
			})
			return out, created
		}
		first, created := put("s", `[{"object":"flow"}]`)
		equal(t, "a new search", created, true)
		second, created := put("s", ``)
		if created || second.ID != first.ID || string(second.Filters) != `[]` || !second.Created.Equal(first.Created) {
			t.Errorf("put again: %+v, %v", second, created)
		}
		equal(t, "searches", len(ask(t, s, func(tx *Tx) ([]orion.SavedSearch, error) { return tx.SavedSearches(10, 0) })), 1)
		equal(t, "delete a search", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteSavedSearch(first.ID) }), true)
		if got := ask(t, s, func(tx *Tx) (*orion.SavedSearch, error) { return tx.SavedSearch(first.ID) }); got != nil {
			t.Error("a deleted search is there")
		}

		r := newRun(t, s, orion.FlowRun{Name: "r", FlowID: newFlow(t, s, "f").ID}, orion.Running, at(1, 0))
		for _, k := range []string{"p-2", "p-1", "other"} {
			must(t, s, func(tx *Tx) error {
				return tx.CreateFlowRunInput(r.ID, &orion.FlowRunInputCreate{Key: k, Value: "v " + k, Sender: ptr("me")})
			})
		}
		wantKind(t, "the key again", s.Write(bg, func(tx *Tx) error { return tx.CreateFlowRunInput(r.ID, &orion.FlowRunInputCreate{Key: "p-1"}) }), orion.Conflict)
		wantKind(t, "an input of no run", s.Write(bg, func(tx *Tx) error { return tx.CreateFlowRunInput(orion.NewID(), &orion.FlowRunInputCreate{Key: "k"}) }), orion.Conflict)
		inputs := func(prefix string, except []string, limit int64) string {
			return names(ask(t, s, func(tx *Tx) ([]orion.FlowRunInput, error) { return tx.FlowRunInputs(r.ID, prefix, except, limit) }), func(i orion.FlowRunInput) string { return i.Key })
		}
		equal(t, "oldest first", inputs("p-", nil, 10), "p-2 p-1")
		equal(t, "one", inputs("p-", nil, 1), "p-2")
		equal(t, "except", inputs("p-", []string{"p-2"}, 10), "p-1")
		equal(t, "value", ask(t, s, func(tx *Tx) (*orion.FlowRunInput, error) { return tx.FlowRunInput(r.ID, "p-1") }).Value, "v p-1")
		equal(t, "delete an input", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteFlowRunInput(r.ID, "p-1") }), true)
		equal(t, "left", inputs("", nil, 10), "p-2 other")

		must(t, s, func(tx *Tx) error { return tx.SetConfiguration("k", "v") })
		must(t, s, func(tx *Tx) error { return tx.SetConfiguration("k", "w") })
		equal(t, "configuration", ask(t, s, func(tx *Tx) (string, error) { return tx.Configuration("k") }), "w")
		equal(t, "configuration never set", ask(t, s, func(tx *Tx) (string, error) { return tx.Configuration("none") }), "")
	})
}

func TestBlocks(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		typ := do(t, s, func(tx *Tx) (*orion.BlockType, error) {
			return tx.CreateBlockType(&orion.BlockTypeCreate{Name: "Credentials", Slug: "credentials", Description: ptr("d")}, true)
		})
		if !typ.IsProtected || *typ.Description != "d" || typ.LogoURL != nil {
			t.Errorf("type %+v", typ)
		}
		wantKind(t, "the slug again", s.Write(bg, func(tx *Tx) error {
			_, err := tx.CreateBlockType(&orion.BlockTypeCreate{Name: "x", Slug: "credentials"}, false)
			return err
		}), orion.Conflict)
		other := do(t, s, func(tx *Tx) (*orion.BlockType, error) {
			return tx.CreateBlockType(&orion.BlockTypeCreate{Name: "Bucket", Slug: "bucket"}, false)
		})
		schema := func(typ orion.ID, sum, version, fields string, caps ...string) (out *orion.BlockSchema, created bool) {
			must(t, s, func(tx *Tx) (err error) {
				out, created, err = tx.CreateBlockSchema(&orion.BlockSchemaCreate{Fields: orion.JSON(fields), BlockTypeID: typ, Capabilities: caps, Version: &version}, sum)
				return err
			})
			return out, created
		}
		cs, _ := schema(typ.ID, "sha256:1", "1", `{"secret_fields":["password","deep.*","list.0"]}`, "notify")
		bs, _ := schema(other.ID, "sha256:2", "1", `{"secret_fields":["inner.password","inner.deep.*"]}`, "read-path", "write-path")
		if again, created := schema(typ.ID, "sha256:1", "1", `{}`); created || again.ID != cs.ID {
			t.Error("a schema of the same checksum and version is made twice")
		}
		newer, created := schema(typ.ID, "sha256:1", "2", `{}`)
		equal(t, "of another version", created, true)
		equal(t, "by checksum and version", ask(t, s, func(tx *Tx) (*orion.BlockSchema, error) { return tx.BlockSchemaByChecksum("sha256:1", "1") }).ID, cs.ID)
		equal(t, "by checksum", ask(t, s, func(tx *Tx) (*orion.BlockSchema, error) { return tx.BlockSchemaByChecksum("sha256:1", "") }).ID, newer.ID)
		var f orion.BlockSchemaFilter
		if err := orion.Decode([]byte(`{"block_capabilities":{"all_":["write-path","read-path"]}}`), &f); err != nil {
			t.Fatal(err)
		}
		equal(t, "by capabilities", names(ask(t, s, func(tx *Tx) ([]orion.BlockSchema, error) { return tx.BlockSchemas(&f, 10, 0) }), func(s orion.BlockSchema) string { return s.Checksum }), "sha256:2")
		equal(t, "types by capabilities", names(ask(t, s, func(tx *Tx) ([]orion.BlockType, error) { return tx.BlockTypes(nil, &f, 10, 0) }), func(b orion.BlockType) string { return b.Slug }), "bucket")
		equal(t, "types", names(ask(t, s, func(tx *Tx) ([]orion.BlockType, error) {
			return tx.BlockTypes(&orion.BlockTypeFilter{Name: &orion.Cond[string]{Like: ptr("CRED")}}, nil, 10, 0)
		}), func(b orion.BlockType) string { return b.Slug }), "credentials")
		caps := ask(t, s, func(tx *Tx) ([]string, error) { return tx.BlockCapabilities() })
		sort.Strings(caps)
		equal(t, "capabilities", strings.Join(caps, " "), "notify read-path write-path")

		save := func(typ, schema orion.ID, name *string, anonymous bool, data string) *orion.BlockDocument {
			t.Helper()
			return do(t, s, func(tx *Tx) (*orion.BlockDocument, error) {
				return tx.CreateBlockDocument(&orion.BlockDocumentCreate{Name: name, Data: orion.JSON(data), BlockSchemaID: schema, BlockTypeID: typ, IsAnonymous: &anonymous})
			})
		}
		c := save(typ.ID, cs.ID, ptr("c"), false, `{"user":"u","password":"p","deep":{"a":"x","b":{"c":"y"}}}`)
		b := save(other.ID, bs.ID, ptr("b"), false, `{"path":"/x","inner":{"$ref":{"block_document_id":"`+c.ID.String()+`"}}}`)
		anon := save(other.ID, bs.ID, nil, true, `{}`)
		wantKind(t, "the name again", s.Write(bg, func(tx *Tx) error {
			_, err := tx.CreateBlockDocument(&orion.BlockDocumentCreate{Name: ptr("c"), BlockSchemaID: cs.ID, BlockTypeID: typ.ID})
			return err
		}), orion.Conflict)
		read := func(id orion.ID) *orion.BlockDocument {
			t.Helper()
			return ask(t, s, func(tx *Tx) (*orion.BlockDocument, error) { return tx.BlockDocument(id) })
		}
		data := func(d *orion.BlockDocument, path ...string) string {
			t.Helper()
			v := d.Data
			for _, p := range path {
				var m map[string]orion.JSON
				if err := orion.Decode(v, &m); err != nil {
					t.Fatal(err)
				}
				v = m[p]
			}
			return string(v)
		}
		d := read(b.ID)
		equal(t, "the nested block's password", data(d, "inner", "password"), `"p"`)
		if !strings.Contains(string(d.BlockDocumentReferences), c.ID.String()) {
			t.Errorf("references %s", d.BlockDocumentReferences)
		}
		if err := MaskBlock(d); err != nil {
			t.Fatal(err)
		}
		mask := `"` + secret.Mask + `"`
		equal(t, "masked", data(d, "inner", "password")+data(d, "inner", "user")+data(d, "inner", "deep", "b", "c")+data(d, "path"), mask+`"u"`+mask+`"/x"`)
		var raw string
		must(t, s, func(tx *Tx) error {
			_, err := tx.one("SELECT data FROM block_document WHERE workspace_id = ? AND id = ?", []any{tx.ws, c.ID}, &raw)
			return err
		})
		if strings.Contains(raw, "password") || strings.Contains(raw, `"p"`) {
			t.Errorf("stored in the clear: %s", raw)
		}

		patch := func(id orion.ID, data string, merge bool) error {
			return s.Write(bg, func(tx *Tx) error {
				_, err := tx.UpdateBlockDocument(id, &orion.BlockDocumentUpdate{Data: orion.Some(orion.JSON(data)), MergeExistingData: &merge})
				return err
			})
		}
		for _, step := range []struct {
			what, data string
			merge      bool
			want       string
		}{
			{"a merge", `{"user":"v"}`, true, `"v" "p" "x"`},
			{"the mask for the password", `{"user":"w","password":` + mask + `,"deep":{"a":` + mask + `}}`, false, `"w" "p" "x"`},
			{"a new password", `{"user":"w","password":"q","deep":{"a":"z"}}`, false, `"w" "q" "z"`},
		} {
			if err := patch(c.ID, step.data, step.merge); err != nil {
				t.Fatal(err)
			}
			d := read(c.ID)
			equal(t, "after "+step.what, data(d, "user")+" "+data(d, "password")+" "+data(d, "deep", "a"), step.want)
		}
		wantKind(t, "a block in itself", patch(c.ID, `{"x":{"$ref":{"block_document_id":"`+c.ID.String()+`"}}}`, true), orion.Invalid)
		wantKind(t, "a block in what it holds", patch(c.ID, `{"x":{"$ref":{"block_document_id":"`+b.ID.String()+`"}}}`, true), orion.Invalid)
		wantKind(t, "a block that is not there", patch(c.ID, `{"x":{"$ref":{"block_document_id":"`+orion.NewID().String()+`"}}}`, true), orion.Conflict)
		if err := patch(b.ID, `{"path":"/y"}`, true); err != nil {
			t.Fatal(err)
		}
		equal(t, "the nested block after a merge", data(read(b.ID), "inner", "password"), `"q"`)
		wantKind(t, "a schema of another type", s.Write(bg, func(tx *Tx) error {
			_, err := tx.UpdateBlockDocument(b.ID, &orion.BlockDocumentUpdate{BlockSchemaID: orion.Some(cs.ID)})
			return err
		}), orion.BadRequest)

		list := func(body string) string {
			var f *orion.BlockDocumentFilter
			if body != "" {
				f = &orion.BlockDocumentFilter{}
				if err := orion.Decode([]byte(body), f); err != nil {
					t.Fatal(err)
				}
			}
			return names(ask(t, s, func(tx *Tx) ([]orion.BlockDocument, error) {
				return tx.BlockDocuments(f, nil, nil, ptr("BLOCK_TYPE_AND_NAME_ASC"), 10, 0)
			}),
				func(d orion.BlockDocument) string { return (*d.Name)[:1] })
		}
		equal(t, "named blocks", list(""), "b c")
		equal(t, "a filter that says nothing of anonymous ones", list(`{}`), "b c")
		equal(t, "anonymous ones", list(`{"is_anonymous":{"eq_":true}}`), "a")
		equal(t, "all", list(`{"is_anonymous":null}`), "a b c")
		equal(t, "by id", list(`{"is_anonymous":null,"id":{"any_":["`+anon.ID.String()+`"]}}`), "a")
		equal(t, "count", ask(t, s, func(tx *Tx) (int64, error) { return tx.CountBlockDocuments(nil, nil, &f) }), 1)
		equal(t, "by name", ask(t, s, func(tx *Tx) (*orion.BlockDocument, error) { return tx.BlockDocumentByName("credentials", "c") }).ID, c.ID)
		equal(t, "there", ask(t, s, func(tx *Tx) (bool, error) { return tx.HasBlockDocument(c.ID) }), true)

		policy := do(t, s, func(tx *Tx) (*orion.NotificationPolicy, error) {
			return tx.CreateNotificationPolicy(&orion.NotificationPolicyCreate{StateNames: []string{"Failed"}, Tags: []string{}, BlockDocumentID: c.ID})
		})
		must(t, s, func(tx *Tx) error {
			ok, err := tx.UpdateNotificationPolicy(policy.ID, &orion.NotificationPolicyUpdate{IsActive: orion.Some(false), Tags: orion.Some([]string{"t"}), MessageTemplate: orion.Some("{flow_name}")})
			equal(t, "patch a policy", ok, true)
			return err
		})
		policy = ask(t, s, func(tx *Tx) (*orion.NotificationPolicy, error) { return tx.NotificationPolicy(policy.ID) })
		if policy.IsActive || !slices.Equal(policy.Tags, []string{"t"}) || *policy.MessageTemplate != "{flow_name}" || !slices.Equal(policy.StateNames, []string{"Failed"}) {
			t.Errorf("policy %+v", policy)
		}
		for active, n := range map[bool]int{true: 0, false: 1} {
			equal(t, "policies", len(ask(t, s, func(tx *Tx) ([]orion.NotificationPolicy, error) { return tx.NotificationPolicies(&active, 10, 0) })), n)
		}
		must(t, s, func(tx *Tx) error { return tx.SetConfiguration(DefaultResultStorage, c.ID.String()) })
		equal(t, "result storage", ask(t, s, func(tx *Tx) (orion.ID, error) { return tx.ResultStorage() }), c.ID)
		equal(t, "delete", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteBlockDocument(c.ID) }), true)
		equal(t, "result storage that is gone", ask(t, s, func(tx *Tx) (orion.ID, error) { return tx.ResultStorage() }), orion.ID{})
		equal(t, "the block without its nested one", data(read(b.ID)), `{"path":"/y"}`)
		equal(t, "policies without their block", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteNotificationPolicy(policy.ID) }), false)
		must(t, s, func(tx *Tx) error {
			_, err := tx.UpdateBlockType(typ.ID, &orion.BlockTypeUpdate{Description: orion.Some("new")})
			return err
		})
		equal(t, "description", *ask(t, s, func(tx *Tx) (*orion.BlockType, error) { return tx.BlockTypeBySlug("credentials") }).Description, "new")
		equal(t, "delete a schema", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteBlockSchema(bs.ID) }), true)
		equal(t, "delete a type", do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteBlockType(typ.ID) }), true)
		if got := ask(t, s, func(tx *Tx) (*orion.BlockSchema, error) { return tx.BlockSchema(cs.ID) }); got != nil {
			t.Error("a type's schemas outlive it")
		}
		if got := ask(t, s, func(tx *Tx) (*orion.BlockType, error) { return tx.BlockType(typ.ID) }); got != nil {
			t.Error("the type is there")
		}
	})
}

// The sums of the history against what a loop over the runs gives.
func TestHistory(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		f := newFlow(t, s, "f")
		type key struct {
			bucket int
			name   string
		}
		type sum struct {
			n         int64
			run, late time.Duration
		}
		want := map[key]sum{}
		rnd := rand.New(rand.NewPCG(1, 2))
		start, step, buckets := at(0, 0), 10*time.Minute, 7
		var late time.Duration
		for i := range 60 {
			expected := start.Add(time.Duration(rnd.IntN(80*60)) * time.Second)
			typ := []orion.StateType{orion.Completed, orion.Failed, orion.Scheduled}[i%3]
			r := newRun(t, s, orion.FlowRun{Name: "r", FlowID: f.ID}, typ, expected)
			r.TotalRunTime = orion.Seconds(time.Duration(rnd.IntN(1e9)) * time.Microsecond)
			lateness := time.Duration(rnd.IntN(1e8)) * time.Microsecond
			if typ == orion.Scheduled {
				lateness, r.TotalRunTime = 0, 0 // expected in years to come
			} else {
				r.StartTime = expected.Add(lateness)
			}
			late += lateness
			must(t, s, func(tx *Tx) error { return tx.EnterFlowRunState(&r, (&orion.StateCreate{Type: typ}).State(expected)) })
			if b := int(expected.Sub(start) / step); b < buckets {
				k := key{b, string(typ)}
				w := want[k]
				want[k] = sum{w.n + 1, w.run + time.Duration(r.TotalRunTime), w.late + lateness}
			}
		}
		got := ask(t, s, func(tx *Tx) ([]orion.HistoryBucket, error) {
			return tx.FlowRunHistory(filters(t, `{"flows":{"name":{"any_":["f"]}}}`), start, start.Add(time.Duration(buckets)*step), orion.Seconds(step))
		})
		equal(t, "buckets", len(got), buckets)
		found := 0
		for i, b := range got {
			if !b.IntervalStart.Equal(start.Add(time.Duration(i)*step)) || !b.IntervalEnd.Equal(b.IntervalStart.Add(step)) {
				t.Errorf("bucket %d is %v to %v", i, b.IntervalStart, b.IntervalEnd)
			}
			for _, h := range b.States {
				found++
				equal(t, fmt.Sprint("bucket ", i, " ", h.StateName), sum{h.CountRuns, time.Duration(h.SumEstimatedRunTime), time.Duration(h.SumEstimatedLateness)}, want[key{i, h.StateType}])
			}
		}
		equal(t, "states in buckets", found, len(want))
		avg := ask(t, s, func(tx *Tx) (*float64, error) { return tx.FlowRunLateness(filters(t, `{}`)) })
		if avg == nil || *avg < late.Seconds()/60-1e-5 || *avg > late.Seconds()/60+1e-5 {
			t.Errorf("average lateness %v, want %v", *avg, late.Seconds()/60)
		}
		if none := ask(t, s, func(tx *Tx) (*float64, error) {
			return tx.FlowRunLateness(filters(t, `{"flow_runs":{"name":{"any_":["none"]}}}`))
		}); none != nil {
			t.Errorf("lateness of no runs: %v", *none)
		}
		bars := ask(t, s, func(tx *Tx) ([]SimpleFlowRun, error) { return tx.SimpleFlowRuns(filters(t, `{}`), nil, 100, 0) })
		equal(t, "bars", len(bars), 60)

		newTask(t, s, orion.TaskRun{Name: "t"}, orion.Completed, at(1, 0))
		newTask(t, s, orion.TaskRun{Name: "t"}, orion.Failed, at(1, 0))
		newTask(t, s, orion.TaskRun{Name: "t"}, orion.Crashed, at(1, 59))
		newTask(t, s, orion.TaskRun{Name: "t"}, orion.Running, at(1, 30))
		counts := ask(t, s, func(tx *Tx) ([]TaskRunCount, error) {
			return tx.DashboardCounts(filters(t, `{"task_runs":{"start_time":{"after_":"2030-01-02T01:00:00Z"}}}`), at(1, 0), at(2, 0), 20)
		})
		if len(counts) != 20 || counts[0] != (TaskRunCount{1, 1}) || counts[19] != (TaskRunCount{0, 1}) || counts[10] != (TaskRunCount{}) {
			t.Errorf("dashboard: %v", counts)
		}
		tasks := ask(t, s, func(tx *Tx) ([]orion.HistoryBucket, error) {
			return tx.TaskRunHistory(filters(t, `{}`), at(1, 0), at(2, 0), orion.Seconds(time.Hour))
		})
		if len(tasks) != 1 || len(tasks[0].States) != 4 {
			t.Errorf("history of task runs: %+v", tasks)
		}
	})
}

func TestGraph(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		f := newFlow(t, s, "flow")
		r := newRun(t, s, orion.FlowRun{Name: "r", FlowID: f.ID}, orion.Running, at(1, 0))
		a := newTask(t, s, orion.TaskRun{Name: "a", FlowRunID: r.ID}, orion.Completed, at(1, 1))
		input := `{"x":[{"input_type":"task_run","id":"` + a.ID.String() + `"},{"input_type":"task_run","id":"` + a.ID.String() + `"},{"input_type":"constant","type":"int"}]}`
		b := newTask(t, s, orion.TaskRun{Name: "b", FlowRunID: r.ID, TaskInputs: orion.JSON(input)}, orion.Running, at(1, 2))
		newTask(t, s, orion.TaskRun{Name: "pending", FlowRunID: r.ID}, orion.Pending, at(1, 3))
		dummy := newTask(t, s, orion.TaskRun{Name: "dummy", FlowRunID: r.ID}, orion.Running, at(1, 4))
		sub := newRun(t, s, orion.FlowRun{Name: "sub", FlowID: f.ID, ParentTaskRunID: dummy.ID}, orion.Running, at(1, 5))
		art := do(t, s, func(tx *Tx) (*orion.Artifact, error) {
			return tx.CreateArtifact(&orion.ArtifactCreate{Key: ptr("k"), Type: ptr("table"), FlowRunID: r.ID, TaskRunID: b.ID})
		})
		must(t, s, func(tx *Tx) error {
			_, err := tx.CreateArtifact(&orion.ArtifactCreate{Type: ptr("result"), FlowRunID: r.ID})
			return err
		})
		g := ask(t, s, func(tx *Tx) (*Graph, error) {
			r, err := tx.FlowRun(r.ID)
			if err != nil {
				return nil, err
			}
			return tx.FlowRunGraph(r, orion.Time{})
		})
		var label []string
		for _, n := range g.Nodes {
			label = append(label, n[1].(*GraphNode).Label)
		}
		equal(t, "nodes", strings.Join(label, ", "), "a, b, flow / sub")
		nb := g.Nodes[1][1].(*GraphNode)
		if len(nb.Parents) != 1 || nb.Parents[0].ID != a.ID || len(nb.Artifacts) != 1 || nb.Artifacts[0].ID != art.ID || !nb.Artifacts[0].IsLatest {
			t.Errorf("node b: %+v", nb)
		}
		equal(t, "the subflow", g.Nodes[2][0].(orion.ID), sub.ID)
		if !slices.Equal(g.RootNodeIDs, []orion.ID{a.ID, sub.ID}) || len(g.Artifacts) != 0 || len(g.States) != 1 {
			t.Errorf("graph: roots %v, artifacts %v, states %v", g.RootNodeIDs, g.Artifacts, g.States)
		}
		deps := ask(t, s, func(tx *Tx) ([]Dependency, error) { return tx.Dependencies(r.ID) })
		if len(deps) != 4 || !strings.Contains(string(deps[1].Upstream), a.ID.String()) {
			t.Errorf("dependencies: %+v", deps)
		}
	})
}
