package accept

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	gigabyte        = 1_000_000_000
	backlogMost     = 150_000_000 // bytes on the topic that are not archived yet: kfake keeps them in memory
	goMemoryLimit   = "256MiB"    // of the archiver
	archiverMost    = 400 << 20   // bytes resident
	compactorMemory = "100MiB"    // a tenth
	compactorMost   = 200 << 20   // bytes resident: the program promises twice its memory
)

// TestGigabyte sends a gigabyte of documents through an archiver that may use little memory, and lets a compactor that may
// use a tenth of a gigabyte take a snapshot of it. INV-9: what they need does not grow with what they handle.
func TestGigabyte(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	c := harness.Container{Database: "bulk", ID: "items", Key: []string{"/pk"}, Ranges: 1, Deletes: "none"}
	stack, err := harness.New(ctx, harness.Options{
		Dir: t.TempDir(), Bin: bin, Partitions: 4, Containers: []harness.Container{c},
		Settings: harness.Settings{"archiver.flush_interval": "2s", "compactor.memory": compactorMemory},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("ALMANAC_SEED=%d repeats the choices\n%s", seed, stack.Tails(15))
		}
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	bulk := newBulk(ctx, t, stack, c)
	archiver, err := stack.Spawn("archiver", "archiver", []string{"run"}, "GOMEMLIMIT="+goMemoryLimit)
	if err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	bulk.send(ctx, t)
	bulk.archived(ctx, t, 0)
	took := time.Since(began)
	peak, err := archiver.PeakRSS()
	if err != nil {
		t.Fatal(err)
	}
	if err := archiver.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("archived %d MB in %d records: %.1f s with their production, peak resident %d MiB under GOMEMLIMIT=%s",
		bulk.bytes/1e6, bulk.records, took.Seconds(), peak>>20, goMemoryLimit)
	if peak > archiverMost {
		t.Errorf("archiver: got a peak resident set of %d MiB want at most %d", peak>>20, archiverMost>>20)
	}

	var made struct {
		Rows  int
		Bytes int64
		Files int
	}
	result, err := stack.Ask(ctx, &made, "compactor", "snapshot", "--container", c.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("snapshot of %d documents, %d MB in %d files: %.1f s, peak resident %d MiB with compactor.memory=%s",
		made.Rows, made.Bytes/1e6, made.Files, result.Took.Seconds(), result.PeakRSS>>20, compactorMemory)
	if result.PeakRSS > compactorMost {
		t.Errorf("compactor: got a peak resident set of %d MiB want at most %d", result.PeakRSS>>20, compactorMost>>20)
	}
	if made.Rows != len(bulk.last) {
		t.Errorf("snapshot: got %d documents want %d", made.Rows, len(bulk.last))
	}
	bulk.judge(ctx, t)
}

// bulk writes a container's changes to the topic as a producer does.
type bulk struct {
	stack    *harness.Stack
	c        harness.Container
	client   *kgo.Client
	random   *rand.Rand
	noise    []byte
	topic    schemas.UUID
	resource []byte
	rid      string
	progress *harness.Progress

	bytes, records int64
	lsn            schemas.LSN
	last           map[oracle.Doc]string // digest of what the user wrote last
	all            map[schemas.LSN]string
}

const bulkGeneration = schemas.Generation(1_795_000_000_000)

func newBulk(ctx context.Context, t *testing.T, stack *harness.Stack, c harness.Container) *bulk {
	t.Helper()
	b := &bulk{
		stack: stack, c: c, random: rand.New(rand.NewPCG(uint64(seed), 7)), topic: schemas.NewUUID(),
		progress: stack.Progress(c.TopicName()), last: map[oracle.Doc]string{}, all: map[schemas.LSN]string{},
	}
	identity, err := json.Marshal(schemas.Topic{UUID: b.topic, Format: schemas.FormatVersion})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(stack.Archive, filepath.FromSlash(schemas.TopicFile(c.TopicName())))
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, identity, 0o644)); err != nil {
		t.Fatal(err)
	}
	if b.resource, err = stack.Account.ReadContainer(ctx, c); err != nil {
		t.Fatal(err)
	}
	var resource struct {
		RID string `json:"_rid"`
	}
	if err := json.Unmarshal(b.resource, &resource); err != nil {
		t.Fatal(err)
	}
	b.rid = resource.RID
	if b.client, err = kgo.NewClient(kgo.SeedBrokers(stack.Brokers()...), kgo.DefaultProduceTopic(c.TopicName()), kgo.MaxBufferedBytes(32<<20)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	words := make([]string, 3000)
	for i := range words {
		words[i] = fmt.Sprintf("%x ", b.random.Uint32()>>b.random.IntN(24))
	}
	for len(b.noise) < 8<<20 {
		b.noise = append(b.noise, words[b.random.IntN(len(words))]...)
	}
	return b
}

// send publishes the load and, behind it, what makes it a restore point.
func (b *bulk) send(ctx context.Context, t *testing.T) {
	t.Helper()
	begin := b.mark(schemas.BasisLoading)
	b.produce(ctx, t, schemas.OpMark, schemas.ControlKey(schemas.OpMark, b.c.Name(), schemas.WholeRange()), b.c.Name(), begin, nil)
	for b.bytes < gigabyte {
		for next := b.bytes + 10_000_000; b.bytes < next; {
			b.document(ctx, t)
		}
		if err := b.client.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		b.archived(ctx, t, backlogMost)
	}
	b.produce(ctx, t, schemas.OpDefinition, schemas.ControlKey(schemas.OpDefinition, b.c.Name(), schemas.WholeRange()), b.c.Name(), b.resource, nil)
	if err := b.client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	end := b.mark(schemas.BasisComplete)
	ends, err := b.stack.Ends(ctx, b.c.TopicName())
	if err != nil {
		t.Fatal(err)
	}
	var m schemas.Mark
	if err := json.Unmarshal(end, &m); err != nil {
		t.Fatal(err)
	}
	for partition, end := range ends {
		m.Offsets[partition] = end - 1
	}
	if end, err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	b.produce(ctx, t, schemas.OpMark, schemas.ControlKey(schemas.OpMark, b.c.Name(), schemas.WholeRange()), b.c.Name(), end, nil)
	if err := b.client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// archived waits until at most so many bytes of the topic are not in the archive, and lets the broker forget the rest:
// an archiver that goes on needs nothing below what it archived.
func (b *bulk) archived(ctx context.Context, t *testing.T, backlog int64) {
	t.Helper()
	topic := b.c.TopicName()
	ends, err := b.stack.Ends(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	each := max(1, b.bytes/max(1, b.records))
	err = harness.Until(ctx, "the archiver", func() (string, error) {
		if err := errors.Join(b.progress.Refresh(ctx), b.stack.Failed()); err != nil {
			return "", err
		}
		left := int64(0)
		for partition, end := range ends {
			last, ok := b.progress.Last[partition]
			if !ok {
				last = -1
			}
			left += (end - 1 - last) * each
		}
		if left > backlog {
			return fmt.Sprintf("%d MB are left", left/1e6), nil
		}
		return "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.stack.Forget(ctx, topic, b.progress.Last); err != nil {
		t.Fatal(err)
	}
}

// document publishes the next version of some document: mostly a new one, sometimes another version of one.
func (b *bulk) document(ctx context.Context, t *testing.T) {
	t.Helper()
	b.lsn++
	n := len(b.last)
	if n > 100 && b.random.IntN(10) == 0 {
		n = b.random.IntN(n)
	}
	id, pk := fmt.Sprintf("i-%09d", n), fmt.Sprintf(`["p-%04d"]`, n%5000)
	size := 500 + b.random.IntN(7000)
	from := b.random.IntN(len(b.noise) - size)
	value := make([]byte, 0, size+600)
	value = fmt.Appendf(value, `{"id":%q,"pk":%s,"text":"`, id, pk[1:len(pk)-1])
	value = append(value, b.noise[from:from+size]...)
	value = append(value, `"}`...)
	digest := oracle.Digest(value)
	b.last[oracle.Doc{PK: pk, ID: id}] = digest
	b.all[b.lsn] = digest
	rid := fmt.Sprintf("rid%09d", n)
	value = fmt.Appendf(value[:len(value)-1], `,"_rid":%q,"_self":"dbs/x/colls/y/docs/%s/","_etag":"\"%d\"","_attachments":"attachments/","_ts":%d,"_lsn":%d}`,
		rid, rid, b.lsn, int64(bulkGeneration)/1000, b.lsn)
	epk, err := oracle.EPK(pk, b.c.Kind())
	if err != nil {
		t.Fatal(err)
	}
	binary, err := hex.DecodeString(epk)
	if err != nil {
		t.Fatal(err)
	}
	b.bytes += int64(len(value))
	b.produce(ctx, t, schemas.OpUpserted, []byte(pk), id, value, &schemas.Attributes{
		EPK: binary, RID: []byte(rid), ETag: fmt.Appendf(nil, `"%d"`, b.lsn), Order: schemas.Order{LSN: b.lsn},
	})
}

// produce publishes one event; a of nil is that of a control event.
func (b *bulk) produce(ctx context.Context, t *testing.T, op schemas.Op, key []byte, subject string, value []byte, a *schemas.Attributes) {
	t.Helper()
	if a == nil {
		a = &schemas.Attributes{}
	}
	a.Topic, a.Mode, a.Incarnation, a.Generation = b.topic, schemas.LatestVersion, []byte(b.rid), bulkGeneration
	attributes, err := schemas.AppendAttributes(nil, a)
	if err != nil {
		t.Fatal(err)
	}
	b.records++
	var arena []byte
	record := &kgo.Record{Key: key, Value: value}
	for _, h := range schemas.AppendHeaders(nil, &arena, &schemas.Envelope{
		ID: fmt.Appendf(nil, "%d", b.records), Source: "/emulator/" + b.c.Database + "/" + b.c.ID, Op: op,
		Time: time.UnixMilli(int64(bulkGeneration)), Subject: []byte(subject),
	}, attributes) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	b.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
		if err != nil {
			t.Errorf("produce: %v", err)
		}
	})
}

// mark states where the load stands.
func (b *bulk) mark(basis schemas.Basis) []byte {
	m := schemas.Mark{
		Container: b.c.Name(), Incarnation: b.rid, Range: schemas.WholeRange(), Mode: schemas.LatestVersion, Generation: bulkGeneration,
		Basis: basis, LSN: b.lsn, Newest: b.lsn, Drained: basis == schemas.BasisComplete,
		CompleteTo: time.UnixMilli(int64(bulkGeneration)).UTC(), Latest: time.UnixMilli(int64(bulkGeneration) + 999).UTC(), Offsets: schemas.Offsets{},
	}
	text, err := m.Encode()
	if err != nil {
		panic(err) // of plain values
	}
	return text
}

// judge reads the archive back: every offset once, every document's bytes, and the snapshot's newest versions.
func (b *bulk) judge(ctx context.Context, t *testing.T) {
	t.Helper()
	report := &oracle.Report{}
	archive, err := oracle.ReadArchive(b.stack.Archive, b.c.TopicName(), report)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := b.stack.Ends(ctx, b.c.TopicName())
	if err != nil {
		t.Fatal(err)
	}
	archive.CheckOffsets(ends, report)
	left := maps.Clone(b.all)
	for i := range archive.Rows {
		r := &archive.Rows[i]
		if r.Container != b.c.Name() {
			continue
		}
		if want := b.all[schemas.LSN(r.LSN)]; r.User != want {
			report.Add("rows", "lsn %d has SHA-256 %s, written was %s", r.LSN, r.User, want)
		}
		delete(left, schemas.LSN(r.LSN))
	}
	if len(left) > 0 {
		report.Add("rows", "%d changes are not in the archive", len(left))
	}
	state, err := oracle.ReadState(b.stack.Archive, b.c.TopicName(), b.c.Name(), b.rid, report)
	if err != nil {
		t.Fatal(err)
	}
	for doc, want := range b.last {
		if state[doc] != want {
			report.Add("state", "%s %s has SHA-256 %s, written last was %s", doc.PK, doc.ID, state[doc], want)
		}
	}
	if len(state) != len(b.last) {
		report.Add("state", "got %d documents want %d", len(state), len(b.last))
	}
	if report.Total() > 0 {
		t.Errorf("%d findings\n%s", report.Total(), report)
	}
}
