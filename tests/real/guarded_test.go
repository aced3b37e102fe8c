package real_test

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// guarded is one broker of Apache Kafka that has further listeners, at which it may show a certificate, and ask who connects.
type guarded struct {
	authority *harness.Authority // of the certificate
	at        map[string]string  // the listeners' addresses by name; at plaintext everybody comes in, as nobody
}

const plaintext = "PLAINTEXT"

// newGuarded starts one with a listener of each name and security protocol, and further settings.
func newGuarded(t *testing.T, protocols map[string]string, settings ...string) *guarded {
	t.Helper()
	folder := filepath.Join(components.folder, t.Name(), "kafka")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(os.MkdirAll(folder, 0o755))
	authority, err := harness.NewAuthority(folder, "authority")
	ok(err)
	certificate, key, err := authority.Issue("server")
	ok(err)
	pair := filepath.Join(folder, "server")
	ok(join(pair, key, certificate))

	names := slices.Sorted(maps.Keys(protocols))
	addresses := freeAddresses(t, 2+len(names))
	open, controller := addresses[0], addresses[1]
	g := &guarded{authority: authority, at: map[string]string{plaintext: open}}
	listeners, protocolOf := plaintext+"://"+open, "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
	for i, name := range names {
		g.at[name] = addresses[2+i]
		listeners += "," + name + "://" + g.at[name]
		protocolOf += "," + name + ":" + protocols[name]
	}
	settings = append([]string{
		"listeners=" + listeners + ",CONTROLLER://" + controller, "advertised.listeners=" + listeners, "listener.security.protocol.map=" + protocolOf,
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + pair, "ssl.truststore.type=PEM", "ssl.truststore.location=" + authority.File,
	}, settings...)
	ok(os.WriteFile(filepath.Join(folder, "further.properties"), []byte(strings.Join(settings, "\n")+"\n"), 0o600))
	ports := strings.NewReplacer("127.0.0.1:", "").Replace(open + " " + controller + "\n")
	ok(os.WriteFile(filepath.Join(folder, "ports"), []byte(ports), 0o600))
	startKafka(t, folder)
	return g
}

// join writes files one behind the other.
func join(to string, files ...string) error {
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all = append(all, text...)
	}
	return os.WriteFile(to, all, 0o600)
}

// freeAddresses are of the kernel's choice. Somebody else may take one before it is used, which fails the test.
func freeAddresses(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }() // it gave us a number, which is all
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses
}
