package archive

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/cosmos-almanac/almanac/schemas"
)

var update = flag.Bool("update", false, "write the goldens")

// golden compares text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// someDocuments are rows whose files have several row groups and pages, and keys longer than a page's bounds.
func someDocuments(n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{
			PartitionKey: fmt.Appendf(nil, `["%s-%06d"]`, strings.Repeat("k", 150), i/10), ID: fmt.Appendf(nil, "%08d", i), Op: schemas.OpUpserted,
			TS: 1_760_000_000_000_000 + int64(i), Generation: 7, Order: schemas.Order{LSN: schemas.LSN(i)}, EPK: []byte("05C1"), Incarnation: []byte("aXkBAKqh5wo="),
			RID: []byte("rid"), ETag: []byte(`"e"`), Document: fmt.Appendf(nil, `{"id":"%08d"}`, i), Topic: []byte("6ba7b810-9dad-41d1-80b4-00c04fd430c8"), Offset: int64(i),
		}
		if i%100 == 0 {
			rows[i].TTL = schemas.TTL{Set: true, Seconds: 9}
		}
	}
	return rows
}

// TestFooter pins what a file says about itself: schema, encodings, codec, order, statistics, bloom filter, page index.
// Sizes are left out; they are the compressor's.
func TestFooter(t *testing.T) {
	for name, columns := range map[string][]schemas.Column{"changes": schemas.ChangeColumns(), "state": schemas.StateColumns()} {
		t.Run(name, func(t *testing.T) {
			file, _ := writeFile(t, columns, someDocuments(rowGroupRows+10))
			golden(t, "footer-"+name+".golden", describeFooter(t, file))
		})
	}
}

func describeFooter(t *testing.T, file []byte) string {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	meta := f.Metadata()
	fmt.Fprintf(&b, "version %d, created by %s\n%s\n", meta.Version, meta.CreatedBy, f.Schema())
	for g, group := range meta.RowGroups {
		fmt.Fprintf(&b, "row group %d: %d rows, sorted by", g, group.NumRows)
		for _, s := range group.SortingColumns {
			fmt.Fprintf(&b, " %s", group.Columns[s.ColumnIdx].MetaData.PathInSchema[0])
			if s.Descending || s.NullsFirst {
				b.WriteString(" (descending or nulls first)")
			}
		}
		b.WriteByte('\n')
		for c := range group.Columns {
			describeChunk(t, &b, f, g, c)
		}
	}
	return b.String()
}

func describeChunk(t *testing.T, b *strings.Builder, f *parquet.File, g, c int) {
	t.Helper()
	column := &f.Metadata().RowGroups[g].Columns[c]
	meta := &column.MetaData
	fmt.Fprintf(b, "  %-15s %s %v %s", meta.PathInSchema[0], meta.Type, meta.Encoding, meta.Codec)
	dataPages := 0
	for _, s := range meta.EncodingStats {
		if s.PageType == format.DataPage {
			dataPages += int(s.Count)
		}
		fmt.Fprintf(b, ", %d %s %s", s.Count, s.PageType, s.Encoding)
	}
	fmt.Fprintf(b, ", %d nulls", meta.Statistics.NullCount)
	if meta.Statistics.MinValue != nil {
		fmt.Fprintf(b, ", statistics of %d bytes", len(meta.Statistics.MinValue))
	}
	if meta.BloomFilterOffset > 0 {
		b.WriteString(", bloom filter")
	}
	index := f.ColumnIndexes()[g*len(f.Metadata().RowGroups[g].Columns)+c]
	longest := 0
	for i := range index.MinValues {
		longest = max(longest, len(index.MinValues[i]), len(index.MaxValues[i]))
	}
	if len(index.MinValues) != dataPages {
		t.Errorf("column %s: got an index of %d pages want %d", meta.PathInSchema[0], len(index.MinValues), dataPages)
	}
	fmt.Fprintf(b, ", page bounds of %d bytes\n", longest)
}

// TestPagesAndGroupsAreBounded: what a reader or a writer holds in memory does not grow with the file (INV-9).
func TestPagesAndGroupsAreBounded(t *testing.T) {
	rows := someDocuments(300)
	for i := range rows {
		rows[i].Document = bytes.Repeat([]byte("x"), 256<<10)
	}
	rows[100].Document = bytes.Repeat([]byte("y"), 2<<20)
	file, stats := writeFile(t, schemas.ChangeColumns(), rows)
	if err := Verify(file, &stats); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for g, group := range f.Metadata().RowGroups {
		if group.TotalByteSize > rowGroupBytes+pageBytes {
			t.Errorf("row group %d: got %d bytes want at most %d", g, group.TotalByteSize, rowGroupBytes)
		}
	}
	if got := len(f.RowGroups()); got < 3 {
		t.Errorf("got %d row groups of 75 MiB want at least 3", got)
	}
	for _, group := range f.RowGroups() {
		pages := group.ColumnChunks()[fieldDocument].Pages()
		for {
			page, err := pages.ReadPage()
			if err != nil {
				break
			}
			if page.Size() > 2<<20+pageBytes {
				t.Errorf("got a page of %d bytes want at most one document more than %d", page.Size(), pageBytes)
			}
			parquet.Release(page)
		}
		if err := pages.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPageBoundsHold: whoever trusts the page index finds every row.
func TestPageBoundsHold(t *testing.T) {
	file, _ := writeFile(t, schemas.ChangeColumns(), someRows(1, 9000))
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for g, group := range f.RowGroups() {
		for c, chunk := range group.ColumnChunks() {
			index := f.ColumnIndexes()[g*len(group.ColumnChunks())+c]
			kind := chunk.Type().Kind()
			pages := chunk.Pages()
			for n := range index.MinValues {
				page, err := pages.ReadPage()
				if err != nil {
					t.Fatal(err)
				}
				values := make([]parquet.Value, page.NumValues())
				if _, err := page.Values().ReadValues(values); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				for _, v := range values {
					if v.IsNull() {
						continue
					}
					least, greatest := kind.Value(index.MinValues[n]), kind.Value(index.MaxValues[n])
					if compare := chunk.Type().Compare; index.NullPages[n] || compare(least, v) > 0 || compare(v, greatest) > 0 {
						t.Fatalf("column %d, page %d: value %q lies outside of %q to %q", c, n, v, index.MinValues[n], index.MaxValues[n])
					}
				}
				parquet.Release(page)
			}
			if err := pages.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
