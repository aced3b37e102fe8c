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
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return refused("kafka.brokers "+at+" do not know kafka.sasl.mechanism", err, "set kafka.sasl.mechanism to one of those that the brokers have in sasl.enabled.mechanisms for this port")
	case errors.Is(err, kerr.IllegalSaslState):
		return refused("kafka.brokers "+at+" let nobody sign in at this port", err, "remove kafka.sasl, or name the port where they do")
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
	if cut := cutOff(at, err); cut != nil {
		return cut
	}
	return advice.With(fmt.Errorf("kafka.brokers %s do not answer: %w", at, err), silenceRemedy(at))
}

// cutOff is what is wrong with a connection that ended before anything was answered, nil where it is something else. Which
// kind of end it was the client tells in its words only (kgo/errors.go, kgo/broker.go). That a connection was closed may pass: a
// broker that stops does so too.
func cutOff(at string, err error) error {
	for _, one := range []struct {
		words, what, remedy string
		lasting             bool
	}{
		{"immediately after a dial", "close connections that begin with TLS", "set kafka.tls.enabled to false, or name in kafka.brokers the port that speaks TLS", false},
		{"during api versions negotiation", "close connections that begin without TLS", "set kafka.tls.enabled to true, or name in kafka.brokers the port that speaks without", false},
		{
			"immediately after a request was issued", "close connections on which nobody has signed in",
			"set kafka.sasl.mechanism, kafka.sasl.user and kafka.sasl.password, or name in kafka.brokers the port that wants none", false,
		},
		{"appear to be a tls alert", "speak TLS at this port", "set kafka.tls.enabled to true, or name in kafka.brokers the port that speaks without", true},
		{"beginning of an HTTP response", "speak HTTP at this port, not Kafka", "name in kafka.brokers the port that speaks Kafka", true},
	} {
		known := fmt.Errorf("kafka.brokers %s %s", at, one.what)
		switch {
		case !strings.Contains(err.Error(), one.words):
		case one.lasting:
			return &ConfigError{advice.With(known, one.remedy)}
		case isNamespace(at): // which always speaks TLS and wants a signature
			return nil
		default:
			return advice.With(known, one.remedy)
		}
	}
	return nil
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
