package archiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/sleep"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Options of an Archiver. Config, Archive, Producer and Log are required.
type Options struct {
	Config   *config.Config
	Archive  blob.Store // archive.root
	Producer blob.Store // producer.root: large documents
	Log      *slog.Logger

	Registry prometheus.Registerer        // default: metrics are kept and shown to nobody
	Report   func(part string, err error) // told when a part becomes ready or not; default: nobody
	Now      func() time.Time             // default: time.Now; it times flushes, and no file or row depends on it
	Kafka    []kgo.Opt                    // further options of both clients

	Sleep func(ctx context.Context, d time.Duration) error // between attempts; default: a timer
}

// Archiver archives the topics of a configuration. It is made by New, and run once by Run.
type Archiver struct {
	config   *config.Config
	archive  blob.Store
	producer blob.Store
	log      *slog.Logger
	report   func(string, error)
	now      func() time.Time
	sleep    func(context.Context, time.Duration) error
	metrics  *metrics
	kafka    []kgo.Opt

	clients    *kafka.Lifetime
	member     *kgo.Client
	reader     *kgo.Client
	assignment *assignment
	owned      map[topicPartition]int64 // as settled
	spare      bool                     // the group gave none to this process
	topics     []*topic
	byName     map[string]*topic
	refuse     func(error) // ends Run with the error
	buffer     *buffer
	decoder    *decoder
	file       bytes.Buffer // the file that is being made
	tasks      sync.WaitGroup
	closing    chan struct{}
	looked     time.Time // when halts were looked at
}

const (
	// A fetch brings at most fetchBytes (but for one batch that is larger), of which one is being taken in and one may
	// be under way (INV-9). Compressed batches grow when they arrive, which is why these are small.
	fetchBytes          = 4 << 20
	fetchPartitionBytes = 1 << 20
	fetches             = 2
	fetchWait           = 500 * time.Millisecond // a partition that is added waits for the fetch that is under way

	pollMost      = time.Second     // without an event
	haltInterval  = 5 * time.Second // at most, between looks at the halts of owned partitions
	shutdownShare = 0.8             // of service.shutdown_grace that the last flush may take
	leaveShare    = 0.1             // of it that leaving the group may take
)

// New makes an archiver; it talks to nobody yet.
func New(o Options) (*Archiver, error) {
	m, err := newMetrics(o.Registry)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	a := &Archiver{
		config: o.Config, archive: o.Archive, producer: o.Producer, log: o.Log, report: o.Report, now: o.Now, sleep: o.Sleep, metrics: m, kafka: o.Kafka,
		assignment: newAssignment(), byName: map[string]*topic{}, decoder: &decoder{}, closing: make(chan struct{}),
		buffer:  newBuffer(int(o.Config.Archiver.FlushBytes)),
		clients: kafka.NewLifetime(time.Duration(leaveShare * float64(o.Config.Service.ShutdownGrace))),
	}
	if a.report == nil {
		a.report = func(string, error) {}
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.sleep == nil {
		a.sleep = sleep.For
	}
	return a, nil
}

// Run archives until ctx is done; then it commits what it holds within service.shutdown_grace, leaves the group and
// returns nil. An error with exit code 3 says that nothing is left to do before an operator acts; one with exit code 2, that
// the configuration is wrong, or that the brokers do not take it.
func (a *Archiver) Run(ctx context.Context) error {
	ctx, a.refuse = context.WithCancelCause(ctx)
	defer a.refuse(nil)
	defer a.close()
	if err := a.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // it was stopped before there was anything to finish
		}
		return service.Refused(err)
	}
	work, cancel := a.withGrace(ctx)
	defer cancel()
	err := a.loop(ctx, work)
	var refused *kafka.ConfigError
	if errors.As(context.Cause(ctx), &refused) {
		return errors.Join(refused, err)
	}
	return err
}

// withGrace is ctx with some time behind its end, in which what is in hand is finished.
func (a *Archiver) withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	grace := time.Duration(shutdownShare * float64(a.config.Service.ShutdownGrace))
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	timer := make(chan *time.Timer, 1)
	stop := context.AfterFunc(ctx, func() {
		timer <- time.AfterFunc(grace, func() { cancel(fmt.Errorf("%v, the archiver's share of service.shutdown_grace, have passed", grace)) })
	})
	return work, func() {
		if !stop() {
			(<-timer).Stop()
		}
		cancel(nil)
	}
}

