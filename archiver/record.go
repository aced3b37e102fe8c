package archiver

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// decoder makes rows of records. What it hands out is valid until its next record.
type decoder struct {
	record    *kgo.Record
	received  schemas.Received
	row       archive.Row
	container []byte
	epk       []byte
	claim     *schemas.ClaimCheck // set when the document still has to be fetched
}

// otherTopicError says that a record belongs to a topic of another uuid.
type otherTopicError struct{ found, want schemas.UUID }

func (e *otherTopicError) Error() string {
	return fmt.Sprintf("the record carries topic uuid %s, topic.json says %s", e.found, e.want)
}

// Header implements schemas.HeaderReader over the record.
func (d *decoder) Header(name string) []byte {
	for i := range d.record.Headers {
		if d.record.Headers[i].Key == name {
			return d.record.Headers[i].Value
		}
	}
	return nil
}

// decode fills row, container and, for a claim check, claim. Whatever cannot be read becomes a quarantined row (INV-10);
// the only error is otherTopicError.
func (d *decoder) decode(record *kgo.Record, topic schemas.UUID) error {
	d.record, d.claim = record, nil
	d.container = append(d.container[:0], schemas.ControlContainer...)
	if record.Attrs.IsControl() {
		d.quarantine("it is the control record of a transaction, and Almanac's producers use none", schemas.ErrForeign)
		return nil
	}
	if err := schemas.DecodeHeaders(d, &d.received); err != nil {
		d.quarantine(err.Error(), err)
		return nil
	}
	if record.Attrs.IsTransactional() {
		const reason = "it is part of a transaction, which may be aborted, and Almanac's producers use none"
		d.quarantine(reason, errors.New(reason))
		return nil
	}
	if found := d.received.Attributes.Topic; found != topic {
		return &otherTopicError{found: found, want: topic}
	}
	if err := d.check(); err != nil {
		d.quarantine(err.Error(), err)
		return nil
	}
	d.fill()
	if !d.received.Op.Change() {
		if err := archive.CheckControl(&d.row); err != nil {
			d.quarantine(err.Error(), err)
		}
	}
	return nil
}

// check refuses what decodes, but is no event of this format.
func (d *decoder) check() error {
	r, record := &d.received, d.record
	switch {
	case len(record.Key) == 0:
		return errors.New("the record has no key")
	case !utf8.Valid(record.Key) || !utf8.Valid(r.Subject) || !utf8.Valid(record.Value):
		return errors.New("key, ce_subject or value is not UTF-8")
	case !utf8.Valid(r.Attributes.Incarnation) || !utf8.Valid(r.Attributes.RID) || !utf8.Valid(r.Attributes.ETag):
		return errors.New("incarnation, _rid or _etag is not UTF-8")
	case !utf8.Valid(r.Database) || !utf8.Valid(r.Container):
		return errors.New("ce_source is not UTF-8")
	case r.Op.Change() && len(r.Attributes.EPK) > 0 && r.Attributes.EPK[0] == 0xFF:
		return errors.New("the effective partition key lies in no range of keys") // schemas.MaxEPK
	case r.Op.Deletion() && record.Value != nil:
		return errors.New("a deletion carries a value")
	case !r.Op.Deletion() && record.Value == nil:
		return errors.New("the event has no value, and is no deletion")
	}
	if r.Attributes.ClaimCheck {
		claim, err := schemas.DecodeClaimCheck(record.Value)
		if err != nil {
			return err
		}
		d.claim = &claim
	}
	return nil
}

func (d *decoder) fill() {
	r, a := &d.received, &d.received.Attributes
	if r.Op.Change() {
		d.container = append(append(append(d.container[:0], r.Database...), '.'), r.Container...)
	}
	d.epk = schemas.AppendHexEPK(d.epk[:0], a.EPK)
	d.row = archive.Row{
		PartitionKey: d.record.Key, ID: r.Subject, Op: r.Op, TS: r.Time.UnixMicro(),
		Generation: a.Generation, Order: a.Order, EPK: d.epk, Incarnation: a.Incarnation, RID: a.RID, ETag: a.ETag, TTL: a.TTL,
		Document: d.record.Value,
	}
	d.place()
}

// place is what every row has, whatever stands on the record.
func (d *decoder) place() {
	d.row.TopicPartition, d.row.Offset = d.record.Partition, d.record.Offset
	d.row.PublishedAt = d.record.Timestamp.UnixMicro()
}

// quarantine makes a row of the record as it is, in base64. cause tells strangers' records from damaged ones of ours.
func (d *decoder) quarantine(reason string, cause error) {
	q := schemas.Quarantine{
		Reason: reason, Key: d.record.Key, Value: d.record.Value,
		Headers: make([]schemas.QuarantineHeader, len(d.record.Headers)), Foreign: errors.Is(cause, schemas.ErrForeign),
	}
	for i, h := range d.record.Headers {
		q.Headers[i] = schemas.QuarantineHeader{Key: h.Key, Value: h.Value}
	}
	document, err := json.Marshal(q)
	if err != nil { // strings and bytes always marshal
		document = fmt.Appendf(nil, `{"reason":%q}`, reason)
	}
	d.claim = nil
	d.container = append(d.container[:0], schemas.ControlContainer...)
	d.row = archive.Row{Op: schemas.OpQuarantined, TS: d.record.Timestamp.UnixMicro(), Document: document}
	if utf8.Valid(d.record.Key) && len(d.record.Key) <= maxKey {
		d.row.PartitionKey = d.record.Key
	}
	d.place()
}

// maxKey is the longest key of a quarantined record that stands in the partition_key column; it is in the document anyway.
const maxKey = 4 << 10
