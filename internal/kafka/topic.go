package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/config"
)

const (
	// Brokers have this long to answer before they are called unreachable.
	topicTimeout = 8 * time.Second
	// A topic that was made is known to all brokers within moments.
	madeInterval = 100 * time.Millisecond
	tryInterval  = 250 * time.Millisecond

	replicas = 3 // of which so many may be lost that inSync are left
	inSync   = 2

	brokerMessage = 1_048_588 // the brokers' own default of the largest batch
)

// ErrNoTopic is in the chain of errors of topics that do not exist.
var ErrNoTopic = errors.New("topic does not exist")

// Topic tells how many partitions a topic has.
func Topic(ctx context.Context, client *kgo.Client, name string) (int32, error) {
	detail, err := describe(ctx, client, name)
	if err != nil {
		return 0, err
	}
	return int32(len(detail.Partitions)), nil
}

// Past is what an archive may have against a topic.
type Past struct {
	MayMake func(context.Context) error // one that is missing: what it held before must not be taken for what it holds
	MayTake func(context.Context) error // one that holds records, or did: they must not be another archive's
}

// OpenTopic is Topic, of one that past has nothing against, and makes a topic that is missing when kafka.create_topics
// says so.
func OpenTopic(ctx context.Context, client *kgo.Client, cfg config.Kafka, name string, past Past) (int32, error) {
	partitions, err := Topic(ctx, client, name)
	if err == nil {
		return partitions, past.check(ctx, client, name)
	}
	if !cfg.CreateTopics || !errors.Is(err, ErrNoTopic) {
		return 0, err
	}
	if err := past.MayMake(ctx); err != nil {
		if _, missing := Topic(ctx, client, name); missing != nil {
			return 0, err
		}
		return OpenTopic(ctx, client, cfg, name, past) // another program made and named it meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	metadata, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return 0, fmt.Errorf("make topic %s: %w", name, err)
	}
	if err := makeTopic(ctx, client, cfg, name, len(metadata.Brokers), makeNow); err != nil {
		return 0, err
	}
	for {
		detail, err := describe(ctx, client, name)
		if err == nil {
			return int32(len(detail.Partitions)), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("make topic %s: it was made and does not show: %w", name, err)
		case <-time.After(madeInterval):
		}
	}
}

// check asks past again after the topic: whoever published for the same archive meanwhile had named the topic there before.
func (p Past) check(ctx context.Context, client *kgo.Client, name string) error {
	if p.MayTake(ctx) == nil {
		return nil
	}
	ends, err := timed(ctx, func(ctx context.Context) (kadm.ListedOffsets, error) {
		return kadm.NewClient(client).ListEndOffsets(ctx, name)
	})
	if err == nil {
		err = ends.Error()
	}
	for _, end := range ends[name] {
		if end.Err == nil && end.Offset > 0 {
			return p.MayTake(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("read the end of topic %s: %w", name, err)
	}
	return nil
}

// describe reads a topic's metadata.
func describe(ctx context.Context, client *kgo.Client, name string) (kadm.TopicDetail, error) {
	seeds, _ := client.OptValue(kgo.SeedBrokers).([]string)
	at := strings.Join(seeds, ",")
	topics, err := timed(ctx, func(ctx context.Context) (kadm.TopicDetails, error) {
		return kadm.NewClient(client).ListTopics(ctx, name)
	})
	detail, ok := topics[name]
	refused := errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(detail.Err, kerr.TopicAuthorizationFailed)
	switch {
	case refused:
		return detail, badConfig("topic %s at kafka.brokers %s may not be described: grant Describe, Read and Write", name, at)
	case err != nil:
		return detail, fmt.Errorf("read topic %s: %w", name, explain(at, err))
	case !ok || errors.Is(detail.Err, kerr.UnknownTopicOrPartition):
		return detail, badConfig("%w", &missingError{fmt.Sprintf(
			"topic %s does not exist at kafka.brokers %s: create it with as many partitions as should be worked on at once, or let kafka.create_topics do it", name, at)})
	case detail.Err != nil:
		return detail, fmt.Errorf("read topic %s at kafka.brokers %s: %w", name, at, detail.Err)
	case len(detail.Partitions) == 0:
		return detail, fmt.Errorf("read topic %s at kafka.brokers %s: it has no partitions yet", name, at)
	}
	return detail, nil
}

// missingError is ErrNoTopic in words for people.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }
func (e *missingError) Unwrap() error { return ErrNoTopic }

// making says whether a topic is made or only tried.
type making uint8

const (
	makeNow making = iota
	tryMake
)

// makeTopic makes a topic with the settings that it needs, or only asks whether it could be made. That somebody else was
// first is no error.
func makeTopic(ctx context.Context, client *kgo.Client, cfg config.Kafka, name string, brokers int, how making) error {
	admin := kadm.NewClient(client)
	create := admin.CreateTopics
	if how == tryMake {
		create = admin.ValidateCreateTopics
	}
	settings := map[string]*string{}
	for key, value := range wantedSettings(cfg, brokers) {
		settings[key] = &value
	}
	answers, err := create(ctx, int32(cfg.TopicPartitions), int16(wantedReplicas(brokers)), settings, name)
	if err != nil {
		return fmt.Errorf("make topic %s: %w", name, err)
	}
	answer, ok := answers[name]
	switch {
	case !ok:
		return fmt.Errorf("make topic %s: the answer does not name it", name)
	case answer.Err == nil, errors.Is(answer.Err, kerr.TopicAlreadyExists):
		return nil
	case kerr.IsRetriable(answer.Err):
		return fmt.Errorf("make topic %s: %w", name, answer.Err)
	}
	text := answer.Err.Error()
	if answer.ErrMessage != "" {
		text += " (" + answer.ErrMessage + ")"
	}
	return badConfig("make topic %s: %s: grant Create, or create it yourself: %d partitions, %d replicas, %s",
		name, text, cfg.TopicPartitions, wantedReplicas(brokers), settingsText(wantedSettings(cfg, brokers)))
}

// wantedReplicas and wantedInSync are as many as the cluster has brokers for.
func wantedReplicas(brokers int) int { return max(1, min(replicas, brokers)) }
func wantedInSync(brokers int) int   { return max(1, min(inSync, brokers)) }

// The settings of a topic that matter.
const (
	cleanupPolicy   = "cleanup.policy"
	minInSync       = "min.insync.replicas"
	uncleanElection = "unclean.leader.election.enable"
	retentionTime   = "retention.ms"
	retentionBytes  = "retention.bytes"
	maxMessage      = "max.message.bytes"
)

// wantedSettings are those that a topic is made with. Compaction would remove records that the archive counts; a leader
// that was not in sync would forget acknowledged ones and give their offsets to others.
func wantedSettings(cfg config.Kafka, brokers int) map[string]string {
	return map[string]string{
		cleanupPolicy:   "delete",
		minInSync:       strconv.Itoa(wantedInSync(brokers)),
		uncleanElection: "false",
		retentionTime:   strconv.FormatInt(cfg.Retention.Milliseconds(), 10),
		retentionBytes:  "-1",
		maxMessage:      strconv.FormatInt(max(int64(cfg.MaxMessageBytes), brokerMessage), 10),
	}
}
