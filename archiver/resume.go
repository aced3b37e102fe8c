package archiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/schemas"
)

// start looks up where the partitions that are starting go on, and lets the reader fetch them from there. The table
// alone says where: never the group's offsets (offsets that were committed before the data, or rewound by a stale owner, lost others their records).
func (a *Archiver) start(ctx context.Context, t *topic) error {
	waiting, err := a.waiting(ctx, t)
	if err != nil || len(waiting) == 0 {
		return err
	}
	if err := a.refresh(ctx, t); err != nil {
		return err
	}
	for _, p := range waiting {
		delete(t.identity.witnesses, p.number) // an older one would not tell of an end that was lost since
	}
	if err := archive.CheckUUID(t.snapshot, t.uuid); err != nil {
		for _, p := range waiting {
			if err := a.haltPartition(ctx, t, p, reasonUUID, err.Error()); err != nil {
				return err
			}
		}
		return nil
	}
	logs, err := a.logs(ctx, t.name)
	if err != nil {
		return err
	}
	if verdict, err := a.compare(ctx, t, logs, t.toCompare(logs, waiting)); err != nil || verdict == otherTopic {
		return err
	}
	t.identity.begun = true
	for _, p := range waiting {
		if why := logs.unknown[p.number]; why != nil {
			a.log.Warn("not reading the partition yet", slog.String("unit", unitOf(t.name, p.number)), slog.Any("error", why))
			t.startAgain = a.now().Add(startWait)
			continue
		}
		if err := a.startPartition(ctx, t, p, logs.of); err != nil {
			return err
		}
	}
	return nil
}

// startWait is how long a partition of which the brokers could not tell is left alone.
const startWait = 5 * time.Second

// waiting are the partitions that are to start and are not halted, nor their topic.
func (a *Archiver) waiting(ctx context.Context, t *topic) (waiting []*partition, err error) {
	for _, p := range t.partitions {
		if p.phase == starting {
			waiting = append(waiting, p)
		}
	}
	if len(waiting) == 0 || a.now().Before(t.startAgain) {
		return nil, nil
	}
	if halted, err := a.obey(ctx, t); err != nil || halted {
		return nil, err
	}
	free := waiting[:0]
	for _, p := range waiting {
		var halt *schemas.Halt
		err := a.retry(ctx, "read halt", func(ctx context.Context) (err error) {
			halt, err = archive.ReadHalt(ctx, a.archive, t.name, p.number)
			return err
		})
		if err != nil {
			return nil, err
		}
		if halt != nil {
			a.noteHalt(t, p, halt)
			continue
		}
		free = append(free, p)
	}
	return free, nil
}

// What is found of a topic that is not the one that was archived, and what can be done about it.
const (
	foundUUID  = "records, topic.json and the table disagree on the topic's uuid: the topic or the archive's folder was replaced"
	foundAge   = "the topic ends before the archive does: it was made anew, or lost its end"
	foundFewer = "the topic has fewer partitions than it had: it was made anew"
	foundOther = "the topic holds another record than was archived from the same offset: it was made anew, or lost its end, and has grown since"
	foundGap   = "records are gone that were never archived"

	anotherName = "archive it under another topic name"
	rightOne    = "put back the one that belongs to it, or archive under another topic name"

	reasonUUID  = foundUUID + "; " + rightOne + ", then clear the halt"
	reasonAge   = foundAge + remedy
	reasonFewer = foundFewer + remedy
	reasonOther = foundOther + remedy
	reasonGap   = foundGap + ": bring them back, or give them up by `almanac-archiver clear --accept-gap`"
	remedy      = "; " + anotherName + "; clear the halt only when the topic is back that was archived"
)

// missingEvidence is the evidence of reasonFewer.
func missingEvidence(partition int32, at int64, partitions int) string {
	return fmt.Sprintf("partition %d: offsets up to %d were seen, the topic has %d partitions", partition, at, partitions)
}

