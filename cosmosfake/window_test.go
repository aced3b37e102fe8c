package cosmosfake_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// testClock is a clock that stands until it is moved.
type testClock struct{ nanos atomic.Int64 }

func newClock() *testClock {
	c := &testClock{}
	c.nanos.Store(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *testClock) now() time.Time       { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *testClock) move(d time.Duration) { c.nanos.Add(int64(d)) }

// all reads a feed to its end and lists "id@lsn …", sorted within nothing: in the order of the feed.
func (c rest) all(rangeID string, headers ...string) string {
	c.t.Helper()
	var list []string
	etag := ""
	for {
		got := c.feed(rangeID, etag, headers...)
		if got.status == http.StatusNotModified {
			return strings.Join(list, " ")
		}
		if got.status != 200 {
			c.t.Fatalf("feed of range %s: got %d %s", rangeID, got.status, got.body)
		}
		for _, d := range got.page(c.t).Documents {
			s := systemOf(c.t, d)
			list = append(list, fmt.Sprintf("%s@%d", s.ID, s.LSN))
		}
		etag = got.header.Get("etag")
	}
}

func epkHeaders(lower, upper string) []string {
	return []string{"x-ms-read-key-type", "EffectivePartitionKeyRange", "x-ms-start-epk", lower, "x-ms-end-epk", upper}
}

// TestFeedWindows cuts a container in every way that a feed can be cut: the parts give all of it, each once.
func TestFeedWindows(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("hashing ", version), func(t *testing.T) {
			s := startServer(t, cosmosfake.Options{})
			c := rest{t, s}
			c.must(201, "POST", "/dbs", `{"id":"shop"}`)
			c.must(201, "POST", "/dbs/shop/colls", fmt.Sprintf(`{"id":"orders","partitionKey":{"paths":["/pk"],"kind":"Hash","version":%d}}`, version),
				"x-ms-cosmosfake-ranges", "2")
			for i := range 40 {
				c.upsert(fmt.Sprintf(`["k%d"]`, i%10), fmt.Sprintf(`{"id":"%d","pk":"k%d"}`, i, i%10))
			}
			whole := strings.Fields(c.all("0") + " " + c.all("1"))
			ranges, err := s.Ranges("shop", "orders")
			if err != nil || len(whole) != 40 || ranges[0].Items == 0 || ranges[1].Items == 0 {
				t.Fatalf("got %d documents in %+v (%v), want 40 in both", len(whole), ranges, err)
			}
			middle := map[int][2]string{1: {"05C1D5", "05C1E8"}, 2: {"1234", "2ABCDEF0"}}[version]
			var parts, keys []string
			for i, r := range ranges {
				parts = append(parts, strings.Fields(c.all(r.ID, epkHeaders(r.Span.Min, middle[i])...))...)
				parts = append(parts, strings.Fields(c.all(r.ID, epkHeaders(middle[i], r.Span.Max)...))...)
			}
			for i := range 10 {
				of := strings.Fields(c.all("", pkH, fmt.Sprintf(`["k%d"]`, i)))
				if len(of) != 4 {
					t.Errorf("key k%d: got %v, want 4", i, of)
				}
				keys = append(keys, of...)
			}
			for _, got := range [][]string{parts, keys} {
				if slices.Equal(got, whole) {
					t.Errorf("got the parts in the order of the whole: the cut did nothing")
				}
				if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(whole))) {
					t.Errorf("got %v, want %v", got, whole)
				}
			}
			if got := c.feed("0", "", epkHeaders(middle[1], "FF")...); got.status != 410 || got.substatus() != "1002" {
				t.Errorf("a span of another range: got %d/%s, want 410/1002", got.status, got.substatus())
			}
			if got := c.feed("", "", epkHeaders("", "FF")...); got.status != 410 || got.substatus() != "1002" {
				t.Errorf("a span of two ranges: got %d/%s, want 410/1002", got.status, got.substatus())
			}
			if got := c.feed("0", "", epkHeaders("zz", "FF")...); got.status != 400 {
				t.Errorf("a span that is none: got %d, want 400", got.status)
			}
		})
	}
}

func TestFeedOfKeyPrefix(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/a","/b","/c"],"kind":"MultiHash","version":2}}`)
	for i := range 12 {
		c.upsert(fmt.Sprintf(`["a%d",%d,null]`, i%2, i%3), fmt.Sprintf(`{"id":"%d","a":"a%d","b":%d,"c":null}`, i, i%2, i%3))
	}
	for key, want := range map[string]string{
		`["a0"]`:        "0@2 2@4 4@6 6@8 8@10 10@12",
		`["a0",1]`:      "4@6 10@12",
		`["a0",1,null]`: "4@6 10@12",
		`["a0",1,"x"]`:  "",
		`["a2"]`:        "",
	} {
		if got := c.all("", pkH, key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if got := c.feed("", "", pkH, `[1,2,3,4]`); got.status != 400 {
		t.Errorf("a key of four levels: got %d, want 400", got.status)
	}
}

func TestFeedFromTime(t *testing.T) {
	clock := newClock()
	s := startServer(t, cosmosfake.Options{Clock: clock.now})
	c := rest{t, s}
	c.makeOrders(1)
	for i := 1; i <= 3; i++ {
		c.upsert(`["a"]`, fmt.Sprintf(`{"id":"%d","pk":"a"}`, i))
		clock.move(10 * time.Second)
	}
	for _, test := range []struct{ at, etag, want string }{
		{"Fri, 20 Nov 2026 09:00:00 GMT", "", "1@2 2@3 3@4"},
		{"Fri, 20 Nov 2026 10:00:10 UTC", "", "2@3 3@4"},
		{"Fri, 20 Nov 2026 10:00:11 GMT", "", "3@4"},
		{"Fri, 20 Nov 2026 10:00:10 GMT", `"3"`, "3@4"},
		{"Fri, 20 Nov 2026 11:00:00 GMT", "", ""},
	} {
		if got := ids(t, c.feed("0", test.etag, "If-Modified-Since", test.at)); got != test.want {
			t.Errorf("from %s after %q: got %q, want %q", test.at, test.etag, got, test.want)
		}
	}
}

// TestWrappedFeed: the header of the other feed wraps the documents of this one.
func TestWrappedFeed(t *testing.T) {
	_, c := newFeed(t)
	got := c.feed("0", `"4"`, "x-ms-cosmos-changefeed-wire-format-version", "2021-09-15")
	list := versionsOf(t, got)
	if len(list) != 3 || list[0].Current["id"] != "4" || list[2].Metadata.LSN != 6 || list[2].Metadata.CRTS == 0 {
		t.Errorf("got %s, want three documents in envelopes", got.body)
	}
}
