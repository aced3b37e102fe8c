package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/config"
)

const shop = "containers:\n  - {database: shop, container: products, deletes: none}\n"

// parse parses a text that is valid.
func parse(t *testing.T, text string, environ ...string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("almanac.yaml", []byte(text), environ, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestEveryKeyIsRead(t *testing.T) {
	cfg := parse(t, `
cosmos:
  endpoint: https://sky.documents.azure.com:443/
  key: s3cr3t
  ca_file: ca.pem
kafka:
  brokers: [a:9092, b:9093]
  topic_prefix: night
  profile: eventhubs
  session_timeout: 7s
  max_message_bytes: 500000
  compression: gzip
  create_topics: false
  topic_partitions: 7
  retention: 24h
  tls:
    enabled: true
    ca_file: kafka.pem
    cert_file: client.pem
    key_file: client.key
  sasl:
    mechanism: PLAIN
    user: sky
    password: s3cr3t
archive:
  root: az://sky/archive/night
  sas: sig=s3cr3t
producer:
  group: p
  poll_interval: 100ms
  page_size: 10
  settle: 1s
  mark_interval: 2s
  idle_mark_interval: 3s
  checkpoint_interval: 4s
  idle_checkpoint_interval: 5s
  definition_interval: 6s
  rewind_grace: 7s
archiver:
  group: a
  flush_interval: 8s
  flush_bytes: 1MiB
  control_commit_interval: 9s
compactor:
  memory: 64MiB
  snapshot_interval: 2h
  spill: /spill/c
restorer:
  memory: 32MiB
  spill: /spill/r
  concurrency: 3
service:
  listen: :9090
  log_level: debug
  log_format: json
  shutdown_grace: 1m
containers:
  - database: shop
    container: products
    topic: all
    start: now
    deletes: soft
    soft_delete: {path: /meta/deleted, value: 9007199254740993123}
  - database: shop
    container: orders
    deletes: none
`)
	want := config.Config{
		Cosmos: config.Cosmos{Endpoint: "https://sky.documents.azure.com:443/", Key: config.NewSecret("s3cr3t"), CAFile: "ca.pem", Account: "sky"},
		Kafka: config.Kafka{
			Brokers: []string{"a:9092", "b:9093"}, Profile: config.ProfileEventHubs, TopicPrefix: "night", SessionTimeout: 7 * time.Second,
			MaxMessageBytes: 500000, Compression: config.CompressionGzip, TopicPartitions: 7, Retention: 24 * time.Hour,
			TLS:  config.KafkaTLS{Enabled: true, CAFile: "kafka.pem", CertFile: "client.pem", KeyFile: "client.key"},
			SASL: config.KafkaSASL{Mechanism: config.Plain, User: "sky", Password: config.NewSecret("s3cr3t")},
		},
		Archive:   config.Archive{Root: "az://sky/archive/night", SAS: config.NewSecret("sig=s3cr3t")},
		Compactor: config.Compactor{Memory: 64 << 20, SnapshotInterval: 2 * time.Hour, Spill: "/spill/c"},
		Restorer:  config.Restorer{Memory: 32 << 20, Spill: "/spill/r", Concurrency: 3},
		Archiver:  config.Archiver{Group: "a", FlushInterval: 8 * time.Second, FlushBytes: 1 << 20, ControlCommitInterval: 9 * time.Second},
		Producer: config.Producer{
			Root: "az://sky/archive/night", Group: "p", PollInterval: 100 * time.Millisecond, PageSize: 10, Settle: time.Second,
			MarkInterval: 2 * time.Second, IdleMarkInterval: 3 * time.Second, CheckpointInterval: 4 * time.Second,
			IdleCheckpointInterval: 5 * time.Second, DefinitionInterval: 6 * time.Second, RewindGrace: 7 * time.Second,
		},
		Service: config.Service{Listen: ":9090", LogLevel: "debug", LogFormat: "json", ShutdownGrace: time.Minute},
		Containers: []config.Container{
			{
				Database: "shop", Container: "products", Topic: "all", Start: config.StartNow, Deletes: config.DeletesSoft,
				SoftDelete: &config.SoftDelete{Path: "/meta/deleted", Value: json.RawMessage("9007199254740993123")},
			},
			{Database: "shop", Container: "orders", Topic: "night.shop.orders", Start: config.StartBeginning, Deletes: config.DeletesNone},
		},
	}
	got, expected := reflect.ValueOf(*cfg), reflect.ValueOf(want)
	for i := range got.NumField() {
		if field := got.Type().Field(i); field.IsExported() && !reflect.DeepEqual(got.Field(i).Interface(), expected.Field(i).Interface()) {
			t.Errorf("%s: got %+v want %+v", field.Name, got.Field(i), expected.Field(i))
		}
	}
}

// TestProblems holds every kind of bad input to its words: place, key, remedy.
func TestProblems(t *testing.T) {
	const choices = "say deletes: none (documents are never deleted) or deletes: soft (with soft_delete: {path: /deleted, value: true})"
	for _, test := range []struct{ name, text, want string }{
		{"unknown key", "kafka:\n  sesion_timeout: 1s\n", "almanac.yaml:2: kafka.sesion_timeout: unknown key; nearest known key: kafka.session_timeout"},
		{"key of a later version", "cosmos:\n  mode: all\n", "almanac.yaml:2: cosmos.mode: unknown key; nearest known key: cosmos.key"},
		{"unknown section", "kafak: {}\n", "almanac.yaml:1: kafak: unknown key; nearest known key: kafka"},
		{"key without its section", "flush_bytes: 1MiB\n", "almanac.yaml:1: flush_bytes: unknown key; nearest known key: archiver.flush_bytes"},
		{"key of another section", "kafka: {flush_bytes: 1MiB}\n", "almanac.yaml:1: kafka.flush_bytes: unknown key; nearest known key: archiver.flush_bytes"},
		{"key twice", "kafka: {}\nkafka: {}\n", `almanac.yaml:2: column 1: mapping key "kafka" already defined at [1:1]`},
		{"no YAML", "kafka: [\n", "almanac.yaml:1: column 8: sequence end token ']' not found"},
		{"text", "hello\n", `almanac.yaml:1: configuration: "hello" is text, want keys with values`},
		{"two documents", "kafka: {}\n---\nkafka: {}\n", "almanac.yaml:3: a second document; one file holds one configuration"},
		{"section as list", "kafka: [a]\n", "almanac.yaml:1: kafka: is a list, want keys with values"},
		{"alias", "kafka: &k {}\n", "almanac.yaml:1: kafka: &k {}: anchors, aliases and tags are not read here, want keys with values"},
		{"no value", "archive:\n  root:\n", "almanac.yaml:2: archive.root: has no value, want a string"},
		{"number for string", "archive: {root: 12}\n", "almanac.yaml:1: archive.root: 12 is a number, want a string"},
		{"boolean for duration", "producer: {settle: true}\n", "almanac.yaml:1: producer.settle: true is a boolean, want a duration such as 45s or 168h"},
		{"duration without unit", "producer: {settle: 45}\n", `almanac.yaml:1: producer.settle: "45" is not understood, want a duration such as 45s or 168h`},
		{"size with an unknown unit", "archiver: {flush_bytes: 64M}\n", `almanac.yaml:1: archiver.flush_bytes: "64M" is not understood, want a size such as 64MiB`},
		{"size beyond 63 bits", "archiver: {flush_bytes: 9999999999TiB}\n", `"9999999999TiB" is not understood`},
		{"fraction for a whole number", "restorer: {concurrency: 1.5}\n", "almanac.yaml:1: restorer.concurrency: 1.5 is a number, want a whole number"},
		{"below the least", "kafka: {session_timeout: 10ms}\n", "almanac.yaml:1: kafka.session_timeout: 10ms is below the least, 500ms"},
		{"above the most", "restorer: {concurrency: 5000}\n", "almanac.yaml:1: restorer.concurrency: 5000 is above the most, 256"},
		{"negative duration", "producer: {settle: -1s}\n", "almanac.yaml:1: producer.settle: -1s is below the least, 0s"},
		{"word that is not known", "service: {log_level: loud}\n", `almanac.yaml:1: service.log_level: "loud" is not known, want one of debug, info, warn, error`},
		{"string for a list", "kafka: {brokers: a:1}\n", `almanac.yaml:1: kafka.brokers: "a:1" is text, want a list, in brackets: [a, b]`},
		{"number in a list", "kafka:\n  brokers:\n  - 1\n", "almanac.yaml:3: kafka.brokers: 1 is a number, want a string"},
		{"broker without port", "kafka: {brokers: [a]}\n", `almanac.yaml:1: kafka.brokers: "a" is no address, want host:port`},
		{"endpoint without TLS", "cosmos: {endpoint: 'http://localhost:8081/'}\n", `almanac.yaml:1: cosmos.endpoint: "http://localhost:8081/" is not encrypted, and only https:// is spoken; ` +
			`an emulator speaks it too (the Linux one with --protocol https), and cosmos.ca_file takes its certificate`},
		{"endpoint without scheme", "cosmos: {endpoint: sky.documents.azure.com}\n", `almanac.yaml:1: cosmos.endpoint: "sky.documents.azure.com" is no address of an account, want https://<account>.documents.azure.com:443/`},
		{"port beyond all", "kafka: {brokers: ['a:99999']}\n", `almanac.yaml:1: kafka.brokers: "a:99999" is no address, want host:port`},
		{"listen on no port", "service: {listen: ':99999'}\n", `almanac.yaml:1: service.listen: ":99999" is no address, want host:port or :port`},
		{"listen without port", "service: {listen: localhost}\n", `almanac.yaml:1: service.listen: "localhost" is no address, want host:port or :port`},
		{"one group for two", "archiver: {group: almanac-producer}\n", `almanac.yaml:1: archiver.group: "almanac-producer" is the producer's group too; the archiver reads on its own`},
		{"idle more often than busy", "producer:\n  mark_interval: 90s\n  idle_mark_interval: 80s\n", "almanac.yaml:3: producer.idle_mark_interval: is shorter than producer.mark_interval"},
		{"root with a signature", "archive: {root: 'https://sky.blob.core.windows.net/a?sig=x'}\n", "almanac.yaml:1: archive.root: holds a query or a user; a root is printed, so a shared access signature goes into archive.sas"},
		{"two ways to prove who one is", "archive:\n  account_key: a\n  sas: b\n", "almanac.yaml:3: archive.sas: archive.account_key is set too; keep one of them, or none to use Entra ID"},
		{"secret of an unknown kind", "cosmos: {key: {vault: x}}\n", "almanac.yaml:1: cosmos.key.vault: unknown key; nearest known key: cosmos.key.file"},
		{"secret as number", "cosmos: {key: 5}\n", "almanac.yaml:1: cosmos.key: want a string, {env: NAME} or {file: PATH}"},
		{"secret of two kinds", "cosmos: {key: {env: A, file: b}}\n", "almanac.yaml:1: cosmos.key: want a string, {env: NAME} or {file: PATH}"},
		{"containers as mapping", "containers: {a: b}\n", "almanac.yaml:1: containers: is a mapping, want a list"},
		{"container without a name", "containers:\n  - database: shop\n    deletes: none\n", "almanac.yaml:2: containers[0]: database and container are needed"},
		{"container without deletes", "containers:\n  - database: shop\n    container: products\n", "almanac.yaml:2: containers[0] shop.products: how documents are deleted is not declared; " + choices},
		{"hard deletes", "containers:\n  - {database: shop, container: products, deletes: hard}\n", "deletes: hard is not followed by this version: a document that is deleted leaves no trace in the LatestVersion change feed, so no restore could know of it; mark documents as deleted instead, and " + choices},
		{"unknown deletes", "containers:\n  - {database: shop, container: products, deletes: sfot}\n", `almanac.yaml:2: containers[0] shop.products: deletes "sfot" is not known; ` + choices},
		{"soft without a rule", "containers:\n  - {database: shop, container: products, deletes: soft}\n", "almanac.yaml:2: containers[0] shop.products: deletes: soft needs soft_delete: {path: /deleted, value: true}"},
		{"rule without soft", "containers:\n  - {database: shop, container: products, deletes: none, soft_delete: {path: /d, value: true}}\n", "soft_delete contradicts deletes: none"},
		{"rule without value", "containers:\n  - {database: shop, container: products, deletes: soft, soft_delete: {path: /d}}\n", "containers[0].soft_delete: want {path: /deleted, value: true}"},
		{"rule with a bad path", "containers:\n  - {database: shop, container: products, deletes: soft, soft_delete: {path: deleted, value: true}}\n", `containers[0].soft_delete.path: "deleted" is text, want the path of a property such as /deleted`},
		{"rule with a list", "containers:\n  - {database: shop, container: products, deletes: soft, soft_delete: {path: /d, value: [1]}}\n", "containers[0].soft_delete.value: is a list, want a JSON string, number, boolean or null"},
		{"rule with a number that JSON does not know", "containers:\n  - {database: shop, container: products, deletes: soft, soft_delete: {path: /d, value: 0x10}}\n", "containers[0].soft_delete.value: 0x10 is a number, want a JSON string, number, boolean or null"},
		{"unknown start", "containers:\n  - {database: shop, container: products, deletes: none, start: later}\n", `start "later" is not known, want beginning or now`},
		{"unknown key of a container", "containers:\n  - database: shop\n    container: products\n    delete: none\n", "almanac.yaml:4: containers[0].delete: unknown key; nearest known key: containers[0].deletes"},
		{"container twice", shop + "  - {database: shop, container: products, deletes: none}\n", "almanac.yaml:3: containers[1] shop.products: has the same name as containers[0]"},
		{"two containers with one name", "containers:\n  - {database: a.b, container: c, deletes: none}\n  - {database: a, container: b.c, deletes: none}\n", "containers[1] a.b.c: has the same name as containers[0]"},
		{"name that makes no topic", "containers:\n  - {database: shop, container: prodüct, deletes: none}\n", `"cosmos.shop.prodüct" is no topic: letters, digits, . _ and -, 249 at most; give another by topic`},
		{"topic that is no folder", "containers:\n  - {database: shop, container: products, deletes: none, topic: ..}\n", `".." is no topic`},
		{"name that is none in Cosmos DB", "containers:\n  - {database: shop, container: a/b, deletes: none, topic: x}\n", `"a/b" is no name in Cosmos DB`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Parse("almanac.yaml", []byte(test.text), nil, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v want %s", err, test.want)
			}
			if err.(*config.Error).ExitCode() != 2 {
				t.Errorf("got exit code %d want 2", err.(*config.Error).ExitCode())
			}
		})
	}
}

func TestAllProblemsAreNamedAtOnce(t *testing.T) {
	_, err := config.Parse("a.yaml", []byte("kafka:\n  session_timeout: 1\n  brokers: x\ncontainers:\n- database: d\n  container: c\n"),
		[]string{"ALMANAC_PRODUCER_SETTLE=soon", "ALMANAC_KAFKA_SESION_TIMEOUT=1s", "ALMANAC_SERVICE_HOST=10.0.0.1", "ALMANAC_CONFIG=a.yaml"},
		map[string]string{"restorer.concurrency": "many", "no.such": "x"})
	want := []string{
		"a.yaml:2: ", "a.yaml:3: ", "environment ALMANAC_PRODUCER_SETTLE: producer.settle: ",
		"environment ALMANAC_KAFKA_SESION_TIMEOUT: unknown variable; nearest known variable: ALMANAC_KAFKA_SESSION_TIMEOUT",
		"override: no.such: unknown key", "--restorer-concurrency: restorer.concurrency: ", "a.yaml:5: containers[0] d.c: ",
	}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d problems %q want %d", len(lines), lines, len(want))
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("got %q want it to begin with %q", lines[i], want[i])
		}
	}
}