// startPartition compares the table with the log's bounds. `Start of the log ≤ next ≤ its end` is no gap: what lies
// before may have aged away after it was archived.
func (a *Archiver) startPartition(ctx context.Context, t *topic, p *partition, logs map[int32]kafka.Log) error {
	log, ok := logs[p.number]
	if !ok {
		return fmt.Errorf("start %s: the brokers name no such partition", unitOf(t.name, p.number))
	}
	next := last(t.snapshot, t.uuid, p.number) + 1
	p.next, p.first = next, next
	if log.Start > next {
		return a.haltPartition(ctx, t, p, reasonGap, gapEvidence(next, log.Start-1))
	}
	a.reader.AddConsumePartitions(map[string]map[int32]kgo.Offset{t.name: {p.number: kgo.NewOffset().At(next)}})
	p.phase, p.halt, p.heard = reading, nil, a.now()
	a.metrics.halted.WithLabelValues(t.name, strconv.Itoa(int(p.number))).Set(0)
	a.log.Info("reading topic partition", slog.String("topic", t.name), slog.Int("partition", int(p.number)), slog.Int64("offset", next))
	return nil
}

func (a *Archiver) logs(ctx context.Context, name string) (logs known, err error) {
	err = a.try(ctx, "list offsets", func(ctx context.Context) error {
		logs.of, logs.unknown, err = kafka.KnownLogs(ctx, a.member, name)
		return err
	})
	return logs, err
}

// stopReading takes the partition from the reader; nothing of it is polled from then on.
func (a *Archiver) stopReading(t *topic, p *partition) {
	a.reader.RemoveConsumePartitions(map[string][]int32{t.name: {p.number}})
}

// restart drops the partition's rows and lets it go on from the table.
func (a *Archiver) restart(t *topic, p *partition) {
	a.stopReading(t, p)
	if p.buffered() {
		a.buffer.drop(func(g group, number int32) bool { return g.topic == t.index && number == p.number })
	}
	p.next, p.first, p.phase, p.latest = 0, 0, starting, nil
}

// fetchError takes what the reader says of a partition. Errors that end the program are returned.
func (a *Archiver) fetchError(ctx context.Context, t *topic, p *partition, err error) error {
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange), errors.As(err, &loss):
		a.log.Warn("offset is out of the log; looking up the table and the log's bounds", slog.String("unit", unitOf(t.name, p.number)), slog.Any("error", err))
		// What is buffered may be gone from the topic by now: commit it first.
		if err := a.flush(ctx, t); err != nil {
			return err
		}
		if p.phase == reading {
			a.restart(t, p)
		}
		return nil
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("fetch %s: the topic was deleted or made anew: %w", unitOf(t.name, p.number), err)
	case kerr.IsRetriable(err):
		a.log.Warn("fetch goes on", slog.String("unit", unitOf(t.name, p.number)), slog.Any("error", err))
		return nil
	}
	return fmt.Errorf("fetch %s: %w", unitOf(t.name, p.number), err)
}

// hole is an offset that was expected and did not come. It is read again once, and believed the second time.
func (a *Archiver) hole(ctx context.Context, t *topic, p *partition, found int64) error {
	if err := a.flush(ctx, t); err != nil {
		return err
	}
	if p.phase != reading {
		return nil // the flush found that the table stands elsewhere
	}
	if p.suspect == p.next {
		return a.haltPartition(ctx, t, p, reasonGap, gapEvidence(p.next, found-1))
	}
	p.suspect = p.next
	a.restart(t, p)
	return nil
}

// gapEvidence is the evidence of a halt by a gap, which `clear --accept-gap` reads.
func gapEvidence(from, to int64) string {
	b, err := json.Marshal(schemas.Gap{From: from, To: to})
	if err != nil { // two numbers always marshal
		return fmt.Sprintf(`{"from":%d,"to":%d}`, from, to)
	}
	return string(b)
}

func parseGap(evidence string) (schemas.Gap, bool) {
	var gap schemas.Gap
	err := json.Unmarshal([]byte(evidence), &gap)
	return gap, err == nil && gap.From >= 0 && gap.To >= gap.From
}
