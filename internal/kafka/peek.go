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

// Peek shows what stands at these offsets of a topic's partitions now, whatever the client itself reads, and tells the topic's
// id, which is zero where the brokers give none. Of a partition nothing is shown when no record stands there: it aged away, was
// compacted, or has not come yet. An error is of some of them; the others are shown. Who peeks beside a client that
// fetches gives another client, since a broker answers the requests of a connection one after the other.
func Peek(ctx context.Context, client *kgo.Client, topic string, at map[int32]int64, show func(*kgo.Record)) (id [16]byte, err error) {
	detail, err := describe(ctx, client, topic)
	if err != nil {
		return id, err
	}
	var mu sync.Mutex
	var errs []error
	var group errgroup.Group
	group.SetLimit(peeksAtOnce)
	for partition, offset := range at {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, topicTimeout)
			defer cancel()
			record, nothing, err := peek(ctx, client, place{detail, partition}, offset, peekBytes)
			if err == nil && record == nil && nothing {
				record, _, err = peek(ctx, client, place{detail, partition}, offset, peekMost)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("read offset %d of topic partition %s/%d: %w", offset, topic, partition, err))
			case record != nil:
				show(record)
			}
			return nil
		})
	}
	return detail.ID, errors.Join(group.Wait(), errors.Join(errs...))
}

func peek(ctx context.Context, client *kgo.Client, at place, offset int64, most int32) (record *kgo.Record, nothing bool, err error) {
	leader, err := at.leader()
	if err != nil {
		return nil, false, err
	}
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition, partition.FetchOffset, partition.PartitionMaxBytes = at.partition, offset, most
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = at.topic.Topic, at.topic.ID
	topic.Partitions = append(topic.Partitions, partition)
	request := kmsg.NewPtrFetchRequest()
	request.MinBytes, request.MaxBytes, request.SessionEpoch = 0, most, -1
	request.Topics = append(request.Topics, topic)
	answer, err := client.Broker(leader).Request(ctx, request)
	if err != nil {
		return nil, false, err
	}
	fetched, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, false, errors.New("the answer to a fetch is none")
	}
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
		return nil, false, err
	}
	if len(fetched.Topics) != 1 || len(fetched.Topics[0].Partitions) != 1 || fetched.Topics[0].Partitions[0].Partition != at.partition {
		return nil, false, errors.New("the answer to a fetch does not name the partition")
	}
	if id := fetched.Topics[0].TopicID; id != [16]byte{} && id != at.topic.ID {
		return nil, false, errors.New("brokers disagree on which topic it is: one was cut off, or the topic was made anew just now")
	}
	read, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: offset, IsolationLevel: kgo.ReadUncommitted(), Topic: at.topic.Topic, Partition: at.partition,
	}, &fetched.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	switch {
	case errors.Is(read.Err, kerr.OffsetOutOfRange):
		return nil, false, nil // the log's bounds say why
	case read.Err != nil:
		return nil, false, read.Err
	case len(read.Records) == 0 || read.Records[0].Offset != offset:
		return nil, len(fetched.Topics[0].Partitions[0].RecordBatches) == 0, nil
	}
	return read.Records[0], false, nil
}
