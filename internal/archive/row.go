package archive

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Row is one row of `changes` or of `state`. Rows of `state` leave Op, Incarnation, Topic, TopicPartition, Offset and
// PublishedAt empty. All text is UTF-8. Slices belong to whoever made the row; those of a FileReader are valid until its
// next Next.
type Row struct {
	PartitionKey   []byte // canonical JSON array; of control rows the record's key
	ID             []byte
	Op             schemas.Op
	TS             int64 // microseconds since 1970
	Generation     schemas.Generation
	Order          schemas.Order
	EPK            []byte // upper-case hexadecimal
	Incarnation    []byte
	RID            []byte
	ETag           []byte
	TTL            schemas.TTL
	Document       []byte // nil is null: a deletion
	Topic          []byte // uuid as text
	TopicPartition int32
	Offset         int64
	PublishedAt    int64 // microseconds since 1970
}

// Compare is negative when r stands before other in a file: by partition key, id, generation, LSN, ordinal. Rows that
// are equal in all of these may stand in any order.
func (r *Row) Compare(other *Row) int {
	if c := bytes.Compare(r.PartitionKey, other.PartitionKey); c != 0 {
		return c
	}
	if c := bytes.Compare(r.ID, other.ID); c != 0 {
		return c
	}
	if c := cmp.Compare(r.Generation, other.Generation); c != 0 {
		return c
	}
	return r.Order.Compare(other.Order)
}

// rowOverhead is what a row weighs beside its text: numbers, lengths and levels.
const rowOverhead = 96

// Size is the row's weight in memory and, before compression, in a file; in bytes, roughly.
func (r *Row) Size() int64 {
	return int64(rowOverhead + len(r.PartitionKey) + len(r.ID) + len(r.Op) + len(r.EPK) + len(r.Incarnation) + len(r.RID) +
		len(r.ETag) + len(r.Document) + len(r.Topic))
}

// Fingerprint sums up rows in their order: two sequences with equal sums are the same rows, but for chance of 2^-64. A
// sum means something only against sums of the same Seed.
type Fingerprint struct {
	Seed maphash.Seed
	Rows int64
	Sum  uint64

	buffer []byte
}

// NewFingerprint is the sum of no rows.
func NewFingerprint() Fingerprint { return Fingerprint{Seed: maphash.MakeSeed()} }

// Add takes one more row in, as far as columns holds it.
func (f *Fingerprint) Add(r *Row, columns Columns) {
	b := f.buffer[:0]
	for c := range fieldCount {
		if !columns.has(c) {
			continue
		}
		mark := len(b)
		b = append(b, 0, 0, 0, 0) // length + 1 of a text; 0 is null
		with, null, text := r.appendText(b, c)
		if text {
			if b = with; !null {
				binary.LittleEndian.PutUint32(b[mark:], uint32(len(b)-mark-4)+1)
			}
			continue
		}
		n, null := r.number(c)
		if !null {
			b[mark] = 1
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
	}
	f.buffer = b
	f.Rows++
	f.Sum = f.Sum*0x9E3779B97F4A7C15 + maphash.Bytes(f.Seed, b)
}

// Equal reports whether both are sums of the same rows, given that they began with the same seed.
func (f *Fingerprint) Equal(other *Fingerprint) bool {
	return f.Seed == other.Seed && f.Rows == other.Rows && f.Sum == other.Sum
}
