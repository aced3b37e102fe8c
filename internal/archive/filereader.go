package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

const (
	footerWindow = 64 << 10  // read at once at the end of a file
	chunkWindow  = 256 << 10 // read at once, per column
	wholeFile    = 256 << 10 // a file up to this size is read by one request: most flushes are small
	valueBatch   = 128
)

// FileReader reads the rows of a file in their order. It holds one page per column, and reads ahead at most chunkWindow
// bytes of each. It is for one goroutine; Close must be called.
type FileReader struct {
	source  source
	file    *parquet.File
	cursors []columnCursor
	groups  []parquet.RowGroup
	group   int   // the next one to open
	left    int64 // rows of the open one
	row     int64
}

// OpenFile opens a file of that size, of which only these columns are wanted: the others stay empty in the rows. A
// wanted column that the file does not have is empty as well.
func OpenFile(ctx context.Context, store blob.Store, name string, size int64, want Columns) (*FileReader, error) {
	src := source{size: size, get: func(p []byte, off int64) error {
		return readRange(ctx, store, name, p, off)
	}}
	if size <= wholeFile {
		file := make([]byte, size)
		if err := src.get(file, 0); err != nil {
			return nil, fmt.Errorf("open file %s: %w", name, err)
		}
		src = memorySource(bytes.NewReader(file))
	}
	r, err := newFileReader(src, size, want)
	if err != nil {
		return nil, fmt.Errorf("open file %s: %w", name, err)
	}
	return r, nil
}

func newFileReader(src source, size int64, want Columns) (*FileReader, error) {
	footer := &window{source: src, limit: size, buffer: make([]byte, 0, min(size, footerWindow))}
	if err := footer.fill(max(0, size-footerWindow)); err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(footer, size, &parquet.FileConfig{
		SkipMagicBytes:   true, // those at the end say the same
		SkipPageIndex:    true,
		SkipBloomFilters: true,
		ReadBufferSize:   4 << 10, // window reads ahead
	})
	if err != nil {
		return nil, err
	}
	r := &FileReader{source: src, file: file, groups: file.RowGroups()}
	for i, column := range file.Root().Columns() {
		f, ok := fieldOf(column.Name())
		if !ok || !want.has(f) {
			continue
		}
		if err := checkKind(f, column); err != nil {
			return nil, err
		}
		r.cursors = append(r.cursors, columnCursor{field: f, index: i, window: window{source: src}})
	}
	return r, nil
}

// checkKind refuses a file whose column is of another kind, before its bytes are taken for something else.
func checkKind(f field, column *parquet.Column) error {
	want := parquet.Int64
	if _, _, text := new(Row).appendText(nil, f); text {
		want = parquet.ByteArray
	} else if f == fieldOrdinal || f == fieldTTL || f == fieldTopicPartition {
		want = parquet.Int32
	}
	if !column.Leaf() || column.Type().Kind() != want || column.Repeated() {
		return fmt.Errorf("column %s is not of kind %s: the file was not written by this format", f.name(), want)
	}
	return nil
}

// Rows is the number of rows in the file.
func (r *FileReader) Rows() int64 { return r.file.NumRows() }

// Next reads the next row into row and tells whether there was one. The row's slices are valid until the next call.
func (r *FileReader) Next(row *Row) (bool, error) {
	for r.left == 0 {
		if r.group == len(r.groups) {
			return false, nil
		}
		if err := r.openGroup(); err != nil {
			return false, err
		}
	}
	*row = Row{}
	for i := range r.cursors {
		if err := r.cursors[i].next(row); err != nil {
			return false, fmt.Errorf("read row %d, column %s: %w", r.row, r.cursors[i].field.name(), err)
		}
	}
	r.left--
	r.row++
	return true, nil
}

func (r *FileReader) openGroup() error {
	group := r.groups[r.group]
	chunks := group.ColumnChunks()
	for i := range r.cursors {
		c := &r.cursors[i]
		c.close()
		chunk, ok := chunks[c.index].(*parquet.FileColumnChunk)
		if !ok {
			return fmt.Errorf("open row group %d: column %s is a %T", r.group, c.field.name(), chunks[c.index])
		}
		meta := &r.file.Metadata().RowGroups[r.group].Columns[c.index].MetaData
		c.window.open(chunkStart(meta.DictionaryPageOffset, meta.DataPageOffset), meta.TotalCompressedSize)
		c.pages = chunk.PagesFrom(&c.window)
	}
	r.left = group.NumRows()
	r.group++
	return nil
}

func chunkStart(dictionary, data int64) int64 {
	if dictionary > 0 && dictionary < data {
		return dictionary
	}
	return data
}

// Close frees the pages.
func (r *FileReader) Close() {
	for i := range r.cursors {
		r.cursors[i].close()
	}
}

// columnCursor steps through the values of one column chunk.
type columnCursor struct {
	field  field
	index  int
	window window
	pages  *parquet.FilePages
	page   parquet.Page
	values parquet.ValueReader
	batch  [valueBatch]parquet.Value
	at, n  int
	done   bool // the page has no more than the batch
}

func (c *columnCursor) next(row *Row) error {
	for c.at == c.n {
		if err := c.fill(); err != nil {
			return err
		}
	}
	v := &c.batch[c.at]
	c.at++
	if v.Kind() == parquet.ByteArray {
		text := v.ByteArray()
		if text == nil {
			text = []byte{} // an empty document is not a null one
		}
		row.setText(c.field, text)
		return nil
	}
	if v.IsNull() {
		row.setNumber(c.field, 0, true)
		return nil
	}
	if v.Kind() == parquet.Int32 {
		row.setNumber(c.field, int64(v.Int32()), false)
		return nil
	}
	row.setNumber(c.field, v.Int64(), false)
	return nil
}

// fill reads the next values. The values of a page are valid as long as the page is held, so it is released only now.
func (c *columnCursor) fill() error {
	if c.page == nil || c.done {
		parquet.Release(c.page)
		c.page = nil
		page, err := c.pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("column ends early: %w", io.ErrUnexpectedEOF)
		}
		if err != nil {
			return err
		}
		c.page, c.values, c.done = page, page.Values(), false
	}
	n, err := c.values.ReadValues(c.batch[:])
	c.at, c.n = 0, n
	if errors.Is(err, io.EOF) {
		c.done = true
		return nil
	}
	return err
}

func (c *columnCursor) close() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	if c.pages != nil {
		_ = c.pages.Close() // frees memory, and always answers nil
	}
	c.pages, c.page, c.values = nil, nil, nil
	c.at, c.n, c.done = 0, 0, false
}
