// Package archiver_test measures the archiver beside others that write the same topic as Parquet: the obvious loop over
// the same libraries (franz-go's records into parquet-go's generic writer, without offsets in the commit, proof of the
// files, or a bound on anything), and Redpanda Connect where ALMANAC_REDPANDA_CONNECT
// names its binary.
package archiver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/bench/peer"
)

const (
	topicName  = "cosmos.shop.orders"
	partitions = 4
	topicBytes = 200 << 20
)

// redpanda names a binary of Redpanda Connect that has its components kafka, io, pure and parquet.
const redpanda = "ALMANAC_REDPANDA_CONNECT"

func TestMain(m *testing.M) {
	peer.Main(m, map[string]func(context.Context, []string) error{
		"almanac": func(context.Context, []string) error { service.Main(archiver.Program()); return nil },
		"obvious": obvious,
	})
}

// input is a topic to archive.
type input struct {
	brokers []string
	topic   schemas.UUID
	records int64
	raw     int64 // bytes of documents
}

// BenchmarkArchiver archives a whole topic per round, from the start of the process to the commit of the last record.
func BenchmarkArchiver(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topicName), kfake.GroupMinSessionTimeout(100*time.Millisecond))
			if err != nil {
				b.Fatal(err)
			}
			defer kafka.Close()
			in := fill(b, kafka, s)
			var compared peer.Comparison
			for _, one := range peers() {
				b.Run(one.name, func(b *testing.B) {
					var used peer.Usage
					n := 0
					for b.Loop() {
						n++
						command, done := one.command(b, in, b.TempDir())
						run, err := peer.Run(command, done)
						if err != nil {
							b.Fatal(err)
						}
						used.Add(run)
					}
					compared.Report(b, used, n, in.records, in.raw)
				})
			}
		})
	}
}

// contender is one that archives the input into the folder.
type contender struct {
	name    string
	command func(b *testing.B, in *input, folder string) (command *exec.Cmd, done func() (bool, error))
}

func peers() []contender {
	all := []contender{{"almanac", almanacCommand}, {"obvious", obviousCommand}}
	if os.Getenv(redpanda) != "" {
		all = append(all, contender{"redpanda", redpandaCommand})
	}
	return all
}

func almanacCommand(b *testing.B, in *input, folder string) (*exec.Cmd, func() (bool, error)) {
	b.Helper()
	store, err := dir.New(folder, dir.Options{})
	if err != nil {
		b.Fatal(err)
	}
	identity := fmt.Appendf(nil, `{"uuid":%q,"format":%d}`, in.topic, schemas.FormatVersion)
	if _, err := store.Put(b.Context(), schemas.TopicFile(topicName), bytes.NewReader(identity), blob.IfAbsent()); err != nil {
		b.Fatal(err)
	}
	file := write(b, "almanac.yaml", fmt.Sprintf(`
archive: {root: %q}
kafka: {brokers: [%s], session_timeout: 6s}
archiver: {flush_interval: 2s}
containers: [{database: shop, container: orders, topic: %s, deletes: none}]
`, folder, quoted(in.brokers), topicName))
	command, err := peer.Role(b.Context(), "almanac", "run", "--config", file)
	if err != nil {
		b.Fatal(err)
	}
	return command, func() (bool, error) {
		changes, err := archive.OpenChanges(b.Context(), store, topicName)
		if errors.Is(err, blob.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		archived := int64(0)
		for _, last := range changes.Offsets() {
			archived += last + 1
		}
		return archived == in.records, nil
	}
}

func obviousCommand(b *testing.B, in *input, folder string) (*exec.Cmd, func() (bool, error)) {
	b.Helper()
	command, err := peer.Role(b.Context(), "obvious", fmt.Sprint(in.records), folder, strings.Join(in.brokers, ","))
	if err != nil {
		b.Fatal(err)
	}
	return command, nil
}

// redpandaCommand writes the columns that the obvious loop writes, in files as large, and is done when its group's
// offsets are at the end of the topic: it commits them after it has written.
func redpandaCommand(b *testing.B, in *input, folder string) (*exec.Cmd, func() (bool, error)) {
	b.Helper()
	group := schemas.NewUUID().String()
	file := write(b, "connect.yaml", fmt.Sprintf(redpandaConfig, quoted(in.brokers), topicName, group, filepath.Join(folder, "${!uuid_v4()}.parquet")))
	client, err := kgo.NewClient(kgo.SeedBrokers(in.brokers...))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	return exec.CommandContext(b.Context(), os.Getenv(redpanda), "run", file), func() (bool, error) {
		offsets, err := admin.FetchOffsets(b.Context(), group)
		if errors.Is(err, kerr.GroupIDNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		committed := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { committed += o.At })
		return committed == in.records, nil
	}
}

const redpandaConfig = `
http: {enabled: false}
logger: {level: ERROR}
input:
  kafka_franz:
    seed_brokers: [%s]
    topics: [%s]
    consumer_group: %s
    start_offset: earliest
    batching: {byte_size: 67108864, period: 2s}
pipeline:
  threads: 1
  processors:
    - mapping: |
        let h = @
        root.partition_key = @kafka_key.string()
        root.id = $h.ce_subject.or("")
        root.op = $h.ce_type.or("")
        root.ts = $h.ce_time.or("")
        root.almanac = $h.almanac.or("").bytes()
        root.document = content().string()
        root.topic_partition = @kafka_partition
        root.offset = @kafka_offset
        root.published_at = @kafka_timestamp_unix
    - parquet_encode:
        default_compression: zstd
        schema:
          - {name: partition_key, type: UTF8}
          - {name: id, type: UTF8}
          - {name: op, type: UTF8}
          - {name: ts, type: UTF8}
          - {name: almanac, type: BYTE_ARRAY}
          - {name: document, type: UTF8}
          - {name: topic_partition, type: INT32}
          - {name: offset, type: INT64}
          - {name: published_at, type: INT64}
output:
  file: {path: '%s', codec: all-bytes}
`

func quoted(brokers []string) string { return `"` + strings.Join(brokers, `", "`) + `"` }

func write(b *testing.B, name, text string) (path string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// fill puts documents of one to two KiB on the topic.
func fill(b *testing.B, kafka *kfake.Cluster, s shape) *input {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.DefaultProduceTopic(topicName), kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	var errs []error
	in := &input{topic: schemas.NewUUID(), brokers: kafka.ListenAddrs()}
	for ; in.raw < topicBytes; in.records++ {
		record := documentRecord(b, rng, s, in.topic, int(in.records))
		in.raw += int64(len(record.Value))
		client.Produce(b.Context(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	if err := errors.Join(client.Flush(b.Context()), errors.Join(errs...)); err != nil {
		b.Fatal(err)
	}
	return in
}

func documentRecord(b *testing.B, rng *rand.Rand, s shape, topic schemas.UUID, n int) *kgo.Record {
	b.Helper()
	customer := rng.IntN(100_000)
	document := s.document(nil, rng, n, customer)
	document = fmt.Appendf(document, `,"_rid":"%016x","_etag":"\"%016x\"","_ts":%d,"_lsn":%d}`, n, rng.Uint64(), 1_760_000_000+n/1000, n)
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
