package archiver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// haltByGap writes the halt that an archiver writes that finds a gap.
func (w *world) haltByGap(partition int32, evidence string) {
	w.t.Helper()
	halt := &schemas.Halt{Unit: "topic partition", Since: time.Now(), Reason: "records are gone that were never archived", Evidence: evidence}
	if err := archive.WriteHalt(w.t.Context(), w.store, topicName, partition, halt); err != nil {
		w.t.Fatal(err)
	}
}

// refused expects an answer to be refused with the exit code and the words, and the halt to stay.
func (w *world) refused(partition int32, answer archiver.Answer, code int, words string) {
	w.t.Helper()
	before := w.changes().Snapshot.Version
	_, err := w.clear(partition, answer)
	if exitCode(err) != code || !strings.Contains(err.Error(), words) {
		w.t.Errorf("answer %d: got %v want exit code %d and %q", answer, err, code, words)
	}
	if !w.isHalted(partition) {
		w.t.Errorf("answer %d: got no halt any more want it to stay", answer)
	}
	if after := w.changes().Snapshot.Version; after != before {
		w.t.Errorf("answer %d: got version %d want %d, as before", answer, after, before)
	}
}

// granted expects the halt to be removed, and nothing to be given up.
func (w *world) granted(partition int32, answer archiver.Answer) {
	w.t.Helper()
	cleared, err := w.clear(partition, answer)
	if err != nil || cleared.Halt == nil || cleared.Gap != nil {
		w.t.Fatalf("answer %d: got %+v, %v want the halt removed and nothing given up", answer, cleared, err)
	}
	if w.isHalted(partition) {
		w.t.Fatalf("answer %d: got the halt still there want it removed", answer)
	}
}

func (w *world) isHalted(partition int32) bool {
	w.t.Helper()
	halt, err := archive.ReadHalt(w.t.Context(), w.store, topicName, partition)
	if err != nil {
		w.t.Fatal(err)
	}
	return halt != nil
}

// sendAll sends so many changes to a partition.
func (w *world) sendAll(partition int32, n int) {
	w.t.Helper()
	for range n {
		w.send(w.change(partition, len(w.sent)))
	}
}

// untilHalted runs an archiver until it halts the partition by these offsets.
func (w *world) untilHalted(partition int32, evidence string) {
	w.t.Helper()
	r := w.run(w.store)
	if got := w.waitHalt(partition).Evidence; got != evidence {
		w.t.Fatalf("got evidence %s want %s", got, evidence)
	}
	if err := r.stop(); err != nil && exitCode(err) != 3 {
		w.t.Fatal(err)
	}
}

// TestClearAgainAfterACrashAndRetention: a clear died between its commit and the removal of the halt, and retention went on
// before it was called again.
func TestClearAgainAfterACrashAndRetention(t *testing.T) {
	for _, answer := range []archiver.Answer{archiver.Mended, archiver.AcceptGap} {
		w := newWorld(t)
		w.sendAll(0, 20)
		w.deleteRecords(0, 3)
		w.untilHalted(0, `{"from":0,"to":2}`)
		w.mustClear(0, schemas.Gap{From: 0, To: 2})
		w.haltByGap(0, `{"from":0,"to":2}`)
		w.deleteRecords(0, 5)
		w.granted(0, answer)
		w.untilHalted(0, `{"from":3,"to":4}`)
		w.mustClear(0, schemas.Gap{From: 3, To: 4})
		w.run(w.store)
		w.waitArchived()
		w.checkGap(0, schemas.Gap{From: 0, To: 2})
		w.checkGap(0, schemas.Gap{From: 3, To: 4})
		w.check()
	}
}

