// Package cosmos is the Cosmos DB account as Almanac's programs need it: azcosmos for containers, feed ranges and the
// change feed, and signed requests of our own for what azcosmos cannot do byte for byte.
//
// Nouns:
//
//   - A [Client] is one account. All its methods are safe for concurrent use.
//   - A [Container] is a container's identity (resource id) and its definition as raw bytes.
//   - A [Page] is one answer of the change feed of one feed range: items as raw bytes, the token to go on from, and
//     what the service said about the range's newest LSN.
//   - A [Session] is the parsed session token: configuration number and global LSN.
//
// Guarantees: items and definitions are the bytes that the service sent (INV-6). A page is of exactly the range and the
// incarnation that were asked for, or it is an error and nothing of it is handed on. A
// [StatusError] tells status, substatus, the service's own words and, where it is known, the remedy.
package cosmos

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/sleep"
)

// Options make a Client.
type Options struct {
	Endpoint string
	Key      config.Secret
	CAFile   string // PEM with additional roots; empty: the system's only
}

// Client is one account.
type Client struct {
	host string
	rest *rest
	open func(key []byte) (*azcosmos.Client, error)

	// Before its first request azcosmos asks the account for its regions, and where that fails it answers everything with
	// that failure for five minutes, without asking again (cosmos_global_endpoint_manager.go, Update). So a client
	// that has not succeeded yet is replaced after a failure.
	mu     sync.Mutex
	sdk    *azcosmos.Client
	signs  *[]byte // by which key
	proven bool
	writer string // the write region when sdk was made; empty: nobody knows
}

// New makes a client. It sends nothing: the first request finds out whether the endpoint answers.
func New(o Options) (*Client, error) {
	if !o.Key.IsSet() {
		return nil, badConfig("cosmos.key is not set; give the account's key, {env: NAME} or {file: PATH}")
	}
	raw, err := newREST(WriterOptions{Endpoint: o.Endpoint, Key: o.Key, CAFile: o.CAFile, Connections: connections})
	if err != nil {
		return nil, badConfig("open account: %w", err)
	}
	client := &Client{host: strings.TrimPrefix(raw.endpoint, "https://"), rest: raw}
	client.open = func(key []byte) (*azcosmos.Client, error) {
		credential, err := azcosmos.NewKeyCredential(base64.StdEncoding.EncodeToString(key))
		if err != nil {
			return nil, err
		}
		return azcosmos.NewClientWithKey(raw.endpoint+"/", credential, &azcosmos.ClientOptions{
			ClientOptions: azcore.ClientOptions{
				Transport:        raw.client,
				PerRetryPolicies: []policy.Policy{feedPolicy{}},
			},
		})
	}
	if err := client.replace(); err != nil {
		return nil, badConfig("open account %s: %v", client.host, err)
	}
	return client, nil
}

// ask lets azcosmos ask something about a container, once, and no longer than ctx: it asks for the account's regions by the
// way, and waits for those up to a minute whatever becomes of ctx.
func ask[T any](ctx context.Context, c *Client, database, name string, question func(context.Context, *azcosmos.ContainerClient) (T, error)) (T, error) {
	return sleep.Await(ctx, func(ctx context.Context) (got T, err error) {
		err = c.askNow(database, name, func(container *azcosmos.ContainerClient) (err error) {
			got, err = question(ctx, container)
			return err
		})
		return got, err
	})
}

func (c *Client) askNow(database, name string, question func(*azcosmos.ContainerClient) error) error {
	c.mu.Lock()
	asked, signed := c.sdk, c.signs
	c.mu.Unlock()
	container, err := asked.NewContainer(database, name)
	if err != nil {
		return err
	}
	err = question(container)
	var refusal *azcore.ResponseError
	if errors.As(err, &refusal) && refusal.StatusCode == http.StatusUnauthorized && c.rest.renewed(signed) {
		if failure := c.signAnew(); failure != nil {
			return errors.Join(err, failure)
		}
		return c.askNow(database, name, question)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.sdk != asked || c.proven:
	case err == nil:
		c.proven = true
	default:
		if failure := c.replace(); failure != nil {
			return errors.Join(err, failure)
		}
	}
	return err
}

// signAnew makes azcosmos sign by the key that rest signs by.
func (c *Client) signAnew() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signs == c.rest.key.Load() {
		return nil
	}
	return c.replace()
}

// replace takes a fresh azcosmos in the place of the one that is used. Who asks the old one still gets its answer.
func (c *Client) replace() error {
	key := c.rest.key.Load()
	fresh, err := c.open(*key)
	if err != nil {
		return err
	}
	old := c.sdk
	c.sdk, c.signs, c.proven = fresh, key, false
	if old != nil {
		old.Close() // after open, so that the caches that clients of one account share are kept
	}
	return nil
}

// writesIn makes feeds be read where the account's writes go now. azcosmos asks for the regions every five minutes only;
// until then it would go on to read where they went before a failover, whose replicas lag and do not tell.
func (c *Client) writesIn(region string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writer == region {
		return nil
	}
	if err := c.replace(); err != nil {
		return err
	}
	c.writer = region
	return nil
}

// connections are kept open; a reader of a feed range uses one at a time.
const connections = 64

// Close releases idle connections and azcosmos' shared caches.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sdk.Close()
	c.rest.client.CloseIdleConnections()
}

// Host is the account's host and port, for messages.
func (c *Client) Host() string { return c.host }
