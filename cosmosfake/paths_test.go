package cosmosfake_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestPathsThatAreLeftOut: whoever asks for what there is not is told so, however the request is signed.
func TestPathsThatAreLeftOut(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	for _, test := range []struct {
		method, path, want string
	}{
		{"GET", "/addresses/?$resolveFor=dbs/x&$filter=protocol%20eq%20rntbd", "use gateway mode: Java gatewayMode(), .NET ConnectionMode = ConnectionMode.Gateway"},
		{"GET", "/media/abc", `type \"media\"`},
		{"GET", "/dbs/shop/users", `type \"users\"`},
		{"POST", "/dbs/shop/users/u/permissions", `type \"permissions\"`},
		{"GET", "/dbs/shop/clientencryptionkeys", `type \"clientencryptionkeys\"`},
		{"GET", coll + "/conflicts", `type \"conflicts\"`},
		{"GET", coll + "/conflicts/1", `type \"conflicts\"`},
		{"GET", docs + "/1/attachments", `type \"attachments\"`},
		{"POST", coll + "/operations/collectiontruncate", "the operation in the path"},
		{"POST", coll + "/operations", "the operation in the path"},
	} {
		for name, sign := range map[string]func(*http.Request){
			"signed":   func(*http.Request) {},
			"unsigned": func(r *http.Request) { r.Header.Del("Authorization") },
			"wrongly":  func(r *http.Request) { r.Header.Set("Authorization", "type%3dmaster%26ver%3d1.0%26sig%3dAAAA") },
		} {
			r := c.request(test.method, test.path, "")
			sign(r)
			got := c.send(r)
			if got.status != 400 || !strings.Contains(string(got.body), "does not implement") || !strings.Contains(string(got.body), test.want) {
				t.Errorf("%s %s %s: got %d %s, want 400 with %q", name, test.method, test.path, got.status, got.body, test.want)
			}
		}
	}
	// What there is still wants a signature, and ids with slashes are for it to judge.
	for _, path := range []string{"/dbs", coll, docs + "/1", docs + "/a%2Fb/c", coll + "/operations/partitionkeydelete"} {
		r := c.request("GET", path, "")
		r.Header.Set("Authorization", "type%3dmaster%26ver%3d1.0%26sig%3dAAAA")
		if got := c.send(r); got.status != 401 {
			t.Errorf("%s: got %d %s, want 401", path, got.status, got.body)
		}
	}
}

// TestDeleteByPartitionKey signs as each of the clients does.
func TestDeleteByPartitionKey(t *testing.T) {
	const path = coll + "/operations/partitionkeydelete"
	s := startServer(t, cosmosfake.Options{Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(2)
	link := strings.TrimPrefix(coll, "/")
	for name, as := range map[string][2]string{
		"JavaScript": {"colls", link}, "Python": {"partitionkey", link}, "whole path": {"partitionkey", strings.TrimPrefix(path, "/")},
	} {
		c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
		c.upsert(`["a"]`, `{"id":"2","pk":"a"}`)
		other := c.upsert(`["b"]`, `{"id":"1","pk":"b"}`)
		r := c.request("POST", path, "", pkH, `["a"]`)
		date := r.Header.Get("x-ms-date")
		r.Header.Set("Authorization", c.sign("POST", as[0], as[1], date))
		before := c.must(200, "GET", docs+"/2", "", pkH, `["a"]`)
		got := c.send(r)
		if got.status != 200 || got.newest(t) != before.newest(t)+2 {
			t.Fatalf("%s: got %d %s at %d, want 200 at %d", name, got.status, got.body, got.newest(t), before.newest(t)+2)
		}
		c.must(404, "GET", docs+"/1", "", pkH, `["a"]`)
		c.must(404, "GET", docs+"/2", "", pkH, `["a"]`)
		if kept := c.must(200, "GET", docs+"/1", "", pkH, `["b"]`); kept.header.Get("etag") != other.header.Get("etag") {
			t.Errorf("%s: got %s, want the other key untouched", name, kept.body)
		}
	}
	// Of a hierarchical key all levels are wanted.
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"tree","partitionKey":{"paths":["/a","/b"],"kind":"MultiHash","version":2}}`)
	r := c.request("POST", "/dbs/shop/colls/tree/operations/partitionkeydelete", "", pkH, `["x"]`)
	r.Header.Set("Authorization", c.sign("POST", "partitionkey", "dbs/shop/colls/tree", r.Header.Get("x-ms-date")))
	if got := c.send(r); got.status != 400 || got.substatus() != "1001" {
		t.Errorf("a part of a key: got %d/%s %s, want 400/1001", got.status, got.substatus(), got.body)
	}
}

// TestDeleteManyByPartitionKey lets go of so many versions that the range's log is made anew meanwhile.
func TestDeleteManyByPartitionKey(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	var lines strings.Builder
	for i := range 4000 {
		lines.WriteString(`{"id":"` + strings.Repeat("x", i%7) + time.Duration(i).String() + `","pk":"a"}` + "\n")
	}
	if n, err := s.Load("shop", "orders", strings.NewReader(lines.String())); n != 4000 || err != nil {
		t.Fatal(n, err)
	}
	r := c.request("POST", coll+"/operations/partitionkeydelete", "", pkH, `["a"]`)
	r.Header.Set("Authorization", c.sign("POST", "colls", strings.TrimPrefix(coll, "/"), r.Header.Get("x-ms-date")))
	if got := c.send(r); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if states, err := s.Ranges("shop", "orders"); err != nil || states[0].Items != 0 {
		t.Errorf("got %+v, %v, want no items", states, err)
	}
}