func TestPrecedence(t *testing.T) {
	file, variable, flag := "kafka: {topic_prefix: file}\n", "ALMANAC_KAFKA_TOPIC_PREFIX=variable", map[string]string{"kafka.topic_prefix": "flag"}
	for _, test := range []struct {
		name, file   string
		environ      []string
		overrides    map[string]string
		want, origin string
	}{
		{"default", "", nil, nil, "cosmos", "default"},
		{"file", file, nil, nil, "file", "almanac.yaml:1"},
		{"empty variable is not set", file, []string{"ALMANAC_KAFKA_TOPIC_PREFIX="}, nil, "file", "almanac.yaml:1"},
		{"variable over file", file, []string{variable}, nil, "variable", "environment ALMANAC_KAFKA_TOPIC_PREFIX"},
		{"flag over variable", file, []string{variable}, flag, "flag", "--kafka-topic-prefix"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, err := config.Parse("almanac.yaml", []byte(test.file), test.environ, test.overrides)
			if err != nil {
				t.Fatal(err)
			}
			if got := cfg.Kafka.TopicPrefix; got != test.want || cfg.Origin("kafka.topic_prefix") != test.origin {
				t.Errorf("got %s from %s want %s from %s", got, cfg.Origin("kafka.topic_prefix"), test.want, test.origin)
			}
		})
	}
}

