package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/cosmos-almanac/almanac/internal/advice"
	"github.com/cosmos-almanac/almanac/internal/entra"
)

// explain tells apart brokers that do not answer, which may pass, and connections that are refused as they are
// configured, which is a *ConfigError. at is kafka.brokers.
func explain(at string, err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	var noToken *entra.Error
	var unresolved *net.DNSError
	switch {
	case errors.As(err, &noToken):
		return fmt.Errorf("kafka.brokers %s: %w", at, noToken)
	case errors.As(err, &unresolved) && unresolved.IsNotFound:
		return advice.With(fmt.Errorf("kafka.brokers: the name %s is not known: %w", unresolved.Name, err), nameRemedy(unresolved.Name))
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return refused("kafka.brokers "+at+" refuse who connects", err, "check kafka.sasl.user, kafka.sasl.password or the token")
	case strings.Contains(err.Error(), "unexpected data in oauth response"): // why not, which the client does not hand on (sasl/oauth)
		return badConfig("kafka.brokers %s refuse the token: is it for them, and still good? (%v)", at, err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return badConfig("kafka.brokers %s do not know kafka.sasl.mechanism: %v", at, err)
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return refused("kafka.brokers "+at+" do not let this user in", err, "grant it Describe on the cluster")
	case errors.As(err, &unknown):
		return refused("kafka.brokers "+at+" show a certificate of an authority that is not known here", err, "give it by kafka.tls.ca_file")
	case errors.As(err, &host), errors.As(err, &invalid):
		return refused("kafka.brokers "+at+" show a certificate that is not valid for them", err, "name them as it does, or renew it")
	case errors.As(err, &noTLS):
		return refused("kafka.brokers "+at+" do not speak TLS at this port", err, "name the port that does, or set kafka.tls.enabled to false")
	case strings.Contains(err.Error(), "remote error: tls:"): // an alert; its type is not exported (crypto/tls)
		return refused("kafka.brokers "+at+" refuse this client's certificate", err, "check kafka.tls.cert_file and kafka.tls.key_file")
	}
	return advice.With(fmt.Errorf("kafka.brokers %s do not answer: %w", at, err), silenceRemedy(at))
}

// refused is that connections are refused as they are configured, with the remedy.
func refused(what string, err error, remedy string) error {
	return &ConfigError{advice.With(fmt.Errorf("%s: %w", what, err), remedy)}
}

// isNamespace says whether a broker's address is an Event Hubs namespace's, of any cloud.
func isNamespace(address string) bool { return strings.Contains(address, ".servicebus.") }

func nameRemedy(name string) string {
	if isNamespace(name) {
		return "check the namespace's name (az eventhubs namespace list), that kafka.brokers is [NAMESPACE.servicebus.windows.net:9093], and, " +
			"with a private endpoint, that this machine asks its DNS zone"
	}
	return "check the name in kafka.brokers, and the brokers' advertised.listeners, and this machine's name service"
}

func silenceRemedy(at string) string {
	if isNamespace(at) {
		return "check that kafka.brokers is [NAMESPACE.servicebus.windows.net:9093], that the namespace is of tier Standard or above, that its networking " +
			"lets this machine's address in, and that the way out is open for port 9093"
	}
	return "look whether they run, whether this machine reaches their host and port (name, firewall), " +
		"and whether the addresses that their advertised.listeners give out can be reached from here"
}

// isRefusal says whether err says that this user may not do what was tried.
func isRefusal(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.GroupAuthorizationFailed) ||
		errors.Is(err, kerr.ClusterAuthorizationFailed)
}
