package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
)

func TestRightWorldHasNoFinding(t *testing.T) {
	w := newWorld(t)
	root, ledger := w.write(t)
	if got := w.judge(t, root, ledger); got.Total() != 0 {
		t.Errorf("got findings in a world that is right:\n%s", got)
	}
}

// TestDefectsAreFound plants one defect at a time; the check that judges it must find it.
func TestDefectsAreFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		kind  string // of a finding that must be there
		plant func(w *world)
	}{
		{"a row is lost", "offsets", func(w *world) { w.drop(w.find("b", 1)) }},
		{"a row is lost, so its commit is not whole", "commits", func(w *world) { w.drop(w.find("b", 1)) }},
		{"a row stands twice", "offsets", func(w *world) { c := w.commits[0]; c.records = append(c.records, w.find("a", 1)) }},
		{"the topic goes on", "offsets", func(w *world) { w.ends[1]++ }},
		{"a partition nobody knows", "offsets", func(w *world) { w.find("a", 1).TopicPartition = 9 }},
		{"a foreign topic's row", "offsets", func(w *world) { w.find("a", 1).Topic = "x" }},
		{"a mark ahead of the topic", "offsets", func(w *world) { w.at(low, 10, 4).Offsets["1"] = 99 }},
		{"txn ahead of its rows", "commits", func(w *world) { w.commits[1].txns[1]++ }},
		{"txn of a partition without rows", "commits", func(w *world) { w.commits[1].txns[7] = 5 }},
		{"rows without a txn", "commits", func(w *world) { delete(w.commits[0].txns, 1) }},
		{"commits in the wrong order", "commits", func(w *world) { w.commits[0], w.commits[1] = w.commits[1], w.commits[0] }},
		{"txn goes back", "delta", func(w *world) { w.commits[2].txns[1] = 0 }},
		{"statistics count wrongly", "files", func(w *world) { w.commits[0].rowsOff = 1 }},
		{"a file is not sorted", "files", func(w *world) { w.commits[0].unsorted = true }},

		{"a document's byte", "rows", func(w *world) { edit(w.find("a", 1), func(s string) string { return `{ ` + s[1:] }) }},
		{"a number's zero", "rows", func(w *world) {
			edit(w.find("a", 1), func(s string) string { return replace(s, "1.0", "1") })
		}},
		{"an epk", "rows", func(w *world) { w.find("a", 1).EPK = "00" }},
		{"a time", "rows", func(w *world) { w.find("a", 1).TS++ }},
		{"a key", "rows", func(w *world) { w.find("a", 1).PartitionKey = `[ "k0" ]` }},
		{"an lsn nobody wrote", "rows", func(w *world) { w.find("a", 1).LSN = 3 }},
		{"another incarnation", "rows", func(w *world) { w.find("a", 1).Incarnation = "R2" }},
		{"the wrong operation", "rows", func(w *world) { w.find("a", 1).Op = "deleted" }},
		{"an ordinal", "rows", func(w *world) { w.find("a", 1).Ordinal = 1 }},
		{"copies with other rids", "copies", func(w *world) { w.find("c", 3).RID = "other" }},
		{"copies on other partitions", "copies", func(w *world) { w.find("c", 3).TopicPartition = 0 }},
		{"two changes of one order", "contradictions", func(w *world) { w.find("c", 4).Generation = 10 }},
		{"a quarantined row", "control", func(w *world) {
			for _, r := range w.records {
				if r.mark != nil {
					r.Op = "quarantined"
					return
				}
			}
		}},

		{"a mark before its rows", "marks", func(w *world) { w.at(low, 10, 4).Offsets["1"]-- }},
		{"a mark without offsets", "marks", func(w *world) { w.at(low, 10, 3).Offsets = nil }},
		{"a mark ahead of what was read", "marks", func(w *world) { w.at(low, 10, 3).LSN = 4; w.at(low, 10, 4).Newest = 4 }},
		{"drained below newest", "marks", func(w *world) { w.at(low, 10, 3).Newest = 4 }},
		{"complete_to beyond the cut", "marks", func(w *world) { w.at(low, 10, 3).CompleteTo = clock(3) }},
		{"complete_to beyond the failover", "marks", func(w *world) { w.at(high, 10, 3).CompleteTo = clock(6.5) }},
		{"latest before a change in it", "marks", func(w *world) { w.at(low, 10, 4).Latest = clock(2.9) }},
		{"a rebase that left a document out", "marks", func(w *world) { w.drop(w.find("c", 4)) }},
		{"a rebase that skipped what a failover reused", "marks", func(w *world) { w.find("c", 2).Generation = 20; w.find("c", 4).Generation = 10 }},
		{"an undone change in the new generation", "marks", func(w *world) { w.find("c", 2).Generation = 20 }},
		{"a failover that nobody noticed", "marks", func(w *world) {
			for _, id := range []int{3, 4} {
				w.find("c", id).Generation = 10
			}
			w.find("d", 1).Generation = 10
			w.at(high, 20, 4).Generation = 10
		}},
		{"a generation without a mark", "marks", func(w *world) { w.find("a", 1).Generation = 11 }},
		{"a mark of an unknown incarnation", "marks", func(w *world) { w.at(low, 10, 3).Incarnation = "R2" }},

		{"a name of another vector", "points", func(w *world) { w.point.Name = w.point.Name[:21] + "00000000" }},
		{"cuts that leave a hole", "points", func(w *world) { w.point.Cuts = w.point.Cuts[:1] }},
		{"cuts that overlap", "points", func(w *world) { w.point.Cuts = append(w.point.Cuts, w.point.Cuts[1]) }},
		{"a cut without a mark", "points", func(w *world) { w.point.Cuts[0].LSN = 2 }},
		{"a cut at a mark that is not drained", "points", func(w *world) { w.at(low, 10, 4).Drained = false }},
		{"a cut at a mark without basis", "points", func(w *world) { w.at(low, 10, 4).Basis = "none" }},
		{"a point's time", "points", func(w *world) { w.point.Latest = clock(8.8) }},
		{"a point that promises too much", "points", func(w *world) { w.point.CompleteTo = clock(7.3) }},
		{"a point without its rows", "points", func(w *world) { w.point.Offsets["1"]-- }},
		{"a point ahead of the table", "points", func(w *world) { w.point.Offsets["1"] += 9 }},
		{"a cut of a generation that is not there", "points", func(w *world) { w.point.Cuts[1].Generation = 15 }},

		{"a document not restored", "restored", func(w *world) { delete(w.got, w.doc("a")) }},
		{"a document too many", "restored", func(w *world) { w.got[Doc{`["k"]`, "z"}] = "" }},
		{"an older version restored", "restored", func(w *world) { w.got[w.doc("a")] = w.ledger[0].SHA256 }},
		{"a version that a failover undid", "restored", func(w *world) { w.got[w.doc("c")] = w.ledger[4].SHA256 }},
		{"a version after the time asked for", "restored", func(w *world) { w.limit = clock(6.9) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.plant(w)
			root, ledger := w.write(t)
			if got := w.judge(t, root, ledger); got.Count(test.kind) == 0 {
				t.Errorf("got no finding of kind %s, want one; all findings:\n%s", test.kind, got)
			}
		})
	}
}

