package cosmosfake

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// replay does again what a data directory holds.
type replay struct {
	s          *Server
	containers map[string]*container // by resource id
	// c, p and versions are what the next records of a snapshot belong to.
	c        *container
	p        *partition
	versions []*version
	ledger   string // the lines of the last record
}

var errOrder = errors.New("it stands before what it belongs to")

// replayAll reads a data directory and returns the number of its last journal.
func (s *Server) replayAll(f folder) (int64, error) {
	in := &replay{s: s, containers: make(map[string]*container)}
	last, err := f.read(in.line)
	if err != nil {
		return 0, err
	}
	if err := s.ledger.complete([]byte(in.ledger)); err != nil {
		return 0, err
	}
	in.endRange()
	if s.options.Retention == 0 {
		clear(s.dropped)
	}
	for _, d := range s.databases {
		for _, c := range d.containers {
			var content *throughputContent
			if o := s.offers[c.rid]; o != nil {
				content = &o.content
			}
			c.throughput.set(s.limit(content))
		}
	}
	return last, nil
}

func (in *replay) line(text []byte) error {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	s := in.s
	in.ledger = r.Ledger
	s.clock.last.Store(max(s.clock.last.Load(), r.Time))
	switch { // the most frequent ones, which stand alone
	case r.Item != nil:
		return in.item(r.Item)
	case r.Event != nil:
		return in.event(r.Event)
	case r.Write != nil:
		return in.write(r.Write, time.Unix(0, r.Time).UTC())
	}
	in.endRange()
	switch {
	case r.Range != nil:
		return in.begin(r.Range)
	case r.Act != nil:
		return in.act(r.Act, time.Unix(0, r.Time).UTC())
	case r.Drop != nil:
		return in.drop(r.Drop)
	}
	return in.define(&r)
}

// define takes what is defined together.
func (in *replay) define(r *record) error {
	s := in.s
	if a := r.Account; a != nil {
		s.rids, s.offered = a.RIDs, a.Offered
		s.saw(a.ETags)
		s.merged.Store(a.Merged)
		s.writer.Store(a.Writer)
	}
	if d := r.Database; d != nil {
		if known := s.databases[d.ID]; known != nil {
			known.made = d.Made
		} else {
			s.databases[d.ID] = &database{
				id: d.ID, rid: ridText(databaseRID(d.Number)), number: d.Number, body: d.Body, etag: d.ETag, ts: d.TS,
				made: d.Made, containers: make(map[string]*container),
			}
		}
	}
	if r.Container != nil {
		if err := in.container(r.Container); err != nil {
			return err
		}
	}
	if o := r.Offer; o != nil {
		s.offers[o.Resource] = &offer{rid: o.RID, resource: o.Resource, self: o.Self, content: o.Content, etag: o.ETag, ts: o.TS}
	}
	if one := r.Script; one != nil {
		c := in.containers[one.In]
		if c == nil {
			return errOrder
		}
		delete(c.scripts[one.Kind], one.Was)
		c.keep(one.Kind, &script{id: one.ID, number: one.Number, body: one.Body, etag: one.ETag, ts: one.TS})
		c.rids = max(c.rids, one.Number)
	}
	return nil
}

// saw makes new etags be others than one that was given.
func (s *Server) saw(etag uint64) { s.etags.Store(max(s.etags.Load(), etag)) }

func (in *replay) container(r *containerRecord) error {
	rid := ridText(r.RID)
	d, c := in.s.databases[r.Database], in.containers[rid]
	if d == nil && !r.Dropped {
		return errOrder
	}
	var ttl timeToLive
	if e := ttl.define(r.Body); e != nil {
		return e
	}
	switch {
	case r.Restored:
		if c == nil {
			return errOrder
		}
		c = c.revive()
		delete(in.s.dropped, c.path)
	case c == nil:
		made, err := madeContainer(r)
		if err != nil {
			return err
		}
		c = made
	}
	c.body, c.etag, c.ts, c.rids = r.Body, r.ETag, r.TS, max(c.rids, r.RIDs)
	c.ttl.seconds.Store(ttl.seconds.Load())
	in.containers[rid] = c
	if in.c, in.p = c, nil; r.Dropped {
		c.topology.deleted.Store(true)
		c.dropped = cmp.Or(r.DroppedAt, in.s.clock.last.Load())
		in.s.dropped[c.path] = c
	} else {
		d.containers[c.id] = c
	}
	return nil
}

// madeContainer is a container with the ranges that it was created with; of a snapshot, with none.
func madeContainer(r *containerRecord) (*container, error) {
	_, key, version, e := completeDefinition(r.Body)
	if e != nil {
		return nil, e
	}
	unique, e := parseUniqueKeys(r.Body)
	if e != nil {
		return nil, e
	}
	rid := ridText(r.RID)
	c := &container{
		name: r.Database + "." + r.ID, path: pathOf(r.Database, r.ID), id: r.ID, ridBytes: r.RID, rid: rid,
		self: "dbs/" + ridText(r.RID[:4]) + "/colls/" + rid + "/", key: key, hashing: version, unique: unique,
	}
	if r.Cut > 0 {
		c.topology.begin(version.cut(r.Cut))
		return c, nil
	}
	c.topology.begin(nil)
	c.topology.next = r.Next
	c.topology.now.Store(&layout{number: r.Layout})
	return c, nil
}

