package producer_test

import (
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cosmos-almanac/almanac/producer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// pending counts the records that a client holds.
type pending struct {
	mu        sync.Mutex
	now, most int
}

func (p *pending) OnProduceRecordBuffered(*kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
	p.most = max(p.most, p.now)
}

func (p *pending) OnProduceRecordUnbuffered(*kgo.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now--
}

func (p *pending) records() (now, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now, p.most
}

// runHooked starts a producer whose Kafka clients have a hook.
func (w *world) runHooked(hook kgo.Hook) *running {
	w.t.Helper()
	p, err := producer.New(producer.Options{Config: w.config, Archive: w.root, Root: w.root, Log: w.log(), Kafka: []kgo.Opt{kgo.WithHooks(hook)}})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.start(p)
}

// TestRestlessGroupBehindDeadBrokers: while the brokers take nothing, ranges that come and go leave no more in the client
// than ranges that stay; when they take it again all goes on.
func TestRestlessGroupBehindDeadBrokers(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 6}
	w := newWorld(t, c)
	w.config.Producer.PageSize = 1 // a record on its way per range
	w.fill(c, 74, 1)
	held := &pending{}
	first := w.runHooked(held)
	w.waitComplete(c)
	refuse := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	w.fill(c, 74, 2)
	w.eventually("a record of every range that is not answered", func() bool { now, _ := held.records(); return now == c.Ranges })
	const goes, waits = "range goes to another process", "waiting until the brokers answer"
	for range 2 {
		gone := w.count(goes)
		second := w.run()
		w.eventually("a range that goes", func() bool { return w.count(goes) > gone })
		if err := second.stop(); err != nil {
			t.Fatal(err)
		}
		w.eventually("readers that wait for the brokers", func() bool { return w.count(waits) >= w.count(goes) })
	}
	if now, most := held.records(); now != c.Ranges || most != c.Ranges {
		t.Errorf("got %d records in the client, %d at most, want one per range: %d", now, most, c.Ranges)
	}
	refuse.Remove()
	w.waitComplete(c)
	w.judge(c, nil)
	if err := first.stop(); err != nil {
		t.Error(err)
	}
}

// TestStopBehindDeadBrokers: the process ends although the brokers answer none of what its readers left.
func TestStopBehindDeadBrokers(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := orders()
	w := newWorld(t, c)
	w.fill(c, 30, 1)
	held := &pending{}
	r := w.runHooked(held)
	w.waitComplete(c)
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	w.fill(c, 30, 2)
	w.eventually("records that are not answered", func() bool { now, _ := held.records(); return now > 0 })
	began := time.Now()
	r.cancel()
	if err := w.ends(r); err != nil {
		t.Error(err)
	}
	t.Logf("stopped in %v", time.Since(began))
	w.eventually("an answer to every record from the closed client", func() bool { now, _ := held.records(); return now == 0 })
}
