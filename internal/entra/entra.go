// Package entra is who the programs are to Azure when no secret is configured: Entra ID's default credential, which is
// environment, workload identity, managed identity, Azure CLI and its kin, in this order.
//
// Nouns. A *user* is what a token is for, such as a storage account. An [Error] is that there is no token: what is wrong
// in one line, and the remedy.
//
// Guarantees. Every error of a credential made here is one line; the page that the SDK writes about each kind of
// credential is its Detail, for the log at level debug.
package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Credential is a credential whose errors say what to do.
type Credential struct {
	inner         azcore.TokenCredential
	user, instead string
}

// Default is Entra ID's default credential. user is what the tokens are for, instead the settings that do without.
func Default(user, instead string) (*Credential, error) {
	inner, err := azidentity.NewDefaultAzureCredential(nil) // keeps a token until shortly before its end
	if err != nil {
		return nil, fmt.Errorf("look for a credential of Entra ID for %s: %w", user, err)
	}
	return Wrap(inner, user, instead), nil
}

// Wrap is Default with another credential.
func Wrap(inner azcore.TokenCredential, user, instead string) *Credential {
	return &Credential{inner, user, instead}
}

// GetToken asks for a token. Its error is an *Error, or that of a context that ended.
func (c *Credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.inner.GetToken(ctx, o)
	switch {
	case err == nil:
		return token, nil
	case ctx.Err() != nil:
		return token, fmt.Errorf("ask Entra ID for a token for %s: %w", c.user, ctx.Err())
	}
	return token, c.explain(err)
}

// Error is that there is no token.
type Error struct {
	what, remedy string
	lasting      bool
	err          error
}

func (e *Error) Error() string { return e.what + ": " + e.remedy }
func (e *Error) Unwrap() error { return e.err }

// Advice is what is wrong, in one line, and what to do about it.
func (e *Error) Advice() (what, remedy string) { return e.what, e.remedy }

// Lasting says whether it stays so until somebody mends it; otherwise nobody answered, or not now.
func (e *Error) Lasting() bool { return e.lasting }

// Detail is what the SDK says of every kind of credential that it tried.
func (e *Error) Detail() string { return e.err.Error() }

// metadata is where Azure's machines ask for their managed identity; elsewhere a proxy may answer.
const metadata = "169.254.169.254"

// explain tells apart that nothing was found, that what was found is refused, and that nobody answered.
func (c *Credential) explain(err error) error {
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || isMetadataRefusal(failed.RawResponse) {
		return &Error{
			what: "no credential of Entra ID was found for " + c.user,
			remedy: "sign in with `az login`, give this process a workload or managed identity, or the variables AZURE_TENANT_ID, AZURE_CLIENT_ID and " +
				"AZURE_CLIENT_SECRET; or set " + c.instead,
			lasting: true, err: err,
		}
	}
	answer := failed.RawResponse
	if answer == nil || answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout {
		return &Error{
			what:   "Entra ID gave no token for " + c.user + answered(answer),
			remedy: "see that its sign-in host (login.microsoftonline.com) can be reached, and that AZURE_* variables are right; or set " + c.instead,
			err:    err,
		}
	}
	return &Error{
		what:    "Entra ID refused the credential that was found for " + c.user + answered(answer),
		remedy:  "mend the identity's secret, certificate or federation, or sign in anew; or set " + c.instead,
		lasting: true, err: err,
	}
}

func isMetadataRefusal(answer *http.Response) bool {
	return answer != nil && answer.Request != nil && answer.Request.URL.Hostname() == metadata && answer.StatusCode < 500
}

// answered is the status and, where Entra ID said it, why: AADSTS, a number, and a sentence.
func answered(answer *http.Response) string {
	if answer == nil {
		return ""
	}
	text := fmt.Sprintf(" (%d", answer.StatusCode)
	if answer.Body != nil {
		body, err := runtime.Payload(answer) // which keeps it for Detail
		if err == nil {
			if why := regexp.MustCompile(`AADSTS\d+: [^."\r\n\\]*`).Find(body); why != nil {
				text += " " + string(why)
			}
		}
	}
	return text + ")"
}
