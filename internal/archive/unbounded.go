package archive

import (
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// unboundedText is text without statistics of its values: they are large, and nobody selects by them. SkipPageBounds
// alone keeps them out of the footer, but leaves an empty text in the page index as least and as greatest value, and a
// reader that trusts that finds nothing (parquet-go v0.32.0). So the page index gets bounds that hold for every value.
type unboundedText struct{ parquet.Type }

// NewColumnIndexer is parquet.Type's.
func (unboundedText) NewColumnIndexer(int) parquet.ColumnIndexer { return new(unboundedIndexer) }

type unboundedIndexer struct {
	nullPages  []bool
	nullCounts []int64
}

// Reset is parquet.ColumnIndexer's.
func (i *unboundedIndexer) Reset() { i.nullPages, i.nullCounts = nil, nil }

// IndexPage is parquet.ColumnIndexer's.
func (i *unboundedIndexer) IndexPage(values, nulls int64, _, _ parquet.Value) {
	i.nullPages = append(i.nullPages, values == nulls)
	i.nullCounts = append(i.nullCounts, nulls)
}

// ColumnIndex is parquet.ColumnIndexer's. The empty text is least; the greatest character is above every document and
// every _etag, which begin with ASCII.
func (i *unboundedIndexer) ColumnIndex() format.ColumnIndex {
	index := format.ColumnIndex{NullPages: i.nullPages, NullCounts: i.nullCounts, BoundaryOrder: format.Ascending}
	for _, null := range i.nullPages {
		var greatest []byte
		if !null {
			greatest = utf8.AppendRune(nil, utf8.MaxRune)
		}
		index.MinValues = append(index.MinValues, []byte{})
		index.MaxValues = append(index.MaxValues, greatest)
	}
	return index
}
