// Package restorer_test runs almanac-restorer against cosmosfake and archives that it writes itself: what a producer and
// an archiver would have made of the container's own change feed, but with times of the test's choosing.
package restorer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/restorer"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/bench/peer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

func TestMain(m *testing.M) {
	peer.Main(m, map[string]func(context.Context, []string) error{
		"restorer": func(context.Context, []string) error { service.Main(restorer.Program()); return nil },
		"upsert":   upsert,
	})
}

const (
	partitions = 3
	startTime  = "2026-11-20T10:00:00Z"
)

// world is an account, a container in it, and its archive.
type world struct {
	t         testing.TB
	server    *cosmosfake.Server
	account   *harness.Account
	client    *cosmos.Client
	container harness.Container
	folder    string
	config    string
	basis     schemas.Basis // of marks: complete unless the test says otherwise

	store    blob.Store
	topic    schemas.Topic
	resource *cosmos.Container
	readers  []*reader
	next     [partitions]int64        // offset of the next record
	rows     map[string][]archive.Row // by container, not flushed yet
	table    *delta.Snapshot
}

// reader is where the reading of a range stands.
type reader struct {
	span       schemas.FeedRange
	token      string
	lsn        schemas.LSN
	generation schemas.Generation
	offsets    schemas.Offsets
}

// newWorld makes an account with the container and an archive that knows it.
func newWorld(t testing.TB, container harness.Container) *world {
	t.Helper()
	w := &world{t: t, container: container, folder: t.TempDir(), basis: schemas.BasisComplete, rows: map[string][]archive.Row{}}
	var err error
	w.server, err = cosmosfake.New(cosmosfake.Options{Ranges: 3})
	w.must(err)
	t.Cleanup(func() { _ = w.server.Close() })
	w.account = &harness.Account{URL: w.server.URL(), Key: w.server.Key(), Client: w.server.Client()}
	ca := w.authorities()
	w.must(os.WriteFile(ca, w.server.CAPEM(), 0o600))
	w.client, err = cosmos.New(cosmos.Options{Endpoint: w.server.URL(), Key: config.NewSecret(w.server.Key()), CAFile: ca})
	w.must(err)
	t.Cleanup(w.client.Close)
	w.must(w.account.CreateDatabase(t.Context(), container.Database))
	w.must(w.account.CreateContainer(t.Context(), container.Database, w.definition(), container.Ranges))
	w.writeConfig(ca)
	w.openArchive()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) definition() []byte {
	more := ""
	if w.container.Definition != "" {
		more = "," + w.container.Definition
	}
	return fmt.Appendf(nil, `{"id":%q,"partitionKey":{"paths":["%s"],"kind":%q,"version":2}%s}`,
		w.container.ID, strings.Join(w.container.Key, `","`), w.container.Kind(), more)
}

func (w *world) writeConfig(ca string) {
	deletes := "deletes: none"
	if w.container.Deletes == "soft" {
		deletes = "deletes: soft\n    soft_delete: { path: /deleted, value: true }"
	}
	w.config = filepath.Join(w.folder, "almanac.yaml")
	text := fmt.Sprintf(`cosmos: { endpoint: %q, key: %q, ca_file: %q }
archive: { root: %q }
restorer: { spill: %q, memory: 8MiB }
containers:
  - database: %s
    container: %s
    %s
`, w.server.URL(), w.server.Key(), ca, filepath.Join(w.folder, "archive"), w.folder, w.container.Database, w.container.ID, deletes)
	w.must(os.WriteFile(w.config, []byte(text), 0o600))
}

func (w *world) openArchive() {
	ctx := w.t.Context()
	root := filepath.Join(w.folder, "archive")
	w.must(os.Mkdir(root, 0o755))
	store, err := dir.New(root, dir.Options{})
	w.must(err)
	w.store = store
	w.topic, err = topicid.Identify(ctx, store, w.container.TopicName())
	w.must(err)
	w.table, err = delta.Load(ctx, w.changes(), delta.Options{})
	w.must(err)
	w.resource, err = w.client.ReadContainer(ctx, w.container.Database, w.container.ID)
	w.must(err)
	ranges, err := w.client.FeedRanges(ctx, w.container.Database, w.container.ID)
	w.must(err)
	for i, r := range ranges {
		w.readers = append(w.readers, &reader{span: r, generation: schemas.Generation(1_700_000_000_000 + i), offsets: schemas.Offsets{}})
	}
	for _, r := range w.readers {
		w.mark(r, time.Unix(1_700_000_000, 0), schemas.BasisLoading)
	}
}

