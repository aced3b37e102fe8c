// Package kafka is the cluster as Almanac's programs need it: client options from the configuration, topics, and the
// checks that give a clear word before anything runs.
//
// Nouns: a topic's partitions are those that its metadata names. A member is a client in a consumer group. A profile is a
// kind of brokers: Apache Kafka, or the Kafka endpoint of Event Hubs, which speaks old versions and has limits of its own.
//
// Guarantees: options of one configuration are the same for all programs. A topic that is missing, or brokers that do
// not answer, are errors that name topic, brokers and remedy; they tell apart what a restart mends (exit code 1) and
// what only another configuration does (exit code 2). A check writes no record and joins no group. A topic is made only
// where the archive knows none of its name.
package kafka

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/cosmos-almanac/almanac/internal/config"
)

const (
	dialTimeout = 5 * time.Second

	// metadataMost is how long a partition that was added may stay unnoticed. Event Hubs wants less than 240 s.
	metadataMost = 30 * time.Second

	// rebalanceMost is enough to join again, which takes a heartbeat or two of 3 s.
	rebalanceMost = 10 * time.Second

	// answerMost is how much longer than it asks for a request may take. A broker that hangs is asked for so long before
	// another one is; at Event Hubs all are one, which wants at least 60 s.
	answerMost          = 10 * time.Second
	eventHubsAnswerMost = 60 * time.Second

	// Event Hubs ends the connection at a request of 1,046,528 bytes or more.
	eventHubsRequest = 1_046_528 - 64
)

// ClientOptions are the options that every client has: whom to ask, as whom, and how to log. They talk to nobody yet; a
// setting that cannot work is a *ConfigError.
func ClientOptions(cfg config.Kafka, log *slog.Logger) ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID("almanac"),
		kgo.DialTimeout(dialTimeout),
		kgo.MetadataMaxAge(metadataMost),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.RequestTimeoutOverhead(answerMost),
	}
	if cfg.Profile == config.ProfileEventHubs {
		options = append(options,
			kgo.MaxVersions(kversion.V3_8_0()), // to a newer ApiVersions request it resets the connection
			kgo.BrokerMaxWriteBytes(eventHubsRequest),
			kgo.RequestTimeoutOverhead(eventHubsAnswerMost),
		)
	}
	security, err := securityOptions(cfg)
	if err != nil {
		return nil, err
	}
	options = append(options, security...)
	if log != nil {
		options = append(options, kgo.WithLogger(logger{log}))
	}
	return options, nil
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
// waiting (INV-9); 0 is no limit, for who bounds them already.
func ProduceOptions(cfg config.Kafka, maxBuffered config.Bytes) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(int32(cfg.MaxMessageBytes)),
		kgo.ProducerBatchCompression(codecs(cfg.Compression)...),
		kgo.MaxBufferedBytes(int(maxBuffered)),
		kgo.MaxBufferedRecords(1 << 20), // bytes are the limit
	}
}

// codecs are the codec and what is sent to a broker that is too old for it.
func codecs(c config.Compression) []kgo.CompressionCodec {
	switch c {
	case config.CompressionGzip:
		return []kgo.CompressionCodec{kgo.GzipCompression(), kgo.NoCompression()}
	case config.CompressionLZ4:
		return []kgo.CompressionCodec{kgo.Lz4Compression(), kgo.NoCompression()}
	case config.CompressionZstd:
		return []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.SnappyCompression(), kgo.NoCompression()}
	case config.CompressionNone:
		return []kgo.CompressionCodec{kgo.NoCompression()}
	case config.CompressionSnappy:
	}
	return []kgo.CompressionCodec{kgo.SnappyCompression(), kgo.NoCompression()}
}

// ConfigError is a setting, or a state of the cluster, that no restart mends.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// ExitCode is that of a wrong configuration.
func (e *ConfigError) ExitCode() int { return 2 }

func badConfig(format string, args ...any) error {
	return &ConfigError{fmt.Errorf(format, args...)}
}

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
