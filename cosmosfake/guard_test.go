package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestRefusedAsDocumented is what the service's documents say that it does not take.
func TestRefusedAsDocumented(t *testing.T) {
	const wire = "x-ms-cosmos-changefeed-wire-format-version"
	s := startServer(t, cosmosfake.Options{Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(1)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"unique","partitionKey":{"paths":["/pk"]},"uniqueKeyPolicy":{"uniqueKeys":[{"paths":["/u"]}]}}`)
	c.must(201, "POST", "/dbs/shop/colls/unique/docs", `{"id":"1","pk":"a"}`, pkH, `["a"]`)
	key := func(n int) string { return strings.Repeat("k", n) }
	post := func(id, key string) response {
		return c.do("POST", docs, fmt.Sprintf(`{"id":%q,"pk":%q}`, id, key), pkH, fmt.Sprintf("[%q]", key))
	}
	bulk := func(key string) response {
		return c.do("POST", docs, fmt.Sprintf(`[{"operationType":"Create","partitionKey":"[\"%s\"]","resourceBody":{"id":"b","pk":%q}}]`, key, key),
			"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "False", rangH, "0")
	}
	full := func(headers ...string) response {
		return c.do("GET", docs, "", append(headers, "A-IM", "Full-Fidelity Feed", rangH, "0")...)
	}
	for _, test := range []struct {
		name string
		got  response
		want int
		text string
	}{
		{"a container's id with a slash", c.do("POST", "/dbs/shop/colls", `{"id":"a/b","partitionKey":{"paths":["/pk"]}}`), 400, "character"},
		{"a container's id with a backslash", c.do("POST", "/dbs/shop/colls", `{"id":"a\\b","partitionKey":{"paths":["/pk"]}}`), 400, "character"},
		{"a container's id with a question mark", c.do("POST", "/dbs/shop/colls", `{"id":"a?b","partitionKey":{"paths":["/pk"]}}`), 400, "character"},
		{"a container's id with a hash", c.do("POST", "/dbs/shop/colls", `{"id":"a#b","partitionKey":{"paths":["/pk"]}}`), 400, "character"},
		{"a database's id with a hash", c.do("POST", "/dbs", `{"id":"a#b"}`), 400, "character"},
		{"a key of 2,048 bytes", post("long", key(2048)), 201, ""},
		{"a key of 2,049 bytes", post("longer", key(2049)), 400, "2048"},
		{"the same in bulk", bulk(key(2049)), 207, `"statusCode":400`},
		{"a unique key that is null beside one that is missing", c.do("POST", "/dbs/shop/colls/unique/docs", `{"id":"2","pk":"a","u":null}`, pkH, `["a"]`), 409, ""},
		{"an unknown wire format", c.feed("0", "", wire, "2020-01-01"), 400, wire},
		{"all versions in an unknown wire format", full("If-None-Match", "*", wire, "2020-01-01"), 400, wire},
		{"all versions in the older wire format", full("If-None-Match", "*"), 400, "does not implement"},
		{"all versions from a time beside an etag", full("If-None-Match", `"1"`, wire, "2021-09-15", "If-Modified-Since", "Fri, 20 Nov 2026 10:00:10 GMT"), 400, "nor is a start at a time"},
	} {
		if test.got.status != test.want || !strings.Contains(string(test.got.body), test.text) {
			t.Errorf("%s: got %d %.200s, want %d and %q", test.name, test.got.status, test.got.body, test.want, test.text)
		}
	}
}

// TestBatchHeaders: conditions and the wish for no documents hold in a batch; a bulk request has its limits.
func TestBatchHeaders(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(2)
	etag := c.upsert(`["a"]`, `{"id":"1","pk":"a"}`).header.Get("etag")
	in := c.do("GET", docs+"/1", "", pkH, `["a"]`).header.Get(rangH)
	batch := func(body string, headers ...string) string {
		got := c.do("POST", docs, body, append(headers, "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`)...)
		return statuses(t, got)
	}
	replace := func(match string) string {
		return fmt.Sprintf(`[{"operationType":"Replace","id":"1","ifMatch":%q,"resourceBody":{"id":"1","pk":"a","n":1}},{"operationType":"Read","id":"1"}]`, match)
	}
	bulk := func(operations ...string) string {
		got := c.do("POST", docs, "["+strings.Join(operations, ",")+"]", "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "False",
			"x-ms-cosmos-batch-continue-on-error", "True", rangH, in)
		return statuses(t, got)
	}
	create := func(id int) string {
		return fmt.Sprintf(`{"operationType":"Create","partitionKey":"[\"a\"]","resourceBody":{"id":"bulk %d","pk":"a"}}`, id)
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = create(i)
	}
	other := ""
	for i := 0; other == ""; i++ {
		if got := c.do("GET", docs+"/none", "", pkH, fmt.Sprintf(`["%d"]`, i)); got.header.Get(rangH) != in {
			other = fmt.Sprintf(`{"operationType":"Create","partitionKey":["%d"],"resourceBody":{"id":"x","pk":"%d"}}`, i, i)
		}
	}
	fault := cosmosfake.Fault{Operations: map[int]int{1: 429, 2: 449, 3: 413}}
	for _, test := range []struct{ name, got, want string }{
		{"another etag", batch(replace("other")), "207: 412 424"},
		{"its etag", batch(replace(etag)), "200: 200{} 200{}"},
		{"no documents", batch(replace("*"), "Prefer", "return=minimal"), "200: 200 200{}"},
		{"101 operations in bulk", bulk(many...), "400:"},
		{"a key of another range", bulk(create(1), other, create(2)), "207: 201{} 410/1002 201{}"},
		{"100 operations in bulk", bulk(many[1:]...)[:4], "207:"},
		{"refused one by one", func() string {
			s.SetHook(func(*http.Request) *cosmosfake.Fault { return &fault })
			defer s.SetHook(nil)
			return bulk(create(200), create(201), create(202), create(203), create(204))
		}(), "207: 201{} 429/3200+ 449 413 201{}"},
		{"and then done", bulk(create(201), create(202), create(203)), "200: 201{} 201{} 201{}"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, test.got, test.want)
		}
	}
}

