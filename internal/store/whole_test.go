package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/testenv"
)

// The store as a whole: workspaces, migrations, failures and load.

func TestWorkspacesNeverMeet(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		must(t, s, func(tx *Tx) error {
			_, err := tx.exec("INSERT INTO workspace (id, name, created) VALUES (2, 'second', ?)", tx.now)
			return err
		})
		second := inWorkspace{t, 2}
		populate := func(t testing.TB, id orion.ID) world {
			w := build(t, s)
			must(t, s, func(tx *Tx) error {
				r := orion.FlowRun{ID: id, Name: "same id", FlowID: w.alpha.ID, Tags: []string{"same"}}
				if ok, err := tx.InsertFlowRun(&r); !ok || err != nil {
					return errors.Join(errors.New("an id of another workspace is in the way"), err)
				}
				if err := tx.EnterFlowRunState(&r, (&orion.StateCreate{Type: orion.Running}).State(at(1, 0))); err != nil {
					return err
				}
				if _, err := tx.CreateVariable(&orion.VariableCreate{Name: "v", Value: orion.JSON(`1`)}); err != nil {
					return err
				}
				if _, err := tx.CreateArtifact(&orion.ArtifactCreate{Key: ptr("k"), FlowRunID: id}); err != nil {
					return err
				}
				if _, _, err := tx.CreateTagLimit(&orion.TagLimitCreate{Tag: "t", ConcurrencyLimit: ptr(int64(1))}); err != nil {
					return err
				}
				if _, _, err := tx.TakeSlots([]string{"limit"}, 1, false); err != nil {
					return err
				}
				if _, _, err := tx.PutSavedSearch(&orion.SavedSearchCreate{Name: "s"}); err != nil {
					return err
				}
				typ, err := tx.CreateBlockType(&orion.BlockTypeCreate{Name: "B", Slug: "b"}, false)
				if err != nil {
					return err
				}
				schema, _, err := tx.CreateBlockSchema(&orion.BlockSchemaCreate{BlockTypeID: typ.ID}, "sum")
				if err != nil {
					return err
				}
				_, err = tx.CreateBlockDocument(&orion.BlockDocumentCreate{Name: ptr("b"), BlockSchemaID: schema.ID, BlockTypeID: typ.ID, Data: orion.JSON(`{"x":1}`)})
				return err
			})
			if err := s.AppendLogs(scopeOf(t), []orion.LogCreate{{Name: "n", Message: "m", Timestamp: at(1, 0), FlowRunID: id}}, id); err != nil {
				t.Fatal(err)
			}
			return w
		}
		// what everything in sight is, as one line
		see := func(t testing.TB) string {
			logs, err := s.Logs(scopeOf(t), nil, nil, 10, 0)
			if err != nil {
				t.Fatal(err)
			}
			return ask(t, s, func(tx *Tx) (string, error) {
				var out []string
				var failed error
				add := func(what string, n int64, err error) {
					out, failed = append(out, fmt.Sprint(what, " ", n)), errors.Join(failed, err)
				}
				all := &orion.RunFilters{}
				n, err := tx.CountFlows(all)
				add("flows", n, err)
				n, err = tx.CountFlowRuns(all)
				add("flow runs", n, err)
				n, err = tx.CountTaskRuns(all)
				add("task runs", n, err)
				n, err = tx.CountDeployments(all)
				add("deployments", n, err)
				n, err = tx.CountWorkPools(nil)
				add("pools", n, err)
				n, err = tx.CountVariables(nil)
				add("variables", n, err)
				n, err = tx.CountArtifacts(nil, all)
				add("artifacts", n, err)
				n, err = tx.CountLatestArtifacts(nil, all)
				add("keys", n, err)
				n, err = tx.CountBlockDocuments(nil, nil, nil)
				add("blocks", n, err)
				qs, err := tx.WorkQueues(nil, nil, 99, 0)
				add("queues", int64(len(qs)), err)
				ls, err := tx.TagLimits(99, 0)
				add("tag limits", int64(len(ls)), err)
				cs, err := tx.ConcurrencyLimits(99, 0)
				add("limits", int64(len(cs)), err)
				ss, err := tx.SavedSearches(99, 0)
				add("searches", int64(len(ss)), err)
				ts, err := tx.BlockTypes(nil, nil, 99, 0)
				add("block types", int64(len(ts)), err)
				bs, err := tx.BlockSchemas(nil, 99, 0)
				add("schemas", int64(len(bs)), err)
				tagged, err := tx.CountFlowRuns(&orion.RunFilters{FlowRuns: &orion.FlowRunFilter{Tags: &orion.Cond[string]{All: &[]string{"same"}}}})
				add("tagged", tagged, err)
				h, err := tx.FlowRunHistory(all, at(0, 0), at(20, 0), orion.Seconds(20*time.Hour))
				for _, b := range h {
					add("states", int64(len(b.States)), err)
				}
				add("logs", int64(len(logs)), nil)
				return strings.Join(out, ", "), failed
			})
		}
		empty := see(t)
		id := orion.NewID()
		w := populate(second, id)
		equal(t, "what the first workspace sees of the second", see(t), empty)
		full := see(second)
		for what, got := range map[string]any{
			"flow":       ask(t, s, func(tx *Tx) (*orion.Flow, error) { return tx.Flow(w.alpha.ID) }) == nil,
			"flow run":   ask(t, s, func(tx *Tx) (*orion.FlowRun, error) { return tx.FlowRun(w.r1.ID) }) == nil,
			"task run":   ask(t, s, func(tx *Tx) (*orion.TaskRun, error) { return tx.TaskRun(w.t1.ID) }) == nil,
			"deployment": ask(t, s, func(tx *Tx) (*orion.Deployment, error) { return tx.Deployment(w.d1.ID) }) == nil,
			"queue":      ask(t, s, func(tx *Tx) (*orion.WorkQueue, error) { return tx.WorkQueue(w.queue.ID) }) == nil,
			"state":      ask(t, s, func(tx *Tx) (*orion.State, error) { return tx.FlowRunState(w.r1.StateID) }) == nil,
			"due runs":   len(ask(t, s, func(tx *Tx) ([]*orion.FlowRun, error) { return tx.DueInQueue(w.queue, at(9, 0), 9) })) == 0,
			"graph":      len(ask(t, s, func(tx *Tx) ([]*orion.TaskRun, error) { return tx.TaskRunsOf(w.r2.ID) })) == 0,
			"delete":     do(t, s, func(tx *Tx) (bool, error) { return tx.DeleteFlow(w.alpha.ID) }) == false,
			"patch": do(t, s, func(tx *Tx) (bool, error) {
				return tx.UpdateFlowRun(w.r1.ID, &orion.FlowRunUpdate{Name: orion.Some("x")})
			}) == false,
		} {
			if got != true {
				t.Errorf("%s: the other workspace is reached", what)
			}
		}
		wantKind(t, "a run of a flow of the other workspace", s.Write(bg, func(tx *Tx) error {
			_, err := tx.InsertFlowRun(&orion.FlowRun{ID: orion.NewID(), FlowID: w.alpha.ID})
			return err
		}), orion.Conflict)
		populate(t, id)
		equal(t, "both the same", see(t), full)
		if err := s.Clear(bg); err != nil {
			t.Fatal(err)
		}
		equal(t, "the first after clearing it", see(t), empty)
		equal(t, "the second after clearing the first", see(second), full)
	})
}

