package cosmosfake

import (
	"cmp"
	"encoding/base64"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
)

// results are a page of rows.
type results struct {
	rows         [][]byte
	size         int
	continuation string
	at           position
	read         int  // documents
	gone         bool // a range ended before it was read
}

func (f *results) add(row []byte) {
	f.rows = append(f.rows, row)
	f.size += len(row)
}

// unlimited is no limit of a page.
func unlimited() pageLimit { return pageLimit{items: math.MaxInt, bytes: math.MaxInt} }

// cursor is a place in a stream of results: behind a version, in a range. It is its LSN, and its etag tells versions of
// one transaction apart: they are numbered in their order; or by ScanByRID its resource id, and no etag.
type cursor struct {
	rangeID string
	at      int64
	etag    uint64
}

// cursors are the places of a stream of results: in the range that it has come to, and, if that came from others by
// splits, in those. Ranges that come from the same ones and follow begin there.
type cursors []cursor

func (l cursors) String() string {
	out := "query"
	for _, c := range l {
		out += "#" + c.rangeID + "#" + strconv.FormatInt(c.at, 10) + "#" + strconv.FormatUint(c.etag, 10)
	}
	return out
}

// of is the place in a range: its own, or that of the last range that it came from; the beginning without any.
func (l cursors) of(p *partition) cursor {
	found := cursor{rangeID: p.id}
	rank := -1
	for _, c := range l {
		if c.rangeID == p.id {
			return c
		}
		if i := slices.Index(p.parents, c.rangeID); i > rank && !p.merged {
			found, rank = cursor{p.id, c.at, c.etag}, i
		}
	}
	return found
}

// next are the places when the stream has come to one in a range, of which those that follow need some.
func (l cursors) next(now cursor, follow []*partition) cursors {
	list := cursors{now}
	for _, c := range l {
		if c.rangeID != now.rangeID && slices.ContainsFunc(follow, func(p *partition) bool { return p.descends(c.rangeID) }) {
			list = append(list, c)
		}
	}
	return list
}

// behind is the place behind a version.
func (s *scope) behind(p *partition, v *version) cursor {
	if s.byRID {
		return cursor{rangeID: p.id, at: int64(v.rid)}
	}
	return cursor{p.id, v.lsn, v.etag}
}

// passed tells whether a version stands before the place.
func (s *scope) passed(from cursor, v *version) bool {
	if s.byRID {
		return int64(v.rid) <= from.at
	}
	return v.lsn < from.at || v.lsn == from.at && v.etag <= from.etag
}

// read takes the versions of a range that a replica shows, in the order of the scan, from a place on.
func (s *scope) read(p *partition, from cursor) (page, *Error) {
	session, e := sessionOf(s.r, p)
	if e != nil {
		return page{}, e
	}
	q := scan{limit: unlimited(), lives: s.lives, fault: s.fault, session: session}
	if !s.byRID {
		q.after = from.at - 1
	}
	pg := p.read(&q)
	if !pg.gone && !session.in(pg.at) {
		return pg, sessionNotAvailable(s.r, pg.at)
	}
	if s.byRID {
		slices.SortFunc(pg.versions, func(x, y *version) int { return cmp.Compare(x.rid, y.rid) })
	}
	return pg, nil
}

// run gives a page of rows.
func (s *scope) run(q *sql.Statement, limit pageLimit) (results, *Error) {
	if q.Whole() == "" {
		return s.stream(q, limit, s.r.Header.Get("x-ms-continuation"))
	}
	return s.whole(q, limit, s.r.Header.Get("x-ms-continuation"))
}

func parseCursors(text string) (cursors, *Error) {
	parts := strings.Split(text, "#")
	var list cursors
	for i := 1; i+2 < len(parts); i += 3 {
		at, err1 := strconv.ParseInt(parts[i+1], 10, 64)
		etag, err2 := strconv.ParseUint(parts[i+2], 10, 64)
		if err1 != nil || err2 != nil {
			break
		}
		list = append(list, cursor{parts[i], at, etag})
	}
	if parts[0] != "query" || len(list) == 0 || len(parts) != 1+3*len(list) {
		return nil, badRequest("The continuation %q is invalid.", text)
	}
	return list, nil
}

// stream gives rows in the order of ranges and LSNs until the page is full. A full page has a continuation, whether or
// not anything follows, as scans of the service do (TestCrossPartitionQuery wants the empty last page). A continuation in
// a range that was split goes on in its parts: clients give theirs to each of them.
func (s *scope) stream(q *sql.Statement, limit pageLimit, continuation string) (results, *Error) {
	var (
		found  results
		places cursors
		skip   = continuation != ""
		e      *Error
	)
	if skip {
		if places, e = parseCursors(continuation); e != nil {
			return found, e
		}
	}
	for i, p := range s.partitions {
		if skip && !p.descends(places[0].rangeID) {
			continue
		}
		skip = false
		at, full, e := s.streamRange(q, p, places.of(p), limit, &found)
		if full {
			found.continuation = places.next(at, s.partitions[i+1:]).String()
		}
		if full || found.gone || e != nil {
			return found, e
		}
	}
	if skip {
		return found, rangeGone(places[0].rangeID)
	}
	return found, nil
}

