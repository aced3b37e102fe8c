package cosmosfake

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
	"github.com/cosmos-almanac/almanac/schemas"
)

// isQuery tells a query from a creation: both are POST to a list.
func isQuery(r *http.Request) bool {
	return r.Method == http.MethodPost && (isTrue(r, "x-ms-documentdb-isquery") || isTrue(r, "x-ms-documentdb-query") ||
		isTrue(r, "x-ms-cosmos-is-query-plan-request") || strings.HasPrefix(r.Header.Get("Content-Type"), "application/query+json"))
}

// readQuery compiles the body of a query, {"query", "parameters"}.
func readQuery(r *http.Request) (*sql.Statement, *Error) {
	raw, e := readBody(r)
	if e != nil {
		return nil, e
	}
	var sent struct {
		Query      string          `json:"query"`
		Parameters []sql.Parameter `json:"parameters"`
	}
	if err := json.Unmarshal(raw, &sent); err != nil {
		return nil, badRequest("The query's body is invalid: %v.", err)
	}
	return compile(sent.Query, sent.Parameters)
}

func compile(query string, parameters []sql.Parameter) (*sql.Statement, *Error) {
	q, err := sql.Compile(query, parameters)
	if err != nil {
		return nil, invalidQuery(err)
	}
	return q, nil
}

// invalidQuery words an error as the service does.
func invalidQuery(err error) *Error {
	type place struct {
		Start int `json:"start"`
		End   int `json:"end"`
	}
	said := struct {
		Severity string `json:"severity"`
		Location *place `json:"location,omitempty"`
		Code     any    `json:"code,omitempty"`
		Message  string `json:"message"`
	}{Severity: "Error", Message: err.Error()}
	var e *sql.Error
	if errors.As(err, &e) {
		said.Message = e.Message
		if n, err := strconv.Atoi(e.Code); err == nil {
			said.Code = n
		} else if e.Code != "" {
			said.Code = e.Code
		}
		if e.End > 0 {
			said.Location = &place{e.Start, e.End}
		}
	}
	text, failed := json.Marshal(map[string]any{"errors": []any{said}})
	if failed != nil { // texts always encode
		panic(failed)
	}
	return badRequest("Message: %s", text)
}

// queryResources runs a query over databases, containers, scripts or offers.
func (s *Server) queryResources(a *answer, r *http.Request, whole reply) *Error {
	q, e := readQuery(r)
	if e != nil {
		return e
	}
	rows, err := q.At(s.clock.now()).Run(whole.list.all)
	if err != nil {
		return invalidQuery(err)
	}
	return a.page(r, listReply(whole.list.rid, whole.list.name, rows))
}

// serveQuery runs a query over items: those of one partition key or of the keys that begin with it, of one physical
// range, or of the container (REST reference, "Query Documents").
func (s *Server) serveQuery(a *answer, r *http.Request, c *container, fault Fault) *Error {
	q, e := readQuery(r)
	if e != nil {
		return e
	}
	q = q.At(s.clock.now())
	planned := isTrue(r, "x-ms-cosmos-is-query-plan-request")
	if !planned && !q.ReadsDocuments() {
		return answerConstant(a, r, c, q)
	}
	if planned {
		body, err := queryPlan(q, r.Header.Get("x-ms-cosmos-supported-query-features"))
		if err != nil {
			return invalidQuery(err)
		}
		return a.reply(reply{status: http.StatusOK, body: body}, nil)
	}
	limit, e := readLimit(r)
	if e != nil {
		return e
	}
	now := s.clock.now()
	for !c.topology.deleted.Load() {
		scope, e := scopeOf(r, c, q)
		if e != nil {
			return e
		}
		scope.lives, scope.fault, scope.byRID = c.lives(now), fault, s.options.Scan == ScanByRID
		if e := scope.admit(now, priorityOf(r)); e != nil {
			return e
		}
		found, e := scope.run(q, limit)
		if e != nil {
			return e
		}
		if found.gone {
			continue // a range was split or merged meanwhile
		}
		scope.spend(found.charge())
		found.answer(a, r, c)
		return nil
	}
	return ownerNotFound()
}

// ScanOrder is the order in which a query reads a range's items where it asks for none.
type ScanOrder int

const (
	// ScanByLSN reads them in the order of their last writes: what is written between two pages moves to the end.
	ScanByLSN ScanOrder = iota
	// ScanByRID reads them in the order of their creation: what is written behind the place of the last page is not seen
	// again.
	ScanByRID
)

