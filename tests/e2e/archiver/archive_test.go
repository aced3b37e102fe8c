package archiver_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/internal/delta"
)

func TestEveryRecordIsOneRow(t *testing.T) {
	w := newWorld(t)
	first := w.run(w.store)
	w.sendChanges(500)
	second := w.run(w.store)
	w.sendChanges(500)
	w.waitArchived()
	w.check()
	for _, r := range []*running{first, second} {
		if err := r.stop(); err != nil {
			t.Errorf("got %v want a clean end", err)
		}
	}
}

// TestKilledArchivers kills archivers at random moments, over stores that lose and delay answers. A killed one does
// nothing any more to the store, whatever it was about to do.
func TestKilledArchivers(t *testing.T) {
	w := newWorld(t)
	w.config.Service.ShutdownGrace = 20 * time.Millisecond // a killed one shall not linger
	alive := make([]*mortal, 2)
	for round := range 12 {
		i := w.rng.IntN(len(alive))
		if alive[i] != nil {
			alive[i].kill()
		}
		alive[i] = w.runMortal(w.rng.Uint64(), 0.03)
		w.sendChanges(40)
		// Let the archive move on a little, or not.
		before := w.changes().Snapshot.Version
		if round%3 > 0 {
			w.eventually("a commit", func() bool { return w.changes().Snapshot.Version > before })
		}
	}
	for _, m := range alive {
		if m != nil {
			m.kill()
		}
	}
	w.run(w.store)
	w.waitArchived()
	for _, m := range alive {
		if m != nil {
			if err := m.faults.Stop(t.Context()); err != nil { // what was late lands now
				t.Fatal(err)
			}
		}
	}
	w.check()
}

// mortal is an archiver that can be killed: its store does nothing for it from then on.
type mortal struct {
	*running
	dead   atomic.Bool
	faults *fault.Store
}

func (w *world) runMortal(seed uint64, rate float64) *mortal {
	m := &mortal{faults: fault.New(w.store, seed, fault.Evenly(rate))}
	store := fault.NewHooked(m.faults, func(context.Context, fault.Op) fault.Fault {
		if m.dead.Load() {
			return fault.Drop
		}
		return fault.None
	})
	m.running = w.runWith(archiver.Options{Config: w.config, Archive: store, Producer: store, Log: discard()})
	return m
}

func (m *mortal) kill() {
	m.dead.Store(true)
	_ = m.stop() // it says what its store says
}

// holdCommit is the world's store, but it holds the first commit back, says so on reached, and lets it go on release.
func (w *world) holdCommit() (store blob.Store, reached <-chan struct{}, release chan<- struct{}) {
	begun, on := make(chan struct{}), make(chan struct{})
	var once sync.Once
	store = fault.NewHooked(w.store, func(_ context.Context, op fault.Op) fault.Fault {
		if op.Kind == fault.Put && strings.Contains(op.Name, "_delta_log") {
			once.Do(func() {
				close(begun)
				<-on
			})
		}
		return fault.None
	})
	return store, begun, on
}

// TestPausedArchiver holds an archiver in the middle of its commit until another one has archived the same records. Then
// it goes on, and none of its rows may stand twice.
func TestPausedArchiver(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(60)
	paused, reached, release := w.holdCommit()
	zombie := w.run(paused)
	<-reached
	other := *w.config
	other.Archiver.Group = "others" // so that it is given all partitions, as after a session timeout
	healthy := w.runWith(archiver.Options{Config: &other, Archive: w.store, Producer: w.store, Log: w.log()})
	w.waitArchived()
	close(release)
	w.sendChanges(20)
	w.waitArchived()
	if err := errors.Join(zombie.stop(), healthy.stop()); err != nil {
		t.Errorf("got %v want clean ends", err)
	}
	w.check()
}

