package cosmosfake_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// field decodes one member of a JSON object.
func field[T any](t *testing.T, body []byte, name string) T {
	t.Helper()
	var all map[string]json.RawMessage
	var value T
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatalf("decode %s: %v", body, err)
	}
	if err := json.Unmarshal(all[name], &value); err != nil {
		t.Fatalf("decode %s of %s: %v", name, body, err)
	}
	return value
}

const asQuery = "application/query+json"

func queryOf(text string) string {
	body, err := json.Marshal(map[string]string{"query": text})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func TestOffers(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	key := `"partitionKey":{"paths":["/pk"]}`
	manual := c.must(201, "POST", "/dbs/shop/colls", `{"id":"manual",`+key+`}`, "x-ms-offer-throughput", "600")
	auto := c.must(201, "POST", "/dbs/shop/colls", `{"id":"auto",`+key+`}`, "x-ms-cosmos-offer-autopilot-settings", `{"maxThroughput":4000}`)
	find := func(container response) []byte {
		t.Helper()
		rid := field[string](t, container.body, "_rid")
		got := c.must(200, "POST", "/offers", queryOf("SELECT * FROM root WHERE root.offerResourceId = '"+rid+"'"), "Content-Type", asQuery)
		offers := field[[]json.RawMessage](t, got.body, "Offers")
		if len(offers) != 1 {
			t.Fatalf("got %s, want one offer of %s", got.body, rid)
		}
		return offers[0]
	}
	offer := find(manual)
	if got := string(field[json.RawMessage](t, offer, "content")); got != `{"offerThroughput":600}` {
		t.Errorf("got %s", got)
	}
	if got := string(field[json.RawMessage](t, find(auto), "content")); got != `{"offerThroughput":400,"offerAutopilotSettings":{"maxThroughput":4000}}` {
		t.Errorf("got %s", got)
	}
	path := "/offers/" + field[string](t, offer, "_rid")
	signed := func(method, body string, headers ...string) response {
		t.Helper()
		req := c.request(method, path, body, headers...)
		req.Header.Set("Authorization", c.sign(method, "offers", strings.ToLower(strings.TrimPrefix(path, "/offers/")), req.Header.Get("x-ms-date")))
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return readResponse(t, res)
	}
	if got := signed("PUT", `{"content":{"offerThroughput":700}}`, "If-Match", `"old"`); got.status != 412 {
		t.Errorf("got %d %s want 412", got.status, got.body)
	}
	if got := signed("PUT", `{"content":{"offerThroughput":150}}`); got.status != 400 {
		t.Errorf("got %d %s want 400", got.status, got.body)
	}
	if got := signed("PUT", `{"content":{"offerThroughput":700}}`); got.status != 200 || got.header.Get("x-ms-offer-replace-pending") != "false" {
		t.Errorf("got %d %s %v", got.status, got.body, got.header)
	}
	if got := signed("GET", ""); got.status != 200 || !strings.Contains(string(got.body), `"offerThroughput":700`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	c.must(204, "DELETE", "/dbs/shop/colls/manual", "")
	if got := signed("GET", ""); got.status != 404 {
		t.Errorf("an offer outlives its container: %d %s", got.status, got.body)
	}
	if got := c.do("POST", "/dbs", `{"id":"x"}`, "x-ms-offer-throughput", "399"); got.status != 400 {
		t.Errorf("got %d %s want 400", got.status, got.body)
	}
}

func TestScripts(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	for kind, list := range map[string]string{"sprocs": "StoredProcedures", "udfs": "UserDefinedFunctions", "triggers": "Triggers"} {
		t.Run(kind, func(t *testing.T) {
			path := coll + "/" + kind
			body := `{"id":"one","body":"function () { return \"<\u00e9>\"; }" , "triggerOperation":"All","triggerType":"Pre"}`
			made := c.must(201, "POST", path, body)
			if want := strings.TrimSuffix(body, "}"); !strings.HasPrefix(string(made.body), want) {
				t.Errorf("got %s want it to begin with %s", made.body, want)
			}
			if self := field[string](t, made.body, "_self"); !strings.Contains(self, "/"+kind+"/") {
				t.Errorf("got _self %s", self)
			}
			for _, refused := range []struct {
				status int
				got    response
			}{
				{409, c.do("POST", path, body)},
				{400, c.do("POST", path, `{"id":"two"}`)},
				{404, c.do("GET", path+"/two", "")},
				{404, c.do("PUT", path+"/two", strings.Replace(body, "one", "two", 1))},
				{412, c.do("PUT", path+"/one", body, "If-Match", `"old"`)},
				{412, c.do("DELETE", path+"/one", "", "If-Match", `"old"`)},
			} {
				if refused.got.status != refused.status {
					t.Errorf("got %d %s want %d", refused.got.status, refused.got.body, refused.status)
				}
			}
			c.must(200, "PUT", path+"/one", strings.Replace(body, "return", "throw", 1), "If-Match", made.header.Get("etag"))
			if got := c.must(200, "GET", path+"/one", ""); !strings.Contains(string(got.body), "throw") {
				t.Errorf("got %s", got.body)
			}
			c.must(201, "POST", path, strings.Replace(body, "one", "two", 1))
			got := c.must(200, "GET", path, "", "x-ms-max-item-count", "1")
			more := got.header.Get("x-ms-continuation")
			if all := field[[]json.RawMessage](t, got.body, list); len(all) != 1 || more == "" {
				t.Errorf("got %s and the continuation %q, want one of two", got.body, more)
			}
			got = c.must(200, "GET", path, "", "x-ms-max-item-count", "1", "x-ms-continuation", more)
			if got.header.Get("x-ms-continuation") != "" || !strings.Contains(string(got.body), `"two"`) {
				t.Errorf("got %s and a continuation, want the last", got.body)
			}
			got = c.must(200, "POST", path, queryOf("SELECT VALUE r.id FROM root r WHERE r.id != 'one'"), "Content-Type", asQuery)
			if all := field[[]string](t, got.body, list); fmt.Sprint(all) != "[two]" {
				t.Errorf("got %v", all)
			}
			c.must(204, "DELETE", path+"/one", "")
			c.must(404, "GET", path+"/one", "")
		})
	}
}

func TestConditionsOnDefinitions(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	for _, path := range []string{coll, "/dbs/shop"} {
		etag := c.must(200, "GET", path, "").header.Get("etag")
		c.must(304, "GET", path, "", "If-None-Match", etag)
		c.must(412, "DELETE", path, "", "If-Match", `"old"`)
		c.must(204, "DELETE", path, "", "If-Match", etag)
	}
}

func TestUniqueKeys(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	definition := `{"id":"orders","partitionKey":{"paths":["/pk"]},"uniqueKeyPolicy":{"uniqueKeys":[{"paths":["/a","/b/c"]}]}}`
	c.must(201, "POST", "/dbs/shop/colls", definition)
	put := func(document string) int {
		t.Helper()
		var d struct{ PK string }
		if err := json.Unmarshal([]byte(document), &d); err != nil {
			t.Fatal(err)
		}
		return c.do("POST", docs, document, pkH, `["`+d.PK+`"]`, "x-ms-documentdb-is-upsert", "True").status
	}
	for _, step := range []struct {
		document string
		want     int
	}{
		{`{"id":"1","pk":"x","a":1,"b":{"c":"v"}}`, 201},
		{`{"id":"2","pk":"x","a":1.0,"b":{"c":"v"}}`, 409},
		{`{"id":"2","pk":"x","a":1,"b":{"c":"w"}}`, 201},
		{`{"id":"2","pk":"y","a":1,"b":{"c":"v"}}`, 201},
		{`{"id":"1","pk":"x","a":1,"b":{"c":"v"},"more":true}`, 200},
		{`{"id":"1","pk":"x","a":1,"b":{"c":"w"}}`, 409},
		{`{"id":"3","pk":"x"}`, 201},
		{`{"id":"4","pk":"x"}`, 409},
	} {
		if got := put(step.document); got != step.want {
			t.Errorf("%s: got %d want %d", step.document, got, step.want)
		}
	}
	inBatch := batchOf(`{"id":"7","pk":"z","a":7}`, `{"id":"8","pk":"z","a":7}`)
	if got := c.do("POST", docs, inBatch, "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["z"]`); got.status != 207 {
		t.Errorf("got %d %s want 207", got.status, got.body)
	}
	if got := c.do("PUT", coll, strings.Replace(definition, "/a", "/z", 1)); got.status != 400 {
		t.Errorf("got %d %s, want that unique keys cannot change", got.status, got.body)
	}
}

func TestIdentity(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	token := func(key string, expires time.Time) string {
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil, `{"nbf":1,"exp":%d}`, expires.Unix())) + "." + encode([]byte(key))
	}
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for _, test := range []struct {
		name, token, method, path, body string
		want                            int
		substatus                       string
	}{
		{"reads definitions", token(s.Key(), later), "GET", coll, "", 200, ""},
		{"writes items", token(s.Key(), later), "POST", docs, `{"id":"1","pk":"a"}`, 201, ""},
		{"creates no containers", token(s.Key(), later), "POST", "/dbs/shop/colls", `{}`, 403, "5300"},
		{"reads no scripts", token(s.Key(), later), "GET", coll + "/sprocs", "", 403, "5300"},
		{"reads no offers", token(s.Key(), later), "GET", "/offers", "", 403, "5300"},
		{"another key", token("other", later), "GET", coll, "", 401, ""},
		{"too late", token(s.Key(), before), "GET", coll, "", 401, ""},
		{"no token", "x", "GET", coll, "", 401, ""},
	} {
		got := c.do(test.method, test.path, test.body, pkH, `["a"]`, "Authorization", url.QueryEscape("type=aad&ver=1.0&sig="+test.token))
		if got.status != test.want || got.substatus() != test.substatus {
			t.Errorf("%s: got %d/%s %s, want %d/%s", test.name, got.status, got.substatus(), got.body, test.want, test.substatus)
		}
	}
}

