package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/schemas"
)

// reader follows the change feed of one range for as long as the group assigns the range to this process. It is run by
// one goroutine. What it may state is acked; what it has read, but does not know to be on the topic yet, is read.
type reader struct {
	p         *Producer
	topic     *topic
	container *cosmos.Container
	line      *line
	log       *slog.Logger

	acked schemas.Checkpoint // every event before it is acknowledged (INV-1)
	read  schemas.Checkpoint // where the last page leaves it; its events are in batch
	batch *batch
	scan  schemas.Document

	drainedAt  time.Time // the service's time when it last drained
	positioned bool      // the continuation was an LSN, so that marks can be made
	worked     bool      // events were published since the last mark
	behind     bool      // the last mark was not drained
	marked     time.Time
	saved      time.Time
	moved      bool // events were acknowledged since the last checkpoint
	defined    time.Time
	rewound    time.Time // since when the newest LSN has been below the position
}

// follow runs until ctx ends, the checkpoint is another's (errLost), or something goes wrong. On the way out it
// checkpoints what was acknowledged, within grace.
func (r *reader) follow(ctx context.Context) error {
	if r.line.Checkpoint.Halt != nil {
		return r.line.Checkpoint.Halt
	}
	if r.line.Checkpoint.Closed {
		return nil
	}
	if rid := r.line.Checkpoint.Incarnation; r.container.RID != rid {
		return r.halt(ctx, reasonIncarnation, fmt.Sprintf("resource id was %s, is %s", rid, r.container.RID))
	}
	if err := r.save(ctx, r.line.Checkpoint); err != nil { // taking over writes at once
		return err
	}
	r.read = clone(r.acked)
	r.batch = newBatch(r.p, r.topic, "/"+r.p.config.Cosmos.Account+"/"+r.container.Database+"/"+r.container.Name)
	r.drainedAt = time.Time{}
	r.positioned = true
	if r.acked.Generation != 0 && r.acked.Token == "" {
		// Nothing of the generation is checkpointed: its opening mark may never have been sent.
		if err := r.openingMark(ctx); err != nil {
			return err
		}
	}
	var err error
	for err == nil {
		err = r.round(ctx)
	}
	var halt *haltError
	if errors.As(err, &halt) {
		return r.halt(ctx, halt.reason, halt.evidence)
	}
	if ctx.Err() != nil && !errors.Is(err, errLost) {
		return r.leave()
	}
	return err
}

// leave checkpoints what is acknowledged when the range goes to another process.
func (r *reader) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveMost)
	defer cancel()
	if !r.moved {
		return nil
	}
	return r.save(ctx, r.acked)
}

const leaveMost = 3 * time.Second

// round reads one page while the page before is on its way to the brokers.
func (r *reader) round(ctx context.Context) error {
	if err := r.define(ctx); err != nil {
		return err
	}
	page, err := r.p.account.ReadChanges(ctx, cosmos.ReadOptions{
		Container: r.container, Range: r.read.Range, Token: r.token(), MaxItems: int32(r.p.config.Producer.PageSize),
	})
	switch {
	case errors.Is(err, cosmos.ErrTopology):
		return halted(reasonTopology, "%v", err)
	case errors.Is(err, cosmos.ErrIncarnation):
		return halted(reasonIncarnation, "%v", err)
	case err != nil:
		return errors.Join(err, r.settle())
	}
	r.p.metrics.charge.Add(float64(page.Charge))
	if page.Session.Config < r.read.Config {
		r.log.Warn("dropped the answer of a replica from before a failover", "config", page.Session.Config, "seen", r.read.Config)
		return errors.Join(r.settle(), pause(ctx, r.p.config.Producer.PollInterval))
	}
	if r.read.Generation == 0 || page.Session.Config > r.read.Config || r.rewinds(page) {
		if err := r.settle(); err != nil {
			return err
		}
		return r.begin(ctx, page)
	}
	return r.take(ctx, page)
}

// take publishes a page that is known to count.
func (r *reader) take(ctx context.Context, page *cosmos.Page) error {
	if err := r.settle(); err != nil {
		return err
	}
	next := clone(r.acked)
	next.Newest = max(next.Newest, page.Session.Newest)
	next.Token = page.Token
	if r.positioned = page.Positioned; page.Positioned {
		next.Position = page.Position
	}
	raise(&next.Latest, page.Date)
	for _, item := range page.Items {
		if err := r.add(ctx, &next, item); err != nil {
			return err
		}
	}
	r.read = next
	r.batch.send(ctx)
	if len(page.Items) > 0 {
		r.worked, r.moved = true, true
	}
	drained := r.positioned && next.Position >= next.Newest
	if drained {
		r.drainedAt = page.Date
	}
	if err := r.markDue(ctx, drained); err != nil {
		return err
	}
	if err := r.saveDue(ctx); err != nil {
		return err
	}
	if page.NotModified {
		return pause(ctx, r.p.config.Producer.PollInterval)
	}
	return nil
}

