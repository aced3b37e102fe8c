package archiver_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// withoutIDs are options of an archiver whose brokers give topics no ids, as Event Hubs does.
func (w *world) withoutIDs() archiver.Options {
	return archiver.Options{Config: w.config, Archive: w.store, Producer: w.store, Log: w.log(), Kafka: []kgo.Opt{kgo.MaxVersions(kversion.V2_7_0())}}
}

// TestEndLostWhileRunning: a topic without ids loses its end and grows again, as in a forced failover, while the archiver waits
// for its store. Older archived records are the same.
func TestEndLostWhileRunning(t *testing.T) {
	w := newWorld(t)
	g := newGate()
	g.pause(w.kafka)
	o := w.withoutIDs()
	o.Archive = g.over(w.store)
	r := w.runWith(o)
	first, want := w.change(0, 0)
	w.send(first, want)
	w.eventuallyAt(0)
	for i := range 10 {
		w.send(w.change(0, 1+i))
		w.eventuallyAt(int64(1 + i))
	}
	g.shut.Store(true)
	tick, wantTick := w.change(1, 3)
	w.send(tick, wantTick)
	<-g.reached
	w.makeAgain()
	again, sameTick := *first, *tick
	again.Context, sameTick.Context = nil, nil
	if err := w.client.ProduceSync(t.Context(), &again, &sameTick).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.sendOthers(1, 30)
	g.shut.Store(false)
	close(g.open)
	if halt := w.waitTopicHalt(); !strings.HasPrefix(halt.Evidence, "partition 0, offset 10: ") {
		t.Errorf("got %v want a halt by the last record", halt)
	}
	if at := w.changes().Offsets()[0]; at != 10 {
		t.Errorf("got offsets up to %d archived, want up to 10", at)
	}
	_ = r.stop()
}

// TestLaggingEndHaltsNothing: one broker tells an end that is older than the archive's, once.
func TestLaggingEndHaltsNothing(t *testing.T) {
	for _, ids := range []bool{true, false} {
		t.Run(fmt.Sprint("ids ", ids), func(t *testing.T) {
			w := newWorld(t)
			o := w.withoutIDs()
			if ids {
				o.Kafka = nil
			}
			r := w.runWith(o)
			for i := range 5 {
				w.send(w.change(0, i))
			}
			w.eventuallyAt(4)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			var lagged atomic.Bool
			w.answerOffsets(func(p int32, at int64) (int64, int16, bool) { return 4, 0, at == -1 && p == 0 && !lagged.Swap(true) })
			r = w.runWith(o)
			w.send(w.change(0, 5))
			w.eventuallyAt(5)
			if !lagged.Load() || w.topicHalt() != nil {
				t.Errorf("lagged: %v; got halt %v want none", lagged.Load(), w.topicHalt())
			}
			_ = r.stop()
		})
	}
}

// answerOffsets lets a test answer for a partition, asked for the offset of a time: -1 is the end, -2 the start.
func (w *world) answerOffsets(answer func(partition int32, at int64) (offset int64, code int16, mine bool)) {
	w.kafka.ControlKey(kmsg.ListOffsets.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		list, ok := request.(*kmsg.ListOffsetsRequest)
		if !ok {
			return nil, nil, false
		}
		out, _ := list.ResponseKind().(*kmsg.ListOffsetsResponse)
		any := false
		for _, topic := range list.Topics {
			at := kmsg.NewListOffsetsResponseTopic()
			at.Topic = topic.Topic
			for _, p := range topic.Partitions {
				one := kmsg.NewListOffsetsResponseTopicPartition()
				one.Partition, one.LeaderEpoch = p.Partition, 0
				info := w.kafka.PartitionInfo(topic.Topic, p.Partition)
				if one.Offset = info.LogStartOffset; p.Timestamp == -1 {
					one.Offset = info.HighWatermark
				}
				if offset, code, mine := answer(p.Partition, p.Timestamp); mine {
					one.Offset, one.ErrorCode, any = offset, code, true
				}
				at.Partitions = append(at.Partitions, one)
			}
			out.Topics = append(out.Topics, at)
		}
		return out, nil, any
	})
}

// TestLeaderlessPartitionStopsNoOther: what the brokers cannot tell of one partition keeps no other from being committed.
func TestLeaderlessPartitionStopsNoOther(t *testing.T) {
	w := newWorld(t)
	r := w.runWith(w.withoutIDs())
	w.sendChanges(20)
	w.waitArchived()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	w.answerOffsets(func(p int32, _ int64) (int64, int16, bool) { return 0, 5, p == 3 }) // LEADER_NOT_AVAILABLE
	r = w.runWith(w.withoutIDs())
	before := w.changes().Offsets()
	for i := range 20 {
		w.send(w.change(int32(i%3), 100+i))
	}
	w.eventually("the others' records", func() bool {
		now := w.changes().Offsets()
		return now[0] > before[0] && now[1] > before[1] && now[2] > before[2]
	})
	_ = r.stop()
}

// hurried is a clock by which an archiver looks at silence each 0.6 s.
func hurried() func() time.Time {
	began := time.Now()
	return func() time.Time { return began.Add(50 * time.Since(began)) }
}

