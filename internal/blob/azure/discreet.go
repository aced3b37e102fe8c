package azure

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// discreet sends requests by another transport and cuts the query from the address that an error of it names: the query
// may be a shared access signature, and errors are printed and logged. It stands below the SDK, which makes texts of
// errors. Refusals by the service are told by ServiceError, which shows no address.
type discreet struct{ inner policy.Transporter }

// Do implements policy.Transporter.
func (d discreet) Do(request *http.Request) (*http.Response, error) {
	response, err := d.inner.Do(request)
	var failed *url.Error
	if errors.As(err, &failed) {
		failed.URL, _, _ = strings.Cut(failed.URL, "?")
	}
	return response, err
}
