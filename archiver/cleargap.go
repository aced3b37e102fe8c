package archiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// clearGap grants or refuses the removal of a gap's halt, and says which offsets it gave up for it. Time passes between a
// halt and its clearing: retention goes on, records are brought back, topics are made anew, an archiver that was paused commits what
// it had read. So it goes by what table and topic say now, and at any time one of the two answers is granted, unless the topic is another
// one. A halt that is out of date is removed: the archiver finds what is missing then.
func clearGap(ctx context.Context, o Options, topic string, partition int32, gap schemas.Gap, answer Answer) (*schemas.Gap, error) {
	table, err := readTable(ctx, o.Archive, topic)
	if err == nil && table == nil {
		err = topicid.ErrNoTopic
	}
	if err != nil {
		return nil, err
	}
	if err := archive.CheckUUID(table.snapshot, table.uuid); err != nil {
		return nil, &replacedError{reasonUUID, err.Error()}
	}
	at := last(table.snapshot, table.uuid, partition)
	switch {
	case at >= gap.To: // an earlier clear got this far
		return nil, nil
	case at != gap.From-1 && answer == Mended:
		return nil, nil
	case at < gap.From-1:
		return nil, &UsageError{fmt.Sprintf("the table holds offsets up to %d, so %d to %d are not the next thing missing; "+
			"clear it without --accept-gap, and the archiver will say anew what is", at, gap.From, gap.To)}
	}
	gap.From = at + 1
	there, err := findGap(ctx, o, topic, partition, table, &gap)
	if err != nil {
		return nil, err
	}
	switch {
	case there < 0 && answer == Mended:
		return nil, &UsageError{fmt.Sprintf("offsets %d to %d are missing; bring them back, or give them up with --accept-gap", gap.From, gap.To)}
	case there < 0:
		return acceptGap(ctx, o, topic, partition, table, gap)
	case answer == AcceptGap:
		return nil, &UsageError{fmt.Sprintf("of the offsets %d to %d, records are there again, the first at %d; "+
			"clear without --accept-gap, and the archiver will say anew what is missing", gap.From, gap.To, there)}
	}
	return nil, nil
}

// findGap compares topic and table, and looks for records in the gap: it tells the offset of the first one, -1 when all
// are missing. Then the gap reaches at least to the log's start, since retention goes on while an operator thinks.
func findGap(ctx context.Context, o Options, topic string, partition int32, table *openTable, gap *schemas.Gap) (int64, error) {
	client, err := o.connect()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	logs, err := kafka.Logs(ctx, client, topic)
	if err != nil {
		return 0, err
	}
	expected := table.archived()
	expected[partition] = gap.To // who found the gap saw where it ended
	if err := table.checkTopic(ctx, client, topic, logs, expected); err != nil {
		return 0, err
	}
	start := logs[partition].Start
	if start > gap.To {
		gap.To = start - 1
		return -1, nil
	}
	return firstRecord(ctx, o, topic, partition, schemas.Gap{From: max(gap.From, start), To: gap.To})
}

// checkTopic holds the topic against the table, as archivers do before they read it, and against the offsets that its
// partitions must reach. A gap row in the table of another topic would give up records that are there, and vouch for that topic.
func (o *openTable) checkTopic(ctx context.Context, client *kgo.Client, topic string, logs map[int32]kafka.Log, expected schemas.Offsets) error {
	for _, number := range slices.Sorted(maps.Keys(expected)) {
		log, ok := logs[number]
		if !ok {
			return &replacedError{reasonFewer, missingEvidence(number, expected[number], len(logs))}
		}
		if log.End <= expected[number] {
			return &replacedError{reasonAge, fmt.Sprintf("partition %d: offsets up to %d were seen, the topic ends at %d", number, expected[number], log.End)}
		}
	}
	others, err := o.compare(ctx, client, topic, logs)
	if err != nil {
		return err
	}
	for _, number := range slices.Sorted(maps.Keys(others)) {
		return &replacedError{reasonOther, others[number]}
	}
	return nil
}

// replacedError refuses what was asked of a topic that is not the one that was archived.
type replacedError struct{ reason, evidence string }

func (e *replacedError) Error() string { return fmt.Sprintf("%s (%s)", e.reason, e.evidence) }

// ExitCode is that of a halt: the halt that is there stays, and an operator must act.
func (e *replacedError) ExitCode() int { return 3 }

