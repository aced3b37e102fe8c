package azure

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/cosmos-almanac/almanac/internal/config"
)

// secret is a key or a signature as it stands now where it is kept.
type secret func() (string, error)

// reveal is a secret of the configuration. An error of it names the setting.
func reveal(s config.Secret) secret {
	return func() (string, error) {
		text, err := s.Reveal()
		if err != nil {
			return "", &LocationError{err}
		}
		return text, nil
	}
}

func dialConnectionString(at Location, s config.Secret, how *container.ClientOptions) (*container.Client, Location, error) {
	text := reveal(s)
	now, err := text()
	if err != nil {
		return nil, at, err
	}
	at, key, _, err := at.connection(now)
	if err != nil {
		return nil, at, err
	}
	part := func(pick func(key, signature string) string) secret {
		return func() (string, error) {
			now, err := text()
			if err != nil {
				return "", err
			}
			_, key, signature, err := at.connection(now)
			return pick(key, signature), err
		}
	}
	if key != "" {
		return dialKey(at, part(func(key, _ string) string { return key }), how)
	}
	return dialSAS(at, part(func(_, signature string) string { return signature }), how)
}

func dialKey(at Location, key secret, how *container.ClientOptions) (*container.Client, Location, error) {
	now, err := key()
	if err != nil {
		return nil, at, err
	}
	if _, err := base64.StdEncoding.DecodeString(now); err != nil {
		return nil, at, &LocationError{errors.New("the account's key is not Base64; copy it whole from the account's access keys")}
	}
	credential, err := container.NewSharedKeyCredential(at.Account, now)
	if err != nil {
		return nil, at, &LocationError{errors.New("the account's key is not understood; copy it whole from the account's access keys")}
	}
	how.PerCallPolicies = append(how.PerCallPolicies, &renewal{read: key, held: now, take: credential.SetAccountKey, show: func(*http.Request, string) {}})
	client, err := container.NewClientWithSharedKeyCredential(at.url(), credential, how)
	return client, at, err
}

func dialSAS(at Location, signature secret, how *container.ClientOptions) (*container.Client, Location, error) {
	check := func(text string) error {
		query := strings.TrimPrefix(text, "?")
		if values, err := url.ParseQuery(query); err != nil || values.Get("sig") == "" {
			return &LocationError{errors.New("the shared access signature has no sig; want its query, sv=…&…&sig=…, without the URL before it")}
		}
		if _, err := url.Parse(at.url() + "?" + query); err != nil { // the error would show it
			return &LocationError{errors.New("the shared access signature holds characters that no URL may; copy it whole, as one line")}
		}
		return nil
	}
	now, err := signature()
	if err == nil {
		err = check(now)
	}
	if err != nil {
		return nil, at, err
	}
	how.PerCallPolicies = append(how.PerCallPolicies, &renewal{read: signature, held: now, take: check, show: sign})
	client, err := container.NewClientWithNoCredential(at.url(), how)
	return client, at, err
}

// sign adds a shared access signature to a request's query.
func sign(r *http.Request, signature string) {
	if r.URL.RawQuery != "" {
		r.URL.RawQuery += "&"
	}
	r.URL.RawQuery += strings.TrimPrefix(signature, "?")
}

// renewal sends a request that was refused for its secret once more, when another secret stands by now where it is kept.
// Nothing was done of what was refused so: the condition that the request may carry is decided by the second one alone.
type renewal struct {
	read secret
	take func(string) error          // uses another secret from now on, unless it is none
	show func(*http.Request, string) // puts the secret on the request, where that is not the SDK's to do

	mu   sync.Mutex
	held string
}

// Do implements policy.Policy.
func (p *renewal) Do(r *policy.Request) (*http.Response, error) {
	raw, query := r.Raw(), r.Raw().URL.RawQuery
	held := p.now()
	p.show(raw, held)
	response, err := r.Next()
	if err != nil || response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusForbidden || !p.renewed(held) {
		return response, err
	}
	runtime.Drain(response)
	if err := r.RewindBody(); err != nil {
		return nil, err
	}
	raw.URL.RawQuery = query
	p.show(raw, p.now())
	return r.Next()
}

func (p *renewal) now() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// renewed reads the secret again, and says whether it is another than the one that was refused. What cannot be read, or is
// no secret, changes nothing: the refusal says what is wrong.
func (p *renewal) renewed(refused string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != refused {
		return true // another request has found it
	}
	now, err := p.read()
	if err != nil || now == "" || now == p.held || p.take(now) != nil {
		return false
	}
	p.held = now
	return true
}
