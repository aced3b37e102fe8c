// Package fault makes a blob.Store fail as a network and a server's retries make it fail, by a seed or by an exact
// schedule. What it breaks is the answer and the time; the store inside stays sound.
package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"sync"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// ErrFault is what every injected error wraps.
var ErrFault = errors.New("injected fault")

// Fault is one way to fail.
type Fault uint8

// The faults.
const (
	None        Fault = iota
	Drop              // nothing is done, no answer (any operation)
	LoseAnswer        // it is done, no answer (Put, Delete)
	OwnConflict       // it is done, and the answer is that of a repetition: ErrCondition for a conditional Put that landed (Put)
	Late              // no answer; it is done when Land is called, or before a later operation in a seeded store (Put)
	BreakBody         // the body ends in an error half way (Get), or the listing does (List)
	ShortBody         // the body ends early, without an error (Get)
)

// Kind of an operation.
type Kind uint8

// The kinds.
const (
	Get Kind = iota
	Put
	List
	Delete
)

// Op is one operation, as the schedule sees it.
type Op struct {
	Kind Kind
	Name string // or prefix
	Cond blob.Condition
	N    int // of the store's operations, from 0 on
}

// Rates are the probabilities of each fault, from 0 to 1.
type Rates struct{ Drop, LoseAnswer, OwnConflict, Late, BreakBody, ShortBody float64 }

// Evenly gives all faults but short bodies one rate.
func Evenly(rate float64) Rates {
	return Rates{Drop: rate, LoseAnswer: rate, OwnConflict: rate, Late: rate, BreakBody: rate}
}

// Store fails on the way to the store inside. Safe for concurrent use; then a seed repeats the faults, but not which
// operation meets them.
type Store struct {
	inner blob.Store
	hook  func(ctx context.Context, op Op) Fault

	mu      sync.Mutex
	random  *rand.Rand
	rates   Rates
	n       int
	late    []latePut
	faults  map[Fault]int
	stopped bool
}

type latePut struct {
	name string
	data []byte
	cond blob.Condition
}

// New fails at random, by a seed.
func New(inner blob.Store, seed uint64, rates Rates) *Store {
	return &Store{inner: inner, random: rand.New(rand.NewPCG(seed, 0)), rates: rates, faults: make(map[Fault]int)}
}

// NewHooked fails as hook says, which is asked before every operation and may wait as long as it likes: a paused process.
func NewHooked(inner blob.Store, hook func(ctx context.Context, op Op) Fault) *Store {
	return &Store{inner: inner, hook: hook, faults: make(map[Fault]int)}
}

// Stop ends all faults; what is late arrives.
func (s *Store) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	return s.Land(ctx)
}

// Land lets all late puts arrive now. What the store inside answers is lost, but for errors other than a condition.
func (s *Store) Land(ctx context.Context) error {
	s.mu.Lock()
	late := s.late
	s.late = nil
	s.mu.Unlock()
	for _, put := range late {
		_, err := s.inner.Put(ctx, put.name, bytes.NewReader(put.data), put.cond)
		if err != nil && !errors.Is(err, blob.ErrCondition) {
			return fmt.Errorf("land late put of %s: %w", put.name, err)
		}
	}
	return nil
}

// Faults tells how often each fault was met.
func (s *Store) Faults() map[Fault]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.faults)
}

// choose decides the fate of an operation; in a seeded store late puts may arrive before it.
func (s *Store) choose(ctx context.Context, kind Kind, name string, cond blob.Condition) (Fault, error) {
	s.mu.Lock()
	op := Op{Kind: kind, Name: name, Cond: cond, N: s.n}
	s.n++
	fault, land := None, false
	if !s.stopped && s.hook == nil {
		fault, land = s.draw(kind), len(s.late) > 0 && s.random.IntN(4) == 0
	}
	hook := s.hook
	if s.stopped {
		hook = nil
	}
	s.mu.Unlock()
	if land {
		if err := s.Land(ctx); err != nil {
			return None, err
		}
	}
	if hook != nil {
		fault = hook(ctx, op)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault != None {
		s.faults[fault]++
	}
	return fault, nil
}

func (s *Store) draw(kind Kind) Fault {
	x := s.random.Float64()
	for _, f := range []struct {
		fault Fault
		rate  float64
		kinds []Kind
	}{
		{Drop, s.rates.Drop, []Kind{Get, Put, List, Delete}},
		{LoseAnswer, s.rates.LoseAnswer, []Kind{Put, Delete}},
		{OwnConflict, s.rates.OwnConflict, []Kind{Put}},
		{Late, s.rates.Late, []Kind{Put}},
		{BreakBody, s.rates.BreakBody, []Kind{Get, List}},
		{ShortBody, s.rates.ShortBody, []Kind{Get}},
	} {
		for _, k := range f.kinds {
			if k != kind {
				continue
			}
			if x < f.rate {
				return f.fault
			}
			x -= f.rate
		}
	}
	return None
}

func lost(op, name string) error { return fmt.Errorf("%s %s: no answer: %w", op, name, ErrFault) }

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, blob.Info, error) {
	fault, err := s.choose(ctx, Get, name, blob.Always())
	if err != nil {
		return nil, blob.Info{}, err
	}
	if fault == Drop {
		return nil, blob.Info{}, lost("get", name)
	}
	body, info, err := s.inner.Get(ctx, name, off, n)
	if err != nil || fault != BreakBody && fault != ShortBody {
		return body, info, err
	}
	want := info.Size - min(off, info.Size)
	if n >= 0 {
		want = min(want, n)
	}
	end := io.EOF
	if fault == BreakBody {
		end = lost("read", name)
	}
	return &cutBody{ReadCloser: body, left: want / 2, end: end}, info, nil
}

// cutBody ends early.
type cutBody struct {
	io.ReadCloser
	left int64
	end  error
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, c.end
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, body io.Reader, cond blob.Condition) (blob.Info, error) {
	fault, err := s.choose(ctx, Put, name, cond)
	if err != nil {
		return blob.Info{}, err
	}
	switch fault {
	case Drop:
		return blob.Info{}, lost("put", name)
	case Late:
		data, err := io.ReadAll(body)
		if err != nil {
			return blob.Info{}, fmt.Errorf("put %s: read body: %w", name, err)
		}
		s.mu.Lock()
		s.late = append(s.late, latePut{name, data, cond})
		s.mu.Unlock()
		return blob.Info{}, lost("put", name)
	}
	info, err := s.inner.Put(ctx, name, body, cond)
	_, versioned := cond.Version()
	switch {
	case fault == LoseAnswer:
		return blob.Info{}, lost("put", name)
	case fault == OwnConflict && err == nil && (cond.Absent() || versioned):
		return blob.Info{}, fmt.Errorf("put %s %v, repeated: %w", name, cond, blob.ErrCondition)
	}
	return info, err
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string, visit func(blob.Info) error) error {
	fault, err := s.choose(ctx, List, prefix, blob.Always())
	if err != nil {
		return err
	}
	if fault == Drop {
		return lost("list", prefix)
	}
	left := 1
	return s.inner.List(ctx, prefix, func(info blob.Info) error {
		if left--; fault == BreakBody && left < 0 {
			return lost("list", prefix)
		}
		return visit(info)
	})
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	fault, err := s.choose(ctx, Delete, name, blob.Always())
	if err != nil {
		return err
	}
	if fault == Drop {
		return lost("delete", name)
	}
	if err := s.inner.Delete(ctx, name); err != nil || fault != LoseAnswer {
		return err
	}
	return lost("delete", name)
}
