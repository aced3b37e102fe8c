package cosmosfake

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

const (
	// historyLSNs and historyBytes bound what a range remembers of replaced versions, for failovers and lagging
	// replicas.
	historyLSNs  = 1000
	historyBytes = 64 << 20
	// firstLSN is the newest LSN of an empty range: the container's own creation took one.
	firstLSN    = 1
	firstConfig = 1
	// region numbers the only region in session tokens.
	region = 1
)

// partition is a physical range: its documents, and the log of their versions in order of LSN. A version stays in
// the log after its end until history is full, so the log answers for every LSN from floor to newest: a version is
// visible at L iff lsn <= L and it has not ended at L.
type partition struct {
	id      string
	index   int
	span    schemas.FeedRange
	parents []string // all ranges that it came from, oldest first
	since   int64    // number of the layout that it came with

	mu      sync.Mutex
	closed  bool // the container was deleted, or the range split or merged
	config  int64
	newest  int64
	docs    map[string]*version
	log     []slot
	holes   int // slots of log without a version
	ended   []*version
	endedN  int64 // bytes in ended
	floor   int64
	rids    uint64
	replica replica
	skew    time.Duration // of its clock
	past    *past         // before the last failover; nil without one
	bytes   int64         // of the live documents
	alone   int64         // bytes at which it could not be split, because all belong to one key
	events  events
	unique  uniqueIndex // nil until it is needed
	meter   meter
	// migrating requests are told that the range moves, after a split.
	migrating int
	merged    bool // from others
}

// slot keeps the LSN of a version that was let go, so that the log stays searchable.
type slot struct {
	lsn int64
	v   *version
}

// replica is one that stopped at an LSN and answers the next feed requests.
type replica struct {
	on   bool
	lsn  int64
	left int // requests; negative is until cleared
}

func newPartition(index int, span schemas.FeedRange) *partition {
	return &partition{
		id: strconv.Itoa(index), index: index, span: span, config: firstConfig, newest: firstLSN, floor: firstLSN,
		docs: make(map[string]*version), rids: uint64(index) << 40,
	}
}

// position is what a range, or one of its replicas, reports about itself.
type position struct {
	rangeID string
	config  int64
	newest  int64
	form    SessionForm
}

// session is the session token.
func (p position) session() string {
	switch p.form {
	case SessionSimple:
		return fmt.Sprintf("%s:%d", p.rangeID, p.newest)
	case SessionUnnumbered:
		return fmt.Sprintf("%s:-1#%d", p.rangeID, p.newest)
	}
	return fmt.Sprintf("%s:%d#%d#%d=%d", p.rangeID, p.config, p.newest, region, p.newest)
}

func (p *partition) position() position {
	return position{rangeID: p.id, config: p.config, newest: p.newest}
}

// apply makes changes visible under one LSN. The caller holds the lock and wrote the ledger.
func (p *partition) apply(lsn int64, changes []change) {
	p.newest = lsn
	for _, c := range changes {
		if p.unique != nil && c.before != nil {
			p.unique.remove(c.before)
		}
		if p.unique != nil && c.after != nil {
			p.unique.add(c.after)
		}
		if c.before != nil {
			c.before.end = lsn
			p.ended = append(p.ended, c.before)
			p.endedN += int64(len(c.before.body))
			p.bytes -= int64(len(c.before.body))
		}
		if c.after == nil {
			delete(p.docs, c.before.key)
			continue
		}
		p.docs[c.after.key] = c.after
		p.bytes += int64(len(c.after.body))
		p.log = append(p.log, slot{lsn, c.after})
	}
	p.forget()
}

// forget lets go of what is beyond the bounds of history.
func (p *partition) forget() {
	n := 0
	for n < len(p.ended) && (p.ended[n].end < p.newest-historyLSNs || p.endedN > historyBytes) {
		v := p.ended[n]
		p.endedN -= int64(len(v.body))
		p.floor = max(p.floor, v.end)
		i := p.after(v.lsn - 1)
		for p.log[i].v != v {
			i++
		}
		p.log[i].v = nil
		p.holes++
		n++
	}
	clear(p.ended[:n])
	p.ended = p.ended[n:]
	if p.holes > 1000 && p.holes > len(p.log)/2 {
		p.log = slices.DeleteFunc(p.log, func(s slot) bool { return s.v == nil })
		p.holes = 0
	}
}

// after is the index of the first slot with a greater LSN.
func (p *partition) after(lsn int64) int {
	return sort.Search(len(p.log), func(i int) bool { return p.log[i].lsn > lsn })
}

// bump takes n LSNs without a record, as internal writes do.
func (p *partition) bump(n int64, at time.Time, retention time.Duration) {
	p.newest += n
	p.forget()
	p.events.took(p.newest, at, retention)
}

