package restorer

import (
	"context"
	"errors"
	"fmt"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/replay"
	"github.com/cosmos-almanac/almanac/schemas"
)

// content opens passes over the documents of a point. A base is a snapshot to begin from; nil is rows alone.
func (s *session) content(point *archive.Point, base *archive.Manifest) content {
	return func(ctx context.Context) (documents, error) {
		limits := s.env.Config.Restorer
		it, err := replay.Open(ctx, replay.Options{
			Changes: s.changes, Point: *point, Rules: s.rules, Base: base,
			Memory: int64(limits.Memory) / 2, Spill: limits.Spill,
		})
		if err != nil {
			return nil, err
		}
		return &replayed{it: it}, nil
	}
}

// replayed is the fold's rows as documents, without the service's own properties (INV-6).
type replayed struct {
	it  *replay.Iterator
	doc document
}

func (r *replayed) next() (*document, error) {
	row, err := r.it.Next()
	if err != nil {
		return nil, err
	}
	if r.doc.body, err = schemas.AppendWithoutSystem(r.doc.body[:0], row.Document); err != nil {
		return nil, fmt.Errorf("document %s %q: %w", row.PartitionKey, row.ID, err)
	}
	r.doc.key, r.doc.id = row.PartitionKey, row.ID
	return &r.doc, nil
}

func (r *replayed) close() error { return r.it.Close() }

// withBase does work from the snapshot, and again from rows alone when the rows show that the snapshot is not what its
// marks promised. Work must be idempotent.
func (s *session) withBase(base *archive.Manifest, work func(base *archive.Manifest) error) error {
	err := work(base)
	if base == nil || !errors.Is(err, replay.ErrBase) {
		return err
	}
	s.env.Log.Warn("snapshot is not used, going on from rows alone", "snapshot", base.Point.Name, "error", err.Error())
	return work(nil)
}