// TestTable states what the rest of the package relies on: every setting can be
// explained and addressed, every number has limits and a default within them.
func TestTable(t *testing.T) {
	settings := config.Settings()
	if len(settings) < 30 {
		t.Fatalf("got %d settings want all of them", len(settings))
	}
	seen := map[string]bool{}
	for _, setting := range settings {
		if setting.Help == "" || setting.Hint == "" || seen[setting.Flag] || seen[setting.Env] || !strings.HasPrefix(setting.Env, config.Prefix) {
			t.Errorf("got %+v want help, a hint, and a flag and a variable of its own", setting)
		}
		seen[setting.Flag], seen[setting.Env] = true, true
	}
	root := reflect.TypeFor[config.Config]()
	for i := range root.NumField() {
		section := root.Field(i)
		if section.Type.Kind() != reflect.Struct {
			continue
		}
		for j := range section.Type.NumField() {
			field := section.Type.Field(j)
			if kind := field.Type.Kind(); kind != reflect.Int64 && kind != reflect.Int {
				continue
			}
			path := section.Tag.Get("yaml") + "." + field.Tag.Get("yaml")
			for _, limit := range []string{"min", "max"} {
				value := field.Tag.Get(limit)
				if _, err := config.Parse("", nil, nil, map[string]string{path: value}); err != nil && !strings.Contains(err.Error(), "is shorter than") {
					t.Errorf("%s: got %v for its %s %q want it to be allowed", path, err, limit, value)
				}
			}
			if field.Tag.Get("default") == "" {
				t.Errorf("%s: got no default want one", path)
			}
		}
	}
}

