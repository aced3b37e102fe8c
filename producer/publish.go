package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
)

// batch is the records of one page on their way to the brokers. Its buffers serve page after page: a batch is begun anew
// only after it has settled. It belongs to one reader.
type batch struct {
	p      *Producer
	topic  *topic
	source string

	records    []kgo.Record
	headers    []schemas.Header
	kheaders   []kgo.RecordHeader
	arena      []byte // header values and keys
	attributes schemas.Attributes
	id         []byte

	silence func(error) // told what the brokers owe for long, and nil when they have answered; nil: nobody is told
	flying  bool        // sent, and not settled yet
	left    int         // of them, not answered yet
	results chan result // one per record, buffered for all of a page
	failed  error       // the first refusal: the batch never counts, and is not used again
	offsets schemas.Offsets
	oldest  time.Time // when the oldest claim check's object was written
}

type result struct {
	partition int32
	offset    int64
	err       error
}

// claimCheckTurn is the age at which an event whose document stands in large/ is no longer worth waiting for: its
// folder's life is counted from the day in its name.
const claimCheckTurn = time.Hour

func newBatch(p *Producer, t *topic, source string) *batch {
	return &batch{p: p, topic: t, source: source, offsets: schemas.Offsets{}}
}

// add readies one record. It is sent by send, in the order of add (INV-2). key and value are not copied: they must not
// change before the batch has settled.
func (b *batch) add(ctx context.Context, e *schemas.Envelope, key, value []byte) error {
	e.Source = b.source
	record, err := b.encode(e, key, value)
	if err != nil {
		return err
	}
	if size := sizeOf(&record); value != nil && size > b.p.messageLimit {
		if value, err = b.deposit(ctx, value); err != nil {
			return err
		}
		b.attributes.ClaimCheck = true
		record, err = b.encode(e, key, value)
		b.attributes.ClaimCheck = false
		if err != nil {
			return err
		}
	}
	b.records = append(b.records, record)
	return nil
}

func (b *batch) encode(e *schemas.Envelope, key, value []byte) (kgo.Record, error) {
	mark := len(b.arena)
	var err error
	if b.arena, err = schemas.AppendAttributes(b.arena, &b.attributes); err != nil {
		return kgo.Record{}, err
	}
	attributes := b.arena[mark:len(b.arena):len(b.arena)]
	if e.ID == nil {
		b.id = schemas.AppendChangeID(b.id[:0], &b.attributes)
		e.ID = b.id
	}
	b.headers = schemas.AppendHeaders(b.headers[:0], &b.arena, e, attributes)
	first := len(b.kheaders)
	for _, h := range b.headers {
		b.kheaders = append(b.kheaders, kgo.RecordHeader(h))
	}
	return kgo.Record{Topic: b.topic.name, Key: key, Value: value, Headers: b.kheaders[first:len(b.kheaders):len(b.kheaders)]}, nil
}

// keep copies bytes into the arena, for as long as the batch lives.
func (b *batch) keep(bytes []byte) []byte {
	mark := len(b.arena)
	b.arena = append(b.arena, bytes...)
	return b.arena[mark:len(b.arena):len(b.arena)]
}

func sizeOf(r *kgo.Record) int {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size
}

// deposit writes a document that the broker would not take, and returns the claim check that goes in its place. One
// object per event: a second reading of the document deposits it again.
func (b *batch) deposit(ctx context.Context, document []byte) ([]byte, error) {
	now := b.p.now()
	name := schemas.LargeFile(now, schemas.NewUUID())
	if b.oldest.IsZero() {
		b.oldest = now
	}
	_, err := b.p.root.Put(ctx, b.topic.name+"/"+name, bytes.NewReader(document), blob.IfAbsent())
	if err != nil && !errors.Is(err, blob.ErrCondition) { // the name is random: what stands there is an attempt of ours
		return nil, fmt.Errorf("store large document %s: %w", name, err)
	}
	return schemas.NewClaimCheck(name, document).Encode()
}

