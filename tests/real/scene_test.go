package real_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/producer"
	"github.com/cosmos-almanac/almanac/restorer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// scene is one container, its topic of two partitions on the broker, and its programs.
type scene struct {
	t     *testing.T
	ctx   context.Context
	stack *harness.Stack
	shop  harness.Container
	admin *kadm.Client
	wrote int
}

const (
	scenePartitions = 2
	sceneMost       = 150 * time.Second
)

func newScene(t *testing.T, folder, name string, brokers []string) *scene {
	t.Helper()
	return newSceneWith(t, folder, name, brokers, nil)
}

// newSceneWith is newScene whose programs have further settings; the test itself comes to the brokers without any.
func newSceneWith(t *testing.T, folder, name string, brokers []string, settings harness.Settings) *scene {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, ctx: within(t, sceneMost), shop: harness.Container{Database: "shop", ID: name, Key: []string{"/shelf"}, Ranges: 3, Deletes: "soft"}}
	var err error
	s.stack, err = harness.New(s.ctx, harness.Options{
		Dir: folder, Bin: must(t, components.programs), Brokers: brokers, Partitions: scenePartitions, Containers: []harness.Container{s.shop},
		Settings: harness.Settings{"kafka.session_timeout": "6s", "archiver.group": "archiver-" + name}.With(settings),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.stack.Tails(15))
		}
		if err := s.stack.Close(); err != nil {
			t.Error(err)
		}
	})
	s.admin = kadm.NewClient(s.connect())
	t.Cleanup(s.admin.Close)
	s.topicStands(kadm.TopicID{})
	return s
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) until(what string, check func() (string, error)) {
	s.t.Helper()
	s.must(harness.Until(s.ctx, what, check))
}

// topicStands waits until the broker names the topic's partitions, under another id than before, and returns the id.
func (s *scene) topicStands(before kadm.TopicID) (id kadm.TopicID) {
	s.t.Helper()
	s.until("the topic's partitions", func() (string, error) {
		topics, err := s.admin.ListTopics(s.ctx, s.shop.TopicName())
		detail := topics[s.shop.TopicName()]
		id = detail.ID
		if n := len(detail.Partitions); err == nil && (n != scenePartitions || id == before) {
			return fmt.Sprintf("it has %d, and id %s", n, id), nil
		}
		return "", err
	})
	return id
}

// createAgain deletes the topic and makes it anew.
func (s *scene) createAgain() {
	s.t.Helper()
	before := s.topicStands(kadm.TopicID{})
	_, err := s.admin.DeleteTopic(s.ctx, s.shop.TopicName())
	s.must(err)
	s.until("the topic", func() (string, error) {
		_, err := s.admin.CreateTopic(s.ctx, scenePartitions, 1, nil, s.shop.TopicName())
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return "its forerunner still exists", nil
		}
		return "", err
	})
	s.topicStands(before)
}

// write writes so many more documents, spread over all keys.
func (s *scene) write(n int) {
	s.t.Helper()
	for range n {
		write(s.t, s.ctx, s.stack, s.shop, s.wrote, `"state":"new"`)
		s.wrote++
	}
}

func (s *scene) spawn(programs ...string) {
	s.t.Helper()
	for _, name := range programs {
		program, _, _ := strings.Cut(name, "-")
		_, err := s.stack.Spawn(name, program, []string{"run"})
		s.must(err)
	}
}

func (s *scene) stop(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.must(s.stack.Process(name).Stop(s.ctx))
	}
}

// halts waits until a program ends because nothing is left to do; one that ends otherwise is started again, as every service
// manager does.
func (s *scene) halts(name string) {
	s.t.Helper()
	process := s.stack.Process(name)
	s.until("the end of "+name, func() (string, error) {
		switch {
		case process.Running():
			return "it runs", nil
		case process.ExitCode() == 3:
			return "", nil
		case process.ExitCode() != 1:
			return "", fmt.Errorf("got exit code %d want 3, or 1 before it", process.ExitCode())
		}
		return "it tries again", process.Start()
	})
}