func TestPrintedConfigurationIsReadBackAsItself(t *testing.T) {
	cfg := parse(t, `
producer: {settle: 90s}
archiver: {flush_bytes: 65537}
cosmos: {key: abc}
kafka: {brokers: ["a:1", "b:2"], topic_prefix: "it's \"quoted\" # not", create_topics: true, tls: {enabled: true}, sasl: {mechanism: SCRAM-SHA-512, user: "$x: y"}}
compactor: {snapshot_interval: 1h30m}
containers:
  - {database: "sh op", container: "1.0", topic: t, deletes: soft, soft_delete: {path: /d, value: 1.0}}
  - {database: a, container: b, topic: t, deletes: soft, soft_delete: {path: /d, value: ~}}
  - {database: a, container: c, topic: t, deletes: soft, soft_delete: {path: /d, value: 1e400}}
  - {database: a, container: d, topic: t, deletes: soft, soft_delete: {path: /d, value: "1e400"}}
`)
	var first, second bytes.Buffer
	if err := cfg.WriteYAML(&first); err != nil {
		t.Fatal(err)
	}
	again := parse(t, first.String())
	if err := again.WriteYAML(&second); err != nil {
		t.Fatal(err)
	}
	withoutOrigins := func(text string) string {
		var out []string
		for line := range strings.Lines(text) {
			out = append(out, strings.TrimRight(line[:max(strings.LastIndex(line, "# "), 0)], " "))
		}
		return strings.Join(out, "\n")
	}
	if got, want := withoutOrigins(second.String()), withoutOrigins(first.String()); got != want {
		t.Errorf("got %s want %s", got, want)
	}
	if !reflect.DeepEqual(again.Containers, cfg.Containers) || string(again.Containers[0].SoftDelete.Value) != "1.0" || string(again.Containers[2].SoftDelete.Value) != "1e400" {
		t.Errorf("got %+v want %+v", again.Containers, cfg.Containers)
	}
}

