package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/entra"
)

// nobody is a credential where there is none.
type nobody struct{}

func (nobody) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, azidentity.NewCredentialUnavailableError("failed to acquire a token.\nAttempted credentials:\n\tx")
}

// TestSilenceAdvises: brokers that do not answer are told by what to look at, which is another thing for Event Hubs.
func TestSilenceAdvises(t *testing.T) {
	const namespace, own = "sky.servicebus.windows.net", "kafka-1.example"
	unknown := func(name string) error {
		return fmt.Errorf("unable to dial: %w", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}})
	}
	refused := fmt.Errorf("unable to dial: %w", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")})
	_, noToken := entra.Wrap(nobody{}, "Event Hubs namespace "+namespace, "kafka.sasl.password to the namespace's connection string").GetToken(t.Context(), policy.TokenRequestOptions{})
	for _, test := range []struct {
		name, at string
		err      error
		want     check.Severity
		what     string
		remedies []string
		never    string
	}{
		{
			"namespace of nobody", namespace + ":9093", unknown(namespace), check.Unreachable, "the name " + namespace + " is not known",
			[]string{"check the namespace's name", "[NAMESPACE.servicebus.windows.net:9093]", "private endpoint"},
			"advertised.listeners",
		},
		{
			"namespace is silent", namespace + ":9093", refused, check.Unreachable, namespace + ":9093 do not answer",
			[]string{"Standard or above", "networking", "port 9093"},
			"advertised.listeners",
		},
		{"broker of nobody", own + ":9092", unknown(own), check.Unreachable, "the name " + own + " is not known", []string{"advertised.listeners", "name service"}, "namespace"},
		{"broker is silent", own + ":9092", refused, check.Unreachable, own + ":9092 do not answer", []string{"advertised.listeners", "firewall"}, "namespace"},
		{
			"no credential", namespace + ":9093", fmt.Errorf("sasl: %w", noToken), check.Stop, "no credential of Entra ID was found for Event Hubs namespace " + namespace,
			[]string{"az login", "or set kafka.sasl.password to the namespace's connection string"},
			"port",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := explain(test.at, test.err)
			got := check.Failed("kafka", err)
			if got.Severity != test.want || !strings.Contains(got.Text, test.what) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %+v want %s, and in one line %s", got, test.want, test.what)
			}
			for _, want := range test.remedies {
				if !strings.Contains(got.Remedy, want) || strings.Count(err.Error(), got.Remedy) != 1 {
					t.Errorf("got %q in %q want %q in it, and it once", got.Remedy, err, want)
				}
			}
			if strings.Contains(got.Remedy, test.never) {
				t.Errorf("got %q want nothing of %s", got.Remedy, test.never)
			}
		})
	}
}
