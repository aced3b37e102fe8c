package cosmosfake

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listing is how far a client has read the list of physical ranges: all of the layouts up to known, and the first
// places of what came with layout number. Its text is the etag of /pkranges.
type listing struct {
	known, number int64
	places        int
}

// parseListing reads an etag; what is none is the beginning.
func parseListing(text string) listing {
	var l listing
	known, rest, _ := strings.Cut(trimQuotes(text), ".")
	n, err := strconv.ParseInt(known, 10, 64)
	if err != nil {
		return l
	}
	l.known = n
	number, places, ok := strings.Cut(rest, ".")
	n, err = strconv.ParseInt(number, 10, 64)
	at, err2 := strconv.Atoi(places)
	if ok && err == nil && err2 == nil && at >= 0 {
		l.number, l.places = n, at
	}
	return l
}

func (l listing) etag() string {
	if l.places == 0 {
		return lsnETag(l.known)
	}
	return fmt.Sprintf(`"%d.%d.%d"`, l.known, l.number, l.places)
}

// readRanges lists the physical ranges, those that came to be after the etag only. Whoever kept the others knows by
// the parents which of them are gone. A list that changes between two of its pages begins again, so that some ranges
// come twice.
func (s *Server) readRanges(a *answer, r *http.Request, p path, c *container, fault Fault) *Error {
	if r.Method != http.MethodGet || !p.feed {
		return methodNotAllowed(r)
	}
	now := c.topology.now.Load()
	if fault.StaleRanges && now.before != nil {
		now = now.before
	}
	from := parseListing(r.Header.Get("If-None-Match"))
	if from.known >= now.number {
		return a.reply(reply{status: http.StatusNotModified, etag: lsnETag(now.number)}, nil)
	}
	rows := now.since(from.known)
	next := listing{known: now.number}
	if from.number == now.number {
		rows = rows[min(from.places, len(rows)):]
	} else {
		from.places = 0
	}
	if n := fault.RangesPage; n > 0 && n < len(rows) {
		rows = rows[:n]
		next = listing{from.known, now.number, from.places + n}
	}
	s.mu.RLock()
	ts := c.ts
	s.mu.RUnlock()
	if fault.RevisedRanges {
		rows = slices.Concat(now.revised(rows), rows)
	}
	list := make([][]byte, len(rows))
	for i, one := range rows {
		list[i] = one.json(c, now, ts)
	}
	out := listReply(c.rid, "PartitionKeyRanges", list)
	out.etag = next.etag()
	return a.reply(out, nil)
}

// listed is a physical range as the list shows it.
type listed struct {
	*partition
	bound string // its upper bound
}

// since are the ranges that came after a layout.
func (l *layout) since(known int64) []listed {
	var rows []listed
	for _, p := range l.ranges {
		if p.since > known {
			rows = append(rows, listed{p, p.span.Max})
		}
	}
	return rows
}

// revised are the rows that came with the layout, as they were while they came to be: with another bound
// (github.com/Azure/azure-sdk-for-go/issues/27246).
func (l *layout) revised(rows []listed) []listed {
	var before []listed
	for _, one := range rows {
		if one.since == l.number && l.before != nil {
			before = append(before, listed{one.partition, l.ranges[len(l.ranges)-1].span.Max})
		}
	}
	return before
}

func (one listed) json(c *container, now *layout, ts int64) []byte {
	one.mu.Lock()
	lsn := one.newest
	one.mu.Unlock()
	var rid [ridSize]byte
	c.putRID(&rid, uint64(one.index)|5<<60) // a kind of their own among a container's children
	return fmt.Appendf(nil, `{"_rid":%q,"id":%q,"_etag":%s,"minInclusive":%q,"maxExclusive":%q,"ridPrefix":%d,"_self":%q,`+
		`"throughputFraction":%g,"status":"online","parents":%s,"ownedArchivalPKRangeIds":[],"_ts":%d,"lsn":%d}`,
		rid[:], one.id, quote(lsnETag(now.number)), one.span.Min, one.bound, one.index, c.self+"pkranges/"+string(rid[:])+"/",
		1/float64(len(now.ranges)), quoteList(one.parents), ts, lsn)
}

// quoteList is a JSON array of texts, which may be none.
func quoteList(list []string) string {
	out := []byte{'['}
	for i, one := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, quote(one)...)
	}
	return string(append(out, ']'))
}
