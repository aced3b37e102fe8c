package cosmosfake

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// defaultItems and maxPageBytes end a page when the client does not; the service's responses end at 4 MB.
	defaultItems = 100
	serverItems  = 1000
	maxPageBytes = 4 << 20
	// spliceSize is more than the service's properties need.
	spliceSize = 320
	// flushAt is how much of a page is collected before it is written.
	flushAt = 64 << 10
)

// serveFeed answers GET /docs: the change feed with A-IM, all documents without.
func (s *Server) serveFeed(a *answer, r *http.Request, c *container, fault Fault) *Error {
	limit, e := readLimit(r)
	if e != nil {
		return e
	}
	w, e := readWindow(r, c)
	if e != nil {
		return e
	}
	q := scan{limit: limit, keep: w.keep, fault: fault}
	wire := r.Header.Get(wireFormatHeader)
	switch mode := r.Header.Get("A-IM"); {
	case wire != "" && wire != wireFormat:
		return badRequest("%s is %q, want %s.", wireFormatHeader, wire, wireFormat)
	case mode == "":
		return s.readFeed(a, r, c, w, q)
	case strings.EqualFold(mode, "Incremental Feed"):
		return s.changeFeed(a, r, c, w, q)
	case strings.EqualFold(mode, "Full-Fidelity Feed"):
		return s.versionFeed(a, r, c, w, q)
	default:
		return badRequest("A-IM is %q, want Incremental Feed or Full-Fidelity Feed.", mode)
	}
}

func readLimit(r *http.Request) (pageLimit, *Error) {
	limit := pageLimit{items: defaultItems, bytes: maxPageBytes}
	if text := r.Header.Get("x-ms-max-item-count"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n == 0 || n < -1 {
			return limit, badRequest("x-ms-max-item-count is %q, want -1 or a positive number.", text)
		}
		limit.items = n
		if n == -1 {
			limit.items = serverItems
		}
	}
	return limit, nil
}

// changeFeed answers with the newest versions after the continuation, in order of LSN, as a replica shows them.
func (s *Server) changeFeed(a *answer, r *http.Request, c *container, w window, q scan) *Error {
	if e := readStart(r, &q); e != nil {
		return e
	}
	p, e := s.lockWindow(r, c, w)
	if e != nil {
		return e
	}
	if q.since != 0 && p.merged && !announces(r, startTimePostMerge) {
		p.mu.Unlock()
		return badRequest("StartTime/IfModifiedSince is not currently supported with merged partitions.")
	}
	q.lives = c.lives(s.clock.now())
	pg := p.feed(&q)
	p.meter.spend(pageCharge(pg.bytes))
	p.mu.Unlock()
	if pg.gone {
		return c.gone(p.id)
	}
	f := changes
	if r.Header.Get(wireFormatHeader) != "" {
		f = wrapped
	}
	a.feedPage(c, q, pg, f)
	return nil
}

// feedPage answers with a page of a change feed.
func (a *answer) feedPage(c *container, q scan, pg page, f form) {
	how := q.fault.Feed
	if how.Empty {
		pg.versions, pg.events, pg.bytes, pg.last = nil, nil, 0, min(q.after, pg.at.newest)
	}
	if how.Mixed {
		pg.mix()
	}
	n := len(pg.versions) + len(pg.events)
	a.position(pg.at)
	if how.NoLSN {
		a.w.Header().Del("lsn")
		a.w.Header().Del("x-ms-cosmos-llsn")
	}
	a.set("x-ms-item-count", strconv.Itoa(n))
	if n > 0 || how.Empty {
		a.set("etag", lsnETag(pg.last))
		a.stream(c, pg, f, how)
		return
	}
	// The etag moves past LSNs without records, never back: a replica that lags must not rewind a reader. It stays
	// below events that are held back.
	etag := pg.at.newest
	if pg.held != 0 {
		etag = min(etag, pg.held)
	}
	if q.after != math.MaxInt64 {
		etag = max(etag, q.after)
	}
	if !how.NoETag {
		a.set("etag", lsnETag(etag))
	}
	a.charge(1)
	a.send(http.StatusNotModified, nil)
}

// mix puts what belongs to one partition key side by side, in its order: that is all the order that the service promises.
func (pg *page) mix() {
	slices.SortStableFunc(pg.versions, func(x, y *version) int { return cmp.Compare(y.pk(), x.pk()) })
	slices.SortStableFunc(pg.events, func(x, y event) int { return cmp.Compare(y.v.pk(), x.v.pk()) })
}

