package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/schemas"
)

// task is one feed range and the partition whose owner reads it. All fields but halt, published and standing belong to work's
// goroutine; last and answered are the reader's until it is reported to have ended.
type task struct {
	topic     *topic
	container config.Container
	span      schemas.FeedRange
	owner     int32

	cancel context.CancelFunc // nil while no reader of this process is at it
	ending bool               // its reader was told to end
	last   error              // why its last reader ended
	began  time.Time          // when its last reader did
	failed time.Time          // since when readers have ended without having published anything
	next   time.Time          // no reader before
	wait   time.Duration
	halt   atomic.Pointer[schemas.Halt] // it stands still until an operator acts

	published atomic.Bool // since failed
	standing  bool        // as /readyz says; guarded by Producer.standing

	answered <-chan struct{} // closed when the brokers have answered all that its last reader sent; nil: they had
}

const (
	retryLeast = time.Second
	retryMost  = time.Minute
	haltLook   = 5 * time.Second // between looks at a halted range's checkpoint
)

// work starts and ends readers as the groups assign, until ctx ends; then it ends them all. It returns an error when
// nothing is left to do before an operator acts.
//
// Records have a context that outlives their reader: the client gives up a whole batch when the first record's context
// ends, and readers whose ranges stay have theirs in the same batches. It ends leaveMost after ctx does.
func (p *Producer) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	publishing, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	p.publishing = publishing
	ended, running := make(chan *task), 0
	defer func() {
		cancel()
		late := time.AfterFunc(leaveMost, giveUp)
		defer late.Stop()
		for ; running > 0; running-- {
			<-ended
		}
		giveUp()
	}()
	for {
		wait := retryMost
		for _, k := range p.tasks {
			left, started := p.schedule(ctx, k, ended)
			wait = min(wait, left)
			running += started
		}
		if halt := p.stuck(); halt != nil {
			return fmt.Errorf("every range that this process reads is halted: %w", halt)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-p.wake:
			p.reportGroups()
		case k := <-ended:
			running--
			p.finished(k)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// schedule brings a task in line with the assignment. It tells how long nothing else is due for it, and how many readers
// it started.
func (p *Producer) schedule(ctx context.Context, k *task, ended chan<- *task) (wait time.Duration, started int) {
	owned := k.topic.owns(k.owner)
	switch {
	case !owned && k.cancel == nil:
		k.next, k.wait = time.Time{}, 0
		p.still(k, nil)
		p.setHalt(k, nil)
	case !owned && !k.ending:
		p.log.Info("range goes to another process", "container", k.container.Name(), "range", k.span.String())
		k.ending = true
		k.cancel()
	case owned && k.cancel == nil:
		if left := k.next.Sub(p.now()); left > 0 {
			return left, 0
		}
		p.start(ctx, k, ended)
		return retryMost, 1
	}
	return retryMost, 0
}

// start starts a reader. Its owner is work, which receives every task from ended.
func (p *Producer) start(ctx context.Context, k *task, ended chan<- *task) {
	ctx, k.cancel = context.WithCancel(ctx)
	k.began = p.now()
	go func() {
		k.last = p.readRange(ctx, k)
		ended <- k
	}()
}

// finished looks at why a reader ended, and says when the next one may begin.
func (p *Producer) finished(k *task) {
	k.cancel()
	told := k.ending
	k.cancel, k.ending = nil, false
	if told {
		return
	}
	now := p.now()
	log := p.log.With("container", k.container.Name(), "range", k.span.String())
	var halt *schemas.Halt
	if errors.As(k.last, &halt) {
		if k.halt.Load() == nil {
			log.Error("range is halted", "reason", halt.Reason, "evidence", halt.Evidence, "since", halt.Since)
		}
		p.setHalt(k, halt)
		p.still(k, nil) // it is told as a halt
		k.next = now.Add(haltLook)
		return
	}
	if now.Sub(k.began) > retryMost {
		k.wait = 0 // it did well for a while
	}
	if k.published.Swap(false) || k.failed.IsZero() {
		k.failed = now
	}
	if now.Sub(k.failed) > silenceMost {
		p.still(k, k.last)
	}
	k.next = now.Add(k.wait)
	log.Warn("reading the range ended; going on from its checkpoint", "error", k.last, "in", k.wait)
	k.wait = min(max(2*k.wait, retryLeast), retryMost)
}

func (p *Producer) setHalt(k *task, halt *schemas.Halt) {
	k.halt.Store(halt)
	value := 0.0
	if halt != nil {
		value = 1
	}
	p.metrics.halted(k, value)
}

// stuck is a halt when all ranges that this process reads are halted.
func (p *Producer) stuck() (halt *schemas.Halt) {
	for _, k := range p.tasks {
		if !k.topic.owns(k.owner) {
			continue
		}
		if halt = k.halt.Load(); halt == nil {
			return nil
		}
	}
	return halt
}

// still says by /readyz that a range stands still, and why; nil that it does not, or is not this process's. It is called by
// work and by readers.
func (p *Producer) still(k *task, err error) {
	p.standing.Lock()
	defer p.standing.Unlock()
	if err == nil && !k.standing {
		return
	}
	k.standing = err != nil
	p.report("range "+k.container.Name()+" "+k.span.String(), err)
}

func (p *Producer) reportGroups() {
	for _, t := range p.topics {
		if !t.joined() {
			return
		}
	}
	p.report("kafka", nil)
	spare := !slices.ContainsFunc(p.tasks, func(k *task) bool { return k.topic.owns(k.owner) })
	if spare && !p.spare {
		p.log.Info("standing by: other processes read all feed ranges")
	}
	p.spare = spare
}

// readRange reads one range from its checkpoint on until ctx ends or something goes wrong.
func (p *Producer) readRange(ctx context.Context, k *task) error {
	if err := p.await(ctx, k); err != nil {
		return err
	}
	name := schemas.CheckpointFile(k.topic.name, k.container.Name(), k.span)
	l, err := openLine(ctx, p.root, name, p.name)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return haltOf(k.container.Name(), k.span, p.now(), reasonMissing, name)
	case errors.Is(err, errUnreadable):
		return haltOf(k.container.Name(), k.span, p.now(), reasonUnreadable, err.Error())
	case err != nil:
		return err
	case l.Checkpoint.Range != k.span || l.Checkpoint.Container != k.container.Name():
		return haltOf(k.container.Name(), k.span, p.now(), reasonUnreadable,
			fmt.Sprintf("%s is of range %s of %s", name, l.Checkpoint.Range, l.Checkpoint.Container))
	case l.Checkpoint.Halt != nil:
		return l.Checkpoint.Halt
	case l.Checkpoint.Closed:
		return haltOf(k.container.Name(), k.span, p.now(), reasonTopology, name+" is closed")
	}
	p.setHalt(k, nil)
	log := p.log.With(slog.String("container", k.container.Name()), slog.String("range", k.span.String()))
	l.refused = func(err error, wait time.Duration) {
		log.Warn("checkpoint is not stored; trying again", "error", err, "in", wait)
		if wait >= settleMost {
			p.still(k, err)
		}
	}
	log.Info("reading range", "generation", int64(l.Checkpoint.Generation), "lsn", int64(l.Checkpoint.Position), "basis", string(l.Checkpoint.Basis))
	r := newReader(p, k, l, log)
	defer func() { k.answered = r.end() }()
	return r.follow(ctx)
}

// await waits until the brokers have answered what the range's reader before left here. A new one would send the same to
// the same partitions: nothing is gained by another page in the client for each time that the range comes back (INV-9).
func (p *Producer) await(ctx context.Context, k *task) error {
	if k.answered == nil {
		return nil
	}
	select {
	case <-k.answered:
		return nil
	default:
	}
	p.log.Info("waiting until the brokers answer what the range's last reader sent", "container", k.container.Name(), "range", k.span.String())
	select {
	case <-k.answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
