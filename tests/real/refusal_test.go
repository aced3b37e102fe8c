package real_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// The ports of a broker by what they want of who connects.
const (
	openPort = iota
	tlsPort
	saslPort
	bothPort
	controllerPort
	allPorts
)

// TestRefusalsByKafka: who connects to Apache Kafka otherwise than it wants learns in one line what is wrong, and which setting
// mends it, from `check` and from `run`.
func TestRefusalsByKafka(t *testing.T) {
	onRequest(t)
	ctx := within(t, 3*time.Minute)
	b := newBroker(t)
	b.start(t)
	const right, encrypted = "{mechanism: PLAIN, user: almanac, password: right}", "{enabled: true, ca_file: AUTHORITY}"
	for _, test := range []struct {
		name      string
		port      int
		tls, sasl string
		exit      int
		want      string
	}{
		{"as it wants", bothPort, encrypted, right, 2, "does not exist"},
		{"TLS where there is none", openPort, encrypted, "", 1, "set kafka.tls.enabled to false"},
		{"TLS where there is SASL alone", saslPort, encrypted, right, 1, "set kafka.tls.enabled to false"},
		{"no TLS", tlsPort, "", "", 2, "set kafka.tls.enabled to true"},
		{"SASL without TLS", bothPort, "", right, 2, "set kafka.tls.enabled to true"},
		{"TLS with an authority that is not known", tlsPort, "{enabled: true}", "", 2, "give it by kafka.tls.ca_file"},
		{"no SASL", saslPort, "", "", 1, "set kafka.sasl.mechanism, kafka.sasl.user and kafka.sasl.password"},
		{"TLS without SASL", bothPort, encrypted, "", 1, "set kafka.sasl.mechanism, kafka.sasl.user and kafka.sasl.password"},
		{"SASL where there is none", openPort, "", right, 2, "remove kafka.sasl"},
		{"other mechanism", saslPort, "", "{mechanism: SCRAM-SHA-512, user: almanac, password: right}", 2, "set kafka.sasl.mechanism to one"},
		{"other password", saslPort, "", "{mechanism: PLAIN, user: almanac, password: wrong}", 2, "check kafka.sasl.user, kafka.sasl.password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := b.config(t, test.port, test.tls, test.sasl)
			for _, program := range []string{"producer", "archiver"} {
				for _, verb := range []string{"check", "run"} {
					exit, said := try(ctx, t, program, verb, config)
					lines := 0
					for line := range strings.Lines(said) {
						if strings.Contains(line, test.want) {
							lines++
						}
					}
					if exit != test.exit || lines != 1 {
						t.Errorf("%s %s: got exit code %d\n%swant %d, and one line with %q", program, verb, exit, said, test.exit, test.want)
					}
				}
			}
		})
	}
}