func TestGateways(t *testing.T) {
	s := startServer(t, cosmosfake.Options{ComputeAddr: "127.0.0.1:0"})
	c := rest{t, s}
	c.makeOrders(1)
	for _, test := range []struct {
		id      string
		routing int
	}{
		{"plain", 200},
		{" a b", 200},
		{"a?b", 200},
		{"鱀", 200},
		{"100%", 200},
		{"ends ", 401},
		{"a/b", 401},
		{`a\b`, 401},
		{"a#b", 401},
		{"a%20b", 401},
		{"a\tb", 400},
	} {
		document, err := json.Marshal(map[string]string{"id": test.id, "pk": "a"})
		if err != nil {
			t.Fatal(err)
		}
		c.must(201, "POST", docs, string(document), pkH, `["a"]`)
		for base, want := range map[string]int{s.URL(): test.routing, s.ComputeURL(): 200} {
			req := c.request("GET", docs+"/"+url.PathEscape(test.id), "", pkH, `["a"]`)
			req.Header.Set("Authorization", c.sign("GET", "docs", "dbs/shop/colls/orders/docs/"+test.id, req.Header.Get("x-ms-date")))
			at, err := url.Parse(base)
			if err != nil {
				t.Fatal(err)
			}
			req.URL.Host, req.Host = at.Host, at.Host
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := readResponse(t, res); got.status != want {
				t.Errorf("%q at %s: got %d %s want %d", test.id, base, got.status, got.body, want)
			}
		}
	}
}