// open connects, and checks the topics before anything is written.
func (a *Archiver) open(ctx context.Context) (err error) {
	options, err := a.clientOptions()
	if err != nil {
		return err
	}
	a.reader, err = kgo.NewClient(append(slices.Clone(options),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),    // out of range is for us to judge
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()), // a stranger's transaction that stays open would keep all records behind it back
		kgo.KeepControlRecords(),                       // they have offsets too, as aborted records have
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
		kgo.MaxConcurrentFetches(fetches),
		kgo.FetchMaxWait(fetchWait),
	)...)
	if err != nil {
		return fmt.Errorf("make kafka client: %w", err)
	}
	var names []string
	for i, one := range a.config.Topics() {
		partitions, err := kafka.OpenTopic(ctx, a.reader, a.config.Kafka, one.Name, kafka.Past{
			MayMake: func(ctx context.Context) error { return topicid.CheckNew(ctx, a.archive, one.Name) },
			MayTake: func(ctx context.Context) error {
				return a.try(ctx, "open topic", func(ctx context.Context) error {
					return service.Refused(topicid.CheckKnown(ctx, a.archive, one.Name))
				})
			},
		})
		if err != nil {
			return err
		}
		t, err := a.openTopic(ctx, i, one.Name)
		if err != nil {
			return err
		}
		a.metrics.topic(t.name, partitions)
		a.topics, a.byName[t.name] = append(a.topics, t), t
		names = append(names, one.Name)
	}
	options = append(options, kafka.GroupOptions(a.config.Kafka, a.config.Archiver.Group, names...)...)
	options = append(options, a.assignment.options()...)
	options = append(options, kafka.OnRefused(a.config.Kafka, a.config.Archiver.Group, func(err *kafka.ConfigError) { a.refuse(err) }))
	if a.member, err = kgo.NewClient(options...); err != nil {
		return fmt.Errorf("make kafka group member: %w", err)
	}
	a.report("archive", nil)
	return nil
}

// clientOptions are those of both clients.
func (a *Archiver) clientOptions() ([]kgo.Opt, error) {
	options, err := kafka.ClientOptions(a.config.Kafka, a.log)
	return append(append(options, a.kafka...), a.clients.Option()), err
}

// close leaves the group and waits for what runs beside.
func (a *Archiver) close() {
	a.clients.Close(a.member, a.reader)
	close(a.closing)
	a.tasks.Wait()
}

// background runs a checkpoint beside the loop, until close at the latest: nothing depends on one.
func (a *Archiver) background(task func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	a.tasks.Go(func() {
		defer cancel()
		task(ctx)
	})
	a.tasks.Go(func() {
		defer cancel()
		select {
		case <-ctx.Done():
		case <-a.closing:
		}
	})
}

// loop works until ctx is done, and then commits what it holds.
func (a *Archiver) loop(ctx, work context.Context) error {
	for ctx.Err() == nil {
		if err := a.settle(ctx); err != nil {
			if ctx.Err() != nil {
				break // nothing is to be finished before a partition is read
			}
			return err
		}
		if err := a.take(work, a.poll(ctx)); err != nil {
			return err
		}
		if err := a.flushDue(work); err != nil {
			return err
		}
		for _, t := range a.topics {
			a.lookAtSilence(work, t)
		}
		if halt := a.nothingLeft(); halt != nil {
			return errors.Join(a.flushAll(work), fmt.Errorf("every topic partition of this process is halted: %w", halt))
		}
	}
	return a.flushAll(work)
}

