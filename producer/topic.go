package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/schemas"
)

// topic is one topic, its group, and the containers whose changes it carries.
type topic struct {
	name       string
	uuid       schemas.UUID
	partitions int32
	client     *kgo.Client // member of the producers' group of this topic, and publisher
	ranges     []*task

	mu    sync.Mutex
	owned map[int32]bool
	told  bool
	wake  chan struct{} // buffered: the assignment changed
}

// task is one feed range and the partition whose owner reads it.
type task struct {
	container config.Container
	span      schemas.FeedRange
	owner     int32
	halt      error // it stands still until an operator acts

	stop context.CancelFunc // nil when nobody of this process reads it
	done chan struct{}
	last error     // why the last reader ended
	next time.Time // not before
	wait time.Duration
}

const (
	retryLeast = time.Second
	retryMost  = time.Minute
	haltLook   = 5 * time.Second // between looks at a halted range's checkpoint
	bufferMost = 32 << 20        // bytes waiting for acknowledgement, per topic (INV-9)
)

// join makes the topic's client, which becomes a member of the group.
func (p *Producer) join(t *topic) (err error) {
	t.owned, t.wake = map[int32]bool{}, make(chan struct{}, 1)
	options := append(kafka.ClientOptions(p.config.Kafka, p.log), kafka.ProduceOptions(p.config.Kafka, bufferMost)...)
	options = append(options, kafka.GroupOptions(p.config.Kafka, p.config.Producer.Group+"."+t.name, t.name)...)
	options = append(options,
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { t.give(got[t.name]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { t.take(lost[t.name]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { t.take(lost[t.name]) }),
	)
	t.client, err = kgo.NewClient(append(options, p.kafka...)...)
	if err != nil {
		return fmt.Errorf("make kafka client: %w", err)
	}
	t.client.PauseFetchTopics(t.name) // membership spreads the work; nothing is fetched
	return nil
}

func (t *topic) give(partitions []int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = true
	for _, number := range partitions {
		t.owned[number] = true
	}
	t.nudge()
}

// take forgets partitions. The readers are stopped by the loop; that they may run a little longer is what the
// checkpoint's compare-and-set is for.
func (t *topic) take(partitions []int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, number := range partitions {
		delete(t.owned, number)
	}
	t.nudge()
}

func (t *topic) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *topic) assignment() (owned map[int32]bool, told bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.owned), t.told
}

// work starts and stops readers as the group assigns, until ctx ends; then it stops them all. It returns an error when
// nothing is left to do before an operator acts.
func (p *Producer) work(ctx context.Context, t *topic) error {
	defer func() {
		for _, k := range t.ranges {
			k.end()
		}
	}()
	ended := make(chan *task, len(t.ranges))
	for {
		owned, told := t.assignment()
		if told {
			p.report("kafka", nil)
		}
		wait := p.schedule(ctx, t, owned, ended)
		if err := idle(t, owned); err != nil && told {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-t.wake:
		case k := <-ended:
			p.finished(k)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// schedule brings readers in line with the assignment, and tells how long nothing else is due.
func (p *Producer) schedule(ctx context.Context, t *topic, owned map[int32]bool, ended chan<- *task) time.Duration {
	wait := retryMost
	for _, k := range t.ranges {
		mine := owned[k.owner]
		switch {
		case !mine && k.stop != nil:
			k.end()
			p.log.Info("range goes to another process", "container", k.container.Name(), "range", k.span.String())
		case mine && k.stop == nil:
			if left := k.next.Sub(p.now()); left > 0 {
				wait = min(wait, left)
				continue
			}
			p.begin(ctx, t, k, ended)
		}
		if !mine {
			k.halt, k.last, k.next, k.wait = nil, nil, time.Time{}, 0
		}
	}
	return wait
}

// begin starts a reader.
func (p *Producer) begin(ctx context.Context, t *topic, k *task, ended chan<- *task) {
	ctx, cancel := context.WithCancel(ctx)
	k.stop, k.done = cancel, make(chan struct{})
	done := k.done
	go func() {
		err := p.readRange(ctx, t, k)
		k.last = err
		close(done)
		select {
		case ended <- k:
		case <-ctx.Done():
		}
	}()
}

// end stops a reader and waits for it.
func (k *task) end() {
	if k.stop != nil {
		k.stop()
		<-k.done
		k.stop = nil
	}
}

// finished looks at why a reader ended by itself.
func (p *Producer) finished(k *task) {
	if k.stop == nil {
		return // it was ended meanwhile
	}
	k.end()
	var halt *schemas.Halt
	log := p.log.With("container", k.container.Name(), "range", k.span.String())
	switch {
	case errors.As(k.last, &halt):
		if k.halt == nil {
			log.Error("range is halted", "reason", halt.Reason, "evidence", halt.Evidence, "since", halt.Since)
		}
		k.halt, k.next = halt, p.now().Add(haltLook)
		p.metrics.halted(k, 1)
		return
	case errors.Is(k.last, errLost):
		log.Warn("another process wrote the checkpoint; going on from there")
		k.next, k.halt = p.now(), nil
	case k.last != nil:
		k.wait = min(max(2*k.wait, retryLeast), retryMost)
		log.Warn("reading the range failed; trying again", "error", k.last, "in", k.wait)
		k.next, k.halt = p.now().Add(k.wait), nil
	}
	p.metrics.halted(k, 0)
}

// idle is the halt of some range when all ranges of this process are halted.
func idle(t *topic, owned map[int32]bool) (halt error) {
	for _, k := range t.ranges {
		if !owned[k.owner] {
			continue
		}
		if k.halt == nil {
			return nil
		}
		halt = k.halt
	}
	return halt
}

// readRange reads one range from its checkpoint on until ctx ends or something goes wrong.
func (p *Producer) readRange(ctx context.Context, t *topic, k *task) error {
	name := schemas.CheckpointFile(t.name, k.container.Name(), k.span)
	l, err := openLine(ctx, p.root, name, p.name)
	if errors.Is(err, blob.ErrNotFound) {
		c := schemas.Checkpoint{Container: k.container.Name(), Range: k.span}
		return haltOf(&c, p.now(), "the range's checkpoint is missing: put it back from a copy, or begin the container anew under another topic name", name)
	}
	if err != nil {
		return err
	}
	live, err := p.account.ReadContainer(ctx, k.container.Database, k.container.Container)
	if err != nil {
		return err
	}
	r := &reader{
		p: p, topic: t, container: live, line: l,
		log: p.log.With(slog.String("container", k.container.Name()), slog.String("range", k.span.String())),
	}
	if l.Checkpoint.Halt == nil {
		r.log.Info("reading range", "generation", int64(l.Checkpoint.Generation), "lsn", int64(l.Checkpoint.Position), "basis", string(l.Checkpoint.Basis))
	}
	return r.follow(ctx)
}
