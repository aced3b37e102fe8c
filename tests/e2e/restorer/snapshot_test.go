package restorer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/compactor"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// A restore begins from the newest snapshot at or below the point, and gives what the rows alone give.
func TestRestoreFromSnapshotAndRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.write(corpus()...)
	before := w.contents("products")
	first := w.archive(0)
	w.runProgram(compactor.Program(), "snapshot").want(t, 0, first)
	w.write(`["eu"]`, `{"id":"numbers","k":"eu","second":1.0}`, `["eu"]`, `{"id":"twice","k":"eu","deleted":true}`, `["us"]`, `{"id":"new","k":"us"}`)
	second := w.archive(1)
	after := slices.DeleteFunc(w.contents("products"), func(d string) bool { return strings.Contains(d, `"deleted":true`) })

	w.run("plan", "--at", first).want(t, 0, "snapshot "+first+", 17 documents", "and the changes from it until then, in 2 files of 20 rows")
	w.run("plan", "--at", second).want(t, 0, "snapshot "+first)
	for point, want := range map[string][]string{first: before, second: after} {
		to := "copy-" + point
		w.run("run", "--at", point, "--to", "shop."+to).want(t, 0, fmt.Sprintf("%d documents", len(want)))
		sameContents(t, w.contents(to), want)
		w.run("verify", "--at", point, "--to", "shop."+to).want(t, 0)
	}
	w.run("get", "--at", first, "--partition-key", `["eu"]`, "--id", "numbers").want(t, 0, "9007199254740993123")
	w.run("get", "--at", second, "--partition-key", `["eu"]`, "--id", "numbers").want(t, 0, `"second":1.0`)
	w.run("get", "--at", second, "--partition-key", `["eu"]`, "--id", "twice").want(t, 4)

	// Under another rule the snapshot is none of this container's: the rows alone count.
	w.replaceConfig("value: true", "value: false")
	w.run("plan", "--at", second).want(t, 0, "rows alone", "deletes: soft (/deleted = false)")
	w.run("get", "--at", second, "--partition-key", `["eu"]`, "--id", "twice").want(t, 0, `{"id":"twice","k":"eu","deleted":true}`)
}

// A snapshot that lacks a row which its marks promised is left aside, with a warning, wherever that turns up.
func TestSnapshotThatLacksARow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop())
	w.write(`["a"]`, `{"id":"1","k":"a"}`, `["a"]`, `{"id":"2","k":"a"}`, `["b"]`, `{"id":"3","k":"b"}`)
	late := w.lastRow(`["a"]`, "1")
	w.archive(0)
	w.runProgram(compactor.Program(), "snapshot").want(t, 0)
	late.row.Document = []byte(strings.Replace(string(late.row.Document), `"k":"a"`, `"k":"a","late":1.0`, 1))
	late.row.Order.LSN++ // at or below the cut, for another document was written after it
	late.row.ETag = []byte("late")
	w.record(w.container.Name(), late.row, late.reader)
	w.write(`["c"]`, `{"id":"4","k":"c"}`)
	point := w.archive(1)

	w.run("run", "--at", point, "--to", "shop.copy").want(t, 0, "snapshot is not used", "4 documents")
	if got := w.contents("copy"); !slices.Contains(got, `{"id":"1","k":"a","late":1.0}`) {
		t.Errorf("got %q, want the late version", got)
	}
	w.run("verify", "--at", point, "--to", "shop.copy").want(t, 0, "snapshot is not used")
	w.run("get", "--at", point, "--partition-key", `["a"]`, "--id", "1").want(t, 0, `"late":1.0`)
}

type placed struct {
	row    archive.Row
	reader *reader
}

// lastRow reads the ranges and returns a copy of a document's row.
func (w *world) lastRow(key, id string) placed {
	w.t.Helper()
	for _, r := range w.readers {
		n := len(w.rows[w.container.Name()])
		w.drain(r)
		for _, row := range w.rows[w.container.Name()][n:] {
			if string(row.PartitionKey) == key && string(row.ID) == id && row.Op == schemas.OpUpserted {
				return placed{row, r}
			}
		}
	}
	w.t.Fatalf("got no row of %s %q", key, id)
	return placed{}
}