func TestMigrationsGiveTheSameTables(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	lite, pg := open(t, Options{Dir: t.TempDir()}), open(t, Options{URL: url})
	read := func(s *Store, logs bool, sql string) (out []string) {
		f := func(tx *Tx) error {
			return tx.query(sql, nil, func(r *Row) error {
				var a, b, c string
				err := r.Scan(&a, &b, &c)
				out = append(out, a+" "+b+" "+c)
				return err
			})
		}
		var err error
		if logs {
			err = s.readLogs(bg, f)
		} else {
			err = s.Read(bg, f)
		}
		if err != nil {
			t.Fatal(err)
		}
		sort.Strings(out)
		return out
	}
	const columns = `SELECT m.name, c.name, CASE WHEN c."notnull" = 1 OR c.pk > 0 THEN 'NOT NULL' ELSE 'NULL' END FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`
	const indexes = `SELECT m.tbl_name, m.name, '' FROM sqlite_master m WHERE m.type = 'index' AND m.name NOT LIKE 'sqlite_%'`
	both := func(sql string) []string {
		out := append(read(lite, false, sql), read(lite, true, sql)...)
		sort.Strings(out)
		return out
	}
	compare := func(what string, a, b []string) {
		if len(a) < 20 {
			t.Errorf("only %d %s", len(a), what)
		}
		if x, y := strings.Join(a, "\n"), strings.Join(b, "\n"); x != y {
			t.Errorf("%s differ:\nSQLite has\n%s\nPostgreSQL has\n%s", what, x, y)
		}
	}
	compare("columns", both(columns), read(pg, false, `SELECT table_name::text, column_name::text, CASE is_nullable WHEN 'NO' THEN 'NOT NULL' ELSE 'NULL' END FROM information_schema.columns WHERE table_schema = 'public'`))
	compare("indexes", both(indexes), read(pg, false, `SELECT tablename::text, indexname::text, '' FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname::text FROM pg_constraint)`))
}

func TestOpenAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, o := range map[string]func(t *testing.T) Options{
		"sqlite":   func(*testing.T) Options { return Options{Dir: dir} },
		"postgres": func(t *testing.T) Options { return Options{URL: testenv.Postgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loads := 0
			o := o(t)
			o.Log = quiet
			o.BuiltIn = BuiltIn{Digest: "1", Load: func() ([]orion.BlockSchema, error) {
				loads++
				return []orion.BlockSchema{{Checksum: "sum", Version: "1", Fields: orion.JSON(`{}`), BlockType: &orion.BlockType{Name: "Secret", Slug: "secret", Description: ptr("d"), IsProtected: true}}}, nil
			}}
			reopen := func() *Store {
				t.Helper()
				s, err := Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := reopen()
			typ := ask(t, s, func(tx *Tx) (*orion.BlockType, error) { return tx.BlockTypeBySlug("secret") })
			doc := do(t, s, func(tx *Tx) (*orion.BlockDocument, error) {
				schema, err := tx.BlockSchemaByChecksum("sum", "1")
				if err != nil {
					return nil, err
				}
				if _, err := tx.UpdateBlockType(typ.ID, &orion.BlockTypeUpdate{Description: orion.Some("changed")}); err != nil {
					return nil, err
				}
				return tx.CreateBlockDocument(&orion.BlockDocumentCreate{Name: ptr("d"), BlockSchemaID: schema.ID, BlockTypeID: typ.ID, Data: orion.JSON(`{"value":"v"}`)})
			})
			s.Close()
			s = reopen()
			equal(t, "loads of the built-in types", loads, 1)
			if d := ask(t, s, func(tx *Tx) (*orion.BlockDocument, error) { return tx.BlockDocument(doc.ID) }); string(d.Data) != `{"value":"v"}` {
				t.Errorf("the sealed data is %s", d.Data)
			}
			s.Close()
			o.BuiltIn.Digest = "2"
			s = reopen()
			equal(t, "loads after there is something new", loads, 2)
			if b := ask(t, s, func(tx *Tx) (*orion.BlockType, error) { return tx.BlockTypeBySlug("secret") }); *b.Description != "changed" || b.ID != typ.ID {
				t.Errorf("what was changed since: %+v", b)
			}
			if err := s.Clear(bg); err != nil {
				t.Fatal(err)
			}
			if b := ask(t, s, func(tx *Tx) (*orion.BlockType, error) { return tx.BlockTypeBySlug("secret") }); b == nil || b.ID == typ.ID || !b.IsProtected {
				t.Errorf("after Clear: %+v", b)
			}
			must(t, s, func(tx *Tx) error {
				_, err := tx.exec("INSERT INTO migration (version, applied) VALUES (999, 0)")
				return err
			})
			s.Close()
			_, err := Open(t.Context(), o)
			if orion.KindOf(err) != orion.Invalid || !strings.Contains(err.Error(), "newer Orion") {
				t.Errorf("a schema of the future: %v", err)
			}
		})
	}
}

