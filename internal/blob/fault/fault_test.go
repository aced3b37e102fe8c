package fault_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/blobtest"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
)

// TestSound makes sure that the decorator itself breaks nothing.
func TestSound(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return fault.New(mem.New(), 1, fault.Rates{}) })
}

func TestPutFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		fault  fault.Fault
		want   error
		landed bool // at once
		later  bool // after Land
	}{
		{"none", fault.None, nil, true, true},
		{"drop", fault.Drop, fault.ErrFault, false, false},
		{"lose the answer", fault.LoseAnswer, fault.ErrFault, true, true},
		{"own conflict", fault.OwnConflict, blob.ErrCondition, true, true},
		{"late", fault.Late, fault.ErrFault, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inner := mem.New()
			s := fault.NewHooked(inner, func(context.Context, fault.Op) fault.Fault { return test.fault })
			_, err := s.Put(t.Context(), "o", strings.NewReader("x"), blob.IfAbsent())
			if !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
			for _, want := range []bool{test.landed, test.later} {
				_, err := blob.Stat(t.Context(), inner, "o")
				if got := err == nil; got != want {
					t.Errorf("object is there: got %v, want %v", got, want)
				}
				if err := s.Land(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestBodies makes sure that neither a broken nor a short body passes for the object.
func TestBodies(t *testing.T) {
	inner := mem.New()
	if _, err := inner.Put(t.Context(), "o", strings.NewReader("0123456789"), blob.Always()); err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		fault fault.Fault
		want  error
	}{"broken": {fault.BreakBody, fault.ErrFault}, "short": {fault.ShortBody, io.ErrUnexpectedEOF}} {
		s := fault.NewHooked(inner, func(context.Context, fault.Op) fault.Fault { return test.fault })
		if data, _, err := blob.ReadAll(t.Context(), s, "o", 100); !errors.Is(err, test.want) {
			t.Errorf("%s: got %q, %v, want %v", what, data, err, test.want)
		}
		if _, err := blob.NewReaderAt(t.Context(), s, blob.Info{Name: "o", Size: 10}).ReadAt(make([]byte, 4), 3); !errors.Is(err, test.want) {
			t.Errorf("%s: read at: got %v, want %v", what, err, test.want)
		}
	}
}

// TestSeed makes sure that a seed repeats its faults, and that all of them come.
func TestSeed(t *testing.T) {
	run := func() map[fault.Fault]int {
		s := fault.New(mem.New(), 7, fault.Rates{Drop: 0.1, LoseAnswer: 0.1, OwnConflict: 0.1, Late: 0.1, BreakBody: 0.1, ShortBody: 0.1})
		for range 200 {
			_, _ = s.Put(t.Context(), "o", strings.NewReader("0123456789"), blob.Always())
			_, _, _ = blob.ReadAll(t.Context(), s, "o", 100)
		}
		return s.Faults()
	}
	first, second := run(), run()
	for f := fault.Drop; f <= fault.ShortBody; f++ {
		if first[f] == 0 || first[f] != second[f] {
			t.Errorf("fault %d: got %d and %d times, want equally often, and at all", f, first[f], second[f])
		}
	}
}