// TestFewerPartitionsWhileRunning: a topic without ids is made anew with fewer partitions; only one that is gone was archived. Some
// clients go on without fetching anything: the archiver notices that records wait.
func TestFewerPartitionsWhileRunning(t *testing.T) {
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { fewerPartitions(t, n) })
	}
}

func fewerPartitions(t *testing.T, n int) {
	w := newWorld(t)
	w.send(w.change(3, 0))
	var members []*running
	now := hurried()
	for range n {
		o := w.withoutIDs()
		o.Now = now
		members = append(members, w.runWith(o))
	}
	w.waitArchived()
	if err := w.kafka.DeleteTopic(topicName); err != nil {
		t.Fatal(err)
	}
	if err := w.kafka.CreateTopic(topicName, 3, nil); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.config.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w.client = client
	w.sendOthers(3, 5)
	halt := w.waitTopicHalt()
	for _, r := range members {
		_ = r.stop()
	}
	if offsets := w.changes().Offsets(); len(offsets) != 1 {
		t.Errorf("got halt %v, archived %v; want nothing of the new topic", halt, offsets)
	}
}

// TestRecordsThatDoNotCome: fetches are answered with nothing although a record waits. That is told, the partition is begun anew,
// and each record is one row.
func TestRecordsThatDoNotCome(t *testing.T) {
	w := newWorld(t)
	var mute atomic.Bool
	var muted atomic.Int32
	w.kafka.ControlKey(kmsg.Fetch.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		f, ok := request.(*kmsg.FetchRequest)
		if !ok || f.SessionEpoch < 0 || !mute.Load() {
			return nil, nil, false
		}
		w.kafka.SleepControl(func() { <-time.After(50 * time.Millisecond) })
		answer, ok := f.ResponseKind().(*kmsg.FetchResponse)
		if !ok {
			return nil, nil, false
		}
		answer.SessionID = f.SessionID
		muted.Add(1)
		return answer, nil, true
	})
	var said harness.Buffer
	r := w.runWith(archiver.Options{
		Config: w.config, Archive: w.store, Producer: w.store, Log: slog.New(slog.NewTextHandler(&said, nil)),
		Now: hurried(),
	})
	w.send(w.change(0, 0))
	w.waitArchived()
	mute.Store(true)
	w.eventually("fetches that find nothing", func() bool { return muted.Load() > 1 }) // an earlier one waits for records
	w.send(w.change(0, 1))
	w.eventually("a word", func() bool {
		return strings.Contains(said.String(), "records wait and none comes; beginning to read anew")
	})
	if said := said.String(); strings.Contains(said, "/1\"") {
		t.Errorf("got %s want no word on partitions in which nothing waits", said)
	}
	mute.Store(false)
	w.waitArchived()
	_ = r.stop()
	w.check()
}

// TestOlderTableVouchesForNothing: what a member compares with is the table of now, not of its own last commit.
func TestOlderTableVouchesForNothing(t *testing.T) {
	w := newWorld(t)
	open := make(chan struct{})
	var shut [2]atomic.Bool
	var said [2]harness.Buffer
	var members []*running
	for i := range shut {
		o := w.withoutIDs()
		o.Log = slog.New(slog.NewTextHandler(&said[i], nil))
		o.Archive = fault.NewHooked(w.store, func(context.Context, fault.Op) fault.Fault {
			if shut[i].Load() {
				<-open
			}
			return fault.None
		})
		members = append(members, w.runWith(o))
	}
	w.eventually("partitions for both", func() bool {
		return strings.Contains(said[0].String(), "reading topic partition") && strings.Contains(said[1].String(), "reading topic partition")
	})
	w.send(w.change(0, 0))
	w.eventually("a commit by one", func() bool {
		for i := range said {
			if strings.Contains(said[i].String(), "msg=committed") {
				shut[i].Store(true) // its storage does not answer from now on
				return true
			}
		}
		return false
	})
	w.makeAgain()
	w.sendOthers(partitions, 5)
	w.waitTopicHalt()
	if offsets := w.changes().Offsets(); len(offsets) > 1 {
		t.Errorf("got %v archived, want partition 0 alone", offsets)
	}
	close(open)
	for _, r := range members {
		_ = r.stop()
	}
}

// TestGapIsNoReasonToReadAhead: at the offset of a gap row no record stands, and nobody reads what comes behind to find it.
func TestGapIsNoReasonToReadAhead(t *testing.T) {
	for _, ids := range []bool{true, false} {
		t.Run(fmt.Sprint("ids ", ids), func(t *testing.T) {
			w := newWorld(t)
			archiveGap(w)
			for i := range 40 {
				w.send(w.change(0, 3+2*i))
			}
			var ahead atomic.Int32
			w.kafka.ControlKey(kmsg.Fetch.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
				w.kafka.KeepControl()
				if f, ok := request.(*kmsg.FetchRequest); ok && f.SessionEpoch == -1 && f.MaxBytes > 100<<20 {
					ahead.Add(1)
				}
				return nil, nil, false
			})
			o := w.withoutIDs()
			if ids {
				o.Kafka = nil
			}
			r := w.runWith(o)
			w.eventually("all is archived", func() bool { return w.changes().Offsets()[0] == 42 })
			_ = r.stop()
			if n := ahead.Load(); n > 0 {
				t.Errorf("got %d fetches of all that comes behind the gap, want none", n)
			}
		})
	}
}

