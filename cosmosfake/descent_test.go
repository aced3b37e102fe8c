package cosmosfake_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// What a client got from a range counts for the ranges that it was split into: session tokens and continuations.

// splitTwice cuts a range in two and the first part again, and names the three that are left.
func (c rest) splitTwice(id string) []string {
	c.t.Helper()
	var names []string
	for range 2 {
		states, err := c.s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: id}, cosmosfake.SplitOptions{})
		if err != nil {
			c.t.Fatal(err)
		}
		names = append(slices.DeleteFunc(names, func(name string) bool { return name == id }), states[0].ID, states[1].ID)
		id = states[0].ID
	}
	slices.Sort(names)
	return names
}

// TestSessionOfParent: a child that lags does not answer a session that saw more of the range that it came from.
func TestSessionOfParent(t *testing.T) {
	s, c := keyed(t, 20, cosmosfake.Options{}) // 2 to 21
	token := c.upsert(`[4]`, `{"id":"4","pk":4,"n":2}`).header.Get("x-ms-session-token")
	c.splitTwice("0")
	home := c.must(200, "GET", docs+"/4", "", pkH, `[4]`).header.Get(rangH)
	lag := func(requests int) {
		t.Helper()
		if _, err := s.Lag(cosmosfake.Range{Database: "shop", Container: "orders", ID: home}, 1, requests); err != nil {
			t.Fatal(err)
		}
	}
	lag(2)
	if got := c.must(200, "GET", docs+"/4", "", pkH, `[4]`); strings.Contains(string(got.body), `"n":2`) {
		t.Errorf("got %s without a session, want the version of before", got.body)
	}
	if got := c.must(200, "GET", docs+"/4", "", pkH, `[4]`, "x-ms-session-token", token); !strings.Contains(string(got.body), `"n":2`) {
		t.Errorf("got %s by the session %s of the parent, want what it wrote", got.body, token)
	}
	ahead := strings.ReplaceAll(token, "22", "99")
	for name, got := range map[string]response{
		"point read": c.do("GET", docs+"/4", "", pkH, `[4]`, "x-ms-session-token", ahead),
		"query":      c.do("POST", docs, queryOf("SELECT * FROM c"), "Content-Type", asQuery, rangH, home, "x-ms-session-token", ahead),
		"list":       c.do("GET", docs, "", rangH, home, "x-ms-session-token", ahead),
	} {
		if got.status != 404 || got.substatus() != "1002" {
			t.Errorf("%s: got %d/%s by %s, want 404/1002", name, got.status, got.substatus(), ahead)
		}
	}
}

// TestSessionOfNewerTopology: a replica with a lower configuration number than the session has seen does not answer it.
func TestSessionOfNewerTopology(t *testing.T) {
	s, c := keyed(t, 3, cosmosfake.Options{})
	if _, err := s.Failover(orders0, 1); err != nil {
		t.Fatal(err)
	}
	token := c.must(200, "GET", docs+"/1", "", pkH, `[1]`).header.Get("x-ms-session-token")
	if !strings.HasPrefix(token, "0:2#") {
		t.Fatalf("got the session %s, want configuration 2", token)
	}
	s.SetHook(func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{ConfigBehind: 1} })
	if got := c.do("GET", docs+"/1", "", pkH, `[1]`, "x-ms-session-token", token); got.status != 404 || got.substatus() != "1002" {
		t.Errorf("got %d/%s, want 404/1002", got.status, got.substatus())
	}
	c.must(200, "GET", docs+"/1", "", pkH, `[1]`)
}