// settle waits for the page in flight.
func (r *reader) settle() error {
	if r.batch.left == 0 && len(r.batch.records) == 0 {
		r.acked = clone(r.read)
		return nil
	}
	if err := r.batch.settle(r.read.Offsets); err != nil {
		return err
	}
	r.acked = clone(r.read)
	return nil
}

// rewinds reports that the newest LSN has stayed below the position for rewind_grace: the service has lost LSNs and its
// configuration number does not tell. Shorter than that it is a replica that lags.
func (r *reader) rewinds(page *cosmos.Page) bool {
	if !r.positioned || page.Session.Newest >= r.read.Position {
		r.rewound = time.Time{}
		return false
	}
	now := r.p.now()
	if r.rewound.IsZero() {
		r.rewound = now
	}
	return now.Sub(r.rewound) >= r.p.config.Producer.RewindGrace
}

// begin starts a generation with what page says, and drops the page: it may lack what was written under reused LSNs. The
// generation stands in the checkpoint before its first event, which is a mark; then everything is read again.
func (r *reader) begin(ctx context.Context, page *cosmos.Page) error {
	first := r.acked.Generation == 0
	next := clone(r.acked)
	next.Generation = schemas.NextGeneration(page.Date, r.acked.Generation)
	next.Config, next.Newest = page.Session.Config, page.Session.Newest
	next.Token, next.Position, next.BasisFrom = "", 0, 0
	if next.Basis != schemas.BasisNone {
		next.Basis = schemas.BasisLoading
	}
	if first && next.Basis == schemas.BasisNone { // a start from now: the page is its pin
		if cosmos.IsFromNow(page.Token) || !page.Positioned {
			return pause(ctx, r.p.config.Producer.PollInterval)
		}
		next.Token, next.Position = page.Token, page.Position
	}
	raise(&next.Latest, page.Date)
	account, err := r.p.account.ReadAccount(ctx)
	if err != nil {
		return err
	}
	if len(account.WriteRegions) > 0 {
		next.WriteRegion = account.WriteRegions[0]
	}
	if err := r.save(ctx, next); err != nil {
		return err
	}
	r.read, r.rewound, r.drainedAt = clone(r.acked), time.Time{}, time.Time{}
	r.log.Info("generation begins", "generation", int64(next.Generation), "config", next.Config, "first", first)
	return r.openingMark(ctx)
}

// token is what the next page is read with.
func (r *reader) token() string {
	if r.read.Generation == 0 && r.read.Basis == schemas.BasisNone {
		return cosmos.FromNow(r.container, r.read.Range)
	}
	return r.read.Token
}

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

// saveDue checkpoints in its cadence. What was published since the last settle is left for the next time.
func (r *reader) saveDue(ctx context.Context) error {
	cadence := r.p.config.Producer.IdleCheckpointInterval
	if r.moved {
		cadence = r.p.config.Producer.CheckpointInterval
	}
	if r.p.now().Sub(r.saved) < cadence || r.acked.Token == r.line.Checkpoint.Token && !r.moved {
		return nil
	}
	if err := r.settle(); err != nil {
		return err
	}
	return r.save(ctx, r.acked)
}

// halt writes the halt into the checkpoint, where an operator finds it (INV-10), and returns it.
func (r *reader) halt(ctx context.Context, reason, evidence string) error {
	next := clone(r.acked)
	if next.Container == "" {
		next = clone(r.line.Checkpoint)
	}
	next.Halt = haltOf(&next, r.p.now(), reason, evidence)
	if err := r.line.save(ctx, next, r.p.now()); err != nil {
		return err
	}
	return next.Halt
}

const (
	reasonTopology    = "the service split, merged or moved the range, which this version does not follow; its history ends here until a version that does takes over"
	reasonIncarnation = "another container stands under this name: archive it under a topic of its own, or put the old one back, then clear the halt"
	reasonFormat      = "the feed shows what this version cannot publish without loss"
)

// haltError asks the reader to halt its range.
type haltError struct{ reason, evidence string }

func (e *haltError) Error() string { return e.reason + ": " + e.evidence }

func halted(reason, format string, args ...any) error {
	return &haltError{reason, fmt.Sprintf(format, args...)}
}

func clone(c schemas.Checkpoint) schemas.Checkpoint {
	offsets := make(schemas.Offsets, len(c.Offsets))
	for partition, offset := range c.Offsets {
		offsets[partition] = offset
	}
	c.Offsets = offsets
	return c
}

// raise lifts a bound to the end of the second that the service named: its clock is cut to whole seconds.
func raise(latest *time.Time, second time.Time) {
	if end := second.Add(time.Second - time.Millisecond); end.After(*latest) {
		*latest = end.UTC()
	}
}
