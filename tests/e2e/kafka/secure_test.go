package kafka_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const orders = "cosmos.shop.orders"

// secured is a cluster behind TLS and SASL, and what a client needs to get in.
type secured struct {
	cfg       config.Kafka
	authority *harness.Authority
	cluster   *kfake.Cluster
}

func newSecured(t *testing.T, auth tls.ClientAuthType, options ...kfake.Opt) secured {
	t.Helper()
	authority, err := harness.NewAuthority(t.TempDir(), "authority")
	if err != nil {
		t.Fatal(err)
	}
	encryption, err := authority.ServerTLS(auth)
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, kfake.NumBrokers(1), kfake.SeedTopics(2, orders), kfake.TLS(encryption))
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return secured{authority: authority, cluster: cluster, cfg: config.Kafka{
		Brokers: cluster.ListenAddrs(), SessionTimeout: 10 * time.Second, MaxMessageBytes: 1_000_000,
		TLS: config.KafkaTLS{Enabled: true, CAFile: authority.File},
	}}
}

// TestMechanisms gets in by each way that there is.
func TestMechanisms(t *testing.T) {
	for _, mechanism := range []config.Mechanism{config.Plain, config.ScramSHA256, config.ScramSHA512} {
		t.Run(string(mechanism), func(t *testing.T) {
			s := newSecured(t, tls.NoClientCert, kfake.EnableSASL(), kfake.Superuser(string(mechanism), "almanac", "p,a=ss"))
			s.cfg.SASL = config.KafkaSASL{Mechanism: mechanism, User: "almanac", Password: config.NewSecret("p,a=ss")}
			client := newClient(t, optionsOf(t, s.cfg)...)
			if got, err := kafka.Topic(t.Context(), client, orders); err != nil || got != 2 {
				t.Errorf("got %d partitions, %v; want 2", got, err)
			}
		})
	}
	t.Run("certificate", func(t *testing.T) {
		s := newSecured(t, tls.RequireAndVerifyClientCert)
		var err error
		if s.cfg.TLS.CertFile, s.cfg.TLS.KeyFile, err = s.authority.Issue("client"); err != nil {
			t.Fatal(err)
		}
		client := newClient(t, optionsOf(t, s.cfg)...)
		if got, err := kafka.Topic(t.Context(), client, orders); err != nil || got != 2 {
			t.Errorf("got %d partitions, %v; want 2", got, err)
		}
	})
}

// TestRefusals holds the words for every way of not getting in, and whether they stop or may pass.
func TestRefusals(t *testing.T) {
	plain := config.KafkaSASL{Mechanism: config.Plain, User: "almanac", Password: config.NewSecret("right")}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		auth   tls.ClientAuthType
		change func(t *testing.T, s *secured)
		want   check.Severity
		text   string
	}{
		{"right", tls.NoClientCert, func(*testing.T, *secured) {}, check.OK, "answer; the cluster has 1"},
		{"authority not known", tls.NoClientCert, func(_ *testing.T, s *secured) { s.cfg.TLS.CAFile = "" }, check.Stop, " -> give it by kafka.tls.ca_file"},
		{"other authority", tls.NoClientCert, func(t *testing.T, s *secured) {
			other, err := harness.NewAuthority(t.TempDir(), "other")
			if err != nil {
				t.Fatal(err)
			}
			s.cfg.TLS.CAFile = other.File
		}, check.Stop, " -> give it by kafka.tls.ca_file"},
		{"no certificate", tls.RequireAndVerifyClientCert, func(*testing.T, *secured) {}, check.Stop, " -> check kafka.tls.cert_file and kafka.tls.key_file"},
		{"no TLS", tls.NoClientCert, func(_ *testing.T, s *secured) { s.cfg.TLS = config.KafkaTLS{} }, check.Unreachable, " -> set kafka.tls.enabled to true"},
		{"no SASL", tls.NoClientCert, func(_ *testing.T, s *secured) { s.cfg.SASL = config.KafkaSASL{} }, check.Unreachable, " -> set kafka.sasl.mechanism, kafka.sasl.user and kafka.sasl.password"},
		{"token where there are none", tls.NoClientCert, func(_ *testing.T, s *secured) {
			s.cfg.SASL = config.KafkaSASL{Mechanism: config.OAuthBearer, TokenFile: token}
		}, check.Stop, "do not know kafka.sasl.mechanism: UNSUPPORTED_SASL_MECHANISM: The broker does not support the requested SASL mechanism. -> set kafka.sasl.mechanism to one"},
		{"wrong password", tls.NoClientCert, func(_ *testing.T, s *secured) { s.cfg.SASL.Password = config.NewSecret("wrong") }, check.Unreachable, "do not answer"},
		{"name that the certificate has not", tls.NoClientCert, func(t *testing.T, s *secured) {
			_, port, err := net.SplitHostPort(s.cfg.Brokers[0])
			if err != nil {
				t.Fatal(err)
			}
			s.cfg.Brokers = []string{"localhost:" + port}
		}, check.Stop, " -> name them as it does, or renew it"},
		{"password not given", tls.NoClientCert, func(_ *testing.T, s *secured) { s.cfg.SASL.Password = config.Secret{} }, check.Stop, "PLAIN needs kafka.sasl.password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSecured(t, test.auth, kfake.EnableSASL(), kfake.Superuser("PLAIN", "almanac", "right"))
			s.cfg.SASL = plain
			test.change(t, &s)
			findings := kafka.Check(t.Context(), s.cfg, nil)
			if len(findings) == 0 || findings[0].Severity != test.want || !strings.Contains(findings[0].Text+" -> "+findings[0].Remedy, test.text) {
				t.Errorf("got %+v want %s: %s", findings, test.want, test.text)
			}
			if test.want != check.OK && findings[0].Remedy == "" {
				t.Errorf("got no remedy want one")
			}
		})
	}
}
