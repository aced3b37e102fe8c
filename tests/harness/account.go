package harness

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// Account is a Cosmos DB account over plain HTTPS, signed with its master key. Documents go in and come out as bytes.
// It may be used by several goroutines.
type Account struct {
	URL    string // with the last slash
	Key    string // base64
	Client *http.Client
}

// StatusError is an answer that is no success.
type StatusError struct {
	Op     string
	Status int
	Body   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s: %d: %s", e.Op, e.Status, e.Body) }

type request struct {
	method string
	path   string // resource path, escaped
	kind   string // resource type, as it is signed
	link   string // resource link, as it is signed
	header map[string]string
	body   []byte
}

func (a *Account) do(ctx context.Context, r request) ([]byte, http.Header, error) {
	op := r.method + " /" + r.path
	key, err := base64.StdEncoding.DecodeString(a.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: decode key: %w", op, err)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, a.URL+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", op, err)
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s\n\n", strings.ToLower(r.method), r.kind, r.link, strings.ToLower(date))
	req.Header.Set("Authorization", url.QueryEscape("type=master&ver=1.0&sig="+base64.StdEncoding.EncodeToString(mac.Sum(nil))))
	req.Header.Set("x-ms-date", date)
	req.Header.Set("x-ms-version", "2020-11-05")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := a.Client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", op, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: read answer: %w", op, err)
	}
	if resp.StatusCode >= 300 {
		return nil, resp.Header, &StatusError{op, resp.StatusCode, string(body)}
	}
	return body, resp.Header, nil
}

// CreateDatabase makes an empty database.
func (a *Account) CreateDatabase(ctx context.Context, database string) error {
	body, err := json.Marshal(map[string]string{"id": database})
	if err != nil {
		return fmt.Errorf("create database %s: %w", database, err)
	}
	_, _, err = a.do(ctx, request{method: "POST", path: "dbs", kind: "dbs", body: body})
	return err
}

// CreateContainer makes a container from its definition, cut into physical ranges.
func (a *Account) CreateContainer(ctx context.Context, database string, definition []byte, ranges int) error {
	_, _, err := a.do(ctx, request{
		method: "POST", path: "dbs/" + database + "/colls", kind: "colls", link: "dbs/" + database, body: definition,
		header: map[string]string{"x-ms-cosmosfake-ranges": strconv.Itoa(ranges)},
	})
	return err
}

// Verb is what Write does with a document.
type Verb string

// The verbs of Write.
const (
	Create Verb = "create"
	Upsert Verb = "upsert"
)

// Write creates or upserts a document. key is its partition key as a JSON array.
func (a *Account) Write(ctx context.Context, verb Verb, c Container, key string, document []byte) error {
	header := map[string]string{
		"x-ms-documentdb-partitionkey": ascii(key), "Content-Type": "application/json", "Prefer": "return=minimal",
	}
	if verb == Upsert {
		header["x-ms-documentdb-is-upsert"] = "True"
	}
	_, _, err := a.do(ctx, request{method: "POST", path: c.link() + "/docs", kind: "docs", link: c.link(), header: header, body: document})
	return err
}

// Replace replaces a document that must exist.
func (a *Account) Replace(ctx context.Context, c Container, key, id string, document []byte) error {
	_, _, err := a.do(ctx, request{
		method: "PUT", path: c.link() + "/docs/" + url.PathEscape(id), kind: "docs", link: c.link() + "/docs/" + id, body: document,
		header: map[string]string{
			"x-ms-documentdb-partitionkey": ascii(key), "Content-Type": "application/json", "Prefer": "return=minimal",
		},
	})
	return err
}

// ReadContainer returns a container's resource.
func (a *Account) ReadContainer(ctx context.Context, c Container) ([]byte, error) {
	body, _, err := a.do(ctx, request{method: "GET", path: c.link(), kind: "colls", link: c.link()})
	return body, err
}

// DeleteContainer deletes a container with all that it holds.
func (a *Account) DeleteContainer(ctx context.Context, c Container) error {
	_, _, err := a.do(ctx, request{method: "DELETE", path: c.link(), kind: "colls", link: c.link()})
	return err
}

// Operation is one of a batch. ID is of a deletion, Body of everything else.
type Operation struct {
	Type string          `json:"operationType"` // Create, Upsert, Replace, Delete
	ID   string          `json:"id,omitempty"`
	Body json.RawMessage `json:"resourceBody,omitempty"`
}

// Batch does all operations in one transaction, or none. Their bodies must be compact JSON that json.Marshal keeps.
func (a *Account) Batch(ctx context.Context, c Container, key string, operations []Operation) error {
	body, err := json.Marshal(operations)
	if err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	answer, _, err := a.do(ctx, request{
		method: "POST", path: c.link() + "/docs", kind: "docs", link: c.link(), body: body,
		header: map[string]string{
			"x-ms-documentdb-partitionkey": ascii(key), "x-ms-cosmos-is-batch-request": "True", "x-ms-cosmos-batch-atomic": "True",
			"Content-Type": "application/json", "Prefer": "return=minimal",
		},
	})
	if err == nil && bytes.Contains(answer, []byte(`"statusCode":424`)) {
		return &StatusError{"batch in " + c.Name(), http.StatusFailedDependency, string(answer)}
	}
	return err
}

// Read returns one document as the service delivers it.
func (a *Account) Read(ctx context.Context, c Container, key, id string) ([]byte, error) {
	body, _, err := a.do(ctx, request{
		method: "GET", path: c.link() + "/docs/" + url.PathEscape(id), kind: "docs", link: c.link() + "/docs/" + id,
		header: map[string]string{"x-ms-documentdb-partitionkey": ascii(key)},
	})
	return body, err
}

// Each visits every document of a container.
func (a *Account) Each(ctx context.Context, c Container, visit func(document []byte) error) error {
	for continuation := ""; ; {
		header := map[string]string{"x-ms-max-item-count": "1000"}
		if continuation != "" {
			header["x-ms-continuation"] = continuation
		}
		body, answer, err := a.do(ctx, request{method: "GET", path: c.link() + "/docs", kind: "docs", link: c.link(), header: header})
		if err != nil {
			return err
		}
		var page struct{ Documents []json.RawMessage }
		if err := json.Unmarshal(body, &page); err != nil {
			return fmt.Errorf("read %s: %w", c.Name(), err)
		}
		for _, document := range page.Documents {
			if err := visit(document); err != nil {
				return fmt.Errorf("read %s: %w", c.Name(), err)
			}
		}
		if continuation = answer.Get("x-ms-continuation"); continuation == "" {
			return nil
		}
	}
}

// ascii writes JSON so that it can stand in a header.
func ascii(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < 0x7F:
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
