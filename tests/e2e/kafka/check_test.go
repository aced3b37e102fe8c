package kafka_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/kafka"
)

func start(t *testing.T, options ...kfake.Opt) (*kfake.Cluster, config.Kafka) {
	t.Helper()
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster, config.Kafka{
		Brokers: cluster.ListenAddrs(), SessionTimeout: 10 * time.Second, MaxMessageBytes: 1_000_000,
		TopicPartitions: 5, Retention: 7 * 24 * time.Hour,
	}
}

func free(context.Context) error { return nil }

func anew() kafka.Past { return kafka.Past{MayMake: free, MayTake: free} }

func uses(access kafka.Access) []kafka.Use {
	return []kafka.Use{{Topic: orders, Group: "almanac", Access: access, Past: anew()}}
}

// worst is the findings of the greatest severity, as one text.
func worst(findings []check.Finding) (check.Severity, string) {
	report := check.NewReport("test", findings)
	var out []string
	for _, f := range findings {
		if f.Severity == report.Severity {
			out = append(out, f.Subject+": "+f.Text+" -> "+f.Remedy)
		}
	}
	return report.Severity, strings.Join(out, "\n")
}

// TestSettings holds topics as they should not be to the finding that says so.
func TestSettings(t *testing.T) {
	good := map[string]string{"cleanup.policy": "delete", "min.insync.replicas": "2", "retention.ms": "604800000", "retention.bytes": "-1", "max.message.bytes": "1048588"}
	for _, test := range []struct {
		name     string
		brokers  int
		replicas int16
		settings map[string]string // over good; "-" is not to be set
		profile  config.Profile
		want     check.Severity
		text     string
	}{
		{"good", 3, 3, nil, "", check.OK, "its settings are as they should be"},
		{"more replicas than needed", 5, 5, map[string]string{"min.insync.replicas": "3"}, "", check.OK, "as they should be"},
		{"unlimited retention", 3, 3, map[string]string{"retention.ms": "-1"}, "", check.OK, "as they should be"},
		{"compaction", 3, 3, map[string]string{"cleanup.policy": "compact"}, "", check.Stop, "cleanup.policy is compact: compaction removes records"},
		{"compaction too", 3, 3, map[string]string{"cleanup.policy": "compact,delete"}, "", check.Stop, "--add-config cleanup.policy=delete"},
		{"one in sync is enough", 3, 3, map[string]string{"min.insync.replicas": "1"}, "", check.Stop, "--add-config min.insync.replicas=2"},
		{"fewer replicas than brokers", 3, 2, nil, "", check.Stop, "replicas: 2, and the cluster has brokers for 3"},
		{"as many replicas as there are brokers", 2, 2, nil, "", check.Warning, "replicas: 2, as many as the cluster has brokers"},
		{"one broker", 1, 1, map[string]string{"min.insync.replicas": "1"}, "", check.Warning, "replicas: 1, as many as the cluster has brokers"},
		{"retention too short", 3, 3, map[string]string{"retention.ms": "86400000"}, "", check.Warning, "records are kept for 24h0m0s, less than kafka.retention, 168h0m0s"},
		{"retention by size", 3, 3, map[string]string{"retention.bytes": "1000000"}, "", check.Warning, "--add-config retention.bytes=-1"},
		{"broker's limit below ours", 3, 3, map[string]string{"max.message.bytes": "500000"}, "", check.Stop, "the brokers refuse records that kafka.max_message_bytes, 1000000, allows"},
		{"event hubs, which see to replicas themselves", 1, 1, map[string]string{"min.insync.replicas": "1"}, config.ProfileEventHubs, check.OK, "as they should be"},
		{"event hubs with compaction", 1, 1, map[string]string{"cleanup.policy": "compact"}, config.ProfileEventHubs, check.Stop, "set it in the portal"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, cfg := start(t, kfake.NumBrokers(test.brokers))
			cfg.Profile = test.profile
			settings := map[string]*string{}
			for _, some := range []map[string]string{good, test.settings} {
				for key, value := range some {
					settings[key] = &value
				}
			}
			admin := kadm.NewClient(newClient(t, kgo.SeedBrokers(cfg.Brokers...)))
			if _, err := admin.CreateTopic(t.Context(), 2, test.replicas, settings, orders); err != nil {
				t.Fatal(err)
			}
			severity, text := worst(kafka.Check(t.Context(), cfg, uses(kafka.Writes)))
			if severity != test.want || !strings.Contains(text, test.text) {
				t.Errorf("got %s: %s\nwant %s: %s", severity, text, test.want, test.text)
			}
		})
	}
}

