package cosmosfake_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

var orders0 = cosmosfake.Range{Database: "shop", Container: "orders", ID: "0"}

// ids lists a page as "id@lsn …".
func ids(t *testing.T, r response) string {
	t.Helper()
	if r.status == 304 {
		return ""
	}
	var list []string
	for _, d := range r.page(t).Documents {
		s := systemOf(t, d)
		list = append(list, fmt.Sprintf("%s@%d", s.ID, s.LSN))
	}
	return strings.Join(list, " ")
}

func batchOf(document ...string) string {
	var ops []string
	for _, d := range document {
		ops = append(ops, `{"operationType":"Upsert","resourceBody":`+d+`}`)
	}
	return "[" + strings.Join(ops, ",") + "]"
}

// newFeed has documents 1@2, 2@3, 4@5 and 5@5 of one batch, and 3@6, which was first written at 4.
func newFeed(t *testing.T) (*cosmosfake.Server, rest) {
	t.Helper()
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	for i := 1; i <= 3; i++ {
		c.upsert(`["a"]`, fmt.Sprintf(`{"id":"%d","pk":"a"}`, i))
	}
	c.must(200, "POST", docs, batchOf(`{"id":"4","pk":"a"}`, `{"id":"5","pk":"a"}`),
		"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`)
	c.upsert(`["a"]`, `{"id":"3","pk":"a","n":2}`)
	return s, c
}

func TestFeedPages(t *testing.T) {
	_, c := newFeed(t)
	tests := []struct {
		name, from, items string
		status            int
		want, etag        string
	}{
		{"from the beginning", "", "-1", 200, "1@2 2@3 4@5 5@5 3@6", `"6"`},
		{"page of two", "", "2", 200, "1@2 2@3", `"3"`},
		{"a transaction is not cut", "", "3", 200, "1@2 2@3 4@5 5@5", `"5"`},
		{"after an etag", `"3"`, "1", 200, "4@5 5@5", `"5"`},
		{"after an LSN that is gone", `"4"`, "1", 200, "4@5 5@5", `"5"`},
		{"nothing new", `"6"`, "1", 304, "", `"6"`},
		{"from now", `*`, "1", 304, "", `"6"`},
		{"from beyond", `"9"`, "1", 304, "", `"9"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := c.feed("0", test.from, "x-ms-max-item-count", test.items)
			if got.status != test.status || ids(t, got) != test.want || got.header.Get("etag") != test.etag {
				t.Errorf("got %d %q etag %s, want %d %q %s", got.status, ids(t, got), got.header.Get("etag"), test.status, test.want, test.etag)
			}
			if token := got.header.Get("x-ms-session-token"); token != "0:1#6#1=6" || got.header.Get("lsn") != "6" {
				t.Errorf("got session token %q and lsn %q, want 0:1#6#1=6 and 6", token, got.header.Get("lsn"))
			}
			if n := got.header.Get("x-ms-item-count"); n != fmt.Sprint(len(strings.Fields(test.want))) {
				t.Errorf("got x-ms-item-count %s for %q", n, test.want)
			}
			if got.header.Get("x-ms-request-charge") == "" || got.header.Get("Date") == "" {
				t.Errorf("got header %v, want a charge and a date", got.header)
			}
		})
	}
}

func TestLSNsWithoutRecord(t *testing.T) {
	s, c := newFeed(t)
	if _, err := s.Bump(orders0, 4); err != nil {
		t.Fatal(err)
	}
	if got := c.feed("0", `"6"`); got.status != 304 || got.header.Get("etag") != `"10"` || got.newest(t) != 10 {
		t.Errorf("after internal writes: got %d etag %s newest %d, want 304 \"10\" 10", got.status, got.header.Get("etag"), got.newest(t))
	}
	c.must(200, "POST", docs, `[{"operationType":"Create","resourceBody":{"id":"x","pk":"a"}},{"operationType":"Delete","id":"x"}]`,
		"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`)
	if got := c.feed("0", `"6"`); got.status != 304 || got.header.Get("etag") != `"11"` {
		t.Errorf("after a create and a delete in one batch: got %d etag %s, want 304 \"11\"", got.status, got.header.Get("etag"))
	}
	c.must(204, "DELETE", docs+"/1", "", pkH, `["a"]`)
	if got := c.feed("0", ""); ids(t, got) != "2@3 4@5 5@5 3@6" || got.newest(t) != 12 {
		t.Errorf("after a delete: got %q newest %d", ids(t, got), got.newest(t))
	}
}

func TestLag(t *testing.T) {
	s, c := newFeed(t)
	if _, err := s.Lag(orders0, 2, 2); err != nil { // as of 4
		t.Fatal(err)
	}
	if got := c.feed("0", ""); ids(t, got) != "1@2 2@3 3@4" || got.newest(t) != 4 {
		t.Errorf("lagging: got %q newest %d, want the state at 4", ids(t, got), got.newest(t))
	}
	if got := c.feed("0", `"5"`); got.status != 304 || got.header.Get("etag") != `"5"` || got.newest(t) != 4 {
		t.Errorf("lagging: got %d etag %s newest %d, want 304 \"5\" 4", got.status, got.header.Get("etag"), got.newest(t))
	}
	if got := c.feed("0", `"5"`); ids(t, got) != "3@6" {
		t.Errorf("after two requests: got %q, want 3@6", ids(t, got))
	}
	if _, err := s.Lag(orders0, 0, 0); err != nil { // stops at 6 until cleared
		t.Fatal(err)
	}
	c.upsert(`["a"]`, `{"id":"6","pk":"a"}`)
	for range 3 {
		if got := c.feed("0", `"6"`); got.status != 304 || got.newest(t) != 6 {
			t.Errorf("stopped: got %d newest %d, want 304 6", got.status, got.newest(t))
		}
	}
	if _, err := s.ClearLag(orders0); err != nil {
		t.Fatal(err)
	}
	if got := c.feed("0", `"6"`); ids(t, got) != "6@7" {
		t.Errorf("cleared: got %q, want 6@7", ids(t, got))
	}
}

func TestFailoverUndoes(t *testing.T) {
	s, c := newFeed(t)
	c.must(204, "DELETE", docs+"/2", "", pkH, `["a"]`) // 7
	state, err := s.Failover(orders0, 3)               // back to 4
	if err != nil {
		t.Fatal(err)
	}
	if state.Newest != 4 || state.Config != 2 || state.Items != 3 {
		t.Errorf("got %+v, want newest 4, config 2 and 3 items", state)
	}
	if got := c.feed("0", ""); ids(t, got) != "1@2 2@3 3@4" || got.header.Get("x-ms-session-token") != "0:2#4#1=4" {
		t.Errorf("got %q with %s", ids(t, got), got.header.Get("x-ms-session-token"))
	}
	c.must(404, "GET", docs+"/4", "", pkH, `["a"]`)
	if got := c.must(200, "GET", docs+"/3", "", pkH, `["a"]`); string(strip(t, got.body)) != `{"id":"3","pk":"a"}` {
		t.Errorf("got %s, want the earlier version", got.body)
	}
	c.upsert(`["a"]`, `{"id":"9","pk":"a"}`)
	if got := c.feed("0", `"7"`); got.status != 304 || got.header.Get("etag") != `"7"` {
		t.Errorf("a reader that was ahead: got %d etag %s, want 304 \"7\"", got.status, got.header.Get("etag"))
	}
	if got := c.feed("0", ""); ids(t, got) != "1@2 2@3 3@4 9@5" {
		t.Errorf("got %q, want the reused LSN 5", ids(t, got))
	}
	if _, err := s.Failover(orders0, 5); err == nil {
		t.Errorf("a failover beyond the beginning: got no error")
	}
	if _, err := s.Lag(orders0, 0, 0); err != nil { // stops at 5, which the failover undoes
		t.Fatal(err)
	}
	if _, err := s.Failover(orders0, 1); err != nil {
		t.Fatal(err)
	}
	c.upsert(`["a"]`, `{"id":"8","pk":"a"}`)
	c.upsert(`["a"]`, `{"id":"9","pk":"a"}`)
	if got := c.feed("0", `"3"`); ids(t, got) != "3@4 8@5 9@6" {
		t.Errorf("a replica that lagged before the failover: got %q, want the newest", ids(t, got))
	}
	if state, err = s.Failover(orders0, 0); err != nil || state.Newest != 6 || state.Config != 4 {
		t.Errorf("a failover that loses nothing: got %+v, %v", state, err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s, c := newFeed(t)
	if _, err := s.Bump(orders0, 2000); err != nil {
		t.Fatal(err)
	}
	ranges, err := s.Ranges("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	if ranges[0].Floor != 6 { // the last version that was replaced ended there
		t.Errorf("got floor %d, want 6", ranges[0].Floor)
	}
	if _, err := s.Failover(orders0, 2001); err == nil {
		t.Errorf("a failover beyond the history: got no error")
	}
	if _, err := s.Lag(orders0, 2001, 0); err == nil {
		t.Errorf("a replica beyond the history: got no error")
	}
	if _, err := s.Lag(orders0, 2000, 0); err != nil {
		t.Fatal(err)
	}
	if got := c.feed("0", ""); ids(t, got) != "1@2 2@3 4@5 5@5 3@6" || got.newest(t) != 6 {
		t.Errorf("a replica at the floor: got %q newest %d, want the state at the floor", ids(t, got), got.newest(t))
	}
}

// TestReadFeed reads a container back, over all ranges, page by page.
func TestReadFeed(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(4)
	want := map[string]bool{}
	for i := range 30 {
		c.upsert(fmt.Sprintf("[%d]", i), fmt.Sprintf(`{"id":"%d","pk":%d}`, i, i))
		want[fmt.Sprint(i)] = true
	}
	read := func(headers ...string) int {
		n, token := 0, ""
		for {
			h := append([]string{"x-ms-max-item-count", "4"}, headers...)
			if token != "" {
				h = append(h, "x-ms-continuation", token)
			}
			got := c.must(200, "GET", docs, "", h...)
			for _, d := range got.page(t).Documents {
				doc := systemOf(t, d)
				if !want[doc.ID] || doc.LSN != 0 {
					t.Errorf("got %s, want a document of ours without _lsn", d)
				}
				n++
			}
			if token = got.header.Get("x-ms-continuation"); token == "" {
				return n
			}
		}
	}
	if n := read(); n != 30 {
		t.Errorf("whole container: got %d, want 30", n)
	}
	sum := 0
	for id := range 4 {
		sum += read(rangH, fmt.Sprint(id))
	}
	if sum != 30 {
		t.Errorf("range by range: got %d, want 30", sum)
	}
}

// TestReplicaOfBeforeFailover shows what the failover undid, and nothing that came after, whatever happens to the range.
func TestReplicaOfBeforeFailover(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(1)
	for _, id := range []string{"kept", "changed", "deleted"} { // 2 to 4
		c.upsert(`["a"]`, `{"id":"`+id+`","pk":"a"}`)
	}
	c.upsert(`["a"]`, `{"id":"lost","pk":"a"}`)              // 5
	c.upsert(`["a"]`, `{"id":"changed","pk":"a","n":2}`)     // 6
	c.must(204, "DELETE", docs+"/deleted", "", pkH, `["a"]`) // 7
	if _, err := s.Failover(orders0, 3); err != nil {
		t.Fatal(err)
	}
	c.upsert(`["a"]`, `{"id":"new","pk":"a"}`)
	c.upsert(`["a"]`, `{"id":"kept","pk":"a","n":3}`)
	if _, err := s.Bump(orders0, 2000); err != nil { // history forgets
		t.Fatal(err)
	}
	fault := cosmosfake.Fault{ConfigBehind: 1}
	s.SetHook(func(*http.Request) *cosmosfake.Fault { return &fault })
	if got := c.feed("0", ""); ids(t, got) != "kept@2 lost@5 changed@6" || got.header.Get("x-ms-session-token") != "0:1#7#1=7" {
		t.Errorf("got %q with %s", ids(t, got), got.header.Get("x-ms-session-token"))
	}
	if got := c.feed("0", `"5"`, "x-ms-max-item-count", "1"); ids(t, got) != "changed@6" {
		t.Errorf("after 5: got %q", ids(t, got))
	}
	const events = "[create lost@5<0 replace changed@6<3 delete deleted@7<4]"
	if got := c.versions("0", `"4"`); fmt.Sprint(versionsOf(t, got)) != events || got.newest(t) != 7 {
		t.Errorf("got %s newest %d, want %s", versionsOf(t, got), got.newest(t), events)
	}
	fault.Behind = 2
	if got := c.feed("0", ""); ids(t, got) != "kept@2 changed@3 deleted@4 lost@5" || got.newest(t) != 5 {
		t.Errorf("two behind: got %q newest %d", ids(t, got), got.newest(t))
	}
	fault = cosmosfake.Fault{}
	if got := c.feed("0", ""); ids(t, got) != "changed@3 deleted@4 new@5 kept@6" {
		t.Errorf("another replica: got %q", ids(t, got))
	}
}
