package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

const (
	worldTopic = "cosmos.shop.a"
	worldUUID  = "0f0f0f0f-0000-4000-8000-000000000001"
	worldRID   = "R1"
)

// world is a ledger and an archive made by hand: container shop.a in two ranges, the second of which fails over. A test
// plants a defect in it before it is written.
type world struct {
	ledger  []Entry
	records []*record
	commits []*commit
	ends    map[int32]int64
	point   Point
	got     map[Doc]string // what was restored
	limit   time.Time
}

// record is a row with its container's partition.
type record struct {
	fileRow
	container string
	mark      *Mark
}

type commit struct {
	records  []*record
	txns     map[int32]int64
	rowsOff  int  // added to numRecords
	unsorted bool // rows in the order of their offsets
}

func clock(seconds float64) time.Time {
	return time.Date(2026, 11, 20, 10, 15, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

var low, high = Span{"", "20"}, Span{"20", "FF"}

// keyIn is a partition key whose hash is in the span.
func keyIn(t *testing.T, s Span) string {
	for i := range 1000 {
		key := fmt.Sprintf(`["k%d"]`, i)
		epk, err := EPK(key, "Hash")
		if err != nil {
			t.Fatal(err)
		}
		if s.Holds(epk) {
			return key
		}
	}
	t.Fatalf("no key in %s", s)
	return ""
}

func user(id string, n int) []byte {
	return fmt.Appendf(nil, `{"id":%q,"n":%d,"t":"\u00e9 1.0"}`, id, n)
}

// newWorld is a right one. Times are seconds; the failover happens at 5.
func newWorld(t *testing.T) *world {
	w := &world{ends: map[int32]int64{}, got: map[Doc]string{}}
	k0, k1 := keyIn(t, low), keyIn(t, high)
	write := func(s Span, key, id string, config, lsn int64, n int, at float64) *Entry {
		w.ledger = append(w.ledger, Entry{
			Op: "upsert", Container: "shop.a", RID: worldRID, Min: s.Min, Max: s.Max, Config: config, LSN: lsn, Time: clock(at),
			PK: key, ID: id, SHA256: Digest(user(id, n)), ETag: fmt.Sprintf(`"e%d"`, len(w.ledger)),
		})
		return &w.ledger[len(w.ledger)-1]
	}
	a1 := *write(low, k0, "a", 1, 2, 1, 1)
	b1 := *write(low, k0, "b", 1, 3, 2, 1.5)
	a2 := *write(low, k0, "a", 1, 4, 3, 3)
	c1 := *write(high, k1, "c", 1, 2, 4, 1)
	c2 := *write(high, k1, "c", 1, 3, 5, 4)
	w.ledger = append(w.ledger, Entry{Op: "failover", Container: "shop.a", RID: worldRID, Min: high.Min, Max: high.Max, Config: 2, UndoneFrom: 3, Time: clock(5)})
	c3 := *write(high, k1, "c", 2, 3, 6, 6.5)
	d1 := *write(high, k1, "d", 2, 4, 7, 8.5004) // in the last millisecond of its mark and of what is restored

	w.mark(low, 10, 1, 1, "loading", 0, 0)
	w.change(a1, 10, 1)
	w.change(b1, 10, 2)
	w.mark(low, 10, 3, 3, "complete", 1.5, 2.9)
	w.commit()
	w.mark(high, 10, 1, 1, "loading", 0, 0)
	w.change(c1, 10, 4)
	w.change(c2, 10, 5)
	w.mark(high, 10, 3, 3, "complete", 4, 5.9)
	w.commit()
	w.change(a2, 10, 3)
	w.mark(low, 10, 4, 4, "complete", 7.2, 8.9)
	w.mark(high, 20, 1, 1, "loading", 5, 5)
	w.commit()
	w.change(c1, 20, 4) // the rebase
	w.change(c3, 20, 6)
	w.change(d1, 20, 7)
	w.mark(high, 20, 4, 4, "complete", 7.5, 8.5)
	w.commit()
	w.point = Point{
		Name: "p", Container: "shop.a", Incarnation: worldRID, Latest: clock(8.9), Earliest: clock(8.5), CompleteTo: clock(7.2),
		Cuts: []Cut{{low, 10, 4}, {high, 20, 4}}, Offsets: map[string]int64{},
	}
	// The last mark names what stands before it.
	w.point.Offsets["0"], w.point.Offsets["1"] = w.ends[0]-2, w.ends[1]-1
	w.point.Name = w.point.fold()
	for i, id := range []string{"a", "b", "c", "d"} {
		doc := Doc{[]string{k0, k0, k1, k1}[i], id}
		w.got[doc] = []string{a2.SHA256, b1.SHA256, c3.SHA256, d1.SHA256}[i]
	}
	w.limit = clock(8.5)
	return w
}

// next places a record: changes on partition 1 for shop.a, marks on 0.
func (w *world) next(r *record, partition int32) {
	r.Topic, r.TopicPartition, r.Offset = worldUUID, partition, w.ends[partition]
	r.PublishedAt = clock(0).UnixMicro()
	w.ends[partition]++
	w.records = append(w.records, r)
}

// change adds the row of an entry, whose document has the number n.
func (w *world) change(e Entry, generation int64, _ int) {
	r := &record{container: "shop.a", fileRow: fileRow{
		PartitionKey: e.PK, ID: e.ID, Op: "upserted", TS: e.Time.Truncate(time.Second).UnixMicro(),
		Generation: generation, LSN: e.LSN, Incarnation: e.RID, RID: "R1doc" + e.ID, ETag: e.ETag,
	}}
	r.EPK, _ = EPK(e.PK, "Hash")
	for n := range 10 {
		if body := user(e.ID, n); Digest(body) == e.SHA256 {
			etag, _ := json.Marshal(e.ETag)
			text := fmt.Sprintf(`%s,"_rid":"R1doc%s","_self":"x","_etag":%s,"_attachments":"a","_ts":%d,"_lsn":%d}`,
				bytes.TrimSuffix(body, []byte("}")), e.ID, etag, e.Time.Unix(), e.LSN)
			r.Document = &text
		}
	}
	w.next(r, 1)
}

func (w *world) mark(s Span, generation, lsn, newest int64, basis string, complete, latest float64) {
	m := &Mark{
		Container: "shop.a", Incarnation: worldRID, Range: s, Generation: generation, Basis: basis, LSN: lsn, Newest: newest,
		Drained: basis == "complete", CompleteTo: clock(complete), Latest: clock(latest), Offsets: map[string]int64{},
	}
	for partition, end := range w.ends {
		m.Offsets[fmt.Sprint(partition)] = end - 1
	}
	r := &record{container: control, mark: m, fileRow: fileRow{
		PartitionKey: "almanac:mark:" + s.String(), ID: "shop.a", Op: "mark", Generation: generation, LSN: lsn, Incarnation: worldRID,
	}}
	w.next(r, 0)
}

// commit makes a commit of the records since the last one.
func (w *world) commit() {
	c := &commit{txns: map[int32]int64{}}
	done := 0
	for _, other := range w.commits {
		done += len(other.records)
	}
	for _, r := range w.records[done:] {
		c.records = append(c.records, r)
		c.txns[r.TopicPartition] = r.Offset
	}
	w.commits = append(w.commits, c)
}

// find is the n-th record of a change of the document.
func (w *world) find(id string, n int) *record {
	for _, r := range w.records {
		if r.ID == id && r.mark == nil {
			if n--; n == 0 {
				return r
			}
		}
	}
	panic("no such record")
}

// at is the mark at a cut.
func (w *world) at(s Span, generation, lsn int64) *Mark {
	for _, r := range w.records {
		if r.mark != nil && r.mark.Range == s && r.mark.Generation == generation && r.mark.LSN == lsn {
			return r.mark
		}
	}
	panic("no such mark")
}

// drop takes a record out of its commit.
func (w *world) drop(gone *record) {
	for _, c := range w.commits {
		c.records = slices.DeleteFunc(c.records, func(r *record) bool { return r == gone })
	}
}

// write writes ledger and archive; it returns the archive's root and the ledger's path.
func (w *world) write(t *testing.T) (root, ledger string) {
	root = t.TempDir()
	ledger = filepath.Join(root, "ledger")
	var lines []byte
	for _, e := range w.ledger {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	put(t, ledger, lines)
	dir := filepath.Join(root, worldTopic)
	put(t, filepath.Join(dir, "topic.json"), fmt.Appendf(nil, `{"uuid":%q,"format":1}`, worldUUID))
	for version, c := range w.commits {
		var log []byte
		if version == 0 {
			log = append(log, `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`+"\n"...)
			log = append(log, `{"metaData":{"schemaString":"{\"fields\":[{\"name\":\"id\"}]}","partitionColumns":["container"]}}`+"\n"...)
		}
		for _, container := range []string{"shop.a", control} {
			log = append(log, w.writeFile(t, dir, version, container, c)...)
		}
		for partition, last := range c.txns {
			log = fmt.Appendf(log, `{"txn":{"appId":"%s-%d","version":%d}}`+"\n", worldUUID, partition, last)
		}
		put(t, filepath.Join(dir, "changes", "_delta_log", fmt.Sprintf("%020d.json", version)), log)
	}
	return root, ledger
}

func (w *world) writeFile(t *testing.T, dir string, version int, container string, c *commit) []byte {
	var rows []fileRow
	for _, r := range c.records {
		if r.container != container {
			continue
		}
		if r.mark != nil {
			text, err := json.Marshal(r.mark)
			if err != nil {
				t.Fatal(err)
			}
			document := string(text)
			r.Document = &document
		}
		rows = append(rows, r.fileRow)
	}
	if len(rows) == 0 {
		return nil
	}
	slices.SortStableFunc(rows, func(x, y fileRow) int {
		if c.unsorted {
			return int(y.Offset - x.Offset)
		}
		return compareRows(
			Row{PartitionKey: x.PartitionKey, Doc: Doc{ID: x.ID}, Generation: x.Generation, LSN: x.LSN},
			Row{PartitionKey: y.PartitionKey, Doc: Doc{ID: y.ID}, Generation: y.Generation, LSN: y.LSN})
	})
	var file bytes.Buffer
	if err := parquet.Write(&file, rows); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("container=%s/f %d.parquet", container, version)
	put(t, filepath.Join(dir, "changes", name), file.Bytes())
	stats, _ := json.Marshal(fmt.Sprintf(`{"numRecords":%d}`, len(rows)+c.rowsOff))
	return fmt.Appendf(nil, `{"add":{"path":"container=%s/f%%20%d.parquet","partitionValues":{"container":%q},"size":%d,"stats":%s}}`+"\n",
		container, version, container, file.Len(), stats)
}

func put(t *testing.T, path string, text []byte) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// judge runs every check over what was written.
func (w *world) judge(t *testing.T, root, ledger string) *Report {
	report := &Report{}
	lines, err := ReadLedger(ledger)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := ReadArchive(root, worldTopic, report)
	if err != nil {
		t.Fatal(err)
	}
	archive.CheckOffsets(w.ends, report)
	archive.CheckRows(lines, map[string]string{"shop.a": "Hash"}, report)
	lineages := archive.CheckMarks(lines, report)
	archive.CheckPoint(&w.point, report)
	want, err := lines.ByName("shop.a").Content(&w.point, lineages, func(string) bool { return false })
	if err != nil {
		report.Add("points", "%v", err)
		return report
	}
	CheckContent("shop.restored", w.got, want, w.limit, report)
	return report
}
