package archiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Answer is what an operator says to a halt.
type Answer uint8

// The answers.
const (
	Mended    Answer = iota // what was wrong is not any more
	AcceptGap               // the offsets are lost, and a gap row shall say so
)

// Cleared is what Clear did.
type Cleared struct {
	Topic     string        `json:"topic"`
	Partition *int32        `json:"partition,omitempty"` // absent: the topic as a whole
	Halt      *schemas.Halt `json:"halt"`                // the one that was removed; nil: nothing was halted
	Gap       *schemas.Gap  `json:"gap,omitempty"`       // the offsets that were given up
}

// UsageError is a request that cannot be granted as it was made.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// ExitCode is that of a wrong usage.
func (e *UsageError) ExitCode() int { return 2 }

// Clear removes the halt of a topic partition. With AcceptGap it first writes the gap row and moves the table past the
// gap, in one commit; it may be called again after a crash at any step (INV-7, INV-10), so what is not halted is no error.
func Clear(ctx context.Context, o Options, topic string, partition int32, answer Answer) (Cleared, error) {
	done := Cleared{Topic: topic, Partition: &partition}
	unit := unitOf(topic, partition)
	if err := checkTopic(o.Config, topic); err != nil {
		return done, fmt.Errorf("clear %s: %w", unit, err)
	}
	halt, err := archive.ReadHalt(ctx, o.Archive, topic, partition)
	if err != nil {
		return done, fmt.Errorf("clear %s: %w", unit, err)
	}
	whole, err := archive.ReadTopicHalt(ctx, o.Archive, topic)
	switch {
	case err != nil:
		return done, fmt.Errorf("clear %s: %w", unit, err)
	case whole != nil && (halt == nil || answer == AcceptGap):
		return done, &UsageError{fmt.Sprintf("clear %s: its whole topic is halted, which is cleared first, and without --partition: %v", unit, whole)}
	case halt == nil:
		return done, checkPartition(ctx, o, topic, partition)
	}
	done.Halt = halt
	gap, isGap := parseGap(halt.Evidence)
	switch {
	case isGap && answer == Mended:
		return done, &UsageError{fmt.Sprintf("clear %s: offsets %d to %d are missing; bring them back, or give them up with --accept-gap", unit, gap.From, gap.To)}
	case !isGap && answer == AcceptGap:
		return done, &UsageError{fmt.Sprintf("clear %s: its halt is no gap, so --accept-gap says nothing to it: %s (%s)", unit, halt.Reason, halt.Evidence)}
	case isGap:
		if gap, err = acceptGap(ctx, o, topic, partition, gap); err != nil {
			return done, fmt.Errorf("clear %s: %w", unit, err)
		}
		done.Gap = &gap
	}
	if err := archive.RemoveHalt(ctx, o.Archive, topic, partition); err != nil {
		return done, fmt.Errorf("clear %s: %w", unit, err)
	}
	return done, nil
}

// ClearTopic removes the halt of a topic as a whole. Archivers compare the topic anew before they go on.
func ClearTopic(ctx context.Context, o Options, topic string) (Cleared, error) {
	done := Cleared{Topic: topic}
	err := checkTopic(o.Config, topic)
	if err == nil {
		done.Halt, err = archive.ReadTopicHalt(ctx, o.Archive, topic)
	}
	if err == nil && done.Halt != nil {
		err = archive.RemoveTopicHalt(ctx, o.Archive, topic)
	}
	if err != nil {
		return done, fmt.Errorf("clear topic %s: %w", topic, err)
	}
	return done, nil
}

// checkTopic refuses a topic that the configuration does not have.
func checkTopic(cfg *config.Config, topic string) error {
	var known []string
	for _, t := range cfg.Topics() {
		if t.Name == topic {
			return nil
		}
		known = append(known, t.Name)
	}
	return &UsageError{fmt.Sprintf("no container of %s goes to this topic; known topics: %s", cfg.Path(), strings.Join(known, ", "))}
}

// checkPartition refuses a partition that the topic does not have: of such a one "nothing is halted" would mislead.
func checkPartition(ctx context.Context, o Options, topic string, partition int32) error {
	client, err := o.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	n, err := kafka.Topic(ctx, client, topic)
	if err == nil && (partition < 0 || partition >= n) {
		err = &UsageError{fmt.Sprintf("topic %s has no partition %d: it has %d, from 0 to %d", topic, partition, n, n-1)}
	}
	return err
}

// acceptGap commits the gap row. Retention goes on while an operator thinks, so the gap reaches at least to the log's
// present start.
func acceptGap(ctx context.Context, o Options, topic string, partition int32, gap schemas.Gap) (schemas.Gap, error) {
	client, err := o.connect()
	if err != nil {
		return gap, err
	}
	defer client.Close()
	if _, err := kafka.Topic(ctx, client, topic); err != nil {
		return gap, err
	}
	logs, err := kafka.Logs(ctx, client, topic)
	if err != nil {
		return gap, err
	}
	log, ok := logs[partition]
	if !ok {
		return gap, &UsageError{fmt.Sprintf("topic %s has no partition %d", topic, partition)}
	}
	gap.To = max(gap.To, log.Start-1)
	identity, err := topicid.Read(ctx, o.Archive, topic)
	if err != nil {
		return gap, err
	}
	store := blob.Prefixed(o.Archive, schemas.ChangesPrefix(topic))
	options := delta.Options{WithoutFiles: true, Engine: "almanac-archiver", Logger: o.Log}
	g := gapCommit{root: o.Archive, store: store, topic: topic, uuid: identity.UUID, partition: partition, gap: gap}
	_, err = delta.Commit(ctx, store, nil, g.prepare, options)
	if errors.Is(err, delta.ErrNothing) { // an earlier clear got this far
		return gap, nil
	}
	if err != nil {
		return gap, fmt.Errorf("commit gap row: %w", err)
	}
	return gap, nil
}

// connect makes a client that is no member.
func (o *Options) connect() (*kgo.Client, error) {
	options, err := kafka.ClientOptions(o.Config.Kafka, o.Log)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(options, o.Kafka...)...)
	if err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	return client, nil
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
		return delta.Actions{}, fmt.Errorf("the table holds offsets up to %d, so the gap %d to %d is not the next thing missing; start the archiver, it will say anew what is missing",
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
