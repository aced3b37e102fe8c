package producer_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/producer"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

// TestAnotherContainerUnderTheName halts all ranges, at work and at a start; clearing them does not help.
func TestAnotherContainerUnderTheName(t *testing.T) {
	c := orders()
	c.Ranges = 2
	w := newWorld(t, c)
	w.fill(c, 20, 1)
	r := w.run()
	w.waitComplete(c)
	before := len(w.those(func(e *event) bool { return e.Op.Change() }))
	if err := w.account.DeleteContainer(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.create(c)
	w.fill(c, 5, 2)
	check := func(err error) {
		t.Helper()
		if exitCode(err) != 3 || !strings.Contains(err.Error(), "another container stands under this name") {
			t.Errorf("got %v (exit %d), want a halt", err, exitCode(err))
		}
	}
	check(w.ends(r))
	for _, one := range w.checkpoints(c) {
		if one.Halt == nil || !strings.Contains(one.Halt.Unit, one.Range.String()) {
			t.Errorf("range %s: got halt %+v", one.Range, one.Halt)
		}
	}
	check(w.ends(w.run()))
	cleared, err := producer.Clear(t.Context(), w.root, w.config.Containers[0], nil, time.Now())
	if err != nil || len(cleared) != 2 {
		t.Fatalf("got %v (%v), want two halts cleared", cleared, err)
	}
	check(w.ends(w.run()))
	if after := len(w.those(func(e *event) bool { return e.Op.Change() })); after != before {
		t.Errorf("got %d changes of another incarnation", after-before)
	}
}

// TestRestartedEmulator: an emulator that kept nothing is another account, although its container has the same name, and
// its LSNs go past those of the one before.
func TestRestartedEmulator(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.fill(c, 10, 1)
	r := w.run()
	w.waitComplete(c)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	before := len(w.those(func(e *event) bool { return e.Op.Change() }))
	w.restartAccount()
	w.create(c)
	w.fill(c, 30, 2)
	err := w.ends(w.run())
	if exitCode(err) != 3 || !strings.Contains(err.Error(), "another container stands under this name") {
		t.Errorf("got %v (exit %d), want a halt", err, exitCode(err))
	}
	if after := len(w.those(func(e *event) bool { return e.Op.Change() })); after != before {
		t.Errorf("got %d changes of another account", after-before)
	}
}

// TestOneRangeHaltsAndIsCleared: a 410 halts the range that it is of, the others go on, and the range does so too once its
// halt is cleared, without a restart.
func TestOneRangeHaltsAndIsCleared(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := orders()
	c.Ranges = 2
	w := newWorld(t, c)
	w.fill(c, 30, 1)
	r := w.run()
	w.waitComplete(c)
	w.onPoll(func(r *http.Request) *cosmosfake.Fault {
		if r.Header.Get("x-ms-documentdb-partitionkeyrangeid") == "1" {
			return &cosmosfake.Fault{Status: http.StatusGone, Substatus: 1002, Message: "gone"}
		}
		return nil
	})
	halted := func() (n int) {
		for _, one := range w.checkpoints(c) {
			if one.Halt != nil {
				n++
			}
		}
		return n
	}
	w.eventually("one halted range", func() bool { return halted() == 1 })
	w.onPoll(nil)
	w.fill(c, 30, 2)
	w.morePolls(5)
	if n := halted(); n != 1 {
		t.Errorf("got %d halted ranges, want one", n)
	}
	if cleared, err := producer.Clear(t.Context(), w.root, w.config.Containers[0], &schemas.FeedRange{Min: "", Max: "2000"}, time.Now()); err != nil || len(cleared) != 0 {
		t.Errorf("clear of a range that is not halted: got %v, %v; want nothing done", cleared, err)
	}
	if _, err := producer.Clear(t.Context(), w.root, w.config.Containers[0], &schemas.FeedRange{Min: "77", Max: "78"}, time.Now()); exitCode(err) != 2 || !strings.Contains(err.Error(), "known: -2000") {
		t.Errorf("clear of a range that is none: got %v, want a usage error with the known ones", err)
	}
	cleared, err := producer.Clear(t.Context(), w.root, w.config.Containers[0], nil, time.Now())
	if err != nil || len(cleared) != 1 || !strings.Contains(cleared[0].Reason, "split") {
		t.Errorf("got %v (%v), want the halt", cleared, err)
	}
	w.waitComplete(c)
	w.judge(c, nil)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestMissingCheckpoint(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	r := w.run()
	w.waitComplete(c)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	name := schemas.CheckpointFile(c.TopicName(), c.Name(), schemas.WholeRange())
	if err := w.root.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	err := w.ends(w.run())
	if exitCode(err) != 3 || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v (exit %d), want a halt that names %s", err, exitCode(err), name)
	}
	if len(w.checkpoints(c)) != 0 {
		t.Error("the checkpoint was made anew: changes may have been left out")
	}
}

func TestBadStart(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*config.Config)
		exit   int
		text   []string
	}{
		{"unreachable endpoint", func(c *config.Config) { c.Cosmos.Endpoint = "https://" + free + "/" }, 1, []string{"cosmos.endpoint", free}},
		{"wrong key", func(c *config.Config) { c.Cosmos.Key = config.NewSecret("d3Jvbmc=") }, 2, []string{"401", "cosmos.key"}},
		{"key that is none", func(c *config.Config) { c.Cosmos.Key = config.NewSecret("%") }, 2, []string{"base64"}},
		{"missing container", func(c *config.Config) { c.Containers[0].Container = "carts" }, 2, []string{"shop.carts", "404"}},
		{"missing topic", func(c *config.Config) { c.Containers[0].Topic = "cosmos.nowhere" }, 2, []string{"cosmos.nowhere", "create it"}},
		{"unreachable brokers", func(c *config.Config) { c.Kafka.Brokers = []string{free} }, 1, []string{free}},
		{"other start", func(c *config.Config) { c.Containers[0].Start = config.StartNow }, 2, []string{"start"}},
	}
	w := newWorld(t)
	r := w.run()
	w.waitComplete(orders())
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	sound := w.config
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			broken := *sound
			broken.Containers = []config.Container{sound.Containers[0]}
			test.change(&broken)
			began := time.Now()
			p, err := producer.New(producer.Options{Config: &broken, Archive: w.root, Root: w.root, Log: w.log()})
			if err == nil {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				err = p.Run(ctx)
			}
			if exitCode(err) != test.exit {
				t.Errorf("got %v (exit %d), want exit %d", err, exitCode(err), test.exit)
			}
			for _, text := range test.text {
				if err != nil && !strings.Contains(err.Error(), text) {
					t.Errorf("got %v, want %q in it", err, text)
				}
			}
			if took := time.Since(began); took > 12*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestFewerPartitions: a topic may grow, never shrink.
