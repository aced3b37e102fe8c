package cosmosfake

import (
	"slices"
	"sort"
)

// past is a range as it was just before its last failover, with what that undid: what a replica shows that has not
// heard of the failover. It is not kept in a data directory, nor by the parts of a range that is split.
type past struct {
	newest int64
	floor  int64
	log    []ended
	events events
}

// remember makes the past. The caller holds the lock.
func (p *partition) remember() *past {
	b := &past{newest: p.newest, floor: p.floor, events: events{list: slices.Clone(p.events.list), held: p.events.held}}
	b.log = make([]ended, 0, len(p.log)-p.holes)
	for _, s := range p.log {
		if s.v != nil {
			b.log = append(b.log, ended{s.v, s.v.end})
		}
	}
	return b
}

// page is an empty one, and the LSN that the replica shows.
func (b *past) page(p *partition, q *scan) (page, int64) {
	asOf := max(b.newest-q.fault.Behind, b.floor)
	return page{at: position{rangeID: p.id, config: p.config - q.fault.ConfigBehind, newest: asOf, form: q.fault.Session}}, asOf
}

// feed is the range's.
func (b *past) feed(p *partition, q *scan) page {
	out, asOf := b.page(p, q)
	from := sort.Search(len(b.log), func(i int) bool { return b.log[i].v.lsn > q.after })
	for _, one := range b.log[from:] {
		v := one.v
		if v.lsn > asOf {
			break
		}
		if one.end != 0 && one.end <= asOf || !q.keeps(v) {
			continue
		}
		if q.full(len(out.versions), out.bytes) && v.lsn != out.last {
			break
		}
		out.versions = append(out.versions, v)
		out.bytes += len(v.body)
		out.last = v.lsn
	}
	return out
}

// allVersions is the range's.
func (b *past) allVersions(p *partition, q *scan) page {
	out, asOf := b.page(p, q)
	b.events.collect(q, asOf, &out)
	return out
}
