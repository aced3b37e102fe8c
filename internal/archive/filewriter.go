package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Limits of a file's parts. A row group is the unit that a writer holds in memory, a page the unit that a reader does.
const (
	rowGroupRows  = 32_768
	rowGroupBytes = 32 << 20 // raw
	pageBytes     = 1 << 20
	pageLeast     = 16 << 10 // of small files
	boundBytes    = 128      // of a page's smallest and greatest value
	bloomBits     = 10       // per value: 1 % false positives
	batchRows     = 64
	batchBytes    = 256 << 10
)

// FileWriter writes rows into a Parquet file. Either Close or nothing must be called at its end; a file without Close is
// no file. A FileWriter is for one file and one goroutine.
type FileWriter struct {
	out     *countingWriter
	file    *parquet.GenericWriter[any]
	fields  []field
	columns []*parquet.ColumnWriter
	stats   FileStats

	values     [][]parquet.Value // the batch, per column
	arena      []byte            // text of the batch; values point into it
	batchBytes int64
	pending    int
	groupRows  int64
	groupRaw   int64
	last       Row // the previous row's place, to prove the order
}

// NewFileWriter begins a file with these columns (schemas.ChangeColumns, schemas.StateColumns), which stand in it in this
// order. A new writer per file, because in parquet-go v0.32.0 a Reset makes all sorting columns of the footer
// point at column 0.
func NewFileWriter(w io.Writer, columns []schemas.Column) (*FileWriter, error) {
	return NewFileWriterFor(w, columns, rowGroupBytes)
}

// NewFileWriterFor is NewFileWriter for about so many bytes of rows (Row.Size): a small file is made with small buffers.
// What it holds is the same, but that a file which gets larger than that has smaller pages.
func NewFileWriterFor(w io.Writer, columns []schemas.Column, raw int64) (*FileWriter, error) {
	out := &countingWriter{out: w}
	f := &FileWriter{out: out, batchBytes: min(max(raw, pageLeast), batchBytes), stats: FileStats{Fingerprint: NewFingerprint()}}
	for _, c := range columns {
		known, ok := fieldOf(c.Name)
		if !ok {
			return nil, fmt.Errorf("column %q is not known", c.Name)
		}
		f.fields = append(f.fields, known)
		f.stats.columns.set |= 1 << known
	}
	options, err := fileOptions(columns, int(min(max(raw, pageLeast), pageBytes)))
	if err != nil {
		return nil, err
	}
	f.file = parquet.NewGenericWriter[any](out, options...)
	f.columns = f.file.ColumnWriters()
	f.values = make([][]parquet.Value, len(f.fields))
	for i := range f.values {
		f.values[i] = make([]parquet.Value, 0, batchRows)
	}
	return f, nil
}

// Write appends a row and keeps nothing of it. A row that stands before its predecessor is an error.
func (f *FileWriter) Write(r *Row) error {
	if f.stats.Fingerprint.Rows > 0 && f.last.Compare(r) > 0 {
		return fmt.Errorf("write row %d: %q %q stands before its predecessor", f.stats.Fingerprint.Rows, r.PartitionKey, r.ID)
	}
	f.last.PartitionKey = append(f.last.PartitionKey[:0], r.PartitionKey...)
	f.last.ID = append(f.last.ID[:0], r.ID...)
	f.last.Generation, f.last.Order = r.Generation, r.Order
	size := r.Size()
	if f.groupRows > 0 && (f.groupRows == rowGroupRows || f.groupRaw+size > rowGroupBytes) {
		if err := f.endGroup(); err != nil {
			return err
		}
	}
	if f.pending > 0 && (f.pending == batchRows || int64(len(f.arena))+size > f.batchBytes) {
		if err := f.flushBatch(); err != nil {
			return err
		}
	}
	f.batch(r, size)
	f.stats.add(r)
	f.groupRows++
	f.groupRaw += size
	return nil
}

// batch copies the row into the batch. The arena grows before any value points into it.
func (f *FileWriter) batch(r *Row, size int64) {
	if f.pending == 0 {
		f.arena = slices.Grow(f.arena[:0], int(max(size, f.batchBytes)))
	}
	for i, c := range f.fields {
		mark := len(f.arena)
		arena, null, text := r.appendText(f.arena, c)
		var v parquet.Value
		switch {
		case text && !null:
			f.arena = arena
			v = parquet.ByteArrayValue(arena[mark:len(arena):len(arena)])
		case text:
			v = parquet.NullValue()
		default:
			v = numberValue(r, c)
		}
		definition := 0
		if c.nullable() && !v.IsNull() {
			definition = 1
		}
		f.values[i] = append(f.values[i], v.Level(0, definition, i))
	}
	f.pending++
}

func numberValue(r *Row, c field) parquet.Value {
	n, null := r.number(c)
	switch {
	case null:
		return parquet.NullValue()
	case c == fieldOrdinal || c == fieldTTL || c == fieldTopicPartition:
		return parquet.Int32Value(int32(n))
	default:
		return parquet.Int64Value(n)
	}
}

func (f *FileWriter) flushBatch() error {
	for i, column := range f.columns {
		if _, err := column.WriteRowValues(f.values[i]); err != nil {
			return fmt.Errorf("write column %s: %w", f.fields[i].name(), err)
		}
		f.values[i] = f.values[i][:0]
	}
	f.arena, f.pending = f.arena[:0], 0
	return nil
}

