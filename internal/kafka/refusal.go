package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// explain tells apart brokers that do not answer, which may pass, and connections that are refused as they are
// configured, which is a *ConfigError. at is kafka.brokers.
func explain(at string, err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return badConfig("kafka.brokers %s refuse who connects: check kafka.sasl.user, kafka.sasl.password or the token: %v", at, err)
	case strings.Contains(err.Error(), "unexpected data in oauth response"): // why not, which the client does not hand on (sasl/oauth)
		return badConfig("kafka.brokers %s refuse the token: is it for them, and still good? (%v)", at, err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return badConfig("kafka.brokers %s do not know kafka.sasl.mechanism: %v", at, err)
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return badConfig("kafka.brokers %s do not let this user in: grant it Describe on the cluster: %v", at, err)
	case errors.As(err, &unknown):
		return badConfig("kafka.brokers %s show a certificate of an authority that is not known here: give it by kafka.tls.ca_file: %v", at, err)
	case errors.As(err, &host), errors.As(err, &invalid):
		return badConfig("kafka.brokers %s show a certificate that is not valid for them: name them as it does, or renew it: %v", at, err)
	case errors.As(err, &noTLS):
		return badConfig("kafka.brokers %s do not speak TLS at this port: name the port that does, or set kafka.tls.enabled to false: %v", at, err)
	case strings.Contains(err.Error(), "remote error: tls:"): // an alert; its type is not exported (crypto/tls)
		return badConfig("kafka.brokers %s refuse this client's certificate: check kafka.tls.cert_file and kafka.tls.key_file: %v", at, err)
	}
	return fmt.Errorf("kafka.brokers %s do not answer; look whether they run, whether this machine reaches their host and port (name, firewall), "+
		"and whether the addresses that their advertised.listeners give out can be reached from here: %w", at, err)
}

// isRefusal says whether err says that this user may not do what was tried.
func isRefusal(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.GroupAuthorizationFailed) ||
		errors.Is(err, kerr.ClusterAuthorizationFailed)
}
