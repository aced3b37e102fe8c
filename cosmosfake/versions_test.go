package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// envelope is a row of the feed of all versions.
type envelope struct {
	Current  map[string]any `json:"current"`
	Metadata struct {
		LSN          int64           `json:"lsn"`
		CRTS         int64           `json:"crts"`
		Operation    string          `json:"operationType"`
		Previous     int64           `json:"previousImageLSN"`
		Expired      bool            `json:"timeToLiveExpired"`
		ID           string          `json:"id"`
		PartitionKey json.RawMessage `json:"partitionKey"`
	} `json:"metadata"`
}

func (e envelope) String() string {
	m := e.Metadata
	id := m.ID
	if m.Operation != "delete" {
		id = fmt.Sprint(e.Current["id"])
	}
	text := fmt.Sprintf("%s %s@%d<%d", m.Operation, id, m.LSN, m.Previous)
	if m.Expired {
		text += "!"
	}
	return text
}

func versionsOf(t testing.TB, r response) []envelope {
	t.Helper()
	if r.status == 304 {
		return nil
	}
	if r.status != 200 {
		t.Fatalf("got %d %s, want a page", r.status, r.body)
	}
	var list []envelope
	for _, d := range r.page(t).Documents {
		var e envelope
		if err := json.Unmarshal(d, &e); err != nil {
			t.Fatalf("decode %s: %v", d, err)
		}
		list = append(list, e)
	}
	return list
}

func (c rest) versions(rangeID, etag string, headers ...string) response {
	c.t.Helper()
	if etag != "" {
		headers = append(headers, "If-None-Match", etag)
	}
	return c.do("GET", docs, "", append(headers, "A-IM", "Full-Fidelity Feed", rangH, rangeID,
		"x-ms-cosmos-changefeed-wire-format-version", "2021-09-15")...)
}