func TestNoticesReachOtherReplicas(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	a, b := open(t, Options{URL: url, Conns: 2}), open(t, Options{URL: url, Conns: 2})
	c, end := b.Subscribe(TopicCancelling)
	defer end()
	for range 50 { // until b's listener has connected
		must(t, a, func(tx *Tx) error { tx.Notify(TopicCancelling); return nil })
		select {
		case <-c:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Error("the other replica heard nothing")
}

// PostgreSQL by itself would get to know the tables of a new database within a
// minute, and have plans for empty ones until then.
func TestGrowingTablesAreAnalysed(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URL: testenv.Postgres(t)})
	f := newFlow(t, s, "f")
	for range 500 {
		must(t, s, func(tx *Tx) error {
			_, err := tx.InsertFlowRun(&orion.FlowRun{ID: orion.NewID(), Name: "r", FlowID: f.ID})
			return err
		})
	}
	known := func() int64 {
		return ask(t, s, func(tx *Tx) (int64, error) {
			return tx.count("SELECT COUNT(*) FROM pg_stats WHERE schemaname = current_schema() AND tablename = 'flow_run' AND attname = 'workspace_id'")
		})
	}
	for deadline := time.Now().Add(30 * time.Second); known() == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a table of 500 runs has no statistics")
		}
	}
}

func TestOnlyThoseWaitWhoWantTheSameRun(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	a, b := open(t, Options{URL: url, Conns: 2}), open(t, Options{URL: url, Conns: 2})
	f := newFlow(t, a, "f")
	held := newRun(t, a, orion.FlowRun{Name: "held", FlowID: f.ID}, orion.Running, at(1, 0))
	free := newRun(t, a, orion.FlowRun{Name: "free", FlowID: f.ID}, orion.Running, at(1, 0))
	enter := func(tx *Tx, id orion.ID, typ orion.StateType) error {
		r, err := tx.LockFlowRun(id)
		if err != nil {
			return err
		}
		return tx.EnterFlowRunState(r, (&orion.StateCreate{Type: typ}).State(at(2, 0)))
	}
	locked, release, saw := make(chan struct{}), make(chan struct{}), make(chan orion.StateType, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		must(t, b, func(tx *Tx) error {
			defer func() { close(locked); <-release }()
			return enter(tx, held.ID, orion.Cancelling)
		})
	})
	<-locked
	wg.Go(func() {
		must(t, a, func(tx *Tx) error {
			r, err := tx.LockFlowRun(held.ID)
			if err == nil {
				saw <- r.State.Type
			}
			return err
		})
	})
	for range 20 {
		must(t, a, func(tx *Tx) error { return enter(tx, free.ID, orion.Running) })
		must(t, a, func(tx *Tx) error { // what refers to a locked run needs not wait either
			_, err := tx.InsertTaskRun(&orion.TaskRun{ID: orion.NewID(), Name: "t", FlowRunID: held.ID, TaskKey: "k", DynamicKey: orion.NewID().String()})
			return err
		})
	}
	if len(saw) > 0 {
		t.Error("the run was to be had while another replica was changing it")
	}
	close(release)
	equal(t, "the state that the other replica gave it", <-saw, orion.Cancelling)
}

func TestManyWritersAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		f := newFlow(t, s, "f")
		var wg sync.WaitGroup
		failed := make(chan error, 64)
		for i := range 64 {
			wg.Go(func() {
				failed <- func() error {
					for j := range 5 {
						err := s.Write(bg, func(tx *Tx) error {
							pool, err := tx.EnsureAgentPool()
							if err != nil {
								return err
							}
							q, err := tx.EnsureWorkQueue(pool, fmt.Sprint("q", j))
							if err != nil {
								return err
							}
							if _, _, err := tx.CreateFlow(&orion.FlowCreate{Name: fmt.Sprint("flow ", j)}); err != nil {
								return err
							}
							_, err = tx.UpsertDeployment(&orion.DeploymentCreate{Name: fmt.Sprint("d", j), FlowID: f.ID}, q)
							return err
						})
						if err == nil {
							err = s.Write(bg, func(tx *Tx) error {
								_, err := tx.InsertFlowRun(&orion.FlowRun{ID: orion.NewID(), Name: fmt.Sprint(i, "-", j), FlowID: f.ID, Tags: []string{"t"}})
								return err
							})
						}
						if err == nil {
							err = s.Read(bg, func(tx *Tx) error { _, err := tx.CountFlowRuns(&orion.RunFilters{}); return err })
						}
						if err != nil {
							return err
						}
					}
					return nil
				}()
			})
		}
		wg.Wait()
		close(failed)
		for err := range failed {
			if err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "runs", ask(t, s, func(tx *Tx) (int64, error) {
			return tx.CountFlowRuns(filters(t, `{"flow_runs":{"tags":{"all_":["t"]}}}`))
		}), 64*5)
		equal(t, "flows", ask(t, s, func(tx *Tx) (int64, error) { return tx.CountFlows(&orion.RunFilters{}) }), 6)
		equal(t, "deployments", ask(t, s, func(tx *Tx) (int64, error) { return tx.CountDeployments(&orion.RunFilters{}) }), 5)
	})
}

func TestCloseWhileWriting(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		var wg sync.WaitGroup
		begun := make(chan struct{}, 16)
		for range 16 {
			wg.Go(func() {
				for i := 0; ; i++ {
					if err := s.Write(bg, func(tx *Tx) error { return tx.SetConfiguration("k", "v") }); err != nil {
						return
					}
					if i == 3 {
						begun <- struct{}{}
					}
				}
			})
		}
		for range 16 {
			<-begun
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait() // everybody is answered
	})
}

func TestWritesThatFailAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				err := s.Write(bg, func(tx *Tx) error {
					if _, _, err := tx.CreateFlow(&orion.FlowCreate{Name: fmt.Sprint(i)}); err != nil {
						return err
					}
					switch i % 4 {
					case 1:
						return errors.New("no")
					case 2:
						panic("bad")
					case 3:
						_, err := tx.exec("INSERT INTO nothing VALUES (1)")
						return err
					}
					return nil
				})
				if (err == nil) != (i%4 == 0) {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		wg.Wait()
		equal(t, "flows", ask(t, s, func(tx *Tx) (int64, error) { return tx.CountFlows(&orion.RunFilters{}) }), 10)
		ran := false
		ctx, cancel := context.WithCancel(bg)
		cancel()
		if err := s.Write(ctx, func(tx *Tx) error { ran = true; return nil }); err == nil && !ran {
			t.Error("a write was dropped without an error")
		}
		after := 0
		must(t, s, func(tx *Tx) error { tx.OnCommit(func() { after++ }); return nil })
		s.Write(bg, func(tx *Tx) error { tx.OnCommit(func() { after += 100 }); return errors.New("no") })
		equal(t, "hooks", after, 1)
	})
}

