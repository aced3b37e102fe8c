package replay

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// role is what a row is to the fold.
type role uint8

const (
	stranger role = iota // no member, or out of bounds
	change               // a member that may win
	witness              // a member at or below the base's cut: the base has judged it; it can only contradict
	based                // a row of the base
)

// membership tells the members of a point. It remembers the ranges of the last partition key: files are sorted by it.
type membership struct {
	point    *archive.Point
	base     *archive.Point // nil: none
	from, to *archive.Key
	offsets  []int64 // by topic partition, -1 is none
	leftOut  schemas.Offsets

	epk     []byte
	placed  bool // cut and baseCut are those of epk; else no range contains it
	cut     schemas.Cut
	baseCut schemas.Cut
}

func newMembership(opts *Options) *membership {
	m := &membership{point: &opts.Point, from: opts.From, to: opts.To, leftOut: schemas.Offsets{}}
	if opts.Base != nil {
		m.base = &opts.Base.Point
	}
	for partition, offset := range opts.Point.Offsets {
		for int(partition) >= len(m.offsets) {
			m.offsets = append(m.offsets, -1)
		}
		m.offsets[partition] = offset
		m.leftOut[partition] = offset + 1
	}
	return m
}

// judge tells a row's role. A row that stands within the point's offsets, but after the cut in its generation, is left
// out: a later point may take it.
//
// With a base, rows at or below its cut are not merged again, even if their offsets are above the base's: the drained
// marks of the base say that the version of every document at the cut stood within its offsets, so a row that came later
// is a repeat of it or of something older. It must not be merged: the base keeps no trace of a document that was deleted,
// and a zombie's late repeat would bring it back.
func (m *membership) judge(row *archive.Row) (role, error) {
	if m.outside(row) || string(row.Incarnation) != m.point.Incarnation {
		return stranger, nil
	}
	p := row.TopicPartition
	if p < 0 || int(p) >= len(m.offsets) || row.Offset > m.offsets[p] {
		return stranger, nil
	}
	if m.epk == nil || !bytes.Equal(m.epk, row.EPK) {
		if err := m.locate(row); err != nil {
			return stranger, err
		}
	}
	switch {
	case !m.placed:
		return stranger, m.unplaced(row)
	case row.Generation != m.cut.Generation:
		return stranger, nil
	case row.Order.LSN > m.cut.LSN:
		m.leftOut[p] = min(m.leftOut[p], row.Offset)
		return stranger, nil
	case m.base != nil && row.Order.LSN <= m.baseCut.LSN:
		return witness, nil
	}
	return change, nil
}

func (m *membership) locate(row *archive.Row) error {
	epk := string(row.EPK)
	var ok bool
	m.cut, m.placed = m.point.CutOf(epk)
	if m.placed && m.base != nil {
		if m.baseCut, ok = m.base.CutOf(epk); !ok {
			return fmt.Errorf("effective partition key %q of document %q %q lies in no range of the base", epk, row.PartitionKey, row.ID)
		}
	}
	m.epk = append(m.epk[:0], row.EPK...)
	return nil
}

// unplaced judges a row whose effective partition key lies in no range, though the cuts tile the key space. One that no
// cut takes by generation and LSN is none of the point's. Otherwise it was a change of some document of the point: to leave
// it out in silence would answer wrongly, and no claim can say so, since claims are made of control rows alone.
func (m *membership) unplaced(row *archive.Row) error {
	for _, cut := range m.point.Cuts {
		if cut.Includes(row.Generation, row.Order.LSN) {
			return &schemas.Halt{
				Unit: "container " + m.point.Container,
				Reason: "a change lies outside the key space: the archive holds rows that were not read from the container; " +
					"find out which producer wrote them",
				Evidence: fmt.Sprintf("document %q %q, generation %d, order %s, at offset %d of topic partition %d: effective partition key %q lies in no range",
					row.PartitionKey, row.ID, row.Generation, row.Order, row.Offset, row.TopicPartition, row.EPK),
				Since: time.Now().UTC(),
			}
		}
		if row.Generation == cut.Generation {
			m.leftOut[row.TopicPartition] = min(m.leftOut[row.TopicPartition], row.Offset)
		}
	}
	return nil
}

func (m *membership) outside(row *archive.Row) bool {
	return m.from != nil && compareKey(row, m.from) < 0 || m.to != nil && compareKey(row, m.to) > 0
}

// compareKey is negative when the row stands before the key.
func compareKey(row *archive.Row, key *archive.Key) int {
	if string(row.PartitionKey) != key.PartitionKey {
		if string(row.PartitionKey) < key.PartitionKey {
			return -1
		}
		return 1
	}
	switch {
	case string(row.ID) < key.ID:
		return -1
	case string(row.ID) > key.ID:
		return 1
	}
	return 0
}