// TestRecordsBroughtBack: records that were missing are there again. They are not given up, and are archived once the halt
// is cleared; what is missing still is found anew.
func TestRecordsBroughtBack(t *testing.T) {
	for _, test := range []struct {
		name  string
		start int64 // of the log
		still string
	}{
		{"all", 0, ""},
		{"the later ones", 1, `{"from":0,"to":0}`},
		{"the last one", 2, `{"from":0,"to":1}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.sendAll(0, 20)
			if test.start > 0 {
				w.deleteRecords(0, test.start)
			}
			w.haltByGap(0, `{"from":0,"to":2}`)
			w.refused(0, archiver.AcceptGap, 2, fmt.Sprintf("records are there again, the first at %d; clear without --accept-gap", test.start))
			w.granted(0, archiver.Mended)
			gap := schemas.Gap{From: 0, To: test.start - 1}
			if test.still != "" {
				w.untilHalted(0, test.still)
				w.refused(0, archiver.Mended, 2, "bring them back, or give them up with --accept-gap")
				w.mustClear(0, gap)
			}
			w.run(w.store)
			w.waitArchived()
			if test.still != "" {
				w.checkGap(0, gap)
			}
			w.check()
		})
	}
}

// TestHoleStays: offsets that were compacted away lie within the log's bounds, and are missing all the same.
func TestHoleStays(t *testing.T) {
	w := newWorld(t)
	w.send(w.change(0, 1))
	w.lose() // offset 1; 2 is there
	w.untilHalted(0, `{"from":1,"to":1}`)
	w.refused(0, archiver.Mended, 2, "offsets 1 to 1 are missing")
	w.mustClear(0, schemas.Gap{From: 1, To: 1})
}

// TestTableMovedUnderTheHalt: an archiver that was paused commits rows from before the gap, or a halt tells of a gap that
// lies further on. Nothing is given up but what is missing.
func TestTableMovedUnderTheHalt(t *testing.T) {
	const missing = `{"from":2,"to":4}`
	begin := func(t *testing.T, halt string) *world {
		w := newWorld(t)
		w.sendAll(0, 2)
		w.archiveTo(1)
		w.sendAll(0, 8)
		w.deleteRecords(0, 5)
		w.haltByGap(0, halt)
		return w
	}
	t.Run("into the gap", func(t *testing.T) {
		w := begin(t, `{"from":0,"to":4}`)
		w.mustClear(0, schemas.Gap{From: 2, To: 4})
		w.run(w.store)
		w.waitArchived()
		w.checkGap(0, schemas.Gap{From: 2, To: 4})
		w.check()
	})
	t.Run("into the gap, mended", func(t *testing.T) {
		w := begin(t, `{"from":0,"to":4}`)
		w.granted(0, archiver.Mended)
		w.untilHalted(0, missing)
	})
	t.Run("before the gap", func(t *testing.T) {
		w := begin(t, `{"from":4,"to":4}`)
		w.refused(0, archiver.AcceptGap, 2, "clear it without --accept-gap")
		w.granted(0, archiver.Mended)
		w.untilHalted(0, missing)
	})
}

// TestGapOfAnotherTopic: while a partition is halted by a gap, its topic is made anew. Nothing of the other one is given up,
// which would take it for the topic that was archived.
func TestGapOfAnotherTopic(t *testing.T) {
	for _, test := range []struct {
		name  string
		anew  func(w *world)
		code  int
		words string
	}{
		{"the missing offsets are there", func(w *world) { w.sendOthers(partitions, 20) }, 3, "holds another record than was archived"},
		{"they aged away again", func(w *world) { w.sendOthers(partitions, 20); w.deleteRecords(0, 3) }, 3, "holds another record than was archived"},
		{"the archived one aged away too", func(w *world) { w.sendOthers(partitions, 20); w.deleteRecords(1, 5) }, 2, "records are there again"},
		{"it ends before the archive does", func(w *world) { w.sendOthers(1, 20) }, 3, "the topic ends before the archive does"},
		{"it ends before the gap does", func(w *world) { w.sendOthers(partitions, 2); w.deleteRecords(1, 2) }, 3, "partition 0: offsets up to 2 were seen, the topic ends at 2"},
		{"it has fewer partitions", func(w *world) { w.startKafkaWith(1); w.sendOthers(1, 20) }, 3, "fewer partitions"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.sendAll(1, 1)
			r := w.run(w.store)
			w.waitArchived()
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			w.sendAll(0, 20)
			w.deleteRecords(0, 3)
			w.untilHalted(0, `{"from":0,"to":2}`)
			w.startKafka() // another topic under the name
			test.anew(w)
			w.refused(0, archiver.AcceptGap, test.code, test.words)
		})
	}
}

// TestGapOfAnotherTopicWithoutWitness: nothing was archived that could tell the topics apart.
func TestGapOfAnotherTopicWithoutWitness(t *testing.T) {
	w := newWorld(t)
	w.sendAll(0, 20)
	w.deleteRecords(0, 3)
	w.untilHalted(0, `{"from":0,"to":2}`)
	w.startKafka()
	w.sendOthers(1, 20)
	_, err := w.clear(0, archiver.AcceptGap)
	if exitCode(err) != 2 || !strings.Contains(err.Error(), "records are there again, the first at 0") {
		t.Errorf("got %v want exit code 2: offsets 0 to 2 are there", err)
	}
	if !w.isHalted(0) {
		t.Error("got no halt any more want it to stay")
	}
}

// TestGapOfAnotherArchive: topic.json is not the one that the table was begun under.
func TestGapOfAnotherArchive(t *testing.T) {
	w := newWorld(t)
	w.sendAll(0, 2)
	w.archiveTo(1)
	w.sendAll(0, 8)
	w.deleteRecords(0, 5)
	w.untilHalted(0, `{"from":2,"to":4}`)
	w.replaceIdentity()
	if _, err := w.clear(0, archiver.AcceptGap); exitCode(err) != 3 || !strings.Contains(err.Error(), "uuid") {
		t.Errorf("got %v want exit code 3 and the uuids", err)
	}
}