func TestFewerPartitions(t *testing.T) {
	w := newWorld(t)
	r := w.run()
	w.waitComplete(orders())
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	rewrite(t, w, schemas.SeedFile(topicName, "shop.orders"), `"partitions": 4`, `"partitions": 5`)
	if err := w.ends(w.run()); exitCode(err) != 2 || !strings.Contains(err.Error(), topicName) {
		t.Errorf("got %v (exit %d), want exit 2 naming the topic", err, exitCode(err))
	}
}

// TestAllOfOneTopicHalts: the process goes on for the other topic, and for the halted one once it is cleared.
func TestAllOfOneTopicHalts(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, b := orders(), harness.Container{Database: "shop", ID: "carts", Key: []string{"/pk"}, Ranges: 1}
	w := newWorld(t, a, b)
	r := w.run()
	w.waitComplete(a)
	w.waitComplete(b)
	w.onPoll(func(r *http.Request) *cosmosfake.Fault {
		if strings.Contains(r.URL.Path, "carts") {
			return &cosmosfake.Fault{Status: http.StatusGone, Substatus: 1002, Message: "gone"}
		}
		return nil
	})
	w.eventually("a halt", func() bool { return w.checkpoints(b)[0].Halt != nil })
	w.onPoll(nil)
	w.fill(a, 10, 1)
	w.fill(b, 10, 1)
	w.waitComplete(a)
	if _, err := producer.Clear(t.Context(), w.root, w.config.Containers[1], nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	w.waitComplete(b)
	w.judge(b, nil)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// TestRefusedSession: the brokers take no session that long, and a restart changes nothing.
func TestRefusedSession(t *testing.T) {
	w := newWorld(t)
	w.config.Kafka.SessionTimeout = 40 * time.Minute // more than the brokers allow
	if err := w.ends(w.run()); exitCode(err) != 2 || !strings.Contains(err.Error(), "kafka.session_timeout 40m0s") {
		t.Errorf("got %v want exit code 2 and the setting", err)
	}
}
