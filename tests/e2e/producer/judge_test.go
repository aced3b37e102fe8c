package producer_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// event is a record as a reader of the topic sees it.
type event struct {
	*kgo.Record
	schemas.Received
	id   string // ce_id
	mark *schemas.Mark
	err  error
}

type headers struct{ r *kgo.Record }

func (h headers) Header(name string) []byte {
	for i := range h.r.Headers {
		if h.r.Headers[i].Key == name {
			return h.r.Headers[i].Value
		}
	}
	return nil
}

func decode(r *kgo.Record) event {
	e := event{Record: r, id: string(headers{r}.Header("ce_id"))}
	if e.err = schemas.DecodeHeaders(headers{r}, &e.Received); e.err == nil && e.Op == schemas.OpMark {
		e.mark, e.err = schemas.DecodeMark(r.Value)
	}
	return e
}

func (e *event) name() string { return string(e.Database) + "." + string(e.Received.Container) }

func (e *event) epk() string { return schemas.HexEPK(e.Attributes.EPK) }

// all are the events seen so far.
func (w *world) all() []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// seeAll waits until everything that stands on the topic now has been seen.
func (w *world) seeAll() {
	w.t.Helper()
	ends := int64(0)
	for p := range int32(partitions) {
		ends += w.kafka.PartitionInfo(topicName, p).HighWatermark
	}
	w.eventually("the end of the topic", func() bool { return int64(len(w.all())) >= ends })
}

// those are the events for which keep is true.
func (w *world) those(keep func(*event) bool) []event {
	w.t.Helper()
	var out []event
	for _, e := range w.all() {
		if e.err != nil {
			w.t.Fatalf("record %d:%d: %v", e.Partition, e.Offset, e.err)
		}
		if keep(&e) {
			out = append(out, e)
		}
	}
	return out
}

func (w *world) marks(c harness.Container) []event {
	w.t.Helper()
	return w.those(func(e *event) bool { return e.mark != nil && e.name() == c.Name() })
}

func usable(m *schemas.Mark) bool { return m.Drained && m.Basis == schemas.BasisComplete }

// era is what happened in a physical range under one configuration number.
type era struct {
	span    schemas.FeedRange
	config  int64
	entries []cosmosfake.Entry // those that a failover undid are in the era that they were written in, and not in the next
}

// eras are those of a container's incarnation by range, oldest first.
func (w *world) eras(rid string) map[schemas.FeedRange][]era {
	w.t.Helper()
	out := map[schemas.FeedRange][]era{}
	lines := json.NewDecoder(strings.NewReader(w.ledger.String()))
	for lines.More() {
		var e cosmosfake.Entry
		if err := lines.Decode(&e); err != nil {
			w.t.Fatal(err)
		}
		if e.RID != rid || e.Range == "" {
			continue
		}
		span := schemas.FeedRange{Min: e.Min, Max: e.Max}
		if len(out[span]) == 0 {
			out[span] = []era{{span: span, config: 1}}
		}
		last := &out[span][len(out[span])-1]
		if e.Op != cosmosfake.OpFailover {
			last.entries = append(last.entries, e)
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(last.entries), func(o cosmosfake.Entry) bool { return o.LSN >= e.UndoneFrom })
		out[span] = append(out[span], era{span: span, config: e.Config, entries: kept})
	}
	return out
}

// state is every live document's entry at an LSN, by key and id.
func (e era) state(lsn schemas.LSN) map[string]cosmosfake.Entry {
	state := map[string]cosmosfake.Entry{}
	for _, entry := range e.entries {
		switch name := entry.PK + " " + entry.ID; {
		case entry.LSN > int64(lsn):
		case entry.Op == cosmosfake.OpDelete:
			delete(state, name)
		default:
			state[name] = entry
		}
	}
	return state
}

