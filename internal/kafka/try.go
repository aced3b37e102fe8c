package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker looks at permissions before it looks at anything else of a request. So a request that it must refuse for
// another reason tells whether it would be allowed, and changes nothing (KafkaApis.scala: handleProduceRequest,
// handleHeartbeatRequest).

// tryMember sends the heartbeat of a member that no group has.
func tryMember(ctx context.Context, client *kgo.Client, group string) error {
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group, request.MemberID, request.Generation = group, "almanac-check", 0
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return harmless(answer.ErrorCode, kerr.UnknownMemberID, kerr.GroupIDNotFound, kerr.IllegalGeneration, kerr.RebalanceInProgress)
}

func tryOffsets(ctx context.Context, admin *kadm.Client, topic string) error {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	return starts.Error()
}

// tryWrite asks the leader to append no batch at all.
func tryWrite(ctx context.Context, client *kgo.Client, at place) error {
	leader, err := at.leader()
	if err != nil {
		return err
	}
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Partition, partition.Records = at.partition, []byte{}
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID = at.topic.Topic, at.topic.ID
	topic.Partitions = append(topic.Partitions, partition)
	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis = -1, int32(topicTimeout.Milliseconds())
	request.Topics = append(request.Topics, topic)
	answer, err := client.Broker(leader).Request(ctx, request)
	if err != nil {
		return err
	}
	produced, ok := answer.(*kmsg.ProduceResponse)
	if !ok || len(produced.Topics) != 1 || len(produced.Topics[0].Partitions) != 1 {
		return fmt.Errorf("the answer to an empty batch does not name partition %d", at.partition)
	}
	return harmless(produced.Topics[0].Partitions[0].ErrorCode, kerr.InvalidRecord, kerr.CorruptMessage, kerr.InvalidRequest, kerr.UnsupportedForMessageFormat)
}

// tryIdempotence takes a producer id, of which there are enough.
func tryIdempotence(ctx context.Context, client *kgo.Client) error {
	request := kmsg.NewPtrInitProducerIDRequest()
	request.TransactionTimeoutMillis = int32(topicTimeout.Milliseconds())
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.ErrorCode)
}

// tryRead fetches from the log's end, where nothing is.
func tryRead(ctx context.Context, client *kgo.Client, at place) error {
	leader, err := at.leader()
	if err != nil {
		return err
	}
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition, partition.PartitionMaxBytes = at.partition, 1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = at.topic.Topic, at.topic.ID
	topic.Partitions = append(topic.Partitions, partition)
	request := kmsg.NewPtrFetchRequest()
	request.MinBytes, request.MaxBytes, request.SessionEpoch = 0, 1, -1
	request.Topics = append(request.Topics, topic)
	answer, err := client.Broker(leader).Request(ctx, request)
	if err != nil {
		return err
	}
	fetched, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return errors.New("the answer to a fetch is none")
	}
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
		return err
	}
	for _, t := range fetched.Topics {
		for _, p := range t.Partitions {
			return harmless(p.ErrorCode, kerr.OffsetOutOfRange)
		}
	}
	return fmt.Errorf("the answer to a fetch does not name partition %d", at.partition)
}

// harmless is nil for success and for the refusals that were meant to come.
func harmless(code int16, meant ...error) error {
	err := kerr.ErrorForCode(code)
	for _, one := range meant {
		if errors.Is(err, one) {
			return nil
		}
	}
	return err
}
