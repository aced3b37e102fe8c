package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// restarted closes a server and starts another on its directory.
func restarted(t *testing.T, s *cosmosfake.Server, o cosmosfake.Options) *cosmosfake.Server {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return startServer(t, o)
}

// TestMergeIsRemembered: the feed of all versions stays closed, and a start at a time in what was merged and in its parts
// wants the capability, after a restart too.
func TestMergeIsRemembered(t *testing.T) {
	o := cosmosfake.Options{Retention: time.Hour, Dir: t.TempDir()}
	s, err := cosmosfake.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c := rest{t, s}
	c.makeOrders(2)
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	if _, err := s.Merge("shop", "orders", "0", "1"); err != nil {
		t.Fatal(err)
	}
	c.s = restarted(t, s, o)
	check := func(id string) {
		t.Helper()
		since := []string{"If-Modified-Since", "Fri, 20 Nov 2026 10:00:10 GMT"}
		if got := c.versions(id, "*"); got.status != 500 {
			t.Errorf("all versions of range %s: got %d, want 500", id, got.status)
		}
		if got := c.feed(id, "", since...); got.status != 400 {
			t.Errorf("range %s from a time: got %d, want 400", id, got.status)
		}
		if got := c.feed(id, "", append(since, "x-ms-cosmos-sdk-supportedcapabilities", "2")...); got.status == 400 {
			t.Errorf("range %s from a time, by who can: got %d %s", id, got.status, got.body)
		}
	}
	check("2")
	if _, err := c.s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: "2"}, cosmosfake.SplitOptions{At: []string{"20"}}); err != nil {
		t.Fatal(err)
	}
	check("3")
}

// TestClockAfterRestart: time does not go back, though the clock does.
func TestClockAfterRestart(t *testing.T) {
	clock := newClock()
	o := cosmosfake.Options{Clock: clock.now, Dir: t.TempDir()}
	s, err := cosmosfake.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c := rest{t, s}
	c.makeOrders(1)
	before := systemOf(t, c.upsert(`["a"]`, `{"id":"1","pk":"a"}`).body).TS
	clock.move(-time.Hour)
	c.s = restarted(t, s, o)
	if got := systemOf(t, c.upsert(`["a"]`, `{"id":"2","pk":"a"}`).body).TS; got != before {
		t.Errorf("got _ts %d after %d, want the same", got, before)
	}
}

// TestPositionAfterRestore: a position of before a container was deleted means nothing in the one that was restored.
func TestPositionAfterRestore(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(1)
	for i := range 8 { // 2 to 9, of which two stand
		c.upsert(`["a"]`, fmt.Sprintf(`{"id":"%d","pk":"a"}`, i%2))
	}
	c.must(204, "DELETE", coll, "")
	if err := s.RestoreContainer("shop", "orders"); err != nil {
		t.Fatal(err)
	}
	if got := c.versions("0", `"1"`); got.status != 400 {
		t.Errorf("all versions from a position of before: got %d, want 400", got.status)
	}
	if got := c.feed("0", `"9"`); got.status != 304 || got.header.Get("etag") != `"9"` || got.newest(t) != 2 {
		t.Errorf("newest versions from a position of before: got %d %s newest %d, want 304 \"9\" 2", got.status, got.header.Get("etag"), got.newest(t))
	}
	if got := c.feed("0", ""); ids(t, got) != "0@1 1@2" {
		t.Errorf("from the beginning: got %s", ids(t, got))
	}
}

