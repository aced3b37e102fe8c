package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func TestDefinitionIsKept(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	const definition = `{ "id":"orders", "computedProperties":[{"name":"x","query":"SELECT VALUE 1.0"}], "defaultTtl": -1,
		"partitionKey":{"paths":["/a","/b"],"kind":"MultiHash","version":2}, "unknown":{"n":9007199254740993123} `
	made := c.must(201, "POST", "/dbs/shop/colls", definition+"}")
	read := c.must(200, "GET", coll, "")
	if string(made.body) != string(read.body) {
		t.Errorf("got %s after creating %s", read.body, made.body)
	}
	if !strings.HasPrefix(string(read.body), definition+",") {
		t.Errorf("got %s, want it to begin with what was sent", read.body)
	}
	doc := systemOf(t, read.body)
	replaced := c.must(200, "PUT", coll, strings.Replace(definition, "-1", "60", 1)+`,"_etag":"x","_ts":1}`, "If-Match", doc.ETag)
	if after := systemOf(t, replaced.body); after.RID != doc.RID || after.ETag == doc.ETag || !strings.Contains(string(replaced.body), `"defaultTtl": 60`) {
		t.Errorf("got %s", replaced.body)
	}
	if got := c.do("PUT", coll, definition+"}", "If-Match", doc.ETag); got.status != 412 {
		t.Errorf("replace with an old etag: got %d, want 412", got.status)
	}
}

func TestKeyDefinitionIsCompleted(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	for i, test := range []struct{ sent, want string }{
		{`{"paths":["/pk"]}`, `{"paths":["/pk"],"kind":"Hash","version":2}`},
		{`{"paths":["/a","/b"]}`, `{"paths":["/a","/b"],"kind":"MultiHash","version":2}`},
		{`{"version":2, "kind":"Hash","paths":["/pk"]}`, `{"version":2, "kind":"Hash","paths":["/pk"]}`},
	} {
		got := c.must(201, "POST", "/dbs/shop/colls", fmt.Sprintf(`{"id":"c%d","partitionKey":%s,"x":1}`, i, test.sent))
		if !strings.HasPrefix(string(got.body), fmt.Sprintf(`{"id":"c%d","partitionKey":%s,"x":1,`, i, test.want)) {
			t.Errorf("got %s, want partitionKey %s", got.body, test.want)
		}
	}
}

func TestIncarnations(t *testing.T) {
	var ledger memoryLedger
	s := startServer(t, cosmosfake.Options{Ledger: &ledger})
	c := rest{t, s}
	c.makeOrders(2)
	first := collRID(t, c)
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	c.must(204, "DELETE", coll, "")
	if got := c.do("GET", docs, "", rangH, "0"); got.status != 404 || got.substatus() != "1003" {
		t.Errorf("got %d/%s, want 404/1003", got.status, got.substatus())
	}
	c.makeOrders(2)
	second := collRID(t, c)
	if first == second {
		t.Errorf("got rid %s twice", first)
	}
	if got := c.do("GET", docs, "", rangH, "0", "x-ms-cosmos-intended-collection-rid", first); got.substatus() != "1024" {
		t.Errorf("got %d/%s, want 400/1024", got.status, got.substatus())
	}
	for _, id := range []string{"0", "1"} {
		if pg := c.must(200, "GET", docs, "", rangH, id).page(t); pg.Count != 0 || pg.RID != second {
			t.Errorf("got %+v, want nothing in %s", pg, second)
		}
	}
	c.must(204, "DELETE", "/dbs/shop", "")
	var got []string
	for _, e := range ledger.entries(t) {
		got = append(got, e.Op+" "+e.Container+" "+e.RID)
	}
	want := []string{
		"create_container shop.orders " + first, "upsert shop.orders " + first, "delete_container shop.orders " + first,
		"create_container shop.orders " + second, "delete_container shop.orders " + second,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ledger: got %q, want %q", got, want)
	}
}

func TestRangesAndLists(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(3)
	got := c.must(200, "GET", coll+"/pkranges", "", "A-IM", "Incremental Feed", "x-ms-max-item-count", "-1")
	var list struct {
		Ranges []struct {
			ID, MinInclusive, MaxExclusive, Status string
			Parents                                []string
			LSN                                    int64
		} `json:"PartitionKeyRanges"`
	}
	if err := json.Unmarshal(got.body, &list); err != nil {
		t.Fatal(err)
	}
	if want := `[{0  1555 online [] 1} {1 1555 2AAA online [] 1} {2 2AAA FF online [] 1}]`; fmt.Sprint(list.Ranges) != want {
		t.Errorf("got %v, want %s", list.Ranges, want)
	}
	if again := c.do("GET", coll+"/pkranges", "", "A-IM", "Incremental Feed", "If-None-Match", got.header.Get("etag")); again.status != 304 {
		t.Errorf("got %d, want 304", again.status)
	}
	if got := c.must(200, "GET", "/dbs", ""); !strings.Contains(string(got.body), `"id":"shop"`) {
		t.Errorf("got %s", got.body)
	}
	if got := c.must(200, "GET", "/dbs/shop/colls", ""); !strings.Contains(string(got.body), `"id":"orders"`) {
		t.Errorf("got %s", got.body)
	}
}