// readStart reads where a change feed begins: after an etag, now, at a time, or at the beginning. An etag and a time
// count both, as clients send them that go on after a start at a time.
func readStart(r *http.Request, q *scan) *Error {
	if text := r.Header.Get("If-Modified-Since"); text != "" {
		at, err := time.Parse(time.RFC1123, text) // whose zone is GMT or UTC
		if err != nil {
			return badRequest("The time %q in If-Modified-Since is not in RFC 1123 form.", text)
		}
		q.since = at.Unix()
	}
	switch text := r.Header.Get("If-None-Match"); text {
	case "":
	case "*":
		q.after = math.MaxInt64
	default:
		lsn, err := strconv.ParseUint(trimQuotes(text), 10, 63)
		if err != nil {
			return badRequest("The continuation %q in If-None-Match is invalid.", text)
		}
		q.after = int64(lsn)
	}
	return nil
}

func trimQuotes(s string) string { return strings.Trim(s, `"`) }

func lsnETag(lsn int64) string { return `"` + strconv.FormatInt(lsn, 10) + `"` }

// readFeed answers with all documents, range by range unless one is named. A document that is written meanwhile may
// be seen twice; none that lives throughout is missed. The continuation is `range#lsn`; it is good for what that range
// was split into too, where the request names one of the parts.
func (s *Server) readFeed(a *answer, r *http.Request, c *container, w window, q scan) *Error {
	only := w.id != "" || w.narrow()
	text := r.Header.Get("x-ms-continuation")
	from, lsn, ok := strings.Cut(text, "#")
	if text != "" {
		n, err := strconv.ParseInt(lsn, 10, 64)
		if !ok || err != nil {
			return badRequest("The continuation %q is invalid.", text)
		}
		q.after = n
		if !only {
			w.id = from
		}
	}
	if w.id == "" && !w.narrow() {
		w.id = c.partitions()[0].id
	}
	p, e := s.lockWindow(r, c, w)
	if e != nil {
		return e
	}
	q.lives = c.lives(s.clock.now())
	q.session, e = sessionOf(r, p)
	if text != "" && !p.descends(from) {
		e = badRequest("The continuation %q is invalid: it is not of range %s, or of before a merge.", text, p.id)
	}
	if e != nil {
		p.mu.Unlock()
		return e
	}
	pg := p.feed(&q)
	p.meter.spend(pageCharge(pg.bytes))
	p.mu.Unlock()
	if pg.gone {
		return c.gone(p.id)
	}
	if !q.session.in(pg.at) {
		return sessionNotAvailable(r, pg.at)
	}
	a.position(pg.at)
	a.set("x-ms-item-count", strconv.Itoa(len(pg.versions)))
	switch next := c.after(p); {
	case len(pg.versions) > 0:
		a.set("x-ms-continuation", p.id+"#"+strconv.FormatInt(pg.last, 10))
	case !only && next != nil:
		a.set("x-ms-continuation", next.id+"#0")
	}
	a.stream(c, pg, documents, FeedForm{})
	return nil
}

// form says which properties a document of a page carries.
type form int

const (
	documents form = iota
	changes        // with _lsn
	wrapped        // the same in the envelope of all versions
)

// stream writes a page without encoding its documents again. It is called without any lock: versions do not change.
func (a *answer) stream(c *container, pg page, f form, how FeedForm) {
	a.charge(pageCharge(pg.bytes))
	a.set("Content-Type", "application/json")
	a.start(200, -1)
	buf := make([]byte, 0, flushAt+spliceSize)
	buf = append(buf, `{"_rid":"`...)
	buf = append(buf, c.rid...)
	buf = append(buf, `","Documents":[`...)
	n := len(pg.versions) + len(pg.events)
	as := envelope{a.s.options.Deletion, a.s.options.PreviousImages, how}
	for i := range n {
		if i > 0 {
			buf = append(buf, ',')
		}
		switch {
		case pg.events != nil:
			buf = pg.events[i].append(buf, c, as)
		case f == wrapped:
			buf = pg.versions[i].appendWrapped(buf, c, how)
		case f == changes:
			buf = pg.versions[i].appendSpliced(buf, c, pg.versions[i].lsn)
			if how.Metadata {
				buf = append(buf[:len(buf)-1], `,"_metadata":{}}`...)
			}
		default:
			buf = pg.versions[i].appendSpliced(buf, c, 0)
		}
		if len(buf) >= flushAt {
			if _, err := a.w.Write(buf); err != nil {
				return // the client went away
			}
			buf = buf[:0]
		}
	}
	buf = append(buf, `],"_count":`...)
	buf = strconv.AppendInt(buf, int64(n), 10)
	buf = append(buf, '}')
	_, _ = a.w.Write(buf)
}
