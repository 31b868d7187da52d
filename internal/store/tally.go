package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/orionflows/orion"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// tally keeps in memory what histories and counts of all runs would otherwise
// read from every row, on SQLite: how many runs are in each state, and for the
// days that somebody has looked at the sums of each minute.
//
// A part is read from the database when it is first asked for. From then on it
// follows the runs: the methods that write a run's state report it before and
// after (changed), a trigger reports what is deleted, by cascades too, and the
// writer hands on what it has committed. So nothing is stored that could
// disagree with the runs, a start costs nothing, and a write next to nothing.
// It holds because one server at a time writes a SQLite file; several may share
// a PostgreSQL, which is asked every time.
type tally struct {
	// mu is held from before a commit until what it changed is added here, so
	// that whoever holds it and opens a view of the database has one moment of
	// both.
	mu    sync.Mutex
	parts map[partKey]*part
	cells int
	clock uint64

	states []runState
	ids    map[runState]int32
}

const (
	minute = int64(60e6) // in microseconds, as everything here
	day    = 24 * 60 * minute
	// allTime in place of a day is the part that has all runs, those without an
	// expected time included.
	allTime = int64(-1 << 62)
	// maxCells bounds the memory: 64 bytes each.
	maxCells = 1 << 18
	// maxStates bounds them, too, where every run calls its state differently.
	maxStates = 1000
	// maxDays is the longest time that is worth loading.
	maxDays = 400
)

type runKey struct {
	table string
	id    orion.ID
}

type partKey struct {
	table string
	ws    int64
	day   int64
}

// part are the sums of a day, hour by hour so that a cell is found quickly.
type part struct {
	hours   [24][]cell
	used    uint64
	loading chan struct{} // closed when the part is there; nil from then on
	missed  []runChange   // committed while it was loading
}

// cell are the sums of the runs that were expected in one minute and are in one
// state.
type cell struct {
	minute, state int32
	runSums
}

type runState struct{ typ, name string }

// runSums are a number of runs and what their estimates add up to. What grows
// with the time is kept so that any time can be put in later: n runs that began
// at b1, b2, … have run for n*now - (b1+b2+…) together.
type runSums struct {
	runs    int64
	runTime int64 // of the ended stretches
	running int64 // how many are running, and the sum of since when
	since   int64
	late    int64 // of those that started
	waiting int64 // how many should start, and the sum of when
	due     int64
}

func (s *runSums) add(o *runSums, sign int64) {
	s.runs += sign * o.runs
	s.runTime += sign * o.runTime
	s.running += sign * o.running
	s.since += sign * o.since
	s.late += sign * o.late
	s.waiting += sign * o.waiting
	s.due += sign * o.due
}

// at are the estimates at a time when either all or none of the waiting are
// overdue.
func (s *runSums) at(now int64, overdue bool) (runTime, lateness int64) {
	runTime, lateness = s.runTime+s.running*now-s.since, s.late
	if overdue {
		lateness += s.waiting*now - s.due
	}
	return runTime, lateness
}

// runChange is a run as it is now, or with sign -1 as it no longer is.
type runChange struct {
	sign     int64
	table    string
	ws       int64
	state    runState
	expected orion.Time
	sums     runSums
}

// sumsOf are the sums of one run; they follow orion's estimate.
func sumsOf(typ string, expected, start, since orion.Time, total int64) runSums {
	s := runSums{runs: 1, runTime: total}
	if typ == string(orion.Running) && !since.IsZero() {
		s.running, s.since = 1, since.Micro()
	}
	switch {
	case expected.IsZero():
	case start.After(expected):
		s.late = start.Micro() - expected.Micro()
	case start.IsZero() && !orion.StateType(typ).Final():
		s.waiting, s.due = 1, expected.Micro()
	}
	return s
}

// runFacts are the columns that sumsOf is about.
const runFacts = "state_type, state_name, expected_start_time, start_time, state_timestamp, total_run_time"

func scanFacts(r *Row) (c runChange, err error) {
	var start, since orion.Time
	var total int64
	err = r.Scan(&c.state.typ, &c.state.name, &c.expected, &start, &since, &total)
	c.sign, c.sums = 1, sumsOf(c.state.typ, c.expected, start, since, total)
	return c, err
}