// judge checks all marks on the topic against the ledger: what each claims is true. eraOf tells which of a range's eras a
// generation is of; nil is for worlds without failovers. It returns how many marks were usable.
func (w *world) judge(c harness.Container, eraOf func([]era, schemas.Generation) era) int {
	w.t.Helper()
	usables := 0
	changes := w.those(func(e *event) bool { return e.Op.Change() && e.name() == c.Name() })
	by := map[string]map[schemas.FeedRange][]era{}
	for _, m := range w.marks(c) {
		if by[m.mark.Incarnation] == nil {
			by[m.mark.Incarnation] = w.eras(m.mark.Incarnation)
		}
		eras := by[m.mark.Incarnation][m.mark.Range]
		if len(eras) == 0 {
			eras = []era{{span: m.mark.Range, config: 1}}
		}
		which := eras[len(eras)-1]
		if eraOf != nil {
			which = eraOf(eras, m.mark.Generation)
		}
		if usable(m.mark) {
			usables++
			w.judgeMark(&m, which, changes)
		}
	}
	return usables
}

func (w *world) judgeMark(m *event, which era, changes []event) {
	w.t.Helper()
	where := fmt.Sprintf("mark at %d:%d (range %s generation %d lsn %d)", m.Partition, m.Offset, m.mark.Range, m.mark.Generation, m.mark.LSN)
	winners := map[string]event{}
	for _, e := range changes {
		last, ok := m.mark.Offsets[e.Partition]
		in := ok && e.Offset <= last && e.Attributes.Generation == m.mark.Generation && e.Attributes.Order.LSN <= m.mark.LSN
		if !in || !m.mark.Range.Contains(e.epk()) {
			continue
		}
		if e.Time.After(m.mark.Latest) {
			w.t.Errorf("%s: latest is %v, record %d:%d is of %v", where, m.mark.Latest, e.Partition, e.Offset, e.Time)
		}
		name := string(e.Key) + " " + string(e.Subject)
		if have, ok := winners[name]; !ok || have.Attributes.Order.LSN < e.Attributes.Order.LSN {
			winners[name] = e
		}
	}
	for name, entry := range which.state(m.mark.LSN) {
		got, ok := winners[name]
		if !ok {
			w.t.Errorf("%s: %s of lsn %d is not on the topic", where, name, entry.LSN)
			continue
		}
		if int64(got.Attributes.Order.LSN) != entry.LSN || string(got.Attributes.ETag) != entry.ETag || w.digest(&got) != entry.SHA256 {
			w.t.Errorf("%s: %s is at lsn %d %s %s on the topic, want lsn %d %s %s", where, name,
				got.Attributes.Order.LSN, got.Attributes.ETag, w.digest(&got), entry.LSN, entry.ETag, entry.SHA256)
		}
	}
	for _, entry := range which.entries {
		if entry.Time.Before(m.mark.CompleteTo) && entry.LSN > int64(m.mark.LSN) {
			w.t.Errorf("%s: complete to %v, lsn %d is of %v", where, m.mark.CompleteTo, entry.LSN, entry.Time)
		}
	}
}

// digest is the SHA-256 of the user's bytes of a change, as the ledger has it.
func (w *world) digest(e *event) string {
	w.t.Helper()
	plain, err := schemas.AppendWithoutSystem(nil, w.document(e))
	if err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(plain)
	return hex.EncodeToString(sum[:])
}

// document is the event's value, or what its claim check stands for.
func (w *world) document(e *event) []byte {
	w.t.Helper()
	if !e.Attributes.ClaimCheck {
		return e.Value
	}
	check, err := schemas.DecodeClaimCheck(e.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	body, _, err := blob.ReadAll(w.t.Context(), w.root, e.Topic+"/"+check.Name, schemas.LargeLimit)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := check.Verify(body); err != nil {
		w.t.Error(err)
	}
	return body
}

// waitComplete waits until every range of a container has a usable mark of a time after now that covers its newest LSN.
func (w *world) waitComplete(c harness.Container) {
	w.t.Helper()
	ranges, err := w.cosmos.Ranges(c.Database, c.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	w.eventually("usable marks at the newest LSN of every range of "+c.Name(), func() bool {
		for _, r := range ranges {
			done := slices.ContainsFunc(w.marks(c), func(m event) bool {
				return usable(m.mark) && m.mark.Range == r.Span && int64(m.mark.LSN) == r.Newest && !m.mark.Latest.Before(now)
			})
			if !done {
				return false
			}
		}
		return true
	})
}
