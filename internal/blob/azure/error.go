package azure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// explain names the operation, account, container and object, what the service said in one line, and what its user can
// do about it. The SDK's own text is a page of headers.
func (s *Store) explain(op, name string, err error) error {
	if err == nil {
		return nil
	}
	where := fmt.Sprintf("%s %s: account %s, container %s", op, s.at.full(name), s.at.Account, s.at.Container)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return fmt.Errorf("%s: %w", where, blob.ErrNotFound)
	}
	remedy := s.remedy(err)
	var answer *azcore.ResponseError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &answer):
		err = &ServiceError{Status: answer.StatusCode, Code: answer.ErrorCode, request: requestID(answer)}
	case errors.As(err, &untrusted):
		err = &untrustedError{err}
	}
	return blob.Advise(fmt.Errorf("%s: %w", where, err), remedy)
}

// ServiceError is a refusal by the service, in its own code.
type ServiceError struct {
	Status int
	Code   string // such as AuthorizationFailure

	request string
}

func (e *ServiceError) Error() string {
	return fmt.Sprintf("%d %s (request %s)", e.Status, e.Code, e.request)
}

// Lasting says whether it stays so until somebody mends the configuration, the account or the rights in it.
func (e *ServiceError) Lasting() bool {
	switch bloberror.Code(e.Code) {
	case bloberror.ContainerNotFound, bloberror.InvalidAuthenticationInfo, "AccountRequiresHttps":
		return true
	case bloberror.InsufficientAccountPermissions: // for the time of a failover
		return false
	}
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// untrustedError is that the endpoint shows a certificate that is not taken.
type untrustedError struct{ err error }

func (e *untrustedError) Error() string { return e.err.Error() }
func (e *untrustedError) Unwrap() error { return e.err }
func (e *untrustedError) Lasting() bool { return true }

func requestID(answer *azcore.ResponseError) string {
	if answer.RawResponse == nil {
		return "unknown"
	}
	return answer.RawResponse.Header.Get("x-ms-request-id")
}

func (s *Store) remedy(err error) string {
	var answer *azcore.ResponseError
	var dns *net.DNSError
	var refused *net.OpError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &answer):
		return s.answerRemedy(err, answer)
	case errors.As(err, &dns):
		return fmt.Sprintf("host %s is not known: check the account's name, and the private endpoint's DNS zone if it has one", dns.Name)
	case errors.As(err, &untrusted):
		return untrustedRemedy(untrusted.Err)
	case errors.As(err, &refused):
		return "the endpoint does not answer: check network, proxy and firewall"
	}
	return ""
}

func untrustedRemedy(err error) string {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return "no authority that this machine trusts signed the endpoint's certificate: add the authority to the machine's certificates, " +
			"or name a PEM file that holds it by the variable SSL_CERT_FILE; a proxy between may show a certificate of its own"
	}
	return "the endpoint's certificate is not valid for it: correct the location, renew the certificate, or set this machine's clock"
}

// creation is the command that makes the container. The Azure CLI finds an account by its name in Azure only.
func (s *Store) creation() string {
	command, name := "az storage container create ", " --name "+s.at.Container
	switch {
	case s.opts.ConnectionString.IsSet():
		return command + "--connection-string …" + name
	case strings.HasPrefix(s.at.Endpoint, "https://"+s.at.Account+"."):
		return command + "--account-name " + s.at.Account + name
	case s.opts.SAS.IsSet():
		return command + "--blob-endpoint " + s.at.Endpoint + " --sas-token …" + name
	}
	return command + "--blob-endpoint " + s.at.Endpoint + " --account-name " + s.at.Account + " --account-key …" + name
}

func (s *Store) answerRemedy(err error, answer *azcore.ResponseError) string {
	switch {
	case bloberror.HasCode(err, bloberror.ContainerNotFound):
		return fmt.Sprintf("the container does not exist: create it (%s), or correct the location", s.creation())
	case bloberror.HasCode(err, bloberror.ContainerBeingDeleted, bloberror.ContainerDisabled):
		return "the container is being deleted: choose another, or wait and create it anew"
	case bloberror.HasCode(err, bloberror.AuthorizationPermissionMismatch):
		return "the identity or signature may not do this: assign it the role Storage Blob Data Contributor on the container " +
			"(a new assignment takes minutes), or give the signature the permissions racwdl"
	case bloberror.HasCode(err, bloberror.AuthorizationFailure, bloberror.AuthorizationSourceIPMismatch):
		return "the account refuses this client: allow its address or network in the account's firewall (Networking), or use a private endpoint; " +
			"check also the identity's role on the container, and that key or signature belong to this account"
	case bloberror.HasCode(err, bloberror.AuthenticationFailed, bloberror.InvalidAuthenticationInfo, bloberror.NoAuthenticationInformation):
		return "the key, signature or token is not accepted: check that it belongs to this account, has not expired or been rotated, and that this machine's clock is right"
	case answer.ErrorCode == "KeyBasedAuthenticationNotPermitted":
		return "the account forbids keys: unset archive.account_key and archive.connection_string to use Entra ID, or use a user delegation SAS"
	case bloberror.HasCode(err, bloberror.AuthorizationProtocolMismatch), answer.ErrorCode == "AccountRequiresHttps":
		return "the account takes https only: correct the endpoint"
	case bloberror.HasCode(err, bloberror.AccountIsDisabled):
		return "the account is disabled: see its subscription"
	case bloberror.HasCode(err, bloberror.InsufficientAccountPermissions):
		return "the account is read-only at the moment (failover, or the secondary's address): use its primary endpoint"
	case bloberror.HasCode(err, bloberror.BlobImmutableDueToPolicy):
		return "an immutability policy keeps this object: what is overwritten or removed (checkpoints, leases, hints) must lie in another container; see producer.root"
	case bloberror.HasCode(err, bloberror.SnapshotsPresent):
		return "the object has snapshots that somebody took: remove them, or keep the object"
	case bloberror.HasCode(err, bloberror.LeaseIDMissing):
		return "somebody holds a lease on the object: break it"
	case bloberror.HasCode(err, bloberror.InvalidBlockList):
		return "another writer finished an object of this name meanwhile, which discards the parts of all others: write it again"
	case bloberror.HasCode(err, bloberror.InvalidBlobType, bloberror.InvalidBlobOrBlock, bloberror.InvalidBlockID):
		return "another program has begun or written an object of this name: remove it, or choose another location"
	case bloberror.HasCode(err, bloberror.ServerBusy), answer.StatusCode == http.StatusTooManyRequests:
		return "the account is at its limit of requests or bandwidth: try again later, or use an account of its own"
	case answer.StatusCode == http.StatusForbidden:
		return "the account refuses this: check the identity's role (Storage Blob Data Contributor) and the account's firewall"
	case answer.ErrorCode == "":
		return "the answer is not of Azure Blob Storage: check the endpoint, and proxies between"
	}
	return ""
}
