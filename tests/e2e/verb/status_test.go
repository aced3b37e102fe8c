package verb_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/compactor"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/producer"
	"github.com/cosmos-almanac/almanac/restorer"
	"github.com/cosmos-almanac/almanac/schemas"
)

// TestStatusBeforeAnythingRan: nothing is an answer too.
func TestStatusBeforeAnythingRan(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	for program, want := range map[string]string{
		"producer": "shop.products: no producer has begun it\n", "archiver": "cosmos.shop.products: nothing is archived yet\n",
		"compactor": "shop.products: nothing is archived yet\n", "restorer": "nothing is archived yet\n",
	} {
		exit, stdout, stderr := w.run(program, "status")
		if exit != 0 || !strings.HasSuffix(stdout, want) || stderr != "" {
			t.Errorf("%s: got exit %d\n%s%swant %s", program, exit, stdout, stderr, want)
		}
		if exit, stdout, _ := w.run(program, "status", "-o", "json"); exit != 0 || !json.Valid([]byte(stdout)) {
			t.Errorf("%s: got exit %d\n%swant JSON", program, exit, stdout)
		}
	}
	if left := w.files(); len(left) != 0 {
		t.Errorf("got files %v want none", left)
	}
}

// TestStatusOfWork follows documents from the account to a snapshot by status alone, over TLS and SASL, on a topic that the
// programs make themselves.
func TestStatusOfWork(t *testing.T) {
	w := newWorld(t)
	w.settings["kafka.create_topics"], w.settings["kafka.topic_partitions"], w.settings["kafka.compression"] = "true", "3", "zstd"
	w.write(40)
	stopProducer, stopArchiver := w.start("producer"), w.start("archiver")

	var ranges producer.Status
	w.eventually("drained ranges", func() string {
		w.status("producer", &ranges)
		c := ranges.Containers[0]
		if len(c.Ranges) != products().Ranges {
			return fmt.Sprintf("%d ranges", len(c.Ranges))
		}
		for _, r := range c.Ranges {
			if r.State != "drained" || r.Basis != schemas.BasisComplete {
				return fmt.Sprintf("%s is %s, basis %s", r.Range, r.State, r.Basis)
			}
		}
		return ""
	})
	for _, r := range ranges.Containers[0].Ranges {
		if r.Generation == 0 || r.Position < r.Newest || r.WrittenBy == "" || time.Since(r.WrittenAt) > time.Minute {
			t.Errorf("got %+v want where it stands, and who wrote that", r)
		}
	}
	var points restorer.Status
	w.eventually("a restore point", func() string {
		w.status("restorer", &points)
		if points.Containers[0].NewestExact == "" {
			return strings.Join(points.Containers[0].Pending, "; ")
		}
		return ""
	})
	if p := points.Containers[0]; p.Points == 0 || p.First == nil || p.Newest == nil || p.RestorableUntil == nil || p.RestorableUntil.After(time.Now()) {
		t.Errorf("got %+v want points until now", p)
	}
	stopProducer()
	var partitions archiver.Status
	w.eventually("archived partitions", func() string {
		w.status("archiver", &partitions)
		for _, p := range partitions.Topics[0].Partitions {
			if p.State != "archived" || *p.Lag != 0 {
				return fmt.Sprintf("partition %d is %s", p.Partition, p.State)
			}
		}
		return ""
	})
	stopArchiver()
	if got := partitions.Topics[0]; len(got.Partitions) != 3 || got.UUID == "" || got.Version < 0 {
		t.Errorf("got %+v want three partitions and a table", got)
	}
	ends, err := w.admin.ListEndOffsets(t.Context(), topic)
	w.must(err)
	for _, p := range partitions.Topics[0].Partitions {
		end, _ := ends.Lookup(topic, p.Partition)
		if archived := offset(p.Archived); archived+1 != end.Offset || *p.End != end.Offset {
			t.Errorf("got partition %d archived to %d, end %d want end %d", p.Partition, archived, *p.End, end.Offset)
		}
	}
	if exit, _, stderr := w.run("compactor", "snapshot"); exit != 0 {
		t.Fatalf("compactor snapshot: exit %d\n%s", exit, stderr)
	}
	var snapshots compactor.Status
	w.status("compactor", &snapshots)
	w.status("restorer", &points)
	if s := snapshots.Containers[0]; s.Snapshots != 1 || s.Newest == nil || s.Newest.Rows != 40 || s.Newest.Point != points.Containers[0].NewestExact || s.NewestExact != s.Newest.Point {
		t.Errorf("got %+v, %+v want the snapshot of the newest point %s", s, s.Newest, points.Containers[0].NewestExact)
	}
	for program, want := range map[string][]string{
		"producer": {"CONTAINER", "drained", "complete"}, "archiver": {"TOPIC", topic, "archived"},
		"compactor": {"NEWEST SNAPSHOT", "40"}, "restorer": {"RESTORABLE UNTIL", points.Containers[0].NewestExact},
	} {
		exit, stdout, _ := w.run(program, "status")
		for _, word := range want {
			if exit != 0 || !strings.Contains(stdout, word) {
				t.Errorf("%s: got exit %d\n%swant %s in it", program, exit, stdout, word)
			}
		}
		if exit, report := w.check(program); exit != 0 || report.Severity != check.OK {
			t.Errorf("%s check: got exit %d, %+v want all well", program, exit, report)
		}
	}
}

