package compactor

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/schemas"
)

// TestCrashAtEveryStep stops a compactor at each of its operations, before and after the store did it, and lets another
// one go on.
func TestCrashAtEveryStep(t *testing.T) {
	for _, first := range []fault.Fault{fault.Drop, fault.LoseAnswer} {
		for _, old := range []bool{false, true} {
			crashes, resumed := 0, 0
			for at := 0; ; at++ {
				s := newStory(t, rand.New(rand.NewPCG(5, 6)), mem.New())
				s.tell(t, 40)
				if old { // there is a snapshot already
					if _, err := snapshot(t.Context(), newCompactor(t, s.root), s.target, ""); err != nil {
						t.Fatal(err)
					}
					s.tell(t, 30)
				}
				before := s.check(t)
				dying := fault.NewHooked(s.root, func(_ context.Context, op fault.Op) fault.Fault {
					switch {
					case op.N < at:
						return fault.None
					case op.N == at && (op.Kind == fault.Put || op.Kind == fault.Delete):
						return first
					}
					return fault.Drop
				})
				_, err := snapshot(t.Context(), newCompactor(t, dying), s.target, "")
				after := s.check(t)
				if len(after) != len(before) && len(after) != len(before)+1 {
					t.Fatalf("step %d: got snapshots %v, before the crash %v", at, after, before)
				}
				if err == nil {
					break
				}
				crashes++
				plan, err := newCompactor(t, s.root).Plan(t.Context(), s.target, "")
				must(t, err)
				if plan.Resume {
					resumed++
				}
				if _, err := newCompactor(t, s.root).Execute(t.Context(), plan); err != nil {
					t.Fatalf("step %d: after the crash: %v", at, err)
				}
				if names := s.check(t); len(names) != len(before)+1 || names[len(names)-1] != plan.Point.Name {
					t.Fatalf("step %d: got snapshots %v", at, names)
				}
			}
			t.Logf("fault %d, snapshot before %v: %d crashes, %d gone on with files that were there", first, old, crashes, resumed)
			if crashes < 20 || resumed == 0 {
				t.Errorf("got %d crashes, %d resumed: the test tries too little", crashes, resumed)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range 20 {
		s := newStory(t, rand.New(rand.NewPCG(seed, uint64(round))), mem.New())
		flaky := fault.New(s.root, seed+uint64(round), fault.Evenly(0.03))
		done := 0
		for range 6 {
			s.tell(t, 20)
			for range 4 {
				if _, err := snapshot(t.Context(), newCompactor(t, flaky), s.target, ""); err == nil {
					done++
				}
			}
			s.check(t)
		}
		must(t, flaky.Stop(t.Context()))
		s.tell(t, 20)
		if _, err := snapshot(t.Context(), newCompactor(t, s.root), s.target, ""); err != nil {
			t.Fatalf("seed %d round %d: without faults: %v", seed, round, err)
		}
		s.check(t)
	}
}

// paused is a store whose first put of a name with that in it waits.
func paused(root blob.Store, name string) (store blob.Store, reached <-chan struct{}, goOn chan<- struct{}) {
	at, wait := make(chan struct{}), make(chan struct{})
	var once sync.Once
	return fault.NewHooked(root, func(_ context.Context, op fault.Op) fault.Fault {
		if op.Kind == fault.Put && strings.Contains(op.Name, name) {
			once.Do(func() { close(at); <-wait })
		}
		return fault.None
	}), at, wait
}

func TestTwoCompactors(t *testing.T) {
	const manifest, commit = "/snapshots/", "_delta_log/"
	for _, c := range []struct {
		name string
		at   string // where the slow one waits
		same bool   // both take the same point
		old  bool   // there is a snapshot already
	}{
		{"same point, first snapshot", commit, true, false},
		{"same point", commit, true, true},
		{"same point, before the manifest", manifest, true, true},
		{"different points, first snapshot", commit, false, false},
		{"different points", commit, false, true},
		{"different points, before the manifest", manifest, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, rand.New(rand.NewPCG(8, 9)), mem.New())
			s.tell(t, 60)
			if c.old {
				if _, err := snapshot(t.Context(), newCompactor(t, s.root), s.target, ""); err != nil {
					t.Fatal(err)
				}
				s.tell(t, 30)
			}
			store, reached, goOn := paused(s.root, c.at)
			slow := newCompactor(t, store)
			plan, err := slow.Plan(t.Context(), s.target, "")
			must(t, err)
			answer := make(chan error, 1)
			go func() {
				_, err := slow.Execute(t.Context(), plan)
				answer <- err
			}()
			<-reached
			if !c.same {
				s.tell(t, 30)
			}
			fast, err := snapshot(t.Context(), newCompactor(t, s.root), s.target, "")
			must(t, err)
			close(goOn)
			err = <-answer
			switch {
			case c.same && err != nil:
				t.Errorf("got %v want the same snapshot", err)
			case !c.same && !errors.Is(err, ErrOvertaken):
				t.Errorf("got %v want %v", err, ErrOvertaken)
			}
			if names := s.check(t); names[len(names)-1] != fast.Point {
				t.Errorf("got newest snapshot %s want %s", names[len(names)-1], fast.Point)
			}
			if n := s.filesOf(t, fast.Point); n != fast.Files {
				t.Errorf("got %d files of the point in the store want %d: the loser's go", n, fast.Files)
			}
		})
	}
}

// filesOf counts the files in the store that were made for a point.
func (s *story) filesOf(t *testing.T, point string) (n int) {
	t.Helper()
	prefix := schemas.StatePrefix(topic, shop, s.world.Incarnation) + point
	must(t, s.root.List(t.Context(), prefix, func(blob.Info) error { n++; return nil }))
	return n
}

func TestManyCompactors(t *testing.T) {
	s := newStory(t, rand.New(rand.NewPCG(18, 9)), mem.New())
	for range 3 {
		s.tell(t, 60)
		var wg sync.WaitGroup
		fresh := make(chan bool, 6)
		for range 6 {
			wg.Go(func() {
				result, err := snapshot(t.Context(), newCompactor(t, s.root), s.target, "")
				if err != nil {
					t.Error(err)
					return
				}
				fresh <- result.Fresh
			})
		}
		wg.Wait()
		close(fresh)
		n := 0
		for f := range fresh {
			if f {
				n++
			}
		}
		if n != 1 {
			t.Errorf("got %d that made the snapshot want 1", n)
		}
		s.check(t)
	}
}
