package archiver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// view is one topic as `status` and `check` see it: what the archive says, and what the brokers do once they are asked.
type view struct {
	topic     string
	table     *openTable // nil: nobody has begun it
	whole     *schemas.Halt
	halts     map[int32]*schemas.Halt
	answered  bool // the brokers told all that was asked
	logs      map[int32]kafka.Log
	young     map[int32]int64  // see askAge
	others    map[int32]string // how the record at the last archived offset differs from what was archived there
	strangers map[int32]string // how the record that comes next belongs to another archive
}

// readView reads what the archive says.
func readView(ctx context.Context, root blob.Store, topic string) (*view, error) {
	v := &view{topic: topic, halts: map[int32]*schemas.Halt{}}
	var err error
	if v.table, err = readTable(ctx, root, topic); err != nil {
		return nil, err
	}
	if v.whole, err = archive.ReadTopicHalt(ctx, root, topic); err != nil {
		return nil, err
	}
	halts, err := archive.ListHalts(ctx, root, topic)
	for _, one := range halts {
		v.halts[one.Partition] = one.Halt
	}
	return v, err
}

// ask adds what the brokers say.
func (v *view) ask(ctx context.Context, client *kgo.Client) (err error) {
	if v.logs, err = kafka.Logs(ctx, client, v.topic); err != nil {
		return err
	}
	if v.table != nil {
		if v.others, err = v.table.compare(ctx, client, v.topic, v.logs); err != nil {
			return err
		}
		v.strangers, err = v.table.strangers(ctx, client, v.topic, v.logs)
	}
	v.answered = true
	return err
}

// askAge adds the first offset in each log that is no older than since.
func (v *view) askAge(ctx context.Context, client *kgo.Client, since time.Time) (err error) {
	v.young, err = kafka.Since(ctx, client, v.topic, since)
	return err
}

// status is what the view comes to.
func (v *view) status() TopicStatus {
	one := TopicStatus{Topic: v.topic, Version: -1, Halt: v.whole, Partitions: []PartitionStatus{}}
	if v.table != nil {
		one.UUID, one.Version = v.table.uuid.String(), v.table.snapshot.Version
	}
	archived := v.table.archived()
	numbers := slices.AppendSeq(slices.Collect(maps.Keys(v.logs)), maps.Keys(archived))
	numbers = slices.AppendSeq(numbers, maps.Keys(v.halts))
	slices.Sort(numbers)
	for _, number := range slices.Compact(numbers) {
		p := v.partition(number, archived)
		if p.Halt = v.halts[number]; p.Halt != nil || v.whole != nil {
			p.State = stateHalted
		}
		one.Partitions = append(one.Partitions, p)
	}
	return one
}

func (v *view) partition(number int32, archived schemas.Offsets) PartitionStatus {
	p := PartitionStatus{Partition: number, State: stateUnknown}
	next := int64(0)
	if last, ok := archived[number]; ok {
		p.Archived, next = &last, last+1
	}
	log, ok := v.logs[number]
	if !ok {
		if v.answered && p.Archived != nil {
			p.State, p.Other = stateMissing, missingEvidence(number, *p.Archived, len(v.logs))
		}
		return p
	}
	lag := max(0, log.End-next)
	p.Start, p.End, p.Lag = &log.Start, &log.End, &lag
	switch {
	case log.End < next:
		p.State = stateShorter
	case v.others[number] != "":
		p.State, p.Other = stateOther, v.others[number]
	case v.strangers[number] != "":
		p.State, p.Other = stateUUID, v.strangers[number]
	case log.Start > next:
		p.State = stateGap
	case lag > 0 && next < v.young[number]:
		p.State = stateBehind
	case lag > 0:
		p.State = statePending
	default:
		p.State = stateArchived
	}
	return p
}

// openTable is a topic's table.
type openTable struct {
	store    blob.Store
	uuid     schemas.UUID
	snapshot *delta.Snapshot
}

// readTable opens a topic's table; nil when nobody has begun it.
func readTable(ctx context.Context, root blob.Store, topic string) (*openTable, error) {
	identity, err := topicid.Read(ctx, root, topic)
	if errors.Is(err, topicid.ErrNoTopic) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	store := blob.Prefixed(root, schemas.ChangesPrefix(topic))
	table, err := delta.Load(ctx, store, delta.Options{WithoutFiles: true})
	if err != nil {
		return nil, err
	}
	return &openTable{store, identity.UUID, table}, nil
}

