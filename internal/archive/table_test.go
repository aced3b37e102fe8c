package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

func TestChangesMetadata(t *testing.T) {
	id, err := schemas.ParseUUID("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ChangesMetadata("cosmos.shop.orders", id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "changes-metadata.golden", string(text)+"\n")
}

func TestChangeFile(t *testing.T) {
	id, err := schemas.ParseUUID("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 20, 23, 59, 59, 999e6, time.UTC).In(time.FixedZone("later", 3600))
	for container, want := range map[string]string{
		"shop.orders": "container=shop.orders/date=2026-11-20/20261120T235959.999Z-6ba7b8109dad41d1.parquet",
		"_almanac":    "container=_almanac/date=2026-11-20/20261120T235959.999Z-6ba7b8109dad41d1.parquet",
		"a b.ü%":      "container=a%20b.%C3%BC%25/date=2026-11-20/20261120T235959.999Z-6ba7b8109dad41d1.parquet",
	} {
		path, values := ChangeFile(container, at, id)
		if path != want || values["container"] != container || values["date"] != "2026-11-20" {
			t.Errorf("%s: got %s %v want %s", container, path, values, want)
		}
		if err := blob.CheckName(path); err != nil {
			t.Error(err)
		}
	}
}

// TestLongContainerNames: two names of the greatest length make paths that every store takes, and differ.
func TestLongContainerNames(t *testing.T) {
	seen := map[string]bool{}
	for _, container := range []string{
		strings.Repeat("d", 255) + "." + strings.Repeat("c", 255), strings.Repeat("d", 255) + "." + strings.Repeat("c", 254),
		strings.Repeat("ü", 255) + ".c", "x" + strings.Repeat("ü", 255) + ".c", "xy" + strings.Repeat("ü", 255) + ".c",
	} {
		path, values := ChangeFile(container, time.Now(), schemas.UUID{})
		if err := blob.CheckName("topic/changes/" + path); err != nil {
			t.Error(err)
		}
		folder, _, _ := strings.Cut(path, "/")
		if _, err := url.PathUnescape(folder); err != nil || seen[folder] || values["container"] != container {
			t.Errorf("got folder %s (%v) want one of its own, well escaped", folder, err)
		}
		seen[folder] = true
	}
}

func TestTxnAppIDs(t *testing.T) {
	id := schemas.NewUUID()
	for _, p := range []int32{0, 7, 1<<31 - 1} {
		if got, number, ok := ParseTxnAppID(schemas.TxnAppID(id, p)); !ok || got != id || number != p {
			t.Errorf("got %v %d %v want %v %d", got, number, ok, id, p)
		}
	}
	for _, app := range []string{"", delta.SweepAppID, id.String(), id.String() + "-", id.String() + "--1", id.String() + "-01", id.String() + "-x", id.String() + "-2147483648"} {
		if _, _, ok := ParseTxnAppID(app); ok {
			t.Errorf("got a topic partition of %q want none", app)
		}
	}
}

func TestChangesAtAVersion(t *testing.T) {
	ctx, root := t.Context(), mem.New()
	if _, err := OpenChanges(ctx, root, "t"); !errors.Is(err, topicid.ErrNoTopic) {
		t.Errorf("got %v want topicid.ErrNoTopic", err)
	}
	identity, err := topicid.Identify(ctx, root, "t")
	if err != nil {
		t.Fatal(err)
	}
	empty, err := OpenChanges(ctx, root, "t")
	if err != nil {
		t.Fatal(err)
	}
	if len(empty.Offsets()) != 0 || len(empty.Files("shop.orders")) != 0 {
		t.Errorf("got %v %v want an empty table", empty.Offsets(), empty.Files("shop.orders"))
	}
	rows := someRows(3, 100)
	file, stats := writeFile(t, schemas.ChangeColumns(), rows)
	statistics, err := stats.Delta()
	if err != nil {
		t.Fatal(err)
	}
	path, values := ChangeFile("shop.orders", time.Now(), schemas.NewUUID())
	info, err := empty.Store().Put(ctx, path, bytes.NewReader(file), blob.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	_, err = delta.Commit(ctx, empty.Store(), nil, func(context.Context, *delta.Snapshot) (delta.Actions, error) {
		m, err := ChangesMetadata("t", identity.UUID)
		return delta.Actions{
			Metadata: m, Txns: []delta.Txn{{AppID: schemas.TxnAppID(identity.UUID, 2), Version: 99}},
			Adds: []delta.Add{{Path: path, Partition: values, Size: stats.Bytes, Modified: info.Modified, DataChange: true, Stats: statistics}},
		}, err
	}, delta.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := empty.Refresh(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Offsets(); !reflect.DeepEqual(got, schemas.Offsets{2: 99}) {
		t.Errorf("got offsets %v want 99 in partition 2", got)
	}
	files := c.Files("shop.orders")
	if len(files) != 1 || len(c.Files(schemas.ControlContainer)) != 0 {
		t.Fatalf("got files %v want one", files)
	}
	r, err := c.Open(ctx, files[0], Columns{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Rows() != int64(len(rows)) {
		t.Errorf("got %d rows want %d", r.Rows(), len(rows))
	}
	if err := CheckUUID(c.Snapshot, identity.UUID); err != nil {
		t.Error(err)
	}
	if err := CheckUUID(c.Snapshot, schemas.NewUUID()); err == nil {
		t.Error("got no error want one: the table is another topic's")
	}
}

// TestOneIdentity: whoever comes first names the topic, and all agree.
func TestOneIdentity(t *testing.T) {
	root := mem.New()
	got := make([]schemas.Topic, 12)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			var err error
			if got[i], err = topicid.Identify(t.Context(), root, "t"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, one := range got {
		if one != got[0] || one.UUID == (schemas.UUID{}) || one.Format != schemas.FormatVersion {
			t.Errorf("got %v want %v", one, got[0])
		}
	}
}

func TestRefusedIdentities(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON": "uuid", "newer": `{"uuid":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","format":2}`, "no uuid": `{"format":1}`,
		"too long": strings.Repeat(" ", topicid.SizeLimit+1),
	} {
		root := mem.New()
		if _, err := root.Put(t.Context(), schemas.TopicFile("t"), strings.NewReader(body), blob.IfAbsent()); err != nil {
			t.Fatal(err)
		}
		if got, err := topicid.Identify(t.Context(), root, "t"); err == nil {
			t.Errorf("%s: got %v want an error", name, got)
		}
	}
}

func TestHalts(t *testing.T) {
	ctx, root := t.Context(), mem.New()
	first := &schemas.Halt{Unit: "topic partition t/3", Reason: "a", Evidence: "b", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if got, err := ReadHalt(ctx, root, "t", 3); got != nil || err != nil {
		t.Fatalf("got %v %v want none", got, err)
	}
	for _, halt := range []*schemas.Halt{first, {Unit: "another"}} {
		if err := WriteHalt(ctx, root, "t", 3, halt); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadHalt(ctx, root, "t", 3); err != nil || !reflect.DeepEqual(got, first) {
		t.Errorf("got %v %v want the first reason", got, err)
	}
	if err := RemoveHalt(ctx, root, "t", 3); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadHalt(ctx, root, "t", 3); got != nil || err != nil {
		t.Errorf("got %v %v want none", got, err)
	}
}

// TestTextBounds: what is cut stays a bound.
func TestTextBounds(t *testing.T) {
	long := strings.Repeat("a", statText)
	for _, text := range []string{"", "a", long, long + "b", strings.Repeat("ü", statText), strings.Repeat("a", statText-1) + "üx", long + "\U0010FFFE"} {
		hi, ok := upperBound([]byte(text))
		if lo := lowerBound([]byte(text)); !ok || lo > text || hi < text || !utf8.ValidString(lo) || !utf8.ValidString(hi) || len(hi) > statText+4 {
			t.Errorf("%q: got bounds %q and %q (%v)", text, lo, hi, ok)
		}
	}
	if hi, ok := upperBound([]byte(long + "\U0010FFFFz")); ok {
		t.Errorf("got %q want no bound: nothing of that length is above", hi)
	}
}

func TestStatistics(t *testing.T) {
	rows := []Row{
		{PartitionKey: []byte(`["a"]`), ID: []byte("2"), TS: 1_760_000_000_123_456, Generation: 5, Order: schemas.Order{LSN: 9}, Offset: 4, Document: []byte("{}")},
		{PartitionKey: []byte(`["b"]`), ID: []byte("1"), TS: 1_760_000_000_000_000, Generation: 6, Order: schemas.Order{LSN: 2}, Offset: 7, TTL: schemas.TTL{Set: true}},
	}
	for name, columns := range map[string][]schemas.Column{
		`{"maxValues":{"generation":6,"id":"2","lsn":9,"offset":7,"partition_key":"[\"b\"]","ts":"2025-10-09T08:53:20.124Z"},` +
			`"minValues":{"generation":5,"id":"1","lsn":2,"offset":4,"partition_key":"[\"a\"]","ts":"2025-10-09T08:53:20.000Z"},` +
			`"nullCount":{"document":1,"generation":0,"id":0,"lsn":0,"offset":0,"partition_key":0,"ts":0,"ttl":1},"numRecords":2}`: schemas.ChangeColumns(),
		`{"maxValues":{"generation":6,"id":"2","lsn":9,"partition_key":"[\"b\"]","ts":"2025-10-09T08:53:20.124Z"},` +
			`"minValues":{"generation":5,"id":"1","lsn":2,"partition_key":"[\"a\"]","ts":"2025-10-09T08:53:20.000Z"},` +
			`"nullCount":{"document":1,"generation":0,"id":0,"lsn":0,"partition_key":0,"ts":0,"ttl":1},"numRecords":2}`: schemas.StateColumns(),
	} {
		_, stats := writeFile(t, columns, rows)
		if got, err := stats.Delta(); err != nil || string(got) != name {
			t.Errorf("got %s %v want %s", got, err, name)
		}
	}
}

// TestVerify: a file that is not what was meant is found out, whatever differs.
func TestVerify(t *testing.T) {
	rows := someRows(5, 2000)
	file, meant := writeFile(t, schemas.ChangeColumns(), rows)
	if err := Verify(file, &meant); err != nil {
		t.Fatal(err)
	}
	for i, change := range []func(*Row){
		func(r *Row) { r.Offset++ }, func(r *Row) { r.Document = []byte("{}") }, func(r *Row) { r.Document = nil }, func(r *Row) { r.TTL.Set = !r.TTL.Set },
		func(r *Row) { r.ETag = append(r.ETag, ' ') }, func(r *Row) { r.TopicPartition++ }, func(r *Row) { r.RID, r.ETag = append(r.RID, 'x'), append([]byte("x"), r.ETag...) },
	} {
		other := someRows(5, 2000)
		other[1000].Document = []byte(fmt.Sprint(i))
		change(&other[1000])
		_, stats := writeFile(t, schemas.ChangeColumns(), other)
		stats.Bytes, stats.Fingerprint.Seed = meant.Bytes, meant.Fingerprint.Seed
		stats.Fingerprint.Sum = 0
		for j := range other {
			stats.Fingerprint.Rows--
			stats.Fingerprint.Add(&other[j], stats.columns)
		}
		if err := Verify(file, &stats); !errors.Is(err, ErrUnfaithful) {
			t.Errorf("change %d: got %v want ErrUnfaithful", i, err)
		}
	}
	for name, broken := range map[string][]byte{"short": file[:len(file)-1], "damaged": damage(file, 5000), "empty": nil} {
		if err := Verify(broken, &meant); !errors.Is(err, ErrUnfaithful) {
			t.Errorf("%s: got %v want ErrUnfaithful", name, err)
		}
	}
}

func damage(file []byte, at int) []byte {
	file = bytes.Clone(file)
	file[at] ^= 0xff
	return file
}

func TestWriterRefusesDisorder(t *testing.T) {
	w, err := NewFileWriter(new(bytes.Buffer), schemas.ChangeColumns())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&Row{PartitionKey: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&Row{PartitionKey: []byte("a")}); err == nil {
		t.Error("got no error want one: the rows do not ascend")
	}
}

func TestSomeColumns(t *testing.T) {
	rows := someRows(9, 300)
	file, _ := writeFile(t, schemas.ChangeColumns(), rows)
	want, err := NewColumns("id", "offset", "ttl")
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range readFile(t, file, want) {
		if expect := (Row{ID: rows[i].ID, Offset: rows[i].Offset, TTL: rows[i].TTL}); !reflect.DeepEqual(got, expect) {
			t.Fatalf("row %d: got %+v want %+v", i, got, expect)
		}
	}
	rest, err := Without("document")
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range readFile(t, file, rest) {
		expect := rows[i]
		expect.Document = nil
		if !reflect.DeepEqual(got, expect) {
			t.Fatalf("row %d: got %+v want %+v", i, got, expect)
		}
	}
	if _, err := NewColumns("documents"); err == nil {
		t.Error("got no error want one: no such column")
	}
}

// TestWritingDoesNotAllocatePerRow: the hot path of the archiver.
func TestWritingDoesNotAllocatePerRow(t *testing.T) {
	rows := someDocuments(20_000)
	allocs := testing.AllocsPerRun(1, func() {
		w, err := NewFileWriter(new(bytes.Buffer), schemas.ChangeColumns())
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			if err := w.Write(&rows[i]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > float64(len(rows))/10 {
		t.Errorf("got %.0f allocations for %d rows", allocs, len(rows))
	}
}

func BenchmarkFile(b *testing.B) {
	rows := someRows(1, 20_000)
	var raw int64
	for i := range rows {
		raw += rows[i].Size()
	}
	b.Run("write", func(b *testing.B) {
		b.SetBytes(raw)
		for b.Loop() {
			writeFile(b, schemas.ChangeColumns(), rows)
		}
	})
	file, stats := writeFile(b, schemas.ChangeColumns(), rows)
	b.Run("verify", func(b *testing.B) {
		b.SetBytes(raw)
		for b.Loop() {
			if err := Verify(file, &stats); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSmallFile(b *testing.B) {
	rows := someDocuments(100)
	for b.Loop() {
		w, err := NewFileWriterFor(new(bytes.Buffer), schemas.ChangeColumns(), 40_000)
		if err != nil {
			b.Fatal(err)
		}
		for i := range rows {
			if err := w.Write(&rows[i]); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
