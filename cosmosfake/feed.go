package cosmosfake

import (
	"math"
	"net/http"
	"strconv"
	"strings"
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
	for _, header := range []string{"x-ms-documentdb-partitionkey", "x-ms-start-epk", "x-ms-end-epk"} {
		if r.Header.Get(header) != "" {
			return notHere("feeds with the header " + header)
		}
	}
	limit, e := readLimit(r)
	if e != nil {
		return e
	}
	switch mode := r.Header.Get("A-IM"); {
	case mode == "":
		return s.readFeed(a, r, c, limit)
	case strings.EqualFold(mode, "Incremental Feed"):
		return s.changeFeed(a, r, c, limit, fault)
	default:
		return notHere("the change feed " + strconv.Quote(mode))
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
func (s *Server) changeFeed(a *answer, r *http.Request, c *container, limit pageLimit, fault Fault) *Error {
	if r.Header.Get("If-Modified-Since") != "" {
		return notHere("a change feed that starts at a time")
	}
	id := r.Header.Get("x-ms-documentdb-partitionkeyrangeid")
	if id == "" && len(c.partitions) == 1 {
		id = c.partitions[0].id
	}
	p := c.rangeByID(id)
	switch {
	case id == "":
		return badRequest("The header x-ms-documentdb-partitionkeyrangeid is missing: the container has %d ranges.", len(c.partitions))
	case p == nil:
		return rangeGone(id)
	}
	after := int64(0)
	switch text := r.Header.Get("If-None-Match"); text {
	case "":
	case "*":
		after = math.MaxInt64
	default:
		lsn, err := strconv.ParseUint(strings.Trim(text, `"`), 10, 63)
		if err != nil {
			return badRequest("The continuation %q in If-None-Match is invalid.", text)
		}
		after = int64(lsn)
	}
	pg := p.feed(after, limit, lagging(fault.Behind))
	a.position(pg.at)
	a.set("x-ms-item-count", strconv.Itoa(len(pg.versions)))
	if len(pg.versions) == 0 {
		// The etag moves past LSNs without records, never back: a replica that lags must not rewind a reader.
		etag := pg.at.newest
		if after != math.MaxInt64 {
			etag = max(etag, after)
		}
		a.set("etag", lsnETag(etag))
		a.charge(1)
		a.send(http.StatusNotModified, nil)
		return nil
	}
	a.set("etag", lsnETag(pg.last))
	a.stream(c, pg, changes)
	return nil
}

func lsnETag(lsn int64) string { return `"` + strconv.FormatInt(lsn, 10) + `"` }

// readFeed answers with all documents, range by range unless one is named. A document that is written meanwhile may
// be seen twice; none that lives throughout is missed. The continuation is `range#lsn`.
func (s *Server) readFeed(a *answer, r *http.Request, c *container, limit pageLimit) *Error {
	only := r.Header.Get("x-ms-documentdb-partitionkeyrangeid")
	id, after := only, int64(0)
	if text := r.Header.Get("x-ms-continuation"); text != "" {
		name, lsn, ok := strings.Cut(text, "#")
		n, err := strconv.ParseInt(lsn, 10, 64)
		if !ok || err != nil || only != "" && name != only {
			return badRequest("The continuation %q is invalid.", text)
		}
		id, after = name, n
	}
	if id == "" {
		id = c.partitions[0].id
	}
	p := c.rangeByID(id)
	if p == nil {
		return rangeGone(id)
	}
	pg := p.feed(after, limit, primary)
	a.position(pg.at)
	a.set("x-ms-item-count", strconv.Itoa(len(pg.versions)))
	switch more := len(pg.versions) > 0; {
	case more:
		a.set("x-ms-continuation", p.id+"#"+strconv.FormatInt(pg.last, 10))
	case only == "" && p.index+1 < len(c.partitions):
		a.set("x-ms-continuation", c.partitions[p.index+1].id+"#0")
	}
	a.stream(c, pg, documents)
	return nil
}

// form says which properties a document of a page carries.
type form int

const (
	documents form = iota
	changes        // with _lsn
)

// stream writes a page without encoding its documents again. It is called without any lock: versions do not change.
func (a *answer) stream(c *container, pg page, f form) {
	a.charge(pageCharge(pg.bytes))
	a.set("Content-Type", "application/json")
	a.start(200, -1)
	buf := make([]byte, 0, flushAt+spliceSize)
	buf = append(buf, `{"_rid":"`...)
	buf = append(buf, c.rid...)
	buf = append(buf, `","Documents":[`...)
	for i, v := range pg.versions {
		if i > 0 {
			buf = append(buf, ',')
		}
		lsn := int64(0)
		if f == changes {
			lsn = v.lsn
		}
		buf = v.appendSpliced(buf, c, lsn)
		if len(buf) >= flushAt {
			if _, err := a.w.Write(buf); err != nil {
				return // the client went away
			}
			buf = buf[:0]
		}
	}
	buf = append(buf, `],"_count":`...)
	buf = strconv.AppendInt(buf, int64(len(pg.versions)), 10)
	buf = append(buf, '}')
	_, _ = a.w.Write(buf)
}