// TestSessionTimeout: what the brokers would refuse for ever is found before anybody joins.
func TestSessionTimeout(t *testing.T) {
	_, cfg := start(t, kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "6000", "group.max.session.timeout.ms": "60000"}))
	for timeout, want := range map[time.Duration]check.Severity{5 * time.Second: check.Stop, 6 * time.Second: check.OK, 60 * time.Second: check.OK, 61 * time.Second: check.Stop} {
		cfg.SessionTimeout = timeout
		severity, text := worst(kafka.Check(t.Context(), cfg, nil))
		if severity != want || want == check.Stop && !strings.Contains(text, "the brokers take 6s to 1m0s") {
			t.Errorf("%v: got %s: %s want %s", timeout, severity, text, want)
		}
	}
}

// TestPermissions takes permissions away one by one.
func TestPermissions(t *testing.T) {
	allow := func(resource kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true}
	}
	const topic, group = kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup
	read, write := allow(topic, orders, kmsg.ACLOperationRead), allow(topic, orders, kmsg.ACLOperationWrite)
	member := allow(group, "almanac", kmsg.ACLOperationRead)
	settings := allow(topic, orders, kmsg.ACLOperationDescribeConfigs)
	describe := allow(topic, orders, kmsg.ACLOperationDescribe)
	for _, test := range []struct {
		name   string
		access kafka.Access
		acls   []kfake.ACL
		want   check.Severity
		text   string
	}{
		{"all to write", kafka.Writes, []kfake.ACL{write, member, settings}, check.Warning, "as many as the cluster has brokers"},
		{"all to read", kafka.Reads, []kfake.ACL{read, member, settings}, check.Warning, "as many as the cluster has brokers"},
		{"nothing", kafka.Reads, nil, check.Stop, "may not be described"},
		{"no writing", kafka.Writes, []kfake.ACL{read, member, settings}, check.Stop, "this user may not write: TOPIC_AUTHORIZATION_FAILED"},
		{"no reading", kafka.Reads, []kfake.ACL{describe, member, settings}, check.Stop, "[Topic authorization failed.] -> grant it Read on the topic"},
		{"no group", kafka.Reads, []kfake.ACL{read, settings}, check.Stop, "this user may not be a member of group almanac"},
		{"no idempotence", kafka.Writes, []kfake.ACL{describe, member, settings}, check.Stop, "this user may not write idempotently"},
		{"no settings", kafka.Reads, []kfake.ACL{read, member}, check.Warning, "grant this user DescribeConfigs on the topic"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, cfg := start(t, kfake.NumBrokers(1), kfake.SeedTopics(2, orders), kfake.EnableSASL(), kfake.EnableACLs(),
				kfake.Superuser("SCRAM-SHA-256", "root", "root"), kfake.User("SCRAM-SHA-256", "almanac", "almanac", test.acls...))
			cfg.SASL = config.KafkaSASL{Mechanism: config.ScramSHA256, User: "almanac", Password: config.NewSecret("almanac")}
			severity, text := worst(kafka.Check(t.Context(), cfg, uses(test.access)))
			if severity != test.want || !strings.Contains(text, test.text) {
				t.Errorf("got %s: %s\nwant %s: %s", severity, text, test.want, test.text)
			}
		})
	}
}

// TestCheckLeavesNothing: no record, no group, no topic.
func TestCheckLeavesNothing(t *testing.T) {
	_, cfg := start(t, kfake.NumBrokers(1), kfake.SeedTopics(2, orders))
	cfg.CreateTopics = true
	findings := kafka.Check(t.Context(), cfg, []kafka.Use{
		{Topic: orders, Group: "a", Access: kafka.Writes, Past: anew()},
		{Topic: orders, Group: "b", Access: kafka.Reads, Past: anew()},
		{Topic: "cosmos.shop.products", Group: "c", Access: kafka.Reads, Past: anew()},
	})
	if severity, text := worst(findings); severity != check.Warning {
		t.Errorf("got %s: %s want a warning about one broker", severity, text)
	}
	admin := kadm.NewClient(newClient(t, kgo.SeedBrokers(cfg.Brokers...)))
	ends, err := admin.ListEndOffsets(t.Context(), orders)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset != 0 {
			t.Errorf("partition %d: got end %d want 0", o.Partition, o.Offset)
		}
	})
	groups, err := admin.ListGroups(t.Context())
	if err != nil || len(groups) != 0 {
		t.Errorf("got groups %v, %v want none", groups.Groups(), err)
	}
	topics, err := admin.ListTopics(t.Context())
	if err != nil || len(topics) != 1 {
		t.Errorf("got topics %v, %v want one", topics.Names(), err)
	}
}

