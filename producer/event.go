package producer

import (
	"context"
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
	a := &r.batch.attributes
	*a = schemas.Attributes{
		Topic: r.topic.uuid, Mode: next.Mode, Incarnation: []byte(next.Incarnation), Generation: next.Generation,
		Order: schemas.Order{LSN: r.scan.LSN}, RID: r.scan.RID, ETag: r.scan.ETag, TTL: r.scan.TTL,
	}
	e := schemas.Envelope{Time: ts}
	var key []byte
	if unkeyed {
		r.log.Warn("document cannot be keyed; it is kept, and points of its generation are tainted", "lsn", int64(r.scan.LSN), "error", err)
		e.Op, e.Subject, key = schemas.OpUnkeyed, []byte(next.Container), schemas.ControlKey(schemas.OpUnkeyed, next.Container, next.Range)
	} else {
		a.EPK = r.scan.EPK
		if epk := schemas.HexEPK(r.scan.EPK); !next.Range.Contains(epk) {
			return halted(reasonTopology, "range %s served a document whose effective partition key is %s", next.Range, epk)
		}
		e.Op, e.Subject, key = schemas.OpUpserted, r.scan.ID, r.batch.keep(r.scan.Key)
	}
	if err := r.batch.add(ctx, &e, key, item); errors.Is(err, schemas.ErrAttributes) {
		return halted(reasonFormat, "lsn %d: %v", r.scan.LSN, err)
	} else if err != nil {
		return err
	}
	return nil
}

// control publishes one control event and waits until it is acknowledged.
func (r *reader) control(ctx context.Context, op schemas.Op, at time.Time, value []byte) error {
	if err := r.settle(); err != nil {
		return err
	}
	r.batch.attributes = schemas.Attributes{
		Topic: r.topic.uuid, Mode: r.acked.Mode, Incarnation: []byte(r.acked.Incarnation), Generation: r.acked.Generation,
		Order: schemas.Order{LSN: r.acked.Position},
	}
	e := schemas.Envelope{Op: op, Time: at, Subject: []byte(r.acked.Container)}
	if err := r.batch.add(ctx, &e, schemas.ControlKey(op, r.acked.Container, r.acked.Range), value); err != nil {
		return err
	}
	r.batch.send(ctx)
	return r.settle()
}
