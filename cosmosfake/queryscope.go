package cosmosfake

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
	"github.com/cosmos-almanac/almanac/schemas"
)

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
