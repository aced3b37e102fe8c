package cosmosfake

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The feed of all versions and deletions. What it shows is kept for as long as the account retains, apart from the
// log of the newest versions.

const (
	wireFormatHeader = "x-ms-cosmos-changefeed-wire-format-version"
	wireFormat       = "2021-09-15"
)

// DeletionShape is how the feed of all versions shows a deletion. The service's documents and its clients' sources
// know all of them.
type DeletionShape int

const (
	// DeletionObject has an empty `current`, and the partition key as an object of path to value.
	DeletionObject DeletionShape = iota
	// DeletionArray has no `current`, and the partition key as an array of its values.
	DeletionArray
	// DeletionDocumented has no `current`, and the partition key as an object. As the service's documentation has it, no
	// metadata says what goes without saying: creations have no `previousImageLSN`, and `timeToLiveExpired` is there only
	// where it is true.
	DeletionDocumented
)

// event is one change of one document.
type event struct {
	lsn      int64
	previous int64 // LSN of the version that it ended; 0 of a creation
	at       int64 // seconds since 1970
	kind     string
	expired  bool     // it is a deletion because the time to live was over
	v        *version // the new version; of a deletion, the last one
}

// events of a range in their order, which is that of their LSNs.
type events struct {
	list  []event
	ticks []tick // when LSNs were taken, those without an event too, since retention
	from  int64  // positions before are out of retention
	held  int64  // events after this LSN are held back; 0 holds none
}

// tick is the last LSN that was taken in a second.
type tick struct {
	LSN int64 `json:"lsn"`
	At  int64 `json:"at"` // seconds since 1970
}

// add remembers a transaction for as long as the account retains.
func (e *events) add(lsn, stamp int64, changes []change, retention time.Duration) {
	if retention == 0 {
		return
	}
	for _, c := range changes {
		one := event{lsn: lsn, at: stamp, v: c.after}
		if c.before != nil {
			one.previous = c.before.lsn
		}
		switch {
		case c.after == nil:
			one.kind, one.v, one.expired = "delete", c.before, c.op == OpPurge
		case c.before == nil:
			one.kind = "create"
		default:
			one.kind = "replace"
		}
		e.list = append(e.list, one)
	}
}

// took notes when an LSN was taken.
func (e *events) took(lsn int64, at time.Time, retention time.Duration) {
	if retention == 0 {
		return
	}
	if n := len(e.ticks); n > 0 && e.ticks[n-1].At == at.Unix() {
		e.ticks[n-1].LSN = lsn
	} else {
		e.ticks = append(e.ticks, tick{lsn, at.Unix()})
	}
	e.forget(at.Add(-retention))
}

// forget lets go of what happened before. A position is out of retention once the LSN after it is.
func (e *events) forget(before time.Time) {
	n := 0
	for n < len(e.ticks) && e.ticks[n].At < before.Unix() {
		n++
	}
	if n > 0 {
		e.from = e.ticks[n-1].LSN
		e.ticks = slices.Delete(e.ticks, 0, n)
		e.list = slices.Delete(e.list, 0, e.after(e.from))
	}
}

// rewind makes what came after an LSN never have been.
func (e *events) rewind(to int64) {
	keep := e.after(to)
	clear(e.list[keep:])
	e.list = e.list[:keep]
	if n := sort.Search(len(e.ticks), func(i int) bool { return e.ticks[i].LSN >= to }); n < len(e.ticks) {
		e.ticks = e.ticks[:n+1]
		e.ticks[n].LSN = to
	}
	e.from = min(e.from, to) // else what comes next would be out of retention at once
	if e.held > to {
		e.held = 0
	}
}

// after is the index of the first event with a greater LSN.
func (e *events) after(lsn int64) int {
	return sort.Search(len(e.list), func(i int) bool { return e.list[i].lsn > lsn })
}

// allVersions is feed for all versions and deletions. The caller holds the lock.
func (p *partition) allVersions(q *scan) page {
	if q.fault.ConfigBehind > 0 && p.past != nil {
		return p.past.allVersions(p, q)
	}
	return p.observe(q, func(asOf int64, out *page) { p.events.collect(q, asOf, out) })
}

// collect makes a page of what a replica shows.
func (e *events) collect(q *scan, asOf int64, out *page) {
	if out.held = e.held; out.held != 0 {
		asOf = min(asOf, out.held)
	}
	for _, one := range e.list[e.after(q.after):] {
		if one.lsn > asOf {
			break
		}
		if q.keep != nil && !q.keep(one.v) {
			continue
		}
		if q.full(len(out.events), out.bytes) && one.lsn != out.last {
			break
		}
		out.events = append(out.events, one)
		out.bytes += len(one.v.body)
		out.last = one.lsn
	}
}

