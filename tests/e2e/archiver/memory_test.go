package archiver_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

var megabytes = flag.Int("megabytes", 300, "how much TestMemoryBound sends through the archiver")

const (
	memoryLimit = "256MiB"
	residentMax = 400 << 20
)

// TestMemoryBound sends far more through the real program than its memory limit, with the default bound of its buffer, and
// looks at its peak resident set (INV-9). It logs the rate; the records stand on the topic before the program starts.
func TestMemoryBound(t *testing.T) {
	folder := t.TempDir()
	binary := filepath.Join(folder, "almanac-archiver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/cosmos-almanac/almanac/archiver/cmd/almanac-archiver").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	root := filepath.Join(folder, "archive")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	store, err := dir.New(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topicName), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	identity, err := topicid.Identify(t.Context(), store, topicName)
	if err != nil {
		t.Fatal(err)
	}
	sent, raw := fill(t, cluster, identity.UUID, int64(*megabytes)<<20)
	runtime.GC()

	config := fmt.Sprintf("kafka: {brokers: [%q]}\narchive: {root: %s}\narchiver: {flush_interval: 2s}\nservice: {log_level: warn}\ncontainers: [{database: shop, container: orders, topic: %s, deletes: none}]\n",
		cluster.ListenAddrs()[0], store.Root(), topicName)
	if err := os.WriteFile(filepath.Join(folder, "almanac.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	program := exec.CommandContext(t.Context(), binary, "run", "--config", filepath.Join(folder, "almanac.yaml"))
	program.Env = append(os.Environ(), "GOMEMLIMIT="+memoryLimit)
	program.Stdout, program.Stderr = &log, &log
	began := time.Now()
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	defer func() {
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	archived := waitFor(t, store, sent, ended)
	took := archived.Sub(began)
	peak := peakResident(t, program.Process.Pid)
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("archiver ended: %v\n%s", err, log.String())
	}
	cpu := program.ProcessState.UserTime() + program.ProcessState.SystemTime()
	t.Logf("%d MiB of documents, %d records: %.1f s, %.1f s of processor time, %.0f MB/s per core, peak resident %d MiB under GOMEMLIMIT=%s",
		raw>>20, sum(sent), took.Seconds(), cpu.Seconds(), float64(raw)/1e6/cpu.Seconds(), peak>>20, memoryLimit)
	if peak > residentMax {
		t.Errorf("got a peak resident set of %d MiB want at most %d", peak>>20, residentMax>>20)
	}
}

// fill produces so many bytes of documents of the usual shape, and tells the last offsets.
func fill(t *testing.T, cluster *kfake.Cluster, topic schemas.UUID, size int64) (sent schemas.Offsets, raw int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic(topicName), kgo.MaxBufferedBytes(64<<20),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	var errs []error
	for n := 0; raw < size; n++ {
		record := documentRecord(t, rng, topic, n)
		raw += int64(len(record.Value))
		client.Produce(t.Context(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	if err := errors.Join(client.Flush(t.Context()), errors.Join(errs...)); err != nil {
		t.Fatal(err)
	}
	sent = schemas.Offsets{}
	for p := range int32(partitions) {
		if info := cluster.PartitionInfo(topicName, p); info != nil && info.HighWatermark > 0 {
			sent[p] = info.HighWatermark - 1
		}
	}
	return sent, raw
}

// documentRecord is an order of one to two KiB, with words, numbers and random parts as such documents have.
func documentRecord(t *testing.T, rng *rand.Rand, topic schemas.UUID, n int) *kgo.Record {
	t.Helper()
	customer := rng.IntN(100_000)
	document := fmt.Appendf(nil, `{"id":"order-%08d","customer":"customer-%06d","state":"%s","total":%d.%02d,"lines":[`, n, customer,
		[]string{"open", "paid", "packed", "shipped"}[rng.IntN(4)], rng.IntN(1000), rng.IntN(100))
	for i := range 4 + rng.IntN(8) {
		if i > 0 {
			document = append(document, ',')
		}
		document = fmt.Appendf(document, `{"sku":"%016x","name":"%s of the %s","quantity":%d,"price":%d.%02d}`, rng.Uint64(),
			[]string{"chair", "table", "lamp", "shelf"}[rng.IntN(4)], []string{"north", "south", "east", "west"}[rng.IntN(4)], 1+rng.IntN(9), rng.IntN(300), rng.IntN(100))
	}
	document = fmt.Appendf(document, `],"_rid":"%016x","_self":"dbs/aXkBAA==/colls/aXkBAKqh5wo=/docs/%016x/","_etag":"\"%016x\"","_attachments":"attachments/","_ts":%d,"_lsn":%d}`,
		n, n, rng.Uint64(), 1_760_000_000+n/1000, n)
	attributes, err := schemas.AppendAttributes(nil, &schemas.Attributes{
		Topic: topic, Mode: schemas.LatestVersion, Incarnation: []byte("aXkBAKqh5wo="), EPK: fmt.Appendf(nil, "%016x", rng.Uint64()), Generation: 1_760_000_000_000,
		Order: schemas.Order{LSN: schemas.LSN(n)}, RID: fmt.Appendf(nil, "%016x", n), ETag: fmt.Appendf(nil, `"%016x"`, rng.Uint64()),
	})
	if err != nil {
		t.Fatal(err)
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

func sum(offsets schemas.Offsets) (n int64) {
	for _, last := range offsets {
		n += last + 1
	}
	return n
}

// waitFor waits until all but what the last interval may hold is archived; the rest is committed at the stop.
func waitFor(t *testing.T, store blob.Store, sent schemas.Offsets, ended <-chan error) time.Time {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		changes, err := archive.OpenChanges(t.Context(), store, topicName)
		if err != nil {
			t.Fatal(err)
		}
		if done := sum(changes.Offsets()); done == sum(sent) {
			return time.Now()
		}
		select {
		case <-ticker.C:
		case err := <-ended:
			t.Fatalf("archiver ended: %v", err)
		case <-deadline:
			t.Fatalf("got offsets %v want %v", changes.Offsets(), sent)
		}
	}
}

// peakResident is the greatest resident set of a process so far, in bytes.
func peakResident(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("/proc names no VmHWM: this test needs Linux")
	return 0
}
