package cosmosfake_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// These tests use the service's own Go SDK: a client that was not written with this server in mind.

// withHeaders sets headers on every request, which azcosmos has no option for.
type withHeaders map[string]string

func (h withHeaders) Do(req *policy.Request) (*http.Response, error) {
	for name, value := range h {
		req.Raw().Header.Set(name, value)
	}
	return req.Next()
}

func newClient(t *testing.T, s *cosmosfake.Server, key string, headers withHeaders) *azcosmos.Client {
	t.Helper()
	credential, err := azcosmos.NewKeyCredential(key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azcosmos.NewClientWithKey(s.URL(), credential, &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: s.Client(), PerRetryPolicies: []policy.Policy{headers},
		Retry: policy.RetryOptions{MaxRetries: -1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func makeContainer(t *testing.T, client *azcosmos.Client, paths ...string) *azcosmos.ContainerClient {
	t.Helper()
	ctx := context.Background()
	if _, err := client.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: "shop"}, nil); err != nil && !hasStatus(err, 409) {
		t.Fatal(err)
	}
	db, err := client.NewDatabase("shop")
	if err != nil {
		t.Fatal(err)
	}
	properties := azcosmos.ContainerProperties{ID: "orders", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: paths}}
	if _, err := db.CreateContainer(ctx, properties, nil); err != nil {
		t.Fatal(err)
	}
	c, err := client.NewContainer("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hasStatus(err error, status int) bool {
	var re *azcore.ResponseError
	return errors.As(err, &re) && re.StatusCode == status
}

func TestAzcosmosItems(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Ranges: 5})
	c := makeContainer(t, newClient(t, s, s.Key(), nil), "/pk")
	ctx := context.Background()
	pk := azcosmos.NewPartitionKeyString("a")
	created, err := c.CreateItem(ctx, pk, []byte(`{"id":"1","pk":"a","n":1}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if created.RequestCharge <= 0 || created.ETag == "" || created.SessionToken == nil {
		t.Errorf("got charge %v, etag %q, session %v", created.RequestCharge, created.ETag, created.SessionToken)
	}
	if _, err := c.CreateItem(ctx, pk, []byte(`{"id":"1","pk":"a"}`), nil); !hasStatus(err, 409) {
		t.Errorf("second create: got %v, want 409", err)
	}
	if _, err := c.CreateItem(ctx, pk, []byte(`{"id":"2","pk":"b"}`), nil); !hasStatus(err, 400) {
		t.Errorf("create under another key: got %v, want 400", err)
	}
	stale := created.ETag
	if _, err := c.ReplaceItem(ctx, pk, "1", []byte(`{"id":"1","pk":"a","n":2}`), &azcosmos.ItemOptions{IfMatchEtag: &stale}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReplaceItem(ctx, pk, "1", []byte(`{"id":"1","pk":"a","n":3}`), &azcosmos.ItemOptions{IfMatchEtag: &stale}); !hasStatus(err, 412) {
		t.Errorf("replace with an old etag: got %v, want 412", err)
	}
	if _, err := c.UpsertItem(ctx, pk, []byte(`{"id":"2","pk":"a"}`), nil); err != nil {
		t.Fatal(err)
	}
	read, err := c.ReadItem(ctx, pk, "1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(strip(t, read.Value)), `{"id":"1","pk":"a","n":2}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := c.DeleteItem(ctx, pk, "1", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadItem(ctx, pk, "1", nil); !hasStatus(err, 404) {
		t.Errorf("read of a deleted item: got %v, want 404", err)
	}
}

// drain reads one feed range through azcosmos until 304, one page a call.
func drain(t *testing.T, c *azcosmos.ContainerClient, fr azcosmos.FeedRange, token *string) (items [][]byte, session string) {
	t.Helper()
	for {
		page, err := c.ReadChangeFeed(context.Background(), &azcosmos.ChangeFeedOptions{FeedRange: &fr, Continuation: token, MaxItemCount: 3})
		if err != nil {
			t.Fatal(err)
		}
		token = &page.ContinuationToken
		if page.RawResponse.StatusCode == http.StatusNotModified {
			return items, page.RawResponse.Header.Get("x-ms-session-token")
		}
		items = append(items, page.Items...)
	}
}

func TestAzcosmosFeed(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	client := newClient(t, s, s.Key(), withHeaders{"x-ms-cosmosfake-ranges": "5"})
	c := makeContainer(t, client, "/tenant", "/user")
	ctx := context.Background()
	const n = 60
	for i := range n {
		pk := azcosmos.NewPartitionKeyString(fmt.Sprint("t", i)).AppendNumber(float64(i))
		if _, err := c.CreateItem(ctx, pk, fmt.Appendf(nil, `{"id":"%d","tenant":"t%d","user":%d}`, i, i, i), nil); err != nil {
			t.Fatal(err)
		}
	}
	ranges, err := c.ReadFeedRanges(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(ranges) != 5 {
		t.Fatalf("got %d feed ranges, want 5", len(ranges))
	}
	total := 0
	for i, fr := range ranges {
		items, session := drain(t, c, fr, nil)
		total += len(items)
		if want := fmt.Sprintf("%d:1#%d#1=%d", i, 1+len(items), 1+len(items)); session != want {
			t.Errorf("range %d: got session %q, want %q", i, session, want)
		}
		if len(items) == 0 {
			t.Errorf("range %d is empty: the cut is not even", i)
		}
	}
	if total != n {
		t.Errorf("got %d items, want %d", total, n)
	}
}

func TestAzcosmosBatch(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := makeContainer(t, newClient(t, s, s.Key(), nil), "/pk")
	ctx := context.Background()
	pk := azcosmos.NewPartitionKeyString("a")
	b := c.NewTransactionalBatch(pk)
	b.CreateItem([]byte(`{"id":"1","pk":"a"}`), nil)
	b.UpsertItem([]byte(`{"id":"2","pk":"a"}`), nil)
	b.CreateItem([]byte(`{"id":"3","pk":"a"}`), nil)
	b.DeleteItem("3", nil)
	b.ReplaceItem("1", []byte(`{"id":"1","pk":"a","n":2}`), nil)
	b.ReadItem("1", nil)
	got, err := c.ExecuteTransactionalBatch(ctx, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []int32{201, 201, 201, 204, 200, 200}
	for i, r := range got.OperationResults {
		if r.StatusCode != want[i] {
			t.Errorf("operation %d: got %d, want %d", i, r.StatusCode, want[i])
		}
	}
	if body := strip(t, got.OperationResults[5].ResourceBody); string(body) != `{"id":"1","pk":"a","n":2}` {
		t.Errorf("read in the batch: got %s", body)
	}
	failing := c.NewTransactionalBatch(pk)
	failing.CreateItem([]byte(`{"id":"4","pk":"a"}`), nil)
	failing.CreateItem([]byte(`{"id":"1","pk":"a"}`), nil)
	failed, err := c.ExecuteTransactionalBatch(ctx, failing, nil)
	if err != nil {
		t.Fatal(err)
	}
	if failed.Success || failed.OperationResults[0].StatusCode != 424 || failed.OperationResults[1].StatusCode != 409 {
		t.Errorf("got %+v, want 424 and 409", failed.OperationResults)
	}
	ranges, err := c.ReadFeedRanges(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	items, _ := drain(t, c, ranges[0], nil)
	if len(items) != 2 {
		t.Errorf("got %d items in the feed, want 2: %s", len(items), items)
	}
	for _, item := range items {
		if lsn := systemOf(t, item).LSN; lsn != 2 {
			t.Errorf("got lsn %d, want 2 for all of one batch", lsn)
		}
	}
}

func TestAzcosmosWrongKey(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	client := newClient(t, s, "d3Jvbmc=", nil)
	_, err := client.CreateDatabase(context.Background(), azcosmos.DatabaseProperties{ID: "shop"}, nil)
	if !hasStatus(err, 401) {
		t.Errorf("got %v, want 401", err)
	}
}

func TestAzcosmosFailover(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := makeContainer(t, newClient(t, s, s.Key(), nil), "/pk")
	ctx := context.Background()
	pk := azcosmos.NewPartitionKeyString("a")
	upsert := func(id string, n int) {
		t.Helper()
		if _, err := c.UpsertItem(ctx, pk, fmt.Appendf(nil, `{"id":"%s","pk":"a","n":%d}`, id, n), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		upsert(fmt.Sprint(i), i)
	}
	ranges, err := c.ReadFeedRanges(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.ReadChangeFeed(ctx, &azcosmos.ChangeFeedOptions{FeedRange: &ranges[0]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Failover(cosmosfake.Range{Database: "shop", Container: "orders", ID: "0"}, 2); err != nil {
		t.Fatal(err)
	}
	upsert("new", 1) // takes an LSN that the reader has passed
	skipped, session := drain(t, c, ranges[0], &page.ContinuationToken)
	if len(skipped) != 0 || session != "0:2#4#1=4" {
		t.Errorf("got %s and session %q, want no items and 0:2#4#1=4", skipped, session)
	}
	all, _ := drain(t, c, ranges[0], nil)
	if len(all) != 3 {
		t.Errorf("got %s, want 0, 1 and new", all)
	}
}
