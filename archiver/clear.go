package archiver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Answer is what an operator says to a halt.
type Answer uint8

// The answers.
const (
	Mended    Answer = iota // what was wrong is not any more; records that were missing are there again
	AcceptGap               // the offsets are lost, and a gap row shall say so
)

// Cleared is what Clear did.
type Cleared struct {
	Topic     string        `json:"topic"`
	Partition *int32        `json:"partition,omitempty"` // absent: the topic as a whole
	Halt      *schemas.Halt `json:"halt"`                // the one that was removed; nil: nothing was halted
	Gap       *schemas.Gap  `json:"gap,omitempty"`       // the offsets that were given up; nil too when the table stands behind them already
}

// UsageError is a request that cannot be granted as it was made.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// ExitCode is that of a wrong usage.
func (e *UsageError) ExitCode() int { return 2 }

// Clear removes the halt of a topic partition. That of a gap stays while its records are missing, but with AcceptGap, which
// first writes the gap row and moves the table past the gap, in one commit; that of another topic's records stays while they
// come next. It may be called again after a crash at any step (INV-7, INV-10), so what is not halted is no error.
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
	case !isGap && answer == AcceptGap:
		return done, &UsageError{fmt.Sprintf("clear %s: its halt is no gap, so --accept-gap says nothing to it: %s (%s)", unit, halt.Reason, halt.Evidence)}
	case isGap:
		if done.Gap, err = clearGap(ctx, o, topic, partition, gap, answer); err != nil {
			return done, fmt.Errorf("clear %s: %w", unit, err)
		}
	case strings.HasPrefix(halt.Reason, foundUUID):
		if err := checkStranger(ctx, o, topic, partition); err != nil {
			return done, fmt.Errorf("clear %s: %w", unit, err)
		}
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

// checkStranger refuses while the archiver would halt again at once: the table, or the record that comes next, still is of
// another topic than topic.json says.
func checkStranger(ctx context.Context, o Options, topic string, partition int32) error {
	table, err := readTable(ctx, o.Archive, topic)
	if err != nil || table == nil {
		return err
	}
	if err := archive.CheckUUID(table.snapshot, table.uuid); err != nil {
		return &replacedError{reasonUUID, err.Error()}
	}
	client, err := o.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	logs, err := kafka.Logs(ctx, client, topic)
	if err != nil {
		return err
	}
	strangers, err := table.strangers(ctx, client, topic, logs)
	if err != nil {
		return err
	}
	if evidence := strangers[partition]; evidence != "" {
		return &replacedError{reasonUUID, evidence}
	}
	return nil
}

// connect makes a client that is no member.
func (o *Options) connect(more ...kgo.Opt) (*kgo.Client, error) {
	options, err := kafka.ClientOptions(o.Config.Kafka, o.Log)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(slices.Concat(options, more, o.Kafka)...)
	if err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	return client, nil
}
