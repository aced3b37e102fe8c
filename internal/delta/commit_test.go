package delta

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
)

// hurried waits for nothing.
func hurried() Options {
	return Options{Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

// onPut is a schedule: the nth put of a version meets the nth fault, what comes after meets none. before may be nil.
func onPut(faults []fault.Fault, before func(n int)) func(context.Context, fault.Op) fault.Fault {
	n := 0
	return func(_ context.Context, op fault.Op) fault.Fault {
		if op.Kind != fault.Put || !strings.HasSuffix(op.Name, commitSuffix) {
			return fault.None
		}
		n++
		if before != nil {
			before(n)
		}
		if n > len(faults) {
			return fault.None
		}
		return faults[n-1]
	}
}

// TestUnclearAnswers commits once over a store that answers badly: the commit stands exactly once, at the version that
// was tried first.
func TestUnclearAnswers(t *testing.T) {
	for name, faults := range map[string][]fault.Fault{
		"dropped":                {fault.Drop},
		"answer lost":            {fault.LoseAnswer},
		"own landed conflict":    {fault.OwnConflict},
		"late":                   {fault.Late},
		"dropped thrice":         {fault.Drop, fault.Drop, fault.Drop},
		"dropped, then lost":     {fault.Drop, fault.LoseAnswer},
		"lost, then dropped":     {fault.LoseAnswer, fault.Drop},
		"late, then own":         {fault.Late, fault.OwnConflict},
		"nine times out of ten ": {fault.Drop, fault.Drop, fault.Late, fault.Drop, fault.Drop, fault.Drop, fault.Late, fault.Drop, fault.Drop},
	} {
		t.Run(name, func(t *testing.T) {
			inner := mem.New()
			base := grow(t, inner, 3, Options{})
			store := fault.NewHooked(inner, onPut(faults, nil))
			prepared := 0
			s, err := Commit(t.Context(), store, base, func(ctx context.Context, below *Snapshot) (Actions, error) {
				prepared++
				return addTo("mine")(ctx, below)
			}, hurried())
			if err != nil || s.Version != 3 || prepared != 1 {
				t.Fatalf("got %v, version %d after %d preparations, want version 3 after 1", err, s.Version, prepared)
			}
			if err := store.Land(t.Context()); err != nil {
				t.Fatal(err)
			}
			loaded, err := Load(t.Context(), inner, Options{})
			if err != nil || describe(loaded) != describe(s) {
				t.Errorf("got %v and\n%s\nwant\n%s", err, describe(loaded), describe(s))
			}
		})
	}
}

// TestUnclearRace loses an answer while somebody else is first: the commit is not taken for the other's, nor the other's
// for ours.
func TestUnclearRace(t *testing.T) {
	for name, test := range map[string]struct {
		faults  []fault.Fault
		otherAt int // the put before which the other commits
		version int64
	}{
		"other first, dropped":   {[]fault.Fault{fault.Drop}, 1, 4},
		"other first, lost":      {[]fault.Fault{fault.LoseAnswer}, 1, 4},
		"other after a drop":     {[]fault.Fault{fault.Drop}, 2, 4},
		"other after ours":       {[]fault.Fault{fault.LoseAnswer}, 2, 3},
		"other before ours late": {[]fault.Fault{fault.Late}, 2, 4},
	} {
		t.Run(name, func(t *testing.T) {
			inner := mem.New()
			base := grow(t, inner, 3, Options{})
			store := fault.NewHooked(inner, onPut(test.faults, func(n int) {
				if n != test.otherAt {
					return
				}
				if other, err := base.Refresh(t.Context()); err != nil || other.Version == base.Version {
					mustCommit(t, inner, base, addTo("other"), Options{})
				}
			}))
			s, err := Commit(t.Context(), store, base, addTo("mine"), hurried())
			if err != nil || s.Version != test.version {
				t.Fatalf("got %v, version %d, want version %d", err, s.Version, test.version)
			}
			if err := store.Land(t.Context()); err != nil {
				t.Fatal(err)
			}
			loaded, err := Load(t.Context(), inner, Options{})
			if err != nil || describe(loaded) != describe(s) {
				t.Errorf("got %v and\n%s\nwant\n%s", err, describe(loaded), describe(s))
			}
		})
	}
}

// TestNoAnswerAtAll gives up at last, says that the commit may stand, and never tries the next version.
func TestNoAnswerAtAll(t *testing.T) {
	for name, how := range map[string]fault.Fault{"dropped": fault.Drop, "late": fault.Late} {
		t.Run(name, func(t *testing.T) {
			inner := mem.New()
			base := grow(t, inner, 3, Options{})
			store := fault.NewHooked(inner, func(_ context.Context, op fault.Op) fault.Fault {
				if op.Kind == fault.Put {
					if op.Name != commitName(3) {
						t.Errorf("put of %s, want version 3 alone", op.Name)
					}
					return how
				}
				return fault.None
			})
			_, err := Commit(t.Context(), store, base, addTo("mine"), hurried())
			var uncertain *UncertainError
			if !errors.As(err, &uncertain) || uncertain.Version != 3 || !errors.Is(err, fault.ErrFault) {
				t.Errorf("got %v, want an uncertain version 3", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			opts := Options{Wait: func(context.Context, time.Duration) error { cancel(); return ctx.Err() }}
			if _, err = Commit(ctx, store, base, addTo("mine"), opts); !errors.As(err, &uncertain) || !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled while unclear: got %v, want it uncertain and cancelled", err)
			}
		})
	}
}

// TestLostRaces shows every version that came between to prepare, and gives up after a bound.
func TestLostRaces(t *testing.T) {
	inner := mem.New()
	base := grow(t, inner, 1, Options{})
	var seen []int64
	store := fault.NewHooked(inner, onPut(nil, func(n int) {
		if n <= 3 {
			grow(t, inner, n, Options{}) // the first race is lost by one version, the third by three
		}
	}))
	s, err := Commit(t.Context(), store, base, func(ctx context.Context, below *Snapshot) (Actions, error) {
		seen = append(seen, below.Version)
		if got := below.Txns["app"]; got != below.Version {
			t.Errorf("txn in the snapshot below: got %d, want %d", got, below.Version)
		}
		return addTo("mine")(ctx, below)
	}, hurried())
	if err != nil || s.Version != 7 || len(seen) != 4 || seen[3] != 6 {
		t.Errorf("got %v, version %d on top of %v, want version 7 on top of 0, 1, 3, 6", err, s.Version, seen)
	}

	opts := hurried()
	opts.MaxAttempts = 5
	store = fault.NewHooked(inner, onPut(nil, func(int) { grow(t, inner, 1, Options{}) }))
	if _, err := Commit(t.Context(), store, s, addTo("never"), opts); !errors.Is(err, ErrContended) {
		t.Errorf("always second: got %v, want %v", err, ErrContended)
	}
}

// TestCleanedLog pauses a writer until its version lies in a cleaned part of the log.
func TestCleanedLog(t *testing.T) {
	clean := func(t *testing.T, store blob.Store, below int64) {
		for v := range below {
			remove(t, store, commitName(v), checkpointName(v))
		}
	}
	opts := hurried()
	opts.CheckpointEvery = 10
	t.Run("before the commit", func(t *testing.T) {
		store := mem.New()
		base := grow(t, store, 3, opts)
		grow(t, store, 10, opts)
		clean(t, store, 10)
		if s, err := Commit(t.Context(), store, base, addTo("mine"), opts); err != nil || s.Version != 13 {
			t.Errorf("got %v, version %d, want version 13", err, s.Version)
		}
	})
	for name, first := range map[string]int{"within the commit": 3, "within the first commit": 0} {
		t.Run(name, func(t *testing.T) {
			inner := mem.New()
			base := grow(t, inner, first, opts)
			store := fault.NewHooked(inner, onPut(nil, func(n int) {
				if n == 1 {
					grow(t, inner, 13, opts)
					clean(t, inner, 10)
				}
			}))
			_, err := Commit(t.Context(), store, base, addTo("mine"), opts)
			wantCleaned(t, err, int64(first))
		})
	}
	t.Run("two paused writers", func(t *testing.T) {
		// The second one's version below is there again, put by the first into the hole, and is not what it was.
		inner := mem.New()
		base := grow(t, inner, 3, opts)
		store := fault.NewHooked(inner, onPut(nil, func(n int) {
			if n == 1 {
				grow(t, inner, 10, opts)
				clean(t, inner, 10)
				write(t, inner, commitName(2), `{"commitInfo":{"txnId":"another"}}`)
			}
		}))
		_, err := Commit(t.Context(), store, base, addTo("mine"), opts)
		wantCleaned(t, err, 3)
	})
	t.Run("the same bytes again", func(t *testing.T) {
		// Where versions are content hashes, what a paused writer repeats into the hole differs by its time alone.
		root := t.TempDir()
		inner, err := dir.New(root, dir.Options{})
		if err != nil {
			t.Fatal(err)
		}
		base := grow(t, inner, 3, opts)
		data, _, err := blob.ReadAll(t.Context(), inner, commitName(2), maxCommit)
		if err != nil {
			t.Fatal(err)
		}
		store := fault.NewHooked(inner, onPut(nil, func(n int) {
			if n == 1 {
				grow(t, inner, 10, opts)
				clean(t, inner, 10)
				write(t, inner, commitName(2), string(data))
				later := time.Now().Add(8 * 24 * time.Hour)
				if err := os.Chtimes(filepath.Join(root, commitName(2)), later, later); err != nil {
					t.Fatal(err)
				}
			}
		}))
		_, err = Commit(t.Context(), store, base, addTo("mine"), opts)
		wantCleaned(t, err, 3)
	})
	t.Run("another in the hole", func(t *testing.T) {
		inner := mem.New()
		base := grow(t, inner, 3, opts)
		store := fault.NewHooked(inner, onPut([]fault.Fault{fault.LoseAnswer}, func(n int) {
			if n == 2 { // ours had landed
				grow(t, inner, 10, opts)
				clean(t, inner, 10)
				write(t, inner, commitName(3), `{"commitInfo":{"txnId":"another"}}`)
			}
		}))
		_, err := Commit(t.Context(), store, base, addTo("mine"), opts)
		wantCleaned(t, err, 3)
	})
}

// wantCleaned wants a commit to be uncertain because the log was cleaned around it.
func wantCleaned(t *testing.T, err error, version int64) {
	t.Helper()
	var uncertain *UncertainError
	if !errors.As(err, &uncertain) || uncertain.Version != version || !errors.Is(err, errCleaned) {
		t.Errorf("got %v, want version %d uncertain because of a cleaned log", err, version)
	}
}

// TestPausedAfterThePut pauses a writer whose commit has landed until others have written a checkpoint above it, or have
// cleaned the log too. The commit is part of the table; whatever the writer is told, it must not be that it is not.
func TestPausedAfterThePut(t *testing.T) {
	opts := hurried()
	opts.CheckpointEvery = 10
	for name, test := range map[string]struct{ first, cleaned int }{
		"the first version, a checkpoint above": {0, 0},
		"a later version, cleaned up to it":     {3, 3},
		"a later version, cleaned with it":      {3, 10},
	} {
		t.Run(name, func(t *testing.T) {
			inner := mem.New()
			grow(t, inner, test.first, opts)
			landed, paused := false, false
			store := fault.NewHooked(inner, func(_ context.Context, op fault.Op) fault.Fault {
				if landed && !paused { // the look at the log, after the put
					paused = true
					grow(t, inner, 13, opts)
					for v := range int64(test.cleaned) {
						remove(t, inner, commitName(v))
					}
				}
				landed = landed || op.Kind == fault.Put && strings.HasSuffix(op.Name, commitSuffix)
				return fault.None
			})
			_, err := Commit(t.Context(), store, nil, addTo("mine"), opts)
			wantCleaned(t, err, int64(test.first))
			if loaded, err := Load(t.Context(), inner, Options{}); err != nil || !slices.ContainsFunc(loaded.Files, func(a Add) bool { return a.Path == "mine" }) {
				t.Errorf("got %v and\n%s\nwant a table that holds the file of the commit", err, describe(loaded))
			}
		})
	}
}

// TestOldBase loads a base anew that is older than a day by the store's clock.
func TestOldBase(t *testing.T) {
	for age, loads := range map[time.Duration]bool{23 * time.Hour: false, 25 * time.Hour: true} {
		now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
		inner := mem.NewAt(func() time.Time { return now })
		base := grow(t, inner, 3, Options{})
		lists := 0
		store := fault.NewHooked(inner, func(_ context.Context, op fault.Op) fault.Fault {
			if op.Kind == fault.List {
				lists++
			}
			return fault.None
		})
		now = now.Add(age)
		if s, err := Commit(t.Context(), store, base, addTo("mine"), hurried()); err != nil || s.Version != 3 || !s.Checked.Equal(now) {
			t.Errorf("base of %v: got %v, version %d checked %v, want 3 at %v", age, err, s.Version, s.Checked, now)
		}
		if (lists > 0) != loads {
			t.Errorf("base of %v: got %d listings, want a load: %v", age, lists, loads)
		}
	}
}

// TestSweepBarrier refuses files that the store wrote at or before the horizon in the version just below (INV-8).
func TestSweepBarrier(t *testing.T) {
	uploaded := testAdd("mine").Modified.Add(600 * time.Microsecond)
	prepare := func(ctx context.Context, below *Snapshot) (Actions, error) {
		add := testAdd("mine")
		add.Modified = uploaded
		return Actions{Adds: []Add{add, {Path: "young", Size: 1, Modified: uploaded.Add(time.Hour)}}}, nil
	}
	sweep := func(horizon int64) func(context.Context, *Snapshot) (Actions, error) {
		return func(context.Context, *Snapshot) (Actions, error) {
			return Actions{Txns: []Txn{{AppID: SweepAppID, Version: horizon}}}, nil
		}
	}
	for name, test := range map[string]struct {
		horizon int64
		swept   bool
	}{"before": {uploaded.UnixMilli() - 1, false}, "the same millisecond": {uploaded.UnixMilli(), true}, "after": {uploaded.UnixMilli() + 1, true}} {
		t.Run(name, func(t *testing.T) {
			inner := mem.New()
			base := grow(t, inner, 2, Options{})
			// The remover commits between the base and the put.
			store := fault.NewHooked(inner, onPut(nil, func(n int) {
				if n == 1 {
					mustCommit(t, inner, base, sweep(test.horizon), Options{})
				}
			}))
			s, err := Commit(t.Context(), store, base, prepare, hurried())
			var swept *SweptError
			if got := errors.As(err, &swept); got != test.swept || !got && err != nil {
				t.Fatalf("got %v, want it swept: %v", err, test.swept)
			}
			if test.swept && (len(swept.Adds) != 1 || swept.Adds[0].Path != "mine" || swept.Horizon.UnixMilli() != test.horizon || s.Version != 2) {
				t.Errorf("got %+v below version %d, want the one file, the horizon and version 2", swept, s.Version)
			}
			if _, err = Commit(t.Context(), inner, s, sweep(test.horizon-1), hurried()); err == nil {
				t.Error("a horizon that falls: got no error")
			}
		})
	}
}

// TestRefusedActions refuses what would harm the table, before anything is written.
func TestRefusedActions(t *testing.T) {
	file := func(path string) Add { return testAdd(path) }
	for name, test := range map[string]struct {
		actions Actions
		want    string
	}{
		"two adds of a file":       {Actions{Adds: []Add{file("x"), file("x")}}, "stands twice"},
		"add and remove of a file": {Actions{Adds: []Add{file("0000.parquet")}, Removes: []Remove{RemoveOf(file("0000.parquet"))}}, "stands twice"},
		"add of a live file":       {Actions{Adds: []Add{file("0000.parquet")}}, "already"},
		"remove of no file":        {Actions{Removes: []Remove{RemoveOf(file("x"))}}, "not part of the table"},
		"add without a time":       {Actions{Adds: []Add{{Path: "x", Size: 1}}}, "required"},
		"add without a size":       {Actions{Adds: []Add{{Path: "x", Modified: time.Now()}}}, "required"},
		"add of a path outside":    {Actions{Adds: []Add{file("/x")}}, "outside"},
		"two txns of an app":       {Actions{Txns: []Txn{{AppID: "a"}, {AppID: "a"}}}, "stands twice"},
		"newer protocol":           {Actions{Protocol: &Protocol{MinReader: 3, MinWriter: 7}}, "minReaderVersion 3"},
		"invariants":               {Actions{Metadata: &Metadata{ID: "x", Schema: []byte(`{"delta.invariants":"x"}`)}}, "delta.invariants"},
		"append only": {
			Actions{Metadata: &Metadata{ID: "x", Configuration: map[string]string{"delta.appendOnly": "true"}}, Removes: []Remove{RemoveOf(file("0000.parquet"))}},
			"append-only",
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := mem.New()
			base := grow(t, store, 1, Options{})
			_, err := Commit(t.Context(), store, base, func(context.Context, *Snapshot) (Actions, error) { return test.actions, nil }, hurried())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that says %q", err, test.want)
			}
			if names := logNames(t, store); len(names) != 1 {
				t.Errorf("log: got %v, want nothing new", names)
			}
		})
	}
	if _, err := Commit(t.Context(), mem.New(), nil, func(context.Context, *Snapshot) (Actions, error) { return Actions{}, nil }, hurried()); err == nil {
		t.Error("a first version without metadata: got no error")
	}
}

// TestBackground writes checkpoints where the caller says, and only at their versions.
func TestBackground(t *testing.T) {
	store := mem.New()
	var tasks []func(context.Context)
	opts := Options{CheckpointEvery: 5, WithoutFiles: true, Background: func(task func(context.Context)) { tasks = append(tasks, task) }}
	grow(t, store, 12, opts)
	if names := logNames(t, store); len(names) != 12 || len(tasks) != 2 {
		t.Fatalf("got %d objects and %d tasks, want 12 and 2", len(names), len(tasks))
	}
	for _, i := range []int{1, 0, 1} { // late, out of order, twice
		tasks[i](t.Context())
	}
	want := grow(t, store, 0, Options{})
	for _, name := range logNames(t, store)[:11] {
		if strings.HasSuffix(name, commitSuffix) && name < commitName(10) {
			remove(t, store, name)
		}
	}
	got, err := Load(t.Context(), store, Options{})
	if err != nil || describe(got) != describe(want) || len(got.Files) != 12 {
		t.Errorf("got %v and\n%s\nwant\n%s", err, describe(got), describe(want))
	}
}
