package config_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/config"
)

// TestKafkaDefaults holds the defaults that depend on the profile, and where `config print` says that they come from.
func TestKafkaDefaults(t *testing.T) {
	const from = "default, from kafka.profile"
	for _, test := range []struct {
		name, kafka string
		environ     []string
		want        config.Kafka // compression, tls and sasl of it
		origins     map[string]string
	}{
		{"kafka", "{}", nil, config.Kafka{Compression: config.CompressionSnappy}, map[string]string{
			"kafka.compression": from, "kafka.tls.enabled": "default", "kafka.sasl.mechanism": "default",
		}},
		{"event hubs by Entra ID", "{profile: eventhubs}", nil, config.Kafka{
			Compression: config.CompressionNone, TLS: config.KafkaTLS{Enabled: true}, SASL: config.KafkaSASL{Mechanism: config.OAuthBearer},
		}, map[string]string{"kafka.compression": from, "kafka.tls.enabled": from, "kafka.sasl.mechanism": from, "kafka.sasl.user": "default"}},
		{"event hubs by connection string", "{profile: eventhubs, sasl: {password: {env: HUBS}}}", []string{"HUBS=Endpoint=sb://x"}, config.Kafka{
			Compression: config.CompressionNone, TLS: config.KafkaTLS{Enabled: true},
			SASL: config.KafkaSASL{Mechanism: config.Plain, User: "$ConnectionString", Password: config.NewSecret("Endpoint=sb://x")},
		}, map[string]string{"kafka.sasl.mechanism": from, "kafka.sasl.user": from, "kafka.sasl.password": "almanac.yaml:1, env HUBS"}},
		{"event hubs by variables", "{}", []string{"ALMANAC_KAFKA_PROFILE=eventhubs", "ALMANAC_KAFKA_SASL_PASSWORD=p", "ALMANAC_KAFKA_TLS_ENABLED=true"}, config.Kafka{
			Compression: config.CompressionNone, TLS: config.KafkaTLS{Enabled: true},
			SASL: config.KafkaSASL{Mechanism: config.Plain, User: "$ConnectionString", Password: config.NewSecret("p")},
		}, map[string]string{"kafka.tls.enabled": "environment ALMANAC_KAFKA_TLS_ENABLED"}},
		{"event hubs, premium", "{profile: eventhubs, compression: gzip}", nil, config.Kafka{
			Compression: config.CompressionGzip, TLS: config.KafkaTLS{Enabled: true}, SASL: config.KafkaSASL{Mechanism: config.OAuthBearer},
		}, map[string]string{"kafka.compression": "almanac.yaml:1"}},
		{"tokens of a file", "{tls: {enabled: true}, sasl: {mechanism: OAUTHBEARER, token_file: /t}}", nil, config.Kafka{
			Compression: config.CompressionSnappy, TLS: config.KafkaTLS{Enabled: true}, SASL: config.KafkaSASL{Mechanism: config.OAuthBearer, TokenFile: "/t"},
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := parse(t, "kafka: "+test.kafka+"\n", test.environ...)
			got := config.Kafka{Compression: cfg.Kafka.Compression, TLS: cfg.Kafka.TLS, SASL: cfg.Kafka.SASL}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v want %+v", got, test.want)
			}
			for path, want := range test.origins {
				if got := cfg.Origin(path); got != want {
					t.Errorf("%s: got origin %q want %q", path, got, want)
				}
			}
		})
	}
}