// statuses are those of a batch and its operations; {} is a document, + a time to wait.
func statuses(t *testing.T, r response) string {
	t.Helper()
	text := fmt.Sprintf("%d:", r.status)
	if r.status >= 300 {
		return text
	}
	var list []struct {
		Status    int             `json:"statusCode"`
		Substatus int             `json:"subStatusCode"`
		Wait      int             `json:"retryAfterMilliseconds"`
		Body      json.RawMessage `json:"resourceBody"`
	}
	if err := json.Unmarshal(r.body, &list); err != nil {
		t.Fatalf("decode %s: %v", r.body, err)
	}
	for _, one := range list {
		text += fmt.Sprintf(" %d", one.Status)
		if one.Substatus != 0 {
			text += fmt.Sprintf("/%d", one.Substatus)
		}
		if one.Wait > 0 {
			text += "+"
		}
		if one.Body != nil {
			text += "{}"
		}
	}
	return text
}

// TestPageEnds: by number, 100 if the client does not say, and by size.
func TestPageEnds(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	for i := range 101 {
		c.upsert(fmt.Sprintf("[%d]", i), fmt.Sprintf(`{"id":"%d","pk":%d}`, i, i))
	}
	if got := c.feed("0", ""); len(got.page(t).Documents) != 100 || got.header.Get("etag") != `"101"` {
		t.Errorf("by default: got %d documents up to %s, want 100", len(got.page(t).Documents), got.header.Get("etag"))
	}
	for i := range 6 { // 103 to 108
		c.upsert(`["a"]`, fmt.Sprintf(`{"id":"large %d","pk":"a","p":"%s"}`, i, strings.Repeat("x", 1<<20)))
	}
	if got := c.feed("0", `"102"`, "x-ms-max-item-count", "-1"); len(got.page(t).Documents) != 4 || got.header.Get("etag") != `"106"` {
		t.Errorf("by size: got %d documents up to %s, want 4 of 1 MiB", len(got.page(t).Documents), got.header.Get("etag"))
	}
}

