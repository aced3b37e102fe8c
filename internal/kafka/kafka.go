// Package kafka is the cluster as Almanac's programs need it: client options from the configuration, and the checks of a
// topic that give a clear word before anything runs.
//
// Nouns: a topic's partitions are those that its metadata names. A member is a client in a consumer group.
//
// Guarantees: options of one configuration are the same for all programs. A topic that is missing, or brokers that do
// not answer, are errors that name topic, brokers and remedy; they tell apart what a restart mends (exit code 1) and
// what only another configuration does (exit code 2).
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/config"
)

const (
	dialTimeout = 5 * time.Second
	// Topic gives brokers this long to answer before it calls them unreachable.
	topicTimeout = 8 * time.Second

	// rebalanceMost is enough to join again, which takes a heartbeat or two of 3 s.
	rebalanceMost = 10 * time.Second
)

// ClientOptions are the options that every client has: whom to ask and how to log.
func ClientOptions(cfg config.Kafka, log *slog.Logger) []kgo.Opt {
	options := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID("almanac"),
		kgo.DialTimeout(dialTimeout),
		kgo.MetadataMaxAge(3 * time.Minute), // Event Hubs wants less than 240 s
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.RequestTimeoutOverhead(60 * time.Second), // Event Hubs wants at least 60 s
	}
	if log != nil {
		options = append(options, kgo.WithLogger(logger{log}))
	}
	return options
}

// GroupOptions make a client a member of group on topics. Offsets are never committed by it. Nobody is waited for when
// partitions move (the fences are checkpoints and the table), so a rebalance need not be patient with members that died
// in it: with the client's default of a minute one kill -9 stops the whole group for as long. It is shorter than a
// session, since some brokers let a member's session expire while it waits for the others, and never answer it; and
// shorter than service.shutdown_grace, since a client that is closed waits for it.
func GroupOptions(cfg config.Kafka, group string, topics ...string) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topics...),
		kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.RebalanceTimeout(min(cfg.SessionTimeout*3/4, rebalanceMost)),
		kgo.HeartbeatInterval(min(cfg.SessionTimeout/5, 3*time.Second)),
	}
}

// ProduceOptions publish with the acknowledgement of all in-sync replicas (INV-1), idempotently, in the order of Produce
// per partition (INV-2), each key on the partition that Kafka's own clients choose, with at most maxBuffered bytes
// waiting (INV-9).
func ProduceOptions(cfg config.Kafka, maxBuffered config.Bytes) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(int32(cfg.MaxMessageBytes)),
		kgo.MaxBufferedBytes(int(maxBuffered)),
		kgo.MaxBufferedRecords(1 << 20), // bytes are the limit
	}
}

// Topic tells how many partitions a topic has.
func Topic(ctx context.Context, client *kgo.Client, name string) (int32, error) {
	brokers, _ := client.OptValue(kgo.SeedBrokers).([]string)
	at := strings.Join(brokers, ",")
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	topics, err := kadm.NewClient(client).ListTopics(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("read topic %s: kafka.brokers %s do not answer; look whether they run, whether this machine reaches their host and port (name, firewall), and whether the addresses that their advertised.listeners give out can be reached from here: %w", name, at, err)
	}
	detail, ok := topics[name]
	switch {
	case !ok || errors.Is(detail.Err, kerr.UnknownTopicOrPartition):
		return 0, &ConfigError{fmt.Sprintf("topic %s does not exist at kafka.brokers %s: create it with as many partitions as should be worked on at once", name, at)}
	case errors.Is(detail.Err, kerr.TopicAuthorizationFailed):
		return 0, &ConfigError{fmt.Sprintf("topic %s at kafka.brokers %s may not be described: grant Describe, Read and Write", name, at)}
	case detail.Err != nil:
		return 0, fmt.Errorf("read topic %s at kafka.brokers %s: %w", name, at, detail.Err)
	case len(detail.Partitions) == 0:
		return 0, fmt.Errorf("read topic %s at kafka.brokers %s: it has no partitions yet", name, at)
	}
	return int32(len(detail.Partitions)), nil
}

// ConfigError is a setting, or a state of the cluster, that no restart mends.
type ConfigError struct{ Text string }

func (e *ConfigError) Error() string { return e.Text }

// ExitCode is that of a wrong configuration.
func (e *ConfigError) ExitCode() int { return 2 }

// logger passes the client's warnings on; what it says at lower levels is of use to nobody but its authors.
type logger struct{ log *slog.Logger }

func (logger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

func (l logger) Log(level kgo.LogLevel, message string, attributes ...any) {
	if level == kgo.LogLevelError {
		l.log.Error("kafka client: "+message, attributes...)
		return
	}
	l.log.Warn("kafka client: "+message, attributes...)
}