// versionFeed answers with all versions and deletions after the continuation.
func (s *Server) versionFeed(a *answer, r *http.Request, c *container, w window, q scan) *Error {
	switch {
	case s.options.Retention == 0:
		return badRequest("Change Feed 'All Versions and Deletes' mode must be enabled.")
	case r.Header.Get(wireFormatHeader) == "":
		return notHere("all versions in the form of before " + wireFormat + ", which " + wireFormatHeader + " asks for")
	case r.Header.Get("If-None-Match") == "", r.Header.Get("If-Modified-Since") != "":
		return badRequest("FullFidelity Change Feed must have valid If-None-Match header. Start from beginning is not supported, nor is a start at a time.")
	case s.merged.Load():
		return &Error{Status: 500, Code: "InternalServerError", Message: "Specified argument was out of the range of valid values. (Parameter 'Partition has more than two children which is not supported')"}
	}
	if e := readStart(r, &q); e != nil {
		return e
	}
	p, e := s.lockWindow(r, c, w)
	if e != nil {
		return e
	}
	p.events.forget(s.clock.now().Add(-s.options.Retention))
	if q.after < p.events.from {
		p.mu.Unlock()
		return badRequest("The continuation is older than what the change feed retains: events up to LSN %d are out of retention.", p.events.from)
	}
	pg := p.allVersions(&q)
	p.meter.spend(pageCharge(pg.bytes))
	p.mu.Unlock()
	if pg.gone {
		return c.gone(p.id)
	}
	a.feedPage(c, q, pg, changes)
	return nil
}

// envelope is how events are written.
type envelope struct {
	shape  DeletionShape
	images bool // deletions carry the version that they ended
	form   FeedForm
}

// append appends the event as clients see it.
func (e *event) append(dst []byte, c *container, as envelope) []byte {
	spare := as.shape == DeletionDocumented
	switch {
	case e.kind != "delete":
		dst = e.v.appendSpliced(append(dst, `{"current":`...), c, 0)
		dst = append(dst, ',')
	case as.shape == DeletionObject:
		dst = append(dst, `{"current":{},`...)
	default:
		dst = append(dst, '{')
	}
	dst = append(dst, `"metadata":{"lsn":`...)
	dst = strconv.AppendInt(dst, e.lsn, 10)
	dst = as.form.appendTime(append(dst, `,"crts":`...), e.at)
	dst = append(append(dst, `,"operationType":`...), quote(cmp.Or(as.form.Operation, e.kind))...)
	if e.kind != "create" || !spare {
		dst = append(dst, `,"previousImageLSN":`...)
		dst = strconv.AppendInt(dst, e.previous, 10)
	}
	if e.expired || !spare {
		dst = append(dst, `,"timeToLiveExpired":`...)
		dst = strconv.AppendBool(dst, e.expired)
	}
	if e.kind != "delete" {
		return append(dst, `}}`...)
	}
	dst = append(append(dst, `,"id":`...), quote(e.v.id())...)
	dst = append(append(dst, `,"partitionKey":`...), c.shapeKey(e.v.pk(), as.shape)...)
	dst = append(dst, '}')
	if as.images {
		dst = e.v.appendSpliced(append(dst, `,"previous":`...), c, 0)
	}
	return append(dst, '}')
}

// shapeKey writes a partition key as deletions show it.
func (c *container) shapeKey(canonical string, shape DeletionShape) string {
	if shape == DeletionArray {
		return canonical
	}
	var values []json.RawMessage
	if err := json.Unmarshal([]byte(canonical), &values); err != nil { // it is canonical
		panic(err)
	}
	out := []byte{'{'}
	for i, value := range values {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(strings.Join(c.key.Paths[i], "/"))...), ':'), value...)
	}
	return string(append(out, '}'))
}

// appendWrapped appends a newest version in the envelope of all versions, which the header asks for.
func (v *version) appendWrapped(dst []byte, c *container, how FeedForm) []byte {
	dst = v.appendSpliced(append(dst, `{"current":`...), c, v.lsn)
	dst = append(dst, `,"metadata":{"lsn":`...)
	dst = strconv.AppendInt(dst, v.lsn, 10)
	dst = how.appendTime(append(dst, `,"crts":`...), v.ts)
	return append(dst, `}}`...)
}

func (how FeedForm) appendTime(dst []byte, seconds int64) []byte {
	dst = strconv.AppendInt(dst, seconds, 10)
	if how.FloatTimes {
		dst = append(dst, ".0"...)
	}
	return dst
}

// checkPolicy refuses what an account with continuous backup refuses in the definition of a container.
func (s *Server) checkPolicy(body []byte) *Error {
	var defined struct {
		Policy struct {
			Retention any `json:"retentionDuration"`
		} `json:"changeFeedPolicy"`
	}
	if err := json.Unmarshal(body, &defined); err != nil {
		return badRequest("The changeFeedPolicy is invalid: %v.", err)
	}
	if s.options.Retention > 0 && defined.Policy.Retention != nil {
		return badRequest("The retention duration in the Change Feed policy should not be set when continuous backup mode is enabled for the database account. Change Feed retention is set by the backup retention.")
	}
	return nil
}

// HoldEvents keeps what happens from now on out of a range's feed of all versions, as events that arrive late do, until
// ReleaseEvents. The range goes on to report its newest LSN.
func (s *Server) HoldEvents(r Range) (RangeState, error) {
	return s.control("hold events of", r, 0, func(_ *container, p *partition) error {
		p.events.held = p.newest
		return nil
	})
}

// ReleaseEvents shows what HoldEvents kept out.
func (s *Server) ReleaseEvents(r Range) (RangeState, error) {
	return s.control("release events of", r, 0, func(_ *container, p *partition) error {
		p.events.held = 0
		return nil
	})
}
