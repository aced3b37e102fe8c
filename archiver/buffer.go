package archiver

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// buffer keeps rows that no commit holds yet: their bytes one behind the other in an arena, and a small reference to
// each, so that neither sorting nor the garbage collector looks at more than it must.
type buffer struct {
	limit  int // bytes of the arena, but for a single row that is larger (INV-9)
	arena  []byte
	refs   []ref
	groups []group
	ids    []map[string]uint16 // group by topic and container
	ops    []schemas.Op        // those seen; a row holds its index
}

// group is the rows that go into one file.
type group struct {
	topic     int
	container string
}

// ref is one row: where it lies in the arena, and the beginning of its partition key, which decides most comparisons.
type ref struct {
	prefix uint64
	at     uint32
	group  uint16
}

// maxGroups bounds the containers that one buffer tells apart; further ones wait for the next flush.
const maxGroups = 1 << 12

// rowHead is the fixed part of a row in the arena.
const rowHead = 70

func newBuffer(limit int) *buffer { return &buffer{limit: limit} }

// weigh is the room that a row takes.
func weigh(r *archive.Row) int {
	return rowHead + len(r.PartitionKey) + len(r.ID) + len(r.EPK) + len(r.Incarnation) + len(r.RID) + len(r.ETag) + len(r.Document)
}

// fits tells whether the row can be added. Every row fits an empty buffer.
func (b *buffer) fits(topic int, container []byte, r *archive.Row) bool {
	if len(b.refs) == 0 {
		return true
	}
	if len(b.groups) == maxGroups {
		if _, known := b.group(topic, container); !known {
			return false
		}
	}
	return len(b.arena)+weigh(r) <= b.limit
}

func (b *buffer) group(topic int, container []byte) (uint16, bool) {
	if topic >= len(b.ids) {
		return 0, false
	}
	id, ok := b.ids[topic][string(container)] // does not allocate
	return id, ok
}

// add copies the row. Rows of one topic partition are added in the order of their offsets.
func (b *buffer) add(topic int, container []byte, r *archive.Row) {
	id, known := b.group(topic, container)
	if !known {
		id = uint16(len(b.groups))
		b.groups = append(b.groups, group{topic, string(container)})
		for topic >= len(b.ids) {
			b.ids = append(b.ids, map[string]uint16{})
		}
		b.ids[topic][string(container)] = id
	}
	if b.arena == nil {
		b.arena = make([]byte, 0, b.limit)
	}
	b.refs = append(b.refs, ref{prefix: prefixOf(r.PartitionKey), at: uint32(len(b.arena)), group: id})
	b.arena = b.encode(b.arena, r)
}

func prefixOf(key []byte) uint64 {
	var p [8]byte
	copy(p[:], key)
	return binary.BigEndian.Uint64(p[:])
}

const (
	flagTTL = 1 << iota
	flagNull
)

func (b *buffer) encode(dst []byte, r *archive.Row) []byte {
	le := binary.LittleEndian
	var flags byte
	if r.TTL.Set {
		flags |= flagTTL
	}
	if r.Document == nil {
		flags |= flagNull
	}
	dst = le.AppendUint32(dst, uint32(weigh(r)))
	dst = le.AppendUint32(dst, uint32(r.TopicPartition))
	dst = le.AppendUint64(dst, uint64(r.Offset))
	dst = le.AppendUint64(dst, uint64(r.Generation))
	dst = le.AppendUint64(dst, uint64(r.Order.LSN))
	dst = le.AppendUint32(dst, uint32(r.Order.Ordinal))
	dst = le.AppendUint64(dst, uint64(r.TS))
	dst = le.AppendUint64(dst, uint64(r.PublishedAt))
	dst = le.AppendUint32(dst, uint32(r.TTL.Seconds))
	dst = append(dst, flags, b.opIndex(r.Op), byte(len(r.EPK)), byte(len(r.Incarnation)), byte(len(r.RID)), byte(len(r.ETag)))
	dst = le.AppendUint32(dst, uint32(len(r.PartitionKey)))
	dst = le.AppendUint32(dst, uint32(len(r.ID)))
	dst = append(dst, r.PartitionKey...)
	dst = append(dst, r.ID...)
	dst = append(dst, r.EPK...)
	dst = append(dst, r.Incarnation...)
	dst = append(dst, r.RID...)
	dst = append(dst, r.ETag...)
	return append(dst, r.Document...)
}

