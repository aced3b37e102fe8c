package harness

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// openKafka makes the topics, on the brokers that were given or on one in this process.
func (s *Stack) openKafka(ctx context.Context) (err error) {
	var topics []string
	for _, c := range s.options.Containers {
		if !slices.Contains(topics, c.TopicName()) {
			topics = append(topics, c.TopicName())
		}
	}
	if len(s.options.Brokers) == 0 {
		if err := s.startKafka(topics); err != nil {
			return err
		}
	}
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(s.Brokers()...)); err != nil {
		return err
	}
	s.admin = kadm.NewClient(s.client)
	if s.Kafka != nil {
		return nil
	}
	made, err := s.admin.CreateTopics(ctx, s.options.Partitions, -1, nil, topics...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		return fmt.Errorf("make topics %v: %w", topics, err)
	}
	return nil
}

func (s *Stack) startKafka(topics []string) (err error) {
	settings := map[string]string{"group.min.session.timeout.ms": "100"} // what it tells, and what it does
	maps.Copy(settings, s.options.Broker)
	s.Kafka, err = kfake.NewCluster(
		kfake.NumBrokers(1), kfake.SeedTopics(s.options.Partitions, topics...),
		kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.BrokerConfigs(settings),
	)
	if err != nil {
		return err
	}
	s.groups, err = TendGroups(s.Kafka)
	return err
}

// Brokers are the addresses of Kafka.
func (s *Stack) Brokers() []string {
	if s.Kafka == nil {
		return s.options.Brokers
	}
	return s.Kafka.ListenAddrs()
}

// Ends is the end of every partition of a topic: the offset after the last record.
func (s *Stack) Ends(ctx context.Context, topic string) (map[int32]int64, error) {
	listed, err := s.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list ends of topic %s: %w", topic, err)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

// Forget lets the broker delete the records of a topic up to and including the offsets.
func (s *Stack) Forget(ctx context.Context, topic string, last map[int32]int64) error {
	offsets := kadm.Offsets{}
	for partition, offset := range last {
		offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset + 1})
	}
	deleted, err := s.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return fmt.Errorf("delete records of topic %s: %w", topic, err)
	}
	return nil
}

// Members are the ids of a consumer group's members; none while partitions move.
func (s *Stack) Members(ctx context.Context, group string) ([]string, error) {
	groups, err := s.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	var members []string
	if g := groups[group]; g.State == "Stable" {
		for _, m := range g.Members {
			members = append(members, m.MemberID)
		}
	}
	return members, nil
}
