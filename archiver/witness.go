package archiver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/schemas"
)

// A topic that was deleted and made again has the name of the old one and, as its records come from the same producers,
// its uuid. Once it is longer than the archive, only its records tell: so a partition is read from its last archived
// record on, and what stands there must be what the table, the *witness*, holds of it (INV-10).

// findWitnesses looks up the last row of every partition whose last archived record is still in the log.
func (a *Archiver) findWitnesses(ctx context.Context, t *topic, waiting []*partition, logs map[int32]kafka.Log) (witnesses map[int32]*archive.Row, err error) {
	var numbers []int32
	for _, p := range waiting {
		if at, log := last(t.snapshot, t.uuid, p.number), logs[p.number]; at >= 0 && log.Start <= at && at < log.End {
			numbers = append(numbers, p.number)
		}
	}
	if len(numbers) == 0 {
		return nil, nil
	}
	err = a.retry(ctx, "find last rows", func(ctx context.Context) error {
		witnesses, err = archive.LastRows(ctx, t.store, t.snapshot, t.uuid, numbers)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", t.name, err)
	}
	for _, number := range numbers {
		if witnesses[number] == nil {
			a.log.Warn("the table has no row of the last archived offset any more; the topic is not compared with it", slog.String("unit", unitOf(t.name, number)))
		}
	}
	return witnesses, nil
}

// hear compares the first record that came with the witness, and halts the partition when it is another one. No record at
// the witness's offset says nothing: compaction may have removed it.
func (a *Archiver) hear(ctx context.Context, t *topic, p *partition, record *kgo.Record) error {
	witness := p.witness
	p.witness = nil
	if record.Offset != p.next-1 || a.decoder.matches(record, witness) {
		return nil
	}
	return a.haltPartition(ctx, t, p, reasonOther,
		fmt.Sprintf("offset %d: the table holds %s, the topic holds %s", record.Offset, describe(witness), a.decoder.describe(record)))
}

// matches tells whether the row was made of the record. It asks for no more than what rows of every version hold, so that
// a record which this version decodes otherwise is still the same; and not for the document, which may lie behind a claim
// check that is gone.
func (d *decoder) matches(record *kgo.Record, row *archive.Row) bool {
	switch row.Op {
	case schemas.OpGap: // it had been there before it was given up, if a broker that restarted shows it again
		return record.Timestamp.UnixMicro() <= row.PublishedAt
	case schemas.OpQuarantined:
		return record.Timestamp.UnixMicro() == row.PublishedAt && isQuarantined(record, row.Document)
	}
	if d.read(record) != nil {
		return false
	}
	r := &d.row
	return r.PublishedAt == row.PublishedAt && r.Op == row.Op && r.TS == row.TS && r.Generation == row.Generation && r.Order == row.Order &&
		r.TTL == row.TTL && bytes.Equal(r.PartitionKey, row.PartitionKey) && bytes.Equal(r.ID, row.ID) && bytes.Equal(r.EPK, row.EPK) &&
		bytes.Equal(r.Incarnation, row.Incarnation) && bytes.Equal(r.RID, row.RID) && bytes.Equal(r.ETag, row.ETag)
}

// read makes a row of a record without judging what it says.
func (d *decoder) read(record *kgo.Record) error {
	d.record = record
	if err := schemas.DecodeHeaders(d, &d.received); err != nil {
		return err
	}
	d.fill()
	return nil
}

// isQuarantined tells whether the document of a quarantined row holds the record's bytes. Headers' names are no bytes there.
func isQuarantined(record *kgo.Record, document []byte) bool {
	var q schemas.Quarantine
	return json.Unmarshal(document, &q) == nil && bytes.Equal(q.Key, record.Key) && bytes.Equal(q.Value, record.Value) &&
		slices.EqualFunc(q.Headers, record.Headers, func(had schemas.QuarantineHeader, has kgo.RecordHeader) bool {
			return bytes.Equal(had.Value, has.Value)
		})
}

// describe names a row, or the record at its place, without what users wrote.
func describe(row *archive.Row) string {
	published := "published at " + schemas.FormatTime(time.UnixMicro(row.PublishedAt))
	switch row.Op {
	case schemas.OpGap:
		return "a gap that was accepted at " + schemas.FormatTime(time.UnixMicro(row.PublishedAt))
	case schemas.OpQuarantined:
		return "a quarantined record " + published
	}
	return fmt.Sprintf("%s %s:%s:%d:%d:%d %s", row.Op, row.Incarnation, row.RID, row.Generation, row.Order.LSN, row.Order.Ordinal, published)
}

func (d *decoder) describe(record *kgo.Record) string {
	if d.read(record) != nil {
		return "a record that cannot be decoded, published at " + schemas.FormatTime(record.Timestamp)
	}
	return describe(&d.row)
}
