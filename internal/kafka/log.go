package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Log is what a topic partition holds: the offset of its first record, and the one behind its last.
type Log struct{ Start, End int64 }

// Holds tells whether an offset lies within the log.
func (l Log) Holds(offset int64) bool { return l.Start <= offset && offset < l.End }

// Logs asks for the logs of all partitions of a topic.
func Logs(ctx context.Context, client *kgo.Client, topic string) (map[int32]Log, error) {
	logs, unknown, err := KnownLogs(ctx, client, topic)
	for number, why := range unknown {
		err = errors.Join(err, fmt.Errorf("list offsets of topic partition %s/%d: %w", topic, number, why))
	}
	return logs, err
}

// KnownLogs asks for the logs of all partitions of a topic. Some may be unknown, such as those that have no leader just now; it
// is an error when all are.
func KnownLogs(ctx context.Context, client *kgo.Client, topic string) (logs map[int32]Log, unknown map[int32]error, err error) {
	detail, err := describe(ctx, client, topic)
	if err != nil {
		return nil, nil, err
	}
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil && len(starts[topic]) == 0 {
		return nil, nil, fmt.Errorf("list start offsets of topic %s: %w", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil && len(ends[topic]) == 0 {
		return nil, nil, fmt.Errorf("list end offsets of topic %s: %w", topic, err)
	}
	logs, unknown = map[int32]Log{}, map[int32]error{}
	var last error
	for number := range detail.Partitions {
		start, started := starts.Lookup(topic, number)
		end, ended := ends.Lookup(topic, number)
		switch err := errors.Join(start.Err, end.Err); {
		case err != nil:
			last = err
			unknown[number] = err
		case !started || !ended:
			last = errors.New("no broker told")
			unknown[number] = last
		default:
			logs[number] = Log{start.Offset, end.Offset}
		}
	}
	if len(logs) == 0 && last != nil {
		return nil, nil, fmt.Errorf("list offsets of topic %s: %w", topic, last)
	}
	return logs, unknown, nil
}

// Since asks of all partitions of a topic for the offset of the first record that is as young as at or younger: the log's
// end where there is none.
func Since(ctx context.Context, client *kgo.Client, topic string, at time.Time) (map[int32]int64, error) {
	listed, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list offsets of topic %s by time: %w", topic, err)
	}
	offsets := map[int32]int64{}
	for number, one := range listed[topic] {
		offsets[number] = one.Offset
	}
	return offsets, nil
}
