package restorer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/archive"
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
	get("--at", first, "--partition-key", `eu`).want(t, 2, `want a JSON array of its values, such as ["eu"]`)
	get("--at", first, "--partition-key", `"eu"`).want(t, 2, `parse partition key "eu": want a JSON array of its values, such as ["eu"]`)
	get("--at", first, "--partition-key", `["eu",1]`).want(t, 2, "the container's paths /k, got 2")
	w.run("history", "--partition-key", `"eu"`, "--id", "numbers").want(t, 2, `such as ["eu"]`)
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
	if lines := strings.Count(o.out, "\n"); lines != 5 {
		t.Errorf("got %d lines, want a heading, 3 versions and how far that goes:\n%s", lines, o.out)
	}
	if n := strings.Count(o.out, "upserted, deleted softly "); n != 1 || strings.Contains(o.out, "complete to 2026-11-20T10:02:") {
		t.Errorf("got %d versions deleted softly want 1, and no word of more than is archived:\n%s", n, o.out)
	}
	o.want(t, 0, "complete to 2026-11-20T10:01:", "what was written later may not be archived yet\n")
	w.run("history", "--partition-key", `["eu"]`, "--id", "numbers", "-o", "json").want(t, 0, `"soft_deleted": true`, `"complete_to": "2026-11-20T10:01:`)
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
		{"after the newest", "--before", "2026-11-20T10:09:00.001Z", []string{"after the newest restore point", last, "take a point by --at NAME, or wait"}},
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

// TestPlanTellsWhatLiesBetween: whether anything was written between the point and the time that was asked for.
func TestPlanTellsWhatLiesBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.write(`["a"]`, `{"id":"1","k":"a"}`)
	first := w.archive(0)
	same := w.archive(2)
	w.write(`["a"]`, `{"id":"1","k":"a","n":2}`)
	last := w.archive(4) // everything before 10:03:50 is in
	for _, test := range []struct{ before, point, want, json string }{
		{"2026-11-20T10:01:00Z", first, "nothing was written: point " + same, `"written": "nothing"`},
		{"2026-11-20T10:01:50Z", first, "perhaps something was written, which is left out: point " + last, `"written": "maybe"`},
		{"2026-11-20T10:02:30Z", same, "perhaps something was written, which is left out: point " + last, `"written": "maybe"`},
		{"2026-11-20T10:03:55Z", same, "not known yet", `"written": "unknown"`},
	} {
		w.run("plan", "--before", test.before).want(t, 0, test.point, test.want)
		w.run("plan", "--before", test.before, "-o", "json").want(t, 0, test.json)
	}
	if o := w.run("plan", "--at", first); strings.Contains(o.out, "the time asked for") {
		t.Errorf("got\n%swant nothing of a time where a point was asked for", o.out)
	}
}

// A point whose claim is not exact is refused by whatever would rely on it (INV-5).
func TestTaintedPointsAreRefused(t *testing.T) {
	t.Parallel()
	c := shop()
	c.Definition = `"defaultTtl":3600`
	w := newWorld(t, c)
	w.write(`["a"]`, `{"id":"1","k":"a"}`)
	point := w.archive(0)
	w.run("points").want(t, 0, point, "tainted: the container has a time to live", "there is no exact point")
	w.run("points", "-o", "json").want(t, 0, point, `"restorable_until": null`)
	w.run("plan", "--before", "2026-11-20T10:05:00Z").want(t, 2, "no restore point of shop.products is exact")
	for _, verb := range [][]string{{"plan"}, {"run"}, {"verify", "--to", "shop.products"}, {"get", "--partition-key", `["a"]`, "--id", "1"}} {
		w.run(append(verb, "--at", point)...).want(t, 2, "is not exact", "time to live", "no restore point of shop.products is exact")
	}
	w.run("history", "--partition-key", `["a"]`, "--id", "1").want(t, 0, "upserted")
}

// `points` says what the newest position waits for, and explains its columns.
func TestPointsSayWhyTheyEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.write(`["a"]`, `{"id":"1","k":"a"}`)
	first := w.archive(-60 * 24 * 365 * 5) // long before this test, whenever that is
	w.run("points").want(t, 0, first, "exact, may still move", "why there is no later point yet:", "no mark of any range since 2021-")
	w.run("status").want(t, 0, first, "shop.products: why there is no later point yet:\n", "no mark of any range since 2021-")
	second := w.archive(0)
	w.must(archive.WriteHalt(t.Context(), w.store, w.container.TopicName(), 2, &schemas.Halt{Unit: "partition 2", Reason: "offset 7 is missing", Evidence: "next is 9"}))
	w.run("points").want(t, 0, first, second, "partition 2 is halted: offset 7 is missing")
	w.run("status").want(t, 0, second, "shop.products: why there is no later point yet:\n", "partition 2 is halted: offset 7 is missing")
	o := w.run("points", "-o", "json")
	o.want(t, 0, "partition 2 is halted: offset 7 is missing")
	var listed struct{ Points []struct{ Settled bool } }
	if err := json.Unmarshal([]byte(o.out), &listed); err != nil || len(listed.Points) != 2 || !listed.Points[0].Settled || listed.Points[1].Settled {
		t.Errorf("got %+v, %v want two points, the first of them settled", listed, err)
	}
	w.run("points", "--help").want(t, 0, "LATEST", "EARLIEST", "COMPLETE TO", "restorable until", "may still move")
	w.run("points", "--last", "-1").want(t, 2, "--last is -1, want 0 or more")
	w.run("history", "--help").want(t, 0, "Exit code 4", "NEWEST IN POINTS")
	w.run("run", "--help").want(t, 0, "Usage: almanac-restorer run (--at=POINT|TIME | --before=TIME) [flags]\n")
}

// What a container has beyond a point and deleted softly is told apart, and makes a difference all the same.
func TestVerifyTellsSoftlyDeletedApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.write(`["a"]`, `{"id":"1","k":"a"}`, `["a"]`, `{"id":"2","k":"a","deleted":true}`)
	point := w.archive(0)
	o := w.run("verify", "--at", point, "--to", "shop.products")
	o.want(t, 4, "0 missing, 1 extra (1 of them deleted softly), 0 with other bytes", "extra, deleted softly")
	w.run("verify", "--at", point, "--to", "shop.products", "-o", "json").want(t, 4, `"extra": 1`, `"extra_deleted": 1`, `"kind": "extra, deleted softly"`)
	w.write(`["a"]`, `{"id":"3","k":"a"}`)
	w.run("verify", "--at", point, "--to", "shop.products").want(t, 4, "2 extra (1 of them deleted softly)")
	w.run("verify", "--at", point, "--to", "shop.none").want(t, 2, "target shop.none does not exist; name the container to compare with by --to")
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
	w.run("points", "--archive-root", filepath.Join(w.folder, "none")).want(t, 2, "the folder does not exist")
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