// archived waits until the archiver's status says that all partitions are archived to their ends.
func (s *scene) archived(partitions int) {
	s.t.Helper()
	s.until("all archived", func() (string, error) {
		list := s.partitions()
		for _, p := range list {
			if p.State != "archived" || p.Halt != nil || *p.Lag != 0 || p.Archived == nil || *p.Archived != *p.End-1 {
				return fmt.Sprintf("partition %d is %s: %s", p.Partition, p.State, text(p)), s.stack.Failed()
			}
		}
		if len(list) != partitions {
			return fmt.Sprintf("status knows %d partitions, want %d", len(list), partitions), nil
		}
		return "", nil
	})
}

func text(p archiver.PartitionStatus) string {
	number := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	return fmt.Sprintf("archived %s, log %s to %s, lag %s, halt %v", number(p.Archived), number(p.Start), number(p.End), number(p.Lag), p.Halt)
}

// partitions is what the archiver's status says of the topic. Exit code 1 asks to be run again: a partition that was just made
// has no leader yet.
func (s *scene) partitions() []archiver.PartitionStatus {
	s.t.Helper()
	return s.topic().Partitions
}

func (s *scene) topic() archiver.TopicStatus {
	s.t.Helper()
	var status archiver.Status
	s.until("the archiver's status", func() (string, error) {
		r, err := s.stack.Ask(s.ctx, &status, "archiver", "status")
		if err != nil && r != nil && r.Exit == 1 {
			return err.Error(), nil
		}
		return "", err
	})
	if len(status.Topics) != 1 || status.Topics[0].Topic != s.shop.TopicName() {
		s.t.Fatalf("got status of %v want of %s", status.Topics, s.shop.TopicName())
	}
	return status.Topics[0]
}

// inState expects that of every partition.
func (s *scene) inState(want string) {
	s.t.Helper()
	for _, p := range s.partitions() {
		if p.State != want || p.Halt != nil {
			s.t.Errorf("partition %d: got state %s (%s) want %s", p.Partition, p.State, text(p), want)
		}
	}
}

// halted expects the topic to be halted as a whole for a reason, and status to tell people reason and remedy.
func (s *scene) halted(reason string) {
	s.t.Helper()
	s.inState("halted")
	said := s.says("archiver", "status")
	halt := s.topic().Halt
	clear := fmt.Sprintf("almanac-archiver clear --topic %s\n", s.shop.TopicName())
	if halt == nil || !strings.Contains(halt.Reason, reason) || !strings.Contains(said, halt.Reason) || !strings.Contains(said, clear) {
		s.t.Errorf("got halt %v, and status says\n%s\nwant the reason %q, and what clears it", halt, said, reason)
	}
}

// says is what a program prints for people. Exit code 1 asks to be run again.
func (s *scene) says(program string, args ...string) (said string) {
	s.t.Helper()
	s.until(program+" "+strings.Join(args, " "), func() (string, error) {
		r, err := s.stack.Run(s.ctx, program, args...)
		switch {
		case err != nil:
			return "", err
		case r.Exit == 1:
			return r.Err().Error(), nil
		}
		said = string(r.Stdout)
		return "", r.Err()
	})
	return said
}

// ranges expects the producer's status to say that of every range.
func (s *scene) ranges(want string) {
	s.t.Helper()
	var status producer.Status
	_, err := s.stack.Ask(s.ctx, &status, "producer", "status")
	s.must(err)
	if len(status.Containers) != 1 || len(status.Containers[0].Ranges) != s.shop.Ranges {
		s.t.Fatalf("got %v want one container of %d ranges", status.Containers, s.shop.Ranges)
	}
	for _, r := range status.Containers[0].Ranges {
		if r.State != want || (r.Halt != nil) != (want == "halted") {
			s.t.Errorf("range %s: got state %s, halt %v want %s", r.Range, r.State, r.Halt, want)
		}
		if r.Halt != nil && !strings.Contains(r.Halt.Reason, "archive the container under another topic name") {
			s.t.Errorf("range %s: got halt %v want the remedy", r.Range, r.Halt)
		}
	}
}

// restorable waits for an exact point that holds everything written so far and whose name stays.
func (s *scene) restorable() (point restorer.ListedPoint) {
	s.t.Helper()
	wrote := time.Now()
	s.until("a restore point", func() (string, error) {
		timeline, err := s.askPoints()
		if err != nil { // nothing is archived yet
			return err.Error(), s.stack.Failed()
		}
		at := slices.IndexFunc(timeline.Points, func(p restorer.ListedPoint) bool { return p.Exact && p.Settled && !p.CompleteTo.Before(wrote) })
		if at < 0 {
			return fmt.Sprintf("none of %d holds everything and stays: %q", timeline.Total, timeline.Pending), s.stack.Failed()
		}
		point = timeline.Points[at]
		return "", nil
	})
	return point
}

