package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/schemas"
)

// What a walk does to its ranges, how it reads all versions, and how it folds the ledger.

// maxModelRanges is where the walk splits no more.
const maxModelRanges = 6

func (w *walk) anyRange() string {
	names := slices.Sorted(maps.Keys(w.models))
	return names[w.rng.IntN(len(names))]
}

// holds tells whether a document, whose id begins with its key, belongs to a span.
func (w *walk) holds(span schemas.FeedRange, id string) bool {
	key, _, _ := strings.Cut(id, ".")
	def := schemas.KeyDefinition{Paths: [][]string{{"pk"}}}
	_, epk, err := def.ParsePartitionKey([]byte(`["` + key + `"]`))
	if err != nil {
		w.t.Fatal(err)
	}
	return span.Contains(schemas.HexEPK(epk))
}

func (w *walk) part(state map[string]doc, span schemas.FeedRange) map[string]doc {
	out := maps.Clone(state)
	maps.DeleteFunc(out, func(id string, _ doc) bool { return !w.holds(span, id) })
	return out
}

// split cuts a range; its children, and their readers, go on where it ended.
func (w *walk) split(at cosmosfake.Range, m *model) {
	if len(w.models) >= maxModelRanges {
		return
	}
	children, err := w.s.Split(at, cosmosfake.SplitOptions{})
	if err != nil {
		return // all documents of the range have one key
	}
	w.splits++
	for _, child := range children {
		if child.Config != m.config || child.Newest != m.newest() || child.ID == at.ID {
			w.t.Fatalf("split of %s at %d: got %+v", at.ID, m.newest(), child)
		}
		one := &model{config: m.config, first: m.first, span: child.Span, merged: m.merged}
		for _, state := range m.states {
			one.states = append(one.states, w.part(state, child.Span))
		}
		for _, e := range m.events {
			if w.holds(child.Span, e.id) {
				one.events = append(one.events, e)
			}
		}
		w.models[child.ID], w.position[child.ID], w.blind[child.ID] = one, w.position[at.ID], w.blind[at.ID]
		w.fold[child.ID] = w.part(w.fold[at.ID], child.Span)
	}
	w.forget(at.ID)
	if got := w.c.feed(at.ID, ""); got.status != 410 || got.substatus() != "1002" {
		w.t.Fatalf("range %s after its split: got %d/%s, want 410/1002", at.ID, got.status, got.substatus())
	}
}

func (w *walk) forget(id string) {
	delete(w.models, id)
	delete(w.position, id)
	delete(w.fold, id)
	delete(w.blind, id)
}

// merge joins two ranges that stand side by side. Their documents are there under new LSNs, those of each range in the
// order that they had.
func (w *walk) merge() {
	ranges := rangesOf(w.t, w.s)
	if len(ranges) < 2 {
		return
	}
	i := w.rng.IntN(len(ranges) - 1)
	old := ranges[i : i+2]
	state, err := w.s.Merge("shop", "orders", old[0].ID, old[1].ID)
	if err != nil {
		w.t.Fatal(err)
	}
	w.merges++
	want := map[string]doc{}
	for _, r := range old {
		maps.Copy(want, w.models[r.ID].now())
	}
	got := map[string]doc{}
	last := map[string]int64{}     // of each old range, the LSN that its last document had
	together := map[string]int64{} // what had one LSN has one
	var documents []json.RawMessage
	if page := w.c.feed(state.ID, "", "x-ms-max-item-count", "1000"); page.status == 200 {
		documents = page.page(w.t).Documents
	}
	for _, d := range documents {
		sys := systemOf(w.t, d)
		got[sys.ID] = doc{string(strip(w.t, d)), sys.LSN}
		from := old[0].ID
		if _, ok := w.models[from].now()[sys.ID]; !ok {
			from = old[1].ID
		}
		before := want[sys.ID]
		if before.body != got[sys.ID].body || before.lsn < last[from] {
			w.t.Fatalf("merge: got %+v, want %+v behind %d", got[sys.ID], before, last[from])
		}
		last[from] = before.lsn
		transaction := fmt.Sprint(from, before.lsn)
		if lsn, ok := together[transaction]; ok != (lsn == sys.LSN) {
			w.t.Fatalf("merge: the transaction %s is at %d and %d", transaction, lsn, sys.LSN)
		}
		together[transaction] = sys.LSN
	}
	config := max(w.models[old[0].ID].config, w.models[old[1].ID].config) + 1
	if len(got) != len(want) || state.Config != config || state.Newest != max(1, int64(len(together))) {
		w.t.Fatalf("merge: got %+v with %d documents, want configuration %d, %d transactions and %d documents", state, len(got), config, len(together), len(want))
	}
	for _, r := range old {
		w.forget(r.ID)
	}
	w.models[state.ID] = &model{config: config, first: state.Newest, merged: true, states: []map[string]doc{got}, span: state.Span}
	w.fold[state.ID] = map[string]doc{}
}

