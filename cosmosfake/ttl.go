package cosmosfake

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
)

// A document lives for its own `ttl`, or its container's defaultTtl, counted in seconds from its _ts. What is over
// is not seen from then on, and purged later: the purge takes an LSN of its own, and the feed of all versions shows
// it as a deletion.

// timeToLive is a container's defaultTtl: 0 is absent, which turns all of it off; -1 is for ever.
type timeToLive struct{ seconds atomic.Int64 }

// define takes it from the container's definition.
func (t *timeToLive) define(body []byte) *Error {
	var defined struct {
		TTL *int64 `json:"defaultTtl"`
	}
	if err := json.Unmarshal(body, &defined); err != nil {
		return badRequest("The defaultTtl is invalid: %v.", err)
	}
	seconds := int64(0)
	if defined.TTL != nil {
		seconds = *defined.TTL
		if seconds < -1 || seconds == 0 || seconds > 1<<31-1 {
			return badRequest("The defaultTtl is %d, want -1 or 1 to 2147483647.", seconds)
		}
	}
	t.seconds.Store(seconds)
	return nil
}

// lives tells which documents are seen; nil is all of them.
func (c *container) lives(now time.Time) func(*version) bool {
	standard := c.ttl.seconds.Load()
	if standard == 0 {
		return nil
	}
	at := now.Unix()
	return func(v *version) bool {
		seconds := standard
		if v.ttl != 0 {
			seconds = int64(v.ttl)
		}
		return seconds < 0 || v.ts+seconds > at
	}
}

// Purge removes the documents of a container whose time to live is over, each under an LSN of its own, and says how
// many there were.
func (s *Server) Purge(database, container string) (int, error) {
	c, e := s.container(database, container)
	if e != nil {
		return 0, fmt.Errorf("purge %s.%s: %w", database, container, e)
	}
	n, err := s.purge(c)
	if err != nil {
		return n, fmt.Errorf("purge %s.%s: %w", database, container, err)
	}
	return n, nil
}

func (s *Server) purge(c *container) (int, error) {
	total := 0
	for _, p := range c.partitions() {
		n, err := s.purgeRange(c, p)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// purgeRange goes by LSN, so that what is older goes first.
func (s *Server) purgeRange(c *container, p *partition) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := s.clock.now()
	lives := c.lives(now)
	if p.closed || lives == nil {
		return 0, nil
	}
	var over []*version
	for _, slot := range p.log {
		if v := slot.v; v != nil && v.end == 0 && !lives(v) {
			over = append(over, v)
		}
	}
	for i, v := range over {
		t := &transaction{s: s, c: c, p: p, time: now, lsn: p.newest + 1}
		t.changes = append(t.changes, change{op: OpPurge, before: v})
		if e := t.apply(); e != nil {
			return i, e
		}
	}
	return len(over), nil
}

// purgeAll goes on until the server is closed.
func (s *Server) purgeAll(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-ticker.C:
		}
		s.mu.RLock()
		var all []*container
		for _, d := range s.databases {
			for _, c := range d.containers {
				all = append(all, c)
			}
		}
		s.mu.RUnlock()
		for _, c := range all {
			if _, err := s.purge(c); err != nil {
				break // its ledger cannot be written, which every write tells
			}
		}
	}
}
