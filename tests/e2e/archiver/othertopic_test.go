package archiver_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/schemas"
)

// gate lets commits to a table through, until it is shut.
type gate struct {
	shut    atomic.Bool
	once    sync.Once
	reached chan struct{} // a commit stands before it
	open    chan struct{}
}

func newGate() *gate { return &gate{reached: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) over(store blob.Store) blob.Store {
	return fault.NewHooked(store, func(_ context.Context, op fault.Op) fault.Fault {
		if op.Kind == fault.Put && strings.Contains(op.Name, "/_delta_log/") && g.shut.Load() {
			g.once.Do(func() { close(g.reached) })
			<-g.open
		}
		return fault.None
	})
}

// pause keeps fetches of readers from the brokers while the gate is shut.
func (g *gate) pause(kafka *kfake.Cluster) {
	kafka.ControlKey(kmsg.Fetch.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		kafka.KeepControl()
		if fetch, ok := request.(*kmsg.FetchRequest); ok && fetch.SessionEpoch >= 0 && g.shut.Load() {
			kafka.SleepControl(func() { <-g.open })
		}
		return nil, nil, false
	})
}

// ends waits for an archiver to end by itself, and tells its error.
func (w *world) ends(r *running) (err error) {
	w.t.Helper()
	select {
	case err = <-r.done:
		r.done <- err
	case <-time.After(patience):
		w.t.Fatalf("after %v it still runs", patience)
	}
	return err
}

// sendOthers sends records of another topic to partitions from 0 on.
func (w *world) sendOthers(partitions int32, each int) {
	w.t.Helper()
	for i := range each {
		for partition := range partitions {
			record, _ := w.change(partition, 100+i)
			record.Timestamp = time.Now()
			w.client.Produce(w.t.Context(), record, nil)
		}
	}
	if err := w.client.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// makeAgain deletes the topic and makes it again, under brokers that go on.
func (w *world) makeAgain() {
	w.t.Helper()
	if err := w.kafka.DeleteTopic(topicName); err != nil {
		w.t.Fatal(err)
	}
	if err := w.kafka.CreateTopic(topicName, partitions, nil); err != nil {
		w.t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.config.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	w.client = client // the other one knows the topic that is gone
}

// TestTopicMadeAgainBetweenFetches: while a store does not answer, nothing is fetched, and the topic is made anew and grows
// past what was read. Brokers without topic ids, as Event Hubs, show nothing of that to who goes on fetching (INV-10).
func TestTopicMadeAgainBetweenFetches(t *testing.T) {
	w := newWorld(t)
	g := newGate()
	g.pause(w.kafka)
	r := w.runWith(archiver.Options{
		Config: w.config, Archive: g.over(w.store), Producer: w.store, Log: w.log(), Kafka: []kgo.Opt{kgo.MaxVersions(kversion.V2_7_0())},
	})
	for i := range 3 {
		w.send(w.change(0, i))
	}
	w.eventuallyAt(2)
	g.shut.Store(true)
	w.send(w.change(0, 3))
	<-g.reached
	w.makeAgain()
	w.sendOthers(2, 20) // of partition 1 nothing was archived
	g.shut.Store(false)
	close(g.open)
	if err := w.ends(r); exitCode(err) != 3 {
		t.Errorf("got %v want exit code 3", err)
	}
	if halt := w.topicHalt(); halt == nil || !strings.Contains(halt.Reason, "made anew") {
		t.Errorf("got halt %v want one of the topic", halt)
	}
	w.check()
}

// TestWitnessOfAnotherMember: whoever owns the partition that shows it, no member archives anything of the other topic.
func TestWitnessOfAnotherMember(t *testing.T) {
	w := newWorld(t)
	w.send(w.change(0, 1))
	w.archiveTo(0)
	w.startKafka()
	w.sendOthers(partitions, 5)
	for i, r := range []*running{w.run(w.store), w.run(w.store), w.run(w.store)} {
		if err := w.ends(r); exitCode(err) != 3 {
			t.Errorf("archiver %d: got %v want exit code 3", i, err)
		}
	}
	w.check()
}

// TestHaltOfTheTopic stops whoever reads any of its partitions before the next commit, and clearing it lets all go on.
func TestHaltOfTheTopic(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(40)
	w.config.Archiver.FlushInterval = 200 * time.Millisecond
	r := w.run(w.store)
	w.waitArchived()
	before := len(w.rows())
	halt := &schemas.Halt{Unit: "topic " + topicName, Reason: "it is another one", Evidence: "another member saw it", Since: time.Now()}
	if err := archive.WriteTopicHalt(t.Context(), w.store, topicName, halt); err != nil {
		t.Fatal(err)
	}
	w.sendChanges(40)
	if err := w.ends(r); exitCode(err) != 3 || !strings.Contains(fmt.Sprint(err), halt.Evidence) {
		t.Errorf("got %v want exit code 3, and the halt", err)
	}
	if got := len(w.rows()); got != before {
		t.Errorf("got rows of %d offsets want %d, as before the halt", got, before)
	}
	o := archiver.Options{Config: w.config, Archive: w.store, Producer: w.store, Log: w.log()}
	for _, want := range []bool{true, false} {
		if cleared, err := archiver.ClearTopic(t.Context(), o, topicName); err != nil || (cleared.Halt != nil) != want {
			t.Errorf("got %+v, %v want a halt: %v", cleared, err, want)
		}
	}
	w.run(w.store)
	w.waitArchived()
	w.check()
}
