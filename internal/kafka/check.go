package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/config"
)

// Access is what a program does with a topic.
type Access uint8

// The accesses.
const (
	Reads Access = iota
	Writes
)

// Use is one topic as a program uses it.
type Use struct {
	Topic  string
	Group  string // of which the program is a member
	Access Access
	Past   Past // as OpenTopic's
}

// checker looks at one cluster.
type checker struct {
	cfg     config.Kafka
	client  *kgo.Client
	admin   *kadm.Client
	at      string // kafka.brokers, for messages
	brokers int
}

// Check tries what a program will do with the topics. It writes no record, joins no group and makes no topic.
func Check(ctx context.Context, cfg config.Kafka, uses []Use) []check.Finding {
	const subject = "kafka"
	options, err := ClientOptions(cfg, nil) // the findings say what a log would
	if err != nil {
		return []check.Finding{check.Failed(subject, err).Fix("correct what is named here")}
	}
	// One more try than none: what is wrong shall be said, not waited for.
	options = append(options, kgo.RequestRetries(1), kgo.RetryTimeout(topicTimeout))
	client, err := kgo.NewClient(options...)
	if err != nil {
		return []check.Finding{check.Failed(subject, err).Fix("correct what is named here")}
	}
	defer client.Close()
	c := &checker{cfg: cfg, client: client, admin: kadm.NewClient(client), at: strings.Join(cfg.Brokers, ",")}
	metadata, err := timed(ctx, c.admin.BrokerMetadata)
	if err != nil {
		f := check.Failed(subject, explain(c.at, err))
		return []check.Finding{f.Fix("check kafka.brokers, kafka.tls, kafka.sasl and the way there")}
	}
	c.brokers = len(metadata.Brokers)
	findings := []check.Finding{check.Good(subject, "kafka.brokers %s answer; the cluster has %d", c.at, c.brokers)}
	findings = append(findings, c.secrecy()...)
	if c.brokers > 0 {
		findings = append(findings, c.session(ctx, metadata.Brokers[0].NodeID)...)
	}
	for _, use := range uses {
		findings = append(findings, c.use(ctx, use)...)
	}
	return findings
}

// secrecy warns of secrets that everybody on the way can read.
func (c *checker) secrecy() []check.Finding {
	if m := c.cfg.SASL.Mechanism; !c.cfg.TLS.Enabled && (m == config.Plain || m == config.OAuthBearer) {
		f := check.Bad(check.Warning, "kafka.tls", "%s sends its secret readable to everybody on the way", m)
		return []check.Finding{f.Fix("set kafka.tls.enabled, or use SCRAM")}
	}
	return nil
}

// session judges kafka.session_timeout by what a broker says that it takes; a broker that does not tell is not asked twice,
// and Event Hubs' bounds are known to the configuration.
func (c *checker) session(ctx context.Context, broker int32) []check.Finding {
	const least, most = "group.min.session.timeout.ms", "group.max.session.timeout.ms"
	answers, err := timed(ctx, func(ctx context.Context) (kadm.ResourceConfigs, error) {
		return c.admin.DescribeBrokerConfigs(ctx, broker)
	})
	if err != nil || len(answers) != 1 || answers[0].Err != nil || c.cfg.Profile == config.ProfileEventHubs {
		return nil
	}
	have := values(answers[0].Configs)
	low, errLow := strconv.ParseInt(have[least], 10, 64)
	high, errHigh := strconv.ParseInt(have[most], 10, 64)
	ours := c.cfg.SessionTimeout.Milliseconds()
	if errLow != nil || errHigh != nil || ours >= low && ours <= high {
		return nil
	}
	f := check.Bad(check.Stop, "kafka", "kafka.session_timeout is %v, and the brokers take %v to %v", c.cfg.SessionTimeout,
		time.Duration(low)*time.Millisecond, time.Duration(high)*time.Millisecond)
	return []check.Finding{f.Fix("choose one between, or change the brokers' %s or %s", least, most)}
}

// values are the settings that have one.
func values(configs []kadm.Config) map[string]string {
	have := map[string]string{}
	for _, one := range configs {
		if one.Value != nil {
			have[one.Key] = *one.Value
		}
	}
	return have
}

// use looks at one topic.
func (c *checker) use(ctx context.Context, use Use) []check.Finding {
	subject := "topic " + use.Topic
	detail, err := timed(ctx, func(ctx context.Context) (kadm.TopicDetail, error) { return describe(ctx, c.client, use.Topic) })
	switch {
	case errors.Is(err, ErrNoTopic):
		return []check.Finding{c.missing(ctx, subject, use)}
	case err != nil:
		return []check.Finding{check.Failed(subject, err).Fix("grant this user Describe on the topic; look at the brokers' health")}
	}
	findings := []check.Finding{check.Good(subject, "partitions: %d, replicas of each: %d", len(detail.Partitions), detail.Partitions.NumReplicas())}
	findings = append(findings, c.replicas(subject, detail)...)
	findings = append(findings, c.settings(ctx, subject, use.Topic, detail)...)
	var other interface{ ExitCode() int }
	if err := use.Past.check(ctx, c.client, use.Topic); errors.As(err, &other) { // anything else is said of archive and permissions
		findings = append(findings, check.Failed(subject, err).Fix("correct archive.root, or archive under another topic name"))
	}
	return append(findings, c.permissions(ctx, subject, use, detail)...)
}

