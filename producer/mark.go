package producer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/schemas"
)

// markDue makes a mark in its cadence: at once when the range drains after it did not, at most every mark_interval while
// it works, every idle_mark_interval otherwise.
func (r *reader) markDue(ctx context.Context, drained bool) error {
	since := r.p.now().Sub(r.marked)
	cadence := r.p.config.Producer.IdleMarkInterval
	switch {
	case drained && (r.behind || r.read.Basis == schemas.BasisLoading):
		cadence = 0
	case !drained || r.worked:
		cadence = r.p.config.Producer.MarkInterval
	}
	if since < cadence {
		return nil
	}
	if err := r.define(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	completes := drained && r.acked.Basis == schemas.BasisLoading
	if completes {
		r.read.Basis, r.read.BasisFrom = schemas.BasisComplete, r.acked.Position
		r.acked = clone(r.read)
		r.log.Info("read from the beginning has drained", "generation", int64(r.acked.Generation), "lsn", int64(r.acked.Position))
	}
	if err := r.mark(ctx, drained); err != nil {
		return err
	}
	if completes {
		return r.save(ctx, r.acked)
	}
	return nil
}

// openingMark is a generation's first event: its offsets tell what was published before.
func (r *reader) openingMark(ctx context.Context) error {
	r.worked = true
	return r.mark(ctx, false)
}

// mark states what is acknowledged.
func (r *reader) mark(ctx context.Context, drained bool) error {
	m := &schemas.Mark{
		Container: r.acked.Container, Incarnation: r.acked.Incarnation, Range: r.acked.Range, Mode: r.acked.Mode,
		Generation: r.acked.Generation, Basis: r.acked.Basis, BasisFrom: r.acked.BasisFrom,
		LSN: r.acked.Position, Newest: r.acked.Newest, Drained: drained, Latest: r.acked.Latest, Offsets: r.acked.Offsets,
	}
	if !r.drainedAt.IsZero() {
		m.CompleteTo = r.drainedAt.Add(-r.p.config.Producer.Settle).UTC()
	}
	value, err := m.Encode()
	if err != nil {
		return fmt.Errorf("encode mark: %w", err)
	}
	if err := r.control(ctx, schemas.OpMark, m.Latest, value); err != nil {
		return err
	}
	r.marked, r.worked, r.behind = r.p.now(), false, !drained
	r.p.metrics.marks.Inc()
	return nil
}

// identify reads the container now and then: another one under its name halts the range, and a changed definition is to
// be published before the next mark.
func (r *reader) identify(ctx context.Context) error {
	now := r.p.now()
	if r.container != nil && now.Sub(r.identified) < r.p.config.Producer.DefinitionInterval {
		return nil
	}
	live, err := r.p.account.ReadContainer(ctx, r.named.Database, r.named.Container)
	if err != nil {
		return err
	}
	if live.RID != r.read.Incarnation {
		return halted(reasonIncarnation, "resource id was %s, is %s", r.read.Incarnation, live.RID)
	}
	sum := sha256.Sum256(live.Resource)
	r.container, r.identified, r.definition = live, now, hex.EncodeToString(sum[:])
	return r.locate(ctx)
}

// locate finds out whether the account's writes go elsewhere, where no configuration number would tell of a failover.
func (r *reader) locate(ctx context.Context) error {
	if r.read.Generation == 0 || r.read.Config != cosmos.NoConfig {
		return nil
	}
	account, err := r.p.account.ReadAccount(ctx)
	if err != nil {
		return err
	}
	r.elsewhere = len(account.WriteRegions) == 1 && account.WriteRegions[0] != r.read.WriteRegion
	return nil
}

// define publishes the container's definition when it changed: the task of the range that begins at the minimum. It goes
// before a mark, whose offsets include it, so that a point's definition is within the point's offsets. Its time is the
// service's as far as the range knows it, which never goes back: a reader takes the latest one.
func (r *reader) define(ctx context.Context) error {
	if r.read.Range.Min != schemas.MinEPK || r.definition == r.read.Definition {
		return nil
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.control(ctx, schemas.OpDefinition, r.acked.Latest, r.container.Resource); err != nil {
		return err
	}
	r.read.Definition = r.definition
	r.acked = clone(r.read)
	r.moved = true
	r.log.Info("definition published", "sha256", r.definition)
	return nil
}
