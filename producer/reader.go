package producer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/sleep"
	"github.com/cosmos-almanac/almanac/schemas"
)

// reader follows the change feed of one range for as long as the group assigns the range to this process. It is run by
// one goroutine. What it may state is acked; what it has read, but does not know to be on the topic yet, is read.
type reader struct {
	p     *Producer
	topic *topic
	named config.Container
	line  *line
	log   *slog.Logger

	acked schemas.Checkpoint // every event before it is acknowledged (INV-1)
	read  schemas.Checkpoint // where the last page leaves it; its events are in batch
	batch *batch
	scan  schemas.Document
	hex   []byte

	envelope    schemas.Envelope // of the event that is readied
	incarnation []byte           // as its header has it
	lower       []byte           // the range's lower bound in binary

	container  *cosmos.Container // as identify saw it last
	identified time.Time
	definition string // SHA-256 of its resource

	drainedAt time.Time // the service's time when it last drained
	worked    bool      // events were published since the last mark
	behind    bool      // the last mark was not drained
	marked    time.Time
	saved     time.Time
	moved     bool      // events went to the brokers since the last checkpoint
	slots     int       // that it holds
	reading   bool      // one of them is not with the brokers yet
	rewound   time.Time // since when the newest LSN has been below the position
	elsewhere bool      // the account's writes go to another region than when the generation began
	warned    warning   // what was logged about the answers in a row that cannot be used
}

type warning uint8

const (
	nothing warning = iota
	oldConfig
	noPosition
)

// A reader that ends waits so long for the brokers, and then so long for the store: brokers that are slow cost no checkpoint.
const (
	leaveMost = 3 * time.Second
	saveMost  = 2 * time.Second
)

func newReader(p *Producer, k *task, l *line, log *slog.Logger) *reader {
	source := "/" + p.config.Cosmos.Account + "/" + k.container.Database + "/" + k.container.Container
	b := newBatch(p, k.topic, source)
	b.silence = func(err error) {
		if err != nil {
			log.Warn("the range stands still", "error", err)
		} else {
			k.published.Store(true)
		}
		p.still(k, err)
	}
	return &reader{
		p: p, topic: k.topic, named: k.container, line: l, log: log, batch: b,
		acked: clone(l.Checkpoint), read: clone(l.Checkpoint), incarnation: []byte(l.Checkpoint.Incarnation),
	}
}

// follow runs until ctx ends, the checkpoint is another's (errLost), or something goes wrong. On the way out it
// checkpoints what was acknowledged.
func (r *reader) follow(ctx context.Context) error {
	err := r.takeOver(ctx)
	for err == nil {
		err = r.round(ctx)
	}
	var stop *haltError
	switch {
	case errors.Is(err, errLost):
		return err
	case errors.As(err, &stop):
		return r.halt(ctx, stop)
	}
	r.leave()
	return err
}

// takeOver writes the checkpoint at once, so that the reader before finds out. Of a generation of which nothing but its
// beginning is checkpointed, the opening mark may never have been sent.
func (r *reader) takeOver(ctx context.Context) (err error) {
	if r.lower, err = lowerBound(r.acked.Range); err != nil {
		return halted(reasonTopology, "range %s: %v", r.acked.Range, err)
	}
	if err := r.save(ctx, r.acked); err != nil {
		return err
	}
	r.read = clone(r.acked)
	if err := r.checkTopic(ctx); err != nil {
		return err
	}
	if r.acked.Generation != 0 && (r.acked.Token == "" || r.acked.Basis == schemas.BasisNone) {
		return r.openingMark(ctx)
	}
	return nil
}

// checkTopic halts before anything is published to a topic that ends before what it had acknowledged: another stands under
// its name, or it lost its end. Once others had published to it, its offsets would no longer tell.
func (r *reader) checkTopic(ctx context.Context) error {
	if len(r.acked.Offsets) == 0 {
		return nil
	}
	logs, err := kafka.Logs(ctx, r.topic.client, r.topic.name)
	if err != nil {
		return err
	}
	for partition, last := range r.acked.Offsets {
		if end := logs[partition].End; end <= last {
			return halted(reasonTopic, "partition %d had acknowledged offset %d, and ends at %d", partition, last, end)
		}
	}
	return nil
}

// leave checkpoints what is acknowledged, as far as that is possible soon. What is not is published again.
func (r *reader) leave() {
	settling, cancel := context.WithTimeout(context.Background(), leaveMost)
	defer cancel()
	if err := r.settle(settling); err != nil {
		r.log.Info("left a page that is not acknowledged; it is published again", "error", err)
	}
	if !r.moved {
		return
	}
	saving, cancel := context.WithTimeout(context.Background(), saveMost)
	defer cancel()
	if err := r.save(saving, r.acked); err != nil {
		r.log.Warn("left the range without a last checkpoint; what was published since the one before is published again", "error", err)
	}
}

// round reads one page while the page before is on its way to the brokers.
func (r *reader) round(ctx context.Context) error {
	if err := r.identify(ctx); err != nil {
		return err
	}
	if err := r.acquire(ctx); err != nil {
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
		return err
	}
	r.p.metrics.charge.Add(float64(page.Charge))
	return r.receive(ctx, page)
}

// receive finds out whether a page counts, is of a replica from before a failover, or tells of a new generation.
func (r *reader) receive(ctx context.Context, page *cosmos.Page) error {
	switch {
	case page.Session.Config < r.read.Config:
		r.warn(oldConfig, "dropped the answer of a replica from before a failover", "config", page.Session.Config, "seen", r.read.Config)
		r.reading = false
		return errors.Join(r.settle(ctx), sleep.For(ctx, r.p.config.Producer.PollInterval))
	case r.read.Generation == 0, page.Session.Config > r.read.Config, r.elsewhere, r.rewinds(page):
		r.reading = false
		if err := r.settle(ctx); err != nil {
			return err
		}
		return r.begin(ctx, page)
	}
	return r.take(ctx, page)
}

