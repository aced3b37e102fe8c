package archiver

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

func randomRow(rng *rand.Rand, n int) archive.Row {
	text := func(n int) []byte { return bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, rng.IntN(n+1)) }
	row := archive.Row{
		PartitionKey: text(12), ID: text(5), Op: []schemas.Op{schemas.OpUpserted, schemas.OpMark, schemas.OpDeleted}[rng.IntN(3)], TS: rng.Int64(),
		Generation: schemas.Generation(rng.Int64N(3)), Order: schemas.Order{LSN: schemas.LSN(rng.Int64N(10)), Ordinal: rng.Int32N(3)}, EPK: text(255),
		Incarnation: text(127), RID: text(127), ETag: text(127), TTL: schemas.TTL{Seconds: -1, Set: true}, Document: text(3000),
		TopicPartition: rng.Int32N(4), Offset: int64(n), PublishedAt: rng.Int64(),
	}
	switch rng.IntN(5) {
	case 0:
		row.Document = nil
	case 1:
		row.TTL = schemas.TTL{}
	}
	return row
}

// TestBufferKeepsRows adds and drops rows at random and compares with a plain list.
func TestBufferKeepsRows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	type kept struct {
		topic     int
		container string
		row       archive.Row
	}
	const limit = 256 << 10
	b := newBuffer(limit)
	var want []kept
	for n := range 5000 {
		row := randomRow(rng, n)
		one := kept{rng.IntN(3), fmt.Sprint("container-", rng.IntN(3)), row}
		if !b.fits(one.topic, []byte(one.container), &row) {
			if len(b.refs) == 0 {
				t.Fatal("an empty buffer takes every row")
			}
			topic, partition := rng.IntN(3), rng.Int32N(4)
			b.drop(func(g group, p int32) bool { return g.topic == topic && p == partition })
			want = slices.DeleteFunc(want, func(k kept) bool { return k.topic == topic && k.row.TopicPartition == partition })
			if n%7 == 0 {
				b.drop(func(group, int32) bool { return true })
				want = nil
			}
			continue
		}
		b.add(one.topic, []byte(one.container), &row)
		want = append(want, one)
		if len(b.arena) > limit {
			t.Fatalf("got an arena of %d bytes want at most %d (INV-9)", len(b.arena), limit)
		}
		if n%500 > 0 {
			continue
		}
		b.sort()
		if len(b.refs) != len(want) {
			t.Fatalf("got %d rows want %d", len(b.refs), len(want))
		}
		seen := map[int64]bool{}
		var last archive.Row
		for i, r := range b.refs {
			var got archive.Row
			b.row(r.at, &got)
			if i > 0 && b.refs[i-1].group == r.group && last.Compare(&got) > 0 {
				t.Fatalf("row %d stands before its predecessor", i)
			}
			last = got
			at := slices.IndexFunc(want, func(k kept) bool { return k.row.Offset == got.Offset })
			if at < 0 || seen[got.Offset] {
				t.Fatalf("got offset %d, which is gone or stands twice", got.Offset)
			}
			seen[got.Offset] = true
			g := b.groups[r.group]
			if !reflect.DeepEqual(got, want[at].row) || g.topic != want[at].topic || g.container != want[at].container {
				t.Fatalf("got %+v %+v want %+v", g, got, want[at])
			}
		}
	}
}

// TestBufferTakesALargeRow: one row may be larger than the limit, and its room is given back.
func TestBufferTakesALargeRow(t *testing.T) {
	b := newBuffer(1000)
	large := archive.Row{Op: schemas.OpUpserted, Document: bytes.Repeat([]byte("x"), 5000)}
	if !b.fits(0, []byte("c"), &large) {
		t.Fatal("got no room for a row in an empty buffer")
	}
	b.add(0, []byte("c"), &large)
	if b.fits(0, []byte("c"), &archive.Row{Op: schemas.OpUpserted}) {
		t.Error("got room for more want none")
	}
	b.drop(func(group, int32) bool { return true })
	if cap(b.arena) > 2000 {
		t.Errorf("got an arena of %d bytes after the row want the limit again", cap(b.arena))
	}
}

func TestCadence(t *testing.T) {
	began := time.Unix(1_760_000_000, 0)
	after := func(d time.Duration) time.Time { return began.Add(d) }
	for name, test := range map[string]struct {
		events func(c *cadence)
		want   time.Duration // since began; -1 is never
	}{
		"nothing":                  {func(*cadence) {}, -1},
		"a change":                 {func(c *cadence) { c.sawChange(after(3 * time.Second)); c.sawChange(after(9 * time.Second)) }, 18 * time.Second},
		"the first control row":    {func(c *cadence) { c.sawControl(after(3 * time.Second)) }, 18 * time.Second},
		"a control row soon":       {func(c *cadence) { c.commit(after(time.Second)); c.sawControl(after(3 * time.Second)) }, 61 * time.Second},
		"a control row long after": {func(c *cadence) { c.commit(after(time.Second)); c.sawControl(after(time.Hour)) }, time.Hour + 15*time.Second},
		"a change after a control": {func(c *cadence) {
			c.commit(began)
			c.sawControl(after(time.Second))
			c.sawChange(after(2 * time.Second))
		}, 17 * time.Second},
		"after the rows were taken": {func(c *cadence) { c.sawChange(began); c.sawControl(began); c.flushed() }, -1},
	} {
		c := cadence{interval: 15 * time.Second, control: time.Minute}
		test.events(&c)
		at, ok := c.due()
		if ok != (test.want >= 0) || ok && !at.Equal(after(test.want)) {
			t.Errorf("%s: got %v %v want %v", name, at.Sub(began), ok, test.want)
		}
	}
}

// TestTakingInDoesNotAllocate: no allocation per record between the client and the file.
func TestTakingInDoesNotAllocate(t *testing.T) {
	topic := schemas.NewUUID()
	attributes, err := schemas.AppendAttributes(nil, &schemas.Attributes{
		Topic: topic, Mode: schemas.LatestVersion, Incarnation: []byte("aXkBAKqh5wo="), EPK: bytes.Repeat([]byte{5}, 16), Generation: 1_760_000_000_000,
		Order: schemas.Order{LSN: 42}, RID: []byte("aXkBAKqh5woBAAAA"), ETag: []byte(`"0000-0000"`),
	})
	if err != nil {
		t.Fatal(err)
	}
	var arena []byte
	record := &kgo.Record{Key: []byte(`["a"]`), Value: []byte(`{"id":"1"}`), Timestamp: time.Now()}
	for _, h := range schemas.AppendHeaders(nil, &arena, &schemas.Envelope{
		ID: []byte("1"), Source: "/account/shop/orders", Op: schemas.OpUpserted, Time: time.Unix(1_760_000_000, 0), Subject: []byte("1"),
	}, attributes) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	d, b := &decoder{}, newBuffer(64<<20)
	b.refs = make([]ref, 0, 100_000)
	take := func() {
		if err := d.decode(record, topic); err != nil {
			t.Fatal(err)
		}
		if d.row.Op != schemas.OpUpserted || !b.fits(0, d.container, &d.row) {
			t.Fatalf("got %s, document %s", d.row.Op, d.row.Document)
		}
		b.add(0, d.container, &d.row)
	}
	take()
	if got := testing.AllocsPerRun(1000, take); got > 0 {
		t.Errorf("got %v allocations per record want none", got)
	}
}