func (w *world) doc(id string) Doc {
	for doc := range w.got {
		if doc.ID == id {
			return doc
		}
	}
	panic("no such document")
}

func edit(r *record, by func(string) string) {
	text := by(*r.Document)
	r.Document = &text
}

func replace(s, old, new string) string {
	for i := 0; i+len(old) <= len(s); i++ {
		if s[i:i+len(old)] == old {
			return s[:i] + new + s[i+len(old):]
		}
	}
	panic(fmt.Sprintf("%q is not in %q", old, s))
}

// TestLogDefectsAreFound plants defects in what was written.
func TestLogDefectsAreFound(t *testing.T) {
	checkpoint := func(t *testing.T, log string, rows []checkpointRow) {
		t.Helper()
		if err := parquet.WriteFile(filepath.Join(log, "00000000000000000003.checkpoint.parquet"), rows); err != nil {
			t.Fatal(err)
		}
	}
	right := func(t *testing.T, log string) []checkpointRow {
		table, err := ReadTable(filepath.Dir(log), &Report{})
		if err != nil {
			t.Fatal(err)
		}
		var rows []checkpointRow
		for path, add := range table.Active {
			row := checkpointRow{}
			row.Add = &struct {
				Path string `parquet:"path,optional"`
				Size int64  `parquet:"size,optional"`
			}{escape(path), add.Size}
			rows = append(rows, row)
		}
		for app, version := range table.Txns {
			row := checkpointRow{}
			row.Txn = &struct {
				AppID   string `parquet:"appId,optional"`
				Version int64  `parquet:"version,optional"`
			}{app, version}
			rows = append(rows, row)
		}
		return rows
	}
	for _, test := range []struct {
		name  string
		plant func(t *testing.T, log string)
		want  int
	}{
		{"a right checkpoint", func(t *testing.T, log string) { checkpoint(t, log, right(t, log)) }, 0},
		{"a checkpoint without a file", func(t *testing.T, log string) { checkpoint(t, log, right(t, log)[1:]) }, 1},
		{"a checkpoint without a txn", func(t *testing.T, log string) {
			rows := right(t, log)
			checkpoint(t, log, rows[:len(rows)-1])
		}, 1},
		{"a file is gone", func(t *testing.T, log string) {
			if err := os.Remove(filepath.Join(filepath.Dir(log), "container=shop.a", "f 0.parquet")); err != nil {
				t.Fatal(err)
			}
		}, 1},
		{"a newer protocol", func(t *testing.T, log string) {
			put(t, filepath.Join(log, "00000000000000000004.json"), []byte(`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["x"]}}`))
		}, 2},
		{"removed and not there", func(t *testing.T, log string) {
			put(t, filepath.Join(log, "00000000000000000004.json"), []byte(`{"remove":{"path":"x"}}`))
		}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			root, _ := w.write(t)
			log := filepath.Join(root, worldTopic, "changes", "_delta_log")
			test.plant(t, log)
			report := &Report{}
			table, err := ReadTable(filepath.Dir(log), report)
			if err != nil {
				t.Fatal(err)
			}
			table.CheckFiles(report)
			if got := report.Count("delta"); got != test.want {
				t.Errorf("got %d findings want %d:\n%s", got, test.want, report)
			}
		})
	}
}

func TestHoleInTheLogIsAnError(t *testing.T) {
	w := newWorld(t)
	root, _ := w.write(t)
	dir := filepath.Join(root, worldTopic, "changes")
	if err := os.Remove(filepath.Join(dir, "_delta_log", "00000000000000000001.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTable(dir, &Report{}); err == nil {
		t.Error("got no error for a log without version 1")
	}
}

func escape(path string) string { return replace(path, " ", "%20") }