// A child process writes and says what was answered; what it said is there
// after it was killed.
func TestAnsweredWritesSurviveKill(t *testing.T) {
	if dir := os.Getenv("ORION_TEST_WRITER"); dir != "" {
		s, err := Open(context.Background(), Options{Dir: dir, Log: quiet})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		for i := 0; ; i++ {
			name := fmt.Sprint("n", i)
			err := s.Write(bg, func(tx *Tx) error {
				_, err := tx.CreateVariable(&orion.VariableCreate{Name: name, Value: orion.JSON(`1`)})
				return err
			})
			if err == nil {
				err = s.AppendLogs(bg, []orion.LogCreate{{Name: name, Message: "m", Timestamp: orion.Now()}}, orion.NewID())
			}
			if err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			fmt.Println(name)
		}
	}
	t.Parallel()
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestAnsweredWritesSurviveKill$")
	child.Env = append(os.Environ(), "ORION_TEST_WRITER="+dir)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	answered := []string{}
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "error") {
			t.Fatal(lines.Text())
		}
		if answered = append(answered, lines.Text()); len(answered) == 200 {
			child.Process.Kill()
		}
	}
	child.Wait()
	s := open(t, Options{Dir: dir})
	for _, name := range answered {
		if v := ask(t, s, func(tx *Tx) (*orion.Variable, error) { return tx.VariableByName(name) }); v == nil {
			t.Fatalf("%s was answered and is gone", name)
		}
	}
	logs, err := s.Logs(bg, nil, nil, 1000, 0)
	if err != nil || len(logs) < len(answered) || len(answered) < 200 {
		t.Errorf("%d lines of %d, %v", len(logs), len(answered), err)
	}
}

func TestFoldersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	refused := func(what, dir string, words ...string) {
		t.Helper()
		s, err := Open(t.Context(), Options{Dir: dir, Log: quiet})
		if err == nil {
			s.Close()
		}
		if orion.KindOf(err) != orion.Invalid || err == nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", what, err, w)
			}
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a file for a folder", file, file, "ORION_HOME")
	damaged := filepath.Join(dir, "damaged")
	os.MkdirAll(damaged, 0o700)
	if err := os.WriteFile(filepath.Join(damaged, "orion.db"), []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a damaged file", damaged, "damaged", "orion.db")
	for _, o := range []Options{{Dir: dir, Durability: "some"}, {URL: "mysql://x"}, {URL: "postgres://%zz"}, {Dir: dir, Key: "short"}} {
		o.Log = quiet
		if s, err := Open(t.Context(), o); orion.KindOf(err) != orion.Invalid || err == nil {
			t.Errorf("%+v: %v, %v", o, s, err)
		}
	}
	if _, err := Open(t.Context(), Options{URL: "postgres://nobody@127.0.0.1:1/none", Log: quiet}); orion.KindOf(err) != orion.Unavailable {
		t.Errorf("a server that is not there: %v", err)
	}
}

// tmpfs mounts a small disk, or skips the test.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small disk cannot be mounted: %v; run as root to test what happens when one is full or read-only", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "4m")
	open(t, Options{Dir: dir}).Close()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("the disk cannot be made read-only: %v", err)
	}
	s, err := Open(t.Context(), Options{Dir: dir, Log: quiet})
	if err == nil {
		s.Close()
	}
	if orion.KindOf(err) != orion.Invalid || err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("on a read-only disk: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "4m")
	filler := filepath.Join(dir, "filler")
	s := open(t, Options{Dir: dir})
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(i int) error {
		return s.Write(bg, func(tx *Tx) error {
			_, err := tx.CreateVariable(&orion.VariableCreate{Name: fmt.Sprint("v", i), Value: orion.JSON(`"` + strings.Repeat("x", 20000) + `"`)})
			return err
		})
	}
	n := 0
	var err error
	for ; n < 1000; n++ {
		if err = put(n); err != nil {
			break
		}
	}
	if orion.KindOf(err) != orion.Unavailable || err == nil || !strings.Contains(err.Error(), "space") {
		t.Fatalf("on a full disk, after %d writes: %v", n, err)
	}
	count := func() int64 {
		return ask(t, s, func(tx *Tx) (int64, error) { return tx.CountVariables(nil) })
	}
	equal(t, "what was answered is there", count(), int64(n))
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := put(n); err != nil {
		t.Errorf("with room again: %v", err)
	}
	equal(t, "after there is room again", count(), int64(n+1))
}
