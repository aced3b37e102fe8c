package cosmosfake_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func TestDumpAndLoad(t *testing.T) {
	var ledger memoryLedger
	s := startServer(t, cosmosfake.Options{Ledger: &ledger})
	c := rest{t, s}
	c.makeOrders(3)
	lines := "{\"id\":\"1\",\"pk\":\"a\", \"n\":1e400}\n\n  {\"id\":\"2\",\"pk\":\"b\",\"_ts\":5,\"_rid\":\"x\"}\n{\"id\":\"3\",\"pk\":null}\n"
	if n, err := s.Load("shop", "orders", strings.NewReader(lines)); n != 3 || err != nil {
		t.Fatalf("got %d, %v want 3", n, err)
	}
	if got := len(ledger.entries(t)); got != 4 {
		t.Errorf("got %d ledger lines, want the container and 3 documents", got)
	}
	c.upsert(`["a"]`, "{\"id\":\"4\",\n\"pk\":\"a\"}")
	var dumped bytes.Buffer
	if err := s.Dump("shop", "orders", &dumped); err != nil {
		t.Fatal(err)
	}
	got := c.must(200, "GET", "/_admin/dump?database=shop&container=orders", "", "x-ms-cosmosfake-key", s.Key())
	if !bytes.Equal(got.body, dumped.Bytes()) {
		t.Errorf("got %s want %s", got.body, dumped.Bytes())
	}
	for _, want := range []string{`{"id":"1","pk":"a", "n":1e400}`, `{"id":"2","pk":"b"}`, `{"id":"3","pk":null}`, `{"id":"4", "pk":"a"}`} {
		if !strings.Contains(dumped.String(), want+"\n") {
			t.Errorf("got %s want %s", dumped.String(), want)
		}
	}
	c.must(204, "DELETE", coll, "")
	c.makeOrders(2)
	c.must(200, "POST", "/_admin/load?database=shop&container=orders", dumped.String(), "x-ms-cosmosfake-key", s.Key())
	if rows, _ := c.query("SELECT VALUE c.id FROM c", crossPartition, "True"); len(rows) != 4 {
		t.Errorf("got %v want 4 documents", rows)
	}
	for _, refused := range []string{"{\"id\":\"5\",\"pk\":\"a\"}\nno JSON", "{\"pk\":\"a\"}"} {
		if _, err := s.Load("shop", "orders", strings.NewReader(refused)); err == nil || !strings.Contains(err.Error(), "line") {
			t.Errorf("%q: got %v, want an error that names the line", refused, err)
		}
	}
	var refusal *cosmosfake.Error
	if err := s.Dump("shop", "none", &dumped); !errors.As(err, &refusal) || refusal.Status != 404 {
		t.Errorf("got %v want a 404", err)
	}
}

func TestDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	read := func(c rest) string {
		t.Helper()
		var all strings.Builder
		for _, path := range []string{"/dbs", "/dbs/shop/colls", coll, coll + "/sprocs", coll + "/pkranges"} {
			fmt.Fprintf(&all, "%s\n", c.must(200, "GET", path, "").body)
		}
		offers := c.request("GET", "/offers", "")
		offers.Header.Set("Authorization", c.sign("GET", "offers", "", offers.Header.Get("x-ms-date")))
		res, err := c.s.Client().Do(offers)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s\n", readResponse(t, res).body)
		for _, id := range []string{"0", "1", "2"} {
			got := c.feed(id, "")
			fmt.Fprintf(&all, "%s %s\n", got.header.Get("x-ms-session-token"), got.body)
		}
		return all.String()
	}
	s, err := cosmosfake.New(cosmosfake.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c := rest{t, s}
	c.makeOrders(3)
	c.must(201, "POST", coll+"/sprocs", `{"id":"sp","body":"x"}`)
	for i := range 20 {
		c.upsert(fmt.Sprintf(`["k%d"]`, i%5), fmt.Sprintf(`{"id":"%d","pk":"k%d", "n":1e400}`, i, i%5))
	}
	c.must(204, "DELETE", docs+"/0", "", pkH, `["k0"]`)
	c.upsert(`["k1"]`, `{"id":"1","pk":"k1","again":true}`)
	if _, err := s.Failover(cosmosfake.Range{Database: "shop", Container: "orders", ID: "1"}, 1); err != nil {
		t.Fatal(err)
	}
	before := read(c)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := startServer(t, cosmosfake.Options{Dir: dir})
	c = rest{t, again}
	if after := read(c); after != before {
		t.Errorf("got after a restart\n%s\nwant\n%s", after, before)
	}
	etags := make(map[string]bool)
	for range 3 {
		etags[c.upsert(`["k1"]`, `{"id":"new","pk":"k1"}`).header.Get("etag")] = true
	}
	if len(etags) != 3 || strings.Contains(before, strings.Trim(fmt.Sprint(etags), "map[]")) {
		t.Errorf("got the etags %v, want new ones", etags)
	}
	if err := os.WriteFile(filepath.Join(dir, "cosmosfake.ndjson"), []byte(`{"item":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if broken, err := cosmosfake.New(cosmosfake.Options{Dir: dir}); err == nil {
		_ = broken.Close()
		t.Error("a server started from a broken file")
	}
}

// TestTopologySurvives: ranges that were split and merged, the key's hashing, and times to live are there after a restart.
func TestTopologySurvives(t *testing.T) {
	clock := newClock()
	o := cosmosfake.Options{Dir: t.TempDir(), Retention: time.Hour, Clock: clock.now}
	first, err := cosmosfake.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c := rest{t, first}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"],"version":1},"defaultTtl":-1}`)
	for i := range 9 {
		c.upsert(fmt.Sprintf("[%d]", i), fmt.Sprintf(`{"id":"%d","pk":%d,"ttl":%d}`, i, i, 10+i))
	}
	if _, err := first.Split(orders0, cosmosfake.SplitOptions{}); err != nil {
		t.Fatal(err)
	}
	before, etag := c.ranges("")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := startServer(t, o)
	c = rest{t, second}
	after, _ := c.ranges("")
	if fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("got ranges %v, want %v", after, before)
	}
	if got := c.versions("1", `"5"`); got.status != 400 {
		t.Errorf("events from before the restart: got %d, want 400", got.status)
	}
	clock.move(12 * time.Second)
	if n, err := second.Purge("shop", "orders"); n != 3 || err != nil {
		t.Errorf("got %d purged (%v), want those of 10, 11 and 12 s", n, err)
	}
	for i := 3; i < 9; i++ {
		c.must(200, "GET", docs+fmt.Sprintf("/%d", i), "", pkH, fmt.Sprintf("[%d]", i))
	}
	children, err := second.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: "1"}, cosmosfake.SplitOptions{})
	if err != nil || children[0].ID != "3" {
		t.Errorf("got %+v (%v), want new ids from 3 on", children, err)
	}
	if list, _ := c.ranges(etag); len(list) < 2 {
		t.Errorf("ranges after %s: got %v, want the new ones", etag, list)
	}
}