// TestKafkaProblems holds what contradicts itself, or what Event Hubs does not do, to its words.
func TestKafkaProblems(t *testing.T) {
	for _, test := range []struct{ name, kafka, want string }{
		{"unknown profile", "{profile: redpanda}", `kafka.profile: "redpanda" is not known, want one of kafka, eventhubs`},
		{"unknown key of a section within", "{tls: {cafile: x}}", "kafka.tls.cafile: unknown key; nearest known key: kafka.tls.ca_file"},
		{"section within as text", "{tls: true}", "kafka.tls: true is a boolean, want keys with values"},
		{"key of the section within above it", "{mechanism: PLAIN}", "kafka.mechanism: unknown key; nearest known key: kafka.sasl.mechanism"},
		{"text for a boolean", "{tls: {enabled: yes}}", `kafka.tls.enabled: "yes" is not understood, want true or false`},
		{"number for a boolean", "{create_topics: 1}", "kafka.create_topics: 1 is a number, want true or false"},
		{"number for a word", "{profile: 1}", "kafka.profile: 1 is a number, want one of kafka, eventhubs"},
		{"authorities without TLS", "{tls: {ca_file: x}}", "kafka.tls.ca_file: says nothing while kafka.tls.enabled is false"},
		{"certificate without key", "{tls: {enabled: true, cert_file: x}}", "kafka.tls.cert_file: a client's certificate takes both kafka.tls.cert_file and kafka.tls.key_file"},
		{"key without certificate", "{tls: {enabled: true, key_file: x}}", "kafka.tls.key_file: a client's certificate takes both"},
		{"password without mechanism", "{sasl: {user: a, password: b}}", "kafka.sasl.password: belongs to PLAIN and SCRAM, and kafka.sasl.mechanism is not set"},
		{"mechanism without user", "{sasl: {mechanism: SCRAM-SHA-256, password: b}}", "kafka.sasl.mechanism: SCRAM-SHA-256 needs kafka.sasl.user"},
		{"mechanism in small letters", "{sasl: {mechanism: plain}}", `kafka.sasl.mechanism: "plain" is not known, want one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER`},
		{"token without source", "{sasl: {mechanism: OAUTHBEARER}}", "kafka.sasl.mechanism: OAUTHBEARER needs kafka.sasl.token_file"},
		{"token and password", "{sasl: {mechanism: OAUTHBEARER, token_file: x, password: y}}", "kafka.sasl.password: belongs to PLAIN and SCRAM, and kafka.sasl.mechanism is OAUTHBEARER"},
		{"token of another mechanism", "{sasl: {mechanism: PLAIN, user: a, token_file: x}}", "kafka.sasl.token_file: belongs to OAUTHBEARER, and kafka.sasl.mechanism is PLAIN"},
		{"event hubs without TLS", "{profile: eventhubs, tls: {enabled: false}}", "kafka.tls.enabled: Event Hubs answers encrypted connections only"},
		{"event hubs by SCRAM", "{profile: eventhubs, sasl: {mechanism: SCRAM-SHA-256, user: a}}", "kafka.sasl.mechanism: Event Hubs knows PLAIN, with a connection string, and OAUTHBEARER, with Entra ID"},
		{"event hubs making topics", "{profile: eventhubs, create_topics: true}", "kafka.create_topics: event hubs are made by ARM"},
		{"event hubs with zstd", "{profile: eventhubs, compression: zstd}", "kafka.compression: Event Hubs takes none, and gzip from the Premium tier on"},
		{"event hubs with large records", "{profile: eventhubs, max_message_bytes: 1MiB}", "kafka.max_message_bytes: 1MiB is above what Event Hubs takes in one request, 1021KiB"},
		{"event hubs with a short session", "{profile: eventhubs, session_timeout: 5s}", "kafka.session_timeout: Event Hubs takes 6s to 5m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Parse("almanac.yaml", []byte("kafka: "+test.kafka+"\n"), nil, nil)
			if err == nil || !strings.Contains(err.Error(), "almanac.yaml:1: "+test.want) {
				t.Fatalf("got %v want %s", err, test.want)
			}
		})
	}
}

// TestSectionsWithinPrint: sections within sections print in both forms.
func TestSectionsWithinPrint(t *testing.T) {
	cfg := parse(t, "kafka: {tls: {enabled: true, ca_file: x.pem}}\n")
	var out strings.Builder
	if err := cfg.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for line := range strings.Lines(out.String()) {
		if text, _, _ := strings.Cut(line, " #"); strings.Contains(line, "tls:") || strings.Contains(line, "a_file") {
			lines = append(lines, strings.TrimRight(text, " \n"))
		}
	}
	if got, want := strings.Join(lines, "|"), `  ca_file: ""|  tls:|    ca_file: "x.pem"`; got != want {
		t.Errorf("got %s want %s", got, want)
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var printed struct {
		Config struct {
			Kafka struct {
				TLS map[string]any `json:"tls"`
			} `json:"kafka"`
		} `json:"config"`
	}
	if err := json.Unmarshal(text, &printed); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"enabled": true, "ca_file": "x.pem", "cert_file": "", "key_file": ""}
	if !reflect.DeepEqual(printed.Config.Kafka.TLS, want) {
		t.Errorf("got %v want %v", printed.Config.Kafka.TLS, want)
	}
}