func offset(o *int64) int64 {
	if o == nil {
		return -1
	}
	return *o
}

// TestStatusOfTrouble: halts, gaps and brokers that are away, each with what to do.
func TestStatusOfTrouble(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	w.write(10)
	stopProducer := w.start("producer")
	stopArchiver := w.start("archiver")
	var points restorer.Status
	w.eventually("a restore point", func() string {
		w.status("restorer", &points)
		if points.Containers[0].NewestExact == "" {
			return "none"
		}
		return ""
	})
	stopProducer()
	var partitions archiver.Status
	w.eventually("archived partitions", func() string {
		w.status("archiver", &partitions)
		if slices.ContainsFunc(partitions.Topics[0].Partitions, func(p archiver.PartitionStatus) bool { return p.State != "archived" }) {
			return "some are behind"
		}
		return ""
	})
	stopArchiver()

	store, err := dir.New(w.archive, dir.Options{})
	w.must(err)
	halt := func(unit, evidence string) *schemas.Halt {
		return &schemas.Halt{Unit: unit, Reason: "something is wrong", Evidence: evidence, Since: time.Now().UTC()}
	}
	w.must(archive.WriteHalt(t.Context(), store, topic, 0, halt("topic partition "+topic+"/0", `{"from":3,"to":5}`)))
	var snapshots compactor.Status
	w.status("compactor", &snapshots)
	w.must(archive.WriteFoldHalt(t.Context(), store, topic, "shop.products", snapshots.Containers[0].Incarnation, halt("container shop.products", "two changes")))
	haltRange(t, store, halt("range shop.products", "x"))

	for program, want := range map[string][]string{
		"producer": {"halted", "something is wrong (x)", "almanac-producer clear --container shop.products --range "},
		"archiver": {
			"halted", "something is wrong", "once they are back: almanac-archiver clear --topic cosmos.shop.products --partition 0\n",
			"to give them up: almanac-archiver clear --topic cosmos.shop.products --partition 0 --accept-gap\n",
		},
		"compactor": {"something is wrong (two changes)", "almanac-compactor clear --container shop.products"},
	} {
		exit, stdout, _ := w.run(program, "status")
		for _, word := range want {
			if exit != 0 || !strings.Contains(stdout, word) {
				t.Errorf("%s: got exit %d\n%swant %s in it", program, exit, stdout, word)
			}
		}
	}
	w.status("archiver", &partitions)
	if p := partitions.Topics[0].Partitions[0]; p.State != "halted" || p.Halt == nil || p.Halt.Evidence != `{"from":3,"to":5}` {
		t.Errorf("got %+v want the halt", p)
	}

	w.finds("archiver", "topic partition "+topic+"/0 is halted since", "once they are back: almanac-archiver clear --topic "+topic+" --partition 0\n")
	w.finds("producer", "range shop.products is halted since", "almanac-producer clear --container shop.products --range ")
	w.finds("compactor", "container shop.products is halted since", "almanac-compactor clear --container shop.products")
	w.must(archive.RemoveHalt(t.Context(), store, topic, 0))
	if exit, report := w.check("archiver"); exit != 0 {
		t.Errorf("got exit %d, %+v want all well once the halt is cleared", exit, report)
	}
	w.must(archive.WriteTopicHalt(t.Context(), store, topic, halt("topic "+topic, "x")))

	w.kafka.Close()
	w.finds("archiver", "topic "+topic+" is halted since", "almanac-archiver clear --topic "+topic) // halts are read without brokers
	w.must(archive.RemoveTopicHalt(t.Context(), store, topic))
	exit, stdout, stderr := w.run("archiver", "status")
	if exit != 1 || !strings.Contains(stdout, "unknown") || !strings.Contains(stderr, "do not answer") {
		t.Errorf("got exit %d\n%s%swant what the archive says, and that the brokers do not answer", exit, stdout, stderr)
	}
	for _, program := range []string{"producer", "compactor", "restorer"} {
		if exit, _, stderr := w.run(program, "status"); exit != 0 {
			t.Errorf("%s: got exit %d %s want 0: it needs no broker", program, exit, stderr)
		}
	}
}