func (c *checker) missing(ctx context.Context, subject string, use Use) check.Finding {
	if c.cfg.Profile == config.ProfileEventHubs {
		return check.Bad(check.Stop, subject, "it does not exist").Fix(
			"make the event hub: az eventhubs eventhub create --namespace-name … --name %s --partition-count %d --cleanup-policy Delete --retention-time-in-hours %d",
			use.Topic, c.cfg.TopicPartitions, int(c.cfg.Retention.Hours()))
	}
	if !c.cfg.CreateTopics {
		return check.Bad(check.Stop, subject, "it does not exist").Fix("set kafka.create_topics, or make it: kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions %d --replication-factor %d %s",
			c.cfg.Brokers[0], use.Topic, c.cfg.TopicPartitions, wantedReplicas(c.brokers), settingsFlags(wantedSettings(c.cfg, c.brokers)))
	}
	if err := use.Past.MayMake(ctx); err != nil {
		f := check.Failed(subject, err)
		if f.Severity != check.Stop { // nobody knows whether it was there before
			return f.Fix("mend what is found of the archive, and check again")
		}
		return f.Fix("put the topic back, or archive under another name")
	}
	_, err := timed(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, makeTopic(ctx, c.client, c.cfg, use.Topic, c.brokers, tryMake)
	})
	if err != nil {
		return check.Failed(subject, err).Fix("grant this user Create on the topic, or make it")
	}
	return check.Good(subject, "it does not exist; the brokers will make it (partitions: %d, replicas of each: %d)", c.cfg.TopicPartitions, wantedReplicas(c.brokers))
}

// replicas judges how many copies there are. Event Hubs keeps them by itself.
func (c *checker) replicas(subject string, detail kadm.TopicDetail) []check.Finding {
	if c.cfg.Profile == config.ProfileEventHubs {
		return nil
	}
	have, want := detail.Partitions.NumReplicas(), wantedReplicas(c.brokers)
	switch {
	case have < want:
		f := check.Bad(check.Stop, subject, "replicas: %d, and the cluster has brokers for %d: what a lost broker held is lost", have, want)
		return []check.Finding{f.Fix("raise them to %d: kafka-reassign-partitions.sh", want)}
	case have < replicas:
		f := check.Bad(check.Warning, subject, "replicas: %d, as many as the cluster has brokers: what a lost broker held may be lost", have)
		return []check.Finding{f.Fix("give the cluster %d brokers and the topic %d replicas", replicas, replicas)}
	}
	return nil
}

// settings judges the topic's settings as the brokers tell them.
func (c *checker) settings(ctx context.Context, subject, topic string, detail kadm.TopicDetail) []check.Finding {
	answers, err := timed(ctx, func(ctx context.Context) (kadm.ResourceConfigs, error) {
		return c.admin.DescribeTopicConfigs(ctx, topic)
	})
	if err == nil {
		if len(answers) != 1 {
			err = fmt.Errorf("the answer names %d topics", len(answers))
		} else {
			err = answers[0].Err
		}
	}
	if err != nil {
		f := check.Bad(check.Warning, subject, "its settings cannot be read: %v", err)
		return []check.Finding{f.Fix("grant this user DescribeConfigs on the topic, or see to it yourself: %s", settingsText(wantedSettings(c.cfg, c.brokers)))}
	}
	j := judge{cfg: c.cfg, subject: subject, topic: topic, have: values(answers[0].Configs)}
	j.all(min(detail.Partitions.NumReplicas(), c.brokers))
	if len(j.findings) == 0 {
		return []check.Finding{check.Good(subject, "its settings are as they should be")}
	}
	return j.findings
}

// judge holds a topic's settings against what is needed. What the brokers do not tell is not judged.
type judge struct {
	cfg            config.Kafka
	subject, topic string
	have           map[string]string
	findings       []check.Finding
}

func (j *judge) add(severity check.Severity, key, want, format string, args ...any) {
	f := check.Bad(severity, j.subject, "%s is %s: %s", key, j.have[key], fmt.Sprintf(format, args...))
	if j.cfg.Profile == config.ProfileEventHubs {
		f = f.Fix("set it in the portal, or by az eventhubs eventhub update, to what %s=%s means", key, want)
	} else {
		f = f.Fix("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s", j.cfg.Brokers[0], j.topic, key, want)
	}
	j.findings = append(j.findings, f)
}

