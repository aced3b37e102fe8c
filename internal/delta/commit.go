package delta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// maxUnclear bounds the attempts at one version whose answer stays unclear.
const maxUnclear = 10

// Commit writes one version on top of base, or of a later one. prepare is given the snapshot just below the version to be
// written, and is asked again after every race that was lost; it answers the actions, or ErrNothing, or another error,
// which ends the commit. Commit answers the snapshot of the version that it wrote; with an error, the newest that it knows.
//
// Nothing was committed unless the error is nil or an UncertainError. Calls with the same store may run side by side, in
// any number of processes.
func Commit(
	ctx context.Context, store blob.Store, base *Snapshot, prepare func(ctx context.Context, below *Snapshot) (Actions, error), opts Options,
) (*Snapshot, error) {
	c := &committer{store: store, opts: opts.withDefaults()}
	if base != nil {
		c.opts.WithoutFiles = base.opts.WithoutFiles
	}
	below, err := c.current(ctx, base)
	if err != nil {
		return base, fmt.Errorf("commit: %w", err)
	}
	for attempt := range c.opts.MaxAttempts {
		actions, err := prepare(ctx, below)
		if err != nil {
			return below, err
		}
		if actions, err = below.check(actions); err != nil {
			return below, err
		}
		above, err := c.write(ctx, below, actions)
		if err != nil {
			return below, err
		}
		if above != nil {
			return above, nil
		}
		if below, err = c.overtaken(ctx, below, attempt); err != nil {
			return below, fmt.Errorf("commit: %w", err)
		}
	}
	return below, fmt.Errorf("commit version %d: %d attempts: %w", below.Version+1, c.opts.MaxAttempts, ErrContended)
}

type committer struct {
	store blob.Store
	opts  Options
	now   time.Time // the store's clock, as last told
}

// current is the base, or the table loaded anew where the base may lie below a cleaned part of the log.
func (c *committer) current(ctx context.Context, base *Snapshot) (*Snapshot, error) {
	if base == nil || base.Version < 0 {
		return Load(ctx, c.store, c.opts)
	}
	same, now, err := base.stillStands(ctx)
	if err != nil {
		return base, err
	}
	if !same || now.Sub(base.Checked) > c.opts.MaxBaseAge {
		return Load(ctx, c.store, c.opts)
	}
	c.now = now
	return base, nil
}

// overtaken reads every version since below, and waits a little: whoever came first goes on first.
func (c *committer) overtaken(ctx context.Context, below *Snapshot, attempt int) (*Snapshot, error) {
	if err := c.opts.Wait(ctx, jitter(10*time.Millisecond, attempt)); err != nil {
		return below, err
	}
	next, err := below.Refresh(ctx)
	if err != nil {
		return below, err
	}
	return next, nil
}

// write tries for the version above. It answers nil without an error when somebody else has it.
func (c *committer) write(ctx context.Context, below *Snapshot, actions Actions) (*Snapshot, error) {
	now := below.Checked
	if c.now.After(now) {
		now = c.now
	}
	if now.IsZero() {
		now = c.opts.Clock()
	}
	actions.Removes = slices.Clone(actions.Removes)
	for i := range actions.Removes {
		if actions.Removes[i].Deleted.IsZero() {
			actions.Removes[i].Deleted = now
		}
	}
	id := c.opts.NewID()
	data, err := encodeCommit(actions, id, c.opts.Engine, now)
	if err != nil {
		return nil, err
	}
	o := newOverlay(below.Version)
	if err := o.apply(below.Version+1, actions.lines()); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var mine bool
	if o.tip, mine, err = c.put(ctx, below, id, data); err != nil || !mine {
		return nil, err
	}
	above, err := o.over(below)
	if err != nil {
		return nil, err
	}
	c.checkpoint(ctx, above.Version)
	return above, nil
}

// put writes the same bytes to the version above until something stands there, and tells whether that is ours. Its error
// is an UncertainError.
func (c *committer) put(ctx context.Context, below *Snapshot, id string, data []byte) (info blob.Info, mine bool, err error) {
	version := below.Version + 1
	uncertain := func(err error) error { return &UncertainError{Version: version, ID: id, Err: err} }
	for attempt := 0; ; attempt++ {
		info, mine, err = c.putOnce(ctx, version, id, data)
		same := false
		if err == nil {
			same, err = c.isLog(ctx, below)
		}
		switch {
		case err == nil && same:
			return info, mine, nil
		case err == nil:
			// The log was cleaned up to here, before ours was written, which then stands in a hole, or after, when it is in
			// the table. What stands there now, ours or another's, does not tell which.
			return info, false, uncertain(errCleaned)
		case attempt+1 >= min(maxUnclear, c.opts.MaxAttempts):
			return info, false, uncertain(err)
		}
		if waitErr := c.opts.Wait(ctx, jitter(50*time.Millisecond, attempt)); waitErr != nil {
			return info, false, uncertain(errors.Join(waitErr, err))
		}
	}
}

// putOnce tells whose commit stands at the version. Without an error something does.
func (c *committer) putOnce(ctx context.Context, version int64, id string, data []byte) (info blob.Info, mine bool, err error) {
	info, err = c.store.Put(ctx, commitName(version), bytes.NewReader(data), blob.IfAbsent())
	if !errors.Is(err, blob.ErrCondition) {
		return info, err == nil, err
	}
	// Ours may have landed although the answer says otherwise (ARCHITECTURE.md, Non-obvious).
	stands, err := readCommit(ctx, c.store, version)
	return stands.info, err == nil && stands.txnID() == id, err
}

// isLog tells whether the version above a snapshot is part of the log: not so when the log was cleaned up to there, which
// shows by the snapshot's own version. Below the first version nothing can be looked at, but nothing is ever cleaned
// without a checkpoint. Where there is one already, a first version may be part of the log or not: that is not told here.
func (c *committer) isLog(ctx context.Context, below *Snapshot) (bool, error) {
	if below.Version >= 0 {
		same, _, err := below.stillStands(ctx)
		return same, err
	}
	l := log{store: c.store, opts: c.opts}
	listing, err := l.list(ctx, lastVersion)
	return err == nil && listing.checkpoint < 0 && listing.unread == "", err
}

// checkpoint writes the checkpoint that is due at a version, off the path where the caller gave a place for it. The
// commit stands whatever becomes of it; the next one is due CheckpointEvery versions later.
func (c *committer) checkpoint(ctx context.Context, version int64) {
	if version == 0 || version%c.opts.CheckpointEvery != 0 {
		return
	}
	task := func(ctx context.Context) {
		if err := WriteCheckpoint(ctx, c.store, version, c.opts); err != nil {
			c.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "checkpoint not written; readers take longer until the next",
				slog.Int64("version", version), slog.Any("error", err))
		}
	}
	if c.opts.Background == nil {
		task(ctx)
		return
	}
	c.opts.Background(task)
}

// jitter is a random time up to base doubled per attempt, at most two seconds.
func jitter(base time.Duration, attempt int) time.Duration {
	limit := min(base<<min(attempt, 10), 2*time.Second)
	return rand.N(limit) + time.Millisecond
}