// TestChangedOffer: what an offer is replaced by counts from then on.
func TestChangedOffer(t *testing.T) {
	clock := newClock()
	s := startServer(t, cosmosfake.Options{Clock: clock.now, Throughput: 1})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]}}`, "x-ms-offer-throughput", "400")
	writes := func() (n int) {
		clock.move(time.Hour) // so that a second's worth is saved up
		for n < 1000 && c.do("POST", docs, `{"id":"1","pk":"a"}`, pkH, `["a"]`, "x-ms-documentdb-is-upsert", "True").status != 429 {
			n++
		}
		return n
	}
	if got := writes(); got != 81 { // 400 / 4.95, and the last one goes below
		t.Errorf("with 400 RU/s: got %d writes", got)
	}
	var list struct {
		Offers []struct {
			RID string `json:"_rid"`
		}
	}
	if err := json.Unmarshal(c.must(200, "GET", "/offers", "").body, &list); err != nil || len(list.Offers) != 1 {
		t.Fatalf("got %+v, %v", list, err)
	}
	put := c.request("PUT", "/offers/"+list.Offers[0].RID, `{"content":{"offerThroughput":800}}`)
	date := put.Header.Get("x-ms-date")
	put.Header.Set("Authorization", c.sign("PUT", "offers", strings.ToLower(list.Offers[0].RID), date))
	if got := c.send(put); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if got := writes(); got != 162 {
		t.Errorf("with 800 RU/s: got %d writes", got)
	}
}

// TestDelay: a fault's delay passes before anything is done.
func TestDelay(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	const delay = 60 * time.Millisecond
	s.SetHook(func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Delay: delay} })
	began := time.Now()
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	if took := time.Since(began); took < delay {
		t.Errorf("got an answer after %v, want %v at least", took, delay)
	}
}

// TestReadKeyType: a span of keys wants the header that says what it is.
func TestReadKeyType(t *testing.T) {
	c := rest{t, startServer(t, cosmosfake.Options{})}
	c.makeOrders(1)
	span := []string{"x-ms-start-epk", "10", "x-ms-end-epk", "20"}
	if got := c.feed("0", "", span...); got.status != 400 || !strings.Contains(string(got.body), "x-ms-read-key-type") {
		t.Errorf("without: got %d %s, want 400", got.status, got.body)
	}
	if got := c.feed("0", "", append(span, "x-ms-read-key-type", "effectivepartitionkeyrange")...); got.status != 304 {
		t.Errorf("with: got %d %s, want 304", got.status, got.body)
	}
}

// TestNothingIsClamped: who asks for more than a range remembers is told, and nothing happens.
func TestNothingIsClamped(t *testing.T) {
	s := startServer(t, cosmosfake.Options{SecondRegion: "West US"})
	c := rest{t, s}
	c.makeOrders(2)
	for i := range 10 {
		c.upsert(fmt.Sprintf("[%d]", i), fmt.Sprintf(`{"id":"%d","pk":%d}`, i, i))
	}
	if err := s.FailOverRegion(-1); err == nil {
		t.Error("a failover that loses -1: got no error")
	}
	if _, err := s.Lag(orders0, 100, 0); err == nil {
		t.Error("a replica of before the beginning: got no error")
	}
	if _, err := s.Merge("shop", "orders", "0", "1"); err != nil {
		t.Fatal(err)
	}
	before := rangesOf(t, s)
	if err := s.FailOverRegion(5); err == nil {
		t.Error("a failover to before a merge: got no error")
	}
	if after := rangesOf(t, s); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("got %+v after %+v, want nothing done", after, before)
	}
	c.upsert(`[1]`, `{"id":"kept by the first region","pk":1}`)
	if err := s.FailOverRegion(1); err != nil {
		t.Error(err)
	}
	if after := rangesOf(t, s); after[0].Newest != before[0].Newest || after[0].Config != before[0].Config+1 {
		t.Errorf("got %+v after %+v, want the last LSN lost", after, before)
	}
}

// TestFailOverLosesAll: a young range loses what it has.
func TestFailOverLosesAll(t *testing.T) {
	s := startServer(t, cosmosfake.Options{SecondRegion: "West US"})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`[1]`, `{"id":"1","pk":1}`)
	if err := s.FailOverRegion(100); err != nil {
		t.Fatal(err)
	}
	if got := rangesOf(t, s)[0]; got.Newest != 1 || got.Items != 0 || got.Config != 2 {
		t.Errorf("got %+v, want an empty range", got)
	}
}

// TestLedgerTellsWhatLives: what is alive at a time follows from the ledger alone.
func TestLedgerTellsWhatLives(t *testing.T) {
	var ledger memoryLedger
	c := rest{t, startServer(t, cosmosfake.Options{Ledger: &ledger, Retention: time.Hour})}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]},"defaultTtl":60}`)
	c.upsert(`["a"]`, `{"id":"default","pk":"a"}`)
	c.upsert(`["a"]`, `{"id":"own","pk":"a","ttl":5}`)
	c.upsert(`["a"]`, `{"id":"forever","pk":"a","ttl":-1}`)
	c.must(200, "PUT", coll, `{"id":"orders","partitionKey":{"paths":["/pk"]},"defaultTtl":-1}`)
	c.must(200, "PUT", coll, `{"id":"orders","partitionKey":{"paths":["/pk"]}}`)
	c.must(204, "DELETE", coll, "")
	if err := c.s.RestoreContainer("shop", "orders"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range ledger.entries(t) {
		got = append(got, fmt.Sprintf("%s %s%d", e.Op, e.ID, int64(e.TTL)+e.DefaultTTL))
	}
	const want = "[create_container 60 upsert default0 upsert own5 upsert forever-1 replace_container -1 replace_container 0 delete_container 0 restore_container 0]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestCloseLeavesNothing: no goroutine of a server outlives it.
func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		s, err := cosmosfake.New(cosmosfake.Options{PurgeEvery: time.Microsecond, SecondRegion: "West", Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		c := rest{t, s}
		c.must(201, "POST", "/dbs", `{"id":"shop"}`)
		c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]},"defaultTtl":1}`)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before { // those of connections end by themselves
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("got %d goroutines, want %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}
