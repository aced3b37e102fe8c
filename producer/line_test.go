package producer

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/schemas"
)

const lineName = "topic/checkpoints/shop.orders/-FF.json"

func firstCheckpoint() schemas.Checkpoint {
	return schemas.Checkpoint{
		Container: "shop.orders", Incarnation: "rid", Range: schemas.WholeRange(), Mode: schemas.LatestVersion,
		Basis: schemas.BasisLoading, Offsets: schemas.Offsets{0: 7}, WriteID: schemas.NewUUID(),
	}
}

func putCheckpoint(t *testing.T, store blob.Store, c schemas.Checkpoint) {
	t.Helper()
	body, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), lineName, bytes.NewReader(body), blob.Always()); err != nil {
		t.Fatal(err)
	}
}

func standing(t *testing.T, store blob.Store) *schemas.Checkpoint {
	t.Helper()
	l, err := openLine(t.Context(), store, lineName, "judge")
	if err != nil {
		t.Fatal(err)
	}
	return &l.Checkpoint
}

// schedule is a store whose operations meet these steps in turn, and then no more.
type schedule struct {
	*fault.Store
	inner *mem.Store
	left  []step
	seen  int
}

// step is what one operation meets; before runs before it.
type step struct {
	fault  fault.Fault
	before func(*schedule)
}

func newSchedule(steps ...step) *schedule {
	s := &schedule{inner: mem.New(), left: steps}
	s.Store = fault.NewHooked(s.inner, func(context.Context, fault.Op) fault.Fault {
		s.seen++
		if len(s.left) == 0 {
			return fault.None
		}
		now := s.left[0]
		s.left = s.left[1:]
		if now.before != nil {
			now.before(s)
		}
		return now.fault
	})
	return s
}

// TestSaveSettlesByReadingBack plays what may happen to one write of a checkpoint. The steps are its operations: put, get
// after every answer but success, put again.
func TestSaveSettlesByReadingBack(t *testing.T) {
	foreign := func(s *schedule) { putCheckpoint(t, s.inner, firstCheckpoint()) }
	land := func(s *schedule) {
		if err := s.Land(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(s *schedule) {
		if err := s.inner.Delete(t.Context(), lineName); err != nil {
			t.Fatal(err)
		}
	}
	scribble := func(s *schedule) {
		if _, err := s.inner.Put(t.Context(), lineName, strings.NewReader(`{"of":"a later version"}`), blob.Always()); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name  string
		steps []step
		lost  bool
		ops   int
	}{
		{name: "taken", ops: 1},
		{name: "landed, answer lost", steps: []step{{fault: fault.LoseAnswer}}, ops: 2},
		{name: "not landed, answer lost", steps: []step{{fault: fault.Drop}}, ops: 3},
		{name: "own landed write answered as a conflict", steps: []step{{fault: fault.OwnConflict}}, ops: 2},
		{name: "lands between reading back and the next attempt", steps: []step{{fault: fault.Late}, {}, {before: land}}, ops: 4},
		{name: "lands after the next attempt", steps: []step{{fault: fault.Late}, {}, {}}, ops: 3},
		{name: "landed, reading back fails twice", steps: []step{{fault: fault.LoseAnswer}, {fault: fault.Drop}, {}, {fault: fault.Drop}}, ops: 6},
		{name: "another's write stands there", steps: []step{{before: foreign}}, lost: true, ops: 2},
		{name: "landed, and another wrote over it", steps: []step{{fault: fault.LoseAnswer}, {before: foreign}}, lost: true, ops: 2},
		{name: "late, and another was first", steps: []step{{fault: fault.Late}, {before: foreign}}, lost: true, ops: 2},
		{name: "removed", steps: []step{{before: remove}}, lost: true, ops: 2},
		{name: "not of this version", steps: []step{{before: scribble}}, lost: true, ops: 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSchedule()
				putCheckpoint(t, s.inner, firstCheckpoint())
				l, err := openLine(t.Context(), s, lineName, "writer")
				if err != nil {
					t.Fatal(err)
				}
				s.left, s.seen = test.steps, 0
				next := clone(l.Checkpoint)
				next.Position = 42
				err = l.save(t.Context(), next, time.Now())
				if errors.Is(err, errLost) != test.lost || (err != nil) != test.lost {
					t.Errorf("got %v, want lost: %t", err, test.lost)
				}
				if s.seen != test.ops {
					t.Errorf("got %d operations, want %d", s.seen, test.ops)
				}
				land(s)
				if test.lost {
					return
				}
				if got := standing(t, s.inner); got.Position != 42 || got.WriteID != l.Checkpoint.WriteID || got.Offsets[0] != 7 {
					t.Errorf("got %+v, want what was saved", got)
				}
				next.Position = 43
				if err := l.save(t.Context(), next, time.Now()); err != nil {
					t.Errorf("the next write: %v", err)
				}
			})
		})
	}
}

func TestSaveGivesUp(t *testing.T) {
	t.Run("store that takes nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule()
			putCheckpoint(t, s.inner, firstCheckpoint())
			l, err := openLine(t.Context(), s, lineName, "writer")
			if err != nil {
				t.Fatal(err)
			}
			s.Store = fault.NewHooked(s.inner, func(_ context.Context, op fault.Op) fault.Fault {
				if op.Kind == fault.Put {
					return fault.Drop
				}
				return fault.None
			})
			l.store = s
			began := time.Now()
			err = l.save(t.Context(), l.Checkpoint, time.Now())
			if !errors.Is(err, fault.ErrFault) || errors.Is(err, errLost) || !strings.Contains(err.Error(), lineName) {
				t.Errorf("got %v, want the store's error and the object's name", err)
			}
			if took := time.Since(began); took > 2*time.Minute {
				t.Errorf("got %v, want an end within two minutes", took)
			}
		})
	})
	t.Run("context that ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule()
			putCheckpoint(t, s.inner, firstCheckpoint())
			l, err := openLine(t.Context(), s, lineName, "writer")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			s.left = make([]step, 100)
			for i := range s.left {
				s.left[i].fault = fault.Drop
			}
			if err := l.save(ctx, l.Checkpoint, time.Now()); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errLost) {
				t.Errorf("got %v, want the context's end", err)
			}
		})
	})
}

// TestTwoLinesFence: of two readers that began from one checkpoint only the first writer goes on, and the second finds out
// whenever it writes.
func TestTwoLinesFence(t *testing.T) {
	store := mem.New()
	putCheckpoint(t, store, firstCheckpoint())
	var lines [2]*line
	for i := range lines {
		l, err := openLine(t.Context(), store, lineName, "writer")
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = l
	}
	for round := range 3 {
		if err := lines[0].save(t.Context(), lines[0].Checkpoint, time.Now()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := lines[1].save(t.Context(), lines[1].Checkpoint, time.Now()); !errors.Is(err, errLost) {
			t.Errorf("round %d: got %v, want errLost", round, err)
		}
	}
}

func TestOpenLine(t *testing.T) {
	store := mem.New()
	if _, err := openLine(t.Context(), store, lineName, "w"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("missing: got %v, want ErrNotFound", err)
	}
	for _, body := range []string{``, `{`, `{"range":{"min":"FF","max":""}}`, `{"unknown":1}`} {
		if _, err := store.Put(t.Context(), lineName, strings.NewReader(body), blob.Always()); err != nil {
			t.Fatal(err)
		}
		if _, err := openLine(t.Context(), store, lineName, "w"); !errors.Is(err, errUnreadable) {
			t.Errorf("%q: got %v, want errUnreadable", body, err)
		}
	}
}
