// Package archiver_test runs archivers against an in-process Kafka and judges them by what the table holds.
package archiver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	topicName  = "cosmos.shop.orders"
	partitions = 4
	patience   = 12 * time.Second
)

// world is a Kafka with one topic, an archive, and what was sent.
type world struct {
	t      *testing.T
	kafka  *kfake.Cluster
	client *kgo.Client
	store  blob.Store // where the records are judged; archivers may get it wrapped
	uuid   schemas.UUID
	config *config.Config
	rng    *rand.Rand
	sent   map[place]sentRecord
}

type place struct {
	partition int32
	offset    int64
}

// sentRecord is what must be read back.
type sentRecord struct {
	container string
	row       archive.Row
}

func newWorld(t *testing.T) *world {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &world{t: t, store: mem.New(), rng: rand.New(rand.NewPCG(seed, 0)), sent: map[place]sentRecord{}}
	w.startKafka()
	identity, err := topicid.Identify(t.Context(), w.store, topicName)
	if err != nil {
		t.Fatal(err)
	}
	w.uuid = identity.UUID
	return w
}

// startKafka starts an empty cluster; the archive stays as it is.
func (w *world) startKafka() {
	w.t.Helper()
	w.startKafkaWith(partitions)
}

func (w *world) startKafkaWith(partitions int32) {
	w.t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topicName), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.kafka, w.client = cluster, client
	groups, err := harness.TendGroups(cluster)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { groups.Close(); client.Close(); cluster.Close() })
	w.config = &config.Config{
		Kafka:      config.Kafka{Brokers: cluster.ListenAddrs(), TopicPrefix: "cosmos", SessionTimeout: time.Second, MaxMessageBytes: 1_000_000},
		Archiver:   config.Archiver{Group: "archivers", FlushInterval: 50 * time.Millisecond, FlushBytes: 1 << 20, ControlCommitInterval: 50 * time.Millisecond},
		Service:    config.Service{ShutdownGrace: 10 * time.Second},
		Containers: []config.Container{{Database: "shop", Container: "orders", Topic: topicName}},
	}
}

// change makes a record of a document's change, and what its row must be.
func (w *world) change(partition int32, n int) (*kgo.Record, sentRecord) {
	w.t.Helper()
	container := []string{"orders", "carts"}[n%2]
	row := archive.Row{
		PartitionKey: fmt.Appendf(nil, `["customer-%d"]`, w.rng.IntN(50)), ID: fmt.Appendf(nil, "order-%d", w.rng.IntN(1000)),
		Op: schemas.OpUpserted, TS: 1_760_000_000_000_000 + int64(n)*1_000_000, Generation: 1_760_000_000_000,
		Order: schemas.Order{LSN: schemas.LSN(n)}, EPK: []byte("05C1E023"), Incarnation: []byte("aXkBAKqh5wo="), RID: []byte("aXkBAKqh5woBAAAA"),
		ETag: fmt.Appendf(nil, `"%08x"`, n), Topic: []byte(w.uuid.String()), TopicPartition: partition,
		Document: fmt.Appendf(nil, `{"id":"order-%d","n":%d,"exact":1.0,"pad":"%s"}`, n, n, bytes.Repeat([]byte("x"), w.rng.IntN(300))),
	}
	if n%7 == 0 {
		row.TTL = schemas.TTL{Set: true, Seconds: 60}
	}
	if n%11 == 0 {
		row.Op, row.Document = schemas.OpDeleted, nil
	}
	return w.record(row, "/account/shop/"+container), sentRecord{"shop." + container, row}
}

// record is the event of a row.
func (w *world) record(row archive.Row, source string) *kgo.Record {
	w.t.Helper()
	return w.recordOf(row, source, row.Document, false)
}

func (w *world) recordOf(row archive.Row, source string, value []byte, claimCheck bool) *kgo.Record {
	w.t.Helper()
	attributes, err := schemas.AppendAttributes(nil, &schemas.Attributes{
		Topic: w.uuid, Mode: schemas.LatestVersion, ClaimCheck: claimCheck, Incarnation: row.Incarnation, EPK: []byte{0x05, 0xC1, 0xE0, 0x23},
		Generation: row.Generation, Order: row.Order, RID: row.RID, ETag: row.ETag, TTL: row.TTL,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var arena []byte
	headers := schemas.AppendHeaders(nil, &arena, &schemas.Envelope{
		ID: []byte("1"), Source: source, Op: row.Op, Time: time.UnixMicro(row.TS), Subject: row.ID,
	}, attributes)
	record := &kgo.Record{Topic: topicName, Partition: row.TopicPartition, Key: row.PartitionKey, Value: value, Timestamp: time.UnixMilli(1_760_000_000_000)}
	for _, h := range headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return record
}

// send produces a record and remembers what its row must be.
func (w *world) send(record *kgo.Record, want sentRecord) place {
	w.t.Helper()
	got, err := w.client.ProduceSync(w.t.Context(), record).First()
	if err != nil {
		w.t.Fatal(err)
	}
	at := place{got.Partition, got.Offset}
	want.row.Offset, want.row.PublishedAt = got.Offset, got.Timestamp.UnixMicro()
	w.sent[at] = want
	return at
}

// sendChanges produces n changes, spread over all partitions.
func (w *world) sendChanges(n int) {
	w.t.Helper()
	for range n {
		k := len(w.sent)
		w.send(w.change(int32(w.rng.IntN(partitions)), k))
	}
}

// archiver is one that runs.
type running struct {
	cancel context.CancelFunc
	done   chan error
	once   sync.Once
	err    error
}

// run starts an archiver over store.
func (w *world) run(store blob.Store) *running {
	w.t.Helper()
	return w.runWith(archiver.Options{Config: w.config, Archive: store, Producer: store, Log: w.log()})
}

func (w *world) runWith(o archiver.Options) *running {
	w.t.Helper()
	a, err := archiver.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- a.Run(ctx) }()
	w.t.Cleanup(func() { r.stop() })
	return r
}

// stop asks the archiver to end, waits for it, and tells its error.
func (r *running) stop() error {
	r.cancel()
	return r.wait()
}

func (r *running) wait() error {
	r.once.Do(func() { r.err = <-r.done })
	return r.err
}

func (w *world) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{w.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(string(bytes.TrimRight(b, "\n")))
	}
	return len(b), nil
}

