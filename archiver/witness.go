package archiver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/schemas"
)

// A topic that was deleted and made again has the name of the old one and, as its records come from the same producers,
// its uuid. Once it is longer than the archive, only its records tell. So what stands at the last archived offset of a
// partition must be what the table, the *witness*, holds of it (INV-10). The verdict is the topic's: most partitions may have no
// witness, because nothing of them was archived yet, or the record has aged away.
//
// Records are fetched before they are committed, so the comparison before a commit tells whether they came from the topic
// that was archived, whatever happened while they were fetched. Where the brokers give topics ids, and fetch by them, one
// comparison vouches for an id; Event Hubs has none, so there every commit begins with one.

// identity is what is known of which topic it is that is read.
type identity struct {
	begun     bool               // all partitions were compared once
	witnesses map[int32]*witness // of archived offsets
	fetched   topicID            // of the records that came last
	proved    topicID            // of records that were fetched before a comparison
	doubt     bool               // records came since the last comparison that no id vouches for
}

type topicID [16]byte

// witness is what the table holds of an offset; row is nil when it holds none. Of what this process committed last it is the
// record itself: brokers without topic ids are asked before every commit, and an older witness would not tell of an end
// that was lost since.
type witness struct {
	offset int64
	row    *archive.Row
	record bool              // sum is of the whole record, and there is no row
	sum    [sha256.Size]byte // otherwise of a quarantined record, in place of the row's document
}

// tells reports whether there is something to compare with.
func (w *witness) tells() bool { return w != nil && (w.record || w.row != nil) }

type verdict uint8

const (
	sameTopic  verdict = iota // as far as anything could be compared
	otherTopic                // the topic is halted
)

// noteIdentity looks under which ids records came.
func (a *Archiver) noteIdentity(fetched kgo.Fetches) {
	for i := range fetched {
		for _, from := range fetched[i].Topics {
			t := a.byName[from.Topic]
			hasRecords := func(p kgo.FetchPartition) bool { return len(p.Records) > 0 }
			if t != nil && slices.ContainsFunc(from.Partitions, hasRecords) && (from.TopicID != t.identity.proved || from.TopicID == topicID{}) {
				t.identity.fetched, t.identity.doubt = from.TopicID, true
			}
		}
	}
}

