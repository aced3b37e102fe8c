package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

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
	arena      []byte // header values and keys; grows between pages only
	attributes schemas.Attributes
	id         []byte

	left    int
	results chan result // one per record, buffered for all of a page
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
	b.id = schemas.AppendChangeID(b.id[:0], &b.attributes)
	e.ID = b.id
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
	wait := settleWait
	for {
		_, err := b.p.root.Put(ctx, b.topic.name+"/"+name, bytes.NewReader(document), blob.IfAbsent())
		if err == nil || errors.Is(err, blob.ErrCondition) { // the name is random: what stands there is an attempt of ours
			return schemas.NewClaimCheck(name, document).Encode()
		}
		b.p.log.Warn("large document is not stored; trying again", "name", name, "error", err)
		if waitErr := pause(ctx, wait); waitErr != nil {
			return nil, fmt.Errorf("store large document %s: %w", name, err)
		}
		wait = min(2*wait, settleMost)
	}
}

// send hands the records to the client; settle waits for their acknowledgements. It may block while the client's buffer
// is full (INV-9).
func (b *batch) send(ctx context.Context) {
	if cap(b.results) < len(b.records) {
		b.results = make(chan result, len(b.records))
	}
	b.left = len(b.records)
	done := func(r *kgo.Record, err error) { b.results <- result{r.Partition, r.Offset, err} }
	for i := range b.records {
		b.p.metrics.bytes.Add(float64(len(b.records[i].Value)))
		b.topic.client.Produce(ctx, &b.records[i], done)
	}
	b.p.metrics.events.Add(float64(len(b.records)))
}

// settle waits until every record is acknowledged by all in-sync replicas, and raises offsets by where they stand. An
// error means that at least one is not: none of the batch may count (INV-1).
func (b *batch) settle(offsets schemas.Offsets) error {
	var failed error
	for ; b.left > 0; b.left-- {
		r := <-b.results
		if r.err != nil {
			failed = r.err
			continue
		}
		b.offsets.Raise(r.partition, r.offset)
	}
	if failed != nil { // the client may still hold the records: the batch is not used again
		return fmt.Errorf("publish to topic %s: %w", b.topic.name, failed)
	}
	if !b.oldest.IsZero() && b.p.now().Sub(b.oldest) > claimCheckTurn {
		return fmt.Errorf("publish to topic %s: a large document was stored more than %v before its event was taken; it is stored again", b.topic.name, claimCheckTurn)
	}
	for partition, offset := range b.offsets {
		offsets.Raise(partition, offset)
	}
	b.reset()
	return nil
}

func (b *batch) reset() {
	clear(b.records)
	clear(b.offsets)
	b.records, b.kheaders, b.arena, b.oldest = b.records[:0], b.kheaders[:0], b.arena[:0], time.Time{}
	if cap(b.arena) > arenaKept {
		b.arena = nil
	}
}

// arenaKept bounds what a reader keeps between pages.
const arenaKept = 4 << 20
