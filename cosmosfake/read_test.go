package cosmosfake_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// keysOf finds a partition key in each range of shop.orders, by the range's id.
func (c rest) keysOf(ranges int) map[string]string {
	keys := make(map[string]string, ranges)
	for i := 0; len(keys) < ranges; i++ {
		key := fmt.Sprintf("k%d", i)
		keys[c.must(404, "GET", docs+"/none", "", pkH, `["`+key+`"]`).header.Get(rangH)] = key
	}
	return keys
}

// A page that is full at the first item of a range goes on there.
func TestQueryPagesEndWithARange(t *testing.T) {
	c := rest{t, startServer(t, cosmosfake.Options{})}
	c.makeOrders(2)
	keys := c.keysOf(2)
	large := strings.Repeat("x", 1500<<10)
	for i := range 3 {
		c.upsert(`["`+keys["0"]+`"]`, fmt.Sprintf(`{"id":"%d","pk":%q,"t":[1,2],"large":%q}`, i, keys["0"], large))
	}
	for i := range 5 {
		c.upsert(`["`+keys["1"]+`"]`, fmt.Sprintf(`{"id":"%d","pk":%q,"t":[1,2]}`, i, keys["1"]))
	}
	for _, test := range []struct {
		name, query, items string
		rows               int
	}{
		{"by bytes", "SELECT * FROM c", "1000", 8},
		{"by rows of a JOIN", "SELECT c.id, t FROM c JOIN t IN c.t", "7", 16},
		{"by items", "SELECT c.id FROM c", "3", 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, _ := rest{t, c.s}.query(test.query, crossPartition, "True", "x-ms-max-item-count", test.items)
			if len(rows) != test.rows {
				t.Errorf("got %d rows, want %d", len(rows), test.rows)
			}
		})
	}
}

// Lists, queries and point reads meet the same replicas as feeds do.
func TestReadsLag(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	at := cosmosfake.Range{Database: "shop", Container: "orders", ID: "0"}
	const key = `["a"]`
	c.upsert(key, `{"id":"gone","pk":"a"}`)
	c.upsert(key, `{"id":"kept","pk":"a","n":1}`)
	behind := c.upsert(key, `{"id":"kept","pk":"a","n":2}`).newest(t) - 1
	c.must(204, "DELETE", docs+"/gone", "", pkH, key)
	c.upsert(key, `{"id":"new","pk":"a"}`)
	newest := behind + 3
	want := func(text string, headers ...string) {
		t.Helper()
		for name, send := range map[string]func() response{
			"query": func() response {
				return c.must(200, "POST", docs, queryOf("SELECT * FROM c"), append(headers, "Content-Type", asQuery, pkH, key)...)
			},
			"sorted query": func() response {
				return c.must(200, "POST", docs, queryOf("SELECT * FROM c ORDER BY c.id"), append(headers, "Content-Type", asQuery, pkH, key)...)
			},
			"list": func() response { return c.must(200, "GET", docs, "", headers...) },
		} {
			var got []string
			for _, d := range send().page(t).Documents {
				got = append(got, string(strip(t, d)))
			}
			slices.Sort(got)
			if strings.Join(got, " ") != text {
				t.Errorf("%s: got %v, want %s", name, got, text)
			}
		}
	}
	read := func(id string, status int, headers ...string) string {
		t.Helper()
		return string(c.must(status, "GET", docs+"/"+id, "", append(headers, pkH, key)...).body)
	}
	if _, err := s.Lag(at, newest-behind, 0); err != nil {
		t.Fatal(err)
	}
	want(`{"id":"gone","pk":"a"} {"id":"kept","pk":"a","n":1}`)
	read("gone", 200)
	read("new", 404)
	if got := read("kept", 200); !strings.Contains(got, `"n":1,`) {
		t.Errorf("got %s, want what was there before", got)
	}
	session := func(lsn int64) []string { return []string{"x-ms-session-token", fmt.Sprintf("0:1#%d#1=%d", lsn, lsn)} }
	want(`{"id":"kept","pk":"a","n":2} {"id":"new","pk":"a"}`, session(newest)...) // of another replica
	read("gone", 404, session(newest)...)
	for _, got := range []response{
		c.do("GET", docs, "", session(newest+1)...),
		c.do("GET", docs+"/kept", "", append(session(newest+1), pkH, key)...),
		c.do("POST", docs, queryOf("SELECT * FROM c"), append(session(newest+1), "Content-Type", asQuery, pkH, key)...),
	} {
		if got.status != 404 || got.substatus() != "1002" {
			t.Errorf("got %d/%s of a session ahead of all replicas, want 404/1002", got.status, got.substatus())
		}
	}
	if _, err := s.ClearLag(at); err != nil {
		t.Fatal(err)
	}
	want(`{"id":"kept","pk":"a","n":2} {"id":"new","pk":"a"}`)
	s.SetHook(func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Behind: newest - behind} })
	want(`{"id":"gone","pk":"a"} {"id":"kept","pk":"a","n":1}`)
}

