package archiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

type statusCommand struct{}

// Run prints where the topic partitions stand. What the archive says is printed also when the brokers do not answer.
func (c *statusCommand) Run(ctx context.Context, env *service.Env) error {
	options, err := optionsOf(env)
	if err != nil {
		return err
	}
	status, err := ReadStatus(ctx, options)
	if status == nil {
		return err
	}
	return errors.Join(env.Print(status, status.write), err)
}

// Status is how far the topics are archived.
type Status struct {
	Topics []TopicStatus `json:"topics"`
}

// TopicStatus is one topic and its table.
type TopicStatus struct {
	Topic      string            `json:"topic"`
	UUID       string            `json:"uuid"`           // empty: nobody has begun it
	Version    int64             `json:"table_version"`  // -1: there is no table yet
	Halt       *schemas.Halt     `json:"halt,omitempty"` // of the topic as a whole
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is one topic partition. Start, End and Lag are absent when the brokers did not tell.
type PartitionStatus struct {
	Partition int32         `json:"partition"`
	State     string        `json:"state"`              // archived, pending, behind, gap, shorter, other, halted, unknown
	Archived  *int64        `json:"archived,omitempty"` // the last archived offset; absent: none
	Start     *int64        `json:"log_start,omitempty"`
	End       *int64        `json:"log_end,omitempty"` // the offset behind the last record
	Lag       *int64        `json:"lag,omitempty"`     // records that are not archived yet
	Other     string        `json:"other,omitempty"`   // how the record at the last archived offset differs from what was archived there
	Halt      *schemas.Halt `json:"halt,omitempty"`    // of the partition alone
}

// The states of a topic partition.
const (
	stateArchived = "archived" // all of it
	statePending  = "pending"  // records wait for the next commit, none of them for long
	stateBehind   = "behind"   // records wait for longer than commits are apart, see patience
	stateGap      = "gap"      // the log begins after what would come next: records are lost
	stateShorter  = "shorter"  // the log ends before the archive does: the topic was made anew
	stateOther    = "other"    // the topic holds another record than was archived: it was made anew, and has grown since
	stateHalted   = "halted"
	stateUnknown  = "unknown" // the brokers did not tell
)

// ReadStatus reads tables, halts, the logs' bounds, and what stands in them at the last archived offsets. When the brokers
// do not answer, the status stands without what they would say, beside the error.
func ReadStatus(ctx context.Context, o Options) (*Status, error) {
	client, failed := o.connect()
	if failed == nil {
		defer client.Close()
	}
	status := &Status{Topics: []TopicStatus{}}
	for _, topic := range o.Config.Topics() {
		one, table, err := readTable(ctx, o.Archive, topic.Name)
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic.Name, err)
		}
		halts, err := readHalts(ctx, o.Archive, topic.Name)
		if err == nil {
			one.Halt, err = archive.ReadTopicHalt(ctx, o.Archive, topic.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic.Name, err)
		}
		var logs map[int32]kafka.Log
		var young map[int32]int64
		var others map[int32]string
		if failed == nil { // brokers that did not answer once are not asked for every topic
			logs, young, failed = readLogs(ctx, client, topic.Name, time.Now().Add(-patience(o.Config.Archiver)))
			if failed == nil && table != nil {
				others, failed = table.compare(ctx, client, topic.Name, logs)
			}
		}
		numbers := map[int32]bool{}
		for number := range logs {
			numbers[number] = true
		}
		for number := range table.archived() {
			numbers[number] = true
		}
		for number := range halts {
			numbers[number] = true
		}
		for _, number := range slices.Sorted(maps.Keys(numbers)) {
			p := statusOf(number, table.archived(), logs, young, others[number])
			if p.Halt = halts[number]; p.Halt != nil || one.Halt != nil {
				p.State = stateHalted
			}
			one.Partitions = append(one.Partitions, p)
		}
		status.Topics = append(status.Topics, one)
	}
	return status, failed
}

// patience is how old a record may be that is not archived yet: commits are an interval apart, and take their time.
func patience(c config.Archiver) time.Duration {
	return 2 * max(c.FlushInterval, c.ControlCommitInterval)
}

// readLogs asks for a topic's logs, and for the first offset in each that is no older than since.
func readLogs(ctx context.Context, client *kgo.Client, topic string, since time.Time) (logs map[int32]kafka.Log, young map[int32]int64, err error) {
	if _, err := kafka.Topic(ctx, client, topic); err != nil {
		return nil, nil, err
	}
	if young, err = kafka.Since(ctx, client, topic, since); err != nil {
		return nil, nil, err
	}
	logs, err = kafka.Logs(ctx, client, topic)
	return logs, young, err
}

// openTable is a topic's table; nil when nobody has begun it.
type openTable struct {
	store    blob.Store
	uuid     schemas.UUID
	snapshot *delta.Snapshot
}

func (o *openTable) archived() schemas.Offsets {
	if o == nil {
		return nil
	}
	return archive.ArchivedOffsets(o.snapshot, o.uuid)
}

