package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestDocumentedEnvelope: the metadata of the service's documentation has only what it says something by; deletions have
// no `current`, and `previous` where the account delivers it.
func TestDocumentedEnvelope(t *testing.T) {
	for _, test := range []struct {
		name    string
		options cosmosfake.Options
		want    []string
	}{
		{"documented", cosmosfake.Options{Deletion: cosmosfake.DeletionDocumented}, []string{
			"create: current metadata: crts lsn operationType",
			"replace: current metadata: crts lsn operationType previousImageLSN",
			"delete: metadata: crts id lsn operationType partitionKey previousImageLSN",
			"create: current metadata: crts lsn operationType",
			"delete: metadata: crts id lsn operationType partitionKey previousImageLSN timeToLiveExpired",
		}},
		{"with images", cosmosfake.Options{Deletion: cosmosfake.DeletionDocumented, PreviousImages: true}, []string{
			"create: current metadata: crts lsn operationType",
			"replace: current metadata: crts lsn operationType previousImageLSN",
			"delete: metadata previous: crts id lsn operationType partitionKey previousImageLSN",
			"create: current metadata: crts lsn operationType",
			"delete: metadata previous: crts id lsn operationType partitionKey previousImageLSN timeToLiveExpired",
		}},
		{"object with images", cosmosfake.Options{PreviousImages: true}, []string{
			"create: current metadata: crts lsn operationType previousImageLSN timeToLiveExpired",
			"replace: current metadata: crts lsn operationType previousImageLSN timeToLiveExpired",
			"delete: current metadata previous: crts id lsn operationType partitionKey previousImageLSN timeToLiveExpired",
			"create: current metadata: crts lsn operationType previousImageLSN timeToLiveExpired",
			"delete: current metadata previous: crts id lsn operationType partitionKey previousImageLSN timeToLiveExpired",
		}},
	} {
		clock := newClock()
		test.options.Retention, test.options.Clock = time.Hour, clock.now
		s := startServer(t, test.options)
		c := rest{t, s}
		c.must(201, "POST", "/dbs", `{"id":"shop"}`)
		c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]},"defaultTtl":-1}`)
		c.upsert(`["a"]`, `{"id":"1","pk":"a","n":1}`)
		c.upsert(`["a"]`, `{"id":"1","pk":"a","n":2}`)
		c.must(204, "DELETE", docs+"/1", "", pkH, `["a"]`)
		c.upsert(`["a"]`, `{"id":"1","pk":"a","n":3,"ttl":1}`)
		clock.move(2 * time.Second)
		if _, err := s.Purge("shop", "orders"); err != nil {
			t.Fatal(err)
		}
		var got, images []string
		for _, d := range c.versions("0", `"1"`).page(t).Documents {
			var row, metadata map[string]json.RawMessage
			if err := json.Unmarshal(d, &row); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(row["metadata"], &metadata); err != nil {
				t.Fatal(err)
			}
			names := func(of map[string]json.RawMessage) string { return strings.Join(slices.Sorted(maps.Keys(of)), " ") }
			got = append(got, fmt.Sprintf("%s: %s: %s", strings.Trim(string(metadata["operationType"]), `"`), names(row), names(metadata)))
			if image, ok := row["previous"]; ok {
				images = append(images, fmt.Sprint(systemOf(t, image).LSN)+string(strip(t, image)))
			}
		}
		if want := `0{"id":"1","pk":"a","n":2} 0{"id":"1","pk":"a","n":3,"ttl":1}`; test.options.PreviousImages && strings.Join(images, " ") != want {
			t.Errorf("%s: got the images %s, want %s", test.name, images, want)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

// TestMixedPage: the service promises an order within each partition key only. The etag of such a page is its last LSN,
// wherever that stands.
func TestMixedPage(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(1)
	for i := range 6 {
		pk := string(rune('a' + i%3))
		c.upsert(`["`+pk+`"]`, fmt.Sprintf(`{"id":"%d","pk":%q}`, i, pk))
	}
	s.SetHook(func(*http.Request) *cosmosfake.Fault {
		return &cosmosfake.Fault{Feed: cosmosfake.FeedForm{Mixed: true}}
	})
	const all = "2 5 1 4 0 3"
	newest := c.feed("0", "")
	var got []string
	for _, d := range newest.page(t).Documents {
		got = append(got, systemOf(t, d).ID)
	}
	if list := strings.Join(got, " "); list != all || newest.header.Get("etag") != `"7"` {
		t.Errorf("newest versions: got %s etag %s, want %s etag \"7\"", list, newest.header.Get("etag"), all)
	}
	page := c.versions("0", `"1"`, "x-ms-max-item-count", "4")
	if list := fmt.Sprint(versionsOf(t, page)); list != "[create 2@4<0 create 1@3<0 create 0@2<0 create 3@5<0]" || page.header.Get("etag") != `"5"` {
		t.Errorf("all versions: got %s etag %s", list, page.header.Get("etag"))
	}
}