// TestStatusOfTopicsThatChanged: a log that begins behind the archive's end, and one that ends before it.
func TestStatusOfTopicsThatChanged(t *testing.T) {
	w := newWorld(t)
	w.createTopic(3, nil)
	w.write(20)
	stopProducer, stopArchiver := w.start("producer"), w.start("archiver")
	var partitions archiver.Status
	w.eventually("archived records in all partitions", func() string {
		w.status("archiver", &partitions)
		for _, p := range partitions.Topics[0].Partitions {
			if offset(p.Archived) < 0 {
				return fmt.Sprintf("partition %d holds none", p.Partition)
			}
		}
		return ""
	})
	stopArchiver()
	stopProducer()
	w.write(20)
	stopProducer = w.start("producer")
	w.eventually("more records", func() string {
		w.status("archiver", &partitions)
		for _, p := range partitions.Topics[0].Partitions {
			if p.State != "behind" || *p.Lag < 3 {
				return fmt.Sprintf("partition %d is %s", p.Partition, p.State)
			}
		}
		return ""
	})
	w.settings["archiver.control_commit_interval"] = "1h"
	w.status("archiver", &partitions)
	for _, p := range partitions.Topics[0].Partitions {
		if p.State != "pending" || *p.Lag < 3 {
			t.Errorf("got %+v want it pending: no commit is due yet", p)
		}
	}
	stopProducer()
	next := offset(partitions.Topics[0].Partitions[1].Archived) + 1
	w.must(w.kafka.DeleteRecords(topic, 1, next+2))
	w.status("archiver", &partitions)
	if p := partitions.Topics[0].Partitions[1]; p.State != "gap" || *p.Start != next+2 {
		t.Errorf("got %+v want a gap up to %d", p, next+2)
	}
	w.finds("archiver", fmt.Sprintf("records are gone that were never archived; the archiver halts there: the topic begins at offset %d", next+2), "--partition 1 --accept-gap")
	w.must(w.kafka.DeleteTopic(topic))
	w.createTopic(3, nil)
	exit, stdout, _ := w.run("archiver", "status")
	if exit != 0 || !strings.Contains(stdout, "shorter") || !strings.Contains(stdout, "it was made anew, or lost its end") {
		t.Errorf("got exit %d\n%swant that the topic is shorter than its archive", exit, stdout)
	}
	w.finds("archiver", "the topic ends before the archive does: it was made anew, or lost its end", "archive it under another topic name")
	w.publishStrangers(3, 100)
	exit, stdout, _ = w.run("archiver", "status")
	if exit != 0 || strings.Contains(stdout, "behind") || !strings.Contains(stdout, "it was made anew, or lost its end, and has grown since") {
		t.Errorf("got exit %d\n%swant that the topic is another one, although it is longer than its archive", exit, stdout)
	}
	w.finds("archiver", "the topic holds another record than was archived from the same offset", "archive it under another topic name")
	w.must(w.kafka.DeleteTopic(topic))
	w.must(w.kafka.CreateTopic(topic, 1, nil))
	w.publishStrangers(1, 100)
	w.finds("archiver", "the topic has fewer partitions than it had: it was made anew", "archive it under another topic name")
	root, err := dir.New(w.archive, dir.Options{})
	w.must(err)
	w.must(archive.WriteTopicHalt(t.Context(), root, topic, &schemas.Halt{Unit: "topic " + topic, Reason: "it is another one", Since: time.Now()}))
	exit, stdout, _ = w.run("archiver", "status")
	if clear := "almanac-archiver clear --topic " + topic + "\n"; exit != 0 || !strings.Contains(stdout, "it is another one") || !strings.Contains(stdout, clear) {
		t.Errorf("got exit %d\n%swant the halt of the topic, and what clears it", exit, stdout)
	}
	for _, want := range []string{"cleared topic " + topic + ": it is another one", "nothing is halted: topic " + topic} {
		if exit, stdout, stderr := w.run("archiver", "clear", "--topic", topic); exit != 0 || !strings.HasPrefix(stdout, want) {
			t.Errorf("got exit %d\n%s%swant %s", exit, stdout, stderr, want)
		}
	}
}

// finds runs a program's check, which must stop at a finding of this text and remedy, and say it once.
func (w *world) finds(program, text, remedy string) {
	w.t.Helper()
	exit, report := w.check(program)
	found := 0
	for _, f := range report.Findings {
		if f.Severity == check.Stop && strings.Contains(f.Text, text) && strings.Contains(f.Remedy, remedy) {
			found++
		}
	}
	if exit != 2 || found != 1 {
		w.t.Errorf("got exit %d, %+v want exit 2, and once %q with %q", exit, report.Findings, text, remedy)
	}
}

// publishStrangers publishes so many records to each partition that are none of Almanac's.
func (w *world) publishStrangers(partitions int32, each int) {
	w.t.Helper()
	for range each {
		for partition := range partitions {
			w.client.Produce(w.t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: []byte("stranger")}, nil)
		}
	}
	w.must(w.client.Flush(w.t.Context()))
}

// haltRange writes a halt into the first checkpoint.
func haltRange(t *testing.T, store blob.Store, halt *schemas.Halt) {
	t.Helper()
	var name string
	err := store.List(t.Context(), schemas.CheckpointPrefix(topic, "shop.products"), func(info blob.Info) error {
		name = info.Name
		return nil
	})
	if err != nil || name == "" {
		t.Fatalf("got checkpoint %q, %v want one", name, err)
	}
	body, _, err := blob.ReadAll(t.Context(), store, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := schemas.DecodeCheckpoint(body)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint.Halt = halt
	if body, err = checkpoint.Encode(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), name, strings.NewReader(string(body)), blob.Always()); err != nil {
		t.Fatal(err)
	}
}