// compare tells of partitions how the record at the last archived offset differs from what the table holds of it.
func (o *openTable) compare(ctx context.Context, client *kgo.Client, topic string, logs map[int32]kafka.Log) (map[int32]string, error) {
	var numbers []int32
	for number, at := range o.archived() {
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
		offsets[number] = o.archived()[number]
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

func readTable(ctx context.Context, root blob.Store, topic string) (TopicStatus, *openTable, error) {
	one := TopicStatus{Topic: topic, Version: -1, Partitions: []PartitionStatus{}}
	identity, err := topicid.Read(ctx, root, topic)
	if errors.Is(err, topicid.ErrNoTopic) {
		return one, nil, nil
	}
	if err != nil {
		return one, nil, err
	}
	store := blob.Prefixed(root, schemas.ChangesPrefix(topic))
	table, err := delta.Load(ctx, store, delta.Options{WithoutFiles: true})
	if err != nil {
		return one, nil, err
	}
	one.UUID, one.Version = identity.UUID.String(), table.Version
	return one, &openTable{store, identity.UUID, table}, nil
}

// readHalts reads the halts of a topic's partitions; those that are none of ours by name are not seen.
func readHalts(ctx context.Context, root blob.Store, topic string) (map[int32]*schemas.Halt, error) {
	var numbers []int32
	prefix := schemas.HaltPrefix(topic)
	err := root.List(ctx, prefix, func(info blob.Info) error {
		var number int32
		if _, err := fmt.Sscanf(info.Name[len(prefix):], "%d.json", &number); err == nil && info.Name == schemas.HaltFile(topic, number) {
			numbers = append(numbers, number)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list halts: %w", err)
	}
	halts := map[int32]*schemas.Halt{}
	for _, number := range numbers {
		halt, err := archive.ReadHalt(ctx, root, topic, number)
		if err != nil {
			return nil, err
		}
		if halt != nil { // it was cleared meanwhile
			halts[number] = halt
		}
	}
	return halts, nil
}

func statusOf(number int32, archived schemas.Offsets, logs map[int32]kafka.Log, young map[int32]int64, other string) PartitionStatus {
	p := PartitionStatus{Partition: number, State: stateUnknown, Other: other}
	next := int64(0)
	if last, ok := archived[number]; ok {
		p.Archived, next = &last, last+1
	}
	if log, ok := logs[number]; ok {
		lag := max(0, log.End-next)
		p.Start, p.End, p.Lag = &log.Start, &log.End, &lag
		switch {
		case log.Start > next:
			p.State = stateGap
		case log.End < next:
			p.State = stateShorter
		case other != "":
			p.State = stateOther
		case lag > 0 && next < young[number]:
			p.State = stateBehind
		case lag > 0:
			p.State = statePending
		default:
			p.State = stateArchived
		}
	}
	return p
}

func (s *Status) write(w io.Writer) error {
	rows := [][]string{{"TOPIC", "PARTITION", "STATE", "ARCHIVED", "LOG START", "LOG END", "LAG"}}
	var notes []string
	for _, t := range s.Topics {
		if t.UUID == "" {
			notes = append(notes, fmt.Sprintf("%s: nothing is archived yet", t.Topic))
		}
		if t.Halt != nil {
			notes = append(notes, fmt.Sprintf("%v\n  once it is mended: almanac-archiver clear --topic %s", t.Halt, t.Topic))
		}
		for _, p := range t.Partitions {
			rows = append(rows, []string{
				t.Topic, strconv.Itoa(int(p.Partition)), p.State, offsetText(p.Archived), offsetText(p.Start), offsetText(p.End), offsetText(p.Lag),
			})
			if note := p.note(t.Topic); note != "" {
				notes = append(notes, note)
			}
		}
	}
	if len(rows) > 1 {
		if err := service.Table(w, rows); err != nil {
			return err
		}
	}
	for _, note := range notes {
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	return nil
}

func (p *PartitionStatus) note(topic string) string {
	switch {
	case p.Halt != nil:
		clear := fmt.Sprintf("almanac-archiver clear --topic %s --partition %d", topic, p.Partition)
		if _, isGap := parseGap(p.Halt.Evidence); isGap {
			return fmt.Sprintf("%v\n  once they are back: %s\n  to give them up: %s --accept-gap", p.Halt, clear, clear)
		}
		return fmt.Sprintf("%v\n  once it is mended: %s", p.Halt, clear)
	case p.State == stateGap:
		return fmt.Sprintf("%s begins at offset %s, and what comes before was never archived: the archiver halts there", unitOf(topic, p.Partition), offsetText(p.Start))
	case p.State == stateOther:
		return fmt.Sprintf("%s: the topic was made anew, or lost its end, and has grown since; the archiver halts there: %s", unitOf(topic, p.Partition), p.Other)
	case p.State == stateShorter:
		return fmt.Sprintf("%s ends before the archive does: it was made anew, or lost its end; the archiver halts there", unitOf(topic, p.Partition))
	}
	return ""
}

func offsetText(offset *int64) string {
	if offset == nil {
		return "-"
	}
	return strconv.FormatInt(*offset, 10)
}
