package cosmos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Page is one answer of a range's change feed in LatestVersion mode.
type Page struct {
	Items       [][]byte // the documents, as the service sent them; they share one buffer that is nobody else's
	Token       string   // go on from here
	NotModified bool     // 304: nothing new on the replica that answered
	Position    schemas.LSN
	Positioned  bool // the continuation is an LSN, as it is today; without it no position can be stated
	Session     Session
	Date        time.Time // the service's clock, whole seconds
	ResourceID  string    // of the container, empty on a 304
	Charge      float32
}

// ReadOptions ask for one page.
type ReadOptions struct {
	Container *Container
	Range     schemas.FeedRange
	Token     string // empty: from the beginning
	MaxItems  int32  // a hint
}

// FromNow is the token that starts at the present. The service evaluates it anew each time, so nothing may be kept of it
// but the token of a page that was read with it.
func FromNow(container *Container, span schemas.FeedRange) string {
	return encodeToken(container.RID, span, "*")
}

// IsFromNow reports a token that still stands for the present.
func IsFromNow(token string) bool {
	var t compositeToken
	return json.Unmarshal([]byte(token), &t) == nil && len(t.Continuation) == 1 && t.Continuation[0].Token == "*"
}

// compositeToken is azcosmos' continuation (cosmos_change_feed_composite_continuation_token.go, version 1).
type compositeToken struct {
	Version      int          `json:"version"`
	ResourceID   string       `json:"resourceId"`
	Continuation []tokenEntry `json:"continuation"`
}

type tokenEntry struct {
	Min   string `json:"minInclusive"`
	Max   string `json:"maxExclusive"`
	Token string `json:"continuationToken,omitempty"`
}

func encodeToken(rid string, span schemas.FeedRange, etag string) string {
	b, err := json.Marshal(compositeToken{1, rid, []tokenEntry{{span.Min, span.Max, etag}}})
	if err != nil { // strings and a number always encode
		panic(err)
	}
	return string(b)
}

// ReadChanges reads one page with a token of one entry. An answer of another range or incarnation, or of several ranges,
// is ErrTopology or ErrIncarnation; whatever it held is dropped unread.
func (c *Client) ReadChanges(ctx context.Context, o ReadOptions) (*Page, error) {
	op := fmt.Sprintf("read change feed of %s %s", o.Container, o.Range)
	token := o.Token
	if token == "" {
		token = encodeToken(o.Container.RID, o.Range, "")
	}
	caught := &capture{rid: o.Container.RID}
	answer, err := ask(ctx, c, o.Container.Database, o.Container.Name, func(ctx context.Context, container *azcosmos.ContainerClient) (azcosmos.ChangeFeedResponse, error) {
		return container.ReadChangeFeed(context.WithValue(ctx, captureKey{}, caught), &azcosmos.ChangeFeedOptions{
			MaxItemCount: o.MaxItems,
			Continuation: &token,
		})
	})
	if err != nil {
		return nil, classify(c.convert(op, err), err)
	}
	page := &Page{Items: caught.page.items, Token: answer.ContinuationToken, Charge: answer.RequestCharge}
	if err := page.readToken(o); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if caught.page.rid != nil {
		if err := json.Unmarshal(caught.page.rid, &page.ResourceID); err != nil {
			return nil, fmt.Errorf("%s: _rid: %w", op, err)
		}
		if page.ResourceID != o.Container.RID {
			return nil, fmt.Errorf("%s: %w: its resource id is %s, was %s", op, ErrIncarnation, page.ResourceID, o.Container.RID)
		}
	}
	if err := page.readHeader(answer.RawResponse); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return page, nil
}

// classify wraps the refusals that end a range's reading.
func classify(converted, original error) error {
	var refusal *StatusError
	switch {
	case errors.Is(original, azcosmos.ErrFeedRangeUnresolved):
		return fmt.Errorf("%w: %w", ErrTopology, converted)
	case !errors.As(converted, &refusal):
		return converted
	case refusal.Status == http.StatusGone:
		return fmt.Errorf("%w: %w", ErrTopology, converted)
	case refusal.Status == http.StatusBadRequest && refusal.Substatus == 1024:
		return fmt.Errorf("%w: %w", ErrIncarnation, converted)
	}
	return converted
}

// readToken reads the position, which a 304 without an etag leaves where it was, and refuses an answer whose token is not of
// the one range that was asked for.
func (p *Page) readToken(o ReadOptions) error {
	var t compositeToken
	if err := json.Unmarshal([]byte(p.Token), &t); err != nil {
		return fmt.Errorf("parse continuation %q: %w", p.Token, err)
	}
	if len(t.Continuation) != 1 {
		return fmt.Errorf("%w: its continuation has %d entries", ErrTopology, len(t.Continuation))
	}
	if got := (schemas.FeedRange{Min: t.Continuation[0].Min, Max: t.Continuation[0].Max}); got != o.Range {
		return fmt.Errorf("%w: its continuation is of %s", ErrTopology, got)
	}
	if t.ResourceID != o.Container.RID {
		return fmt.Errorf("%w: its continuation is of resource id %s, was %s", ErrIncarnation, t.ResourceID, o.Container.RID)
	}
	if lsn, err := schemas.ParseLSN(strings.Trim(t.Continuation[0].Token, `"`)); err == nil {
		p.Position, p.Positioned = lsn, true
	}
	return nil
}

func (p *Page) readHeader(response *http.Response) error {
	p.NotModified = response.StatusCode == http.StatusNotModified
	var err error
	if p.Session, err = ParseSession(response.Header.Get("X-Ms-Session-Token")); err != nil {
		return err
	}
	if p.Date, err = http.ParseTime(response.Header.Get("Date")); err != nil {
		return fmt.Errorf("parse Date of the answer: %w", err)
	}
	return nil
}

type captureKey struct{}

// capture is what feedPolicy leaves for the ReadChanges that sent the request.
type capture struct {
	rid  string
	page body
}

// feedPolicy pins a change feed request to the container's incarnation, cuts the page up itself, and hands azcosmos a
// page that holds as many nulls: azcosmos asks only whether there are any.
type feedPolicy struct{}

func (feedPolicy) Do(request *policy.Request) (*http.Response, error) {
	raw := request.Raw()
	caught, ok := raw.Context().Value(captureKey{}).(*capture)
	if !ok || raw.Header.Get("A-IM") == "" || !strings.HasSuffix(raw.URL.Path, "/docs") {
		return request.Next()
	}
	raw.Header.Set("X-Ms-Cosmos-Intended-Collection-Rid", caught.rid)
	response, err := request.Next()
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	whole, err := runtime.Payload(response)
	if err != nil {
		return response, fmt.Errorf("read page: %w", err)
	}
	if caught.page, err = splitPage(whole); err != nil {
		return response, err
	}
	stub := append([]byte(`{"_count":0,"Documents":[`), "null]"...)
	if len(caught.page.items) == 0 {
		stub = []byte(`{"_count":0,"Documents":[]`)
	}
	if caught.page.rid != nil {
		stub = append(append(stub, `,"_rid":`...), caught.page.rid...)
	}
	response.Body = io.NopCloser(bytes.NewReader(append(stub, '}')))
	return response, nil
}