// rewind is a failover: the last n LSNs never were. The caller holds the lock and wrote the ledger.
func (p *partition) rewind(n int64) {
	p.unique = nil
	p.past = p.remember()
	to := p.newest - n
	tail := p.after(to)
	for _, s := range p.log[tail:] {
		switch {
		case s.v == nil:
			p.holes--
		case s.v.end == 0:
			delete(p.docs, s.v.key)
			p.bytes -= int64(len(s.v.body))
		}
	}
	clear(p.log[tail:])
	p.log = p.log[:tail]
	keep := sort.Search(len(p.ended), func(i int) bool { return p.ended[i].end > to })
	for _, v := range p.ended[keep:] {
		p.endedN -= int64(len(v.body))
		if v.lsn > to {
			continue
		}
		v.end = 0
		p.docs[v.key] = v
		p.bytes += int64(len(v.body))
	}
	clear(p.ended[keep:])
	p.ended = p.ended[:keep]
	p.newest = to
	p.config++
	p.replica = replica{}
	p.events.rewind(to)
}

// page is a run of versions in order of LSN, and where it ends.
type page struct {
	versions []*version
	events   []event // of a page of all versions
	bytes    int
	last     int64 // LSN of the last version; 0 of none
	held     int64 // what comes after this LSN is held back; 0 holds nothing
	at       position
	gone     bool // the range was split or merged before it was scanned
}

// pageLimit ends a page; the last transaction is never cut.
type pageLimit struct {
	items int
	bytes int
}

// scan says what a page of the feed holds.
type scan struct {
	after int64 // LSN
	since int64 // seconds since 1970; earlier transactions are left out
	limit pageLimit
	keep  func(*version) bool // nil keeps all
	lives func(*version) bool // nil lets all live
	fault Fault
	// session is what the client has seen: a replica that lags behind it is not asked.
	session seen
}

// keeps tells whether a version that a replica shows belongs to the page.
func (q *scan) keeps(v *version) bool {
	return v.ts >= q.since && (q.keep == nil || q.keep(v)) && (q.lives == nil || q.lives(v))
}

// full tells whether a page may end before a transaction.
func (q *scan) full(n, bytes int) bool { return n >= q.limit.items || bytes >= q.limit.bytes }

// feed collects the versions after an LSN that a replica shows. The caller holds the lock.
func (p *partition) feed(q *scan) page {
	if q.fault.ConfigBehind > 0 && p.past != nil {
		return p.past.feed(p, q)
	}
	return p.observe(q, func(asOf int64, out *page) {
		for _, s := range p.log[p.after(q.after):] {
			if s.lsn > asOf {
				break
			}
			if s.v == nil || s.v.end != 0 && s.v.end <= asOf || !q.keeps(s.v) {
				continue
			}
			if q.full(len(out.versions), out.bytes) && s.lsn != out.last {
				break
			}
			out.versions = append(out.versions, s.v)
			out.bytes += len(s.v.body)
			out.last = s.lsn
		}
	})
}

// read is feed for whoever does not hold the lock.
func (p *partition) read(q *scan) page {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return page{gone: true}
	}
	return p.feed(q)
}

// get finds a document as a replica shows it; nil is none. The caller holds the lock.
func (p *partition) get(q *scan, key []byte) (*version, position) {
	var found *version
	out := p.observe(q, func(asOf int64, _ *page) {
		found = p.docs[string(key)]
		if asOf < p.newest {
			i := slices.IndexFunc(p.ended, func(v *version) bool { return v.lsn <= asOf && asOf < v.end && v.key == string(key) })
			switch {
			case i >= 0:
				found = p.ended[i]
			case found != nil && found.lsn > asOf:
				found = nil
			}
		}
		if found != nil && q.lives != nil && !q.lives(found) {
			found = nil
		}
	})
	return found, out.at
}

// observe lets collect make a page as of the LSN that a replica shows, and notes what the range reports. Both are of
// one moment, unless the fault says otherwise.
func (p *partition) observe(q *scan, collect func(asOf int64, out *page)) page {
	shown := func(p *partition) int64 {
		lsn := lagging(q.fault.Behind)(p)
		if lsn < q.session.lsn && q.fault.Behind == 0 {
			return p.newest // another replica has it
		}
		return lsn
	}
	asOf := shown(p)
	out := page{at: p.position()}
	out.at.newest = asOf
	if q.fault.Newest == NewestBefore {
		p.elsewhere(q.fault.Between)
		asOf = shown(p)
	}
	if p.closed {
		return page{gone: true}
	}
	collect(asOf, &out)
	if q.fault.Newest == NewestAfter {
		p.elsewhere(q.fault.Between)
		out.at.newest = shown(p)
	}
	out.at.config -= q.fault.ConfigBehind
	out.at.form = q.fault.Session
	return out
}

// elsewhere does something without the lock.
func (p *partition) elsewhere(do func()) {
	if do != nil {
		p.mu.Unlock()
		do()
		p.mu.Lock()
	}
}

// lagging answers as of the frozen replica while there is one, and behind LSNs below the newest otherwise.
func lagging(behind int64) func(*partition) int64 {
	return func(p *partition) int64 {
		lsn := p.newest - behind
		if r := &p.replica; r.on {
			lsn = min(lsn, r.lsn)
			if r.left > 0 {
				r.left--
				r.on = r.left > 0
			}
		}
		return max(lsn, p.floor)
	}
}

