package cosmosfake

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"github.com/cosmos-almanac/almanac/schemas"
)

// SplitOptions say how a range is split. The zero value cuts it into two with equally many documents, at once.
type SplitOptions struct {
	// At are the effective partition keys at which it is cut, ascending, in upper-case hexadecimal.
	At []string `json:"at"`
	// Completing feed requests to the range that is gone are answered 410/1007 before others are 410/1002.
	Completing int `json:"completing"`
	// Migrating feed requests to each new range are answered 410/1008 first.
	Migrating int `json:"migrating"`
}

var errOneKey = errors.New("all its documents have one partition key: say where to cut")

// Split cuts a range into new ones, whose LSNs go on where its own end and which keep its documents and history. It
// returns their states. Clients that name the old range are told that it is gone.
func (s *Server) Split(r Range, o SplitOptions) ([]RangeState, error) {
	c, e := s.container(r.Database, r.Container)
	if e != nil {
		return nil, fmt.Errorf("split range %q of %s.%s: %w", r.ID, r.Database, r.Container, e)
	}
	if o.Completing < 0 || o.Migrating < 0 {
		return nil, fmt.Errorf("split range %q of %s.%s: %d completing and %d migrating requests, want 0 or more", r.ID, r.Database, r.Container, o.Completing, o.Migrating)
	}
	states, err := s.split(c, r.ID, o, 0)
	if err != nil {
		return nil, fmt.Errorf("split range %q of %s.%s: %w", r.ID, r.Database, r.Container, err)
	}
	return states, nil
}

// splitLarge splits a range that grew beyond the server's limit.
func (s *Server) splitLarge(c *container, p *partition) {
	limit := s.options.SplitBytes
	if limit == 0 {
		return
	}
	p.mu.Lock()
	large := !p.closed && p.bytes > max(limit, p.alone)
	p.mu.Unlock()
	if !large {
		return
	}
	if _, err := s.split(c, p.id, SplitOptions{}, limit); err != nil {
		p.mu.Lock()
		p.alone = 2 * p.bytes // not with every write
		p.mu.Unlock()
	}
}

// split does it, if the range is larger than least.
func (s *Server) split(c *container, id string, o SplitOptions, least int64) ([]RangeState, error) {
	t := &c.topology
	t.mu.Lock()
	defer t.mu.Unlock()
	p := c.rangeByID(id)
	if p == nil {
		if least > 0 {
			return nil, nil // somebody else was first
		}
		return nil, c.noRange(id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.bytes < least {
		return nil, nil
	}
	cut, err := p.cuts(c, o.At)
	if err != nil {
		return nil, err
	}
	children := p.divide(c, cut)
	now := s.clock.now()
	entries := make([]Entry, len(children))
	for i, child := range children {
		child.migrating = o.Migrating
		entries[i] = c.entry(child, OpSplit, now)
		entries[i].LSN, entries[i].Parents = child.newest, []string{p.id}
	}
	act := &actRecord{Op: OpSplit, In: c.rid, Ranges: []string{p.id}}
	for _, part := range cut[1:] {
		act.At = append(act.At, part.Min)
	}
	if err := s.keep(&record{Act: act}, entries...); err != nil {
		return nil, err
	}
	t.replace([]*partition{p}, children, former{completing: o.Completing})
	states := make([]RangeState, len(children))
	for i, child := range children {
		child.mu.Lock()
		states[i] = child.state()
		child.mu.Unlock()
	}
	return states, nil
}

// cuts are the bounds of the parts: those that are asked for, or the middle of the documents.
func (p *partition) cuts(c *container, at []string) ([]schemas.FeedRange, error) {
	if len(at) == 0 {
		middle, err := p.middle(c)
		if err != nil {
			return nil, err
		}
		at = []string{middle}
	}
	parts := make([]schemas.FeedRange, 0, len(at)+1)
	lower := p.span.Min
	for _, bound := range append(slices.Clone(at), p.span.Max) {
		part := schemas.FeedRange{Min: lower, Max: bound}
		if err := part.Validate(); err != nil || !p.span.Covers(part) {
			return nil, fmt.Errorf("cannot cut %s at %v: want ascending bounds within it", p.span, at)
		}
		parts = append(parts, part)
		lower = bound
	}
	return parts, nil
}

// middle is a key with as many documents below as above, or the middle of the key space where there are none.
func (p *partition) middle(c *container) (string, error) {
	if len(p.docs) == 0 {
		if c.hashing != hashingV2 {
			return "", errors.New("it is empty: say where to cut")
		}
		lower, err := strconv.ParseUint((p.span.Min + "00000000")[:8], 16, 64)
		upper := uint64(0x40000000)
		if err == nil && p.span.Max != schemas.MaxEPK {
			upper, err = strconv.ParseUint((p.span.Max + "00000000")[:8], 16, 64)
		}
		if err != nil || upper-lower < 2 {
			return "", fmt.Errorf("cannot cut %s in the middle", p.span)
		}
		return fmt.Sprintf("%08X", (lower+upper)/2), nil
	}
	keys := make([]string, 0, len(p.docs))
	for _, v := range p.docs {
		keys = append(keys, c.hashing.epk(c.key, v.pk()))
	}
	sort.Strings(keys)
	middle := keys[len(keys)/2]
	i := sort.SearchStrings(keys, middle)
	if i == 0 { // the lower half is one key
		i = sort.Search(len(keys), func(i int) bool { return keys[i] > middle })
	}
	if i == len(keys) || schemas.CompareEPK(keys[i], p.span.Min) <= 0 {
		return "", errOneKey
	}
	return keys[i], nil
}

// divide makes the parts of a range. The caller holds the lock.
func (p *partition) divide(c *container, spans []schemas.FeedRange) []*partition {
	parts := make([]*partition, len(spans))
	for i, span := range spans {
		one := newPartition(c.topology.next+i, span)
		one.parents = append(slices.Clone(p.parents), p.id)
		one.config, one.newest, one.floor, one.merged = p.config, p.newest, p.floor, p.merged
		one.events.from, one.events.held, one.events.ticks = p.events.from, p.events.held, slices.Clone(p.events.ticks)
		one.skew = p.skew
		parts[i] = one
	}
	known := make(map[string]*partition) // by partition key
	home := func(v *version) *partition {
		part, ok := known[v.pk()]
		if !ok {
			epk := c.hashing.epk(c.key, v.pk())
			part = parts[slices.IndexFunc(spans, func(span schemas.FeedRange) bool { return span.Contains(epk) })]
			known[v.pk()] = part
		}
		return part
	}
	for _, s := range p.log {
		if s.v == nil {
			continue
		}
		part := home(s.v)
		part.log = append(part.log, s)
		if s.v.end == 0 {
			part.docs[s.v.key] = s.v
			part.bytes += int64(len(s.v.body))
		}
	}
	for _, v := range p.ended {
		part := home(v)
		part.ended = append(part.ended, v)
		part.endedN += int64(len(v.body))
	}
	for _, one := range p.events.list {
		part := home(one.v)
		part.events.list = append(part.events.list, one)
	}
	return parts
}