func (w *world) changes() blob.Store {
	return blob.Prefixed(w.store, schemas.ChangesPrefix(w.container.TopicName()))
}

// write upserts documents of `partition key, document` each.
func (w *world) write(pairs ...string) {
	w.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := w.account.Write(w.t.Context(), harness.Upsert, w.container, pairs[i], []byte(pairs[i+1])); err != nil {
			w.t.Fatalf("write %.80s: %v", pairs[i+1], err)
		}
	}
}

// minute is a time of the test: minutes after startTime.
func minute(n int) time.Time {
	start, err := time.Parse(time.RFC3339, startTime)
	if err != nil {
		panic(err)
	}
	return start.Add(time.Duration(n) * time.Minute)
}

// archive reads all ranges to their ends, marks them as of minute n, commits, and returns the name of the newest point.
func (w *world) archive(n int) string {
	w.t.Helper()
	for _, r := range w.readers {
		w.drain(r)
	}
	w.record(schemas.ControlContainer, archive.Row{
		PartitionKey: schemas.ControlKey(schemas.OpDefinition, w.container.Name(), schemas.FeedRange{}), ID: []byte(w.container.Name()),
		Op: schemas.OpDefinition, TS: minute(n).UnixMicro(), Document: w.resource.Resource,
	}, w.readers[0])
	for _, r := range w.readers {
		w.mark(r, minute(n), w.basis)
	}
	w.flush()
	rules, err := archive.NewRules(archive.DeletesNone, "", nil)
	w.must(err)
	changes, err := archive.OpenChanges(w.t.Context(), w.store, w.container.TopicName())
	w.must(err)
	timeline, err := archive.LoadTimeline(w.t.Context(), changes, w.container.Name(), rules)
	w.must(err)
	newest, _ := timeline.Newest()
	return newest.Name
}

// drain reads a range until nothing is new.
func (w *world) drain(r *reader) {
	var doc schemas.Document
	for {
		page, err := w.client.ReadChanges(w.t.Context(), cosmos.ReadOptions{Container: w.resource, Range: r.span, Token: r.token, MaxItems: 100})
		w.must(err)
		r.token, r.lsn = page.Token, page.Position
		if page.NotModified {
			return
		}
		for _, item := range page.Items {
			w.must(doc.Scan(w.resource.Key, item))
			w.record(w.container.Name(), archive.Row{
				PartitionKey: slices.Clone(doc.Key), ID: slices.Clone(doc.ID), Op: schemas.OpUpserted, TS: doc.TS * 1e6,
				Generation: r.generation, Order: schemas.Order{LSN: doc.LSN}, EPK: []byte(schemas.HexEPK(doc.EPK)),
				RID: slices.Clone(doc.RID), ETag: slices.Clone(doc.ETag), TTL: doc.TTL, Document: slices.Clone(item),
			}, r)
		}
	}
}

func (w *world) mark(r *reader, at time.Time, basis schemas.Basis) {
	m := schemas.Mark{
		Container: w.container.Name(), Incarnation: w.resource.RID, Range: r.span, Mode: schemas.LatestVersion, Generation: r.generation,
		Basis: basis, LSN: r.lsn, Newest: r.lsn, Drained: basis == schemas.BasisComplete,
		CompleteTo: at.Add(-10 * time.Second), Latest: at, Offsets: r.offsets,
	}
	value, err := m.Encode()
	w.must(err)
	w.record(schemas.ControlContainer, archive.Row{
		PartitionKey: schemas.ControlKey(schemas.OpMark, w.container.Name(), r.span), ID: []byte(w.container.Name()),
		Op: schemas.OpMark, TS: at.UnixMicro(), Generation: r.generation, Order: schemas.Order{LSN: r.lsn}, Document: value,
	}, r)
}

// record gives a row its place on the topic.
func (w *world) record(container string, row archive.Row, r *reader) {
	partition := int32(len(row.PartitionKey)+len(row.ID)) % partitions
	row.TopicPartition, row.Offset = partition, w.next[partition]
	row.Incarnation, row.Topic, row.PublishedAt = []byte(w.resource.RID), []byte(w.topic.UUID.String()), row.TS
	w.next[partition]++
	r.offsets.Raise(partition, row.Offset)
	w.rows[container] = append(w.rows[container], row)
}

