package cosmosfake

import (
	"fmt"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Range names a physical range of a container. ID is the service's, as /pkranges lists it: "0", "1", …
type Range struct {
	Database  string `json:"database"`
	Container string `json:"container"`
	ID        string `json:"range"`
}

// RangeState is what a range knows about itself.
type RangeState struct {
	ID     string            `json:"range"`
	Span   schemas.FeedRange `json:"span"`
	Config int64             `json:"config"` // configuration number, the session token's version
	Newest int64             `json:"newest"` // newest LSN
	Floor  int64             `json:"floor"`  // a failover or a replica can go back to this LSN
	Items  int               `json:"items"`  // live documents
}

// Ranges lists the physical ranges of a container in order of the key space.
func (s *Server) Ranges(database, container string) ([]RangeState, error) {
	c, e := s.container(database, container)
	if e != nil {
		return nil, fmt.Errorf("list ranges of %s.%s: %w", database, container, e)
	}
	partitions := c.partitions()
	states := make([]RangeState, len(partitions))
	for i, p := range partitions {
		p.mu.Lock()
		states[i] = p.state()
		p.mu.Unlock()
	}
	return states, nil
}

func (p *partition) state() RangeState {
	return RangeState{ID: p.id, Span: p.span, Config: p.config, Newest: p.newest, Floor: p.floor, Items: len(p.docs)}
}

// Failover undoes the last n LSNs of a range (0 is a failover that loses nothing) and raises its configuration
// number. Documents go back to their versions of before. A range remembers its last 1,000 LSNs and 64 MiB of
// replaced documents; going back further is an error. It ends a lag.
func (s *Server) Failover(r Range, n int64) (RangeState, error) {
	return s.control("fail over", r, n, func(c *container, p *partition) error { return s.failOverRange(c, p, n) })
}

// failOverRange does it. The caller holds the range's lock.
func (s *Server) failOverRange(c *container, p *partition, n int64) error {
	if to := p.newest - n; to < p.floor {
		return fmt.Errorf("the range cannot go back to lsn %d: it remembers from %d on", to, p.floor)
	}
	e := c.entry(p, OpFailover, s.clock.now())
	e.Config, e.UndoneFrom = p.config+1, p.newest-n+1
	if err := s.keep(&record{Act: &actRecord{Op: OpFailover, In: c.rid, Ranges: []string{p.id}, LSNs: n}}, e); err != nil {
		return err
	}
	p.rewind(n)
	return nil
}

// maxLSN is more than any range of the service has, and small enough for doubles, which clients keep LSNs in.
const maxLSN = 1 << 53

// Bump takes n LSNs without a record, as internal writes of the service do. A range cannot go beyond LSN 2^53 by it.
func (s *Server) Bump(r Range, n int64) (RangeState, error) {
	return s.control("bump", r, n, func(c *container, p *partition) error {
		if n > maxLSN-p.newest {
			return fmt.Errorf("LSN %d plus %d is more than %d, the greatest", p.newest, n, int64(maxLSN))
		}
		now := s.clock.now()
		act := &actRecord{Op: actBump, In: c.rid, Ranges: []string{p.id}, LSNs: n}
		if err := s.keep(&record{Time: now.UnixNano(), Act: act}); err != nil {
			return err
		}
		p.bump(n, now, s.options.Retention)
		return nil
	})
}

// Lag stops a replica of the range at behind LSNs below the newest. It answers the next feeds, lists, queries and
// point reads, all of them when requests is 0, until ClearLag. It cannot be further back than the range remembers.
func (s *Server) Lag(r Range, behind int64, requests int) (RangeState, error) {
	return s.control("lag", r, behind, func(_ *container, p *partition) error {
		if requests < 0 {
			return fmt.Errorf("requests is %d, want 0 or more", requests)
		}
		if requests == 0 {
			requests = -1
		}
		if to := p.newest - behind; to < p.floor {
			return fmt.Errorf("no replica can be at lsn %d: the range remembers from %d on", to, p.floor)
		}
		p.replica = replica{on: true, lsn: p.newest - behind, left: requests}
		return nil
	})
}

// ClearLag lets the newest replica answer again.
func (s *Server) ClearLag(r Range) (RangeState, error) {
	return s.control("clear lag of", r, 0, func(_ *container, p *partition) error {
		p.replica = replica{}
		return nil
	})
}

// Skew makes the clock of a range differ from the account's: its writes have a _ts that is later by so much, or earlier
// if it is negative, as a write has that took long to become visible, or one to the primary that took over. So `_ts` can
// go back along LSNs and be later than the Date of an answer. Times in the ledger stay the account's.
func (s *Server) Skew(r Range, by time.Duration) (RangeState, error) {
	return s.control("skew", r, 0, func(_ *container, p *partition) error {
		p.skew = by
		return nil
	})
}

// control does something to a range under its lock and returns its state afterwards.
func (s *Server) control(verb string, r Range, n int64, do func(*container, *partition) error) (RangeState, error) {
	wrap := func(err error) error {
		return fmt.Errorf("%s range %q of %s.%s: %w", verb, r.ID, r.Database, r.Container, err)
	}
	c, e := s.container(r.Database, r.Container)
	if e != nil {
		return RangeState{}, wrap(e)
	}
	if n < 0 {
		return RangeState{}, wrap(fmt.Errorf("%d LSNs: want 0 or more", n))
	}
	p := c.rangeByID(r.ID)
	if p == nil {
		return RangeState{}, wrap(c.noRange(r.ID))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return RangeState{}, wrap(c.noRange(r.ID))
	}
	if err := do(c, p); err != nil {
		return RangeState{}, wrap(err)
	}
	return p.state(), nil
}

// noRange is what clients are told of a range that is gone, and which ranges there are instead.
func (c *container) noRange(id string) *Error {
	e := rangeGone(id)
	names := make([]string, 0, len(c.partitions()))
	for _, p := range c.partitions() {
		names = append(names, p.id)
	}
	e.Message += " There are " + strings.Join(names, ", ") + "."
	return e
}