// streamRange collects the rows of one range from a place on. It tells where it came to, and whether the page is full.
func (s *scope) streamRange(q *sql.Statement, p *partition, from cursor, limit pageLimit, found *results) (cursor, bool, *Error) {
	pg, e := s.read(p, from)
	if e != nil || pg.gone {
		found.gone = pg.gone
		return from, false, e
	}
	found.at = pg.at
	at := from
	for _, v := range pg.versions {
		if s.passed(from, v) || !s.holds(v) {
			continue
		}
		if found.size >= limit.bytes {
			return at, true, nil
		}
		rows, err := q.Rows(v.spliced(s.c))
		if err != nil {
			return at, false, invalidQuery(err)
		}
		found.read++
		if len(rows) == 0 {
			continue
		}
		if len(found.rows) > 0 && len(found.rows)+len(rows) > limit.items {
			return at, true, nil // the rows of one document are not torn apart
		}
		for _, row := range rows {
			found.add(row)
		}
		at = s.behind(p, v)
		if len(found.rows) >= limit.items {
			return at, true, nil
		}
	}
	return at, false, nil
}

// over names the ranges that a place among all rows counts for: of one partition key, whatever range has it.
func (s *scope) over() string {
	if s.exact {
		return "key"
	}
	names := make([]string, len(s.partitions))
	for i, p := range s.partitions {
		names[i] = p.id
	}
	return strings.Join(names, ",")
}

// whole computes all rows and gives those of one page. A place among those of a range that was split says nothing about
// the rows of its parts.
func (s *scope) whole(q *sql.Statement, limit pageLimit, continuation string) (results, *Error) {
	var (
		found     results
		documents [][]byte
		from      int
	)
	if continuation != "" {
		kind, rest, _ := strings.Cut(continuation, "#")
		over, text, _ := strings.Cut(rest, "#")
		n, err := strconv.Atoi(text)
		if kind != "offset" || err != nil || n < 0 {
			return found, badRequest("The continuation %q is invalid.", continuation)
		}
		if over != s.over() {
			return found, badRequest("The continuation %q is of other ranges: cosmosfake has this query begin again after a split or merge.", continuation)
		}
		from = n
	}
	for _, p := range s.partitions {
		pg, e := s.read(p, cursor{})
		if e != nil || pg.gone {
			found.gone = pg.gone
			return found, e
		}
		found.at = pg.at
		for _, v := range pg.versions {
			if s.holds(v) {
				documents = append(documents, v.spliced(s.c))
			}
		}
	}
	found.read = len(documents)
	rows, err := q.Run(documents)
	if err != nil {
		return found, invalidQuery(err)
	}
	for i := min(from, len(rows)); i < len(rows); i++ {
		if len(found.rows) >= limit.items || found.size >= limit.bytes {
			found.continuation = "offset#" + s.over() + "#" + strconv.Itoa(i)
			break
		}
		found.add(rows[i])
	}
	return found, nil
}

func (f *results) charge() float64 { return 2.3 + float64(f.read)*0.02 + float64(f.size)/1024/10 }

// answer sends a page of rows.
func (f *results) answer(a *answer, r *http.Request, c *container) {
	if f.at.rangeID != "" {
		a.position(f.at)
	}
	if f.continuation != "" {
		a.set("x-ms-continuation", f.continuation)
	}
	a.set("x-ms-item-count", strconv.Itoa(len(f.rows)))
	if isTrue(r, "x-ms-documentdb-populatequerymetrics") {
		a.set("x-ms-documentdb-query-metrics", "totalExecutionTimeInMs=0.10;queryCompileTimeInMs=0.01;queryLogicalPlanBuildTimeInMs=0.01;"+
			"queryPhysicalPlanBuildTimeInMs=0.01;queryOptimizationTimeInMs=0.01;VMExecutionTimeInMs=0.05;indexLookupTimeInMs=0.00;"+
			"instructionCount=0;documentLoadTimeInMs=0.01;systemFunctionExecuteTimeInMs=0.00;userFunctionExecuteTimeInMs=0.00;"+
			"retrievedDocumentCount="+strconv.Itoa(f.read)+";retrievedDocumentSize="+strconv.Itoa(f.size)+
			";outputDocumentCount="+strconv.Itoa(len(f.rows))+";outputDocumentSize="+strconv.Itoa(f.size)+
			";writeOutputTimeInMs=0.00;indexUtilizationRatio=0.00")
	}
	if isTrue(r, "x-ms-cosmos-populateindexmetrics") {
		a.set("x-ms-cosmos-index-utilization", base64.StdEncoding.EncodeToString([]byte(
			`{"UtilizedSingleIndexes":[],"PotentialSingleIndexes":[],"UtilizedCompositeIndexes":[],"PotentialCompositeIndexes":[]}`)))
	}
	a.charge(f.charge())
	out := listReply(c.rid, "Documents", f.rows)
	a.send(http.StatusOK, out.body)
}