// TestPartOfAFlushIsLost: of the partitions that a paused archiver is about to commit, another one has been given half,
// and was first. The other half still gets committed by the flush that was paused.
func TestPartOfAFlushIsLost(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(80)
	paused, reached, release := w.holdCommit()
	w.run(paused)
	<-reached
	w.run(w.store)
	w.eventually("half of the partitions are archived by the second", func() bool { return len(w.changes().Offsets()) == partitions/2 })
	version := w.changes().Snapshot.Version
	close(release)
	w.waitArchived()
	next, err := delta.LoadAt(t.Context(), w.changes().Store(), version+1, delta.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(archive.ArchivedOffsets(next, w.uuid)); got != partitions {
		t.Errorf("got %d partitions in the version after want all %d, by one flush", got, partitions)
	}
	w.check()
}

// TestTwoArchiversFightForEveryPartition lets two archivers believe that all partitions are theirs, all the time.
func TestTwoArchiversFightForEveryPartition(t *testing.T) {
	w := newWorld(t)
	first := w.run(w.store)
	other := *w.config
	other.Archiver.Group = "others"
	second := w.runWith(archiver.Options{Config: &other, Archive: w.store, Producer: w.store, Log: discard()})
	for range 8 {
		before := w.changes().Snapshot.Version
		w.sendChanges(50)
		w.eventually("a commit", func() bool { return w.changes().Snapshot.Version > before })
	}
	w.waitArchived()
	if err := errors.Join(first.stop(), second.stop()); err != nil {
		t.Errorf("got %v want clean ends", err)
	}
	w.check()
}

// TestUnclearCommit loses the answer of commits in every way; each commit stands once.
func TestUnclearCommit(t *testing.T) {
	for name, how := range map[string]fault.Fault{"lost answer": fault.LoseAnswer, "own conflict": fault.OwnConflict, "dropped": fault.Drop, "late": fault.Late} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var n atomic.Int32
			store := fault.NewHooked(w.store, func(_ context.Context, op fault.Op) fault.Fault {
				if op.Kind == fault.Put && strings.Contains(op.Name, "_delta_log") && n.Add(1)%3 == 1 {
					return how
				}
				return fault.None
			})
			r := w.run(store)
			for range 4 {
				w.sendChanges(20)
				w.waitArchived()
				if err := store.Land(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.stop(); err != nil {
				t.Errorf("got %v want a clean end", err)
			}
			w.check()
		})
	}
}

// TestOutageIsRiddenOut: a store that does not answer for minutes is waited for, and the process says that it is not ready.
func TestOutageIsRiddenOut(t *testing.T) {
	w := newWorld(t)
	var down atomic.Bool
	store := fault.NewHooked(w.store, func(context.Context, fault.Op) fault.Fault {
		if down.Load() {
			return fault.Drop
		}
		return fault.None
	})
	var waited time.Duration // while it is down; of the archiver's goroutine
	passed, up := make(chan struct{}), make(chan struct{})
	var ready atomic.Bool
	r := w.runWith(archiver.Options{
		Config: w.config, Archive: store, Producer: store, Log: slog.New(slog.DiscardHandler),
		Sleep: func(ctx context.Context, d time.Duration) error {
			if waited += d; waited < 5*time.Minute {
				return ctx.Err()
			}
			close(passed)
			<-up
			return ctx.Err()
		},
		Report: func(part string, err error) {
			if part == "archive" {
				ready.Store(err == nil)
			}
		},
	})
	w.sendChanges(50)
	w.waitArchived()
	down.Store(true)
	w.sendChanges(50)
	select {
	case <-passed:
	case <-time.After(patience):
		t.Fatalf("got an end with %v want it to wait for the store", r.stop())
	}
	if ready.Load() {
		t.Error("got ready want not ready while the store does not answer")
	}
	down.Store(false)
	close(up)
	w.waitArchived()
	w.eventually("it is ready again", ready.Load)
	if err := r.stop(); err != nil {
		t.Errorf("got %v want a clean end", err)
	}
	w.check()
}

// TestStopFlushes: SIGTERM commits what is buffered.
func TestStopFlushes(t *testing.T) {
	w := newWorld(t)
	w.config.Archiver.FlushInterval = time.Hour
	w.sendChanges(100)
	var polled polledRecords
	r := w.runWith(archiver.Options{Config: w.config, Archive: w.store, Producer: w.store, Log: w.log(), Kafka: []kgo.Opt{kgo.WithHooks(&polled)}})
	w.eventually("all is read", func() bool { return polled.n.Load() == 100 })
	if got := w.changes().Snapshot.Version; got != delta.NoTable {
		t.Errorf("got version %d before the stop want none", got)
	}
	if err := r.stop(); err != nil {
		t.Errorf("got %v want a clean end", err)
	}
	w.waitArchived()
	w.check()
}

