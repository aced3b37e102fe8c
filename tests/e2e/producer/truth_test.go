package producer_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// TestUnacknowledgedNeverCheckpointed: while the brokers take nothing, no checkpoint moves and no mark is made (INV-1).
func TestUnacknowledgedNeverCheckpointed(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.config.Producer.MarkInterval, w.config.Producer.IdleMarkInterval = time.Minute, time.Minute // so that no mark waits first
	w.config.Producer.CheckpointInterval = 0                                                      // so that every page is followed by a checkpoint
	w.fill(c, 5, 1)
	r := w.run()
	w.waitComplete(c)
	before := w.newest(c)
	w.eventually("a checkpoint at the newest LSN", func() bool { return w.checkpoints(c)[0].Position == before }) // it follows the mark
	refuse := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	w.fill(c, 5, 2)
	if !within(patience, func() bool { return refuse.Hits() > 0 }) {
		t.Fatal("nothing was sent")
	}
	if within(700*time.Millisecond, func() bool { return w.checkpoints(c)[0].Position > before }) {
		t.Error("the checkpoint stands past events that nobody acknowledged")
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if got := w.checkpoints(c)[0].Position; got != before {
		t.Errorf("got a checkpoint at %d after the end, want %d: nobody acknowledged what is behind it", got, before)
	}
	refuse.Remove()
	w.run()
	w.waitComplete(c)
	w.judge(c, nil)
}

// newest is that of the first range.
func (w *world) newest(c harness.Container) schemas.LSN {
	w.t.Helper()
	ranges, err := w.cosmos.Ranges(c.Database, c.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return schemas.LSN(ranges[0].Newest)
}

// TestNewestSurvivesRestart: a range is read from a fresh replica to the middle; after a restart a replica answers that
// lags and stands exactly there. A document whose earlier version the fresh replica had left out is missing then, so that
// a drained mark would be a lie.
func TestNewestSurvivesRestart(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.config.Producer.PageSize = 1
	for _, document := range []string{`{"id":"x","pk":"a","v":1}`, `{"id":"y","pk":"a"}`, `{"id":"x","pk":"a","v":2}`} {
		w.write(c, `["a"]`, document)
	}
	w.onPoll(func(r *http.Request) *cosmosfake.Fault {
		if r.Header.Get("If-None-Match") == `"3"` {
			return &cosmosfake.Fault{Status: http.StatusForbidden, Message: "not now"}
		}
		return nil
	})
	first := w.run()
	w.eventually("a checkpoint in the middle", func() bool { one := w.checkpoints(c); return len(one) == 1 && one[0].Position == 3 })
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if got := w.checkpoints(c)[0]; got.Newest != 4 || got.Basis != schemas.BasisLoading {
		t.Errorf("got newest %d basis %s, want 4 and loading", got.Newest, got.Basis)
	}
	if _, err := w.cosmos.Lag(at(c, "0"), 1, 0); err != nil {
		t.Fatal(err)
	}
	w.onPoll(nil)
	w.run()
	w.morePolls(20)
	for _, m := range w.marks(c) {
		if m.mark.Drained {
			t.Errorf("got a drained mark at lsn %d of newest %d from a replica that lags", m.mark.LSN, m.mark.Newest)
		}
	}
	if _, err := w.cosmos.ClearLag(at(c, "0")); err != nil {
		t.Fatal(err)
	}
	w.waitComplete(c)
	w.judge(c, nil)
}

// TestLagMakesNoMark: while a replica answers that is known to lag, no mark claims to be complete to a later time.
func TestLagMakesNoMark(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.config.Producer.Settle = 0
	w.fill(c, 10, 1)
	w.run()
	w.waitComplete(c)
	if _, err := w.cosmos.Lag(at(c, "0"), 3, 0); err != nil {
		t.Fatal(err)
	}
	w.morePolls(2) // of those that follow, none was under way before the lag
	w.seeAll()
	before := w.marks(c)
	w.fill(c, 10, 2)
	w.morePolls(50)
	w.seeAll()
	if after := w.marks(c); len(after) > len(before)+1 {
		t.Errorf("got %d marks more from a replica that lags, want none", len(after)-len(before))
	}
	if _, err := w.cosmos.ClearLag(at(c, "0")); err != nil {
		t.Fatal(err)
	}
	w.waitComplete(c)
	w.judge(c, nil)
}

// TestSettleBoundsUnknownLag: a replica that lags by exactly what was read looks drained, and no answer tells. A mark that
// stands on it is still true while the replica lags by less than settle.
func TestSettleBoundsUnknownLag(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.config.Producer.Settle = time.Minute
	w.fill(c, 10, 1)
	w.run()
	w.waitComplete(c)
	if _, err := w.cosmos.Lag(at(c, "0"), 0, 0); err != nil {
		t.Fatal(err)
	}
	w.morePolls(2) // of those that follow, none was under way before the lag
	w.seeAll()
	before := len(w.marks(c))
	w.fill(c, 10, 2)
	next := time.Now().Truncate(time.Second).Add(2 * time.Second) // in which every answer is of a later second than the writes
	w.eventually("a mark of a later second, from a replica that lags", func() bool {
		marks := w.marks(c)
		return len(marks) > before && !marks[len(marks)-1].mark.Latest.Before(next)
	})
	marks := w.marks(c)
	if last := marks[len(marks)-1].mark; !last.Drained || int64(last.LSN) == int64(w.newest(c)) {
		t.Errorf("got drained %t at lsn %d of %d, want a replica that nobody knows to lag", last.Drained, last.LSN, w.newest(c))
	}
	w.judge(c, nil)
	if _, err := w.cosmos.ClearLag(at(c, "0")); err != nil {
		t.Fatal(err)
	}
	w.waitComplete(c)
	w.judge(c, nil)
}

// TestNowIsNeverComplete: a start from now publishes what changes and states no complete basis, ever, not even after a
// failover made it read everything again.
func TestNowIsNeverComplete(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.config.Containers[0].Start = config.StartNow
	w.fill(c, 10, 1)
	r := w.run()
	drained := func(lsn schemas.LSN) func() bool {
		return func() bool {
			return slices.ContainsFunc(w.marks(c), func(m event) bool { return m.mark.Drained && m.mark.LSN >= lsn })
		}
	}
	w.eventually("a drained mark at the pin", drained(11))
	if got := w.those(func(e *event) bool { return e.Op.Change() }); len(got) != 0 {
		t.Errorf("got %d changes from before the start, want none", len(got))
	}
	w.fill(c, 3, 2)
	w.eventually("a drained mark at the changes", drained(14))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	w.fill(c, 2, 3) // while nobody reads
	w.run()
	w.eventually("a drained mark after the restart", drained(16))
	if got := w.those(func(e *event) bool { return e.Op.Change() }); len(got) < 5 {
		t.Errorf("got %d changes, want the five after the start", len(got))
	}
	if _, err := w.cosmos.Failover(at(c, "0"), 2); err != nil {
		t.Fatal(err)
	}
	w.eventually("a drained mark of the second generation", func() bool {
		marks := w.marks(c)
		last := marks[len(marks)-1]
		return last.mark.Drained && last.mark.Generation > marks[0].mark.Generation
	})
	for _, m := range w.marks(c) {
		if m.mark.Basis != schemas.BasisNone {
			t.Errorf("got a mark of basis %s, want none", m.mark.Basis)
		}
	}
	if got := w.checkpoints(c)[0].Basis; got != schemas.BasisNone {
		t.Errorf("got basis %s in the checkpoint, want none", got)
	}
}

// TestFailover: LSNs that are used again begin a generation: in the checkpoint first, on the topic with a mark, and
// everything is read again.
func TestFailover(t *testing.T) {
	c := orders()
	c.Ranges = 2
	w := newWorld(t, c)
	w.fill(c, 60, 1)
	w.run()
	w.waitComplete(c)
	w.fill(c, 20, 2)
	w.waitComplete(c)
	old := w.those(func(e *event) bool { return e.Op.Change() })
	ranges, err := w.cosmos.Ranges(c.Database, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	span := ranges[1].Span
	generation := w.generation(span)
	if _, err := w.cosmos.Failover(at(c, "1"), 6); err != nil {
		t.Fatal(err)
	}
	w.fill(c, 15, 3) // takes LSNs again
	w.waitComplete(c)
	w.judge(c, func(eras []era, g schemas.Generation) era {
		if len(eras) == 2 && g == generation {
			return eras[0]
		}
		return eras[len(eras)-1]
	})
	w.checkOpening(c)
	if again := w.generation(span); again <= generation {
		t.Errorf("got generation %d after %d, want a greater one", again, generation)
	}
	if other := w.generation(ranges[0].Span); other != w.firstGeneration(ranges[0].Span) {
		t.Errorf("the range that did not fail over is of generation %d", other)
	}
	if all := w.those(func(e *event) bool { return e.Op.Change() }); len(all) < len(old)+ranges[1].Items {
		t.Errorf("got %d changes after %d, want everything of the range read again", len(all), len(old))
	}
}

// TestStaleReplicas: replicas that have not heard of a failover go on to show what it undid, every other time. Nothing of it
// comes into the new generation.
func TestStaleReplicas(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.fill(c, 20, 1)
	w.run()
	w.waitComplete(c)
	generation := w.generation(schemas.WholeRange())
	if _, err := w.cosmos.Failover(at(c, "0"), 6); err != nil {
		t.Fatal(err)
	}
	asked := 0
	w.onPoll(func(*http.Request) *cosmosfake.Fault {
		if asked++; asked%2 == 0 {
			return &cosmosfake.Fault{ConfigBehind: 1}
		}
		return nil
	})
	w.fill(c, 15, 3) // takes LSNs again
	w.waitComplete(c)
	w.fill(c, 4, 4)
	w.waitComplete(c)
	w.judge(c, func(eras []era, g schemas.Generation) era {
		if len(eras) == 2 && g == generation {
			return eras[0]
		}
		return eras[len(eras)-1]
	})
	w.checkOpening(c)
}

// generation is that of a range's newest checkpoint.
func (w *world) generation(span schemas.FeedRange) schemas.Generation {
	w.t.Helper()
	for _, one := range w.checkpoints(orders()) {
		if one.Range == span {
			return one.Generation
		}
	}
	w.t.Fatalf("range %s has no checkpoint", span)
	return 0
}

func (w *world) firstGeneration(span schemas.FeedRange) schemas.Generation {
	w.t.Helper()
	for _, m := range w.marks(orders()) {
		if m.mark.Range == span {
			return m.mark.Generation
		}
	}
	w.t.Fatalf("range %s has no mark", span)
	return 0
}

// checkOpening demands that the first event of each range's generation is a mark that is not drained and states at least
// all offsets of the range's changes before it. Of one range a mark and the changes stand in several partitions, so that
// "before" is what the mark's offsets say: no change of its own generation is at or below them.
func (w *world) checkOpening(c interface{ Name() string }) {
	w.t.Helper()
	type stream struct {
		span       schemas.FeedRange
		generation schemas.Generation
	}
	seen := map[stream]bool{}
	for _, m := range w.those(func(e *event) bool { return e.mark != nil && e.name() == c.Name() }) {
		s := stream{m.mark.Range, m.mark.Generation}
		if seen[s] {
			continue
		}
		seen[s] = true
		if m.mark.Drained {
			w.t.Errorf("generation %d of %s begins with a drained mark", s.generation, s.span)
		}
		for _, e := range w.those(func(e *event) bool { return e.Op.Change() && e.name() == c.Name() }) {
			last, ok := m.mark.Offsets[e.Partition]
			if ok && e.Offset <= last && s.span.Contains(e.epk()) && e.Attributes.Generation == s.generation {
				w.t.Errorf("record %d:%d of generation %d stands before its opening mark", e.Partition, e.Offset, s.generation)
			}
		}
	}
	for _, e := range w.those(func(e *event) bool { return e.Op.Change() && e.name() == c.Name() }) {
		found := false
		for s := range seen {
			found = found || s.span.Contains(e.epk()) && s.generation == e.Attributes.Generation
		}
		if !found {
			w.t.Errorf("record %d:%d is of generation %d, which no mark opened", e.Partition, e.Offset, e.Attributes.Generation)
		}
	}
}

// TestRewindWithoutNumber: a newest LSN that stays below the position for rewind_grace begins a generation, although no
// configuration number tells.
func TestRewindWithoutNumber(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.config.Producer.RewindGrace = 150 * time.Millisecond
	w.fill(c, 20, 1)
	w.run()
	w.waitComplete(c)
	generation := w.generation(schemas.WholeRange())
	if _, err := w.cosmos.Lag(at(c, "0"), 5, 0); err != nil {
		t.Fatal(err)
	}
	w.eventually("another generation", func() bool { return w.generation(schemas.WholeRange()) > generation })
	if _, err := w.cosmos.ClearLag(at(c, "0")); err != nil {
		t.Fatal(err)
	}
	w.waitComplete(c)
	w.judge(c, nil)
	w.checkOpening(c)
}

// TestRebaseSaysTheDefinitionAgain: the definition before a rebase may be what a gap swallowed.
func TestRebaseSaysTheDefinitionAgain(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.fill(c, 10, 1)
	w.run()
	w.waitComplete(c)
	definitions := func() int { return len(w.those(func(e *event) bool { return e.Op == schemas.OpDefinition })) }
	before := definitions()
	if _, err := w.cosmos.Failover(at(c, "0"), 2); err != nil {
		t.Fatal(err)
	}
	w.fill(c, 15, 3)
	w.waitComplete(c)
	w.morePolls(20)
	if after := definitions(); after <= before {
		t.Errorf("got %d definitions after the rebase, as before it, want one more", after)
	}
}

// TestRegionTakesOver: after a failover the region that takes the writes is read, not the one that did: that one lags, and
// nothing in its answers tells.
func TestRegionTakesOver(t *testing.T) {
	c := orders()
	w := newWorldOn(t, cosmosfake.Options{SecondRegion: "West US"}, c)
	w.fill(c, 20, 1)
	r := w.run()
	w.waitComplete(c)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	w.run()
	w.fill(c, 5, 9)
	w.waitComplete(c)
	generation := w.generation(schemas.WholeRange())
	w.cosmos.SetReplication(3)
	if err := w.cosmos.FailOverRegion(2); err != nil {
		t.Fatal(err)
	}
	w.account.URL = w.cosmos.SecondURL()
	w.fill(c, 15, 2)
	w.waitComplete(c)
	w.judge(c, func(eras []era, g schemas.Generation) era {
		if g == generation {
			return eras[0]
		}
		return eras[len(eras)-1]
	})
}