// TestOpenTopic makes a topic with the settings that check asks for, once, and never one that was there before.
func TestOpenTopic(t *testing.T) {
	_, cfg := start(t, kfake.NumBrokers(3))
	client := newClient(t, optionsOf(t, cfg)...)
	if _, err := kafka.OpenTopic(t.Context(), client, cfg, orders, anew()); err == nil || !strings.Contains(err.Error(), "kafka.create_topics") {
		t.Errorf("got %v want an error that says how it could be made", err)
	}
	cfg.CreateTopics = true
	known := errors.New("the archive knows it")
	if _, err := kafka.OpenTopic(t.Context(), client, cfg, orders, kafka.Past{MayMake: func(context.Context) error { return known }}); !errors.Is(err, known) {
		t.Errorf("got %v want %v", err, known)
	}
	for range 2 {
		if got, err := kafka.OpenTopic(t.Context(), client, cfg, orders, anew()); err != nil || got != 5 {
			t.Fatalf("got %d partitions, %v want 5", got, err)
		}
	}
	if severity, text := worst(kafka.Check(t.Context(), cfg, uses(kafka.Writes))); severity != check.OK {
		t.Errorf("got %s: %s want all well", severity, text)
	}
	const late = "cosmos.shop.late"
	meanwhile := kafka.Past{MayMake: func(ctx context.Context) error { // another program of the same archive makes and names it
		if _, err := kafka.OpenTopic(ctx, client, cfg, late, anew()); err != nil {
			return err
		}
		return known
	}, MayTake: free}
	if got, err := kafka.OpenTopic(t.Context(), client, cfg, late, meanwhile); err != nil || got != 5 {
		t.Errorf("got %d partitions, %v of a topic that was made meanwhile want 5", got, err)
	}
	strange := kafka.Past{MayMake: free, MayTake: func(context.Context) error { return &kafka.ConfigError{Err: known} }}
	if _, err := kafka.OpenTopic(t.Context(), client, cfg, orders, strange); err != nil {
		t.Errorf("got %v of a topic without records want nil", err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: orders, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := kafka.OpenTopic(t.Context(), client, cfg, orders, strange); !errors.Is(err, known) {
		t.Errorf("got %v of a topic with a record want %v", err, known)
	}
	severity, text := worst(kafka.Check(t.Context(), cfg, []kafka.Use{{Topic: orders, Group: "g", Access: kafka.Writes, Past: strange}}))
	if severity != check.Stop || !strings.Contains(text, known.Error()) {
		t.Errorf("got %s: %s want it to stop: %v", severity, text, known)
	}
	answers, err := kadm.NewClient(client).DescribeTopicConfigs(t.Context(), orders)
	if err != nil || len(answers) != 1 {
		t.Fatal(err)
	}
	want := map[string]string{"cleanup.policy": "delete", "min.insync.replicas": "2", "unclean.leader.election.enable": "false", "retention.ms": "604800000", "max.message.bytes": "1048588"}
	for _, one := range answers[0].Configs {
		if value, ok := want[one.Key]; ok && *one.Value != value {
			t.Errorf("%s: got %s want %s", one.Key, *one.Value, value)
		}
	}
}

// TestMissingTopic: a topic that is missing is a finding with the command that makes it, or that it will be made.
func TestMissingTopic(t *testing.T) {
	_, cfg := start(t, kfake.NumBrokers(3), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("SCRAM-SHA-256", "root", "root"),
		kfake.User("SCRAM-SHA-256", "almanac", "almanac", kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: orders, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true,
		}))
	root := config.KafkaSASL{Mechanism: config.ScramSHA256, User: "root", Password: config.NewSecret("root")}
	user := config.KafkaSASL{Mechanism: config.ScramSHA256, User: "almanac", Password: config.NewSecret("almanac")}
	for _, test := range []struct {
		name    string
		change  func(*config.Kafka)
		mayMake func(context.Context) error
		want    check.Severity
		text    string
	}{
		{"not to be made", func(c *config.Kafka) {}, free, check.Stop, "kafka-topics.sh --bootstrap-server " + cfg.Brokers[0] + " --create --topic cosmos.shop.orders --partitions 5 --replication-factor 3 --config cleanup.policy=delete --config max.message.bytes=1048588 --config min.insync.replicas=2"},
		{"to be made", func(c *config.Kafka) { c.CreateTopics = true }, free, check.OK, "the brokers will make it (partitions: 5, replicas of each: 3)"},
		{"was there before", func(c *config.Kafka) { c.CreateTopics = true }, func(context.Context) error { return &kafka.ConfigError{Err: errors.New("the archive knows it")} }, check.Stop, "the archive knows it"},
		{"may not be made", func(c *config.Kafka) { c.CreateTopics, c.SASL = true, user }, free, check.Stop, "grant Create, or create it yourself: 5 partitions, 3 replicas"},
		{"event hubs", func(c *config.Kafka) { c.Profile = config.ProfileEventHubs }, free, check.Stop, "az eventhubs eventhub create --namespace-name … --name cosmos.shop.orders --partition-count 5 --cleanup-policy Delete --retention-time-in-hours 168"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := cfg
			cfg.SASL = root
			test.change(&cfg)
			severity, text := worst(kafka.Check(t.Context(), cfg, []kafka.Use{{Topic: orders, Group: "g", Past: kafka.Past{MayMake: test.mayMake}}}))
			if severity != test.want || !strings.Contains(text, test.text) {
				t.Errorf("got %s: %s\nwant %s: %s", severity, text, test.want, test.text)
			}
		})
	}
}
