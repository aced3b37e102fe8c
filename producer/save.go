package producer

import (
	"context"
	"fmt"

	"github.com/cosmos-almanac/almanac/schemas"
)

// save writes the checkpoint, and makes it what is acknowledged.
func (r *reader) save(ctx context.Context, next schemas.Checkpoint) error {
	if err := r.line.save(ctx, clone(next), r.p.now()); err != nil {
		return err
	}
	r.acked = clone(r.line.Checkpoint)
	r.saved, r.moved = r.p.now(), false
	r.p.metrics.checkpoints.Inc()
	return nil
}

// saveDue checkpoints in its cadence, whether the position moved or not: `status` takes a range of which no checkpoint comes
// for one that nobody reads.
func (r *reader) saveDue(ctx context.Context) error {
	cadence := r.p.config.Producer.IdleCheckpointInterval
	if r.moved {
		cadence = r.p.config.Producer.CheckpointInterval
	}
	if r.p.now().Sub(r.saved) < cadence {
		return nil
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	return r.save(ctx, r.acked)
}

// halt writes the halt into the checkpoint, where an operator finds it (INV-10), and returns it.
func (r *reader) halt(ctx context.Context, why *haltError) error {
	next := clone(r.acked)
	next.Halt = haltOf(next.Container, next.Range, r.p.now(), why.reason, why.evidence)
	if err := r.line.save(ctx, next, r.p.now()); err != nil {
		return fmt.Errorf("halt range: %w: %w", why, err)
	}
	return next.Halt
}

func clone(c schemas.Checkpoint) schemas.Checkpoint {
	offsets := make(schemas.Offsets, len(c.Offsets))
	for partition, offset := range c.Offsets {
		offsets[partition] = offset
	}
	c.Offsets = offsets
	return c
}
