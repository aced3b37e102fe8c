// Package azure is a blob.Store in a container of Azure Blob Storage, or of its emulator Azurite.
//
// Nouns. A *location* is what archive.root says: account, container and a prefix of names. The *version* of an object is
// its ETag; *Modified* is Last-Modified and *Now* the Date header, both whole seconds of the service's clock. A *block* is
// a part of an object that is uploaded by itself; blocks that no block list names are nothing, and go after a week.
//
// Guarantees.
//
//   - An object appears by one request: Put Blob for what fits into one block, else Put Block List after its blocks. That
//     request carries the condition (If-None-Match: * or If-Match: <ETag>), so a condition decides over the whole object.
//   - That request is sent once when it carries a condition: no policy of the SDK repeats it, because the answer to a
//     repetition would speak of our own first attempt (COSMOS.md §9). ErrCondition is answered for a refusal by the
//     service only; every other error is ambiguous. What cannot do harm twice (blocks, reads, lists, deletions, puts
//     without a condition) is tried a few times.
//   - Of large puts of one name at the same time, the first to finish discards the blocks of the others, which fail: with a
//     condition in ErrCondition, without one in an error.
//   - Memory of a Put is a few blocks, whatever the body's length (INV-9). A body that fails writes nothing.
//   - A Get that breaks in the middle goes on where it was, and only with the same ETag; a short body is never its end.
//     Bodies up to blob.MaxConditional are read before Get answers, and read anew when the object was replaced meanwhile.
//   - A secret is read again where the service refuses it (401, 403), since it may have been rotated or renewed; when it is
//     another one the request is sent again, of which nothing was done.
//   - No error shows a secret: of addresses the query is cut, which may be a shared access signature.
//
// The package imports the SDK alone; UploadBuffer and UploadFile, which drop conditions once they stage blocks, are not
// used. Accounts with a hierarchical namespace list the names below a folder before those that only begin like it, which
// is another order than that of bytes wherever such names exist; List says so instead of lying about the order.
package azure

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/entra"
)

// Options are how a store proves who it is, and how it tries; the zero value is Entra ID and the documented defaults. At
// most one of the three secrets is set.
type Options struct {
	ConnectionString config.Secret
	AccountKey       config.Secret
	SAS              config.Secret

	// AllowHTTP lets a key or a signature, and all documents, go to another machine unencrypted.
	AllowHTTP bool

	// Credential is Entra ID's when none of the secrets is set. Default: entra.Default.
	Credential azcore.TokenCredential

	// Transport sends the requests. Default: Go's, which waits 90 s for an answer to begin.
	Transport policy.Transporter

	// RetryDelay is the wait before the first repetition of what may be repeated; it doubles. Default 250 ms.
	RetryDelay time.Duration

	// BlockBytes is the size of a block, and the greatest object that is written by one request. Default 8 MiB, which
	// allows objects of 390 GiB.
	BlockBytes int
}

// The limits of a store's work (INV-9).
const (
	defaultBlock   = 8 << 20
	defaultDelay   = 250 * time.Millisecond
	maxBlocks      = 50_000 // the service's
	blocksInFlight = 3      // and one more that is being filled
	tries          = 5      // of what may be repeated
	resumes        = 4      // of one body that breaks
	tryTimeout     = 2 * time.Minute
	headerTimeout  = 90 * time.Second
	maxRetryDelay  = 30 * time.Second
	listPage       = 5000 // the service's
)

// Store keeps objects in a container.
type Store struct {
	at     Location
	client *container.Client
	opts   Options
}

// New makes a store. It sends nothing: what is wrong with names and rights shows at the first request.
func New(at Location, opts Options) (*Store, error) {
	if opts.RetryDelay <= 0 {
		opts.RetryDelay = defaultDelay
	}
	if opts.BlockBytes <= 0 {
		opts.BlockBytes = defaultBlock
	}
	if opts.Transport == nil {
		opts.Transport = newTransport()
	}
	client, at, err := dial(at, opts)
	if err == nil && at.Exposed() && !opts.AllowHTTP {
		err = &LocationError{fmt.Errorf("%s is not encrypted: everybody on the way could read signatures and documents; write https (in archive.connection_string "+
			"DefaultEndpointsProtocol=https), or, for an emulator in a network of its own, set archive.allow_http", at.Endpoint)}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	return &Store{at: at, client: client, opts: opts}, nil
}

// Location is where the store keeps its objects.
func (s *Store) Location() Location { return s.at }

// Exposed says whether everybody on the way can read what goes there and comes from there.
func (s *Store) Exposed() bool { return s.at.Exposed() }

// Container is the SDK's client of the container, for programs that make or inspect it.
func (s *Store) Container() *container.Client { return s.client }

func dial(at Location, opts Options) (*container.Client, Location, error) {
	set := 0
	for _, secret := range []config.Secret{opts.ConnectionString, opts.AccountKey, opts.SAS} {
		if secret.IsSet() {
			set++
		}
	}
	if set > 1 {
		return nil, at, &LocationError{errors.New("more than one of archive.connection_string, archive.account_key and archive.sas is set; keep one")}
	}
	how := container.ClientOptions{ClientOptions: policy.ClientOptions{
		Telemetry: policy.TelemetryOptions{ApplicationID: "almanac"},
		Transport: discreet{opts.Transport},
		Retry:     policy.RetryOptions{MaxRetries: tries - 1, RetryDelay: opts.RetryDelay, MaxRetryDelay: maxRetryDelay},

		PerRetryPolicies: []policy.Policy{bodies{}},
	}}
	switch {
	case opts.ConnectionString.IsSet():
		return dialConnectionString(at, opts.ConnectionString, &how)
	case opts.AccountKey.IsSet():
		return dialKey(at, reveal(opts.AccountKey), &how)
	case opts.SAS.IsSet():
		return dialSAS(at, reveal(opts.SAS), &how)
	}
	if !strings.HasPrefix(at.Endpoint, "https:") {
		return nil, at, &LocationError{errors.New("tokens of Entra ID go to https endpoints only; set archive.account_key, archive.sas or archive.connection_string, or give an https location")}
	}
	credential, err := credentialOf(at, opts.Credential)
	if err != nil {
		return nil, at, err
	}
	client, err := container.NewClient(at.url(), credential, &how)
	return client, at, err
}

func credentialOf(at Location, given azcore.TokenCredential) (azcore.TokenCredential, error) {
	user, instead := "storage account "+at.Account, "archive.account_key, archive.sas or archive.connection_string"
	if given != nil {
		return entra.Wrap(given, user, instead), nil
	}
	return entra.Default(user, instead)
}

// newTransport is Go's own, which waits for an answer only so long and follows no redirection, because the service sends
// none and a condition must be decided where it was sent.
func newTransport() *http.Client {
	dialer := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dialer.DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          64,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: headerTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *Store) blob(name string) *blockblob.Client {
	return s.client.NewBlockBlobClient(s.at.full(name))
}
