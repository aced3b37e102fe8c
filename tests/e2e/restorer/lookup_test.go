package restorer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

func TestGetAndHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.write(corpus()...)
	first := w.archive(0)
	const second = `{"id":"numbers","k":"eu","second":1.0}`
	w.write(`["eu"]`, second)
	middle := w.archive(1)
	w.write(`["eu"]`, `{"id":"numbers","k":"eu","deleted":true}`)
	last := w.archive(2)

	documents := corpus()
	for i := 0; i < len(documents); i += 2 {
		var named struct{ ID string }
		w.must(json.Unmarshal([]byte(documents[i+1]), &named))
		o := w.run("get", "--at", first, "--partition-key", documents[i], "--id", named.ID)
		if o.code != 0 || o.out != documents[i+1] {
			t.Errorf("get %s %q: got exit code %d and %.200s%s\nwant %.200s", documents[i], named.ID, o.code, o.out, o.err, documents[i+1])
		}
	}
	get := func(args ...string) outcome { return w.run(append([]string{"get", "--id", "numbers"}, args...)...) }
	get("--before", "2026-11-20T10:01:30Z", "--partition-key", `[ "e\u0075" ]`).want(t, 0, second)
	get("--at", last, "--partition-key", `["eu"]`).want(t, 4, `no document "numbers" with partition key ["eu"]`, "deletes: soft")
	get("--at", first, "--partition-key", `["us"]`).want(t, 4)
	get("--at", first, "--partition-key", `eu`).want(t, 2, "want a JSON array")
	var found struct {
		Point, Document string
		LSN, Generation int64
	}
	o := get("--at", middle, "--partition-key", `["eu"]`, "-o", "json")
	if err := json.Unmarshal([]byte(o.out), &found); err != nil || found.Document != second || found.Point != middle || found.LSN == 0 || found.Generation == 0 {
		t.Errorf("got %+v, %v of %s%s", found, err, o.out, o.err)
	}

	o = w.run("history", "--partition-key", `["eu"]`, "--id", "numbers")
	o.want(t, 0, "upserted", "1: "+first+" to "+first, "1: "+middle, "1: "+last)
	if lines := strings.Count(o.out, "\n"); lines != 4 {
		t.Errorf("got %d lines, want a heading and 3 versions:\n%s", lines, o.out)
	}
	w.run("history", "--partition-key", `["eu"]`, "--id", "numbers", "--last", "1").want(t, 0, last, "and 2 older")
	w.run("history", "--partition-key", `["eu"]`, "--id", "numbers", "-o", "json", "--documents").want(t, 0, `"total": 3`, `9007199254740993123`)
	w.run("history", "--partition-key", `["eu"]`, "--id", "none").want(t, 4, "holds nothing")
	w.run("history", "--partition-key", `["eu"]`, "--id", "numbers", "--last", "0").want(t, 2)
}

func TestMomentsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.write(`["a"]`, `{"id":"1","k":"a"}`)
	first := w.archive(0)
	w.write(`["a"]`, `{"id":"1","k":"a","n":2}`)
	last := w.archive(9)
	tests := []struct {
		name, flag, value string
		words             []string
	}{
		{"before the first", "--before", "2026-11-20T09:59:59.999Z", []string{"before the first restore point", first}},
		{"after the newest", "--before", "2026-11-20T10:09:00.001Z", []string{"after the newest restore point", last}},
		{"not a point's time", "--at", "2026-11-20T10:01:00Z", []string{"no restore point", first, last}},
		{"name of no point", "--at", first[:len(first)-8] + "00000000", []string{"does not fold", first}},
		{"no time", "--before", "yesterday", []string{"RFC 3339"}},
		{"neither point nor time", "--at", "yesterday", []string{"neither a point"}},
		{"a point for --before", "--before", first, []string{"no time"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, verb := range [][]string{
				{"plan"}, {"run", "--to", "shop.copy"}, {"verify", "--to", "shop.products"}, {"get", "--partition-key", `["a"]`, "--id", "1"},
			} {
				w.run(append(verb, test.flag, test.value)...).want(t, 2, test.words...)
			}
		})
	}
	if _, err := w.client.ReadContainer(t.Context(), "shop", "copy"); err == nil {
		t.Error("got a target made by a refused restore")
	}
	w.run("get", "--before", "2026-11-20T10:00:00Z", "--partition-key", `["a"]`, "--id", "1").want(t, 0, `{"id":"1","k":"a"}`)
	w.run("get", "--before", "2026-11-20T12:09:00+02:00", "--partition-key", `["a"]`, "--id", "1").want(t, 0, `"n":2`)
	w.run("plan").want(t, 2, "--at")
	w.run("plan", "--at", first, "--before", "2026-11-20T10:09:00Z").want(t, 2, "can't be used together")
}

// A point whose claim is not exact is refused by whatever would rely on it (INV-5).
func TestTaintedPointsAreRefused(t *testing.T) {
	t.Parallel()
	c := shop()
	c.Definition = `"defaultTtl":3600`
	w := newWorld(t, c)
	w.write(`["a"]`, `{"id":"1","k":"a"}`)
	point := w.archive(0)
	w.run("points").want(t, 0, point, "tainted: the container has a time to live")
	for _, verb := range [][]string{{"plan"}, {"run"}, {"verify", "--to", "shop.products"}, {"get", "--partition-key", `["a"]`, "--id", "1"}} {
		w.run(append(verb, "--at", point)...).want(t, 2, "is not exact", "time to live")
	}
	w.run("history", "--partition-key", `["a"]`, "--id", "1").want(t, 0, "upserted")
}

// A start from "now" gives history and no points, and `points` says why.
func TestStartFromNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.basis = schemas.BasisNone
	w.write(`["a"]`, `{"id":"1","k":"a"}`)
	w.archive(0)
	w.run("points").want(t, 0, "0 restore points", "there is no restore point", `begun at "now"`)
	w.run("points", "-o", "json").want(t, 0, `"restorable_until": null`, `"points": []`, `begun at \"now\"`)
	w.run("run", "--before", "2026-11-20T10:00:00Z").want(t, 2, "has no restore point", `begun at "now"`)
	w.run("history", "--partition-key", `["a"]`, "--id", "1").want(t, 0, "upserted")
}

func TestConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Container{Database: "shop", ID: "products", Key: []string{"/k"}, Ranges: 1, Deletes: "none"})
	w.archive(0)
	w.run("points", "--container", "shop.product").want(t, 2, `"shop.product" is not configured`, "shop.products")
	w.run("points", "--archive-root", filepath.Join(w.folder, "none")).want(t, 2, "is no folder")
	w.run("points", "--archive-root", w.folder).want(t, 2, "holds nothing of topic cosmos.shop.products")
	w.run("points", "--kafka-topic-prefix", "other").want(t, 2, "other.shop.products")
	if _, err := os.Stat(filepath.Join(w.folder, "none")); err == nil {
		t.Error("got the missing archive.root made")
	}
	w.run("run", "--before", "2026-11-20T10:00:00Z", "--to", "shop.copy").want(t, 0, "0 documents") // an empty container is one
	if got := w.contents("copy"); len(got) != 0 {
		t.Errorf("got %d documents in the copy of an empty container", len(got))
	}
}