// TestStoppedAtTheStart: to be stopped is no failure, however early.
func TestStoppedAtTheStart(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(20)
	for n := range 8 {
		reached, stopped := make(chan struct{}), make(chan struct{})
		r := w.run(fault.NewHooked(w.store, func(_ context.Context, op fault.Op) fault.Fault {
			if op.N != n {
				return fault.None
			}
			close(reached)
			<-stopped
			return fault.Drop
		}))
		select {
		case <-reached:
		case <-time.After(patience):
			t.Fatalf("after %v still no operation %d of the store", patience, n)
		}
		r.cancel()
		close(stopped)
		if err := r.wait(); err != nil {
			t.Errorf("stopped at operation %d of the store: got %v want a clean end", n, err)
		}
	}
}

// polledRecords counts what an archiver was given.
type polledRecords struct{ n atomic.Int64 }

func (p *polledRecords) OnFetchRecordUnbuffered(_ *kgo.Record, polled bool) {
	if polled {
		p.n.Add(1)
	}
}

// TestFlushByBytes: a full buffer is committed whatever the interval says (INV-9).
func TestFlushByBytes(t *testing.T) {
	w := newWorld(t)
	w.config.Archiver.FlushInterval, w.config.Archiver.FlushBytes = time.Hour, 16<<10
	var polled polledRecords
	r := w.runWith(archiver.Options{Config: w.config, Archive: w.store, Producer: w.store, Log: w.log(), Kafka: []kgo.Opt{kgo.WithHooks(&polled)}})
	w.sendChanges(600) // about 200 KiB
	w.eventually("at least 8 commits", func() bool { return w.changes().Snapshot.Version >= 7 })
	w.eventually("all is read", func() bool { return polled.n.Load() == 600 })
	for _, file := range w.changes().Snapshot.Files {
		if file.Size > 32<<10 {
			t.Errorf("got a file of %d bytes want less than 32 KiB", file.Size)
		}
	}
	if err := r.stop(); err != nil {
		t.Errorf("got %v want a clean end", err)
	}
	w.waitArchived()
	w.check()
}

// TestSweptFilesAreUploadedAgain: a flush that a sweep has overtaken commits none of the files that it may have removed
// (INV-8).
func TestSweptFilesAreUploadedAgain(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(10)
	table := blob.Prefixed(w.store, topicName+"/changes/")
	var once sync.Once
	swept := map[string]bool{}
	store := fault.NewHooked(w.store, func(ctx context.Context, op fault.Op) fault.Fault {
		if op.Kind != fault.Put || !strings.HasSuffix(op.Name, "_delta_log/00000000000000000001.json") {
			return fault.None
		}
		once.Do(func() { // a sweep comes between upload and commit, and takes its version
			referred := map[string]bool{}
			for _, file := range w.changes().Snapshot.Files {
				referred[file.Path] = true
			}
			horizon := time.Time{}
			err := table.List(ctx, "container=", func(i blob.Info) error {
				if i.Modified.After(horizon) {
					horizon = i.Modified
				}
				if !referred[i.Name] {
					swept[i.Name] = true
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			_, err = delta.Commit(ctx, table, nil, func(context.Context, *delta.Snapshot) (delta.Actions, error) {
				return delta.Actions{Txns: []delta.Txn{{AppID: delta.SweepAppID, Version: horizon.UnixMilli()}}}, nil
			}, delta.Options{})
			if err != nil {
				t.Error(err)
			}
			for name := range swept {
				if err := table.Delete(ctx, name); err != nil {
					t.Error(err)
				}
			}
		})
		return fault.None
	})
	w.run(store)
	w.waitArchived()
	w.sendChanges(10)
	w.waitArchived()
	if len(swept) == 0 {
		t.Error("got no swept file want some: the sweep came too early or too late")
	}
	w.check()
}