// change is the effect of one operation: before is nil for a creation, after for a deletion.
type change struct {
	op            string
	before, after *version
	hash          string // of after's body, when a ledger wants it
}

// transaction collects changes to one range under its lock.
type transaction struct {
	s       *Server
	c       *container
	p       *partition
	time    time.Time
	lsn     int64
	lives   func(*version) bool // nil lets all live
	changes []change
}

// begin locks the range of a key; the caller calls commit or abort.
func (s *Server) begin(c *container, epk []byte, level priority) (*transaction, *Error) {
	p := c.lock(epk)
	if p == nil {
		return nil, ownerNotFound()
	}
	return s.enter(c, p, level)
}

// beginRange is begin by the range's id.
func (s *Server) beginRange(c *container, id string, level priority) (*transaction, *Error) {
	p, e := c.lockRange(id)
	if e != nil {
		return nil, e
	}
	return s.enter(c, p, level)
}

// enter begins a transaction on a range that is locked, or unlocks it.
func (s *Server) enter(c *container, p *partition, level priority) (*transaction, *Error) {
	now := s.clock.now()
	if e := c.admit(p, now, level); e != nil {
		p.mu.Unlock()
		return nil, e
	}
	return &transaction{s: s, c: c, p: p, time: now, lsn: p.newest + 1, lives: c.lives(now)}, nil
}

// stamp is the _ts that the transaction gives, by the range's own clock.
func (t *transaction) stamp() int64 { return t.time.Add(t.p.skew).Unix() }

// current is the document as the transaction sees it.
func (t *transaction) current(key []byte) *version {
	for _, c := range slices.Backward(t.changes) {
		if c.after != nil && c.after.key == string(key) {
			return c.after
		}
		if c.after == nil && c.before.key == string(key) {
			return nil
		}
	}
	v := t.p.docs[string(key)]
	if v == nil || t.lives != nil && !t.lives(v) {
		return nil
	}
	return v
}

// bury purges what is left of an expired document whose key is written again.
func (t *transaction) bury(key []byte) {
	v := t.p.docs[string(key)]
	if v == nil || slices.ContainsFunc(t.changes, func(c change) bool { return c.before == v }) {
		return
	}
	t.changes = append(t.changes, change{op: OpPurge, before: v})
}

// put records a new version in place of before, which may be nil.
func (t *transaction) put(op string, d document, before *version) *version {
	v := &version{body: d.body, pkLen: len(d.pk), lsn: t.lsn, ts: t.stamp(), etag: t.s.etags.Add(1), ttl: d.ttl}
	if before != nil {
		v.key, v.rid = before.key, before.rid
	} else {
		t.bury(d.key)
		t.p.rids++
		v.key, v.rid = string(d.key), t.p.rids
	}
	t.changes = append(t.changes, change{op: op, before: before, after: v, hash: d.hash})
	return v
}

func (t *transaction) delete(before *version) {
	t.changes = append(t.changes, change{op: OpDelete, before: before})
}

// abort forgets the changes and unlocks.
func (t *transaction) abort() { t.p.mu.Unlock() }

// commit writes the ledger, makes the changes visible and unlocks. A transaction of reads takes no LSN.
func (t *transaction) commit() (position, *Error) {
	at, e := t.finish()
	if e == nil {
		t.s.splitLarge(t.c, t.p)
	}
	return at, e
}

func (t *transaction) finish() (position, *Error) {
	defer t.p.mu.Unlock()
	e := t.apply()
	return t.p.position(), e
}

// apply writes journal and ledger, and makes the changes visible. The caller holds the lock.
func (t *transaction) apply() *Error {
	if len(t.changes) == 0 {
		return nil
	}
	var entries []Entry
	if t.s.ledger.wanted() {
		entries = make([]Entry, len(t.changes))
		for i, c := range t.changes {
			entries[i] = t.entry(c)
		}
	}
	var r *record
	if t.s.journal != nil {
		r = t.record()
	}
	if e := t.s.note(r, entries...); e != nil {
		return e
	}
	t.p.apply(t.lsn, t.changes)
	t.p.events.add(t.lsn, t.stamp(), t.changes, t.s.options.Retention)
	t.p.events.took(t.lsn, t.time, t.s.options.Retention)
	return nil
}

func (t *transaction) entry(c change) Entry {
	e := t.c.entry(t.p, c.op, t.time)
	e.LSN = t.lsn
	if stamp := t.stamp(); stamp != t.time.Unix() {
		e.TS = stamp
	}
	if c.after == nil {
		e.PK, e.ID = c.before.pk(), c.before.id()
		return e
	}
	e.TTL = c.after.ttl
	e.PK, e.ID, e.SHA256, e.ETag = c.after.pk(), c.after.id(), c.hash, c.after.etagText()
	return e
}
