package cosmosfake_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestRetention: a position is refused once the LSN after it is older than the account retains, whatever took that LSN;
// and never otherwise.
func TestRetention(t *testing.T) {
	type world struct {
		rest
		clock *testClock
	}
	write := func(w world, from, to int) {
		for i := from; i <= to; i++ {
			w.upsert(fmt.Sprintf("[%d]", i), fmt.Sprintf(`{"id":"%d","pk":%d}`, i, i))
		}
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name  string
		do    func(t *testing.T, w world)
		rng   string
		good  []int64 // positions
		gone  []int64
		newer int64 // LSN of the newest
	}{
		{"an idle range", func(_ *testing.T, w world) { write(w, 1, 2); w.clock.move(2 * time.Hour) }, "0", []int64{3}, []int64{1, 2}, 3},
		{"LSNs without an event", func(t *testing.T, w world) {
			_, err := w.s.Bump(orders0, 2)
			must(t, err)
			w.clock.move(2 * time.Hour)
		}, "0", []int64{3}, []int64{1, 2}, 3},
		{"LSNs without an event, soon enough", func(t *testing.T, w world) {
			_, err := w.s.Bump(orders0, 2)
			must(t, err)
			w.clock.move(30 * time.Minute)
		}, "0", []int64{1, 2, 3}, nil, 3},
		{"a failover to before what is retained", func(t *testing.T, w world) {
			write(w, 1, 6)
			w.clock.move(2 * time.Hour)
			w.versions("0", "*")
			_, err := w.s.Failover(orders0, 3)
			must(t, err)
			write(w, 8, 8)
		}, "0", []int64{4, 5}, []int64{3}, 5},
		{"a failover among what is retained", func(t *testing.T, w world) {
			write(w, 1, 3)
			w.clock.move(30 * time.Minute)
			write(w, 4, 6)
			_, err := w.s.Failover(orders0, 4)
			must(t, err)
			w.clock.move(40 * time.Minute)
		}, "0", []int64{3}, []int64{1, 2}, 3},
		{"a child without events of its own", func(t *testing.T, w world) {
			write(w, 1, 1)
			_, err := w.s.Split(orders0, cosmosfake.SplitOptions{At: []string{"3FFFFFFF"}})
			must(t, err)
			w.clock.move(2 * time.Hour)
		}, "2", []int64{2}, []int64{1}, 2},
		{"a split after what is retained", func(t *testing.T, w world) {
			write(w, 1, 1)
			w.clock.move(2 * time.Hour)
			w.versions("0", "*")
			_, err := w.s.Split(orders0, cosmosfake.SplitOptions{At: []string{"20"}})
			must(t, err)
		}, "1", []int64{2}, []int64{1}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock, dir := newClock(), t.TempDir()
			options := cosmosfake.Options{Retention: time.Hour, Clock: clock.now, Dir: dir}
			s, err := cosmosfake.New(options)
			must(t, err)
			w := world{rest{t, s}, clock}
			w.makeOrders(1)
			test.do(t, w)
			check := func(when string) {
				t.Helper()
				for status, positions := range map[bool][]int64{true: test.good, false: test.gone} {
					for _, at := range positions {
						if got := w.versions(test.rng, fmt.Sprintf("%q", fmt.Sprint(at))); (got.status != 400) != status || status && got.newest(t) != test.newer {
							t.Errorf("%s, from %d: got %d %s, want good %t", when, at, got.status, got.body, status)
						}
					}
				}
			}
			check("at first")
			must(t, s.Close())
			w.s = startServer(t, options)
			check("after a restart")
		})
	}
}

// TestHoldSurvivesSplit: what is held back stays so in the parts of the range.
func TestHoldSurvivesSplit(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(1)
	if _, err := s.HoldEvents(orders0); err != nil {
		t.Fatal(err)
	}
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	parts, err := s.Split(orders0, cosmosfake.SplitOptions{At: []string{"20"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if got := c.versions(p.ID, `"1"`); got.status != 304 || got.header.Get("etag") != `"1"` {
			t.Errorf("range %s: got %d etag %s, want 304 and the held position", p.ID, got.status, got.header.Get("etag"))
		}
	}
}
