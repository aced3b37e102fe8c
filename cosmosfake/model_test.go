package cosmosfake_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/schemas"
)

// model is one range as a test understands it: every state that it ever had, by LSN. It is as simple as it can be,
// because it judges.
type model struct {
	config int64
	first  int64            // LSN of states[0]: a range remembers nothing from before it was merged
	states []map[string]doc // states[i] is the content at LSN first+i
	events []change         // all versions and deletions
	span   schemas.FeedRange
	merged bool
}

// change is a row of the feed of all versions.
type change struct {
	lsn  int64
	id   string
	text string // as envelope has it
}

type doc struct {
	body string
	lsn  int64
}

func newModel(span schemas.FeedRange) *model {
	return &model{config: 1, first: 1, states: []map[string]doc{{}}, span: span}
}

func (m *model) newest() int64             { return m.first + int64(len(m.states)) - 1 }
func (m *model) now() map[string]doc       { return m.at(m.newest()) }
func (m *model) at(l int64) map[string]doc { return m.states[l-m.first] }
func (m *model) history() int64            { return m.newest() - m.first }

// page is what the feed must show after an LSN, as of another.
func (m *model) page(after, asOf int64, items int) (want []string, etag int64) {
	type row struct {
		id string
		doc
	}
	var rows []row
	for id, d := range m.at(asOf) {
		if d.lsn > after {
			rows = append(rows, row{id, d})
		}
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].lsn < rows[j].lsn })
	if len(rows) == 0 {
		return nil, max(after, asOf)
	}
	for _, r := range rows {
		if len(want) >= items && r.lsn != etag {
			break
		}
		want = append(want, fmt.Sprintf("%d %s", r.lsn, r.body))
		etag = r.lsn
	}
	return want, etag
}

// walk is one seeded run against a server.
type walk struct {
	t      *testing.T
	rng    *rand.Rand
	s      *cosmosfake.Server
	c      rest
	models map[string]*model
	// readers fold the feed, as a producer and an archive would: per range the position and what it gave.
	position map[string]int64
	fold     map[string]map[string]doc
	blind    map[string]bool // went on over a failover, and so may have missed reused LSNs
	serial   int
	splits   int
	merges   int
}

const (
	modelRanges = 3
	modelKeys   = 8
)

func TestModel(t *testing.T) {
	seeds := []uint64{1, 2, 3, rand.Uint64()}
	if text := os.Getenv("COSMOSFAKE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Logf("seed %d: run again with COSMOSFAKE_SEED", seed)
			var ledger memoryLedger
			s := startServer(t, cosmosfake.Options{Ledger: &ledger, Retention: time.Hour})
			w := &walk{
				t: t, rng: rand.New(rand.NewPCG(seed, 0)), s: s, c: rest{t, s}, models: map[string]*model{},
				position: map[string]int64{}, fold: map[string]map[string]doc{}, blind: map[string]bool{},
			}
			w.c.makeOrders(modelRanges)
			for _, r := range rangesOf(t, s) {
				w.models[r.ID] = newModel(r.Span)
				w.fold[r.ID] = map[string]doc{}
			}
			for range 500 {
				w.step()
			}
			t.Logf("%d splits, %d merges", w.splits, w.merges)
			w.checkLedger(ledger.entries(t))
		})
	}
}

func (w *walk) step() {
	id := w.anyRange()
	m := w.models[id]
	at := cosmosfake.Range{Database: "shop", Container: "orders", ID: id}
	switch p := w.rng.IntN(100); {
	case p < 55:
		w.batch()
	case p < 60:
		n := w.rng.Int64N(3)
		if _, err := w.s.Bump(at, n); err != nil {
			w.t.Fatal(err)
		}
		for range n {
			m.states = append(m.states, m.now())
		}
	case p < 64:
		w.failover(at, m)
	case p < 73:
		w.lagging(at, m)
	case p < 82:
		w.readVersions(id, m)
	case p < 84:
		w.split(at, m)
	case p < 85 && w.serial > 400: // a merge ends the feed of all versions
		w.merge()
	default:
		w.read(id, m, m.newest())
	}
}

