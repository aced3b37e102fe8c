package archiver

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// topic is one topic and its table, as this process knows them.
type topic struct {
	index      int
	name       string
	uuid       schemas.UUID
	uuidText   []byte
	store      blob.Store // the table's folder
	snapshot   *delta.Snapshot
	partitions map[int32]*partition
	cadence    cadence
	identity   identity
	startAgain time.Time // no partition is started before

	lookedAtSilence time.Time
	waited          time.Duration // Archiver.waited then
}

// phase is what this process does with a topic partition.
type phase uint8

const (
	idle     phase = iota // another process's, or nobody's
	starting              // ours; where to read from must be looked up
	reading               // ours; records come
	halted                // ours; an operator must act
)

// partition is one topic partition.
type partition struct {
	number  int32
	epoch   int64 // of its assignment
	phase   phase
	next    int64       // the offset that comes next
	first   int64       // the first offset in the buffer; next when there is none
	suspect int64       // the offset at which a hole was seen once, or -1
	heard   time.Time   // when records came, or it was started
	stuck   int64       // the offset that was waited for at the last look at silence, though records were there; or -1
	latest  *kgo.Record // that is in the buffer, of brokers without topic ids
	halt    *schemas.Halt
}

func (p *partition) buffered() bool { return p.first < p.next }

func (t *topic) partition(number int32) *partition {
	p, ok := t.partitions[number]
	if !ok {
		p = &partition{number: number, suspect: -1, stuck: -1}
		t.partitions[number] = p
	}
	return p
}

// openTopic identifies the topic and loads its table.
func (a *Archiver) openTopic(ctx context.Context, index int, name string) (*topic, error) {
	t := &topic{
		index: index, name: name, store: blob.Prefixed(a.archive, schemas.ChangesPrefix(name)), partitions: map[int32]*partition{},
		identity: identity{witnesses: map[int32]*witness{}}, cadence: cadence{interval: a.config.Archiver.FlushInterval, control: a.config.Archiver.ControlCommitInterval},
	}
	err := a.try(ctx, "open topic", func(ctx context.Context) error {
		identity, err := topicid.Identify(ctx, a.archive, name)
		if err != nil {
			return service.Refused(err)
		}
		t.uuid, t.uuidText = identity.UUID, []byte(identity.UUID.String())
		t.snapshot, err = delta.Load(ctx, t.store, a.deltaOptions())
		return service.Refused(err)
	})
	if err != nil {
		return nil, fmt.Errorf("open topic %s: %w", name, err)
	}
	return t, nil
}

func (a *Archiver) deltaOptions() delta.Options {
	return delta.Options{WithoutFiles: true, Engine: "almanac-archiver", Logger: a.log, Background: a.background}
}

// refresh reads what was committed since.
func (a *Archiver) refresh(ctx context.Context, t *topic) error {
	err := a.retry(ctx, "refresh table", func(ctx context.Context) error {
		next, err := t.snapshot.Refresh(ctx)
		if err == nil {
			t.snapshot = next
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("topic %s: %w", t.name, err)
	}
	return nil
}

// storeTime is the store's clock, which alone says what day it is. The identity of the topic must still be there.
func (a *Archiver) storeTime(ctx context.Context, t *topic) (time.Time, error) {
	info, err := blob.Stat(ctx, a.archive, schemas.TopicFile(t.name))
	if err != nil {
		return time.Time{}, fmt.Errorf("read the store's time from %s: %w", schemas.TopicFile(t.name), err)
	}
	return info.Now, nil
}

// last is the last offset of the partition that the table holds, -1 when it holds none.
func last(snapshot *delta.Snapshot, topic schemas.UUID, partition int32) int64 {
	if offset, ok := snapshot.Txns[schemas.TxnAppID(topic, partition)]; ok {
		return offset
	}
	return -1
}

// haltPartition stops one topic partition until an operator clears it (INV-10). Rows that are in the buffer stay there:
// they are before whatever was found.
func (a *Archiver) haltPartition(ctx context.Context, t *topic, p *partition, reason, evidence string) error {
	halt := &schemas.Halt{Unit: unitOf(t.name, p.number), Reason: reason, Evidence: evidence, Since: a.now().UTC().Truncate(time.Millisecond)}
	err := a.retry(ctx, "write halt", func(ctx context.Context) error {
		return archive.WriteHalt(ctx, a.archive, t.name, p.number, halt)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", halt.Unit, err)
	}
	a.stopReading(t, p)
	a.noteHalt(t, p, halt)
	return nil
}

// haltTopic stops all partitions of a topic, of every process, until an operator clears it: what was found says that it is
// another topic, and of no partition can be told where its records came from. Nothing that is in the buffer is committed.
func (a *Archiver) haltTopic(ctx context.Context, t *topic, reason, evidence string) error {
	halt := &schemas.Halt{Unit: "topic " + t.name, Reason: reason, Evidence: evidence, Since: a.now().UTC().Truncate(time.Millisecond)}
	err := a.retry(ctx, "write halt", func(ctx context.Context) error { return archive.WriteTopicHalt(ctx, a.archive, t.name, halt) })
	if err != nil {
		return fmt.Errorf("%s: %w", halt.Unit, err)
	}
	_, err = a.obey(ctx, t)
	return err
}

// obey stops the partitions of a topic that is halted, whoever halted it.
func (a *Archiver) obey(ctx context.Context, t *topic) (halted bool, err error) {
	var halt *schemas.Halt
	err = a.retry(ctx, "read halt", func(ctx context.Context) (err error) {
		halt, err = archive.ReadTopicHalt(ctx, a.archive, t.name)
		return err
	})
	if err != nil || halt == nil {
		return false, err
	}
	for _, p := range t.partitions {
		if p.phase == idle {
			continue
		}
		a.restart(t, p)
		a.noteHalt(t, p, halt)
	}
	t.cadence.flushed()
	return true, nil
}

// noteHalt says so once, however often the halt is found.
func (a *Archiver) noteHalt(t *topic, p *partition, halt *schemas.Halt) {
	known := p.halt
	p.phase, p.halt = halted, halt
	if known != nil && *known == *halt {
		return
	}
	a.metrics.halted.WithLabelValues(t.name, strconv.Itoa(int(p.number))).Set(1)
	a.log.Error("topic partition is halted", slog.Int("partition", int(p.number)), slog.String("unit", halt.Unit), slog.String("reason", halt.Reason),
		slog.String("evidence", halt.Evidence), slog.Time("since", halt.Since))
}

func unitOf(topic string, partition int32) string {
	return "topic partition " + topic + "/" + strconv.Itoa(int(partition))
}
