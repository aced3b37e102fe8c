package entra_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/cosmos-almanac/almanac/internal/entra"
)

type credential struct{ err error }

func (c credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t0ken"}, c.err
}

func answer(host string, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body)),
		Request: &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: host}},
	}
}

// TestErrors: one line and a remedy, whatever the SDK says; its page is kept for whoever asks.
func TestErrors(t *testing.T) {
	const login = "login.microsoftonline.com"
	refused := `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure that\r\nit is. Trace ID: x"}`
	for _, test := range []struct {
		name    string
		err     error
		what    string
		remedy  string
		lasting bool
	}{
		{
			"nothing is there", azidentity.NewCredentialUnavailableError("failed to acquire a token.\nAttempted credentials:\n\tx"),
			"no credential of Entra ID was found for storage account sky", "sign in with `az login`", true,
		},
		{
			"a proxy answers for the metadata service", &azidentity.AuthenticationFailedError{RawResponse: answer("169.254.169.254", 403, "denied")},
			"no credential of Entra ID was found for storage account sky", "or set archive.account_key", true,
		},
		{
			"secret is wrong", &azidentity.AuthenticationFailedError{RawResponse: answer(login, 401, refused)},
			"Entra ID refused the credential that was found for storage account sky (401 AADSTS7000215: Invalid client secret provided)", "secret", true,
		},
		{
			"refused without words", &azidentity.AuthenticationFailedError{RawResponse: answer(login, 400, "<html>")},
			"Entra ID refused the credential that was found for storage account sky (400)", "sign in anew", true,
		},
		{
			"nobody answers", &azidentity.AuthenticationFailedError{},
			"Entra ID gave no token for storage account sky", "can be reached", false,
		},
		{
			"trouble", &azidentity.AuthenticationFailedError{RawResponse: answer(login, 503, "")},
			"Entra ID gave no token for storage account sky (503)", "can be reached", false,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := entra.Wrap(credential{test.err}, "storage account sky", "archive.account_key").GetToken(t.Context(), policy.TokenRequestOptions{})
			var got *entra.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v want an *entra.Error", err)
			}
			what, remedy := got.Advice()
			if what != test.what || !strings.Contains(remedy, test.remedy) || !strings.HasSuffix(remedy, "or set archive.account_key") || got.Lasting() != test.lasting {
				t.Errorf("got %q, %q, lasting %v want %q, %q, lasting %v", what, remedy, got.Lasting(), test.what, test.remedy, test.lasting)
			}
			if text := err.Error(); text != what+": "+remedy || strings.Contains(text, "\n") {
				t.Errorf("got %q want one line", text)
			}
			if got.Detail() != test.err.Error() || !errors.Is(err, test.err) {
				t.Errorf("got %q want all that the SDK said, %q", got.Detail(), test.err)
			}
		})
	}
}

func TestToken(t *testing.T) {
	token, err := entra.Wrap(credential{}, "x", "y").GetToken(t.Context(), policy.TokenRequestOptions{})
	if err != nil || token.Token != "t0ken" {
		t.Errorf("got %q, %v want the token", token.Token, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := entra.Wrap(credential{&azidentity.AuthenticationFailedError{}}, "x", "y").GetToken(ctx, policy.TokenRequestOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v want that the context ended", err)
	}
}
