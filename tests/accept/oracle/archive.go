package oracle

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go"
)

// control is the partition of rows that are no changes.
const control = "_almanac"

// Archive is everything that the `changes` table of a topic holds.
type Archive struct {
	Topic string // its name
	UUID  string // by topic.json
	Table *Table
	Rows  []Row
	Marks []Mark
}

// Row is one row of `changes`. Of a change's document only its digests are kept.
type Row struct {
	Doc          Doc
	PartitionKey string // as it stands there
	Op           string
	TS           int64 // µs
	Generation   int64
	LSN          int64
	Ordinal      int32
	EPK          string
	Incarnation  string
	RID          string
	ETag         string
	TTL          int64  // the item's own; noTTL
	Bytes        string // digest of the document as delivered; empty for null
	User         string // digest of the user's part
	Topic        string
	Partition    int32
	Offset       int64
	Container    string
	File         string
	Document     []byte // control rows only
}

const noTTL = -1 << 62

// Mark is a control event as it stands in the archive.
type Mark struct {
	Container   string           `json:"container"`
	Incarnation string           `json:"incarnation"`
	Range       Span             `json:"range"`
	Generation  int64            `json:"generation"`
	Basis       string           `json:"basis"`
	LSN         int64            `json:"lsn"`
	Newest      int64            `json:"newest"`
	Drained     bool             `json:"drained"`
	CompleteTo  time.Time        `json:"complete_to"`
	Latest      time.Time        `json:"latest"`
	Offsets     map[string]int64 `json:"offsets"` // by topic partition

	Partition int32 `json:"-"` // where it stands
	Offset    int64 `json:"-"`
	ahead     bool  // of what the table has passed
}

// Counts reports whether the mark promises something: that all live documents are there in their version at LSN.
func (m *Mark) Counts() bool { return m.Basis == "complete" && m.Drained }

func (m *Mark) String() string {
	return fmt.Sprintf("mark of %s %s at %d/%d in %d:%d", m.Container, m.Range, m.Generation, m.LSN, m.Partition, m.Offset)
}

// fileRow is a row as it stands in a Parquet file.
type fileRow struct {
	PartitionKey   string  `parquet:"partition_key"`
	ID             string  `parquet:"id"`
	Op             string  `parquet:"op"`
	TS             int64   `parquet:"ts,timestamp(microsecond)"`
	Generation     int64   `parquet:"generation"`
	LSN            int64   `parquet:"lsn"`
	Ordinal        int32   `parquet:"ordinal"`
	EPK            string  `parquet:"epk"`
	Incarnation    string  `parquet:"incarnation"`
	RID            string  `parquet:"rid"`
	ETag           string  `parquet:"etag"`
	TTL            *int32  `parquet:"ttl,optional"`
	Document       *string `parquet:"document,optional"`
	Topic          string  `parquet:"topic"`
	TopicPartition int32   `parquet:"topic_partition"`
	Offset         int64   `parquet:"offset"`
	PublishedAt    int64   `parquet:"published_at,timestamp(microsecond)"`
}