// mayCommit tells whether what is buffered of the topic may be committed. When it may not, nothing is buffered any more.
func (a *Archiver) mayCommit(ctx context.Context, t *topic) (bool, error) {
	if halted, err := a.obey(ctx, t); err != nil || halted {
		return false, err
	}
	if !t.identity.doubt {
		return true, nil
	}
	if err := a.refresh(ctx, t); err != nil {
		return false, err
	}
	var logs known
	err := a.retry(ctx, "list offsets", func(ctx context.Context) (err error) { // of a topic that is gone an error that stays
		logs.of, logs.unknown, err = kafka.KnownLogs(ctx, a.member, t.name)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("topic %s: %w", t.name, err)
	}
	var ours []int32
	for _, p := range t.partitions {
		if p.phase == reading {
			ours = append(ours, p.number)
		}
	}
	found, err := a.compare(ctx, t, logs, ours)
	if err == nil && found == sameTopic && t.identity.doubt { // none of ours could be compared
		found, err = a.compare(ctx, t, logs, slices.Collect(maps.Keys(logs.of)))
	}
	return found == sameTopic, err
}

// toCompare are the partitions to compare before some are started.
func (t *topic) toCompare(logs known, waiting []*partition) (numbers []int32) {
	if !t.identity.begun {
		return slices.Collect(maps.Keys(logs.of))
	}
	for _, p := range waiting {
		numbers = append(numbers, p.number)
	}
	return numbers
}

// known is what brokers told of a topic's logs: a partition without a leader is unknown for a while, and keeps no other waiting.
type known struct {
	of      map[int32]kafka.Log
	unknown map[int32]error
}

// A topic that ends before its table is looked at again: a broker that was just deposed, or has just taken over, may tell an
// older end.
const (
	shorterLooks = 3
	shorterWait  = time.Second
)

// shorter is why the topic is another one, and the evidence, when a partition's log ends before what the table holds of it or
// is not there, and that is still so after some seconds. It is an error when the brokers name a partition of the table, and none
// has it.
func (a *Archiver) shorter(ctx context.Context, t *topic, logs known) (reason, evidence string, err error) {
	for look := 0; ; look++ {
		reason, evidence, err = "", "", nil
		for number, at := range archive.ArchivedOffsets(t.snapshot, t.uuid) {
			log, ok := logs.of[number]
			switch {
			case ok && log.End <= at && reason != reasonFewer:
				reason, evidence = reasonAge, fmt.Sprintf("partition %d: the table holds offsets up to %d, the topic ends at %d", number, at, log.End)
			case errors.Is(logs.unknown[number], kerr.UnknownTopicOrPartition):
				err = fmt.Errorf("topic %s: partition %d, which the table knows: %w", t.name, number, logs.unknown[number])
			case !ok && logs.unknown[number] == nil:
				reason, evidence = reasonFewer, missingEvidence(number, at, len(logs.of)+len(logs.unknown))
			}
		}
		if reason == "" && err == nil || look == shorterLooks {
			return reason, evidence, err
		}
		if err := a.sleep(ctx, shorterWait); err != nil {
			return "", "", err
		}
		again, err := a.logs(ctx, t.name)
		if err != nil {
			return "", "", err
		}
		maps.Copy(logs.of, again.of)
		for number := range again.unknown {
			delete(logs.of, number)
		}
		clear(logs.unknown)
		maps.Copy(logs.unknown, again.unknown)
	}
}

// compare holds the topic against the table, in these partitions, and halts it when it is another one. logs are younger
// than the table as it is known. No record at an archived offset says nothing: compaction may have removed it.
func (a *Archiver) compare(ctx context.Context, t *topic, logs known, partitions []int32) (verdict, error) {
	reason, evidence, err := a.shorter(ctx, t, logs)
	if reason != "" {
		return otherTopic, a.haltTopic(ctx, t, reason, evidence)
	}
	if err != nil {
		return sameTopic, err
	}
	if err := a.findWitnesses(ctx, t, logs, partitions); err != nil {
		return sameTopic, err
	}
	offsets := map[int32]int64{}
	for _, number := range partitions {
		if w := t.identity.witnesses[number]; w.tells() && logs.has(number, w.offset) {
			offsets[number] = w.offset
		}
	}
	if len(offsets) == 0 {
		return sameTopic, nil
	}
	equal, d := false, &decoder{} // the other one may hold a row that waits for room
	err = a.retry(ctx, "read archived records", func(ctx context.Context) error {
		evidence, equal = "", false
		id, err := kafka.Peek(ctx, a.member, t.name, offsets, func(record *kgo.Record) {
			if difference := d.differs(record, t.identity.witnesses[record.Partition]); difference != "" {
				evidence = difference
			} else {
				equal = true
			}
		})
		switch fetched := t.identity.fetched; {
		case evidence != "":
			return nil
		case id != fetched && fetched != topicID{}:
			return errors.Join(err, fmt.Errorf("records came from topic id %x, the brokers now say %x", fetched, id))
		case equal && err != nil: // one is enough to vouch, and none is to contradict
			a.log.Warn("some partitions are not compared now", slog.String("topic", t.name), slog.Any("error", err))
			return nil
		}
		return err
	})
	if err != nil {
		return sameTopic, fmt.Errorf("topic %s: %w", t.name, err)
	}
	if evidence != "" {
		return otherTopic, a.haltTopic(ctx, t, reasonOther, evidence)
	}
	if equal {
		t.identity.proved, t.identity.doubt = t.identity.fetched, false
	}
	return sameTopic, nil
}

// findWitnesses looks up the last rows of partitions of which no witness is in the log any more.
func (a *Archiver) findWitnesses(ctx context.Context, t *topic, logs known, partitions []int32) error {
	var missing []int32
	for _, number := range partitions {
		at, have := last(t.snapshot, t.uuid, number), t.identity.witnesses[number]
		if at < 0 || !logs.has(number, at) || have != nil && (have.offset == at || have.tells() && !have.isGap() && logs.has(number, have.offset)) {
			continue
		}
		missing = append(missing, number)
	}
	if len(missing) == 0 {
		return nil
	}
	var rows map[int32]*archive.Row
	err := a.retry(ctx, "find last rows", func(ctx context.Context) (err error) {
		rows, err = archive.LastRows(ctx, t.store, t.snapshot, t.uuid, missing)
		return err
	})
	if err != nil {
		return fmt.Errorf("topic %s: %w", t.name, err)
	}
	for _, number := range missing {
		at := last(t.snapshot, t.uuid, number)
		t.identity.witnesses[number] = newWitness(at, rows[number])
		if rows[number] == nil {
			a.log.Warn("somebody removed the row of the last archived offset from the table; the topic is not compared with it",
				slog.String("unit", unitOf(t.name, number)), slog.Int64("offset", at))
		}
	}
	return nil
}

// has tells whether an offset is in a partition's log, as far as that is known.
func (k known) has(number int32, offset int64) bool {
	return k.of[number].Holds(offset) // no log holds nothing
}

// newWitness keeps of a row what matches asks for.
func newWitness(offset int64, row *archive.Row) *witness {
	w := &witness{offset: offset, row: row}
	if row != nil {
		var q schemas.Quarantine
		if row.Op == schemas.OpQuarantined && json.Unmarshal(row.Document, &q) == nil {
			values := [][]byte{q.Key, q.Value}
			for _, h := range q.Headers {
				values = append(values, h.Value)
			}
			w.sum = sumOf(values...)
		}
		row.Document = nil
	}
	return w
}

// isGap: at its offset no record stands, so that a newer witness is better.
func (w *witness) isGap() bool { return w.row != nil && w.row.Op == schemas.OpGap }

// sumOf tells lists of texts apart, but for a null and an empty one.
func sumOf(texts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, text := range texts {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(text)))) // a hash takes everything
		_, _ = h.Write(text)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// differs says what tells the record from the witness of its offset; nothing when it is the same.