// scope is which items a query reads, and how.
type scope struct {
	r          *http.Request
	partitions []*partition
	fault      Fault
	byRID      bool
	lives      func(*version) bool
	prefix     string             // of the canonical keys; "" is all
	exact      bool               // the prefix is a whole key
	span       *schemas.FeedRange // nil is all
	c          *container
}

// scopeOf takes a query's scope from its headers, or else from its filter, as the service's gateway does.
func scopeOf(r *http.Request, c *container, q *sql.Statement) (scope, *Error) {
	all := scope{r: r, partitions: c.partitions(), c: c}
	span, e := readSpan(r)
	if e != nil {
		return all, e
	}
	id := rangeIDOf(r)
	if id == "" && span != nil {
		if id, e = c.rangeOf(window{span: span}); e != nil {
			return all, e
		}
	}
	if id != "" {
		p, e := c.lockRange(id)
		if e != nil {
			return all, e
		}
		e = p.settled()
		p.mu.Unlock()
		if e == nil && span != nil && !p.span.Overlaps(*span) {
			e = rangeGone(id)
		}
		if e != nil {
			return all, e
		}
		all.partitions, all.span = []*partition{p}, span
		return all, all.narrow(r.Header.Get("x-ms-documentdb-partitionkey"), c)
	}
	if text := r.Header.Get("x-ms-documentdb-partitionkey"); text != "" && text != "[]" {
		return all, all.narrow(text, c)
	}
	values := keyOf(q, c.key)
	if len(values) > 0 {
		if e := all.narrow("["+strings.Join(values, ",")+"]", c); e != nil {
			return all, e
		}
	}
	switch {
	case all.exact:
		return all, nil
	case !isTrue(r, "x-ms-documentdb-query-enablecrosspartition"):
		return all, badRequest("Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to true, " +
			"specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception.")
	case q.Whole() != "":
		return all, notServable(q)
	}
	return all, nil
}

// notServable refuses what a client has to put together from the answers of all ranges; it gets the plan for that.
func notServable(q *sql.Statement) *Error {
	reason := q.Whole()
	plan, err := queryPlan(q, "")
	if err != nil {
		reason += ", and no client can put its parts together: " + err.Error()
	}
	e := badRequest("%s", "The provided cross partition query can not be directly served by the gateway. This is a first chance (internal) exception "+
		"that all newer clients will know how to handle gracefully. This exception is traced, but unless you see it bubble up as an exception (which "+
		"only happens on older SDK clients), then you can safely ignore this message. The reason is "+reason+".")
	e.Substatus = 1004
	e.Info = string(plan)
	return e
}

// keyOf are the values that the filter gives for the partition key, outermost first, as many as it gives.
func keyOf(q *sql.Statement, def schemas.KeyDefinition) []string {
	var values []string
	for _, path := range def.Paths {
		found := ""
		for _, equal := range q.Equalities() {
			if strings.Join(equal.Path, "\x00") == strings.Join(path, "\x00") {
				found = string(equal.Value)
			}
		}
		if found == "" || found[0] == '{' || found[0] == '[' {
			break
		}
		values = append(values, found)
	}
	return values
}

// narrow limits a scope to a partition key, of which the innermost levels may be missing.
func (s *scope) narrow(text string, c *container) *Error {
	if text == "" || text == "[]" {
		return nil
	}
	var values []json.RawMessage
	if err := json.Unmarshal([]byte(text), &values); err != nil || len(values) > len(c.key.Paths) {
		return badRequest("Partition key %s is invalid: the container has %d key paths.", text, len(c.key.Paths))
	}
	def := schemas.KeyDefinition{Paths: c.key.Paths[:len(values)], Multi: c.key.Multi}
	canonical, epk, err := c.hashing.parse(def, []byte(text))
	if err != nil {
		return badRequest("Partition key %s is invalid: %v.", text, err)
	}
	s.exact = len(values) == len(c.key.Paths)
	s.prefix = canonical
	if !s.exact {
		s.prefix = strings.TrimSuffix(canonical, "]") + ","
	}
	low := schemas.HexEPK(epk)
	var within []*partition
	for _, p := range s.partitions {
		// The keys that begin with it have hashes that begin with its hash.
		if p.span.Contains(low) || !s.exact && p.span.Min >= low && strings.HasPrefix(p.span.Min, low) {
			within = append(within, p)
		}
	}
	s.partitions = within
	return nil
}