func (j *judge) all(replicas int) {
	if policy, ok := j.have[cleanupPolicy]; ok && strings.Contains(policy, "compact") {
		j.add(check.Stop, cleanupPolicy, "delete", "compaction removes records, and the archiver halts at every one that is missing")
	}
	if j.cfg.Profile != config.ProfileEventHubs {
		if n, ok := j.number(minInSync); ok && n < int64(wantedInSync(replicas)) {
			j.add(check.Stop, minInSync, strconv.Itoa(wantedInSync(replicas)), "a record that one broker alone holds counts as acknowledged, and goes with that broker")
		}
		if j.have[uncleanElection] == "true" && replicas > 1 {
			j.add(check.Stop, uncleanElection, "false", "a broker that was not in sync may become leader; it forgets acknowledged records and gives their offsets to others")
		}
	}
	least := j.cfg.Retention.Milliseconds()
	if n, ok := j.number(retentionTime); ok && n >= 0 && n < least {
		j.add(check.Warning, retentionTime, strconv.FormatInt(least, 10), "records are kept for %v, less than kafka.retention, %v: what the archiver has not taken by then is a gap", time.Duration(n)*time.Millisecond, j.cfg.Retention)
	}
	if n, ok := j.number(retentionBytes); ok && n >= 0 && j.cfg.Profile != config.ProfileEventHubs {
		j.add(check.Warning, retentionBytes, "-1", "a burst of changes removes records sooner than kafka.retention says")
	}
	if n, ok := j.number(maxMessage); ok && n < int64(j.cfg.MaxMessageBytes) {
		j.add(check.Stop, maxMessage, strconv.FormatInt(int64(j.cfg.MaxMessageBytes), 10),
			"the brokers refuse records that kafka.max_message_bytes, %d, allows; lowering that does as well", int64(j.cfg.MaxMessageBytes))
	}
}

func (j *judge) number(key string) (int64, bool) {
	n, err := strconv.ParseInt(j.have[key], 10, 64)
	return n, err == nil
}

// settingsText and settingsFlags list settings for people.
func settingsText(settings map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		out = append(out, key+"="+settings[key])
	}
	return strings.Join(out, ", ")
}

func settingsFlags(settings map[string]string) string {
	return "--config " + strings.ReplaceAll(settingsText(settings), ", ", " --config ")
}

// permissions really tries, of everything that the program will do, something that changes nothing.
func (c *checker) permissions(ctx context.Context, subject string, use Use, detail kadm.TopicDetail) []check.Finding {
	type trial struct {
		what, grant string
		try         func(context.Context) error
	}
	at := place{detail, slices.Min(slices.Collect(maps.Keys(detail.Partitions)))}
	trials := []trial{
		{"be a member of group " + use.Group, "Read on group " + use.Group, func(ctx context.Context) error { return tryMember(ctx, c.client, use.Group) }},
		{"list offsets", "Describe on the topic", func(ctx context.Context) error { return tryOffsets(ctx, c.admin, use.Topic) }},
	}
	if use.Access == Writes {
		trials = append(trials,
			trial{"write", "Write on the topic", func(ctx context.Context) error { return tryWrite(ctx, c.client, at) }},
			trial{"write idempotently", "IdempotentWrite on the cluster, or Write on a topic", func(ctx context.Context) error { return tryIdempotence(ctx, c.client) }})
	} else {
		trials = append(trials, trial{"read", "Read on the topic", func(ctx context.Context) error { return tryRead(ctx, c.client, at) }})
	}
	var findings []check.Finding
	var may []string
	for _, one := range trials {
		err := patiently(ctx, one.try)
		switch {
		case isRefusal(err):
			findings = append(findings, check.Bad(check.Stop, subject, "this user may not %s: %v", one.what, err).Fix("grant it %s", one.grant))
		case err != nil && c.cfg.Profile == config.ProfileEventHubs:
			f := check.Bad(check.Warning, subject, "whether this user may %s could not be tried: %v", one.what, err)
			findings = append(findings, f.Fix("see to it yourself: Event Hubs need not answer such requests as Kafka does"))
		case err != nil:
			f := check.Failed(subject, fmt.Errorf("%s: %w", one.what, err))
			findings = append(findings, f.Fix("look at the brokers' health: does every partition have a leader?"))
		default:
			may = append(may, one.what)
		}
	}
	if len(may) > 0 {
		findings = append(findings, check.Good(subject, "this user may %s", strings.Join(may, ", ")))
	}
	return findings
}

// patiently tries again what passes within moments, such as the first group of a cluster whose offsets topic is not made
// yet.
func patiently(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil || isRefusal(err) || !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(tryInterval):
		}
	}
}

// place is a partition of a topic.
type place struct {
	topic     kadm.TopicDetail
	partition int32
}

func (p place) leader() (int, error) {
	one := p.topic.Partitions[p.partition]
	if one.Leader < 0 || one.Err != nil && !errors.Is(one.Err, kerr.ReplicaNotAvailable) {
		return 0, fmt.Errorf("partition %d of topic %s has no leader: %w", p.partition, p.topic.Topic, errors.Join(one.Err, kerr.LeaderNotAvailable))
	}
	return int(one.Leader), nil
}
