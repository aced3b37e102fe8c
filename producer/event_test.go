package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/schemas"
)

const firstGeneration = 1_760_000_000_000

// offlineReader readies events and sends none.
func offlineReader(tb testing.TB, store blob.Store, span schemas.FeedRange, paths ...string) *reader {
	tb.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Producer{
		config: &config.Config{Cosmos: config.Cosmos{Account: "acc"}}, root: store, log: slog.New(slog.DiscardHandler), now: time.Now,
		metrics: m, messageLimit: 16 << 10, pages: make(chan struct{}, pagesMost),
	}
	k := &task{
		topic: &topic{name: "topic", uuid: schemas.NewUUID()}, span: span,
		container: config.Container{Database: "shop", Container: "orders", Topic: "topic"},
	}
	c := firstCheckpoint()
	c.Range, c.Generation, c.Incarnation = span, firstGeneration, "aXkBAKqh5wo="
	r := newReader(p, k, &line{Checkpoint: c}, p.log)
	if r.lower, err = lowerBound(span); err != nil {
		tb.Fatal(err)
	}
	kind := "Hash"
	if len(paths) > 1 {
		kind = "MultiHash"
	}
	definition := fmt.Sprintf(`{"partitionKey":{"paths":["%s"],"kind":%q,"version":2}}`, strings.Join(paths, `","`), kind)
	key, err := schemas.ParseKeyDefinition([]byte(definition))
	if err != nil {
		tb.Fatal(err)
	}
	r.container = &cosmos.Container{Database: "shop", Name: "orders", RID: c.Incarnation, Key: key}
	return r
}

const system = `,"_rid":"aXkBAKqh5woBAAAA","_self":"s","_etag":"\"0000-1\"","_attachments":"a/","_ts":1760000000,"_lsn":17}`

type recordHeaders struct{ r *kgo.Record }

func (h recordHeaders) Header(name string) []byte {
	for i := range h.r.Headers {
		if h.r.Headers[i].Key == name {
			return h.r.Headers[i].Value
		}
	}
	return nil
}