// batch does one to four operations on one key in a transaction, by the model's luck some of which fail.
func (w *walk) batch() {
	key := fmt.Sprintf("k%d", w.rng.IntN(modelKeys))
	var ops []string
	state := map[string]doc{}
	id, m := w.locate(key)
	maps.Copy(state, m.now())
	lsn, ok := m.newest()+1, true
	var events []change
	for range 1 + w.rng.IntN(4) {
		w.serial++
		name := fmt.Sprintf("%s.%d", key, w.rng.IntN(4))
		body := fmt.Sprintf(`{"id":"%s","pk":"%s","n":%d}`, name, key, w.serial)
		before, exists := state[name]
		verb := []string{"Create", "Upsert", "Upsert", "Replace", "Delete"}[w.rng.IntN(5)]
		switch {
		case verb == "Create" && exists, (verb == "Replace" || verb == "Delete") && !exists:
			ok = false
		case verb == "Delete":
			delete(state, name)
			events = append(events, change{lsn, name, fmt.Sprintf("delete %s@%d<%d", name, lsn, before.lsn)})
		default:
			state[name] = doc{body, lsn}
			kind := "create"
			if exists {
				kind = "replace"
			}
			events = append(events, change{lsn, name, fmt.Sprintf("%s %s@%d<%d", kind, name, lsn, before.lsn)})
		}
		op := fmt.Sprintf(`{"operationType":%q,"id":%q`, verb, name)
		if verb != "Delete" {
			op += `,"resourceBody":` + body
		}
		ops = append(ops, op+"}")
	}
	want := 207
	if ok {
		want = 200
		m.states = append(m.states, state)
		m.events = append(m.events, events...)
	}
	got := w.c.must(want, "POST", docs, "["+strings.Join(ops, ",")+"]",
		"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["`+key+`"]`)
	if served := got.header.Get(rangH); served != id {
		w.t.Fatalf("key %s: got range %s, then %s", key, id, served)
	}
	if newest := got.newest(w.t); newest != m.newest() {
		w.t.Fatalf("batch: got newest %d, want %d", newest, m.newest())
	}
}

// locate asks the server which range a key lies in, by reading a document that is not there.
func (w *walk) locate(key string) (string, *model) {
	id := w.c.must(404, "GET", docs+"/none", "", pkH, `["`+key+`"]`).header.Get(rangH)
	return id, w.models[id]
}

func (w *walk) failover(at cosmosfake.Range, m *model) {
	n := w.rng.Int64N(min(5, m.history()+1))
	if _, err := w.s.Failover(at, n); err != nil {
		w.t.Fatal(err)
	}
	m.states = m.states[:int64(len(m.states))-n]
	m.events = slices.DeleteFunc(m.events, func(e change) bool { return e.lsn > m.newest() })
	m.config++
	// What a reader must do, since the feed will not tell, is to begin again. Some do not.
	if w.blind[at.ID] = w.rng.IntN(2) == 0; !w.blind[at.ID] {
		w.position[at.ID], w.fold[at.ID] = 0, map[string]doc{}
	}
}

func (w *walk) lagging(at cosmosfake.Range, m *model) {
	behind := w.rng.Int64N(min(6, m.history()+1))
	if _, err := w.s.Lag(at, behind, 1); err != nil {
		w.t.Fatal(err)
	}
	w.read(at.ID, m, m.newest()-behind)
}

// read reads one page and compares it with the model's; at the end of the feed the fold must be the content.
func (w *walk) read(id string, m *model, asOf int64) {
	items := 1 + w.rng.IntN(6)
	after := w.position[id]
	got := w.c.feed(id, fmt.Sprintf(`"%d"`, after), "x-ms-max-item-count", fmt.Sprint(items))
	want, etag := m.page(after, asOf, items)
	if token, wantToken := got.header.Get("x-ms-session-token"), fmt.Sprintf("%s:%d#%d#1=%d", id, m.config, asOf, asOf); token != wantToken {
		w.t.Fatalf("range %s: got session token %s, want %s", id, token, wantToken)
	}
	if g := got.header.Get("etag"); g != fmt.Sprintf(`"%d"`, etag) {
		w.t.Fatalf("range %s after %d as of %d: got etag %s, want %d", id, after, asOf, g, etag)
	}
	w.position[id] = etag
	if got.status == 304 {
		if len(want) != 0 {
			w.t.Fatalf("range %s: got 304, want %q", id, want)
		}
		if asOf == m.newest() && !w.blind[id] {
			w.checkFold(id, m)
		}
		return
	}
	var rows []string
	for _, d := range got.page(w.t).Documents {
		sys := systemOf(w.t, d)
		row := doc{string(strip(w.t, d)), sys.LSN}
		rows = append(rows, fmt.Sprintf("%d %s", row.lsn, row.body))
		w.fold[id][sys.ID] = row
	}
	slices.Sort(rows)
	slices.Sort(want)
	if !slices.Equal(rows, want) {
		w.t.Fatalf("range %s after %d as of %d: got %q, want %q", id, after, asOf, rows, want)
	}
}

// checkFold: all live documents stand in the fold in their version; deleted ones may stand there too, because this
// feed does not show deletions.
func (w *walk) checkFold(id string, m *model) {
	for name, d := range m.now() {
		if got := w.fold[id][name]; got != d {
			w.t.Fatalf("range %s: the fold has %+v for %s, want %+v", id, got, name, d)
		}
	}
}
