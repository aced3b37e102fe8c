package real_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// topicName is the topic of every archive here.
const topicName = "cosmos.shop"

// odd are containers whose names survive only if paths, partition values and URLs are each escaped once.
func odd() []string {
	return []string{"shop.products", "shöp.a b%20c=d", "s:h+o&p.'q'", schemas.ControlContainer}
}

// row is one row of a table in the form that readers are compared in: column to value, timestamps in microseconds.
type row map[string]any

// line is the row's JSON, in one canonical form.
func (r row) line(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// table is a Delta table that the product wrote, and what readers must find in it.
type table struct {
	columns  []schemas.Column
	order    []string // by which rows are compared
	snapshot *delta.Snapshot
	rows     []row
	offsets  map[string]int64 // by txn appId
	versions int64
}

// writeChanges writes a `changes` table as an archiver does: flushes of several containers and topic partitions, one
// commit each, with checkpoints; then small files become one, as in compaction.
func writeChanges(t *testing.T, root blob.Store, seed uint64) *table {
	t.Helper()
	ctx := within(t, 3*time.Minute)
	rng := rand.New(rand.NewPCG(seed, 2))
	identity, err := topicid.Identify(ctx, root, topicName)
	if err != nil {
		t.Fatal(err)
	}
	w := &changesWriter{
		t: t, ctx: ctx, store: blob.Prefixed(root, schemas.ChangesPrefix(topicName)), uuid: identity.UUID, rng: rng,
		table: &table{columns: append(schemas.ChangeColumns(), schemas.PartitionColumns()...), order: []string{"topic_partition", "offset"}, offsets: map[string]int64{}},
		next:  map[int32]int64{},
	}
	for range 25 {
		w.flush()
	}
	w.compact()
	w.flush()
	w.table.snapshot, w.table.versions = w.snapshot, w.snapshot.Version+1
	return w.table
}

type changesWriter struct {
	t        *testing.T
	ctx      context.Context
	store    blob.Store
	uuid     schemas.UUID
	rng      *rand.Rand
	table    *table
	snapshot *delta.Snapshot
	next     map[int32]int64 // offset by topic partition
	n        int
}

func (w *changesWriter) options() delta.Options { return delta.Options{CheckpointEvery: 10} }

// flush commits some rows of each container.
func (w *changesWriter) flush() {
	byContainer := map[string][]archive.Row{}
	for range 1 + w.rng.IntN(60) {
		container := odd()[w.rng.IntN(len(odd()))]
		byContainer[container] = append(byContainer[container], w.row(container))
	}
	now := time.Now()
	var adds []delta.Add
	for _, container := range slices.Sorted(maps.Keys(byContainer)) {
		path, partition := archive.ChangeFile(container, now, schemas.NewUUID())
		adds = append(adds, w.upload(path, partition, byContainer[container], schemas.ChangeColumns()))
		for i := range byContainer[container] {
			r := rowOf(&byContainer[container][i], schemas.ChangeColumns())
			r["container"], r["date"] = partition["container"], partition["date"]
			w.table.rows = append(w.table.rows, r)
		}
	}
	w.commit(func(below *delta.Snapshot) delta.Actions {
		actions := delta.Actions{Adds: adds, Info: delta.CommitInfo{Operation: "STREAMING UPDATE"}}
		for _, partition := range slices.Sorted(maps.Keys(w.next)) {
			app := schemas.TxnAppID(w.uuid, partition)
			w.table.offsets[app] = w.next[partition] - 1
			actions.Txns = append(actions.Txns, delta.Txn{AppID: app, Version: w.next[partition] - 1})
		}
		if below.Version < 0 {
			metadata, err := archive.ChangesMetadata(topicName, w.uuid)
			if err != nil {
				w.t.Fatal(err)
			}
			actions.Metadata = metadata
		}
		return actions
	})
}

func (w *changesWriter) commit(actions func(below *delta.Snapshot) delta.Actions) {
	w.t.Helper()
	snapshot, err := delta.Commit(w.ctx, w.store, w.snapshot, func(_ context.Context, below *delta.Snapshot) (delta.Actions, error) {
		return actions(below), nil
	}, w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	w.snapshot = snapshot
}

// compact rewrites all files of a container and date as one: nothing changes for readers.
func (w *changesWriter) compact() {
	folders := map[string][]delta.Add{}
	for _, add := range w.snapshot.Files {
		key := add.Partition["container"] + "\n" + add.Partition["date"]
		folders[key] = append(folders[key], add)
	}
	var removes []delta.Remove
	var adds []delta.Add
	for _, key := range slices.Sorted(maps.Keys(folders)) {
		var rows []archive.Row
		for _, add := range folders[key] {
			rows = append(rows, readFile(w.t, w.ctx, w.store, add)...)
			remove := delta.RemoveOf(add)
			remove.DataChange = false
			removes = append(removes, remove)
		}
		container, _, _ := strings.Cut(key, "\n")
		path, _ := archive.ChangeFile(container, time.Now(), schemas.NewUUID())
		add := w.upload(path, folders[key][0].Partition, rows, schemas.ChangeColumns())
		add.DataChange = false
		adds = append(adds, add)
	}
	w.commit(func(*delta.Snapshot) delta.Actions {
		return delta.Actions{Removes: removes, Adds: adds, Info: delta.CommitInfo{Operation: "OPTIMIZE"}}
	})
}

func (w *changesWriter) upload(path string, partition map[string]string, rows []archive.Row, columns []schemas.Column) delta.Add {
	w.t.Helper()
	slices.SortFunc(rows, func(a, b archive.Row) int { return cmp.Or(a.Compare(&b), cmp.Compare(a.Offset, b.Offset)) })
	var file bytes.Buffer
	writer, err := archive.NewFileWriter(&file, columns)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range rows {
		if err := writer.Write(&rows[i]); err != nil {
			w.t.Fatal(err)
		}
	}
	stats, err := writer.Close()
	if err != nil {
		w.t.Fatal(err)
	}
	statistics, err := stats.Delta()
	if err != nil {
		w.t.Fatal(err)
	}
	info, err := w.store.Put(w.ctx, path, bytes.NewReader(file.Bytes()), blob.IfAbsent())
	if err != nil {
		w.t.Fatal(err)
	}
	return delta.Add{Path: path, Partition: partition, Size: stats.Bytes, Modified: info.Modified, DataChange: true, Stats: statistics}
}

// row is a random one, with what breaks readers: long texts with characters of two to four bytes where statistics are cut,
// nulls, times with microseconds, numbers beyond 53 bits, bytes of JSON that must stay as they are.
func (w *changesWriter) row(container string) archive.Row {
	w.n++
	partition := int32(w.rng.IntN(4))
	offset := w.next[partition]
	w.next[partition]++
	names := []string{"id-%d", "ä-%d", "日本-%d", "😀%d", strings.Repeat("x", 62) + "é%d", strings.Repeat("y", 61) + "\U0010ffff%d", strings.Repeat("z", 70) + "%d", "it's \"%d\"", " %d "}
	documents := []string{
		`{"id":"1","n":9007199254740993123,"f":1.0,"e":1e400}`, `{"a":"\u0041\/\ud83d\ude00","a":"<twice>"}`, `{ "blank" : [ 1 , 2 ] }`,
		`{"text":"` + strings.Repeat("日本 text ", w.rng.IntN(4000)) + `"}`, `{}`, `""`, ``,
	}
	at := time.Date(2026, 11, 20, 0, 0, w.rng.IntN(86400), 0, time.UTC).UnixMicro()
	r := archive.Row{
		PartitionKey: fmt.Appendf(nil, `["`+names[w.rng.IntN(len(names))]+`"]`, w.rng.IntN(40)), ID: fmt.Appendf(nil, names[w.rng.IntN(len(names))], w.rng.IntN(200)),
		Op: schemas.OpUpserted, TS: at + w.rng.Int64N(1_000_000), Generation: schemas.Generation(1795000000000 + w.rng.Int64N(2)),
		Order: schemas.Order{LSN: schemas.LSN(w.rng.Int64N(1 << 60)), Ordinal: w.rng.Int32N(3)},
		EPK:   []byte("05C1E02313E9B2AB43C6F3F0BA4F0A9C"), Incarnation: []byte("aXkBAKqh5wo="), RID: fmt.Appendf(nil, "rid%d==", w.n),
		ETag: fmt.Appendf(nil, `"%08x-0000"`, w.n), Document: []byte(documents[w.rng.IntN(len(documents))]),
		Topic: []byte(w.uuid.String()), TopicPartition: partition, Offset: offset, PublishedAt: at + w.rng.Int64N(1_000_000),
	}
	if w.rng.IntN(4) == 0 {
		r.TTL = schemas.TTL{Set: true, Seconds: w.rng.Int32N(100) - 1}
	}
	if w.rng.IntN(6) == 0 {
		r.Op, r.Document = schemas.OpDeleted, nil
	}
	if container == schemas.ControlContainer {
		r.Op = schemas.OpMark
	}
	return r
}

// rowOf is what readers must find.
func rowOf(r *archive.Row, columns []schemas.Column) row {
	all := row{
		"partition_key": string(r.PartitionKey), "id": string(r.ID), "op": string(r.Op), "ts": r.TS, "generation": int64(r.Generation), "lsn": int64(r.Order.LSN),
		"ordinal": r.Order.Ordinal, "epk": string(r.EPK), "incarnation": string(r.Incarnation), "rid": string(r.RID), "etag": string(r.ETag), "ttl": nil, "document": nil,
		"topic": string(r.Topic), "topic_partition": r.TopicPartition, "offset": r.Offset, "published_at": r.PublishedAt,
	}
	if r.TTL.Set {
		all["ttl"] = r.TTL.Seconds
	}
	if r.Document != nil {
		all["document"] = string(r.Document)
	}
	maps.DeleteFunc(all, func(name string, _ any) bool {
		return !slices.ContainsFunc(columns, func(c schemas.Column) bool { return c.Name == name })
	})
	return all
}

func readFile(t *testing.T, ctx context.Context, store blob.Store, add delta.Add) []archive.Row { //nolint:revive // t first in tests
	t.Helper()
	reader, err := archive.OpenFile(ctx, store, add.Path, add.Size, archive.Columns{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var rows []archive.Row
	for {
		var r archive.Row
		more, err := reader.Next(&r)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return rows
		}
		for _, text := range []*[]byte{&r.PartitionKey, &r.ID, &r.EPK, &r.Incarnation, &r.RID, &r.ETag, &r.Document, &r.Topic} {
			*text = bytes.Clone(*text)
		}
		rows = append(rows, r)
	}
}

// writeState writes a `state` table as a compactor does: two snapshots, of which the second replaces the first.
func writeState(t *testing.T, root blob.Store, seed uint64) *table {
	t.Helper()
	ctx := within(t, time.Minute)
	w := &changesWriter{t: t, ctx: ctx, rng: rand.New(rand.NewPCG(seed, 3)), next: map[int32]int64{}}
	store := blob.Prefixed(root, schemas.StatePrefix(topicName, odd()[1], "aXkBAKqh5wo="))
	out := &table{columns: schemas.StateColumns(), order: []string{"partition_key", "id"}}
	for version := range 2 {
		point := &archive.Point{Name: fmt.Sprintf("20261120T10150%d.000Z-1a2b3c4d", version), Latest: time.Now()}
		byKey := map[archive.Key]archive.Row{}
		for range 500 {
			r := w.row("")
			r.Document = []byte(fmt.Sprintf(`{"n":%d,"text":"%s"}`, w.n, strings.Repeat("state ", 50)))
			byKey[archive.Key{PartitionKey: string(r.PartitionKey), ID: string(r.ID)}] = r
		}
		writer := archive.NewStateWriter(store, point, 20<<10)
		out.rows = nil
		for _, key := range slices.SortedFunc(maps.Keys(byKey), archive.Key.Compare) {
			r := byKey[key]
			if err := writer.Write(ctx, &r); err != nil {
				t.Fatal(err)
			}
			out.rows = append(out.rows, rowOf(&r, schemas.StateColumns()))
		}
		files, err := writer.Close(ctx)
		if err != nil {
			t.Fatal(err)
		}
		out.snapshot, err = delta.Commit(ctx, store, out.snapshot, func(_ context.Context, below *delta.Snapshot) (delta.Actions, error) {
			actions := delta.Actions{Txns: []delta.Txn{{AppID: archive.SnapshotAppID(point.Name), Version: point.Latest.UnixMilli(), Updated: time.Now()}}}
			for _, old := range below.Files {
				actions.Removes = append(actions.Removes, delta.RemoveOf(old))
			}
			for i := range files {
				actions.Adds = append(actions.Adds, files[i].Add())
			}
			var err error
			if below.Version < 0 {
				actions.Metadata, err = archive.StateMetadata(odd()[1], time.Now())
			}
			return actions, err
		}, delta.Options{})
		if err != nil {
			t.Fatal(err)
		}
	}
	out.offsets = out.snapshot.Txns
	out.versions = out.snapshot.Version + 1
	return out
}