// see makes sure that the transaction knows a run as it is before a change.
func (tx *Tx) see(table string, id orion.ID) error {
	if _, ok := tx.seen[runKey{table, id}]; ok || tx.changes() == nil {
		return nil
	}
	return tx.query("SELECT "+runFacts+" FROM "+table+" WHERE workspace_id = ? AND id = ?", []any{tx.ws, id}, func(r *Row) error {
		c, err := scanFacts(r)
		tx.saw(table, id, c)
		return err
	})
}

// saw notes a run as it was read.
func (tx *Tx) saw(table string, id orion.ID, c runChange) {
	if tx.changes() == nil {
		return
	}
	if tx.seen == nil {
		tx.seen = map[runKey]runChange{}
	}
	tx.seen[runKey{table, id}] = c
}

// inserted reports a new run.
func (tx *Tx) inserted(table string, id orion.ID, c runChange) {
	delete(tx.seen, runKey{table, id}) // one that was deleted before
	tx.changed(table, id, c)
}

// changed reports how a run is now. What it was must have been seen.
func (tx *Tx) changed(table string, id orion.ID, c runChange) {
	changes := tx.changes()
	if changes == nil {
		return
	}
	if old, ok := tx.seen[runKey{table, id}]; ok {
		old.sign, old.table, old.ws = -1, table, tx.ws
		*changes = append(*changes, old)
	}
	tx.saw(table, id, c)
	c.table, c.ws = table, tx.ws
	*changes = append(*changes, c)
}

// changes is where a transaction that writes reports changes of runs; nil on
// PostgreSQL.
func (tx *Tx) changes() *[]runChange {
	if c, ok := tx.c.(*sqliteConn); ok {
		return c.changes
	}
	return nil
}

// facts are what is known of a run that has been read or is about to be written.
func facts(typ, name *string, expected, start, since orion.Time, total orion.Seconds) runChange {
	c := runChange{sign: 1, expected: expected}
	if typ != nil {
		c.state.typ = *typ
	}
	if name != nil {
		c.state.name = *name
	}
	c.sums = sumsOf(c.state.typ, expected, start, since, int64(total)/1000)
	return c
}