func TestAllVersions(t *testing.T) {
	for shape, want := range map[cosmosfake.DeletionShape]struct{ current, key string }{
		cosmosfake.DeletionObject: {`"current":{}`, `{"pk":"a"}`},
		cosmosfake.DeletionArray:  {"", `["a"]`},
	} {
		s := startServer(t, cosmosfake.Options{Retention: time.Hour, Deletion: shape})
		c := rest{t, s}
		c.makeOrders(1)
		now := c.versions("0", "*")
		if now.status != 304 || now.header.Get("etag") != `"1"` {
			t.Fatalf("from now: got %d %s, want 304 \"1\"", now.status, now.header.Get("etag"))
		}
		c.upsert(`["a"]`, `{"id":"1","pk":"a","n":1}`)
		c.upsert(`["a"]`, `{"id":"1","pk":"a","n":2}`)
		c.must(200, "POST", docs, `[{"operationType":"Create","resourceBody":{"id":"2","pk":"a"}},`+
			`{"operationType":"Replace","id":"2","resourceBody":{"id":"2","pk":"a","n":2}},{"operationType":"Delete","id":"2"},`+
			`{"operationType":"Create","resourceBody":{"id":"2","pk":"a","n":3}}]`,
			"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`)
		c.must(204, "DELETE", docs+"/1", "", pkH, `["a"]`)
		got := c.versions("0", `"1"`)
		const events = "[create 1@2<0 replace 1@3<2 create 2@4<0 replace 2@4<4 delete 2@4<4 create 2@4<0 delete 1@5<3]"
		if list := fmt.Sprint(versionsOf(t, got)); list != events || got.header.Get("etag") != `"5"` {
			t.Errorf("got %s etag %s, want %s", list, got.header.Get("etag"), events)
		}
		list := versionsOf(t, got)
		if n := list[0].Current["n"]; n != 1.0 || list[0].Current["_lsn"] != nil || list[0].Current["_etag"] == nil {
			t.Errorf("got %v, want the first version with the service's properties and without _lsn", list[0].Current)
		}
		last := list[len(list)-1]
		if key := string(last.Metadata.PartitionKey); key != want.key || !strings.Contains(string(got.body), want.current) ||
			shape == cosmosfake.DeletionArray && last.Current != nil {
			t.Errorf("got the deletion %+v with key %s, want key %s and %s", last, key, want.key, want.current)
		}
		if page := versionsOf(t, c.versions("0", `"2"`, "x-ms-max-item-count", "2")); len(page) != 5 {
			t.Errorf("a page of two: got %v, want the transaction whole", page)
		}
		if page := versionsOf(t, c.versions("0", `"1"`, "x-ms-max-item-count", "2")); len(page) != 2 {
			t.Errorf("a page of two: got %v", page)
		}
	}
}

func TestAllVersionsIsRefused(t *testing.T) {
	clock := newClock()
	without := rest{t, startServer(t, cosmosfake.Options{})}
	with := rest{t, startServer(t, cosmosfake.Options{Retention: time.Hour, Clock: clock.now})}
	without.makeOrders(1)
	with.makeOrders(1)
	with.upsert(`["a"]`, `{"id":"1","pk":"a"}`) // 2
	clock.move(50 * time.Minute)
	with.upsert(`["a"]`, `{"id":"2","pk":"a"}`) // 3
	clock.move(20 * time.Minute)
	for _, test := range []struct {
		name string
		got  response
		want string
	}{
		{"not enabled", without.versions("0", "*"), "Change Feed 'All Versions and Deletes' mode must be enabled."},
		{"from the beginning", with.versions("0", ""), "Start from beginning is not supported"},
		{"from a time", with.versions("0", "", "If-Modified-Since", "Fri, 20 Nov 2026 10:00:10 UTC"), "must have valid If-None-Match header"},
		{"out of retention", with.versions("0", `"1"`), "out of retention"},
		{"policy", with.do("POST", "/dbs/shop/colls", `{"id":"x","partitionKey":{"paths":["/pk"]},"changeFeedPolicy":{"retentionDuration":10}}`), "retention duration in the Change Feed policy"},
	} {
		if test.got.status != 400 || test.got.substatus() != "" || !strings.Contains(string(test.got.body), test.want) {
			t.Errorf("%s: got %d/%s %s, want 400 and %q", test.name, test.got.status, test.got.substatus(), test.got.body, test.want)
		}
	}
	if list := fmt.Sprint(versionsOf(t, with.versions("0", `"2"`))); list != "[create 2@3<0]" {
		t.Errorf("within retention: got %s", list)
	}
}

// TestEventsArriveLate: an empty answer proves nothing, though the range reports its newest LSN.
func TestEventsArriveLate(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	if _, err := s.HoldEvents(orders0); err != nil {
		t.Fatal(err)
	}
	c.must(204, "DELETE", docs+"/1", "", pkH, `["a"]`)
	got := c.versions("0", `"2"`)
	if got.status != 304 || got.newest(t) != 3 || got.header.Get("etag") != `"2"` {
		t.Errorf("held: got %d newest %d etag %s, want 304 3 \"2\"", got.status, got.newest(t), got.header.Get("etag"))
	}
	if _, err := s.ReleaseEvents(orders0); err != nil {
		t.Fatal(err)
	}
	if list := fmt.Sprint(versionsOf(t, c.versions("0", got.header.Get("etag")))); list != "[delete 1@3<2]" {
		t.Errorf("released: got %s", list)
	}
}

func TestTimeToLive(t *testing.T) {
	clock := newClock()
	var ledger memoryLedger
	s := startServer(t, cosmosfake.Options{Retention: time.Hour, Clock: clock.now, Ledger: &ledger})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]},"defaultTtl":10}`)
	c.upsert(`["a"]`, `{"id":"default","pk":"a"}`)             // 2
	c.upsert(`["a"]`, `{"id":"longer","pk":"a","ttl":20}`)     // 3
	c.upsert(`["a"]`, `{"id":"forever","pk":"a","ttl":-1}`)    // 4
	c.upsert(`["a"]`, `{"id":"default again","pk":"a","n":1}`) // 5
	clock.move(10 * time.Second)
	c.must(404, "GET", docs+"/default", "", pkH, `["a"]`)
	c.must(200, "GET", docs+"/longer", "", pkH, `["a"]`)
	if got := c.all("0"); got != "longer@3 forever@4" {
		t.Errorf("after 10 s: got %q, want longer and forever", got)
	}
	c.must(201, "POST", docs, `{"id":"default again","pk":"a","n":2}`, pkH, `["a"]`) // 6, with the purge of the other
	clock.move(10 * time.Second)
	if n, err := s.Purge("shop", "orders"); n != 3 || err != nil { // 7 to 9
		t.Errorf("got %d purged (%v), want 3", n, err)
	}
	const events = "[create default@2<0 create longer@3<0 create forever@4<0 create default again@5<0 delete default again@6<5! create default again@6<0 " +
		"delete default@7<2! delete longer@8<3! delete default again@9<6!]"
	if got := fmt.Sprint(versionsOf(t, c.versions("0", `"1"`))); got != events {
		t.Errorf("got %s, want %s", got, events)
	}
	var purged []string
	for _, e := range ledger.entries(t) {
		if e.Op == cosmosfake.OpPurge {
			purged = append(purged, fmt.Sprintf("%s@%d", e.ID, e.LSN))
		}
	}
	if got := strings.Join(purged, " "); got != "default again@6 default@7 longer@8 default again@9" {
		t.Errorf("ledger: got %q", got)
	}
	c.must(200, "PUT", coll, `{"id":"orders","partitionKey":{"paths":["/pk"]}}`)
	c.upsert(`["a"]`, `{"id":"off","pk":"a","ttl":1}`)
	clock.move(time.Hour)
	c.must(200, "GET", docs+"/off", "", pkH, `["a"]`)
	c.must(400, "PUT", coll, `{"id":"orders","partitionKey":{"paths":["/pk"]},"defaultTtl":0}`)
}

// TestPurgeByItself waits for the server to do it.
func TestPurgeByItself(t *testing.T) {
	clock := newClock()
	s := startServer(t, cosmosfake.Options{Retention: time.Hour, Clock: clock.now, PurgeEvery: time.Millisecond})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]},"defaultTtl":-1}`)
	c.upsert(`["a"]`, `{"id":"1","pk":"a","ttl":1}`)
	clock.move(time.Second)
	deadline := time.Now().Add(10 * time.Second)
	for len(versionsOf(t, c.versions("0", `"1"`))) != 2 {
		if time.Now().After(deadline) {
			t.Fatal("the document is not purged")
		}
	}
}