func receive(t *testing.T, r *kgo.Record) schemas.Received {
	t.Helper()
	var got schemas.Received
	if err := schemas.DecodeHeaders(recordHeaders{r}, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEvents(t *testing.T) {
	tests := []struct {
		name, item string
		paths      []string
		op         schemas.Op
		key        string
	}{
		{"keyed", `{"id":"1","pk":"a","n":1e400` + system, []string{"/pk"}, schemas.OpUpserted, `["a"]`},
		{"blanks and numbers", ` { "pk" : 1.0 , "id":"1"` + system, []string{"/pk"}, schemas.OpUpserted, `[1]`},
		{"without the key property", `{"id":"1"` + system, []string{"/pk"}, schemas.OpUpserted, `[{}]`},
		{"null", `{"id":"1","pk":null` + system, []string{"/pk"}, schemas.OpUpserted, `[null]`},
		{"hierarchical", `{"id":"1","t":"eu","u":"c-42"` + system, []string{"/t", "/u"}, schemas.OpUpserted, `["eu","c-42"]`},
		{"key twice", `{"id":"1","pk":"a","pk":"b"` + system, []string{"/pk"}, schemas.OpUnkeyed, "almanac:unkeyed:shop.orders:-FF"},
		{"id twice", `{"id":"1","pk":"a","id":"2"` + system, []string{"/pk"}, schemas.OpUnkeyed, "almanac:unkeyed:shop.orders:-FF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := offlineReader(t, mem.New(), schemas.WholeRange(), test.paths...)
			next := clone(r.acked)
			if err := r.add(t.Context(), &next, []byte(test.item)); err != nil {
				t.Fatal(err)
			}
			record := &r.batch.records[0]
			got := receive(t, record)
			a := got.Attributes
			if got.Op != test.op || string(record.Key) != test.key || string(record.Value) != test.item {
				t.Errorf("got %s %s %s, want %s %s and the item", got.Op, record.Key, record.Value, test.op, test.key)
			}
			if a.Topic != r.topic.uuid || string(a.Incarnation) != "aXkBAKqh5wo=" || a.Generation != 1_760_000_000_000 ||
				a.Order != (schemas.Order{LSN: 17}) || string(a.RID) != "aXkBAKqh5woBAAAA" || string(a.ETag) != `"0000-1"` {
				t.Errorf("got attributes %+v", a)
			}
			if id := string(recordHeaders{record}.Header("ce_id")); id != "aXkBAKqh5wo=:aXkBAKqh5woBAAAA:1760000000000:17:0" {
				t.Errorf("got ce_id %s", id)
			}
			subject := "1"
			if test.op == schemas.OpUnkeyed {
				subject = "shop.orders"
			}
			if string(got.Subject) != subject || string(got.Account) != "acc" || string(got.Database) != "shop" || string(got.Container) != "orders" {
				t.Errorf("got subject %s of /%s/%s/%s", got.Subject, got.Account, got.Database, got.Container)
			}
			if want := time.Unix(1760000000, 999e6); !got.Time.Equal(time.Unix(1760000000, 0)) || !next.Latest.Equal(want) {
				t.Errorf("got time %v, latest %v, want latest %v", got.Time, next.Latest, want)
			}
		})
	}
}

func TestItemsThatHalt(t *testing.T) {
	tests := []struct {
		name, item, reason string
		span               schemas.FeedRange
	}{
		{"no JSON", `{"id":"1"`, reasonFormat, schemas.WholeRange()},
		{"no _lsn", `{"id":"1","pk":"a","_ts":1}`, reasonFormat, schemas.WholeRange()},
		{"no _ts", `{"id":"1","pk":"a","_lsn":1}`, reasonFormat, schemas.WholeRange()},
		{"header too long", `{"id":"1","pk":"a","_etag":"` + strings.Repeat("e", 200) + `","_ts":1,"_lsn":1}`, reasonFormat, schemas.WholeRange()},
		{"key of another range", `{"id":"1","pk":"a"` + system, reasonTopology, schemas.FeedRange{Min: "3FFFFF", Max: "FF"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := offlineReader(t, mem.New(), test.span, "/pk")
			next := clone(r.acked)
			var halt *haltError
			if err := r.add(t.Context(), &next, []byte(test.item)); !errors.As(err, &halt) || halt.reason != test.reason {
				t.Errorf("got %v, want a halt: %s", err, test.reason)
			}
		})
	}
}

func TestClaimCheck(t *testing.T) {
	store := mem.New()
	r := offlineReader(t, store, schemas.WholeRange(), "/pk")
	item := `{"id":"1","pk":"a","fill":"` + strings.Repeat("x", 20<<10) + `"` + system
	next := clone(r.acked)
	for _, one := range []string{item, `{"id":"2","pk":"a"` + system} {
		if err := r.add(t.Context(), &next, []byte(one)); err != nil {
			t.Fatal(err)
		}
	}
	record := &r.batch.records[0]
	if got := receive(t, record); !got.Attributes.ClaimCheck || got.Op != schemas.OpUpserted || sizeOf(record) > 2<<10 {
		t.Errorf("got %+v of %d bytes, want a small claim check", got, sizeOf(record))
	}
	check, err := schemas.DecodeClaimCheck(record.Value)
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := blob.ReadAll(t.Context(), store, "topic/"+check.Name, 1<<20)
	if err != nil || string(body) != item {
		t.Errorf("got %d bytes (%v), want the item", len(body), err)
	}
	if got := receive(t, &r.batch.records[1]); got.Attributes.ClaimCheck {
		t.Error("the next record is flagged too")
	}
}

// TestClaimCheckIsNotAssumed: an event whose document may not be in the store is never readied.
func TestClaimCheckIsNotAssumed(t *testing.T) {
	for _, f := range []fault.Fault{fault.Drop, fault.LoseAnswer} {
		store := fault.NewHooked(mem.New(), func(context.Context, fault.Op) fault.Fault { return f })
		r := offlineReader(t, store, schemas.WholeRange(), "/pk")
		next := clone(r.acked)
		var halt *haltError
		err := r.add(t.Context(), &next, []byte(`{"id":"1","pk":"a","fill":"`+strings.Repeat("x", 20<<10)+`"`+system))
		if err == nil || errors.As(err, &halt) || len(r.batch.records) > 0 {
			t.Errorf("fault %d: got %v and %d records, want an error that is tried again", f, err, len(r.batch.records))
		}
	}
}

// TestBuffersGrowUnderRecords: the records of a page keep their bytes while later ones make the buffers move.
func TestBuffersGrowUnderRecords(t *testing.T) {
	r := offlineReader(t, mem.New(), schemas.WholeRange(), "/pk")
	for page := range 2 {
		next := clone(r.acked)
		const n = 500
		for i := range n {
			if err := r.add(t.Context(), &next, fmt.Appendf(nil, `{"id":"%d-%d","pk":"k%d"%s`, page, i, i, system)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			record := &r.batch.records[i]
			got := receive(t, record)
			if want := fmt.Sprintf("%d-%d", page, i); string(got.Subject) != want || string(record.Key) != fmt.Sprintf(`["k%d"]`, i) {
				t.Fatalf("record %d: got %s %s", i, got.Subject, record.Key)
			}
		}
		r.batch.reset()
	}
}

func TestBatchSettles(t *testing.T) {
	refused := result{err: kerr.NotEnoughReplicas}
	tests := []struct {
		name    string
		results []result
		want    error  // in the chain; nil is success unless text is set
		text    string // in the error
		offsets schemas.Offsets
	}{
		{name: "all acknowledged", results: []result{{0, 8, nil}, {1, 0, nil}, {0, 9, nil}}, offsets: schemas.Offsets{0: 9, 1: 0}},
		{name: "nothing sent", offsets: schemas.Offsets{0: 7}},
		{name: "the first is refused", results: []result{refused, {0, 8, nil}}, want: kerr.NotEnoughReplicas, offsets: schemas.Offsets{0: 7}},
		{name: "the last is refused", results: []result{{0, 8, nil}, refused}, want: kerr.NotEnoughReplicas, offsets: schemas.Offsets{0: 7}},
		{name: "taken without a place", results: []result{{0, -1, nil}}, text: "where it stands", offsets: schemas.Offsets{0: 7}},
		{name: "topic made again", results: []result{{0, 3, nil}}, text: reasonTopic, offsets: schemas.Offsets{0: 7}},
		{name: "too large", results: []result{{err: kerr.MessageTooLarge}}, text: "kafka.max_message_bytes", offsets: schemas.Offsets{0: 7}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := offlineReader(t, mem.New(), schemas.WholeRange(), "/pk")
			b, offsets := r.batch, schemas.Offsets{0: 7}
			b.records, b.results, b.left, b.flying = make([]kgo.Record, len(test.results)), make(chan result, 8), len(test.results), true
			for _, one := range test.results {
				b.results <- one
			}
			for range 2 { // a refusal stays one
				err := b.settle(t.Context(), offsets)
				failed := test.want != nil || test.text != ""
				if (err != nil) != failed || test.want != nil && !errors.Is(err, test.want) || failed && !strings.Contains(err.Error(), test.text) {
					t.Errorf("got %v, want %v %s", err, test.want, test.text)
				}
				if fmt.Sprint(offsets) != fmt.Sprint(test.offsets) {
					t.Errorf("got offsets %v, want %v", offsets, test.offsets)
				}
			}
		})
	}
}

// TestBatchWaitsOn: a wait that was cut short goes on, and counts nothing before all is answered (INV-1).
func TestBatchWaitsOn(t *testing.T) {
	r := offlineReader(t, mem.New(), schemas.WholeRange(), "/pk")
	b := r.batch
	b.records, b.results, b.left, b.flying = make([]kgo.Record, 2), make(chan result, 2), 2, true
	b.results <- result{0, 8, nil}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	r.read.Position = 99
	if err := r.settle(short); !errors.Is(err, context.DeadlineExceeded) || r.acked.Position != 0 {
		t.Fatalf("got %v at %d, want a deadline at 0", err, r.acked.Position)
	}
	b.results <- result{0, 9, nil}
	if err := r.settle(t.Context()); err != nil || r.acked.Position != 99 || r.acked.Offsets[0] != 9 {
		t.Errorf("got %v, %+v, want position 99 and offset 9", err, r.acked)
	}
}

// TestLargeDocumentTurns: a document whose event took more than an hour is stored anew.
func TestLargeDocumentTurns(t *testing.T) {
	r := offlineReader(t, mem.New(), schemas.WholeRange(), "/pk")
	now := time.Now()
	r.p.now = func() time.Time { return now }
	if _, err := r.batch.deposit(t.Context(), bytes.Repeat([]byte("x"), 100)); err != nil {
		t.Fatal(err)
	}
	r.batch.flying = true
	now = now.Add(claimCheckTurn + time.Second)
	if err := r.settle(t.Context()); err == nil || !strings.Contains(err.Error(), "stored again") {
		t.Errorf("got %v, want that it is stored again", err)
	}
}

// BenchmarkPage readies the records of a page and sends none: what the producer adds to reading and sending.
func BenchmarkPage(b *testing.B) {
	r := offlineReader(b, mem.New(), schemas.WholeRange(), "/pk")
	items, size := pageOf(1000)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		readyPage(b, r, items)
	}
	b.ReportMetric(float64(len(items))*float64(b.N)/b.Elapsed().Seconds(), "documents/s")
}

func TestDocumentsDoNotAllocate(t *testing.T) {
	r := offlineReader(t, mem.New(), schemas.WholeRange(), "/pk")
	items, _ := pageOf(1000)
	if n := testing.AllocsPerRun(10, func() { readyPage(t, r, items) }); n > 10 {
		t.Errorf("got %v allocations for %d documents, want at most 10 a page", n, len(items))
	}
}

// pageOf makes documents of 0.8 KB, as the feed delivers them.
func pageOf(n int) (items [][]byte, size int) {
	for i := range n {
		items = append(items, fmt.Appendf(nil, `{"id":"product-%d","pk":"customer-%d","price":12.5,"text":%q%s`, i, i%50, strings.Repeat("word ", 160), system))
		size += len(items[i])
	}
	return items, size
}

func readyPage(tb testing.TB, r *reader, items [][]byte) {
	next := clone(r.acked)
	for _, item := range items {
		if err := r.add(tb.Context(), &next, item); err != nil {
			tb.Fatal(err)
		}
	}
	r.batch.reset()
}