func (d *decoder) differs(record *kgo.Record, w *witness) string {
	if d.matches(record, w) {
		return ""
	}
	held := "another record, which was archived"
	if w.row != nil {
		held = describe(w.row)
	}
	return fmt.Sprintf("partition %d, offset %d: the table holds %s, the topic holds %s", record.Partition, record.Offset, held, d.describe(record))
}

// matches tells whether the row was made of the record. It asks for no more than what rows of every version hold, so that
// a record which this version decodes otherwise is still the same, and one that it cannot decode at all; and not for the document,
// which may lie behind a claim check that is gone.
func (d *decoder) matches(record *kgo.Record, w *witness) bool {
	if w.record {
		return sumOfWhole(record) == w.sum
	}
	row := w.row
	switch row.Op {
	case schemas.OpGap: // it had been there before it was given up, if a broker that restarted shows it again
		return record.Timestamp.UnixMicro() <= row.PublishedAt
	case schemas.OpQuarantined:
		return record.Timestamp.UnixMicro() == row.PublishedAt && sumOfRecord(record) == w.sum
	}
	if record.Timestamp.UnixMicro() != row.PublishedAt || !bytes.Equal(record.Key, row.PartitionKey) {
		return false
	}
	if d.read(record) != nil {
		return true
	}
	r := &d.row
	return r.Op == row.Op && r.TS == row.TS && r.Generation == row.Generation && r.Order == row.Order &&
		r.TTL == row.TTL && bytes.Equal(r.ID, row.ID) && bytes.Equal(r.EPK, row.EPK) &&
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

// sumOfRecord is of a record what the document of a quarantined row holds. Headers' names are no bytes there.
func sumOfRecord(record *kgo.Record) [sha256.Size]byte {
	values := [][]byte{record.Key, record.Value}
	for _, h := range record.Headers {
		values = append(values, h.Value)
	}
	return sumOf(values...)
}

// sumOfWhole is of a record what its broker gives, whenever it is asked.
func sumOfWhole(record *kgo.Record) [sha256.Size]byte {
	values := [][]byte{binary.AppendVarint(nil, record.Timestamp.UnixMilli()), record.Key, record.Value}
	for _, h := range record.Headers {
		values = append(values, []byte(h.Key), h.Value)
	}
	return sumOf(values...)
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
