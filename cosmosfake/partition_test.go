package cosmosfake

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// TestDeletedContainer: a write that found the container before it was deleted is not done after.
func TestDeletedContainer(t *testing.T) {
	s := &Server{ledger: new(ledger)}
	c := testContainer()
	c.topology.begin([]schemas.FeedRange{schemas.WholeRange()})
	if e := s.dropContainer(&database{}, c); e != nil {
		t.Fatal(e)
	}
	if tx, e := s.begin(c, []byte{1}, priorityHigh); e == nil {
		tx.abort()
		t.Error("got a transaction in a deleted container")
	}
}

func TestClockNeverGoesBack(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 15, 0, 0, time.UTC)
	times := []time.Time{at, at.Add(-time.Hour), at.Add(time.Nanosecond)}
	c := clock{source: func() time.Time {
		next := times[0]
		times = times[1:]
		return next
	}}
	for _, want := range []time.Time{at, at, at.Add(time.Nanosecond)} {
		if got := c.now(); !got.Equal(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// TestChurn rewrites few documents many times: the log stays small, and what it shows stays right, also after the
// history was cut and a failover went to its very end.
func TestChurn(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := &Server{ledger: new(ledger)}
	c := testContainer()
	c.topology.begin([]schemas.FeedRange{schemas.WholeRange()})
	p := c.partitions()[0]
	write := func(size int) {
		tx, e := s.begin(c, []byte{1}, priorityHigh)
		if e != nil {
			t.Fatal(e)
		}
		key := fmt.Appendf(nil, `["a"]%d`, rng.IntN(50))
		before := tx.current(key)
		if before != nil && rng.IntN(4) == 0 {
			tx.delete(before)
		} else {
			tx.put(OpUpsert, document{body: make([]byte, size), key: key, pk: key[:5], id: key[5:]}, before)
		}
		if _, e := tx.commit(); e != nil {
			t.Fatal(e)
		}
	}
	check := func(when string) {
		t.Helper()
		pg := p.feed(&scan{limit: pageLimit{items: 1 << 20, bytes: 1 << 40}})
		shown := map[string]bool{}
		last := int64(0)
		for _, v := range pg.versions {
			if v.lsn < last || shown[v.key] || p.docs[v.key] != v {
				t.Fatalf("%s: lsn %d of %s after %d is out of order, shown twice or not the newest", when, v.lsn, v.key, last)
			}
			last, shown[v.key] = v.lsn, true
		}
		if len(shown) != len(p.docs) {
			t.Fatalf("%s: got %d documents in the feed, want %d", when, len(shown), len(p.docs))
		}
		holes, bytes := 0, int64(0)
		for _, slot := range p.log {
			if slot.v == nil {
				holes++
			}
		}
		for _, v := range p.ended {
			bytes += int64(len(v.body))
		}
		if holes != p.holes || bytes != p.endedN {
			t.Fatalf("%s: got %d holes and %d bytes counted, want %d and %d", when, p.holes, p.endedN, holes, bytes)
		}
		if bytes > historyBytes || len(p.ended) > historyLSNs+1 || len(p.log) > 2*(len(p.docs)+len(p.ended))+2000 {
			t.Fatalf("%s: got %d bytes and %d versions of history in a log of %d", when, bytes, len(p.ended), len(p.log))
		}
	}
	for i := range 6 {
		for range 3000 {
			write(10)
		}
		check(fmt.Sprint("after writes ", i))
		p.rewind(min(p.newest-p.floor, rng.Int64N(1200)))
		check(fmt.Sprint("after a failover ", i))
	}
	for range 200 { // 200 MB through a history of 64
		write(1 << 20)
	}
	check("after large writes")
	p.rewind(p.newest - p.floor)
	check("after a failover to the floor")
}
