package cosmosfake_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestNotAcceptedSilently: what the emulator does not do, or the service does not take, is refused with the reason.
func TestNotAcceptedSilently(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	const item = `{"id":"2","pk":"a"}`
	container := func(id, more string) string {
		return fmt.Sprintf(`{"id":%q,"partitionKey":{"paths":["/pk"]}%s}`, id, more)
	}
	batch := []string{pkH, `["a"]`, "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True"}
	for _, test := range []struct {
		name, method, path, body string
		headers                  []string
		want                     string
	}{
		{"pre-trigger of a creation", "POST", docs, item, []string{pkH, `["a"]`, "x-ms-documentdb-pre-trigger-include", "stamp"}, `names \"stamp\"`},
		{"post-trigger of a creation", "POST", docs, item, []string{pkH, `["a"]`, "x-ms-documentdb-post-trigger-include", "stamp"}, "does not implement"},
		{"pre-trigger of a replacement", "PUT", docs + "/1", `{"id":"1","pk":"a"}`, []string{pkH, `["a"]`, "x-ms-documentdb-pre-trigger-include", "stamp"}, "does not implement"},
		{"post-trigger of a deletion", "DELETE", docs + "/1", "", []string{pkH, `["a"]`, "x-ms-documentdb-post-trigger-include", "stamp"}, "does not implement"},
		{"trigger of a batch", "POST", docs, `[]`, append(batch, "x-ms-documentdb-pre-trigger-include", "stamp"), "does not implement"},
		{"indexing mode", "POST", "/dbs/shop/colls", container("x", `,"indexingPolicy":{"indexingMode":"eager"}`), nil, "Invalid value eager passed for enum IndexingMode"},
		{"indexing mode of a replacement", "PUT", coll, container("orders", `,"indexingPolicy":{"indexingMode":"eager"}`), nil, "Invalid value eager"},
		{"indexing mode that is no text", "POST", "/dbs/shop/colls", container("x", `,"indexingPolicy":{"indexingMode":1}`), nil, "indexingPolicy.indexingMode is of the type number, want a string"},
		{"session of nonsense", "GET", docs + "/1", "", []string{pkH, `["a"]`, "x-ms-session-token", "garbage"}, "The session token provided 'garbage' is invalid."},
		{"session without LSN", "GET", docs + "/1", "", []string{pkH, `["a"]`, "x-ms-session-token", "0:"}, "is invalid"},
		{"session of another range", "GET", docs + "/1", "", []string{pkH, `["a"]`, "x-ms-session-token", "7:x#y"}, "is invalid"},
		{"session with half a region", "GET", docs + "/1", "", []string{pkH, `["a"]`, "x-ms-session-token", "0:1#2#3"}, "is invalid"},
		{"second session", "GET", docs + "/1", "", []string{pkH, `["a"]`, "x-ms-session-token", "0:1#1#1=1,oops"}, "'oops'"},
		{"session of a query", "POST", docs, queryOf("SELECT * FROM c"), []string{pkH, `["a"]`, "x-ms-documentdb-isquery", "True", "x-ms-session-token", "garbage"}, "is invalid"},
		{"session of a feed", "GET", docs, "", []string{"A-IM", "Incremental Feed", rangH, "0", "x-ms-session-token", "garbage"}, "is invalid"},
		{"number for a name", "POST", "/dbs", `{"id":5}`, nil, "the property id is of the type number, want a string"},
	} {
		got := c.do(test.method, test.path, test.body, test.headers...)
		if got.status != 400 || !strings.Contains(string(got.body), test.want) {
			t.Errorf("%s: got %d %s, want 400 with %q", test.name, got.status, got.body, test.want)
		}
		if strings.Contains(string(got.body), "Go struct") || strings.Contains(string(got.body), "json:") {
			t.Errorf("%s: got %s, want no word of Go's", test.name, got.body)
		}
	}
	c.must(404, "GET", docs+"/2", "", pkH, `["a"]`)
	for _, fine := range []string{"0:1#1#1=1", "0:1", "0:-1#1", "0:1#1#1=1#2=0, 5:9"} {
		c.must(200, "GET", docs+"/1", "", pkH, `["a"]`, "x-ms-session-token", fine)
	}
	for _, mode := range []string{"consistent", "Lazy", "none"} {
		c.must(201, "POST", "/dbs/shop/colls", container("mode"+mode, `,"indexingPolicy":{"indexingMode":"`+mode+`","automatic":false}`))
	}
}

func TestNamesOfResources(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	for id, want := range map[string]string{
		"a/b": "contains invalid character '/'", `a\\b`: `contains invalid character '\\'`, "a?b": "contains invalid character '?'",
		"a#b": "contains invalid character '#'", "a ": "The resource name can't end with space.",
	} {
		for path, body := range map[string]string{
			"/dbs":            `{"id":"` + id + `"}`,
			"/dbs/shop/colls": `{"id":"` + id + `","partitionKey":{"paths":["/pk"]}}`,
			coll + "/sprocs":  `{"id":"` + id + `","body":"function(){}"}`,
		} {
			if got := c.do("POST", path, body); got.status != 400 || !strings.Contains(string(got.body), want) {
				t.Errorf("%s %s: got %d %s, want 400 with %q", path, body, got.status, got.body, want)
			}
		}
	}
	c.must(201, "POST", "/dbs", `{"id":"a b:c%'é"}`)
	c.must(201, "POST", docs, `{"id":"a/b#c?d\\e ","pk":"a"}`, pkH, `["a"]`) // items may have any
}
