package producer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// mortal is a store that a producer loses when it dies: nothing that it does afterwards reaches the world.
type mortal struct {
	*fault.Store
	dead atomic.Bool
}

func (w *world) mortal() *mortal {
	m := &mortal{}
	m.Store = fault.NewHooked(w.root, func(context.Context, fault.Op) fault.Fault {
		if m.dead.Load() {
			return fault.Drop
		}
		return fault.None
	})
	return m
}

// TestKilledAndRestarted kills one of two producers again and again while documents are written: it ends without a last
// checkpoint.
func TestKilledAndRestarted(t *testing.T) {
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 5}
	w := newWorld(t, c)
	w.config.Producer.CheckpointInterval = 100 * time.Millisecond
	w.fill(c, 100, 0)
	w.run()
	for i := range 5 {
		store := w.mortal()
		r := w.runOver(store)
		w.fill(c, 60, i+1)
		w.morePolls(10)
		store.dead.Store(true)
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
	w.waitComplete(c)
	w.judge(c, nil)
	w.checkOpening(c)
	w.checkRepeats(c)
}

// checkRepeats demands that a change has one ce_id however often it was read, and that no other change has it.
func (w *world) checkRepeats(c harness.Container) {
	w.t.Helper()
	by := map[string]string{}
	for _, e := range w.those(func(e *event) bool { return e.Op.Change() && e.name() == c.Name() }) {
		content := fmt.Sprintf("%s %s %d %d %s", e.Key, e.Subject, e.Attributes.Generation, e.Attributes.Order.LSN, e.Attributes.ETag)
		if have, ok := by[e.id]; ok && have != content {
			w.t.Errorf("ce_id %s is of %s and of %s", e.id, have, content)
		}
		by[e.id] = content
	}
	for _, e := range w.those(func(e *event) bool { return e.mark != nil }) {
		if _, ok := by[e.id]; ok {
			w.t.Errorf("ce_id %s of a mark stands twice", e.id)
		}
		by[e.id] = "mark"
	}
}

// TestTwoGroupsFightForEveryRange: whatever the group says, the checkpoint is the fence. Two producers of different groups
// both believe that they own all.
func TestTwoGroupsFightForEveryRange(t *testing.T) {
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 2}
	w := newWorld(t, c)
	w.fill(c, 50, 0)
	first := w.run()
	other := *w.config
	other.Producer.Group = "others"
	w.config = &other
	second := w.run()
	for i := range 5 {
		w.fill(c, 30, i+1)
		w.morePolls(5)
	}
	w.eventually("a fight", func() bool { // there is one only while something is written
		w.fill(c, 1, 6)
		return w.logs("written by another reader")
	})
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	w.waitComplete(c)
	w.judge(c, nil)
	w.checkOpening(c)
	if err := second.stop(); err != nil {
		t.Error(err)
	}
}

// TestFaultyStore: answers of the store are lost, come late or say conflict to a write that landed.
func TestFaultyStore(t *testing.T) {
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 3}
	w := newWorld(t, c)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w.fill(c, 50, 0)
	w.run()
	w.waitComplete(c) // the start, where a faulty store ends the process
	store := fault.New(w.root, seed, fault.Evenly(0.05))
	other := *w.config
	other.Producer.Group = "others" // so that every range is taken over
	w.config = &other
	w.runUntilStarted(store)
	for i := range 5 {
		w.fill(c, 30, i+1)
		w.morePolls(3)
	}
	if err := store.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.waitComplete(c)
	w.judge(c, nil)
	w.checkOpening(c)
}

// runUntilStarted starts a producer over a store that may refuse its start.
func (w *world) runUntilStarted(store *fault.Store) {
	w.t.Helper()
	for range 50 {
		r := w.runOver(store)
		polls := w.polls.Load()
		w.eventually("polls, or an end", func() bool {
			select {
			case <-r.done:
				return true
			default:
				return w.polls.Load() > polls+20
			}
		})
		select {
		case <-r.done:
		default:
			return
		}
	}
	w.t.Fatal("the producer never started")
}

// TestKilledBeforeTheOpeningMark: the generation stands in the checkpoint, and its reader dies before its first event is
// out. The next one sends it first.
func TestKilledBeforeTheOpeningMark(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.fill(c, 20, 1)
	refuse := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	r := w.run()
	w.eventually("a generation in the checkpoint", func() bool {
		one := w.checkpoints(c)
		return len(one) == 1 && one[0].Generation != 0
	})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	refuse.Remove()
	if n := len(w.all()); n != 0 {
		t.Fatalf("got %d records, want none before the restart", n)
	}
	w.run()
	w.waitComplete(c)
	w.checkOpening(c)
	w.judge(c, nil)
	if first := w.marks(c)[0]; first.mark.LSN != 0 || first.mark.Basis != schemas.BasisLoading || first.mark.Drained {
		t.Errorf("got %+v first, want an opening mark", first.mark)
	}
}