func (o *openTable) archived() schemas.Offsets {
	if o == nil {
		return nil
	}
	return archive.ArchivedOffsets(o.snapshot, o.uuid)
}

// compare tells of partitions how the record at the last archived offset differs from what the table holds of it.
func (o *openTable) compare(ctx context.Context, client *kgo.Client, topic string, logs map[int32]kafka.Log) (map[int32]string, error) {
	archived := o.archived()
	var numbers []int32
	for number, at := range archived {
		if logs[number].Holds(at) {
			numbers = append(numbers, number)
		}
	}
	rows, err := archive.LastRows(ctx, o.store, o.snapshot, o.uuid, numbers)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	witnesses, offsets := map[int32]*witness{}, map[int32]int64{}
	for number, row := range rows {
		offsets[number] = archived[number]
		witnesses[number] = newWitness(offsets[number], row)
	}
	if len(offsets) == 0 {
		return nil, nil
	}
	others, d := map[int32]string{}, &decoder{}
	_, err = kafka.Peek(ctx, client, topic, offsets, func(record *kgo.Record) {
		if difference := d.differs(record, witnesses[record.Partition]); difference != "" {
			others[record.Partition] = difference
		}
	})
	return others, err
}

// strangers tells of partitions how the record that an archiver would take next belongs to another archive's topic, which stops it
// at once. A topic without a table that holds records it does not begin at all, see kafka.Past.
func (o *openTable) strangers(ctx context.Context, client *kgo.Client, topic string, logs map[int32]kafka.Log) (map[int32]string, error) {
	offsets, archived := map[int32]int64{}, o.archived()
	for number, log := range logs {
		next := log.Start
		if last, ok := archived[number]; ok {
			next = max(next, last+1)
		}
		if log.Holds(next) {
			offsets[number] = next
		}
	}
	if len(offsets) == 0 {
		return nil, nil
	}
	found, d := map[int32]string{}, &decoder{}
	_, err := kafka.Peek(ctx, client, topic, offsets, func(record *kgo.Record) {
		var theirs *otherTopicError
		if errors.As(d.decode(record, o.uuid), &theirs) {
			found[record.Partition] = fmt.Sprintf("offset %d: %v", record.Offset, theirs)
		}
	})
	return found, err
}

// trouble is why an archiver halts, or has halted, and each way out of it.
type trouble struct {
	what string // empty: there is none
	ways []string
}

// note is the trouble for people, in lines.
func (t trouble) note() string { return strings.Join(append([]string{t.what}, t.ways...), "\n  ") }

// trouble is that of the topic as a whole.
func (t *TopicStatus) trouble() trouble {
	if t.Halt == nil {
		return trouble{}
	}
	return trouble{t.Halt.Error(), []string{"once it is mended: almanac-archiver clear --topic " + t.Topic}}
}

// trouble is that of the partition; of the states missing, shorter and other it is the whole topic's.
func (p *PartitionStatus) trouble(topic string) trouble {
	unit, clear := unitOf(topic, p.Partition), fmt.Sprintf("almanac-archiver clear --topic %s --partition %d", topic, p.Partition)
	found := func(what, evidence, way string) trouble {
		return trouble{fmt.Sprintf("%s: %s; the archiver halts there: %s", unit, what, evidence), []string{way}}
	}
	switch {
	case p.Halt != nil:
		if _, isGap := parseGap(p.Halt.Evidence); isGap {
			return trouble{p.Halt.Error(), []string{"once they are back: " + clear, "to give them up: " + clear + " --accept-gap"}}
		}
		return trouble{p.Halt.Error(), []string{"once it is mended: " + clear}}
	case p.State == stateMissing:
		return found(foundFewer, p.Other, anotherName)
	case p.State == stateShorter:
		return found(foundAge, fmt.Sprintf("offsets up to %s are archived, the topic ends at %s", offsetText(p.Archived), offsetText(p.End)), anotherName)
	case p.State == stateOther:
		return found(foundOther, p.Other, anotherName)
	case p.State == stateUUID:
		return found(foundUUID, p.Other, rightOne)
	case p.State == stateGap:
		t := found(foundGap, fmt.Sprintf("the topic begins at offset %s", offsetText(p.Start)), "bring them back, and the archiver reads them")
		t.ways = append(t.ways, "to give them up, once the archiver has halted there: "+clear+" --accept-gap")
		return t
	}
	return trouble{}
}