// watchDeletes makes a connection report each run that is deleted.
func watchDeletes(c *sqlite.Conn, deleted func(runChange)) error {
	when := func(v sqlite.Value) orion.Time {
		if v.Type() == sqlite.TypeNull {
			return orion.Time{}
		}
		return orion.Micro(v.Int64())
	}
	err := c.CreateFunction("run_deleted", &sqlite.FunctionImpl{NArgs: 8, AllowIndirect: true, Scalar: func(_ sqlite.Context, v []sqlite.Value) (sqlite.Value, error) {
		ch := runChange{sign: -1, table: v[0].Text(), ws: v[1].Int64(), state: runState{v[2].Text(), v[3].Text()}, expected: when(v[4])}
		ch.sums = sumsOf(ch.state.typ, ch.expected, when(v[5]), when(v[6]), v[7].Int64())
		deleted(ch)
		return sqlite.Value{}, nil
	}})
	if err != nil {
		return err
	}
	for _, table := range []string{"flow_run", "task_run"} {
		err := sqlitex.ExecuteTransient(c, "CREATE TEMP TRIGGER "+table+"_deleted AFTER DELETE ON "+table+" BEGIN SELECT run_deleted('"+table+"', OLD.workspace_id, OLD."+
			strings.ReplaceAll(runFacts, ", ", ", OLD.")+"); END", nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// commit runs the writer's commit and adds what it has changed. When it cannot
// be told what was written everything is read anew.
func (t *tally) commit(commit func() error, changes []runChange) error {
	if len(changes) == 0 {
		return commit()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	err := commit()
	if err != nil || len(t.states) > maxStates {
		t.forget()
		return err
	}
	for i := range changes {
		c := &changes[i]
		t.change(partKey{c.table, c.ws, allTime}, c)
		if !c.expected.IsZero() {
			t.change(partKey{c.table, c.ws, floor(c.expected.Micro(), day)}, c)
		}
	}
	return nil
}

func (t *tally) change(k partKey, c *runChange) {
	switch p := t.parts[k]; {
	case p == nil:
	case p.loading != nil:
		p.missed = append(p.missed, *c)
	default:
		t.add(p, k, c)
	}
}

// add puts a run into its cell of a part, or takes it out.
func (t *tally) add(p *part, k partKey, c *runChange) {
	m, sums := int64(0), runSums{runs: c.sums.runs}
	if k.day != allTime {
		m, sums = floor(c.expected.Micro(), minute)-k.day*(day/minute), c.sums
	}
	state := t.id(c.state)
	cells := &p.hours[m/60]
	for i := range *cells {
		if x := &(*cells)[i]; x.minute == int32(m) && x.state == state {
			if x.add(&sums, c.sign); x.runSums == (runSums{}) {
				*cells = slices.Delete(*cells, i, i+1)
				t.cells--
			}
			return
		}
	}
	x := cell{minute: int32(m), state: state}
	x.add(&sums, c.sign)
	*cells = append(*cells, x)
	t.cells++
}

func (t *tally) drop(k partKey) {
	for _, cells := range t.parts[k].hours {
		t.cells -= len(cells)
	}
	delete(t.parts, k)
}

func (t *tally) forget() {
	clear(t.parts)
	clear(t.ids)
	t.cells, t.states = 0, nil
}

func (t *tally) full() bool { return t.cells > maxCells || len(t.states) > maxStates }

func newTally() *tally { return &tally{parts: map[partKey]*part{}, ids: map[runState]int32{}} }

// totals hands the number of runs in each state to look, and reports whether it
// could: not on PostgreSQL, and not in a transaction that writes.
func (tx *Tx) totals(table string, look func(s runState, runs int64)) (bool, error) {
	return tx.tallied([]partKey{{table, tx.ws, allTime}}, func(t *tally, p []*part) {
		for i := range p[0].hours[0] {
			c := &p[0].hours[0][i]
			look(t.states[c.state], c.runs)
		}
	})
}

// sumBetween hands the sums of the runs expected between two times to add, by
// minute and state, and reports whether it could. The runs of a minute that is
// divided, or that is not wholly between the times, are handed over one by one.
func (tx *Tx) sumBetween(table string, from, to int64, divided func(at int64) bool, add func(at int64, s runState, sums *runSums)) (bool, error) {
	first, last := floor(from, day), floor(to-1, day)
	if to <= from || last-first >= maxDays {
		return false, nil
	}
	keys := make([]partKey, 0, last-first+1)
	for d := first; d <= last; d++ {
		keys = append(keys, partKey{table, tx.ws, d})
	}
	var single []int64
	done, err := tx.tallied(keys, func(t *tally, parts []*part) {
		for i, p := range parts {
			for _, cells := range p.hours {
				for j := range cells {
					c := &cells[j]
					switch at := keys[i].day*day + int64(c.minute)*minute; {
					case at+minute <= from || at >= to:
					case at < from || at+minute > to || divided(at):
						single = append(single, at)
					default:
						add(at, t.states[c.state], &c.runSums)
					}
				}
			}
		}
	})
	if !done || err != nil {
		return done, err
	}
	slices.Sort(single)
	for _, at := range slices.Compact(single) {
		err := tx.query("SELECT "+runFacts+" FROM "+table+" WHERE workspace_id = ? AND expected_start_time >= ? AND expected_start_time < ?",
			[]any{tx.ws, max(at, from), min(at+minute, to)}, func(r *Row) error {
				c, err := scanFacts(r)
				if err == nil {
					add(c.expected.Micro(), c.state, &c.sums)
				}
				return err
			})
		if err != nil {
			return true, err
		}
	}
	return true, nil
}

// tallied hands parts to look that agree with what the transaction reads from
// now on. It has to be the first that the transaction reads.
func (tx *Tx) tallied(keys []partKey, look func(*tally, []*part)) (bool, error) {
	c, ok := tx.c.(*sqliteConn)
	if !ok || c.tally == nil || !c.fresh {
		return false, nil
	}
	t := c.tally
	parts := make([]*part, len(keys))
	for range 3 { // what was loaded may have had to make room before it could be looked at
		t.mu.Lock()
		if err := c.pin(tx.ctx); err != nil {
			t.mu.Unlock()
			return false, err
		}
		missing, loading := t.find(keys, parts)
		if loading == nil && len(missing) == 0 {
			look(t, parts)
			t.mu.Unlock()
			return true, nil
		}
		if loading == nil {
			t.announce(missing)
		}
		t.mu.Unlock()
		if loading != nil {
			select {
			case <-loading:
			case <-tx.ctx.Done():
				return false, tx.ctx.Err()
			}
		} else if ok, err := tx.load(t, missing); !ok || err != nil {
			return false, err
		}
		if err := c.renew(tx.ctx); err != nil {
			return false, err
		}
	}
	return false, nil
}

// loadable is a part and where it belongs.
type loadable struct {
	key partKey
	*part
}

// find puts the parts of keys into parts, and answers those that are missing
// and what to wait for if somebody is loading one.
func (t *tally) find(keys []partKey, parts []*part) (missing []loadable, loading chan struct{}) {
	t.clock++
	for i, k := range keys {
		p := t.parts[k]
		switch {
		case p == nil:
			missing = append(missing, loadable{key: k})
		case p.loading != nil:
			loading = p.loading
		default:
			p.used = t.clock
		}
		parts[i] = p
	}
	return missing, loading
}

// announce makes parts note what they miss while they are loaded.
func (t *tally) announce(missing []loadable) {
	loading := make(chan struct{})
	for i := range missing {
		missing[i].part = &part{loading: loading, used: t.clock}
		t.parts[missing[i].key] = missing[i].part
	}
}

var errTooMany = errors.New("more sums than are kept")

// load reads parts that were announced when the transaction opened its view. It
// reports false if they are too much to keep.
func (tx *Tx) load(t *tally, missing []loadable) (bool, error) {
	read := newTally()
	var err error
	for i := 0; i < len(missing) && err == nil; {
		j := i + 1
		for j < len(missing) && missing[j].key.day == missing[j-1].key.day+1 {
			j++
		}
		err = tx.read(read, missing[i].key, missing[j-1].key.day)
		i = j
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	close(missing[0].loading)
	for _, m := range missing {
		if t.parts[m.key] != m.part { // forgotten meanwhile
			continue
		}
		if err != nil {
			delete(t.parts, m.key)
			continue
		}
		m.part.loading = nil
		if p := read.parts[m.key]; p != nil {
			m.part.hours = p.hours
			t.adopt(m.part, read.states)
		}
		for i := range m.missed {
			t.add(m.part, m.key, &m.missed[i])
		}
		m.part.missed = nil
	}
	t.makeRoom()
	if err == errTooMany {
		return false, nil
	}
	return err == nil, err
}

// adopt counts the cells of a part and gives their states the numbers they have
// here.
func (t *tally) adopt(p *part, states []runState) {
	for _, cells := range p.hours {
		t.cells += len(cells)
		for i := range cells {
			cells[i].state = t.id(states[cells[i].state])
		}
	}
}

// id is the number of a state.
func (t *tally) id(s runState) int32 {
	n, ok := t.ids[s]
	if !ok {
		n = int32(len(t.states))
		t.states, t.ids[s] = append(t.states, s), n
	}
	return n
}

// read adds the runs of a key's day, or of the days from it to another, to a
// tally of its own.
func (tx *Tx) read(t *tally, k partKey, last int64) error {
	sql, args := "SELECT "+runFacts+" FROM "+k.table+" WHERE workspace_id = ? AND expected_start_time >= ? AND expected_start_time < ?", []any{tx.ws, k.day * day, (last + 1) * day}
	scan := scanFacts
	if k.day == allTime {
		sql, args = "SELECT state_type, state_name, COUNT(*) FROM "+k.table+" WHERE workspace_id = ? GROUP BY state_type, state_name", args[:1]
		scan = func(r *Row) (c runChange, err error) {
			c.sign = 1
			err = r.Scan(&c.state.typ, &c.state.name, &c.sums.runs)
			return c, err
		}
	}
	return tx.query(sql, args, func(r *Row) error {
		c, err := scan(r)
		if err != nil {
			return err
		}
		if k.day != allTime {
			k.day = floor(c.expected.Micro(), day)
		}
		p := t.parts[k]
		if p == nil {
			p = &part{}
			t.parts[k] = p
		}
		if t.add(p, k, &c); t.full() {
			return errTooMany
		}
		return nil
	})
}

// makeRoom forgets what was not asked for the longest, as far as need be.
func (t *tally) makeRoom() {
	for t.cells > maxCells {
		var oldest partKey
		least := t.clock + 1
		for k, p := range t.parts {
			if p.loading == nil && p.used < least {
				oldest, least = k, p.used
			}
		}
		if least > t.clock {
			return
		}
		t.drop(oldest)
	}
}

// floor is a/b rounded down, for times before 1970, too.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// pin opens the view that the transaction reads.
func (c *sqliteConn) pin(ctx context.Context) error {
	return c.query(ctx, "SELECT id FROM workspace LIMIT 1", nil, func(*Row) error { return nil })
}

// renew gives a transaction that reads a new view.
func (c *sqliteConn) renew(ctx context.Context) error {
	if _, err := c.exec(ctx, "COMMIT", nil); err != nil {
		return err
	}
	_, err := c.exec(ctx, "BEGIN", nil)
	return err
}