// broker is one node that listens in four ways, and what else the programs need.
type broker struct {
	folder, authority string
	ports             []string
	account           *cosmosfake.Server
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{folder: filepath.Join(components.folder, t.Name())}
	folder := filepath.Join(b.folder, "kafka")
	ok := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(os.MkdirAll(folder, 0o755))
	ok(os.Mkdir(filepath.Join(b.folder, "archive"), 0o755))
	for range allPorts {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		ok(err)
		defer listener.Close()
		_, port, err := net.SplitHostPort(listener.Addr().String())
		ok(err)
		b.ports = append(b.ports, port)
	}
	authority, err := harness.NewAuthority(b.folder, "authority")
	ok(err)
	b.authority = authority.File
	certificate, key, err := authority.Issue("broker")
	ok(err)
	var store []byte
	for _, file := range []string{key, certificate} {
		text, err := os.ReadFile(file)
		ok(err)
		store = append(store, text...)
	}
	ok(os.WriteFile(filepath.Join(b.folder, "store.pem"), store, 0o600))
	listeners := fmt.Sprintf("PLAINTEXT://127.0.0.1:%s,SSL://127.0.0.1:%s,SASL_PLAINTEXT://127.0.0.1:%s,SASL_SSL://127.0.0.1:%s",
		b.ports[openPort], b.ports[tlsPort], b.ports[saslPort], b.ports[bothPort])
	const user = `org.apache.kafka.common.security.plain.PlainLoginModule required user_almanac="right";`
	ok(os.WriteFile(filepath.Join(folder, "further.properties"), []byte(strings.Join([]string{
		"listeners=" + listeners + ",CONTROLLER://127.0.0.1:" + b.ports[controllerPort],
		"advertised.listeners=" + listeners, "inter.broker.listener.name=PLAINTEXT",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + filepath.Join(b.folder, "store.pem"), "sasl.enabled.mechanisms=PLAIN",
		"listener.name.sasl_plaintext.plain.sasl.jaas.config=" + user, "listener.name.sasl_ssl.plain.sasl.jaas.config=" + user, "",
	}, "\n")), 0o600))
	ok(os.WriteFile(filepath.Join(folder, "ports"), []byte(b.ports[openPort]+" "+b.ports[controllerPort]+"\n"), 0o600))
	b.account, err = cosmosfake.New(cosmosfake.Options{})
	ok(err)
	t.Cleanup(func() {
		if err := b.account.Close(); err != nil {
			t.Error(err)
		}
	})
	ok(os.WriteFile(filepath.Join(b.folder, "account.pem"), b.account.CAPEM(), 0o600))
	account := &harness.Account{URL: b.account.URL(), Key: b.account.Key(), Client: b.account.Client()}
	ok(account.CreateDatabase(t.Context(), "shop"))
	ok(account.CreateContainer(t.Context(), "shop", []byte(`{"id":"orders","partitionKey":{"paths":["/pk"],"kind":"Hash","version":2}}`), 1))
	return b
}

func (b *broker) start(t *testing.T) {
	t.Helper()
	folder := filepath.Join(b.folder, "kafka")
	t.Cleanup(func() {
		if err := script("kafka", "stop", folder); err != nil {
			t.Error(err)
		}
	})
	if err := script("kafka", "start", folder); err != nil {
		t.Fatal(err)
	}
}

// config writes almanac.yaml for one port.
func (b *broker) config(t *testing.T, port int, tls, sasl string) string {
	t.Helper()
	text := fmt.Sprintf("archive: {root: %s}\ncosmos: {endpoint: %q, key: %q, ca_file: %s}\n", filepath.Join(b.folder, "archive"),
		b.account.URL(), b.account.Key(), filepath.Join(b.folder, "account.pem"))
	text += "containers: [{database: shop, container: orders, deletes: none}]\nkafka:\n  brokers: [127.0.0.1:" + b.ports[port] + "]\n"
	if tls != "" {
		text += "  tls: " + strings.ReplaceAll(tls, "AUTHORITY", b.authority) + "\n"
	}
	if sasl != "" {
		text += "  sasl: " + sasl + "\n"
	}
	path := filepath.Join(t.TempDir(), "almanac.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// try runs a program to its end, and tells what it said.
func try(ctx context.Context, t *testing.T, program, verb, config string) (exit int, said string) {
	t.Helper()
	command := exec.CommandContext(ctx, filepath.Join(must(t, components.programs), "almanac-"+program), verb, "--config", config)
	out, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(out)
}

// TestAzuriteOfAnotherMachine: an Azurite that is not known to be this machine's is asked by http, with a key, where a setting
// says so.
func TestAzuriteOfAnotherMachine(t *testing.T) {
	onRequest(t)
	ctx := within(t, time.Minute)
	e := at(t, "")
	root := strings.Replace(e.endpoint, "127.0.0.1", "0.0.0.0", 1) + "/" + newContainer(t)
	path := filepath.Join(t.TempDir(), "almanac.yaml")
	for allow, want := range map[bool]struct {
		exit int
		says string
	}{false: {2, "set archive.allow_http"}, true: {0, "is not encrypted, and archive.allow_http lets it be"}} {
		text := fmt.Sprintf("archive: {root: %q, account_key: %q, allow_http: %t}\ncontainers: [{database: shop, container: orders, deletes: none}]\n", root, e.key, allow)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if exit, said := try(ctx, t, "compactor", "check", path); exit != want.exit || !strings.Contains(said, want.says) {
			t.Errorf("allowed %t: got exit code %d\n%swant %d, and %q", allow, exit, said, want.exit, want.says)
		}
	}
}
