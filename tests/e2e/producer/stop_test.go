package producer_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/producer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// stopMost is less than service.shutdown_grace gives a program to end. A broker that says nothing costs leaving the group its time.
const stopMost = 15 * time.Second

// TestStopWhileOpening: a producer that is asked to stop before it reads has nothing to finish, whichever answer it waits for, of
// the store, a broker or the account.
func TestStopWhileOpening(t *testing.T) {
	for name, stalled := range map[string]func(w *world, o *producer.Options, s *harness.Stall){
		"store": func(_ *world, o *producer.Options, s *harness.Stall) {
			o.Archive, o.Root = s.Store(o.Archive), s.Store(o.Root)
		},
		"broker":  func(_ *world, o *producer.Options, s *harness.Stall) { o.Kafka = []kgo.Opt{s.Kafka()} },
		"account": func(w *world, _ *producer.Options, s *harness.Stall) { w.cosmos.SetHook(s.Account()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stopped := 0
			for ; ; stopped++ {
				ended, reached := w.stopAt(stopped, stalled)
				if name == "broker" { // they leave side by side
					defer ended()
				} else {
					ended()
				}
				if !reached {
					break
				}
			}
			if stopped < 3 {
				t.Errorf("got %d operations until it reads want more", stopped)
			}
			t.Logf("stopped at each of %d operations", stopped)
		})
	}
}

// stopAt stops a producer that waits for the answer to its nth operation, or that reads before it has so many; ended waits for its
// end.
func (w *world) stopAt(n int, stalled func(*world, *producer.Options, *harness.Stall)) (ended func(), reached bool) {
	w.t.Helper()
	config := *w.config
	config.Producer.Group = fmt.Sprintf("producers-%d", n) // the one before could not leave its group
	said := &harness.Buffer{}
	stall := harness.NewStall(n)
	o := producer.Options{Config: &config, Archive: w.root, Root: w.root, Log: slog.New(slog.NewTextHandler(said, nil))}
	stalled(w, &o, stall)
	p, err := producer.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.start(p)
	w.eventually("an operation without an answer, or that it reads", func() bool {
		reached = stall.Reached()
		return reached || strings.Contains(said.String(), "reading range")
	})
	began := time.Now()
	r.cancel()
	return func() {
		err := r.stop()
		if took := time.Since(began); err != nil || took > stopMost {
			w.t.Errorf("operation %d: got %v after %v want none, within %v\n%s", n, err, took, stopMost, said.String())
		}
	}, reached
}
