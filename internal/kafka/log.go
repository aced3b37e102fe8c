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

// Logs asks for the logs of all partitions of a topic.
func Logs(ctx context.Context, client *kgo.Client, topic string) (map[int32]Log, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list start offsets of topic %s: %w", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list end offsets of topic %s: %w", topic, err)
	}
	logs := map[int32]Log{}
	for number, start := range starts[topic] {
		end, ok := ends.Lookup(topic, number)
		if err := errors.Join(start.Err, end.Err); err != nil || !ok {
			return nil, fmt.Errorf("list offsets of topic partition %s/%d: %w", topic, number, err)
		}
		logs[number] = Log{start.Offset, end.Offset}
	}
	return logs, nil
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
