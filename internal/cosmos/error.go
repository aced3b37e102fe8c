package cosmos

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
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
	op += " at " + c.host
	var response *azcore.ResponseError
	if !errors.As(err, &response) || response.RawResponse == nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	a := answer{op: op, status: response.StatusCode}
	a.body, _ = runtime.Payload(response.RawResponse)                                // azcore has read it already; without it the message is empty
	a.substatus, _ = strconv.Atoi(response.RawResponse.Header.Get("X-Ms-Substatus")) // absent is 0
	return a.refusal()
}

// configError is a setting that cannot work.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }
func (e *configError) ExitCode() int { return 2 }

func badConfig(format string, args ...any) error {
	return &configError{fmt.Sprintf(format, args...)}
}