func readResponse(t *testing.T, res *http.Response) response {
	t.Helper()
	var body json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil && res.StatusCode != http.StatusNoContent {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, body}
}

// TestResourceIDs addresses a database and a container by their resource ids, which are what is signed then.
func TestResourceIDs(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(3)
	rid := collRID(t, c)
	db := systemOf(t, c.must(200, "GET", "/dbs/shop", "").body).RID
	owner := c.must(200, "GET", coll, "").header
	if owner.Get("x-ms-alt-content-path") != "dbs/shop" || owner.Get("x-ms-content-path") != db {
		t.Errorf("got owner %q %q, want dbs/shop and %s", owner.Get("x-ms-alt-content-path"), owner.Get("x-ms-content-path"), db)
	}
	for _, test := range []struct {
		path, kind, signed string
		want               int
	}{
		{"/dbs/" + db, "dbs", strings.ToLower(db), 200},
		{"/dbs/" + db + "/colls/" + rid, "colls", strings.ToLower(rid), 200},
		{"/dbs/" + db + "/colls/" + rid + "/pkranges", "pkranges", strings.ToLower(rid), 200},
		{"/dbs/" + db + "/colls/" + rid + "/pkranges", "pkranges", "dbs/" + db + "/colls/" + rid, 401},
		{"/dbs/" + db + "/colls/none", "colls", "none", 401},
	} {
		req := c.request("GET", test.path, "")
		req.Header.Set("Authorization", c.sign("GET", test.kind, test.signed, req.Header.Get("x-ms-date")))
		if got := c.send(req); got.status != test.want {
			t.Errorf("%s signed as %s: got %d %s, want %d", test.path, test.signed, got.status, got.body, test.want)
		}
	}
}