func TestSecretNeverPrints(t *testing.T) {
	cfg := parse(t, "cosmos: {key: s3cr3t}\nkafka: {sasl: {mechanism: PLAIN, user: sky, password: s3cr3t}}\n")
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d\n", cfg.Cosmos, cfg.Cosmos, cfg.Cosmos, cfg.Cosmos.Key, cfg.Cosmos.Key, cfg.Cosmos.Key, cfg.Cosmos.Key)
	fmt.Fprintf(&out, "%v %#v %+v\n", *cfg, &cfg.Cosmos, cfg.Kafka)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", cfg.Cosmos.Key, "cosmos", cfg.Cosmos)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", cfg.Cosmos.Key, "cosmos", cfg.Cosmos)
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	if err := cfg.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"s3cr3t", fmt.Sprintf("%x", "s3cr3t")} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("got %s want no %s in it", out.String(), leak)
		}
	}
	if got, err := cfg.Cosmos.Key.Reveal(); got != "s3cr3t" || err != nil {
		t.Errorf("got %q, %v want s3cr3t", got, err)
	}
}

func TestSecretReferences(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, text string
		environ    []string
		want, err  string
	}{
		{"plain", "cosmos: {key: plain}", nil, "plain", ""},
		{"variable", "cosmos: {key: {env: K}}", []string{"K=from variable"}, "from variable", ""},
		{"file", "cosmos: {key: {file: " + file + "}}", nil, "from file", ""},
		{"setting's own variable", "cosmos: {key: {env: K}}", []string{"ALMANAC_COSMOS_KEY=own"}, "own", ""},
		{"variable that is not set", "cosmos: {key: {env: K}}", nil, "", "read cosmos.key: environment variable K is not set; set K for this process, or give cosmos.key by {file: PATH}"},
		{"file that is absent", "cosmos: {key: {file: /absent}}", nil, "", "read cosmos.key: open /absent: no such file or directory; let this process read that file, or name another by cosmos.key"},
		{"nothing", "", nil, "", "secret is not set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parse(t, test.text, test.environ...).Cosmos.Key.Reveal()
			if got != test.want || (err == nil) != (test.err == "") || (err != nil && err.Error() != test.err) {
				t.Errorf("got %q, %v want %q, %q", got, err, test.want, test.err)
			}
		})
	}
}