func (s *scene) askPoints() (*restorer.Timeline, error) {
	timeline := new(restorer.Timeline)
	_, err := s.stack.Ask(s.ctx, timeline, "restorer", "points", "--container", s.shop.Name(), "--last", "0")
	return timeline, err
}

func (s *scene) points() *restorer.Timeline {
	s.t.Helper()
	timeline, err := s.askPoints()
	s.must(err)
	return timeline
}

// standsStill expects points to say what is halted, and a point of before to be worth what it was.
func (s *scene) standsStill(before restorer.ListedPoint) {
	s.t.Helper()
	if pending := s.points().Pending; !slices.ContainsFunc(pending, func(why string) bool { return strings.Contains(why, "halted") }) {
		s.t.Errorf("got pending %q want the halts among them", pending)
	}
	s.restore(before)
}

// restore restores a point, which is refused when it is not exact any more, and verifies it.
func (s *scene) restore(point restorer.ListedPoint) {
	s.t.Helper()
	target := s.shop
	target.ID += "-restored"
	for _, verb := range []string{"run", "verify"} {
		mustRun(s.t, s.ctx, s.stack, "restorer", verb, "--container", s.shop.Name(), "--at", point.Name, "--to", target.Name())
	}
}

// complete counts: every offset of the topic is one row (INV-3), but for gaps, of which one row stands for all.
func (s *scene) complete(gaps int64) {
	s.t.Helper()
	progress := s.stack.Progress(s.shop.TopicName())
	s.must(progress.Refresh(s.ctx))
	rows, offsets := int64(0), int64(0)
	for _, n := range progress.Rows {
		rows += n
	}
	for _, last := range progress.Last {
		offsets += last + 1
	}
	if rows != offsets-gaps {
		s.t.Errorf("got %d rows of %d offsets, of which %d are in gaps", rows, offsets, gaps)
	}
}

// forget lets the broker delete all records of partitions as they stand, as retention does.
func (s *scene) forget(partitions ...archiver.PartitionStatus) {
	s.t.Helper()
	last := map[int32]int64{}
	for _, p := range partitions {
		last[p.Partition] = *p.End - 1
	}
	s.must(s.stack.Forget(s.ctx, s.shop.TopicName(), last))
}

// archiveSome lets the programs archive some documents, and stops them. It answers a point that holds these.
func (s *scene) archiveSome() restorer.ListedPoint {
	s.t.Helper()
	s.spawn("producer", "archiver")
	s.write(40)
	point := s.restorable()
	s.stop("producer")
	s.archived(scenePartitions)
	s.stop("archiver")
	return point
}

func (s *scene) start(name string) {
	s.t.Helper()
	s.must(s.stack.Process(name).Start())
}

// states are those of the partitions, in their order.
func (s *scene) states() string {
	s.t.Helper()
	var states []string
	for _, p := range s.partitions() {
		states = append(states, p.State)
	}
	return strings.Join(states, " ")
}

// read is every record of the topic.
func (s *scene) read() (records []*kgo.Record) {
	s.t.Helper()
	want := int64(0)
	from := map[int32]kgo.Offset{}
	for _, p := range s.partitions() {
		want += *p.End
		from[p.Partition] = kgo.NewOffset().AtStart()
	}
	client := s.connect()
	defer client.Close()
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.shop.TopicName(): from})
	for int64(len(records)) < want {
		fetches := client.PollFetches(s.ctx)
		s.must(fetches.Err())
		records = append(records, fetches.Records()...)
	}
	return records
}

// publish publishes records as they are, in their order, each to its partition.
func (s *scene) publish(records []*kgo.Record) {
	s.t.Helper()
	client := s.connect() // which never knew the topic under another id: it would stay with that
	defer client.Close()
	for _, r := range records {
		again := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers}
		s.must(client.ProduceSync(s.ctx, again).FirstErr())
	}
}

// connect opens a client that reads and writes records past the programs.
func (s *scene) connect() *kgo.Client {
	s.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.stack.Brokers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	s.must(err)
	return client
}
