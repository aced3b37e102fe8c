package cosmosfake

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
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

// readRanges lists the physical ranges, those that came to be after the etag only. Whoever kept the others knows by
// the parents which of them are gone.
func (s *Server) readRanges(a *answer, r *http.Request, p path, c *container, fault Fault) *Error {
	if r.Method != http.MethodGet || !p.feed {
		return methodNotAllowed(r)
	}
	now := c.topology.now.Load()
	if fault.StaleRanges && now.before != nil {
		now = now.before
	}
	etag := lsnETag(now.number)
	known, err := strconv.ParseInt(trimQuotes(r.Header.Get("If-None-Match")), 10, 64)
	if err != nil {
		known = 0 // all of them
	}
	if known >= now.number {
		return a.reply(reply{status: http.StatusNotModified, etag: etag}, nil)
	}
	s.mu.RLock()
	ts := c.ts
	s.mu.RUnlock()
	var list [][]byte
	for _, part := range now.ranges {
		if part.since <= known {
			continue
		}
		part.mu.Lock()
		lsn := part.newest
		part.mu.Unlock()
		var rid [ridSize]byte
		c.putRID(&rid, uint64(part.index)|5<<60) // a kind of their own among a container's children
		list = append(list, fmt.Appendf(nil, `{"_rid":%q,"id":%q,"_etag":%s,"minInclusive":%q,"maxExclusive":%q,"ridPrefix":%d,"_self":%q,`+
			`"throughputFraction":%g,"status":"online","parents":%s,"ownedArchivalPKRangeIds":[],"_ts":%d,"lsn":%d}`,
			rid[:], part.id, quote(etag), part.span.Min, part.span.Max, part.index, c.self+"pkranges/"+string(rid[:])+"/",
			1/float64(len(now.ranges)), quoteList(part.parents), ts, lsn))
	}
	out := listReply(c.rid, "PartitionKeyRanges", list)
	out.etag = etag
	return a.reply(out, nil)
}

// quoteList is a JSON array of texts, which may be none.
func quoteList(list []string) string {
	out := []byte{'['}
	for i, one := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, quote(one)...)
	}
	return string(append(out, ']'))
}
