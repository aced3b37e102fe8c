package replay

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// fold takes the winner of every document out of a merge (INV-4).
type fold struct {
	merge     *merge
	documents documents
	rules     *archive.Rules

	best    held // the winner so far, of the document that is being read
	witness held // the greatest witness of it, without its document
}

func newFold(m *merge, opts *Options) *fold {
	return &fold{merge: m, documents: documents{merge: m, container: opts.Point.Container}, rules: &opts.Rules}
}

// next is the next document that is there.
func (f *fold) next() (*archive.Row, error) {
	for {
		f.best.empty, f.witness.empty = true, true
		if err := f.documents.next(f.take); err != nil {
			return nil, err
		}
		if f.best.empty {
			continue // witnesses alone: the document was deleted at the base
		}
		best := &f.best.entry
		if best.role == based && !f.witness.empty && f.witness.Order.Compare(best.Order) > 0 {
			return nil, fmt.Errorf("%w: document %q %q has a row of order %s at or below the base's cut, the base has order %s",
				ErrBase, best.PartitionKey, best.ID, f.witness.Order, best.Order)
		}
		if best.stripped {
			return nil, fmt.Errorf("fold document %q %q: the winner's document was dropped: this is a defect of the program", best.PartitionKey, best.ID)
		}
		if best.Document == nil {
			continue
		}
		if best.role == change {
			deleted, err := f.rules.Deleted(best.Document)
			if err != nil {
				return nil, fmt.Errorf("fold document %q %q: soft-delete rule: %w", best.PartitionKey, best.ID, err)
			}
			if deleted {
				continue
			}
		}
		return &best.Row, nil
	}
}

func (f *fold) take(h *held, _ bool) error {
	if h.role == witness {
		f.witness, *h = *h, f.witness
	} else {
		f.best, *h = *h, f.best
	}
	return nil
}

// documents reads a merge document by document.
type documents struct {
	merge     *merge
	container string
	now       held
}

// next reads all rows of the next document and gives one entry for each of its orders, ascending; last tells the
// greatest. Of rows of one order, which are the same change, it gives one that has its document if any has. visit may
// take the entry away by swapping it. io.EOF when there are no more documents.
func (d *documents) next(visit func(h *held, last bool) error) error {
	first := d.merge.peek()
	if first == nil {
		return io.EOF
	}
	now := &d.now
	now.hold(first)
	for {
		if err := d.merge.advance(); err != nil {
			return err
		}
		next := d.merge.peek()
		if next == nil || !now.sameDocument(next) {
			return visit(now, true)
		}
		if now.Generation == next.Generation && now.Order == next.Order {
			if !bytes.Equal(now.ETag, next.ETag) {
				return contradiction(d.container, &now.entry, next)
			}
			if now.stripped && !next.stripped {
				now.hold(next)
			}
			continue
		}
		if err := visit(now, false); err != nil {
			return err
		}
		now.hold(next)
	}
}

func contradiction(container string, a, b *entry) error {
	return &schemas.Halt{
		Unit: "container " + container,
		Reason: "two changes of one document stand at one place of the feed: the archive holds rows that were not read from one container; " +
			"find out which producer wrote them",
		Evidence: fmt.Sprintf("document %q %q, generation %d, order %s: etags %q and %q", a.PartitionKey, a.ID, a.Generation, a.Order, a.ETag, b.ETag),
		Since:    time.Now().UTC(),
	}
}

// held is a copy of an entry that outlives its cursor's next step.
type held struct {
	entry
	empty  bool
	buffer []byte
}

func (h *held) sameDocument(e *entry) bool {
	return bytes.Equal(h.PartitionKey, e.PartitionKey) && bytes.Equal(h.ID, e.ID)
}

func (h *held) hold(e *entry) {
	h.empty = false
	h.entry = *e
	texts := [...]*[]byte{&h.PartitionKey, &h.ID, &h.EPK, &h.Incarnation, &h.RID, &h.ETag, &h.Document, &h.Topic}
	size := 0
	for _, text := range texts {
		size += len(*text)
	}
	b := slices.Grow(h.buffer[:0], size)
	for _, text := range texts {
		if *text != nil {
			mark := len(b)
			b = append(b, *text...)
			*text = b[mark:len(b):len(b)]
		}
	}
	h.buffer = b
}