// TestContinuationOfParent: a query and a list go on in the parts of a range that was split, twice, and show every
// document once. Clients give the continuation of a range that is gone to each of its parts.
func TestContinuationOfParent(t *testing.T) {
	for _, order := range []cosmosfake.ScanOrder{cosmosfake.ScanByLSN, cosmosfake.ScanByRID} {
		const n = 60
		s, c := keyed(t, n, cosmosfake.Options{Scan: order})
		page := func(more string, headers ...string) (response, string) {
			headers = append(headers, "Content-Type", asQuery, "x-ms-max-item-count", "7")
			if more != "" {
				headers = append(headers, "x-ms-continuation", more)
			}
			got := c.must(200, "POST", docs, queryOf("SELECT VALUE c.id FROM c"), headers...)
			return got, got.header.Get("x-ms-continuation")
		}
		note := func(into map[string]int, got response) {
			for _, row := range got.page(t).Documents {
				into[strings.Trim(string(row), `"`)]++
			}
		}
		once := func(name string, seen map[string]int) {
			t.Helper()
			if len(seen) != n {
				t.Errorf("order %d, %s: got %d documents, want %d", order, name, len(seen), n)
			}
			for id, times := range seen {
				if times != 1 {
					t.Errorf("order %d, %s: got %s %d times", order, name, id, times)
				}
			}
		}
		whole, named, list := make(map[string]int), make(map[string]int), make(map[string]int)
		got, stream := page("", crossPartition, "True")
		note(whole, got)
		got, ofRange := page("", rangH, "0")
		note(named, got)
		first := c.must(200, "GET", docs, "", rangH, "0", "x-ms-max-item-count", "7")
		for _, d := range first.page(t).Documents {
			list[systemOf(t, d).ID]++
		}
		names := c.splitTwice("0")
		if got := c.do("POST", docs, queryOf("SELECT * FROM c"), rangH, "0", "Content-Type", asQuery, "x-ms-continuation", ofRange); got.status != 410 || got.substatus() != "1002" {
			t.Errorf("at the parent: got %d/%s, want 410/1002", got.status, got.substatus())
		}
		for _, name := range names {
			for more := ofRange; more != ""; {
				got, more = page(more, rangH, name)
				note(named, got)
			}
			for more := first.header.Get("x-ms-continuation"); more != ""; {
				got = c.must(200, "GET", docs, "", rangH, name, "x-ms-continuation", more, "x-ms-max-item-count", "7")
				for _, d := range got.page(t).Documents {
					list[systemOf(t, d).ID]++
				}
				more = got.header.Get("x-ms-continuation")
			}
		}
		// The stream over all ranges meets a third split on its way.
		for pages := 0; stream != ""; pages++ {
			got, stream = page(stream, crossPartition, "True")
			note(whole, got)
			if pages == 0 {
				if _, err := s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: got.header.Get(rangH)}, cosmosfake.SplitOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		once("all ranges", whole)
		once("range by range", named)
		once("list, range by range", list)
	}
}

// TestPlaceAmongRows: a place in a query that computes all rows is good for its own ranges, or its key. Taken for a place
// among the rows of a part it would hide some.
func TestPlaceAmongRows(t *testing.T) {
	_, c := keyed(t, 20, cosmosfake.Options{})
	for i := range 4 {
		c.upsert(`["k"]`, fmt.Sprintf(`{"id":"k%d","pk":"k"}`, i))
	}
	page := func(more string, headers ...string) response {
		headers = append(headers, "Content-Type", asQuery, "x-ms-max-item-count", "2", "x-ms-continuation", more)
		return c.do("POST", docs, queryOf("SELECT VALUE c.id FROM c ORDER BY c.id"), headers...)
	}
	ofRange := page("", rangH, "0").header.Get("x-ms-continuation")
	ofKey := page("", pkH, `["k"]`).header.Get("x-ms-continuation")
	if got := page(ofRange, rangH, "0"); got.status != 200 {
		t.Errorf("before the split: got %d %s", got.status, got.body)
	}
	names := c.splitTwice("0")
	for _, name := range names {
		if got := page(ofRange, rangH, name); got.status != 400 || !strings.Contains(string(got.body), "begin again") {
			t.Errorf("range %s: got %d %s, want 400", name, got.status, got.body)
		}
	}
	if got := page(ofKey, pkH, `["k"]`); got.status != 200 || string(slices.Concat([]byte(got.page(t).Documents[0]), []byte(got.page(t).Documents[1]))) != `"k2""k3"` {
		t.Errorf("of a key: got %d %s, want the rest", got.status, got.body)
	}
}

// TestContinuationOfBeforeMerge is not good any more: its LSNs are not the merged range's.
func TestContinuationOfBeforeMerge(t *testing.T) {
	s, c := keyed(t, 20, cosmosfake.Options{})
	names := c.splitTwice("0")
	headers := []string{"Content-Type", asQuery, "x-ms-max-item-count", "2"}
	more := c.must(200, "POST", docs, queryOf("SELECT * FROM c"), append(headers, rangH, names[0])...).header.Get("x-ms-continuation")
	listed := c.must(200, "GET", docs, "", rangH, names[0], "x-ms-max-item-count", "2").header.Get("x-ms-continuation")
	states, err := s.Ranges("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	merged, err := s.Merge("shop", "orders", states[0].ID, states[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.do("POST", docs, queryOf("SELECT * FROM c"), append(headers, rangH, merged.ID, "x-ms-continuation", more)...); got.status != 410 || got.substatus() != "1002" {
		t.Errorf("query: got %d/%s, want 410/1002", got.status, got.substatus())
	}
	if got := c.do("GET", docs, "", rangH, merged.ID, "x-ms-continuation", listed); got.status != 400 {
		t.Errorf("list: got %d, want 400", got.status)
	}
	token := fmt.Sprintf("%s:1#%d#1=%d", names[0], 99, 99)
	if got := c.do("GET", docs, "", rangH, merged.ID, "x-ms-session-token", token); got.status != 200 {
		t.Errorf("session of before: got %d, want 200", got.status)
	}
}

// TestMergeOrdersByLSN: what was written later may stand under a lower LSN after a merge, so `_ts` goes back along LSNs.
// Within a key nothing changes its place.
func TestMergeOrdersByLSN(t *testing.T) {
	clock := newClock()
	s := startServer(t, cosmosfake.Options{Clock: clock.now})
	c := rest{t, s}
	c.makeOrders(2)
	keys := make(map[string]string) // one of each range
	for i := 0; len(keys) < 2; i++ {
		pk := fmt.Sprintf("k%d", i)
		keys[c.do("GET", docs+"/none", "", pkH, `["`+pk+`"]`).header.Get(rangH)] = pk
	}
	put := func(id, rangeID string) {
		c.upsert(`["`+keys[rangeID]+`"]`, fmt.Sprintf(`{"id":%q,"pk":%q}`, id, keys[rangeID]))
		clock.move(time.Second)
	}
	for i := range 4 {
		put(fmt.Sprintf("early %d", i), "0") // LSNs 2 to 5
	}
	for i := range 2 {
		put(fmt.Sprintf("late %d", i), "1") // 2 and 3
	}
	merged, err := s.Merge("shop", "orders", "0", "1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	back := false
	last := int64(0)
	for _, d := range c.feed(merged.ID, "").page(t).Documents {
		v := systemOf(t, d)
		got = append(got, fmt.Sprintf("%s@%d", v.ID, v.LSN))
		back = back || v.TS < last
		last = v.TS
	}
	if list := strings.Join(got, ", "); list != "early 0@1, late 0@2, early 1@3, late 1@4, early 2@5, early 3@6" || !back {
		t.Errorf("got %s, _ts going back %t", list, back)
	}
}
