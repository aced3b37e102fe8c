package archiver_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// TestStopWhileOpening: an archiver that is asked to stop before it reads has nothing to finish, whichever answer it waits for,
// of the store or of a broker.
func TestStopWhileOpening(t *testing.T) {
	for name, stalled := range map[string]func(o *archiver.Options, s *harness.Stall){
		"store":  func(o *archiver.Options, s *harness.Stall) { o.Archive = s.Store(o.Archive) },
		"broker": func(o *archiver.Options, s *harness.Stall) { o.Kafka = []kgo.Opt{s.Kafka()} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sendChanges(20)
			w.send(w.change(0, 20))
			r := w.run(w.store)
			w.waitArchived()
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			stopped := 0
			for w.stopsAt(stopped, stalled) {
				stopped++
			}
			if stopped < 5 {
				t.Errorf("got %d operations until it reads want more", stopped)
			}
			t.Logf("stopped at each of %d operations", stopped)
		})
	}
}

// stopsAt stops an archiver that waits for the answer to its nth operation; false when it reads before it has so many.
func (w *world) stopsAt(n int, stalled func(*archiver.Options, *harness.Stall)) bool {
	w.t.Helper()
	config := *w.config
	config.Archiver.Group = fmt.Sprintf("archivers-%d", n) // the one before could not leave its group
	config.Service.ShutdownGrace = time.Second
	var said harness.Buffer
	stall := harness.NewStall(n)
	o := archiver.Options{Config: &config, Archive: w.store, Producer: w.store, Log: slog.New(slog.NewTextHandler(&said, nil))}
	stalled(&o, stall)
	r := w.runWith(o)
	reached := false
	w.eventually("an operation without an answer, or that it reads", func() bool {
		reached = stall.Reached()
		return reached || strings.Count(said.String(), "reading topic partition") == partitions
	})
	began := time.Now()
	err := r.stop()
	if took := time.Since(began); reached && (err != nil || took > config.Service.ShutdownGrace) {
		w.t.Errorf("operation %d: got %v after %v want none, within %v\n%s", n, err, took, config.Service.ShutdownGrace, said.String())
	}
	return reached
}