// send hands the records to the client; settle waits for their acknowledgements. It never waits, so that a reader ends
// when it is told to: the client's buffer has no limit but the slots, which bound what readers may send (INV-9).
func (b *batch) send() {
	if cap(b.results) < len(b.records) {
		b.results = make(chan result, len(b.records))
	}
	b.flying, b.left = true, len(b.records)
	done := func(r *kgo.Record, err error) { b.results <- result{r.Partition, r.Offset, err} }
	size := 0
	for i := range b.records {
		size += len(b.records[i].Value)
		b.topic.client.Produce(b.p.publishing, &b.records[i], done)
	}
	b.p.metrics.events.Add(float64(len(b.records)))
	b.p.metrics.bytes.Add(float64(size))
}

// settle waits until every record is acknowledged by all in-sync replicas, and raises offsets by where they stand. A
// refusal of one means that none of the batch may count, ever (INV-1). When ctx ends first, settle may be called again.
func (b *batch) settle(ctx context.Context, offsets schemas.Offsets) error {
	owed, began, silence := b.left, time.Now(), time.NewTimer(silenceMost)
	defer silence.Stop()
	for b.left > 0 {
		select {
		case r := <-b.results:
			b.left--
			b.take(r, offsets)
		case <-silence.C:
			b.tell(fmt.Errorf("the brokers have not acknowledged %d records for %v: look at their health, has every partition a leader, and as many replicas in sync as min.insync.replicas asks for?",
				b.left, time.Since(began).Round(time.Second)))
			silence.Reset(silenceAgain)
		case <-ctx.Done():
			return fmt.Errorf("publish to topic %s: %w", b.topic.name, ctx.Err())
		}
	}
	switch {
	case b.failed != nil:
		return fmt.Errorf("publish to topic %s: %w", b.topic.name, b.failed)
	case !b.oldest.IsZero() && b.p.now().Sub(b.oldest) > claimCheckTurn:
		b.failed = fmt.Errorf("a large document was stored more than %v before its event was taken; it is stored again", claimCheckTurn)
		return fmt.Errorf("publish to topic %s: %w", b.topic.name, b.failed)
	}
	for partition, offset := range b.offsets {
		offsets.Raise(partition, offset)
	}
	b.reset()
	if owed > 0 {
		b.tell(nil)
	}
	return nil
}

// The client tries for as long as brokers neither take nor refuse records. So long it may do so before that is told, and then
// told again.
const (
	silenceMost  = 10 * time.Second
	silenceAgain = time.Minute
)

func (b *batch) tell(silence error) {
	if b.silence != nil {
		b.silence(silence)
	}
}

// take notes one answer. A record always stands above all that the range had acknowledged before, on the same topic.
func (b *batch) take(r result, before schemas.Offsets) {
	last, known := before[r.partition]
	switch {
	case b.failed != nil:
	case errors.Is(r.err, kerr.MessageTooLarge):
		b.failed = fmt.Errorf("kafka.max_message_bytes is more than the topic takes, lower it: %w", r.err)
	case r.err != nil:
		b.failed = r.err
	case r.offset < 0:
		b.failed = fmt.Errorf("partition %d took a record without telling where it stands", r.partition)
	case known && r.offset <= last:
		b.failed = halted(reasonTopic, "partition %d had acknowledged offset %d, and then took a record at %d", r.partition, last, r.offset)
	default:
		b.offsets.Raise(r.partition, r.offset)
	}
}

func (b *batch) reset() {
	clear(b.records)
	clear(b.offsets)
	b.records, b.kheaders, b.arena, b.oldest, b.flying = b.records[:0], b.kheaders[:0], b.arena[:0], time.Time{}, false
	if cap(b.arena) > arenaKept {
		b.arena = nil
	}
}

// arenaKept bounds what a reader keeps between pages.
const arenaKept = 4 << 20