// recordWait is how long the first record behind a gap may take to come.
const recordWait = 30 * time.Second

// firstRecord is the offset of the first record that an archiver would read in the span; -1 when what comes first lies
// behind it. The log's bounds do not tell: a span within them is empty where the topic was compacted.
func firstRecord(ctx context.Context, o Options, topic string, partition int32, span schemas.Gap) (int64, error) {
	client, err := o.connect(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(span.From)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.KeepControlRecords(), // they have rows too
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
		kgo.FetchMaxWait(fetchWait),
	)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, recordWait)
	defer cancel()
	for {
		fetched := client.PollFetches(ctx)
		for record := range fetched.RecordsAll() {
			switch {
			case record.Offset > span.To:
				return -1, nil
			case record.Offset >= span.From:
				return record.Offset, nil
			}
		}
		if err := fetched.Err(); err != nil {
			return 0, fmt.Errorf("look for records from offset %d on: %w", span.From, err)
		}
	}
}

// acceptGap commits the gap row, and tells the gap; nil when the table stands behind it by now.
func acceptGap(ctx context.Context, o Options, topic string, partition int32, table *openTable, gap schemas.Gap) (*schemas.Gap, error) {
	options := delta.Options{WithoutFiles: true, Engine: "almanac-archiver", Logger: o.Log}
	g := gapCommit{root: o.Archive, store: table.store, topic: topic, uuid: table.uuid, partition: partition, gap: gap}
	_, err := delta.Commit(ctx, table.store, table.snapshot, g.prepare, options)
	if errors.Is(err, delta.ErrNothing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("commit gap row: %w", err)
	}
	return &gap, nil
}

// gapCommit makes the commit of one gap row.
type gapCommit struct {
	root      blob.Store
	store     blob.Store
	topic     string
	uuid      schemas.UUID
	partition int32
	gap       schemas.Gap
}

// prepare upholds INV-3 for the gap: the table must stand exactly before it.
func (g *gapCommit) prepare(ctx context.Context, below *delta.Snapshot) (delta.Actions, error) {
	at := last(below, g.uuid, g.partition)
	if at >= g.gap.To {
		return delta.Actions{}, delta.ErrNothing
	}
	if at != g.gap.From-1 {
		return delta.Actions{}, fmt.Errorf("the table holds offsets up to %d by now, so %d to %d are not the next thing missing; clear it again",
			at, g.gap.From, g.gap.To)
	}
	add, now, err := g.upload(ctx)
	if err != nil {
		return delta.Actions{}, err
	}
	actions := delta.Actions{
		Adds: []delta.Add{add},
		Txns: []delta.Txn{{AppID: schemas.TxnAppID(g.uuid, g.partition), Version: g.gap.To, Updated: now}},
		Info: delta.CommitInfo{Operation: "ACCEPT GAP"},
	}
	if below.Version < 0 {
		if actions.Metadata, err = archive.ChangesMetadata(g.topic, g.uuid); err != nil {
			return delta.Actions{}, err
		}
	}
	return actions, nil
}

// upload writes a file with the gap row: its offset is the first that is missing, its document the whole gap. now is the
// file's time.
func (g *gapCommit) upload(ctx context.Context) (add delta.Add, now time.Time, err error) {
	info, err := blob.Stat(ctx, g.root, schemas.TopicFile(g.topic))
	if err != nil {
		return add, now, err
	}
	document, err := json.Marshal(g.gap)
	if err != nil {
		return add, now, err
	}
	now = info.Now.UTC().Truncate(time.Microsecond)
	row := archive.Row{
		Op: schemas.OpGap, TS: now.UnixMicro(), PublishedAt: now.UnixMicro(), Document: document,
		Topic: []byte(g.uuid.String()), TopicPartition: g.partition, Offset: g.gap.From,
	}
	var file bytes.Buffer
	w, err := archive.NewFileWriter(&file, schemas.ChangeColumns())
	if err != nil {
		return add, now, err
	}
	if err := w.Write(&row); err != nil {
		return add, now, err
	}
	stats, err := w.Close()
	if err != nil {
		return add, now, err
	}
	add, err = uploadChangeFile(ctx, g.store, schemas.ControlContainer, now, file.Bytes(), &stats)
	return add, now, err
}
