package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/entra"
)

// securityOptions encrypt connections and prove who connects. Files that cannot be read, and secrets that are not there,
// are found now and not at the first connection.
func securityOptions(cfg config.Kafka) ([]kgo.Opt, error) {
	var options []kgo.Opt
	if cfg.TLS.Enabled {
		encryption, err := tlsConfig(cfg.TLS)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(encryption))
	}
	mechanism, err := mechanismOf(cfg)
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		options = append(options, kgo.SASL(mechanism))
	}
	return options, nil
}

// tlsConfig trusts the system's authorities and those of the file. A client's certificate is read for every connection,
// so that one that is renewed needs no restart.
func tlsConfig(cfg config.KafkaTLS) (*tls.Config, error) {
	encryption := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		text, err := config.ReadFile("kafka.tls.ca_file", cfg.CAFile)
		if err != nil {
			return nil, badConfig("%w", err)
		}
		encryption.RootCAs, err = x509.SystemCertPool()
		if err != nil {
			encryption.RootCAs = x509.NewCertPool()
		}
		if !encryption.RootCAs.AppendCertsFromPEM(text) {
			return nil, badConfig("read kafka.tls.ca_file: %s holds no certificate in PEM form", cfg.CAFile)
		}
	}
	if cfg.CertFile == "" {
		return encryption, nil
	}
	if _, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile); err != nil {
		return nil, badConfig("read kafka.tls.cert_file and kafka.tls.key_file: %v", err)
	}
	encryption.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read kafka.tls.cert_file and kafka.tls.key_file: %w", err)
		}
		return &pair, nil
	}
	return encryption, nil
}

// mechanismOf is nil where nobody has to prove anything.
func mechanismOf(cfg config.Kafka) (sasl.Mechanism, error) {
	s := cfg.SASL
	switch s.Mechanism {
	case "":
		return nil, nil
	case config.OAuthBearer:
		return bearer(cfg)
	case config.Plain, config.ScramSHA256, config.ScramSHA512:
	}
	if !s.Password.IsSet() {
		return nil, badConfig("kafka.sasl.mechanism %s needs kafka.sasl.password; give a string, {env: NAME} or {file: PATH}", s.Mechanism)
	}
	if _, err := s.Password.Reveal(); err != nil { // it names the setting, and what to do
		return nil, badConfig("%w", err)
	}
	// For every connection anew: a password in a file may be rotated.
	byScram := func(context.Context) (scram.Auth, error) {
		password, err := s.Password.Reveal()
		return scram.Auth{User: s.User, Pass: password}, err
	}
	switch s.Mechanism {
	case config.ScramSHA256:
		return scram.Sha256(byScram), nil
	case config.ScramSHA512:
		return scram.Sha512(byScram), nil
	default:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := s.Password.Reveal()
			return plain.Auth{User: s.User, Pass: password}, err
		}), nil
	}
}

// bearer takes a new token for every connection: from the file, which somebody else keeps fresh, or from Entra ID.
func bearer(cfg config.Kafka) (sasl.Mechanism, error) {
	if file := cfg.SASL.TokenFile; file != "" {
		if _, err := tokenOfFile(file); err != nil {
			return nil, badConfig("%w", err)
		}
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := tokenOfFile(file)
			return oauth.Auth{Token: token}, err
		}), nil
	}
	scope, err := entraScope(cfg.Brokers)
	if err != nil {
		return nil, err
	}
	credential, err := entra.Default("Event Hubs namespace "+strings.TrimSuffix(strings.TrimPrefix(scope, "https://"), "/.default"),
		"kafka.sasl.password to the namespace's connection string")
	if err != nil {
		return nil, badConfig("%w", err)
	}
	return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		return oauth.Auth{Token: token.Token}, err
	}), nil
}

func tokenOfFile(path string) (string, error) {
	text, err := config.ReadFile("kafka.sasl.token_file", path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\x01\r\n") {
		return "", fmt.Errorf("read kafka.sasl.token_file: %s holds no token: want one line", path)
	}
	return token, nil
}

// entraScope is what a token must be good for: the namespace, which is the host of the broker.
func entraScope(brokers []string) (string, error) {
	if len(brokers) == 0 {
		return "", badConfig("kafka.brokers is needed: the first one's host is the Event Hubs namespace")
	}
	host, _, err := net.SplitHostPort(brokers[0])
	if err != nil {
		return "", badConfig("kafka.brokers: %q is no address, want <namespace>.servicebus.windows.net:9093", brokers[0])
	}
	return "https://" + host + "/.default", nil
}