// TestRefusedRecordsAreSentAgain: a refusal that no retry mends ends the reader, and the next one sends the page again.
func TestRefusedRecordsAreSentAgain(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 2}
	w := newWorld(t, c)
	w.fill(c, 30, 1)
	w.run()
	w.waitComplete(c)
	for i, err := range []*kerr.Error{kerr.MessageTooLarge, kerr.InvalidRecord, kerr.NotEnoughReplicasAfterAppend} {
		refuse := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: err, Count: 2})
		w.fill(c, 30, i+2)
		if !within(patience, func() bool { return refuse.Hits() >= 2 }) {
			t.Fatalf("%s: nothing was refused", err.Message)
		}
		w.waitComplete(c)
	}
	w.judge(c, nil)
	if !w.logs("kafka.max_message_bytes") {
		t.Error("the log does not name the setting")
	}
}

// TestRangesMove: a second producer takes ranges over and gives them back, and nothing is read from the beginning again.
func TestRangesMove(t *testing.T) {
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 5}
	w := newWorld(t, c)
	w.fill(c, 100, 0)
	w.run()
	w.waitComplete(c)
	second := w.run()
	w.eventually("a range that moves", func() bool { return w.logs("range goes to another process") })
	w.fill(c, 50, 1)
	w.waitComplete(c)
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	w.fill(c, 50, 2)
	w.waitComplete(c)
	w.judge(c, nil)
	if n := len(w.those(func(e *event) bool { return e.Op.Change() })); n > 300 {
		t.Errorf("got %d changes of 200 writes, want few repeats after an orderly end", n)
	}
}

// TestStandingBy: a producer for which no range is left says so, and reads when the other one has gone.
func TestStandingBy(t *testing.T) {
	t.Parallel()
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 1}
	w := newWorld(t, c)
	w.fill(c, 20, 0)
	first := w.run()
	w.waitComplete(c)
	if w.logs("standing by") {
		t.Error("the only producer says that it stands by")
	}
	w.run()
	w.eventually("one that stands by", func() bool { return w.logs("standing by: other processes read all feed ranges") })
	begun := w.count("reading range")
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	w.eventually("its range to be read", func() bool { return w.count("reading range") > begun })
}

// TestTopicMadeAgain: a topic that ends before what was acknowledged is another one. All ranges halt before anything is
// published to it.
func TestTopicMadeAgain(t *testing.T) {
	c := orders()
	c.Ranges = 5
	w := newWorld(t, c)
	w.fill(c, 50, 1)
	r := w.run()
	w.waitComplete(c)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	w.kafka.Close()
	w.fill(c, 500, 2)
	w.startKafka(map[string]bool{topicName: true})
	err := w.ends(w.run())
	if exitCode(err) != 3 || !strings.Contains(err.Error(), "the topic is not the one") {
		t.Errorf("got %v (exit %d), want a halt that names the topic", err, exitCode(err))
	}
	for _, at := range w.checkpoints(c) {
		if at.Halt == nil || !strings.Contains(at.Halt.Evidence, "and ends at 0") {
			t.Errorf("range %s: got halt %v want one that says where the topic ends", at.Range, at.Halt)
		}
	}
}

// TestKilledAtEveryStepOfTheStart: seed and checkpoints are made by whoever comes next, wherever the first producer died.
func TestKilledAtEveryStepOfTheStart(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := orders()
	c.Ranges = 2
	for _, last := range []fault.Fault{fault.Drop, fault.LoseAnswer} {
		for n := range 14 {
			t.Run(fmt.Sprintf("fault %d at operation %d", last, n), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, c)
				w.fill(c, 4, 1)
				w.dieAt(n, last)
				w.run()
				w.waitComplete(c)
				w.judge(c, nil)
				w.checkOpening(c)
			})
		}
	}
}

// dieAt runs a producer until the n-th operation of its store meets last, and all later ones are lost.
func (w *world) dieAt(n int, last fault.Fault) {
	w.t.Helper()
	var dead atomic.Bool
	store := fault.NewHooked(w.root, func(_ context.Context, op fault.Op) fault.Fault {
		switch {
		case op.N < n:
			return fault.None
		case op.N == n:
			dead.Store(true)
			return last
		}
		return fault.Drop
	})
	r := w.runOver(store)
	w.eventually("the death", func() bool {
		select {
		case <-r.done:
			return true
		default:
			return dead.Load()
		}
	})
	_ = r.stop() // with or without an error: it lost its store
}

// TestReadersThatStay: readers whose ranges stay are not disturbed by those whose ranges go, though they share a client and
// its batches.
func TestReadersThatStay(t *testing.T) {
	t.Parallel()
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 24}
	w := newWorld(t, c)
	w.fill(c, 100, 0)
	w.run()
	w.waitComplete(c)
	// Brokers that are slow keep batches waiting in the client, where they can be given up.
	w.kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		w.kafka.SleepControl(func() { <-time.After(20 * time.Millisecond) })
		return nil, nil, false
	})
	const goes, begins = "range goes to another process", "reading range"
	version := 0
	for range 4 {
		gone := w.count(goes)
		second := w.run()
		w.eventually("a range that moves", func() bool {
			version++
			w.fill(c, 37, version)
			return w.count(goes) > gone
		})
		w.waitComplete(c)
		begun := w.count(begins)
		if err := second.stop(); err != nil {
			t.Fatal(err)
		}
		w.eventually("ranges that come back", func() bool { return w.count(begins)-begun >= w.count(goes)-gone })
	}
	w.judge(c, nil)
	if w.logs("reading the range ended") {
		t.Error("a reader was ended whose range stayed")
	}
}
