package cosmosfake

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Merge makes one range of two or more that stand side by side, and returns its state. Its configuration number is
// one higher than theirs, its LSNs begin at 1, and their documents get new ones, in the order of their old ones: so `_ts`
// may go back along them, as in the service (github.com/Azure/azure-sdk-for-java/issues/30963). What was written together
// stays together. It has no history. The feed of all versions ends for the whole account.
func (s *Server) Merge(database, container string, ids ...string) (RangeState, error) {
	c, e := s.container(database, container)
	if e != nil {
		return RangeState{}, fmt.Errorf("merge ranges %q of %s.%s: %w", ids, database, container, e)
	}
	state, err := s.merge(c, ids)
	if err != nil {
		return RangeState{}, fmt.Errorf("merge ranges %q of %s.%s: %w", ids, database, container, err)
	}
	return state, nil
}

func (s *Server) merge(c *container, ids []string) (RangeState, error) {
	unlock := c.topology.lockAll()
	defer unlock()
	old := c.named(ids)
	if len(old) < 2 || len(old) != len(ids) {
		return RangeState{}, errors.New("want two or more ranges of the container, each once")
	}
	for i, p := range old[1:] {
		if old[i].span.Max != p.span.Min {
			return RangeState{}, fmt.Errorf("range %s does not begin where range %s ends", p.id, old[i].id)
		}
	}
	if old[0].closed {
		return RangeState{}, ownerNotFound()
	}
	one := c.join(old)
	entry := c.entry(one, OpMerge, s.clock.now())
	entry.LSN = one.newest
	for _, p := range old {
		entry.Parents = append(entry.Parents, p.id)
	}
	if err := s.keep(&record{Act: &actRecord{Op: OpMerge, In: c.rid, Ranges: entry.Parents}}, entry); err != nil {
		return RangeState{}, err
	}
	c.topology.replace(old, []*partition{one}, former{})
	s.merged.Store(true)
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.state(), nil
}

// named are ranges in order of the key space.
func (c *container) named(ids []string) []*partition {
	var list []*partition
	for _, p := range c.partitions() {
		if slices.Contains(ids, p.id) {
			list = append(list, p)
		}
	}
	return list
}

// join makes the range. The caller holds all locks.
func (c *container) join(old []*partition) *partition {
	span := old[0].span
	span.Max = old[len(old)-1].span.Max
	one := newPartition(c.topology.next, span)
	one.merged, one.newest, one.config = true, 0, 0
	type row struct {
		from int
		v    *version
	}
	var rows []row
	for i, p := range old {
		one.config = max(one.config, p.config+1)
		for _, id := range append(slices.Clone(p.parents), p.id) {
			if !slices.Contains(one.parents, id) {
				one.parents = append(one.parents, id)
			}
		}
		for _, s := range p.log {
			if s.v != nil && s.v.end == 0 {
				rows = append(rows, row{i, s.v})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.v.lsn, b.v.lsn), cmp.Compare(a.from, b.from))
	})
	for i, r := range rows {
		if i == 0 || rows[i-1].from != r.from || rows[i-1].v.lsn != r.v.lsn {
			one.newest++
		}
		v := *r.v // the old one may be on its way to a client
		v.lsn = one.newest
		one.docs[v.key] = &v
		one.log = append(one.log, slot{v.lsn, &v})
		one.bytes += int64(len(v.body))
	}
	one.newest = max(one.newest, firstLSN)
	one.floor = one.newest
	return one
}
