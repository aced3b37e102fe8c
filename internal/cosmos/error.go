package cosmos

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/cosmos-almanac/almanac/internal/advice"
)

var (
	// ErrTopology reports that the range that was asked for is no longer one physical range: nothing of the answer
	// counts.
	ErrTopology = errors.New("feed range has been split, merged or moved")

	// ErrIncarnation reports that another container stands under the name.
	ErrIncarnation = errors.New("another container stands under this name")
)

// StatusOf is the HTTP status of a refusal in err's chain, 0 when there is none.
func StatusOf(err error) int {
	var e *StatusError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// convert makes an error of azcosmos ours. op names what was asked; the account is added.
func (c *Client) convert(op string, err error) error {
	a, _, err := answerIn(op+" at "+c.host, err)
	if err != nil {
		return err
	}
	return a.refusal()
}

// answerIn finds the service's answer in an error of azcosmos. Its error is ours where there was none.
func answerIn(op string, err error) (a answer, retryAfter time.Duration, _ error) {
	var response *azcore.ResponseError
	if !errors.As(err, &response) || response.RawResponse == nil {
		return a, 0, unanswered(op, err)
	}
	a = answer{op: op, status: response.StatusCode, substatus: substatusOf(response.RawResponse)}
	a.body, _ = runtime.Payload(response.RawResponse) // azcore has read it already; without it the message is empty
	return a, retryAfterOf(response.RawResponse), nil
}

// unanswered describes a request that got no answer and, where it is known, the remedy. A certificate that is not trusted
// is a matter of settings.
func unanswered(op string, err error) error {
	var dialed *net.OpError
	var resolved *net.DNSError
	switch {
	case isUntrusted(err):
		return &codedError{advice.With(fmt.Errorf("%s: %w", op, err), "set cosmos.ca_file to a PEM file of the authority that signed the endpoint's certificate"), 2}
	case errors.As(err, &resolved), errors.As(err, &dialed) && dialed.Op == "dial", errors.Is(err, context.DeadlineExceeded):
		return advice.With(fmt.Errorf("%s: %w", op, err), "check cosmos.endpoint, the name service and the firewalls in between")
	}
	return fmt.Errorf("%s: %w", op, err)
}

func isUntrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &unknown)
}

// badConfig is a setting that cannot work.
func badConfig(format string, args ...any) error {
	return &codedError{fmt.Errorf(format, args...), 2}
}