func (f *FileWriter) endGroup() error {
	if err := f.flushBatch(); err != nil {
		return err
	}
	f.groupRows, f.groupRaw = 0, 0
	if err := f.file.Flush(); err != nil {
		return fmt.Errorf("write row group: %w", err)
	}
	return nil
}

// Size is what was written so far: whole row groups.
func (f *FileWriter) Size() int64 { return f.out.n }

// Close writes the rest and the footer, and tells what the file holds. It does not close the io.Writer.
func (f *FileWriter) Close() (FileStats, error) {
	if f.pending > 0 {
		if err := f.endGroup(); err != nil {
			return FileStats{}, err
		}
	}
	if err := f.file.Close(); err != nil {
		return FileStats{}, fmt.Errorf("write footer: %w", err)
	}
	f.stats.Bytes = f.out.n
	return f.stats, nil
}

// fileOptions are all options of Almanac's files; nothing else decides about their bytes.
func fileOptions(columns []schemas.Column, page int) ([]parquet.WriterOption, error) {
	group := make(parquet.Group, len(columns))
	names := make([]string, len(columns))
	for i, c := range columns {
		node, err := columnNode(c)
		if err != nil {
			return nil, err
		}
		group[c.Name], names[i] = node, c.Name
	}
	var sorting []parquet.SortingColumn
	for _, name := range sortColumns(columns) {
		sorting = append(sorting, parquet.Ascending(name))
	}
	return []parquet.WriterOption{
		parquet.NewSchema("row", orderedGroup{Group: group, order: names}),
		parquet.CreatedBy("almanac", "1", "parquet-go"),
		parquet.DataPageVersion(1),
		parquet.DataPageStatistics(false), // the page index and the footer hold them
		parquet.PageBufferSize(page),
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.ColumnIndexSizeLimit(func([]string) int { return boundBytes }),
		parquet.SkipPageBounds(fieldDocument.name()),
		parquet.SkipPageBounds(fieldETag.name()),
		parquet.BloomFilters(parquet.SplitBlockFilter(bloomBits, fieldID.name())),
		parquet.SortingWriterConfig(parquet.SortingColumns(sorting...)),
	}, nil
}

func columnNode(c schemas.Column) (parquet.Node, error) {
	var node parquet.Node
	switch c.Type {
	case schemas.StringColumn:
		node = parquet.String()
		if c.Name == fieldDocument.name() || c.Name == fieldETag.name() {
			node = parquet.Leaf(unboundedText{node.Type()})
		}
	case schemas.LongColumn:
		node = parquet.Int(64)
	case schemas.IntegerColumn:
		node = parquet.Int(32)
	case schemas.TimestampColumn:
		node = parquet.Timestamp(parquet.Microsecond)
	default:
		return nil, fmt.Errorf("column %s: type %s does not stand in files", c.Name, c.Type)
	}
	switch c.Name {
	case fieldPartitionKey.name(), fieldOp.name(), fieldIncarnation.name(), fieldTopic.name():
		node = parquet.Encoded(node, &parquet.RLEDictionary)
	default:
		node = parquet.Encoded(node, &parquet.Plain)
	}
	if c.Nullable {
		return parquet.Optional(node), nil
	}
	return parquet.Required(node), nil
}

// orderedGroup is a Group that keeps the order of its columns; a Group alone sorts them by name.
type orderedGroup struct {
	parquet.Group
	order []string
}

// Fields is parquet.Node's.
func (g orderedGroup) Fields() []parquet.Field {
	fields := g.Group.Fields()
	slices.SortFunc(fields, func(a, b parquet.Field) int {
		return slices.Index(g.order, a.Name()) - slices.Index(g.order, b.Name())
	})
	return fields
}

// countingWriter knows how much passed through.
type countingWriter struct {
	out io.Writer
	n   int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.out.Write(b)
	w.n += int64(n)
	return n, err
}

// ErrUnfaithful says that a file does not hold the rows that it was to hold. It must not be committed.
var ErrUnfaithful = errors.New("file does not hold the rows that it was made of")

// Verify decodes a whole file that was just written and compares it with what was meant: compressors have written blocks
// that nobody can read (klauspost/compress issues 875 and 922).
func Verify(file []byte, meant *FileStats) error {
	if int64(len(file)) != meant.Bytes {
		return fmt.Errorf("%w: it has %d bytes, %d were written", ErrUnfaithful, len(file), meant.Bytes)
	}
	r, err := newFileReader(memorySource(bytes.NewReader(file)), int64(len(file)), Columns{})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnfaithful, err)
	}
	defer r.Close()
	return verifyRows(r, meant)
}

// verifyRows reads the rest of a file and compares its rows with those that were meant.
func verifyRows(r *FileReader, meant *FileStats) error {
	found := Fingerprint{Seed: meant.Fingerprint.Seed}
	var row Row
	for {
		more, err := r.Next(&row)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnfaithful, err)
		}
		if !more {
			break
		}
		found.Add(&row, meant.columns)
	}
	if !found.Equal(&meant.Fingerprint) {
		return fmt.Errorf("%w: %d rows were read, %d written, or some differ", ErrUnfaithful, found.Rows, meant.Fingerprint.Rows)
	}
	return nil
}