// holds tells whether an item is in the scope.
func (s *scope) holds(v *version) bool {
	if s.prefix != "" && !(s.exact && v.pk() == s.prefix || !s.exact && strings.HasPrefix(v.pk(), s.prefix)) {
		return false
	}
	return s.span == nil || s.span.Contains(s.c.hashing.epk(s.c.key, v.pk()))
}

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

func (c cursor) String() string {
	return "query#" + c.rangeID + "#" + strconv.FormatInt(c.at, 10) + "#" + strconv.FormatUint(c.etag, 10)
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
	session, e := sessionOf(s.r, p.id)
	if e != nil {
		return page{}, e
	}
	q := scan{limit: unlimited(), lives: s.lives, fault: s.fault, session: session}
	if !s.byRID {
		q.after = from.at - 1
	}
	pg := p.read(&q)
	if !pg.gone && session > pg.at.newest {
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

func parseCursor(text string) (cursor, *Error) {
	parts := strings.Split(text, "#")
	if len(parts) == 4 && parts[0] == "query" {
		lsn, err1 := strconv.ParseInt(parts[2], 10, 64)
		etag, err2 := strconv.ParseUint(parts[3], 10, 64)
		if err1 == nil && err2 == nil {
			return cursor{parts[1], lsn, etag}, nil
		}
	}
	return cursor{}, badRequest("The continuation %q is invalid.", text)
}

// stream gives rows in the order of ranges and LSNs until the page is full. A full page has a continuation, whether or
// not anything follows, as scans of the service do (TestCrossPartitionQuery wants the empty last page).
func (s *scope) stream(q *sql.Statement, limit pageLimit, continuation string) (results, *Error) {
	var (
		found results
		from  cursor
		skip  = continuation != ""
		e     *Error
	)
	if skip {
		if from, e = parseCursor(continuation); e != nil {
			return found, e
		}
	}
	for _, p := range s.partitions {
		if skip && p.id != from.rangeID {
			continue
		}
		if !skip {
			from = cursor{rangeID: p.id}
		}
		skip = false
		full, e := s.streamRange(q, p, from, limit, &found)
		if full || found.gone || e != nil {
			return found, e
		}
	}
	if skip {
		return found, rangeGone(from.rangeID)
	}
	found.continuation = ""
	return found, nil
}

// streamRange collects the rows of one range and tells whether the page is full.
func (s *scope) streamRange(q *sql.Statement, p *partition, from cursor, limit pageLimit, found *results) (bool, *Error) {
	pg, e := s.read(p, from)
	if e != nil || pg.gone {
		found.gone = pg.gone
		return false, e
	}
	found.at, found.continuation = pg.at, from.String()
	for _, v := range pg.versions {
		if s.passed(from, v) || !s.holds(v) {
			continue
		}
		if found.size >= limit.bytes {
			return true, nil
		}
		rows, err := q.Rows(v.spliced(s.c))
		if err != nil {
			return false, invalidQuery(err)
		}
		found.read++
		if len(rows) == 0 {
			continue
		}
		if len(found.rows) > 0 && len(found.rows)+len(rows) > limit.items {
			return true, nil // the rows of one document are not torn apart
		}
		for _, row := range rows {
			found.add(row)
		}
		found.continuation = s.behind(p, v).String()
		if len(found.rows) >= limit.items {
			return true, nil
		}
	}
	return false, nil
}

// whole computes all rows and gives those of one page.
func (s *scope) whole(q *sql.Statement, limit pageLimit, continuation string) (results, *Error) {
	var (
		found     results
		documents [][]byte
		from      int
	)
	if continuation != "" {
		text, ok := strings.CutPrefix(continuation, "offset#")
		n, err := strconv.Atoi(text)
		if !ok || err != nil || n < 0 {
			return found, badRequest("The continuation %q is invalid.", continuation)
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
			found.continuation = "offset#" + strconv.Itoa(i)
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

// admit asks all ranges of the scope.
func (s *scope) admit(now time.Time, level priority) *Error {
	for _, p := range s.partitions {
		p.mu.Lock()
		e := s.c.admit(p, now, level)
		p.mu.Unlock()
		if e != nil {
			return e
		}
	}
	return nil
}

// spend takes what a query cost from all ranges of the scope, evenly.
func (s *scope) spend(charge float64) {
	for _, p := range s.partitions {
		p.mu.Lock()
		p.meter.spend(charge / float64(len(s.partitions)))
		p.mu.Unlock()
	}
}