// TestCosts are those of the model that docs/emulator.md states.
func TestCosts(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	document := func(id string, size int) string {
		text := fmt.Sprintf(`{"id":%q,"pk":"a","p":""}`, id)
		return strings.Replace(text, `"p":""`, `"p":"`+strings.Repeat("x", size-len(text))+`"`, 1)
	}
	write := func(size int) response { return c.upsert(`["a"]`, document(strconv.Itoa(size), size)) }
	ops := func(list ...string) string { return "[" + strings.Join(list, ",") + "]" }
	creation := func(id string) string {
		return `{"operationType":"Create","resourceBody":` + document(id, 1024) + `}`
	}
	for _, test := range []struct {
		name string
		got  response
		want string
	}{
		{"a write of 1 KiB", write(1 << 10), "4.95"},
		{"a write of 4 KiB", write(4 << 10), "6.67"},
		{"a write of 10 KiB", write(10 << 10), "8.09"},
		{"a write of 128 KiB", write(128 << 10), "48.00"},
		{"a read of 1 KiB", c.do("GET", docs+"/1024", "", pkH, `["a"]`), "1.00"},
		{"a read of 12 KiB", func() response { write(12 << 10); return c.do("GET", docs+"/12288", "", pkH, `["a"]`) }(), "2.00"},
		{"a batch of two", c.do("POST", docs, ops(creation("b1"), creation("b2")), "x-ms-cosmos-is-batch-request", "True",
			"x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`), "9.90"},
		{"a batch that fails", c.do("POST", docs, ops(creation("b3"), creation("b1")), "x-ms-cosmos-is-batch-request", "True",
			"x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`), "4.95"},
		{"a page of 1 KiB", c.feed("0", "", "x-ms-max-item-count", "1"), "1.10"},
		{"304", c.feed("0", `"99"`), "1.00"},
		{"a deletion", c.do("DELETE", docs+"/4096", "", pkH, `["a"]`), "6.67"},
		{"what is refused", c.do("GET", docs+"/none", "", pkH, `["a"]`), "1.00"},
	} {
		if got := test.got.header.Get("x-ms-request-charge"); got != test.want {
			t.Errorf("%s: got %s RU (%d), want %s", test.name, got, test.got.status, test.want)
		}
	}
}

// TestStaleRanges: the list of ranges is that of before a split, for as long as a fault says so.
func TestStaleRanges(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	list := func(headers ...string) string {
		t.Helper()
		got := c.do("GET", coll+"/pkranges", "", append(headers, "A-IM", "Incremental Feed")...)
		if got.status == 304 {
			return "304 " + got.header.Get("etag")
		}
		var all struct {
			Ranges []struct {
				ID      string
				Parents []string
			} `json:"PartitionKeyRanges"`
		}
		if err := json.Unmarshal(got.body, &all); err != nil {
			t.Fatal(err)
		}
		text := got.header.Get("etag")
		for _, r := range all.Ranges {
			text += fmt.Sprintf(" %s%v", r.ID, r.Parents)
		}
		return text
	}
	stale := cosmosfake.Fault{StaleRanges: true}
	if _, err := s.Split(orders0, cosmosfake.SplitOptions{At: []string{"20"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: "2"}, cosmosfake.SplitOptions{At: []string{"30"}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, got, want string }{
		{"all", list(), `"3" 1[0] 3[0 2] 4[0 2]`},
		{"since the first split", list("If-None-Match", `"2"`), `"3" 3[0 2] 4[0 2]`},
		{"since the second split", list("If-None-Match", `"3"`), `304 "3"`},
		{"stale", func() string {
			s.SetHook(func(*http.Request) *cosmosfake.Fault { return &stale })
			return list()
		}(), `"2" 1[0] 2[0]`},
		{"stale, since it was so", list("If-None-Match", `"2"`), `304 "2"`},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, test.got, test.want)
		}
	}
	if got := c.feed("2", ""); got.status != 410 {
		t.Errorf("the range that is still listed: got %d, want 410", got.status)
	}
}