func (b *buffer) opIndex(op schemas.Op) byte {
	for i, known := range b.ops {
		if known == op {
			return byte(i)
		}
	}
	b.ops = append(b.ops, op) // ParseType knows fewer than 256
	return byte(len(b.ops) - 1)
}

// row reads a row; its slices lie in the arena. Topic stays empty.
func (b *buffer) row(at uint32, r *archive.Row) {
	le := binary.LittleEndian
	h := b.arena[at : at+rowHead]
	end := at + le.Uint32(h)
	flags := h[56]
	*r = archive.Row{
		TopicPartition: int32(le.Uint32(h[4:])),
		Offset:         int64(le.Uint64(h[8:])),
		Generation:     schemas.Generation(le.Uint64(h[16:])),
		Order:          schemas.Order{LSN: schemas.LSN(le.Uint64(h[24:])), Ordinal: int32(le.Uint32(h[32:]))},
		TS:             int64(le.Uint64(h[36:])),
		PublishedAt:    int64(le.Uint64(h[44:])),
		TTL:            schemas.TTL{Seconds: int32(le.Uint32(h[52:])), Set: flags&flagTTL != 0},
		Op:             b.ops[h[57]],
	}
	rest := b.arena[at+rowHead : end : end]
	take := func(n uint32) []byte {
		part := rest[:n:n]
		rest = rest[n:]
		return part
	}
	r.PartitionKey = take(le.Uint32(h[62:]))
	r.ID = take(le.Uint32(h[66:]))
	r.EPK = take(uint32(h[58]))
	r.Incarnation = take(uint32(h[59]))
	r.RID = take(uint32(h[60]))
	r.ETag = take(uint32(h[61]))
	if flags&flagNull == 0 {
		r.Document = rest
	}
}

// weight is the room that rows take.
func (b *buffer) weight(refs []ref) (n int64) {
	for _, r := range refs {
		n += int64(binary.LittleEndian.Uint32(b.arena[r.at:]))
	}
	return n
}

// partition is the topic partition of a row.
func (b *buffer) partition(r ref) int32 { return int32(binary.LittleEndian.Uint32(b.arena[r.at+4:])) }

// key is the row's partition key.
func (b *buffer) key(at uint32) []byte {
	n := binary.LittleEndian.Uint32(b.arena[at+62:])
	return b.arena[at+rowHead : at+rowHead+n]
}

// sort puts the references into the order of files: by topic and container, then as rows stand in a file. What is equal
// in all of that is ordered by its place on the topic, so that the same rows make the same file.
func (b *buffer) sort() {
	var left, right archive.Row
	slices.SortFunc(b.refs, func(x, y ref) int {
		if x.group != y.group {
			return cmp.Compare(x.group, y.group)
		}
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		if c := bytes.Compare(b.key(x.at), b.key(y.at)); c != 0 {
			return c
		}
		b.row(x.at, &left)
		b.row(y.at, &right)
		return cmp.Or(left.Compare(&right), cmp.Compare(left.TopicPartition, right.TopicPartition), cmp.Compare(left.Offset, right.Offset))
	})
}

// drop removes rows, and moves the others together.
func (b *buffer) drop(gone func(g group, partition int32) bool) {
	b.refs = slices.DeleteFunc(b.refs, func(r ref) bool { return gone(b.groups[r.group], b.partition(r)) })
	if len(b.refs) == 0 {
		b.arena, b.groups, b.ids = b.arena[:0], b.groups[:0], b.ids[:0]
		if cap(b.arena) > b.limit+b.limit/4 { // a row larger than the limit was here
			b.arena = nil
		}
		return
	}
	slices.SortFunc(b.refs, func(x, y ref) int { return cmp.Compare(x.at, y.at) })
	end := uint32(0)
	for i := range b.refs {
		at := b.refs[i].at
		n := binary.LittleEndian.Uint32(b.arena[at:])
		copy(b.arena[end:], b.arena[at:at+n])
		b.refs[i].at = end
		end += n
	}
	b.arena = b.arena[:end]
}