// TestSecretOfAFileIsReadAgain: a key that is rotated, or a signature that is renewed, needs no restart.
func TestSecretOfAFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	cfg := parse(t, "cosmos: {key: {file: "+file+"}}")
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := cfg.Cosmos.Key.Reveal(); got != want || err != nil {
			t.Errorf("got %q, %v want %q", got, err, want)
		}
	}
}

// TestReferencesAdvise: what is not there has a remedy, and a relative path says from where.
func TestReferencesAdvise(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, text, what, remedy string }{
		{"variable", "cosmos: {key: {env: K}}", "environment variable K is not set", "set K for this process, or give cosmos.key by {file: PATH}"},
		{"file", "cosmos: {key: {file: /absent}}", "open /absent: no such file", "let this process read that file, or name another by cosmos.key"},
		{"relative file", "cosmos: {key: {file: absent}}", "open absent: no such file or directory in " + here, "it is not relative to almanac.yaml"},
	} {
		_, err := parse(t, test.text).Cosmos.Key.Reveal()
		var got *config.ReferenceError
		if !errors.As(err, &got) {
			t.Fatalf("%s: got %v want a *ReferenceError", test.name, err)
		}
		if what, remedy := got.Advice(); !strings.Contains(what, test.what) || !strings.Contains(remedy, test.remedy) || what+"; "+remedy != err.Error() {
			t.Errorf("%s: got %q, %q want %q, %q", test.name, what, remedy, test.what, test.remedy)
		}
	}
	if err := os.WriteFile("ca.pem", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := config.ReadFile("cosmos.ca_file", "ca.pem"); err != nil || string(text) != "x" {
		t.Errorf("got %q, %v want x, from where the process was started", text, err)
	}
}

