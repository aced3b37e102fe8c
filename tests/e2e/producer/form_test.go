package producer_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/schemas"
)

// TestFeedForms: whatever form the service gives to its answers, nothing is lost and every mark is true.
func TestFeedForms(t *testing.T) {
	for _, test := range []struct {
		name  string
		often int // every so many answers are of this form
		form  cosmosfake.FeedForm
	}{
		{"pages without documents", 2, cosmosfake.FeedForm{Empty: true}},
		{"304 without etag", 1, cosmosfake.FeedForm{NoETag: true}},
		{"304 without LSN", 1, cosmosfake.FeedForm{NoLSN: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := orders()
			w := newWorld(t, c)
			w.config.Producer.PageSize = 3
			asked := 0
			w.onPoll(func(*http.Request) *cosmosfake.Fault {
				if asked++; asked%test.often != 0 {
					return nil
				}
				return &cosmosfake.Fault{Feed: test.form}
			})
			w.fill(c, 10, 1)
			w.run()
			w.waitComplete(c)
			w.fill(c, 10, 2)
			w.waitComplete(c)
			if _, err := w.cosmos.Bump(at(c, "0"), 3); err != nil {
				t.Fatal(err)
			}
			w.fill(c, 2, 3)
			w.waitComplete(c)
			idle := time.Now().Add(2 * time.Second).Truncate(time.Second) // while nothing is written
			w.eventually("a usable mark of an idle range", func() bool {
				marks := w.marks(c)
				last := marks[len(marks)-1].mark
				return usable(last) && !last.CompleteTo.Before(idle.Add(-w.config.Producer.Settle))
			})
			w.judge(c, nil)
		})
	}
}

// TestUnnumbered: an account whose session tokens have no configuration number. A failover is noticed by a newest LSN that
// stays below the position.
func TestUnnumbered(t *testing.T) {
	for name, form := range map[string]cosmosfake.SessionForm{"-1": cosmosfake.SessionUnnumbered, "the older form": cosmosfake.SessionSimple} {
		t.Run(name, func(t *testing.T) {
			c := orders()
			w := newWorldOn(t, cosmosfake.Options{Session: form}, c)
			w.config.Producer.RewindGrace = 150 * time.Millisecond
			w.fill(c, 20, 1)
			r := w.run()
			w.waitComplete(c)
			w.fill(c, 5, 2)
			w.waitComplete(c)
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			w.run()
			w.fill(c, 5, 3)
			w.waitComplete(c)
			generation := w.generation(schemas.WholeRange())
			if first := w.firstGeneration(schemas.WholeRange()); generation != first {
				t.Errorf("got generation %d after %d without a failover", generation, first)
			}
			w.judge(c, nil)
			if !w.logs("have no configuration number") {
				t.Error("nobody was told that a failover may go unnoticed")
			}
			if _, err := w.cosmos.Failover(at(c, "0"), 4); err != nil {
				t.Fatal(err)
			}
			w.eventually("another generation", func() bool { return w.generation(schemas.WholeRange()) > generation })
			w.fill(c, 9, 4)
			w.waitComplete(c)
			w.judge(c, func(eras []era, g schemas.Generation) era {
				if g == generation {
					return eras[0]
				}
				return eras[len(eras)-1]
			})
		})
	}
}

// TestUnnumberedRegion: where no number tells of a failover, the account's write region does, although writes passed the old
// position at once. Marks of before that was noticed may be false.
func TestUnnumberedRegion(t *testing.T) {
	c := orders()
	w := newWorldOn(t, cosmosfake.Options{Session: cosmosfake.SessionUnnumbered, SecondRegion: "West US"}, c)
	w.fill(c, 20, 1)
	w.run()
	w.waitComplete(c)
	generation := w.generation(schemas.WholeRange())
	if err := w.cosmos.FailOverRegion(4); err != nil {
		t.Fatal(err)
	}
	w.account.URL = w.cosmos.SecondURL()
	w.fill(c, 9, 4)
	w.eventually("another generation", func() bool { return w.generation(schemas.WholeRange()) > generation })
	w.waitComplete(c)
	w.fill(c, 9, 5)
	w.waitComplete(c)
	eras := w.eras(w.marks(c)[0].mark.Incarnation)[schemas.WholeRange()]
	judged := 0
	for _, m := range w.marks(c) {
		if m.mark.Generation > generation && usable(m.mark) {
			w.judgeMark(&m, eras[len(eras)-1], w.those(func(e *event) bool { return e.Op.Change() && e.name() == c.Name() }))
			judged++
		}
	}
	if last := w.marks(c)[len(w.marks(c))-1].mark; judged == 0 || !usable(last) || int64(last.LSN) != int64(w.newest(c)) {
		t.Errorf("got %d usable marks of the new generation, the last at %d of %d", judged, last.LSN, w.newest(c))
	}
}

// TestTimes: whatever clocks the service's machines have, marks that leave producer.settle are true: a _ts that goes back
// along LSNs, one that is earlier than its write became visible, one that is later than Date, and a Date that is off.
func TestTimes(t *testing.T) {
	for _, test := range []struct {
		name string
		skew time.Duration // of the range that took over
		date time.Duration // of most answers
	}{
		{"the new primary is behind", -30 * time.Second, 0},
		{"the new primary is ahead", 30 * time.Second, 0},
		{"an answer's clock is ahead", 0, 30 * time.Second},
		{"an answer's clock is behind", 0, -30 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := orders()
			w := newWorld(t, c)
			w.config.Producer.Settle = time.Minute
			asked := 0
			w.onPoll(func(*http.Request) *cosmosfake.Fault {
				if asked++; asked%4 == 0 {
					return nil
				}
				return &cosmosfake.Fault{Date: test.date}
			})
			w.fill(c, 20, 1)
			w.run()
			w.waitComplete(c)
			w.fill(c, 5, 9) // which no mark of before may claim
			w.waitComplete(c)
			generation := w.generation(schemas.WholeRange())
			for version, lost := range []int64{3, 0} {
				if _, err := w.cosmos.Failover(at(c, "0"), lost); err != nil {
					t.Fatal(err)
				}
				if _, err := w.cosmos.Skew(at(c, "0"), test.skew*time.Duration(1-version)); err != nil {
					t.Fatal(err)
				}
				w.fill(c, 10, 2+version)
				w.waitComplete(c)
			}
			generations := []schemas.Generation{generation}
			for _, m := range w.marks(c) {
				if g := m.mark.Generation; g > generations[len(generations)-1] {
					generations = append(generations, g)
				}
			}
			w.judge(c, func(eras []era, g schemas.Generation) era { return eras[slices.Index(generations, g)] })
		})
	}
}