// A scan in the order of creation does not show again what is written behind its place; one by LSN does.
func TestScanOrder(t *testing.T) {
	for order, want := range map[cosmosfake.ScanOrder]string{
		cosmosfake.ScanByLSN: "0:1 1:1 2:1 3:1 0:2",
		cosmosfake.ScanByRID: "0:1 1:1 2:1 3:1",
	} {
		c := rest{t, startServer(t, cosmosfake.Options{Scan: order})}
		c.makeOrders(1)
		for i := range 4 {
			c.upsert(`["a"]`, fmt.Sprintf(`{"id":"%d","pk":"a","v":"1"}`, i))
		}
		var got []string
		for more, first := "", true; first || more != ""; first = false {
			page := c.must(200, "POST", docs, queryOf(`SELECT VALUE CONCAT(c.id, ":", c.v) FROM c`), "Content-Type", asQuery, pkH, `["a"]`,
				"x-ms-max-item-count", "2", "x-ms-continuation", more)
			for _, row := range page.page(t).Documents {
				got = append(got, strings.Trim(string(row), `"`))
			}
			if first {
				c.upsert(`["a"]`, `{"id":"0","pk":"a","v":"2"}`)
			}
			more = page.header.Get("x-ms-continuation")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("order %d: got %v, want %s", order, got, want)
		}
	}
}

// A range that is split while its page is made serves nothing; queries and dumps over all ranges read the parts.
func TestSplitWhileReading(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	for i := range 200 {
		c.upsert(fmt.Sprintf("[%d]", i), fmt.Sprintf(`{"id":"%d","pk":%d}`, i, i))
	}
	var writing sync.WaitGroup
	split := sync.OnceFunc(func() { // the query begins again with the parts
		if _, err := s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: "0"}, cosmosfake.SplitOptions{}); err != nil {
			t.Error(err)
		}
		for i := range 200 {
			writing.Go(func() { c.upsert(fmt.Sprintf("[%d]", i), fmt.Sprintf(`{"id":"%d","pk":%d,"again":1}`, i, i)) })
		}
	})
	s.SetHook(once("POST", cosmosfake.Fault{Newest: cosmosfake.NewestBefore, Between: split}))
	rows, _ := c.query("SELECT * FROM c", crossPartition, "True", "x-ms-max-item-count", "1000")
	writing.Wait()
	ids := map[string]bool{}
	for _, row := range rows {
		ids[systemOf(t, []byte(row)).ID] = true
	}
	if len(ids) != 200 {
		t.Errorf("got %d items, want all 200", len(ids))
	}
	s.SetHook(once("GET", cosmosfake.Fault{Newest: cosmosfake.NewestAfter, Between: func() {
		if _, err := s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: "1"}, cosmosfake.SplitOptions{}); err != nil {
			t.Error(err)
		}
	}}))
	if got := c.feed("1", ""); got.status != 200 {
		t.Errorf("got %d, want the page that was scanned before the split", got.status)
	}
	s.SetHook(once("GET", cosmosfake.Fault{Newest: cosmosfake.NewestBefore, Between: func() {
		if _, err := s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: "2"}, cosmosfake.SplitOptions{}); err != nil {
			t.Error(err)
		}
	}}))
	if got := c.feed("2", ""); got.status != 410 || got.substatus() != "1002" {
		t.Errorf("got %d/%s, want 410/1002: the range ended before the scan", got.status, got.substatus())
	}
}

// What is over is seen by nobody, whether or not it was purged.
func TestNobodySeesWhatIsOver(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := startServer(t, cosmosfake.Options{Clock: func() time.Time { return now }})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]},"defaultTtl":60}`)
	c.upsert(`["a"]`, `{"id":"over","pk":"a"}`)
	c.upsert(`["a"]`, `{"id":"kept","pk":"a","ttl":-1}`)
	for _, test := range []struct {
		after time.Duration
		rows  int
		read  int
	}{{59 * time.Second, 2, 200}, {time.Second, 1, 404}} {
		now = now.Add(test.after)
		for _, query := range []string{"SELECT * FROM c", "SELECT * FROM c ORDER BY c.id"} {
			if rows, _ := c.query(query, pkH, `["a"]`); len(rows) != test.rows {
				t.Errorf("%s: got %v, want %d rows", query, rows, test.rows)
			}
		}
		if got := len(c.must(200, "GET", docs, "").page(t).Documents); got != test.rows {
			t.Errorf("list: got %d items, want %d", got, test.rows)
		}
		c.must(test.read, "GET", docs+"/over", "", pkH, `["a"]`)
		var dumped strings.Builder
		if err := s.Dump("shop", "orders", &dumped); err != nil || strings.Count(dumped.String(), "\n") != test.rows {
			t.Errorf("dump: got %q, %v, want %d lines", dumped.String(), err, test.rows)
		}
	}
}

// The first levels of a hierarchical key may lie in several ranges.
func TestQueryOfAPrefixOverRanges(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/t","/u"],"kind":"MultiHash","version":2}}`)
	for i := range 60 {
		c.upsert(fmt.Sprintf(`["t%d","u%d"]`, i%2, i), fmt.Sprintf(`{"id":"%d","t":"t%d","u":"u%d"}`, i, i%2, i))
	}
	for _, id := range []string{"0", "1", "2"} {
		if _, err := s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: id}, cosmosfake.SplitOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]int{
		"SELECT * FROM c":                          30,
		"SELECT * FROM c WHERE c.u = 'u7'":         1,
		"SELECT * FROM c WHERE c.u = 'u8'":         0,
		"SELECT VALUE c.id FROM c ORDER BY c.id":   30,
		"SELECT * FROM c WHERE c.id IN ('1', '2')": 1,
	} {
		if rows, _ := c.query(query, pkH, `["t1"]`, crossPartition, "True", "x-ms-max-item-count", "7"); len(rows) != want {
			t.Errorf("%s: got %d rows, want %d", query, len(rows), want)
		}
	}
}
