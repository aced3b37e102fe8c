package real_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/restorer"
)

// TestTopics is what can become of a topic, on a real broker, as `status` of the programs tells it.
func TestTopics(t *testing.T) {
	onRequest(t)
	folder := filepath.Join(components.folder, t.Name())
	kafka := filepath.Join(folder, "kafka")
	t.Cleanup(func() {
		if err := script("kafka", "stop", kafka); err != nil {
			t.Error(err)
		}
	})
	if err := script("kafka", "start", kafka); err != nil {
		t.Fatal(err)
	}
	brokers, err := os.ReadFile(filepath.Join(kafka, "brokers"))
	if err != nil {
		t.Fatal(err)
	}
	for name, play := range map[string]func(s *scene){
		"partitions-added":   partitionsAdded,
		"made-again":         madeAgain,
		"made-again-longer":  madeAgainLonger,
		"made-again-running": madeAgainWhileRunning,
		"eaten":              eaten,
		"aged-away":          agedAway,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			play(newScene(t, filepath.Join(folder, name), name, strings.Split(strings.TrimSpace(string(brokers)), ",")))
		})
	}
}

// partitionsAdded: the new ones are archived from their first offset, and nothing is lost.
func partitionsAdded(s *scene) {
	const added = 2
	programs := []string{"producer-0", "producer-1", "archiver-0", "archiver-1"}
	s.spawn(programs...)
	s.write(40)
	s.restorable()
	if _, err := s.admin.CreatePartitions(s.ctx, added, s.shop.TopicName()); err != nil {
		s.t.Fatal(err)
	}
	s.until("records in every partition", func() (string, error) {
		s.write(5)
		filled := 0
		for _, p := range s.partitions() {
			if *p.End > 0 {
				filled++
			}
		}
		return missing(fmt.Sprint(filled), fmt.Sprint(scenePartitions+added)), s.stack.Failed()
	})
	s.archived(scenePartitions + added)
	point := s.restorable()
	s.ranges("drained")
	s.stop(programs...)
	s.archived(scenePartitions + added)
	s.complete(0)
	s.restore(point)
}

// madeAgain: the topic ends before the archive does.
func madeAgain(s *scene) {
	before := s.archiveSome()
	s.createAgain()
	s.write(20)
	s.inState("shorter")
	if said := s.says("archiver", "status"); !strings.Contains(said, "it was made anew, or lost its end; the archiver halts there") {
		s.t.Errorf("got status\n%s\nwant what happened", said)
	}
	s.start("archiver")
	s.halts("archiver")
	s.halted("the topic ends before the archive does")
	s.start("producer")
	s.halts("producer")
	s.ranges("halted")
	for _, p := range s.partitions() {
		if *p.End != 0 {
			s.t.Errorf("partition %d: got %d records published to the topic made anew want none", p.Partition, *p.End)
		}
	}
	s.standsStill(before)
}

// madeAgainLonger: by the time that the archiver starts, the topic has grown past what is archived.
func madeAgainLonger(s *scene) {
	before := s.archiveSome()
	records := s.read()
	s.createAgain()
	slices.Reverse(records)
	s.publish(append(records, records...))
	s.inState("other")
	if said := s.says("archiver", "status"); !strings.Contains(said, "it was made anew, or lost its end, and has grown since; the archiver halts there") {
		s.t.Errorf("got status\n%s\nwant what happened", said)
	}
	s.start("archiver")
	s.halts("archiver")
	s.halted("the topic holds another record than was archived from the same offset")
	s.complete(0)
	s.standsStill(before)
}

// madeAgainWhileRunning: the programs are at work when it happens.
func madeAgainWhileRunning(s *scene) {
	s.spawn("producer", "archiver")
	s.write(40)
	before := s.restorable()
	s.createAgain()
	s.write(20)
	s.halts("archiver")
	s.halted("it was made anew")
	s.halts("producer")
	s.ranges("halted")
	s.standsStill(before)
}

