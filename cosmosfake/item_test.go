package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func TestRefusals(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(2)
	c.upsert(`["a"]`, `{"id":"there","pk":"a"}`)
	big := `{"id":"big","pk":"a","s":"` + strings.Repeat("x", 2<<20) + `"}`
	batch := []string{"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`}
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		substatus                string
		code                     string
	}{
		{"no id", "POST", docs, `{"pk":"a"}`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"empty id", "POST", docs, `{"id":"","pk":"a"}`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"id is a number", "POST", docs, `{"id":1,"pk":"a"}`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"id twice", "POST", docs, `{"id":"1","pk":"a","id":"1"}`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"id twice, escaped", "POST", docs, `{"id":"1","pk":"a","\u0069d":"1"}`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"key twice", "POST", docs, `{"id":"1","pk":"a","pk":"a"}`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"id too long", "POST", docs, `{"id":"` + strings.Repeat("i", 1024) + `","pk":"a"}`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"no JSON", "POST", docs, `{"id":"1","pk":"a"`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"no body", "POST", docs, ``, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"above 2 MB", "POST", docs, big, []string{pkH, `["a"]`}, 413, "", "RequestEntityTooLarge"},
		{"no key header", "POST", docs, `{"id":"1","pk":"a"}`, nil, 400, "1001", "BadRequest"},
		{"other key in the header", "POST", docs, `{"id":"1","pk":"a"}`, []string{pkH, `["b"]`}, 400, "1001", "BadRequest"},
		{"key header of Go, no JSON", "POST", docs, `{"id":"1","pk":"a"}`, []string{pkH, `["\U0001f600"]`}, 400, "", "BadRequest"},
		{"too many key values", "POST", docs, `{"id":"1","pk":"a"}`, []string{pkH, `["a","b"]`}, 400, "", "BadRequest"},
		{"exists", "POST", docs, `{"id":"there","pk":"a"}`, []string{pkH, `["a"]`}, 409, "", "Conflict"},
		{"read what is not there", "GET", docs + "/none", "", []string{pkH, `["a"]`}, 404, "", "NotFound"},
		{"delete what is not there", "DELETE", docs + "/none", "", []string{pkH, `["a"]`}, 404, "", "NotFound"},
		{"replace what is not there", "PUT", docs + "/none", `{"id":"none","pk":"a"}`, []string{pkH, `["a"]`}, 404, "", "NotFound"},
		{"replace with another id", "PUT", docs + "/there", `{"id":"else","pk":"a"}`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"delete with an old etag", "DELETE", docs + "/there", "", []string{pkH, `["a"]`, "If-Match", `"x"`}, 412, "", "PreconditionFailed"},
		{"upsert with an old etag", "POST", docs, `{"id":"there","pk":"a"}`, []string{pkH, `["a"]`, "x-ms-documentdb-is-upsert", "True", "If-Match", `"x"`}, 412, "", "PreconditionFailed"},
		{"container is not there", "GET", "/dbs/shop/colls/none", "", nil, 404, "", "NotFound"},
		{"item of no container", "GET", "/dbs/shop/colls/none/docs/1", "", []string{pkH, `["a"]`}, 404, "1003", "NotFound"},
		{"item of no database", "POST", "/dbs/none/colls/orders/docs", `{"id":"1","pk":"a"}`, []string{pkH, `["a"]`}, 404, "1003", "NotFound"},
		{"another incarnation", "GET", docs + "/there", "", []string{pkH, `["a"]`, "x-ms-cosmos-intended-collection-rid", "QDMZAIqZKIs="}, 400, "1024", "BadRequest"},
		{"feed of a range that is not there", "GET", docs, "", []string{"A-IM", "Incremental Feed", rangH, "7"}, 410, "1002", "Gone"},
		{"read feed of a range that is not there", "GET", docs, "", []string{rangH, "7"}, 410, "1002", "Gone"},
		{"feed of no range", "GET", docs, "", []string{"A-IM", "Incremental Feed"}, 400, "", "BadRequest"},
		{"feed with a continuation of others", "GET", docs, "", []string{"A-IM", "Incremental Feed", rangH, "0", "If-None-Match", `"x"`}, 400, "", "BadRequest"},
		{"feed of all versions", "GET", docs, "", []string{"A-IM", "Full-Fidelity Feed", rangH, "0"}, 400, "", "BadRequest"},
		{"feed from no time", "GET", docs, "", []string{"A-IM", "Incremental Feed", "If-Modified-Since", "yesterday"}, 400, "", "BadRequest"},
		{"page size 0", "GET", docs, "", []string{rangH, "0", "x-ms-max-item-count", "0"}, 400, "", "BadRequest"},
		{"query over keys, not asked for", "POST", docs, `{"query":"SELECT * FROM c"}`, []string{"Content-Type", "application/query+json", "x-ms-documentdb-isquery", "True"}, 400, "", "BadRequest"},
		{"patch", "PATCH", docs + "/there", `{}`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"stored procedure executed", "POST", coll + "/sprocs/sp", `[]`, []string{pkH, `["a"]`}, 400, "", "BadRequest"},
		{"users", "GET", "/dbs/shop/users", "", nil, 400, "", "BadRequest"},
		{"bulk", "POST", docs, `[]`, []string{"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "False"}, 400, "", "BadRequest"},
		{"empty batch", "POST", docs, `[]`, batch, 400, "", "BadRequest"},
		{"batch of no array", "POST", docs, `{}`, batch, 400, "", "BadRequest"},
		{"batch of 101", "POST", docs, "[" + strings.Repeat(`{"operationType":"Read","id":"there"},`, 100) + `{"operationType":"Read","id":"there"}]`, batch, 400, "", "BadRequest"},
		{"batch over two keys", "POST", docs, `[{"operationType":"Create","resourceBody":{"id":"1","pk":"b"}}]`, batch, 400, "1001", "BadRequest"},
		{"patch in a batch", "POST", docs, `[{"operationType":"Patch","id":"there","resourceBody":{}}]`, batch, 400, "", "BadRequest"},
		{"database is there", "POST", "/dbs", `{"id":"shop"}`, nil, 409, "", "Conflict"},
		{"container is there", "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]}}`, nil, 409, "", "Conflict"},
		{"container without a key", "POST", "/dbs/shop/colls", `{"id":"x"}`, nil, 400, "", "BadRequest"},
		{"container hashed by version 3", "POST", "/dbs/shop/colls", `{"id":"x","partitionKey":{"paths":["/pk"],"version":3}}`, nil, 400, "", "BadRequest"},
		{"container with too many ranges", "POST", "/dbs/shop/colls", `{"id":"x","partitionKey":{"paths":["/pk"]}}`, []string{"x-ms-cosmosfake-ranges", "1025"}, 400, "", "BadRequest"},
		{"another key for a container", "PUT", coll, `{"id":"orders","partitionKey":{"paths":["/other"]}}`, nil, 400, "", "BadRequest"},
		{"method", "PUT", "/dbs", `{}`, nil, 405, "", "MethodNotAllowed"},
	}
	before, err := s.Ranges("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := rest{t, s}.do(test.method, test.path, test.body, test.headers...)
			if got.status != test.status || got.substatus() != test.substatus {
				t.Errorf("got %d/%s %s, want %d/%s", got.status, got.substatus(), got.body, test.status, test.substatus)
			}
			var body struct{ Code, Message string }
			if err := json.Unmarshal(got.body, &body); err != nil || body.Code != test.code || body.Message == "" {
				t.Errorf("got body %s (%v), want code %s and a message", got.body, err, test.code)
			}
		})
	}
	after, err := s.Ranges("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("refusals changed the container: got %v, want %v", after, before)
	}
}

func TestAuthorization(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	tests := []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"as it should be", func(*http.Request) {}, 200},
		{"absent", func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"of another kind", func(r *http.Request) { r.Header.Set("Authorization", "type%3daad%26ver%3d1.0%26sig%3dx") }, 401},
		{"of another resource", func(r *http.Request) {
			r.Header.Set("Authorization", c.sign("GET", "colls", "dbs/shop/colls/other", r.Header.Get("x-ms-date")))
		}, 401},
		{"of another verb", func(r *http.Request) {
			r.Header.Set("Authorization", c.sign("PUT", "colls", "dbs/shop/colls/orders", r.Header.Get("x-ms-date")))
		}, 401},
		{"of another date", func(r *http.Request) { r.Header.Set("x-ms-date", "Fri, 20 Nov 2026 10:15:00 GMT") }, 401},
		{"too old", func(r *http.Request) {
			const date = "Mon, 02 Jan 2006 15:04:05 GMT"
			r.Header.Set("x-ms-date", date)
			r.Header.Set("Authorization", c.sign("GET", "colls", "dbs/shop/colls/orders", date))
		}, 403},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req := c.request("GET", coll, "")
			test.change(req)
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != test.want {
				t.Errorf("got %d, want %d", res.StatusCode, test.want)
			}
		})
	}
}