// eventually waits until ok, which is asked again and again, and fails the test when patience ends.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			w.t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

func (w *world) changes() *archive.Changes {
	w.t.Helper()
	c, err := archive.OpenChanges(w.t.Context(), w.store, topicName)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// waitArchived waits until the table holds all that was sent.
func (w *world) waitArchived() {
	w.t.Helper()
	want := schemas.Offsets{}
	for at := range w.sent {
		want.Raise(at.partition, at.offset)
	}
	w.eventually("all offsets archived", func() bool { return maps.Equal(w.changes().Offsets(), want) })
}

// rows reads the whole table: every row with the container that its file stands under.
func (w *world) rows() map[place][]sentRecord {
	w.t.Helper()
	found := map[place][]sentRecord{}
	c := w.changes()
	for _, file := range c.Snapshot.Files {
		r, err := c.Open(w.t.Context(), file, archive.Columns{})
		if err != nil {
			w.t.Fatal(err)
		}
		for {
			var row archive.Row
			more, err := r.Next(&row)
			if err != nil {
				w.t.Fatal(err)
			}
			if !more {
				break
			}
			row = cloneRow(row)
			at := place{row.TopicPartition, row.Offset}
			found[at] = append(found[at], sentRecord{file.Partition["container"], row})
		}
		r.Close()
	}
	return found
}

func cloneRow(r archive.Row) archive.Row {
	for _, b := range []*[]byte{&r.PartitionKey, &r.ID, &r.EPK, &r.Incarnation, &r.RID, &r.ETag, &r.Document, &r.Topic} {
		*b = bytes.Clone(*b)
	}
	return r
}

// check compares the table with what was sent: every record one row, and equal (INV-3, INV-6).
func (w *world) check() {
	w.t.Helper()
	found := w.rows()
	if len(found) != len(w.sent) {
		w.t.Errorf("got rows of %d offsets want %d", len(found), len(w.sent))
	}
	for at, want := range w.sent {
		got := found[at]
		if len(got) != 1 {
			w.t.Errorf("%v: got %d rows want 1", at, len(got))
			continue
		}
		if g, x := describe(got[0]), describe(want); g != x {
			w.t.Errorf("%v: got\n%s\nwant\n%s", at, g, x)
		}
	}
}

func describe(s sentRecord) string {
	document := "null"
	if s.row.Document != nil {
		document = strconv.Quote(string(s.row.Document))
	}
	r := s.row
	r.Document = nil
	return fmt.Sprintf("%s %s %s %s %d %d %v %s %s %s %s %v %s %d %d %d %s", s.container, r.PartitionKey, r.ID, r.Op, r.TS, r.Generation, r.Order,
		r.EPK, r.Incarnation, r.RID, r.ETag, r.TTL, r.Topic, r.TopicPartition, r.Offset, r.PublishedAt, document)
}

// halts waits for the halt of a partition.
func (w *world) waitHalt(partition int32) *schemas.Halt {
	w.t.Helper()
	var halt *schemas.Halt
	w.eventually("a halt of partition "+strconv.Itoa(int(partition)), func() bool {
		var err error
		if halt, err = archive.ReadHalt(w.t.Context(), w.store, topicName, partition); err != nil {
			w.t.Fatal(err)
		}
		return halt != nil
	})
	return halt
}

// waitTopicHalt waits for the halt of the topic as a whole.
func (w *world) waitTopicHalt() *schemas.Halt {
	w.t.Helper()
	var halt *schemas.Halt
	w.eventually("a halt of the topic", func() bool {
		halt = w.topicHalt()
		return halt != nil
	})
	return halt
}

func (w *world) topicHalt() *schemas.Halt {
	w.t.Helper()
	halt, err := archive.ReadTopicHalt(w.t.Context(), w.store, topicName)
	if err != nil {
		w.t.Fatal(err)
	}
	return halt
}

// deleteRecords moves the start of a partition's log.
func (w *world) deleteRecords(partition int32, to int64) {
	w.t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topicName, partition, to, -1)
	if _, err := kadm.NewClient(w.client).DeleteRecords(w.t.Context(), offsets); err != nil {
		w.t.Fatal(err)
	}
}

func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
