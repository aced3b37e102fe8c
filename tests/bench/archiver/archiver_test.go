// Package archiver_test measures the archiver beside the obvious loop over the same libraries: franz-go's records into
// parquet-go's generic writer, without offsets in the commit, proof of the files, or a bound on anything.
package archiver_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/schemas"
)

const (
	topicName  = "cosmos.shop.orders"
	partitions = 4
	topicBytes = 200 << 20
)

// BenchmarkArchiver archives a whole topic per round. Kafka runs in the same process, so its part of the processor time
// is in both rates.
func BenchmarkArchiver(b *testing.B) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topicName), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		b.Fatal(err)
	}
	defer kafka.Close()
	id := schemas.NewUUID()
	records, raw := fill(b, kafka, id)
	for name, archiveAll := range map[string]func(*testing.B, blob.Store, *kfake.Cluster, int64){"almanac": almanac, "obvious": obvious} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(raw)
			before := processorTime(b)
			for b.Loop() {
				b.StopTimer()
				store, err := dir.New(b.TempDir(), dir.Options{})
				if err != nil {
					b.Fatal(err)
				}
				identity := fmt.Appendf(nil, `{"uuid":%q,"format":%d}`, id, schemas.FormatVersion)
				if _, err := store.Put(b.Context(), schemas.TopicFile(topicName), bytes.NewReader(identity), blob.IfAbsent()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				archiveAll(b, store, kafka, records)
			}
			used := processorTime(b) - before
			b.ReportMetric(float64(raw)*float64(b.N)/1e6/used.Seconds(), "MB/s/core")
			b.ReportMetric(float64(records)*float64(b.N)/used.Seconds(), "records/s/core")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func almanac(b *testing.B, store blob.Store, kafka *kfake.Cluster, records int64) {
	b.Helper()
	cfg := &config.Config{
		Kafka:      config.Kafka{Brokers: kafka.ListenAddrs(), SessionTimeout: 5 * time.Second},
		Archiver:   config.Archiver{Group: schemas.NewUUID().String(), FlushBytes: 64 << 20, FlushInterval: time.Second, ControlCommitInterval: time.Second},
		Service:    config.Service{ShutdownGrace: 10 * time.Second},
		Containers: []config.Container{{Database: "shop", Container: "orders", Topic: topicName}},
	}
	var polled counter
	a, err := archiver.New(archiver.Options{
		Config: cfg, Archive: store, Producer: store, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Kafka: []kgo.Opt{kgo.WithHooks(&polled)},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	polled.want, polled.reached = records, cancel // the stop commits what is left
	if err := a.Run(ctx); err != nil {
		b.Fatal(err)
	}
	changes, err := archive.OpenChanges(b.Context(), store, topicName)
	if err != nil {
		b.Fatal(err)
	}
	var archived int64
	for _, last := range changes.Offsets() {
		archived += last + 1
	}
	if archived != records {
		b.Fatalf("got %d records archived want %d", archived, records)
	}
}

// counter calls reached once so many records were polled. The poll that brings them is taken in before the archiver stops.
type counter struct {
	n, want int64
	reached func()
}

func (c *counter) OnFetchRecordUnbuffered(_ *kgo.Record, polled bool) {
	if polled {
		if c.n++; c.n == c.want {
			c.reached()
		}
	}
}

// obviousRow is what the obvious loop writes.
type obviousRow struct {
	PartitionKey string `parquet:"partition_key,dict"`
	ID           string `parquet:"id"`
	Op           string `parquet:"op,dict"`
	TS           int64  `parquet:"ts,timestamp(microsecond)"`
	Generation   int64  `parquet:"generation"`
	LSN          int64  `parquet:"lsn"`
	EPK          string `parquet:"epk"`
	Incarnation  string `parquet:"incarnation,dict"`
	RID          string `parquet:"rid"`
	ETag         string `parquet:"etag"`
	Document     string `parquet:"document"`
	Partition    int32  `parquet:"topic_partition"`
	Offset       int64  `parquet:"offset"`
	PublishedAt  int64  `parquet:"published_at,timestamp(microsecond)"`
}

func obvious(b *testing.B, store blob.Store, kafka *kfake.Cluster, records int64) {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.ConsumeTopics(topicName))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	var rows []obviousRow
	size, files := 0, 0
	write := func() {
		slices.SortFunc(rows, func(x, y obviousRow) int {
			return cmp.Or(cmp.Compare(x.PartitionKey, y.PartitionKey), cmp.Compare(x.ID, y.ID), cmp.Compare(x.LSN, y.LSN))
		})
		var file bytes.Buffer
		w := parquet.NewGenericWriter[obviousRow](&file, parquet.Compression(&parquet.Zstd))
		if _, err := w.Write(rows); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		if _, err := store.Put(b.Context(), fmt.Sprintf("file-%d.parquet", files), &file, blob.IfAbsent()); err != nil {
			b.Fatal(err)
		}
		rows, size, files = rows[:0], 0, files+1
	}
	for records > 0 {
		fetched := client.PollFetches(b.Context())
		if err := fetched.Err(); err != nil {
			b.Fatal(err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			records--
			row := rowOf(b, r)
			rows = append(rows, row)
			if size += len(row.Document); size >= 64<<20 {
				write()
			}
		})
	}
	write()
}

type headers []kgo.RecordHeader

func (h headers) Header(name string) []byte {
	for _, one := range h {
		if one.Key == name {
			return one.Value
		}
	}
	return nil
}

func rowOf(b *testing.B, r *kgo.Record) obviousRow {
	b.Helper()
	var e schemas.Received
	if err := schemas.DecodeHeaders(headers(r.Headers), &e); err != nil {
		b.Fatal(err)
	}
	return obviousRow{
		PartitionKey: string(r.Key), ID: string(e.Subject), Op: string(e.Op), TS: e.Time.UnixMicro(), Generation: int64(e.Attributes.Generation),
		LSN: int64(e.Attributes.Order.LSN), EPK: schemas.HexEPK(e.Attributes.EPK), Incarnation: string(e.Attributes.Incarnation), RID: string(e.Attributes.RID),
		ETag: string(e.Attributes.ETag), Document: string(r.Value), Partition: r.Partition, Offset: r.Offset, PublishedAt: r.Timestamp.UnixMicro(),
	}
}

// fill puts documents of one to two KiB on the topic.
func fill(b *testing.B, kafka *kfake.Cluster, topic schemas.UUID) (records, raw int64) {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.DefaultProduceTopic(topicName), kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	var errs []error
	for ; raw < topicBytes; records++ {
		record := documentRecord(b, rng, topic, int(records))
		raw += int64(len(record.Value))
		client.Produce(b.Context(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	if err := errors.Join(client.Flush(b.Context()), errors.Join(errs...)); err != nil {
		b.Fatal(err)
	}
	return records, raw
}

func documentRecord(b *testing.B, rng *rand.Rand, topic schemas.UUID, n int) *kgo.Record {
	b.Helper()
	customer := rng.IntN(100_000)
	document := fmt.Appendf(nil, `{"id":"order-%08d","customer":"customer-%06d","state":"%s","total":%d.%02d,"lines":[{}`, n, customer,
		[]string{"open", "paid", "packed", "shipped"}[rng.IntN(4)], rng.IntN(1000), rng.IntN(100))
	for range 8 + rng.IntN(12) {
		document = fmt.Appendf(document, `,{"sku":"%016x","name":"%s of the %s","quantity":%d,"price":%d.%02d}`, rng.Uint64(),
			[]string{"chair", "table", "lamp", "shelf"}[rng.IntN(4)], []string{"north", "south", "east", "west"}[rng.IntN(4)], 1+rng.IntN(9), rng.IntN(300), rng.IntN(100))
	}
	document = fmt.Appendf(document, `],"_rid":"%016x","_etag":"\"%016x\"","_ts":%d,"_lsn":%d}`, n, rng.Uint64(), 1_760_000_000+n/1000, n)
	attributes, err := schemas.AppendAttributes(nil, &schemas.Attributes{
		Topic: topic, Mode: schemas.LatestVersion, Incarnation: []byte("aXkBAKqh5wo="), EPK: fmt.Appendf(nil, "%016x", rng.Uint64()), Generation: 1_760_000_000_000,
		Order: schemas.Order{LSN: schemas.LSN(n)}, RID: fmt.Appendf(nil, "%016x", n), ETag: fmt.Appendf(nil, `"%016x"`, rng.Uint64()),
	})
	if err != nil {
		b.Fatal(err)
	}
	var arena []byte
	record := &kgo.Record{Key: fmt.Appendf(nil, `["customer-%06d"]`, customer), Value: document}
	for _, h := range schemas.AppendHeaders(nil, &arena, &schemas.Envelope{
		ID: fmt.Appendf(nil, "aXkBAKqh5wo=:%016x:1760000000000:%d:0", n, n), Source: "/account/shop/orders", Op: schemas.OpUpserted,
		Time: time.Unix(1_760_000_000, 0), Subject: fmt.Appendf(nil, "order-%08d", n),
	}, attributes) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return record
}