// settle does what the assignment asks for: drops the rows of partitions that were taken away, starts those that were
// given, and those whose halt was cleared.
func (a *Archiver) settle(ctx context.Context) error {
	owned, told := a.assignment.current()
	if told {
		a.report("kafka", nil)
	}
	for _, t := range a.topics {
		for _, p := range t.partitions {
			if epoch, still := owned[topicPartition{t.name, p.number}]; p.phase != idle && epoch != p.epoch {
				if !still {
					a.log.Info("topic partition goes to another process", slog.String("topic", t.name), slog.Int("partition", int(p.number)))
				}
				a.restart(t, p)
				p.phase = idle
				a.metrics.left(t.name, p.number)
			}
		}
	}
	for at, epoch := range owned {
		if t := a.byName[at.topic]; t != nil {
			if p := t.partition(at.partition); p.phase == idle {
				p.epoch, p.phase, p.suspect = epoch, starting, -1
			}
		}
	}
	spare := told && len(owned) == 0
	if spare && !a.spare {
		a.log.Info("standing by: other processes archive all topic partitions")
	}
	a.owned, a.spare = owned, spare
	a.lookAtHalts()
	for _, t := range a.topics {
		if err := a.start(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// lookAtHalts lets halted partitions start again now and then: start finds out whether the halt still stands.
func (a *Archiver) lookAtHalts() {
	if a.now().Sub(a.looked) < min(haltInterval, a.config.Archiver.FlushInterval) {
		return
	}
	a.looked = a.now()
	for _, t := range a.topics {
		for _, p := range t.partitions {
			if p.phase == halted && !p.buffered() {
				p.phase = starting
			}
		}
	}
}

// nothingLeft is a halt when all partitions of this process are halted.
func (a *Archiver) nothingLeft() (halt *schemas.Halt) {
	for _, t := range a.topics {
		for _, p := range t.partitions {
			switch p.phase {
			case starting, reading:
				return nil
			case halted:
				halt = p.halt
			case idle:
			}
		}
	}
	return halt
}

// poll waits for records, for a change of the assignment, or until a flush is due.
func (a *Archiver) poll(ctx context.Context) kgo.Fetches {
	wait := min(pollMost, a.config.Archiver.FlushInterval)
	for _, t := range a.topics {
		if at, ok := t.cadence.due(); ok {
			wait = min(wait, at.Sub(a.now()))
		}
	}
	ctx, cancel := a.assignment.pollContext(ctx, a.owned)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer stop()
	return a.reader.PollFetches(ctx)
}

// take puts what was fetched into the buffer.
func (a *Archiver) take(ctx context.Context, fetched kgo.Fetches) error {
	a.noteIdentity(fetched)
	var failed error
	fetched.EachPartition(func(f kgo.FetchTopicPartition) {
		t := a.byName[f.Topic]
		if failed != nil {
			return
		}
		if t == nil { // an error of the client as a whole; that a poll has ended is none
			if f.Err != nil && !errors.Is(f.Err, context.Canceled) && !errors.Is(f.Err, context.DeadlineExceeded) {
				failed = fmt.Errorf("fetch: %w", f.Err)
			}
			return
		}
		p := t.partition(f.Partition)
		if failed = a.takePartition(ctx, t, p, f.Records); failed != nil {
			return
		}
		if f.Err != nil && p.phase == reading {
			failed = a.fetchError(ctx, t, p, f.Err)
			return
		}
		if f.HighWatermark >= p.next && p.phase == reading {
			a.metrics.lag.WithLabelValues(t.name, strconv.Itoa(int(p.number))).Set(float64(f.HighWatermark - p.next))
		}
	})
	return failed
}

func (a *Archiver) takePartition(ctx context.Context, t *topic, p *partition, records []*kgo.Record) error {
	if len(records) > 0 {
		p.heard = a.now()
	}
	for _, record := range records {
		switch {
		case p.phase != reading:
			return nil
		case record.Offset < p.next:
			continue // behind the place where this partition was to start
		case record.Offset > p.next:
			return a.hole(ctx, t, p, record.Offset)
		}
		if err := a.takeRecord(ctx, t, p, record); err != nil {
			return err
		}
	}
	return nil
}

// takeRecord makes one row of one record, and makes room for it first when the buffer is full (INV-9).
func (a *Archiver) takeRecord(ctx context.Context, t *topic, p *partition, record *kgo.Record) error {
	d := a.decoder
	if err := d.decode(record, t.uuid); err != nil {
		return a.haltPartition(ctx, t, p, reasonUUID, fmt.Sprintf("offset %d: %v", record.Offset, err))
	}
	if d.claim != nil {
		if err := a.fetchLarge(ctx, t.name); err != nil {
			return err
		}
	}
	if !a.buffer.fits(t.index, d.container, &d.row) {
		if err := a.flushAll(ctx); err != nil {
			return err
		}
		if p.phase != reading || p.next != record.Offset {
			return nil // the flush found that the table stands elsewhere
		}
	}
	a.buffer.add(t.index, d.container, &d.row)
	p.next, p.suspect = record.Offset+1, -1
	if t.identity.fetched == (topicID{}) {
		p.latest = record
	}
	if string(d.container) == schemas.ControlContainer {
		t.cadence.sawControl(a.now())
	} else {
		t.cadence.sawChange(a.now())
	}
	return nil
}

// flushDue commits what is due by time.
func (a *Archiver) flushDue(ctx context.Context) error {
	for _, t := range a.topics {
		if at, ok := t.cadence.due(); ok && !a.now().Before(at) {
			if err := a.flush(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Archiver) flushAll(ctx context.Context) error {
	for _, t := range a.topics {
		if err := a.flush(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
