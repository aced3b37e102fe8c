package restorer_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

func shop() harness.Container {
	return harness.Container{
		Database: "shop", ID: "products", Key: []string{"/k"}, Ranges: 3, Deletes: "soft",
		Definition: `"indexingPolicy":{"automatic":true,"indexingMode":"consistent"},"computedProperties":[{"name":"x","query":"SELECT VALUE 1.0"}],"changeFeedPolicy":{"retentionDuration":5}`,
	}
}

// corpus is `partition key, document` of what must survive byte for byte (INV-6).
func corpus() []string {
	return []string{
		`["eu"]`, `{"id":"numbers","k":"eu","big":9007199254740993123,"one":1.0,"huge":1e400,"zero":-0.0,"e":1E+2,"long":0.10000000000000000000001}`,
		`["eu"]`, "{ \"id\" : \"blanks\" ,\t\"k\":\"eu\" , \"a\" : [ 1 , { } ] \n}",
		`["eu"]`, `{"id":"twice","k":"eu","x":1,"x":2,"x":{"x":[]}}`,
		`["eu"]`, `{"id":"escapes \u0041","k":"\u0065u","s":"\/\b\f\u2028\ud83d\ude00 <>&"}`,
		`["eu"]`, `{"_own":1,"id":"own","k":"eu","a_ts":2,"_rids":{"_rid":"mine","_ts":1},"_lsnx":[{"_etag":0}]}`,
		`["eu"]`, `{"id":"an own lsn","_lsn":7,"_metadata":{},"k":"eu"}`, // which the feed shows beside the service's
		`["eu"]`, `{"_lsn":"mine","id":"an own lsn that is none","k":"eu"}`,
		`["😀 \u0001\u001f\"\\ ü"]`, "{\"id\":\"日本 😀 \u007f\",\"k\":\"😀 \\u0001\\u001f\\\"\\\\ ü\"}",
		`["` + "\u007f\u2028" + `"]`, "{\"id\":\"100% +&=;'<>\",\"k\":\"\u007f\u2028\"}",
		`[""]`, `{"id":"empty key","k":""}`,
		`[{}]`, `{"id":"no key"}`,
		`[{}]`, `{"id":"object key","k":{"a":1}}`,
		`[null]`, `{"id":"null key","k":null}`,
		`[true]`, `{"id":"true key","k":true}`,
		`[1.5]`, `{"id":"number key","k":15e-1}`,
		`[-0]`, `{"id":"minus zero","k":-0.0}`,
		`["big"]`, `{"id":"large","k":"big","text":"` + strings.Repeat("x", 2<<20-40) + `"}`,
	}
}

func TestRestoreIsExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.write(corpus()...)
	for i := range 300 {
		key := fmt.Sprintf("c%d", i%7)
		w.write(`["`+key+`"]`, fmt.Sprintf(`{"id":"p%d","k":%q,"price":%d.0}`, i, key, i))
	}
	before := w.contents("products")
	good := w.archive(0)

	w.write(`["c1"]`, `{"id":"p1","k":"c1","price":"wrong"}`, `["c2"]`, `{"id":"p2","k":"c2","deleted":true}`, `["c3"]`, `{"id":"new","k":"c3"}`)
	bad := w.archive(1)

	t.Run("points", func(t *testing.T) {
		w.run("points").want(t, 0, good, bad, "exact", "2026-11-20T10:00:00.000Z", "deletes: soft (/deleted = true)", "restorable until  2026-11-20T10:00:50.000Z")
		var timeline struct {
			Total  int
			Points []struct{ Name string }
		}
		o := w.run("points", "--last", "1", "-o", "json")
		if err := json.Unmarshal([]byte(o.out), &timeline); err != nil || timeline.Total != 2 || len(timeline.Points) != 1 || timeline.Points[0].Name != bad {
			t.Errorf("got %+v, %v of %s", timeline, err, o.out)
		}
	})
	t.Run("plan", func(t *testing.T) {
		w.run("plan", "--before", "2026-11-20T10:00:30Z", "--to", "shop.copy").want(t, 0, good, "shop.copy", "absent: run creates it",
			"rows alone", `{"id":"copy","partitionKey":`, "_rid, _ts, _self, _etag, _docs, _sprocs, _triggers, _udfs, _conflicts: the service's own\n", "changeFeedPolicy.retentionDuration")
		w.run("plan", "--at", "2026-11-20T10:00:00Z").want(t, 0, "shop.products-restored-20261120T100000000Z")
		w.run("plan", "--at", bad, "--to", "shop.products").want(t, 2, "is the source itself")
		w.run("plan", "--at", bad, "--to", "none.copy").want(t, 2, "database none does not exist")
	})
	t.Run("run and verify", func(t *testing.T) {
		w.run("run", "--at", good, "--to", "shop.copy").want(t, 0, "restored   "+good, "317 documents", "verify --container shop.products --at "+good)
		sameContents(t, w.contents("copy"), before)
		definition, err := w.client.ReadContainer(t.Context(), "shop", "copy")
		if err != nil || !strings.Contains(string(definition.Resource), `"computedProperties":[{"name":"x","query":"SELECT VALUE 1.0"}]`) || strings.Contains(string(definition.Resource), "changeFeedPolicy") {
			t.Errorf("got definition %s, %v", definition.Resource, err)
		}
		w.run("verify", "--at", good, "--to", "shop.copy").want(t, 0, "equal: every document is there")
		w.run("verify", "--at", bad, "--to", "shop.products").want(t, 4, "1 extra", `"p2"`) // the soft-deleted one stands there
		w.run("verify", "--at", good, "--to", "shop.products").want(t, 4, "0 missing, 1 extra, 2 with other bytes", `different   ["c1"]`, `"p1"`, `extra`, `"new"`)
		w.run("verify", "--at", good, "--to", "shop.none").want(t, 2, "shop.none does not exist")
	})
	t.Run("soft deletes are applied", func(t *testing.T) {
		w.run("run", "--before", "2026-11-20T10:01:00Z").want(t, 0, bad, "into       shop.products-restored-20261120T100100000Z")
		var want []string
		for _, d := range w.contents("products") {
			if !strings.Contains(d, `"deleted":true`) {
				want = append(want, d)
			}
		}
		sameContents(t, w.contents("products-restored-20261120T100100000Z"), want)
		w.run("verify", "--before", "2026-11-20T10:01:00Z").want(t, 0, bad, "shop.products-restored-20261120T100100000Z", "equal: every document is there")
		w.run("verify", "--at", good).want(t, 2, "target shop.products-restored-20261120T1000", "does not exist; name the container to compare with by --to")
	})
	t.Run("run again", func(t *testing.T) {
		w.run("run", "--at", good, "--to", "shop.copy", "-o", "json").want(t, 0, `"written": 0`, `"already_there": 317`)
		w.write(`["c1"]`, `{"id":"p1","k":"c1","price":1.0}`)
		w.run("run", "--at", bad, "--to", "shop.copy").want(t, 2, "shop.copy is not empty", "nothing was written", `["c1"] "p1" (different)`)
		sameContents(t, w.contents("copy"), before)
	})
}

func TestRestoreOfHierarchicalKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Container{Database: "shop", ID: "carts", Key: []string{"/tenant", "/user/id"}, Ranges: 4, Deletes: "none"})
	w.write(
		`["a",{}]`, `{"id":"1","tenant":"a"}`, `[{},{}]`, `{"id":"1"}`, `["a",7]`, `{"id":"1","tenant":"a","user":{"id":7.0}}`,
		`["😀",null]`, `{"id":"1","tenant":"😀","user":{"id":null}}`, `[false,"x"]`, `{"id":"1","user":{"id":"x"},"tenant":false}`,
	)
	point := w.archive(0)
	w.run("run", "--at", point, "--to", "shop.carts.2").want(t, 0, "5 documents")
	sameContents(t, w.contents("carts.2"), w.contents("carts"))
	w.run("verify", "--at", point, "--to", "shop.carts.2").want(t, 0)
	w.run("get", "--at", point, "--partition-key", `["a", 7.00]`, "--id", "1").want(t, 0, `{"id":"1","tenant":"a","user":{"id":7.0}}`)
	w.run("get", "--at", point, "--partition-key", `["a"]`, "--id", "1").want(t, 2, "the container's paths /tenant, /user/id, got 1")
}

func TestTargetThatExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.write(`["a"]`, `{"id":"1","k":"a"}`, `["b"]`, `{"id":"2","k":"b"}`)
	point := w.archive(0)
	create := func(definition string) {
		t.Helper()
		if err := w.account.CreateContainer(t.Context(), "shop", []byte(definition), 2); err != nil {
			t.Fatal(err)
		}
	}
	create(`{"id":"empty","partitionKey":{"paths":["/k"],"kind":"Hash","version":2}}`)
	create(`{"id":"otherkey","partitionKey":{"paths":["/x"],"kind":"Hash","version":2}}`)
	create(`{"id":"ttl","partitionKey":{"paths":["/k"],"kind":"Hash","version":2},"defaultTtl":60}`)
	create(`{"id":"stranger","partitionKey":{"paths":["/k"],"kind":"Hash","version":2}}`)
	create(`{"id":"begun","partitionKey":{"paths":["/k"],"kind":"Hash","version":2}}`)
	write := func(container, key, document string) {
		t.Helper()
		if err := w.account.Write(t.Context(), harness.Create, harness.Container{Database: "shop", ID: container}, key, []byte(document)); err != nil {
			t.Fatal(err)
		}
	}
	write("stranger", `["z"]`, `{"id":"1","k":"z"}`)
	write("begun", `["a"]`, `{"id":"1","k":"a"}`)

	w.run("plan", "--at", point, "--to", "shop.empty").want(t, 0, "there and empty", "not those of then: indexingPolicy, computedProperties")
	w.run("plan", "--at", point, "--to", "shop.stranger").want(t, 0, "there and not empty: run refuses it unless")
	w.run("run", "--at", point, "--to", "shop.empty").want(t, 0, "2 documents", "indexingPolicy")
	w.run("run", "--at", point, "--to", "shop.otherkey").want(t, 2, "another partitionKey")
	w.run("run", "--at", point, "--to", "shop.ttl").want(t, 2, "another defaultTtl")
	w.run("run", "--at", point, "--to", "shop.stranger").want(t, 2, `["z"] "1" (extra)`, "nothing was written")
	if got := len(w.contents("stranger")); got != 1 {
		t.Errorf("got %d documents in the refused target, want 1", got)
	}
	w.run("run", "--at", point, "--to", "shop.begun").want(t, 0, "1 of them were there already")
	sameContents(t, w.contents("begun"), w.contents("products"))
}
