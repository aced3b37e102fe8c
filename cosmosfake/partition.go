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
	id    string
	index int
	span  schemas.FeedRange

	mu      sync.Mutex
	closed  bool // the container was deleted
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

// cutRanges cuts the key space evenly. Effective partition keys begin with 00 to 3F only.
func cutRanges(n int) []schemas.FeedRange {
	ranges := make([]schemas.FeedRange, n)
	lower := schemas.MinEPK
	for i := range ranges {
		upper := schemas.MaxEPK
		if i < n-1 {
			upper = fmt.Sprintf("%04X", 0x4000*(i+1)/n)
		}
		ranges[i] = schemas.FeedRange{Min: lower, Max: upper}
		lower = upper
	}
	return ranges
}

// position is what a range, or one of its replicas, reports about itself.
type position struct {
	rangeID string
	config  int64
	newest  int64
}

// session is the session token in the form that carries the configuration number.
func (p position) session() string {
	return fmt.Sprintf("%s:%d#%d#%d=%d", p.rangeID, p.config, p.newest, region, p.newest)
}

func (p *partition) position() position {
	return position{rangeID: p.id, config: p.config, newest: p.newest}
}

// apply makes changes visible under one LSN. The caller holds the lock and wrote the ledger.
func (p *partition) apply(lsn int64, changes []change) {
	p.newest = lsn
	for _, c := range changes {
		if c.before != nil {
			c.before.end = lsn
			p.ended = append(p.ended, c.before)
			p.endedN += int64(len(c.before.body))
		}
		if c.after == nil {
			delete(p.docs, c.before.key)
			continue
		}
		p.docs[c.after.key] = c.after
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
func (p *partition) bump(n int64) position {
	p.newest += n
	p.forget()
	return p.position()
}

// rewind is a failover: the last n LSNs never were. The caller holds the lock and wrote the ledger.
func (p *partition) rewind(n int64) {
	to := p.newest - n
	tail := p.after(to)
	for _, s := range p.log[tail:] {
		switch {
		case s.v == nil:
			p.holes--
		case s.v.end == 0:
			delete(p.docs, s.v.key)
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
	}
	clear(p.ended[keep:])
	p.ended = p.ended[:keep]
	p.newest = to
	p.config++
	p.replica = replica{}
}

// page is a run of versions in order of LSN, and where it ends.
type page struct {
	versions []*version
	bytes    int
	last     int64 // LSN of the last version; 0 of none
	at       position
}

// pageLimit ends a page; the last transaction is never cut.
type pageLimit struct {
	items int
	bytes int
}

// feed collects the versions after an LSN that a replica shows: choose says as of which LSN it answers.
func (p *partition) feed(after int64, limit pageLimit, choose func(*partition) int64) page {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := page{at: p.position()}
	out.at.newest = choose(p)
	for _, s := range p.log[p.after(after):] {
		if s.lsn > out.at.newest {
			break
		}
		if s.v == nil || s.v.end != 0 && s.v.end <= out.at.newest {
			continue
		}
		if (len(out.versions) >= limit.items || out.bytes >= limit.bytes) && s.lsn != out.last {
			break
		}
		out.versions = append(out.versions, s.v)
		out.bytes += len(s.v.body)
		out.last = s.lsn
	}
	return out
}

// primary answers as of the newest LSN.
func primary(p *partition) int64 { return p.newest }

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
	changes []change
}

// begin locks the range; the caller calls commit or abort. It returns nil when the container is gone.
func (s *Server) begin(c *container, p *partition) *transaction {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	return &transaction{s: s, c: c, p: p, time: s.clock.now(), lsn: p.newest + 1}
}

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
	return t.p.docs[string(key)]
}

// put records a new version in place of before, which may be nil.
func (t *transaction) put(op string, d document, before *version) *version {
	v := &version{body: d.body, pkLen: len(d.pk), lsn: t.lsn, ts: t.time.Unix(), etag: t.s.etags.Add(1)}
	if before != nil {
		v.key, v.rid = before.key, before.rid
	} else {
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
	defer t.p.mu.Unlock()
	if len(t.changes) == 0 {
		return t.p.position(), nil
	}
	if t.s.ledger.wanted() {
		entries := make([]Entry, len(t.changes))
		for i, c := range t.changes {
			entries[i] = t.entry(c)
		}
		if err := t.s.ledger.append(entries); err != nil {
			return position{}, &Error{Status: 500, Code: "InternalServerError", Message: err.Error()}
		}
	}
	t.p.apply(t.lsn, t.changes)
	return t.p.position(), nil
}

func (t *transaction) entry(c change) Entry {
	e := t.c.entry(t.p, c.op, t.time)
	e.LSN = t.lsn
	if c.after == nil {
		e.PK, e.ID = c.before.pk(), c.before.id()
		return e
	}
	e.PK, e.ID, e.SHA256, e.ETag = c.after.pk(), c.after.id(), c.hash, c.after.etagText()
	return e
}