func (in *replay) begin(r *rangeRecord) error {
	if in.c == nil {
		return errOrder
	}
	p := newPartition(r.Index, r.Span)
	p.config, p.newest, p.floor, p.rids, p.events.from = r.Config, r.Newest, r.Floor, r.RIDs, r.From
	p.events.ticks = r.Ticks
	p.parents, p.merged, p.since, p.closed = r.Parents, r.Merged, r.Since, in.c.topology.deleted.Load()
	in.c.topology.add(p)
	in.p = p
	return nil
}

// endRange puts what ended into its order.
func (in *replay) endRange() {
	if in.p != nil {
		slices.SortStableFunc(in.p.ended, func(a, b *version) int { return cmp.Compare(a.end, b.end) })
	}
	in.p, in.versions = nil, nil
}

func (in *replay) item(r *itemRecord) error {
	p := in.p
	if p == nil {
		return errOrder
	}
	v := &version{key: r.PK + r.ID, pkLen: len(r.PK), body: r.Body, lsn: r.LSN, end: r.End, ts: r.TS, etag: r.ETag, rid: r.RID, ttl: r.TTL}
	in.versions = append(in.versions, v)
	switch {
	case r.Past:
		return nil
	case v.end != 0:
		p.ended = append(p.ended, v)
		p.endedN += int64(len(v.body))
	default:
		p.docs[v.key] = v
		p.bytes += int64(len(v.body))
	}
	p.log = append(p.log, slot{v.lsn, v})
	return nil
}

func (in *replay) event(r *eventRecord) error {
	if in.p == nil || r.Item < 0 || r.Item >= len(in.versions) {
		return errOrder
	}
	in.p.events.list = append(in.p.events.list, event{
		lsn: r.LSN, previous: r.Previous, at: r.At, kind: r.Kind, expired: r.Expired, v: in.versions[r.Item],
	})
	return nil
}

// find is a range that an act or a write names.
func (in *replay) find(rid, id string) (*container, *partition, error) {
	c := in.containers[rid]
	if c == nil {
		return nil, nil, errOrder
	}
	p := c.rangeByID(id)
	if p == nil {
		return nil, nil, rangeGone(id)
	}
	return c, p, nil
}

func (in *replay) write(r *writeRecord, at time.Time) error {
	in.endRange()
	c, p, err := in.find(r.In, r.Range)
	if err != nil {
		return err
	}
	if r.LSN != p.newest+1 {
		return fmt.Errorf("the range is at LSN %d, a transaction has %d", p.newest, r.LSN)
	}
	t := &transaction{s: in.s, c: c, p: p, time: at, lsn: r.LSN}
	stamp := cmp.Or(r.TS, at.Unix())
	for _, one := range r.Changes {
		key := one.PK + one.ID
		done := change{op: one.Op, before: t.current([]byte(key))}
		switch {
		case one.Op != OpDelete && one.Op != OpPurge:
			done.after = &version{key: key, pkLen: len(one.PK), body: one.Body, lsn: r.LSN, ts: stamp, etag: one.ETag, rid: one.RID, ttl: one.TTL}
			p.rids = max(p.rids, one.RID)
			in.s.saw(one.ETag)
		case done.before == nil:
			return fmt.Errorf("it deletes %s, which is not there", key)
		}
		t.changes = append(t.changes, done)
	}
	p.apply(r.LSN, t.changes)
	p.events.add(r.LSN, stamp, t.changes, in.s.options.Retention)
	p.events.took(r.LSN, at, in.s.options.Retention)
	return nil
}

func (in *replay) act(r *actRecord, at time.Time) error {
	if r.Op == actRegion {
		in.s.writer.Store(1 - in.s.writer.Load())
		return nil
	}
	if len(r.Ranges) == 0 {
		return errOrder
	}
	c, p, err := in.find(r.In, r.Ranges[0])
	if err != nil {
		return err
	}
	switch r.Op {
	case actBump:
		p.bump(r.LSNs, at, in.s.options.Retention)
	case OpFailover:
		p.rewind(r.LSNs)
	case OpSplit:
		cut, err := p.cuts(c, r.At)
		if err != nil {
			return err
		}
		c.topology.replace([]*partition{p}, p.divide(c, cut), former{})
	case OpMerge:
		old := c.named(r.Ranges)
		c.topology.replace(old, []*partition{c.join(old)}, former{})
		in.s.merged.Store(true)
	default:
		return fmt.Errorf("the act %q is unknown", r.Op)
	}
	return nil
}

func (in *replay) drop(r *dropRecord) error {
	if c := in.containers[r.In]; r.Kind != "" && c != nil {
		delete(c.scripts[r.Kind], r.ID)
		return nil
	}
	d := in.s.databases[r.Database]
	if d == nil {
		return errOrder
	}
	if r.Container == "" {
		in.s.forgetDatabase(d)
		return nil
	}
	c := d.containers[r.Container]
	if c == nil {
		return errOrder
	}
	in.s.forgetContainer(d, c)
	in.s.dropped[c.path] = c // kept or not by what the server does when all is read
	return nil
}