// take publishes a page that is known to count.
func (r *reader) take(ctx context.Context, page *cosmos.Page) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	next := clone(r.acked)
	next.Newest = max(next.Newest, page.Session.Newest)
	switch {
	case !page.Positioned:
		next.Token = page.Token
	case page.Position >= next.Position: // a replica that lags never takes the reader back
		next.Token, next.Position = page.Token, page.Position
	}
	raise(&next.Latest, page.Date)
	for _, item := range page.Items {
		if err := r.add(ctx, &next, item); err != nil {
			return err
		}
	}
	stale := page.NotModified || len(page.Items) == 0 && next.Token == r.read.Token
	r.read, r.reading = next, false
	r.p.metrics.position(&r.acked)
	r.batch.send()
	if len(page.Items) > 0 {
		r.worked, r.moved = true, true
	}
	if err := r.state(ctx, page); err != nil {
		return err
	}
	if err := r.saveDue(ctx); err != nil {
		return err
	}
	if stale {
		r.release(0) // nothing of it is in flight
		return sleep.For(ctx, r.p.config.Producer.PollInterval)
	}
	return nil
}

// state makes a mark when one is due. An answer that reports less than another did is of a replica that lags: its time
// says nothing about what the service had acknowledged by then, so that no mark stands on it.
func (r *reader) state(ctx context.Context, page *cosmos.Page) error {
	if !page.Positioned {
		r.warn(noPosition, "the continuation is no LSN: no marks, and so no restore points, can be made", "token", page.Token)
		return nil
	}
	r.warned = nothing
	if page.Session.Newest < r.read.Newest {
		return nil
	}
	drained := r.read.Position >= r.read.Newest
	if drained {
		r.drainedAt = page.Date
	}
	return r.markDue(ctx, drained)
}

// settle waits for the page in flight.
func (r *reader) settle(ctx context.Context) error {
	if r.batch.flying {
		if err := r.batch.settle(ctx, r.read.Offsets); err != nil {
			return err
		}
	}
	r.acked = clone(r.read)
	keep := 0
	if r.reading {
		keep = 1
	}
	r.release(keep)
	return nil
}

// end gives the slots back. A page that the brokers have not answered in full stays in the client with all its buffers, so
// it keeps its slot until they have (INV-9); answered is closed then, and nil when nothing is left. The client, when it is
// closed, answers everything.
//
// Pages of a partition that takes nothing may come to hold all slots. Then ranges of other topics stand still too, until
// the brokers answer, as they do behind readers that stay; a range here never holds more than one slot that way (await).
func (r *reader) end() (answered <-chan struct{}) {
	if r.batch.left == 0 {
		r.release(0)
		return nil
	}
	r.release(1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; r.batch.left > 0; r.batch.left-- {
			<-r.batch.results
		}
		r.release(0)
	}()
	return done
}

// acquire takes a slot for the page that will be read (INV-9).
func (r *reader) acquire(ctx context.Context) error {
	if err := r.claim(ctx); err != nil {
		return err
	}
	r.reading = true
	return nil
}

// claim takes a slot. While none is free the reader gives up its page in flight first, so that readers who hold one slot
// and want another never wait for each other.
func (r *reader) claim(ctx context.Context) error {
	select {
	case r.p.pages <- struct{}{}:
	default:
		if err := r.settle(ctx); err != nil {
			return err
		}
		select {
		case r.p.pages <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.slots++
	return nil
}

// release gives slots back until keep are left.
func (r *reader) release(keep int) {
	for ; r.slots > keep; r.slots-- {
		<-r.p.pages
	}
}

// rewinds reports that the newest LSN has stayed below the position for rewind_grace: the service has lost LSNs and its
// configuration number does not tell. Shorter than that it is a replica that lags.
func (r *reader) rewinds(page *cosmos.Page) bool {
	if !page.Positioned || page.Session.Newest >= r.read.Position {
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
	next.Definition = "" // the last one may be what was lost: a rebase says everything again
	switch {
	case next.Basis != schemas.BasisNone:
		next.Basis = schemas.BasisLoading
	case first: // a start from now: the page is its pin
		if cosmos.IsFromNow(page.Token) || !page.Positioned {
			return sleep.For(ctx, r.p.config.Producer.PollInterval)
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
	if len(account.WriteRegions) > 1 {
		next.Basis = schemas.BasisNone
		r.log.Warn("the account writes in several regions: its history is kept, but restore points cannot be made", "regions", account.WriteRegions)
	}
	if err := r.save(ctx, next); err != nil {
		return err
	}
	r.read, r.rewound, r.drainedAt, r.elsewhere = clone(r.acked), time.Time{}, time.Time{}, false
	if next.Config == cosmos.NoConfig {
		r.log.Warn("the account's session tokens have no configuration number: a failover that lost writes is noticed by the account's write region, and else only if the newest LSN stays below what was read for producer.rewind_grace")
	}
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

// warn logs the first of answers in a row that cannot be used for the same reason.
func (r *reader) warn(about warning, text string, attributes ...any) {
	if r.warned != about {
		r.warned = about
		r.log.Warn(text, attributes...)
	}
}

// raise lifts a bound to the end of the second that the service named: its clock is cut to whole seconds.
func raise(latest *time.Time, second time.Time) {
	if end := second.Add(time.Second - time.Millisecond); end.After(*latest) {
		*latest = end.UTC()
	}
}