func TestRequire(t *testing.T) {
	empty := parse(t, "")
	err := empty.Require("cosmos.endpoint", "cosmos.key", "kafka.brokers", "kafka.topic_prefix", "containers")
	want := `almanac.yaml: cosmos.endpoint is needed and not set; set it there, by --cosmos-endpoint or by ALMANAC_COSMOS_ENDPOINT
almanac.yaml: cosmos.key is needed and not set; set it there, by --cosmos-key or by ALMANAC_COSMOS_KEY
almanac.yaml: kafka.brokers is needed and not set; set it there, by --kafka-brokers or by ALMANAC_KAFKA_BROKERS
almanac.yaml: containers: at least one container is needed`
	if err == nil || err.Error() != want {
		t.Errorf("got %v want %s", err, want)
	}
	if err := parse(t, shop).Require("containers", "service.log_level"); err != nil {
		t.Errorf("got %v want nothing missing", err)
	}
}

func TestTopicsGroupContainers(t *testing.T) {
	cfg := parse(t, `containers:
  - {database: shop, container: reviews, topic: all, deletes: none}
  - {database: shop, container: orders, deletes: none}
  - {database: shop, container: products, topic: all, deletes: none}
`)
	var got []string
	for _, topic := range cfg.Topics() {
		for _, one := range topic.Containers {
			got = append(got, topic.Name+" "+one.Name())
		}
	}
	want := []string{"all shop.products", "all shop.reviews", "cosmos.shop.orders shop.orders"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q want %q", got, want)
	}
}

func TestAccount(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://sky.documents.azure.com:443/": "sky",
		"https://localhost:8081/":              "localhost",
		"https://127.0.0.1:8081":               "127.0.0.1",
		"https://[::1]:8081/":                  "::1",
	} {
		cfg, err := config.Parse("", nil, nil, map[string]string{"cosmos.endpoint": endpoint})
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Cosmos.Account; got != want {
			t.Errorf("%s: got %s want %s", endpoint, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]config.Bytes{"0": 0, "17": 17, "1KiB": 1024, "1 MiB": 1 << 20, "64MiB": 64 << 20, "1kB": 1000, "2MB": 2e6, "3B": 3, "1TiB": 1 << 40} {
		got, err := config.ParseBytes(text)
		if got != want || err != nil {
			t.Errorf("%s: got %d, %v want %d", text, got, err, want)
		}
		if again, err := config.ParseBytes(got.String()); again != want || err != nil {
			t.Errorf("%s: got %d, %v for its own %s want %d", text, again, err, got, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "1mib", "9223372036854775807KiB", "1MiBMiB"} {
		if got, err := config.ParseBytes(text); err == nil {
			t.Errorf("%q: got %d want an error", text, got)
		}
	}
}

// FuzzParse holds any file to one of two ends: an *Error, or a configuration
// that prints and is read back.
func FuzzParse(f *testing.F) {
	f.Add(shop)
	f.Add("kafka: {brokers: [a:1]}\ncosmos: {key: {env: X}}\n")
	f.Add("containers:\n- database: d\n  container: c\n  deletes: soft\n  soft_delete: {path: /d, value: 1e400}\n")
	f.Add("? a\n: *b\n<<: &c [x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := config.Parse("almanac.yaml", []byte(text), nil, nil)
		if err != nil {
			if _, ok := err.(*config.Error); !ok {
				t.Fatalf("got %T want *config.Error", err)
			}
			return
		}
		var out bytes.Buffer
		if err := cfg.WriteYAML(&out); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse("almanac.yaml", out.Bytes(), nil, nil); err != nil {
			t.Fatalf("got %v for %s want it to be read back", err, out.String())
		}
	})
}
