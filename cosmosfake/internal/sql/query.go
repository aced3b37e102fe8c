package sql

import "slices"

// query is a SELECT: the whole one, or a subquery.
type query struct {
	distinct bool
	top      int // -1 is none
	star     bool
	value    bool // SELECT VALUE
	columns  []column
	sources  []source
	where    expr // nil is none
	groups   []expr
	order    []ordering
	offset   int
	limit    int // -1 is none

	aggregates []*aggregate
}

type column struct {
	name  string
	named bool // by an alias
	of    expr
}

// source binds values to a slot: one value, or each of an array or of the rows of a subquery.
type source struct {
	name  string
	named bool // by an alias
	slot  int
	each  bool   // name IN …
	of    expr   // or
	query *query // (SELECT …)
}

type ordering struct {
	of         expr
	descending bool
	direction  string // as it was written
}

// grouped tells a query whose results are of groups of rows.
func (q *query) grouped() bool { return len(q.groups) > 0 || len(q.aggregates) > 0 }

// rows binds the sources from the i-th on to every combination of their values, and calls visit for those that the
// filter keeps, until it returns false.
func (q *query) rows(e *env, i int, visit func() bool) bool {
	if i == len(q.sources) {
		if q.where != nil && !q.where.eval(e).isTrue() {
			return true
		}
		return e.err == nil && visit()
	}
	s := &q.sources[i]
	more := true
	each := func(v value) bool {
		more = q.bind(e, i, v, visit)
		return more
	}
	if s.query != nil {
		s.query.run(e, each)
	} else if v := s.of.eval(e); v.defined() {
		each(v)
	}
	return more && e.err == nil
}

// bind binds the i-th source to a value, or to each of its elements, and goes on with the next.
func (q *query) bind(e *env, i int, v value, visit func() bool) bool {
	one := func(v value) bool {
		if !e.step(1) {
			return false
		}
		e.slots[q.sources[i].slot] = v
		return q.rows(e, i+1, visit)
	}
	if !q.sources[i].each {
		return one(v)
	}
	more := true
	v.each(func(element value) bool {
		more = one(element)
		return more
	})
	return more
}

// run calls visit for the results of a subquery until it returns false.
func (q *query) run(e *env, visit func(value) bool) {
	if !q.grouped() && !q.distinct && q.top < 0 {
		q.rows(e, 0, func() bool {
			v := q.project(e)
			return !v.defined() || visit(v)
		})
		return
	}
	c := collector{query: q}
	q.rows(e, 0, func() bool { return c.add(e) })
	for _, v := range c.finish(e) {
		if !visit(v) {
			return
		}
	}
}

// project computes the result of a row; undefined is none.
func (q *query) project(e *env) value {
	switch {
	case q.star:
		return e.slots[q.sources[0].slot]
	case q.value:
		return q.columns[0].of.eval(e)
	}
	list := make([]member, 0, len(q.columns))
	for _, c := range q.columns {
		if v := c.of.eval(e); v.defined() {
			list = append(list, member{c.name, v})
		}
	}
	return object(list)
}

// collector makes the results of a query of its rows.
type collector struct {
	query  *query
	found  []result
	seen   map[string]bool // of DISTINCT
	groups map[string]*group
	list   []*group
}

type result struct {
	value value
	keys  []value // of ORDER BY
}

// group is the rows that are equal in what GROUP BY says; slots are of the first.
type group struct {
	slots []value
	sums  []accumulator
}

// add takes a row, and tells whether more are wanted.
func (c *collector) add(e *env) bool {
	q := c.query
	if q.grouped() {
		c.addToGroup(e)
		return e.err == nil
	}
	v := q.project(e)
	if !v.defined() || q.distinct && !c.isNew(v) {
		return e.err == nil
	}
	r := result{value: v}
	for _, o := range q.order {
		r.keys = append(r.keys, o.of.eval(e))
	}
	c.found = append(c.found, r)
	return e.err == nil && (len(q.order) > 0 || q.top < 0 || len(c.found) < q.top)
}

func (c *collector) isNew(v value) bool {
	if c.seen == nil {
		c.seen = make(map[string]bool)
	}
	key := string(appendCanonical(nil, v))
	was := c.seen[key]
	c.seen[key] = true
	return !was
}

func (c *collector) addToGroup(e *env) {
	var key []byte
	for _, g := range c.query.groups {
		key = append(appendCanonical(key, g.eval(e)), ',')
	}
	g := c.groups[string(key)]
	if g == nil {
		g = c.newGroup(string(key), slices.Clone(e.slots))
	}
	for i, a := range c.query.aggregates {
		g.sums[i].add(a.of.eval(e))
	}
}

func (c *collector) newGroup(key string, slots []value) *group {
	g := &group{slots: slots, sums: make([]accumulator, len(c.query.aggregates))}
	for i, a := range c.query.aggregates {
		g.sums[i].name = a.operator
	}
	if c.groups == nil {
		c.groups = make(map[string]*group)
	}
	c.groups[key] = g
	c.list = append(c.list, g)
	return g
}

// finish are the results.
func (c *collector) finish(e *env) []value {
	q := c.query
	if q.grouped() {
		c.finishGroups(e)
	}
	if len(q.order) > 0 {
		slices.SortStableFunc(c.found, func(a, b result) int {
			for i, o := range q.order {
				order := compare(a.keys[i], b.keys[i])
				if o.descending {
					order = -order
				}
				if order != 0 {
					return order
				}
			}
			return 0
		})
	}
	found := c.found
	if q.top >= 0 {
		found = found[:min(q.top, len(found))]
	}
	found = found[min(q.offset, len(found)):]
	if q.limit >= 0 {
		found = found[:min(q.limit, len(found))]
	}
	values := make([]value, len(found))
	for i, r := range found {
		values[i] = r.value
	}
	return values
}

func (c *collector) finishGroups(e *env) {
	if len(c.query.groups) == 0 && len(c.list) == 0 { // aggregates of no row
		c.newGroup("", make([]value, len(e.slots)))
	}
	slots := e.slots
	for _, g := range c.list {
		e.slots = g.slots
		for i, a := range c.query.aggregates {
			e.results[a.id] = g.sums[i].value()
		}
		if v := c.query.project(e); v.defined() && (!c.query.distinct || c.isNew(v)) {
			c.found = append(c.found, result{value: v})
		}
	}
	e.slots = slots
}
