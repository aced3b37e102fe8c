package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

const (
	peeksAtOnce = 4         // of each, Peek holds one answer
	peekBytes   = 16 << 10  // a larger batch comes whole from Kafka; a broker that gives nothing instead is asked
	peekMost    = 128 << 20 // for this much
)

// Peek shows what stands at these offsets of a topic's partitions now, whatever the client itself reads. Of a partition
// nothing is shown when no record stands there: it aged away, was compacted or aborted, or has not come yet. Who peeks beside a
// client that fetches gives another client, since a broker answers the requests of a connection one after the other.
func Peek(ctx context.Context, client *kgo.Client, topic string, at map[int32]int64, show func(*kgo.Record)) error {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	detail, err := describe(ctx, client, topic)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(peeksAtOnce)
	for partition, offset := range at {
		group.Go(func() error {
			record, err := peek(ctx, client, place{detail, partition}, offset, peekBytes)
			if err == nil && record == nil {
				record, err = peek(ctx, client, place{detail, partition}, offset, peekMost)
			}
			if err != nil {
				return fmt.Errorf("read offset %d of topic partition %s/%d: %w", offset, topic, partition, err)
			}
			if record != nil {
				mu.Lock()
				defer mu.Unlock()
				show(record)
			}
			return nil
		})
	}
	return group.Wait()
}

func peek(ctx context.Context, client *kgo.Client, at place, offset int64, most int32) (*kgo.Record, error) {
	leader, err := at.leader()
	if err != nil {
		return nil, err
	}
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition, partition.FetchOffset, partition.PartitionMaxBytes = at.partition, offset, most
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = at.topic.Topic, at.topic.ID
	topic.Partitions = append(topic.Partitions, partition)
	request := kmsg.NewPtrFetchRequest()
	request.MinBytes, request.MaxBytes, request.SessionEpoch, request.IsolationLevel = 0, most, -1, 1
	request.Topics = append(request.Topics, topic)
	answer, err := client.Broker(leader).Request(ctx, request)
	if err != nil {
		return nil, err
	}
	fetched, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, errors.New("the answer to a fetch is none")
	}
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
		return nil, err
	}
	if len(fetched.Topics) != 1 || len(fetched.Topics[0].Partitions) != 1 || fetched.Topics[0].Partitions[0].Partition != at.partition {
		return nil, errors.New("the answer to a fetch does not name the partition")
	}
	read, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: offset, IsolationLevel: kgo.ReadCommitted(), Topic: at.topic.Topic, Partition: at.partition,
	}, &fetched.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	switch {
	case errors.Is(read.Err, kerr.OffsetOutOfRange):
		return nil, nil // the log's bounds say why
	case read.Err != nil:
		return nil, read.Err
	case len(read.Records) == 0 || read.Records[0].Offset != offset:
		return nil, nil
	}
	return read.Records[0], nil
}
