package cosmosfake_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// FuzzRequests sends signed requests of any kind: each gets an answer, with a status of the service's, and a document that
// was there before is still readable. A panic would end the connection.
func FuzzRequests(f *testing.F) {
	paths := []string{
		"/dbs", "/dbs/{}", "/dbs/shop/colls", "/dbs/shop/colls/{}", docs, docs + "/{}", coll + "/pkranges", coll + "/sprocs",
		coll + "/sprocs/{}", coll + "/udfs", coll + "/triggers/{}", "/offers", "/offers/{}", "/dbs/shop/users", "/{}/x/y", "/_admin/{}",
	}
	methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"}
	headers := []string{
		"x-ms-documentdb-isquery", "x-ms-cosmos-is-query-plan-request", "x-ms-cosmos-is-batch-request", "x-ms-cosmos-batch-atomic",
		"x-ms-documentdb-is-upsert", crossPartition, "A-IM", "x-ms-max-item-count", "x-ms-continuation", pkH, rangH, "If-Match",
		"If-None-Match", "x-ms-session-token", "x-ms-offer-throughput", "x-ms-cosmos-offer-autopilot-settings", "x-ms-start-epk",
		"x-ms-end-epk", "x-ms-read-key-type", "If-Modified-Since", "x-ms-cosmos-changefeed-wire-format-version",
	}
	for _, seed := range []struct {
		method, path byte
		id, body     string
		bits         uint32
		value        string
	}{
		{0, 4, "", "", 1 << 6, "Incremental Feed"},
		{1, 4, "", queryOf("SELECT c.id FROM c WHERE c.pk = 'a' ORDER BY c.id"), 1, "True"},
		{1, 4, "", queryOf("SELECT VALUE COUNT(1) FROM c JOIN t IN c.tags WHERE NOT t BETWEEN 1 AND 2"), 3, "True"},
		{1, 4, "", `[{"operationType":"Upsert","partitionKey":["a"],"resourceBody":{"id":"1","pk":"a"}}]`, 4, "True"},
		{3, 5, "there", `{"operations":[{"op":"move","from":"/x/0","path":"/y"}],"condition":"from c where c.x"}`, 1 << 9, `["a"]`},
		{2, 3, "orders", `{"id":"orders","partitionKey":{"paths":["/pk"]}}`, 0, ""},
		{1, 8, "sp", `[]`, 1 << 9, `["a"]`},
		{0, 4, "", "", 1<<6 | 1<<20, "Full-Fidelity Feed"},
		{0, 4, "", "", 1<<16 | 1<<17, "3F"},
		{0, 4, "", "", 1 << 12, `"1"`},
		{1, 15, "split", `{"database":"shop"}`, 0, ""},
	} {
		f.Add(seed.method, seed.path, seed.id, seed.body, seed.bits, seed.value)
	}
	s := startServer(f, cosmosfake.Options{ComputeAddr: "127.0.0.1:0", Retention: time.Hour})
	at, err := url.Parse(s.ComputeURL())
	if err != nil {
		f.Fatal(err)
	}
	c := rest{f, s}
	c.makeOrders(2)
	const guarded = "/dbs/guarded/colls/kept"
	c.must(201, "POST", "/dbs", `{"id":"guarded"}`)
	c.must(201, "POST", "/dbs/guarded/colls", `{"id":"kept","partitionKey":{"paths":["/pk"]}}`)
	c.must(201, "POST", guarded+"/docs", `{"id":"1","pk":"a"}`, pkH, `["a"]`)
	f.Fuzz(func(t *testing.T, method, path byte, id, body string, bits uint32, value string) {
		if id == "guarded" || strings.Trim(id, "./") == "" {
			id = "there"
		}
		c := rest{t, s}
		name := strings.ReplaceAll(paths[int(path)%len(paths)], "{}", url.PathEscape(id))
		var set []string
		for i, header := range headers {
			if bits>>i&1 == 1 && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				set = append(set, header, value)
			}
		}
		req := c.request(methods[int(method)%len(methods)], name, body, append(set, "x-ms-cosmosfake-key", s.Key())...)
		if strings.HasPrefix(name, "/offers/") {
			req.Header.Set("Authorization", c.sign(req.Method, "offers", strings.ToLower(id), req.Header.Get("x-ms-date")))
		}
		req.URL.Host, req.Host = at.Host, at.Host
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", req.Method, name, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode >= http.StatusInternalServerError {
			t.Errorf("%s %s: got %s", req.Method, name, res.Status)
		}
		c.must(200, "GET", guarded+"/docs/1", "", pkH, `["a"]`)
		c.do("POST", "/dbs", `{"id":"shop"}`)
		c.do("POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]}}`)
	})
}
