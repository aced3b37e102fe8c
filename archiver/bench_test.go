package archiver

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/schemas"
)

// BenchmarkArchive is everything between Kafka's client and the store: decoding, buffering, sorting, encoding, proving,
// committing; a full buffer per round.
func BenchmarkArchive(b *testing.B) {
	store := mem.New()
	cfg := &config.Config{Archiver: config.Archiver{FlushBytes: 64 << 20, FlushInterval: time.Hour, ControlCommitInterval: time.Hour}}
	a, err := New(Options{Config: cfg, Archive: store, Producer: store, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	t, err := a.openTopic(b.Context(), 0, "t")
	if err != nil {
		b.Fatal(err)
	}
	p := t.partition(0)
	p.phase = reading
	var records []*kgo.Record
	var raw int64
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 0; raw < 60<<20; n++ {
		r := benchRecord(b, rng, t.uuid, n)
		raw += int64(len(r.Value))
		records = append(records, r)
	}
	b.SetBytes(raw)
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range records {
			r.Offset = p.next
			if err := a.takeRecord(b.Context(), t, p, r); err != nil {
				b.Fatal(err)
			}
		}
		if err := a.flush(b.Context(), t); err != nil {
			b.Fatal(err)
		}
		for _, f := range t.snapshot.Files { // the store shall not grow
			if err := t.store.Delete(b.Context(), f.Path); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchRecord(b *testing.B, rng *rand.Rand, topic schemas.UUID, n int) *kgo.Record {
	b.Helper()
	customer := rng.IntN(100_000)
	document := fmt.Appendf(nil, `{"id":"order-%08d","customer":"customer-%06d","state":"%s","lines":[`, n, customer, []string{"open", "paid", "packed"}[rng.IntN(3)])
	for range 8 {
		document = fmt.Appendf(document, `{"sku":"%016x","name":"%s of the %s","quantity":%d,"price":%d.%02d},`, rng.Uint64(),
			[]string{"chair", "table", "lamp"}[rng.IntN(3)], []string{"north", "south", "east"}[rng.IntN(3)], 1+rng.IntN(9), rng.IntN(300), rng.IntN(100))
	}
	document = fmt.Appendf(document, `{}],"_rid":"%016x","_etag":"\"%016x\"","_ts":%d,"_lsn":%d}`, n, rng.Uint64(), 1_760_000_000+n/1000, n)
	attributes, err := schemas.AppendAttributes(nil, &schemas.Attributes{
		Topic: topic, Mode: schemas.LatestVersion, Incarnation: []byte("aXkBAKqh5wo="), EPK: fmt.Appendf(nil, "%016x", rng.Uint64()), Generation: 1_760_000_000_000,
		Order: schemas.Order{LSN: schemas.LSN(n)}, RID: fmt.Appendf(nil, "%016x", n), ETag: fmt.Appendf(nil, `"%016x"`, rng.Uint64()),
	})
	if err != nil {
		b.Fatal(err)
	}
	var arena []byte
	record := &kgo.Record{Key: fmt.Appendf(nil, `["customer-%06d"]`, customer), Value: document, Timestamp: time.UnixMilli(1_760_000_000_000)}
	for _, h := range schemas.AppendHeaders(nil, &arena, &schemas.Envelope{
		ID: []byte("aXkBAKqh5wo=:1:1760000000000:1:0"), Source: "/account/shop/orders", Op: schemas.OpUpserted,
		Time: time.Unix(1_760_000_000, 0), Subject: fmt.Appendf(nil, "order-%08d", n),
	}, attributes) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return record
}