// TestBytes writes documents that a decoder would change, alone and in a batch, and reads them back by every way.
func TestBytes(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	large := `{"id":"large","pk":"a","s":"` + strings.Repeat("é", (2<<20)/2-20) + `"}`
	tests := []struct{ name, pk, path, document string }{
		{"large number", `["a"]`, "n", `{"id":"n","pk":"a","n":9007199254740993123,"m":1.0,"e":1e400}`},
		{"duplicates", `["a"]`, "d", `{"id":"d","x":1,"pk":"a","x":2}`},
		{"blanks", `["a"]`, "b", "{ \"id\" :\t\"b\",\n\n\"pk\":\"a\" \n}"},
		{"escapes", `["a"]`, "e", `{"id":"e","pk":"a","s":"\u003c<\/\/\u00e9é"}`},
		{"unicode id and key", `["\ud83d\ude00"]`, "%F0%9F%98%80%20%C3%A9", `{"id":"😀 \u00e9","pk":"😀"}`},
		{"no key property", `[{}]`, "none", `{"id":"none"}`},
		{"null key", `[null]`, "null", `{"id":"null","pk":null}`},
		{"number key", `[1.0]`, "num", `{"id":"num","pk":1}`},
		{"2 MB", `["a"]`, "large", large},
		{"empty containers before the brace", `["a"]`, "c", `{"id":"c","pk":"a","o":{},"l":[],"s":"}"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := rest{t, s}
			c.upsert(test.pk, test.document)
			got := c.must(200, "GET", docs+"/"+test.path, "", pkH, test.pk)
			if plain := strip(t, got.body); string(plain) != test.document {
				t.Errorf("read: got %.200s, want %.200s", plain, test.document)
			}
			newest, err := s.Ranges("shop", "orders")
			if err != nil {
				t.Fatal(err)
			}
			pg := c.feed("0", fmt.Sprintf(`"%d"`, newest[0].Newest-1)).page(t)
			if plain := strip(t, pg.Documents[0]); string(plain) != test.document {
				t.Errorf("feed: got %.200s, want %.200s", plain, test.document)
			}
			if len(test.document) > 2<<20-100 {
				return // its batch would be above the limit
			}
			batch := `[{"operationType":"Upsert", "resourceBody": ` + test.document + `,"partitionKey":"x"}]`
			c.must(200, "POST", docs, batch, "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, test.pk)
			again := c.must(200, "GET", docs+"/"+test.path, "", pkH, test.pk)
			if plain := strip(t, again.body); string(plain) != test.document {
				t.Errorf("batch: got %s, want %s", plain, test.document)
			}
			if a, b := systemOf(t, got.body), systemOf(t, again.body); a.RID != b.RID || a.ETag == b.ETag {
				t.Errorf("got rid %s after %s and etag %s after %s, want the same rid and another etag", b.RID, a.RID, b.ETag, a.ETag)
			}
		})
	}
}

func TestSystemProperties(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	got := c.upsert(`["a"]`, `{"_lsn":99,"id":"1","pk":"a","_etag":"mine","_ts":1,"_rid":"r","_self":"s","_attachments":"x"}`)
	doc := systemOf(t, got.body)
	if doc.ETag != got.header.Get("etag") || doc.TS < 1e9 || doc.Self != "dbs/"+dbRID(t, c)+"/colls/"+collRID(t, c)+"/docs/"+doc.RID+"/" {
		t.Errorf("got %+v with header etag %s", doc, got.header.Get("etag"))
	}
	if date, err := http.ParseTime(got.header.Get("Date")); err != nil || date.Unix() < doc.TS {
		t.Errorf("got Date %v (%v), want at or after _ts %d", date, err, doc.TS)
	}
	if plain := strip(t, got.body); string(plain) != `{"_lsn":99,"id":"1","pk":"a"}` {
		t.Errorf("got %s", plain)
	}
	s.SetHook(func(*http.Request) *cosmosfake.Fault {
		return &cosmosfake.Fault{Feed: cosmosfake.FeedForm{Metadata: true}}
	})
	if fed := c.feed("0", "").page(t).Documents[0]; !strings.HasSuffix(string(fed), `,"_lsn":2,"_metadata":{}}`) || string(strip(t, fed)) != `{"_lsn":99,"id":"1","pk":"a"}` {
		t.Errorf("got %s", fed)
	}
	s.SetHook(nil)
	// A user's _lsn stays, and the feed shows it before the service's.
	if fed := c.feed("0", "").page(t).Documents[0]; !strings.HasPrefix(string(fed), `{"_lsn":99,"id"`) || !strings.HasSuffix(string(fed), `,"_lsn":2}`) {
		t.Errorf("got %s", fed)
	}
	unchanged := c.do("GET", docs+"/1", "", pkH, `["a"]`, "If-None-Match", doc.ETag)
	if unchanged.status != 304 || len(unchanged.body) != 0 {
		t.Errorf("got %d %s, want 304", unchanged.status, unchanged.body)
	}
	minimal := c.do("POST", docs, `{"id":"2","pk":"a"}`, pkH, `["a"]`, "Prefer", "return=minimal")
	if minimal.status != 201 || len(minimal.body) != 0 || minimal.header.Get("etag") == "" {
		t.Errorf("got %d %s, want 201 without a body", minimal.status, minimal.body)
	}
}

func dbRID(t *testing.T, c rest) string {
	t.Helper()
	return systemOf(t, c.must(200, "GET", "/dbs/shop", "").body).RID
}

func collRID(t *testing.T, c rest) string {
	t.Helper()
	return systemOf(t, c.must(200, "GET", coll, "").body).RID
}