// flush commits all rows.
func (w *world) flush() {
	ctx := w.t.Context()
	actions := delta.Actions{}
	for container, rows := range w.rows {
		slices.SortFunc(rows, func(a, b archive.Row) int { return a.Compare(&b) })
		var file bytes.Buffer
		writer, err := archive.NewFileWriter(&file, schemas.ChangeColumns())
		w.must(err)
		for i := range rows {
			w.must(writer.Write(&rows[i]))
		}
		written, err := writer.Close()
		w.must(err)
		stats, err := written.Delta()
		w.must(err)
		path, partition := archive.ChangeFile(container, time.Now(), schemas.NewUUID())
		info, err := w.changes().Put(ctx, path, bytes.NewReader(file.Bytes()), blob.IfAbsent())
		w.must(err)
		actions.Adds = append(actions.Adds, delta.Add{
			Path: path, Partition: partition, Size: info.Size, Modified: info.Modified, DataChange: true, Stats: stats,
		})
	}
	for p, next := range w.next {
		if next > 0 {
			actions.Txns = append(actions.Txns, delta.Txn{AppID: schemas.TxnAppID(w.topic.UUID, int32(p)), Version: next - 1})
		}
	}
	var err error
	if w.table.Version < 0 {
		actions.Metadata, err = archive.ChangesMetadata(w.container.TopicName(), w.topic.UUID)
		w.must(err)
	}
	w.table, err = delta.Commit(ctx, w.changes(), w.table, func(context.Context, *delta.Snapshot) (delta.Actions, error) { return actions, nil }, delta.Options{})
	w.must(err)
	clear(w.rows)
}

// authorities is the file that the account's certificate is trusted by.
func (w *world) authorities() string { return filepath.Join(w.folder, "ca.pem") }

// outcome is what a command did.
type outcome struct {
	code     int
	out, err string
}

// run runs almanac-restorer in this process.
func (w *world) run(args ...string) outcome {
	w.t.Helper()
	return w.runContext(w.t.Context(), args...)
}

func (w *world) runContext(ctx context.Context, args ...string) outcome {
	w.t.Helper()
	return w.runIn(ctx, restorer.Program(), args...)
}

// runProgram runs another program in this process.
func (w *world) runProgram(program service.Program, args ...string) outcome {
	w.t.Helper()
	return w.runIn(w.t.Context(), program, args...)
}

func (w *world) runIn(ctx context.Context, program service.Program, args ...string) outcome {
	w.t.Helper()
	var out, errs bytes.Buffer
	code := service.Run(ctx, program, append(args, "--config", w.config), nil, service.Streams{Out: &out, Err: &errs})
	return outcome{code, out.String(), errs.String()}
}

func (w *world) replaceConfig(old, with string) {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	w.must(err)
	if !bytes.Contains(text, []byte(old)) {
		w.t.Fatalf("got no %q in almanac.yaml", old)
	}
	w.must(os.WriteFile(w.config, bytes.ReplaceAll(text, []byte(old), []byte(with)), 0o600))
}

// want fails the test unless the command ended so and said all of these words.
func (o outcome) want(t testing.TB, code int, words ...string) {
	t.Helper()
	if o.code != code {
		t.Fatalf("got exit code %d, want %d\n%s%s", o.code, code, o.out, o.err)
	}
	for _, word := range words {
		if !strings.Contains(o.out+o.err, word) {
			t.Errorf("got no %q in\n%s%s", word, o.out, o.err)
		}
	}
}

// contents are the user's bytes of all documents of a container, read over HTTP by code that shares nothing with the
// product, sorted.
func (w *world) contents(container string) []string {
	w.t.Helper()
	var all []string
	err := w.account.Each(w.t.Context(), harness.Container{Database: w.container.Database, ID: container}, func(document []byte) error {
		text := string(document)
		at := strings.LastIndex(text, `,"_rid":"`)
		if at < 0 {
			return fmt.Errorf("document without system properties: %.100s", text)
		}
		all = append(all, text[:at]+"}")
		return nil
	})
	w.must(err)
	slices.Sort(all)
	return all
}

func sameContents(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d documents, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("got document %.200s\nwant %.200s", got[i], want[i])
			return
		}
	}
}