// TestDeletedTopicVouchesForNothing: a broker that was cut off still answers for the topic that was deleted.
func TestDeletedTopicVouchesForNothing(t *testing.T) {
	w := newWorld(t)
	w.send(w.change(0, 0))
	w.archiveTo(0)
	before := w.kafkaTopicID()
	// what the broker that was cut off goes on to answer for partition 0
	fetch := kmsg.NewPtrFetchRequest()
	fetch.MaxBytes, fetch.SessionEpoch, fetch.IsolationLevel = 1<<20, -1, 1
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.TopicID = topicName, before
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.Partition, fp.PartitionMaxBytes = 0, 1<<20
	ft.Partitions = append(ft.Partitions, fp)
	fetch.Topics = append(fetch.Topics, ft)
	got, err := w.client.Broker(0).Request(t.Context(), fetch)
	if err != nil {
		t.Fatal(err)
	}
	old := got.(*kmsg.FetchResponse)
	w.makeAgain()
	if w.kafkaTopicID() == before {
		t.Fatal("the id is the same")
	}
	var cut atomic.Bool
	cut.Store(true)
	var answered atomic.Int32
	w.kafka.ControlKey(kmsg.Fetch.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		f := request.(*kmsg.FetchRequest)
		if !cut.Load() || f.SessionEpoch != -1 || f.Topics[0].Partitions[0].Partition != 0 {
			return nil, nil, false
		}
		answer := *old
		answer.Version = f.Version
		answered.Add(1)
		return &answer, nil, true
	})
	for i := range 5 { // partition 0 grows as long as it was, 1 was never archived
		for p := range int32(2) {
			record, _ := w.change(p, 100+i)
			record.Timestamp = time.Now()
			w.client.Produce(t.Context(), record, nil)
		}
	}
	if err := w.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := w.run(w.store)
	w.eventually("answers of the broker that was cut off", func() bool { return answered.Load() > 0 })
	cut.Store(false) // it is back
	w.waitTopicHalt()
	if offsets := w.changes().Offsets(); len(offsets) != 1 || offsets[0] != 0 {
		t.Errorf("got %v archived, want what the deleted topic held", offsets)
	}
	_ = r.stop()
}

func (w *world) kafkaTopicID() [16]byte {
	request := kmsg.NewPtrMetadataRequest()
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = kmsg.StringPtr(topicName)
	request.Topics = append(request.Topics, one)
	answer, err := request.RequestWith(w.t.Context(), w.client)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.Topics[0].TopicID
}

// TestBusyArchiverIsNotSilence: while storage is slow the archiver asks the brokers for little, and of some partitions for nothing.
// That is no reason to read them anew; that nothing comes once it has time again is one.
func TestBusyArchiverIsNotSilence(t *testing.T) {
	w := newWorld(t)
	var mute, slow atomic.Bool
	w.kafka.ControlKey(kmsg.Fetch.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		f, ok := request.(*kmsg.FetchRequest)
		if ok && mute.Load() && len(f.Topics) == 1 && len(f.Topics[0].Partitions) > 1 { // not one that compares
			f.Topics[0].Partitions = slices.DeleteFunc(f.Topics[0].Partitions, func(p kmsg.FetchRequestTopicPartition) bool { return p.Partition == 1 })
		}
		return nil, nil, false
	})
	var said harness.Buffer
	began := time.Now()
	r := w.runWith(archiver.Options{
		Config: w.config, Producer: w.store, Log: slog.New(slog.NewTextHandler(&said, nil)), Kafka: []kgo.Opt{kgo.DisableFetchSessions()},
		Now: func() time.Time { return began.Add(50 * time.Since(began)) }, // it looks at silence each 0.6 s
		Archive: fault.NewHooked(w.store, func(_ context.Context, op fault.Op) fault.Fault {
			if slow.Load() && op.Kind == fault.Put {
				<-time.After(500 * time.Millisecond)
			}
			return fault.None
		}),
	})
	w.send(w.change(0, 0))
	w.waitArchived()
	mute.Store(true)
	slow.Store(true)
	w.send(w.change(0, 1))
	w.send(w.change(1, 2))
	commits := func() int { return strings.Count(said.String(), "msg=committed") }
	for i, before := 0, commits(); commits() < before+5; i++ {
		w.send(w.change(0, 3+i))
		<-time.After(50 * time.Millisecond)
	}
	const words = "records wait and none comes"
	if strings.Contains(said.String(), words) {
		t.Errorf("got %s want no such word while the archiver is busy", said.String())
	}
	slow.Store(false)
	w.eventually("a word", func() bool { return strings.Contains(said.String(), words) })
	mute.Store(false)
	w.waitArchived()
	_ = r.stop()
	w.check()
}
