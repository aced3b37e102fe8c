package restorer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
)

// document is one of a point's content: Key is the canonical JSON array of its partition key, Body the user's bytes.
type document struct {
	key, id, body []byte
}

// documents are a point's content, ascending by (key, id). next ends with io.EOF, and what it returned is valid until
// the next call.
type documents interface {
	next() (*document, error)
	close() error
}

// Kind says how a document of the target differs from the point.
type Kind string

// The kinds of differences.
const (
	Missing   Kind = "missing"   // in the point, not in the target
	Extra     Kind = "extra"     // in the target, not in the point
	Different Kind = "different" // in both, with other bytes

	// ExtraDeleted is an Extra that the rules take for deleted in the target. It makes a difference all the same: a
	// restore writes no such document. Only the reason why it is there is another one.
	ExtraDeleted Kind = "extra, deleted softly"
)

// Difference is one document that is not the same on both sides.
type Difference struct {
	Kind Kind   `json:"kind"`
	Key  string `json:"partition_key"`
	ID   string `json:"id"`
}

// Comparison is the outcome of holding a point's content against a target.
type Comparison struct {
	Documents    int64        `json:"documents"` // of the point
	Bytes        int64        `json:"bytes"`     // of the point, the user's own
	Equal        int64        `json:"equal"`
	Missing      int64        `json:"missing"`
	Extra        int64        `json:"extra"`
	ExtraDeleted int64        `json:"extra_deleted"` // of the extra ones
	Different    int64        `json:"different"`
	Differences  []Difference `json:"differences"` // the first ones, in order of (partition key, id)
}

// Same tells whether both sides hold the same documents.
func (c *Comparison) Same() bool { return c.Missing+c.Extra+c.Different == 0 }

// extra is the kind of a document that only the target has.
func (e *entry) extra() Kind {
	if e.deleted {
		return ExtraDeleted
	}
	return Extra
}

// listing says which differences are listed, and how many at most; all are counted.
type listing struct {
	limit int
	kinds []Kind
}

func (c *Comparison) note(kind Kind, key, id []byte, list listing) {
	switch kind {
	case Missing:
		c.Missing++
	case Extra:
		c.Extra++
	case ExtraDeleted:
		c.Extra++
		c.ExtraDeleted++
	case Different:
		c.Different++
	}
	if len(c.Differences) < list.limit && slices.Contains(list.kinds, kind) {
		c.Differences = append(c.Differences, Difference{Kind: kind, Key: string(key), ID: string(id)})
	}
}

// pairs walks content and survey side by side. visit gets each name once: the document of the content or nil, the entry
// of the survey or nil.
func pairs(ctx context.Context, content documents, survey entries, visit func(*document, *entry) error) error {
	doc, derr := content.next()
	have, herr := survey.next()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := errors.Join(unlessEOF(derr), unlessEOF(herr)); err != nil {
			return err
		}
		var order int
		switch {
		case derr != nil && herr != nil:
			return nil
		case derr != nil:
			order = 1
		case herr != nil:
			order = -1
		default:
			order = compareNames(doc.key, doc.id, have.key, have.id)
		}
		left, right := doc, have
		if order > 0 {
			left = nil
		}
		if order < 0 {
			right = nil
		}
		if err := visit(left, right); err != nil {
			return err
		}
		if order <= 0 {
			doc, derr = content.next()
		}
		if order >= 0 {
			have, herr = survey.next()
		}
	}
}

func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// compare holds content against survey.
func compare(ctx context.Context, content documents, survey entries, list listing) (*Comparison, error) {
	c := &Comparison{Differences: []Difference{}}
	order := ordered{inner: content}
	err := pairs(ctx, &order, survey, func(doc *document, have *entry) error {
		if doc != nil {
			c.Documents++
			c.Bytes += int64(len(doc.body))
		}
		switch {
		case have == nil:
			c.note(Missing, doc.key, doc.id, list)
		case doc == nil:
			c.note(have.extra(), have.key, have.id, list)
		case sha256.Sum256(doc.body) != have.hash:
			c.note(Different, doc.key, doc.id, list)
		default:
			c.Equal++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ordered refuses content that does not ascend: a comparison of unsorted sides would be wrong without a sign.
type ordered struct {
	inner   documents
	key, id []byte
	some    bool
}

func (o *ordered) next() (*document, error) {
	doc, err := o.inner.next()
	if err != nil {
		return nil, err
	}
	if o.some && compareNames(o.key, o.id, doc.key, doc.id) >= 0 {
		return nil, fmt.Errorf("content of the point does not ascend: %s %q after %s %q", doc.key, doc.id, o.key, o.id)
	}
	o.key, o.id, o.some = append(o.key[:0], doc.key...), append(o.id[:0], doc.id...), true
	return doc, nil
}

func (o *ordered) close() error { return o.inner.close() }

// counted tells how many documents came.
type counted struct {
	inner documents
	n     atomic.Int64
}

func (c *counted) next() (*document, error) {
	doc, err := c.inner.next()
	if err == nil {
		c.n.Add(1)
	}
	return doc, err
}

func (c *counted) close() error { return c.inner.close() }