// readVersions reads a page of all versions from any position.
func (w *walk) readVersions(id string, m *model) {
	after, items := w.rng.Int64N(m.newest()+1), 1+w.rng.IntN(6)
	got := w.c.versions(id, fmt.Sprintf(`"%d"`, after), "x-ms-max-item-count", fmt.Sprint(items))
	if w.merges > 0 {
		if got.status != 500 {
			w.t.Fatalf("all versions after a merge: got %d, want 500", got.status)
		}
		return
	}
	var want []string
	etag := max(after, m.newest())
	for _, e := range m.events {
		if e.lsn <= after {
			continue
		}
		if len(want) >= items && e.lsn != etag {
			break
		}
		want = append(want, e.text)
		etag = e.lsn
	}
	var rows []string
	for _, e := range versionsOf(w.t, got) {
		rows = append(rows, e.String())
	}
	if !slices.Equal(rows, want) || got.header.Get("etag") != fmt.Sprintf(`"%d"`, etag) {
		w.t.Fatalf("all versions of range %s after %d: got %q etag %s, want %q %d", id, after, rows, got.header.Get("etag"), want, etag)
	}
}

// checkLedger folds the ledger, with its failovers, splits and merges, to the content.
func (w *walk) checkLedger(entries []cosmosfake.Entry) {
	kept := map[string][]cosmosfake.Entry{}
	for _, e := range entries {
		switch e.Op {
		case cosmosfake.OpCreateContainer:
		case cosmosfake.OpFailover:
			kept[e.Range] = slices.DeleteFunc(kept[e.Range], func(k cosmosfake.Entry) bool { return k.LSN >= e.UndoneFrom })
		case cosmosfake.OpSplit:
			for _, k := range kept[e.Parents[0]] {
				if w.holds(schemas.FeedRange{Min: e.Min, Max: e.Max}, k.ID) {
					kept[e.Range] = append(kept[e.Range], k)
				}
			}
		case cosmosfake.OpMerge:
			for _, parent := range e.Parents {
				for _, k := range kept[parent] {
					k.LSN = 0 // it has another one now
					kept[e.Range] = append(kept[e.Range], k)
				}
			}
		default:
			if n := len(kept[e.Range]); n > 0 && kept[e.Range][n-1].LSN > e.LSN {
				w.t.Fatalf("ledger: lsn %d of range %s after %d", e.LSN, e.Range, kept[e.Range][n-1].LSN)
			}
			kept[e.Range] = append(kept[e.Range], e)
		}
	}
	got, want := map[string]string{}, map[string]string{}
	for id, m := range w.models {
		lsn := func(l int64) int64 {
			if m.merged && l <= m.first {
				return 0
			}
			return l
		}
		for _, e := range kept[id] {
			got[id+e.ID] = fmt.Sprint(e.LSN, e.SHA256)
			if e.Op == cosmosfake.OpDelete {
				delete(got, id+e.ID)
			}
		}
		for name, d := range m.now() {
			want[id+name] = fmt.Sprint(lsn(d.lsn), hash([]byte(d.body)))
		}
	}
	if !maps.Equal(got, want) {
		w.t.Fatalf("ledger folds to %v, want %v", got, want)
	}
}
