package producer

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// add readies the event of one item of the feed, and raises what next says of times.
func (r *reader) add(ctx context.Context, next *schemas.Checkpoint, item []byte) error {
	err := r.scan.Scan(r.container.Key, item)
	unkeyed := errors.Is(err, schemas.ErrUnkeyed)
	switch {
	case err != nil && !unkeyed:
		return halted(reasonFormat, "item of the feed: %v: %.200q", err, item)
	case r.scan.LSN <= 0 || r.scan.TS <= 0:
		return halted(reasonFormat, "item of the feed has no _lsn or no _ts: %.200q", item)
	}
	ts := time.Unix(r.scan.TS, 0)
	raise(&next.Latest, ts)
	a := r.attributes(next)
	a.Order.LSN, a.RID, a.ETag, a.TTL = r.scan.LSN, r.scan.RID, r.scan.ETag, r.scan.TTL
	e := &r.envelope
	*e = schemas.Envelope{Op: schemas.OpUpserted, Time: ts, Subject: r.scan.ID}
	var key []byte
	if unkeyed {
		r.log.Warn("document cannot be keyed; it is kept, and points of its generation are tainted", "lsn", int64(r.scan.LSN), "error", err)
		e.Op, e.Subject, key = schemas.OpUnkeyed, []byte(next.Container), schemas.ControlKey(schemas.OpUnkeyed, next.Container, next.Range)
	} else {
		a.EPK = r.scan.EPK
		r.hex = schemas.AppendHexEPK(r.hex[:0], r.scan.EPK)
		if !next.Range.Contains(string(r.hex)) {
			return halted(reasonTopology, "range %s served a document whose effective partition key is %s", next.Range, r.hex)
		}
		key = r.batch.keep(r.scan.Key)
	}
	err = r.batch.add(ctx, e, key, item)
	if errors.Is(err, schemas.ErrAttributes) {
		return halted(reasonFormat, "lsn %d: %v", r.scan.LSN, err)
	}
	return err
}

// attributes readies the batch's header for an event of the range.
func (r *reader) attributes(of *schemas.Checkpoint) *schemas.Attributes {
	r.batch.attributes = schemas.Attributes{
		Topic: r.topic.uuid, Mode: of.Mode, Incarnation: r.incarnation, EPK: r.lower, Generation: of.Generation,
	}
	return &r.batch.attributes
}

// lowerBound is a range's lower bound in binary; the service may leave out zeros at its end.
func lowerBound(r schemas.FeedRange) ([]byte, error) {
	text := r.Min
	if len(text)%2 == 1 {
		text += "0"
	}
	return hex.DecodeString(text)
}

// control publishes one control event and waits until it is acknowledged. It takes a slot as a page does: its record holds
// the batch's buffers.
func (r *reader) control(ctx context.Context, op schemas.Op, at time.Time, value []byte) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.claim(ctx); err != nil {
		return err
	}
	r.attributes(&r.acked).Order.LSN = r.acked.Position
	e := schemas.Envelope{Op: op, ID: []byte(schemas.NewUUID().String()), Time: at, Subject: []byte(r.acked.Container)}
	if err := r.batch.add(ctx, &e, schemas.ControlKey(op, r.acked.Container, r.acked.Range), value); err != nil {
		return err
	}
	r.batch.send()
	return r.settle(ctx)
}
