package cosmos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Writer writes to an account by signed REST requests of its own. azcosmos cannot do what a restore needs: its
// container type drops settings that it does not know, its batch encodes documents again, and its partition key
// header is no JSON beyond the BMP and absent for [{}]. Requests go to the account's global endpoint,
// which is the write region's.
//
// Every request is tried again with growing waits when the service throttles it or is in trouble, at most as
// maxThrottled and maxTroubled say. A creation whose answer was lost is settled by what stands there, so a Writer's
// methods are idempotent. They are safe for concurrent use.
type Writer struct {
	rest *rest
}

// ErrExists reports a container that is there already.
var ErrExists = errors.New("it exists already")

// NewWriter makes a writer; it asks the account nothing yet. An error is one of the options.
func NewWriter(o WriterOptions) (*Writer, error) {
	r, err := newREST(o)
	if err != nil {
		return nil, &codedError{fmt.Errorf("open account for writing: %w", err), 2}
	}
	return &Writer{rest: r}, nil
}

// Close gives up idle connections.
func (w *Writer) Close() { w.rest.client.CloseIdleConnections() }

// CreateContainer sends the definition as it stands. A container of its id is ErrExists, also when it was made by an
// earlier attempt of this call: the caller looks what it is. A missing database is a *StatusError with status 404.
func (w *Writer) CreateContainer(ctx context.Context, database string, definition []byte) error {
	a, err := w.rest.do(ctx, request{
		op: "create container in database " + database, method: http.MethodPost,
		kind: "colls", link: "dbs/" + database, path: "/dbs/" + url.PathEscape(database) + "/colls",
		body: definition, absent: absentIsAnswer,
	})
	switch {
	case err != nil:
		return err
	case a.status == http.StatusConflict:
		return fmt.Errorf("create container in database %s: %w", database, ErrExists)
	case a.status != http.StatusCreated:
		return a.refusal()
	}
	return nil
}

// ContainerRef names a container and, when RID is set, the only incarnation of it that may be written.
type ContainerRef struct {
	Database, Container, RID string
}

// String is `database.container`.
func (c ContainerRef) String() string { return c.Database + "." + c.Container }

func (c ContainerRef) link() string { return "dbs/" + c.Database + "/colls/" + c.Container }

func (c ContainerRef) path() string {
	return "/dbs/" + url.PathEscape(c.Database) + "/colls/" + url.PathEscape(c.Container) + "/docs"
}

// Item is a document to be created: Key is the canonical JSON array of its partition key, Body the user's bytes.
type Item struct {
	Key, ID, Body []byte
}

// Written is what became of a creation.
type Written struct {
	Existed   bool    // it stood there already, byte for byte
	Charge    float64 // request units of all attempts
	Throttled int     // attempts that were answered 429 or 449
}

// DifferentError reports a document that stands where another one was to be created.
type DifferentError struct {
	Container string
	Key, ID   string
}

// Error names the document.
func (e *DifferentError) Error() string {
	return fmt.Sprintf("create document %s %q in %s: another document stands there; something else writes into this container",
		e.Key, e.ID, e.Container)
}

// ExitCode is 2: the container is not the restore's own.
func (e *DifferentError) ExitCode() int { return 2 }

// CreateItem creates a document byte for byte. When one stands there, it is read back: equal bytes are success (an
// earlier attempt's answer was lost, or an earlier run made it), others a *DifferentError.
func (w *Writer) CreateItem(ctx context.Context, c ContainerRef, item Item) (Written, error) {
	var out Written
	post := request{
		op: "create document", method: http.MethodPost, kind: "docs", link: c.link(), path: c.path(),
		rid: c.RID, key: headerKey(item.Key), body: item.Body,
	}
	for range maxTroubled {
		a, err := w.rest.do(ctx, post)
		out.add(a)
		switch {
		case err != nil:
			return out, describe(err, c, item)
		case a.status == http.StatusCreated:
			return out, nil
		case a.status != http.StatusConflict:
			return out, describe(a.refusal(), c, item)
		}
		there, read, err := w.readItem(ctx, c, item)
		out.add(read)
		switch {
		case err != nil:
			return out, describe(err, c, item)
		case there == nil: // the replica that answered does not have it yet, or it went, or the conflict is of a unique key
			if err := w.rest.wait(ctx, firstWait); err != nil {
				return out, err
			}
			continue
		case !bytes.Equal(there, item.Body):
			return out, &DifferentError{Container: c.String(), Key: string(item.Key), ID: string(item.ID)}
		}
		out.Existed = true
		return out, nil
	}
	return out, &codedError{fmt.Errorf("create document %s %q in %s: refused as a duplicate, but no document of that id is there: "+
		"a unique key of the container is taken by another document", item.Key, item.ID, c), 3}
}

// readItem returns the user's bytes of the document that stands there; nil is none. It asks by a transactional batch,
// which names the document in its body: by path the gateway decodes ids such as "a%41", "." or "b#" to others, and
// refuses the signature or finds nothing.
func (w *Writer) readItem(ctx context.Context, c ContainerRef, item Item) ([]byte, answer, error) {
	batch, err := json.Marshal([]batchRead{{Type: "Read", ID: string(item.ID)}})
	if err != nil {
		return nil, answer{}, fmt.Errorf("read document: %w", err)
	}
	a, err := w.rest.do(ctx, request{
		op: "read document", method: http.MethodPost, kind: "docs", link: c.link(), path: c.path(),
		rid: c.RID, key: headerKey(item.Key), body: batch, isBatch: true,
	})
	switch {
	case err != nil:
		return nil, a, err
	case a.status != http.StatusOK && a.status != http.StatusMultiStatus:
		return nil, a, a.refusal()
	}
	var results []struct {
		StatusCode    int             `json:"statusCode"`
		SubStatusCode int             `json:"subStatusCode"`
		ResourceBody  json.RawMessage `json:"resourceBody"`
	}
	if err := json.Unmarshal(a.body, &results); err != nil {
		return nil, a, fmt.Errorf("read document: read answer: %w", err)
	}
	if len(results) != 1 {
		return nil, a, fmt.Errorf("read document: the service answered with %d results, want 1", len(results))
	}
	found := answer{op: a.op, status: results[0].StatusCode, substatus: results[0].SubStatusCode, body: results[0].ResourceBody}
	switch {
	case found.status == http.StatusNotFound || isThrottling(found.status) || isTrouble(found, request{}):
		return nil, a, nil // the caller asks again
	case found.status != http.StatusOK:
		return nil, a, found.refusal()
	}
	body, err := schemas.AppendWithoutSystem(make([]byte, 0, len(found.body)), found.body)
	return body, a, err
}

// batchRead is the operation of a batch that reads, as azcosmos v1.5.0 writes it.
type batchRead struct {
	Type string `json:"operationType"`
	ID   string `json:"id"`
}

func (o *Written) add(a answer) {
	o.Charge += a.charge
	o.Throttled += a.throttled
}

// codedError gives an error the exit code of its process.
type codedError struct {
	err  error
	code int
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }
func (e *codedError) ExitCode() int { return e.code }

func describe(err error, c ContainerRef, item Item) error {
	return fmt.Errorf("document %s %q of %s: %w", item.Key, item.ID, c, err)
}

// headerKey writes a canonical partition key as a header takes it: ASCII, everything else as JSON escapes, beyond the
// BMP as surrogate pairs.
func headerKey(key []byte) string {
	var out strings.Builder
	out.Grow(len(key))
	for _, r := range string(key) {
		switch {
		case r < 0x7f:
			out.WriteByte(byte(r)) // control characters are escaped in the canonical form
		case r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		}
	}
	return out.String()
}