// ReadArchive reads the topic's folder below the archive's root.
func ReadArchive(root, topic string, report *Report) (*Archive, error) {
	a := &Archive{Topic: topic}
	text, err := os.ReadFile(filepath.Join(root, topic, "topic.json"))
	if err != nil {
		return nil, fmt.Errorf("read topic.json: %w", err)
	}
	var identity struct{ UUID string }
	if err := json.Unmarshal(text, &identity); err != nil {
		return nil, fmt.Errorf("read topic.json: %w", err)
	}
	a.UUID = identity.UUID
	if a.Table, err = ReadTable(filepath.Join(root, topic, "changes"), report); err != nil {
		return nil, err
	}
	a.Table.CheckFiles(report)
	for _, name := range slices.Sorted(maps.Keys(a.Table.Active)) {
		if err := a.readFile(a.Table.Active[name], report); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return a, nil
}

func (a *Archive) readFile(add Add, report *Report) error {
	file, err := os.Open(filepath.Join(a.Table.Dir, filepath.FromSlash(add.Path)))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	reader := parquet.NewGenericReader[fileRow](file)
	defer func() { _ = reader.Close() }()
	before := len(a.Rows)
	batch := make([]fileRow, 256)
	for {
		n, err := reader.Read(batch)
		for i := range batch[:n] {
			if err := a.take(&batch[i], add, report); err != nil {
				return err
			}
		}
		clear(batch)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if sorted := slices.IsSortedFunc(a.Rows[before:], compareRows); !sorted {
		report.Add("files", "%s is not sorted by partition_key, id, generation, lsn, ordinal", add.Path)
	}
	var stats struct{ NumRecords int }
	if err := json.Unmarshal([]byte(add.Stats), &stats); err != nil {
		return fmt.Errorf("statistics: %w", err)
	}
	if got := len(a.Rows) - before; got != stats.NumRecords {
		report.Add("files", "%s has %d rows, its statistics say %d", add.Path, got, stats.NumRecords)
	}
	return nil
}

func compareRows(x, y Row) int {
	return cmp.Or(
		cmp.Compare(x.PartitionKey, y.PartitionKey), cmp.Compare(x.Doc.ID, y.Doc.ID),
		cmp.Compare(x.Generation, y.Generation), cmp.Compare(x.LSN, y.LSN), cmp.Compare(x.Ordinal, y.Ordinal))
}

func (a *Archive) take(f *fileRow, add Add, report *Report) error {
	r := Row{
		Doc: Doc{PK: f.PartitionKey, ID: f.ID}, PartitionKey: f.PartitionKey, Op: f.Op, TS: f.TS,
		Generation: f.Generation, LSN: f.LSN, Ordinal: f.Ordinal, EPK: f.EPK, Incarnation: f.Incarnation,
		RID: f.RID, ETag: f.ETag, TTL: noTTL, Topic: f.Topic, Partition: f.TopicPartition, Offset: f.Offset,
		Container: add.Partition["container"], File: add.Path,
	}
	if f.TTL != nil {
		r.TTL = int64(*f.TTL)
	}
	if r.Container == control {
		if f.Document != nil {
			r.Document = []byte(*f.Document)
		}
		a.Rows = append(a.Rows, r)
		if r.Op == "mark" {
			return a.takeMark(&r)
		}
		return nil
	}
	var err error
	if r.Doc.PK, err = normal(f.PartitionKey); err != nil {
		report.Add("rows", "%s: %v", r.where(), err)
	}
	if f.Document != nil {
		document := []byte(*f.Document)
		r.Bytes = Digest(document)
		user, err := User(document)
		if err != nil {
			report.Add("rows", "%s: %v", r.where(), err)
		} else {
			r.User = Digest(user)
		}
		if want := fmt.Appendf(nil, `"_lsn":%d}`, r.LSN); !bytes.HasSuffix(document, want) {
			report.Add("rows", "%s: lsn is %d, its document ends in %q", r.where(), r.LSN, document[max(0, len(document)-24):])
		}
	}
	a.Rows = append(a.Rows, r)
	return nil
}

func (a *Archive) takeMark(r *Row) error {
	m := Mark{Partition: r.Partition, Offset: r.Offset}
	if err := json.Unmarshal(r.Document, &m); err != nil {
		return fmt.Errorf("mark at %d:%d: %w", r.Partition, r.Offset, err)
	}
	a.Marks = append(a.Marks, m)
	return nil
}

func (r *Row) where() string {
	return fmt.Sprintf("row %s %s %s at %d:%d", r.Container, r.Doc.PK, r.Doc.ID, r.Partition, r.Offset)
}

// Last is the highest offset of every topic partition by the table's txn actions.
func (a *Archive) Last() map[int32]int64 {
	last := map[int32]int64{}
	for app, version := range a.Table.Txns {
		var partition int32
		if _, err := fmt.Sscanf(app, a.UUID+"-%d", &partition); err == nil {
			last[partition] = version
		}
	}
	return last
}