// eaten: retention removed records of one partition before they were archived. The others go on; the gap can be given up,
// and taints what comes after it.
func eaten(s *scene) {
	before := s.archiveSome()
	s.write(40)
	s.start("producer")
	s.must(s.stack.Failed())
	s.until("records that are not archived", func() (string, error) {
		for _, p := range s.partitions() {
			if *p.Lag < 5 {
				return text(p), s.stack.Failed()
			}
		}
		return "", nil
	})
	s.stop("producer")
	gone := s.partitions()[0]
	s.forget(gone)
	s.until("a gap, and records that wait for too long", func() (string, error) { return missing(s.states(), "gap behind"), nil })
	if said := s.says("archiver", "status"); !strings.Contains(said, fmt.Sprintf("records are gone that were never archived; the archiver halts there: the topic begins at offset %d", *gone.End)) {
		s.t.Errorf("got status\n%s\nwant the gap", said)
	}
	s.start("archiver")
	s.until("a halt, and the other partition archived", func() (string, error) { return missing(s.states(), "halted archived"), s.stack.Failed() })
	clear := []string{"clear", "--topic", s.shop.TopicName(), "--partition", "0"}
	if said := s.says("archiver", "status"); !strings.Contains(said, "almanac-archiver "+strings.Join(clear, " ")+" --accept-gap") {
		s.t.Errorf("got status\n%s\nwant what clears the gap", said)
	}
	s.standsStill(before)
	if r, err := s.stack.Run(s.ctx, "archiver", clear...); err != nil || r.Exit != 2 {
		s.t.Errorf("got %v, %v want exit code 2 without --accept-gap", r.Err(), err)
	}
	s.says("archiver", append(clear, "--accept-gap")...)
	s.archived(scenePartitions)
	s.complete(*gone.Lag - 1)
	s.start("producer")
	s.write(5)
	s.tainted(0, *gone.Archived+1, *gone.End-1)
	s.ranges("drained")
}

func missing(got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("got %s want %s", got, want)
}

// tainted expects the points that may have missed a record of the gap to say so, and to be refused, and the others to be
// exact.
func (s *scene) tainted(partition int32, from, to int64) {
	s.t.Helper()
	var after restorer.ListedPoint
	s.until("a settled point after the gap", func() (string, error) {
		timeline := s.points()
		isAfter := func(p restorer.ListedPoint) bool { return p.Settled && p.Offsets[partition] >= from }
		at := slices.IndexFunc(timeline.Points, isAfter)
		if at < 0 {
			return fmt.Sprintf("%d points, %q", timeline.Total, timeline.Pending), s.stack.Failed()
		}
		after = timeline.Points[at]
		return "", nil
	})
	why := fmt.Sprintf("offsets %d to %d of topic partition %d were lost before they were archived", from, to, partition)
	for _, p := range s.points().Points {
		if isExact := p.Offsets[partition] < from; p.Exact != isExact || !isExact && p.Claim != "tainted: "+why {
			s.t.Errorf("point %s up to offset %d: got claim %q want it tainted from offset %d on", p.Name, p.Offsets[partition], p.Claim, from)
		}
	}
	r, err := s.stack.Run(s.ctx, "restorer", "plan", "--container", s.shop.Name(), "--at", after.Name)
	if err != nil || r.Exit != 2 || !strings.Contains(string(r.Stderr), "is not exact: "+why) {
		s.t.Errorf("got %v, %v want %s refused because %s", r.Err(), err, after.Name, why)
	}
}

// agedAway: everything was archived, and the broker keeps none of it.
func agedAway(s *scene) {
	s.spawn("producer", "archiver")
	s.write(40)
	s.restorable()
	s.stop("producer")
	s.archived(scenePartitions)
	s.forget(s.partitions()...)
	s.emptyLogs(s.partitions())
	s.stop("archiver")
	s.inState("archived")
	s.start("archiver")
	s.until("both partitions read", func() (string, error) {
		said := s.stack.Process("archiver").Tail(100)
		return missing(fmt.Sprint(strings.Count(said, "reading topic partition")), fmt.Sprint(2*scenePartitions)), s.stack.Failed()
	})
	s.emptyLogs(s.partitions())
	s.start("producer")
	s.write(10)
	point := s.restorable()
	s.ranges("drained")
	s.stop("producer")
	s.archived(scenePartitions)
	s.complete(0)
	s.restore(point)
}

func (s *scene) emptyLogs(partitions []archiver.PartitionStatus) {
	s.t.Helper()
	for _, p := range partitions {
		if p.State != "archived" || *p.Start != *p.End || *p.Lag != 0 {
			s.t.Errorf("partition %d: got state %s, %s want it archived and empty", p.Partition, p.State, text(p))
		}
	}
}
