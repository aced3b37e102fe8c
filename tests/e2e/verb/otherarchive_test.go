package verb_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/topicid"
)

// TestTopicOfAnotherArchive: with an archive.root that is not the topic's, whether by mistake or for a second installation on
// the same brokers, nothing is published, taken or named. One record would halt the archive whose topic it is, for good.
func TestTopicOfAnotherArchive(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	w.write(20)
	stopProducer, stopArchiver := w.start("producer"), w.start("archiver")
	archived := func() (missing string) {
		var partitions archiver.Status
		w.status("archiver", &partitions)
		for _, p := range partitions.Topics[0].Partitions {
			if p.State != "archived" || offset(p.Archived) < 0 {
				return p.State
			}
		}
		return ""
	}
	w.eventually("archived records in all partitions", archived)
	stopProducer()
	stopArchiver()
	before, err := w.admin.ListEndOffsets(t.Context(), topic)
	w.must(err)

	own := w.archive
	w.archive = filepath.Join(w.dir, "other")
	w.must(os.Mkdir(w.archive, 0o755))
	w.settings["archive.root"] = w.archive
	const want = "topic " + topic + " holds records, or did, and archive.root knows nothing of it (it has no " + topic + "/topic.json)"
	for _, program := range []string{"archiver", "producer"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience) // one that is not refused would run on
		exit, _, stderr := w.runWith(ctx, w.config(), program, "run")
		cancel()
		if exit != 2 || !strings.Contains(stderr, want) {
			t.Fatalf("%s: got exit %d\n%swant 2: %s", program, exit, stderr, want)
		}
		exit, report := w.check(program)
		stops := slices.DeleteFunc(report.Findings, func(f check.Finding) bool { return f.Severity != check.Stop })
		if exit != 2 || len(stops) != 1 || stops[0].Text != want || !strings.HasPrefix(stops[0].Remedy, "correct archive.root") {
			t.Errorf("%s check: got exit %d, stops at %+v want 2, and once %s", program, exit, stops, want)
		}
	}
	if left := w.files(); len(left) != 0 {
		t.Errorf("got files %v want none", left)
	}
	after, err := w.admin.ListEndOffsets(t.Context(), topic)
	w.must(err)
	for p := range int32(2) {
		was, _ := before.Lookup(topic, p)
		if is, _ := after.Lookup(topic, p); is.Offset != was.Offset {
			t.Errorf("got partition %d to end at %d want %d as before", p, is.Offset, was.Offset)
		}
	}

	w.archive, w.settings["archive.root"] = own, own
	w.write(30)
	w.start("producer")
	w.start("archiver")
	w.eventually("records archived since", func() string {
		var partitions archiver.Status
		w.status("archiver", &partitions)
		for _, p := range partitions.Topics[0].Partitions {
			if was, _ := before.Lookup(topic, p.Partition); offset(p.Archived) < was.Offset {
				return p.State
			}
		}
		return ""
	})
}

// TestTopicThatIsOnlyNamed: a producer has begun, and no archiver has committed yet.
func TestTopicThatIsOnlyNamed(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	store, err := dir.New(w.archive, dir.Options{})
	w.must(err)
	_, err = topicid.Identify(t.Context(), store, topic)
	w.must(err)
	if exit, stdout, _ := w.run("archiver", "check"); exit != 0 || !strings.Contains(stdout, "table "+topic+"/changes/: nothing is archived yet\n") {
		t.Errorf("got exit %d\n%swant 0, and that nothing is archived", exit, stdout)
	}
}
