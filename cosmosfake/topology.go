package cosmosfake

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cosmos-almanac/almanac/schemas"
)

// topology is the physical ranges of a container and how they changed. Locks are taken in the order server,
// topology, ranges in order of the key space.
type topology struct {
	now     atomic.Pointer[layout] // replaced by whoever holds mu
	deleted atomic.Bool            // with the container

	mu     sync.Mutex
	next   int                // index of the next range that comes to be
	former map[string]*former // ranges that are gone, by id
}

// layout is a state of the topology. It does not change.
type layout struct {
	number int64 // one higher with every change
	ranges []*partition
	before *layout // the last one, which knows none before
}

// former is a range that was split or merged.
type former struct {
	completing int // requests that are told that it is still being split
}

func (t *topology) begin(spans []schemas.FeedRange) {
	ranges := make([]*partition, len(spans))
	for i, span := range spans {
		ranges[i] = newPartition(i, span)
		ranges[i].since = 1
	}
	t.next, t.former = len(spans), make(map[string]*former)
	t.now.Store(&layout{number: 1, ranges: ranges})
}

// add puts a range behind the others, of an account that is read back.
func (t *topology) add(p *partition) {
	now := t.now.Load()
	p.since = max(1, p.since)
	t.next = max(t.next, p.index+1)
	t.now.Store(&layout{number: now.number, ranges: append(slices.Clone(now.ranges), p)})
}

// partitions are the physical ranges in order of the key space.
func (c *container) partitions() []*partition { return c.topology.now.Load().ranges }

// partition is the one that a key belongs to.
func (c *container) partition(epk []byte) *partition {
	hex := schemas.HexEPK(epk)
	for _, p := range c.partitions() {
		if p.span.Contains(hex) {
			return p
		}
	}
	panic("ranges of " + c.name + " do not tile the key space at " + hex)
}

// lock locks the partition that a key belongs to; nil is a container that is gone.
func (c *container) lock(epk []byte) *partition {
	for !c.topology.deleted.Load() {
		p := c.partition(epk)
		p.mu.Lock()
		if !p.closed {
			return p
		}
		p.mu.Unlock()
	}
	return nil
}

// rangeByID finds a physical range; nil is a range that never was or is gone.
func (c *container) rangeByID(id string) *partition {
	for _, p := range c.partitions() {
		if p.id == id {
			return p
		}
	}
	return nil
}

// gone refuses a request for a range that is not there, or not any more.
func (c *container) gone(id string) *Error {
	t := &c.topology
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.former[id]; f != nil && f.completing > 0 {
		f.completing--
		return &Error{Status: 410, Substatus: 1007, Code: "Gone", Message: "The partition key range " + id + " is completing a split."}
	}
	return rangeGone(id)
}

func rangeGone(id string) *Error {
	return &Error{Status: 410, Substatus: 1002, Code: "Gone", Message: "The requested resource is no longer available at the server: partition key range " + id + "."}
}

// lockAll holds up every request to the container.
func (t *topology) lockAll() (unlock func()) {
	t.mu.Lock()
	ranges := t.now.Load().ranges
	for _, p := range ranges {
		p.mu.Lock()
	}
	return func() {
		for _, p := range ranges {
			p.mu.Unlock()
		}
		t.mu.Unlock()
	}
}

// close ends the container. The caller holds all locks.
func (t *topology) close() {
	t.deleted.Store(true)
	for _, p := range t.now.Load().ranges {
		p.closed = true
	}
}

// replace puts others in the place of ranges that stand side by side. The caller holds the locks of the topology and
// of the old ones, and wrote down what happens.
func (t *topology) replace(old, others []*partition, f former) {
	now := t.now.Load()
	next := &layout{number: now.number + 1, before: &layout{number: now.number, ranges: now.ranges}}
	for _, p := range now.ranges {
		switch i := slices.Index(old, p); {
		case i == 0:
			next.ranges = append(next.ranges, others...)
		case i < 0:
			next.ranges = append(next.ranges, p)
		}
	}
	for _, p := range others {
		p.since = next.number
	}
	t.now.Store(next)
	t.next += len(others)
	for _, p := range old {
		p.closed = true
		one := f
		t.former[p.id] = &one
	}
}
