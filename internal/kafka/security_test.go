package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/config"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSettingsThatCannotWork are found before anybody is asked.
func TestSettingsThatCannotWork(t *testing.T) {
	dir := t.TempDir()
	absent, empty := filepath.Join(dir, "absent"), write(t, filepath.Join(dir, "empty"), "\n")
	for _, test := range []struct {
		name string
		cfg  config.Kafka
		want string
	}{
		{"no file of authorities", config.Kafka{TLS: config.KafkaTLS{Enabled: true, CAFile: absent}}, "read kafka.tls.ca_file: open " + absent},
		{"authorities that are none", config.Kafka{TLS: config.KafkaTLS{Enabled: true, CAFile: empty}}, "holds no certificate in PEM form"},
		{"no certificate", config.Kafka{TLS: config.KafkaTLS{Enabled: true, CertFile: absent, KeyFile: absent}}, "read kafka.tls.cert_file and kafka.tls.key_file: open " + absent},
		{"password that is not set", config.Kafka{SASL: config.KafkaSASL{Mechanism: config.ScramSHA512, User: "a"}}, "SCRAM-SHA-512 needs kafka.sasl.password; give a string, {env: NAME} or {file: PATH}"},
		{"no token", config.Kafka{SASL: config.KafkaSASL{Mechanism: config.OAuthBearer, TokenFile: absent}}, "read kafka.sasl.token_file: open " + absent},
		{"empty token", config.Kafka{SASL: config.KafkaSASL{Mechanism: config.OAuthBearer, TokenFile: empty}}, "holds no token: want one line"},
		{"no namespace", config.Kafka{SASL: config.KafkaSASL{Mechanism: config.OAuthBearer}}, "the first one's host is the Event Hubs namespace"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ClientOptions(test.cfg, nil)
			var bad *ConfigError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v want a *ConfigError with %s", err, test.want)
			}
		})
	}
}

// TestTokenIsReadForEveryConnection: whoever keeps the file fresh need not restart anybody.
func TestTokenIsReadForEveryConnection(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "token"), "first\n")
	mechanism, err := mechanismOf(config.Kafka{SASL: config.KafkaSASL{Mechanism: config.OAuthBearer, TokenFile: path}})
	if err != nil {
		t.Fatal(err)
	}
	if mechanism.Name() != "OAUTHBEARER" {
		t.Errorf("got mechanism %s want OAUTHBEARER", mechanism.Name())
	}
	for _, token := range []string{"first", "second"} {
		write(t, path, token+"\n")
		_, message, err := mechanism.Authenticate(t.Context(), "broker:9093")
		if want := "n,,\x01auth=Bearer " + token + "\x01\x01"; err != nil || string(message) != want {
			t.Errorf("got %q, %v want %q", message, err, want)
		}
	}
	write(t, path, "")
	if _, _, err := mechanism.Authenticate(t.Context(), "broker:9093"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v want an error that names %s", err, path)
	}
}

// TestPasswordIsReadForEveryConnection, so that one that is rotated needs no restart.
func TestPasswordIsReadForEveryConnection(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "password"), "first\n")
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			write(t, path, "first\n")
			cfg, err := config.Parse("almanac.yaml", []byte("kafka: {sasl: {mechanism: "+mechanism+", user: a, password: {file: "+path+"}}}"), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			m, err := mechanismOf(cfg.Kafka)
			if err != nil || m.Name() != mechanism {
				t.Fatalf("got %v, %v want %s", m, err, mechanism)
			}
			write(t, path, "second\n")
			_, message, err := m.Authenticate(t.Context(), "broker:9093")
			if want := "\x00a\x00second"; err != nil || mechanism == "PLAIN" && string(message) != want {
				t.Errorf("got %q, %v want %q", message, err, want)
			}
			write(t, path, "")
			if _, _, err := m.Authenticate(t.Context(), "broker:9093"); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v want an error that names %s: nothing older is sent", err, path)
			}
		})
	}
}

// TestEntraScope pins the audience that Event Hubs asks for.
func TestEntraScope(t *testing.T) {
	got, err := entraScope([]string{"sky.servicebus.windows.net:9093"})
	if want := "https://sky.servicebus.windows.net/.default"; err != nil || got != want {
		t.Errorf("got %s, %v want %s", got, err, want)
	}
}

// TestCertificateIsReadForEveryConnection, and a renewed pair that is not complete is an error of that connection.
func TestCertificateIsReadForEveryConnection(t *testing.T) {
	folder := t.TempDir()
	cert, key := pair(t)
	cfg := config.KafkaTLS{Enabled: true, CertFile: write(t, filepath.Join(folder, "c.pem"), cert), KeyFile: write(t, filepath.Join(folder, "c.key"), key)}
	encryption, err := tlsConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if pair, err := encryption.GetClientCertificate(nil); err != nil || len(pair.Certificate) != 1 {
		t.Errorf("got %v, %v want one certificate", pair, err)
	}
	write(t, cfg.KeyFile, "")
	if _, err := encryption.GetClientCertificate(nil); err == nil {
		t.Errorf("got no error want one")
	}
}

// pair makes a certificate that signs itself, and its key, in PEM form.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}
