package sql

import (
	"regexp"
	"strings"
)

// parser reads a query from left to right. Its methods leave the first error behind and go on as if the query had ended,
// so that they need not be asked.
type parser struct {
	tokens     []token
	at         int
	depth      int
	params     map[string]value
	scope      *scope
	slots      int // how many are used
	aggregates int // likewise
	regexps    map[string]*regexp.Regexp
	err        *Error
}

// scope is where the names of one query's sources are known.
type scope struct {
	outer       *scope
	query       *query
	names       map[string]int // slots
	open        []*ref         // whose names are not resolved yet
	root        bool           // FROM of a name that is not known is FROM the container
	noAggregate bool           // within an aggregate, or in another clause than SELECT
}

func (p *parser) fail(err *Error) {
	if p.err == nil {
		p.err = err
	}
	p.at = len(p.tokens) - 1
}

func (p *parser) peek() token { return p.tokens[p.at] }

// after is the token n after the next.
func (p *parser) after(n int) token { return p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

// accept takes a keyword or symbol, if it comes next.
func (p *parser) accept(s string) bool {
	if !p.peek().is(s) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(s string) {
	if !p.accept(s) {
		p.fail(syntax(p.peek()))
	}
}

// identifier reads a name.
func (p *parser) identifier() string {
	t := p.peek()
	if t.kind != wordToken || isReserved(t.text) {
		p.fail(syntax(t))
		return ""
	}
	return p.take().text
}

// isIdentifier tells whether a name comes next.
func (p *parser) isIdentifier() bool {
	return p.peek().kind == wordToken && !isReserved(p.peek().text)
}

// enter counts a level of nesting; leave ends it.
func (p *parser) enter() bool {
	if p.depth++; p.depth > maxNesting {
		p.fail(failf("", p.peek().from, p.peek().to, "The query nests deeper than %d levels.", maxNesting))
	}
	return p.err == nil
}

func (p *parser) leave() { p.depth-- }

// parse reads a whole query.
func (p *parser) parse() *query {
	if !p.peek().is("SELECT") {
		p.fail(syntax(p.peek()))
		return nil
	}
	p.slots = 1 // the document
	q, open := p.query(scope{root: true})
	if p.peek().kind != endToken {
		p.fail(syntax(p.peek()))
	}
	for _, r := range open {
		p.fail(failf("SC2001", r.at.from, r.at.to, "Identifier '%s' could not be resolved.", r.name))
	}
	return q
}

// query reads SELECT and what follows, and returns what it names of outer queries.
func (p *parser) query(s scope) (*query, []*ref) {
	q := &query{top: -1, limit: -1}
	s.query, s.names, s.outer = q, make(map[string]int), p.scope
	p.scope = &s
	defer func() { p.scope = s.outer }()
	if !p.enter() {
		return q, nil
	}
	defer p.leave()
	p.selection(q)
	s.noAggregate = true
	if p.accept("FROM") {
		p.from(q)
	} else if t := p.peek(); q.star && t.is(",") {
		p.fail(syntax(t))
	} else if q.star {
		p.fail(failf("", t.from, t.to, "'SELECT *' is not valid if FROM clause is omitted."))
	}
	if p.accept("WHERE") {
		q.where = p.expression()
	}
	if p.accept("GROUP") {
		p.expect("BY")
		q.groups = p.expressions()
	}
	p.orderBy(q)
	p.offsetLimit(q)
	var open []*ref
	for _, r := range s.open {
		if slot, ok := s.names[r.name]; ok {
			r.slot = slot
		} else {
			open = append(open, r)
		}
	}
	if p.err == nil {
		p.check(q)
	}
	return q, open
}

// selection reads what stands between SELECT and FROM.
func (p *parser) selection(q *query) {
	p.expect("SELECT")
	q.distinct = p.accept("DISTINCT")
	if t := p.peek(); p.accept("TOP") {
		if p.scope.outer != nil {
			p.fail(unsupported(t, "TOP in subqueries"))
		}
		q.top = p.count("SC2060", "The count value provided for a TOP clause must be an integer.")
	}
	switch {
	case p.accept("*"):
		q.star = true
	case p.accept("VALUE"):
		q.value = true
		q.columns = []column{{of: p.expression()}}
	default:
		p.columns(q)
	}
}

func (p *parser) columns(q *query) {
	unnamed := 0
	taken := make(map[string]bool)
	for {
		t := p.peek()
		c := column{of: p.expression()}
		switch of := c.of.(type) {
		case *ref:
			c.name = of.name
		case *property:
			c.name = of.name
		}
		if p.accept("AS") || p.isIdentifier() {
			c.name, c.named = p.identifier(), true
		}
		if c.name == "" && !c.named {
			unnamed++
			c.name = "$" + itoa(unnamed)
		}
		if taken[c.name] && p.err == nil {
			p.fail(unsupported(t, "two columns of the name "+c.name))
		}
		taken[c.name] = true
		q.columns = append(q.columns, c)
		if !p.accept(",") {
			return
		}
	}
}

// count reads a whole number, or a parameter that is one.
func (p *parser) count(code, message string) int {
	t := p.peek()
	v := t.value
	switch t.kind {
	case numberToken:
	case parameterToken:
		v = p.params[t.text]
	default:
		p.fail(syntax(t))
		return 0
	}
	n, whole := v.integer()
	if !whole || n < 0 || n > 1<<32-1 {
		p.fail(failf(code, t.from, t.to, "%s", message))
		return 0
	}
	p.take()
	return n
}

func (p *parser) from(q *query) {
	q.sources = append(q.sources, p.source())
	for p.accept("JOIN") {
		q.sources = append(q.sources, p.source())
	}
	if t := p.peek(); q.star && len(q.sources) > 1 {
		p.fail(failf("", t.from, t.to, "'SELECT *' is only valid with a single input set."))
	}
}

// source reads name IN collection, or collection [AS] name. A collection is a path, or a subquery.
func (p *parser) source() source {
	s := source{slot: p.slots}
	p.slots++
	if p.isIdentifier() && p.after(1).is("IN") {
		s.name, s.named, s.each = p.identifier(), true, true
		p.take()
	}
	at := p.peek()
	if p.accept("(") {
		var open []*ref
		s.query, open = p.query(scope{root: p.scope.root && len(p.scope.names) == 0})
		p.expect(")")
		p.resolve(open)
	} else {
		s.of = p.path(&s)
	}
	if !s.each && (p.accept("AS") || p.isIdentifier()) {
		s.name, s.named = p.identifier(), true
	}
	if _, taken := p.scope.names[s.name]; taken && s.name != "" {
		p.fail(failf("", at.from, at.to, "The input alias '%s' is specified more than once in the FROM clause.", s.name))
	}
	if s.name != "" {
		p.scope.names[s.name] = s.slot
	}
	return s
}

// path reads a name and its steps. Its last name is the source's, unless that has one.
func (p *parser) path(s *source) expr {
	t := p.peek()
	r := &ref{name: p.identifier(), at: t}
	if _, known := p.scope.names[r.name]; known || !p.scope.root || len(p.scope.names) > 0 {
		p.resolve([]*ref{r})
	} // else it is the container, whose slot is 0
	of := p.steps(r)
	if !s.named {
		s.name = ""
		switch of := of.(type) {
		case *ref:
			s.name = of.name
		case *property:
			s.name = of.name
		}
	}
	return of
}

// resolve finds names among the sources that were read already.
func (p *parser) resolve(open []*ref) {
	for _, r := range open {
		slot, ok := p.scope.names[r.name]
		switch {
		case ok:
			r.slot = slot
		case p.scope.outer != nil:
			p.scope.outer.open = append(p.scope.outer.open, r)
		default:
			p.fail(failf("SC2001", r.at.from, r.at.to, "Identifier '%s' could not be resolved.", r.name))
		}
	}
}

func (p *parser) orderBy(q *query) {
	start := p.peek()
	if !p.accept("ORDER") {
		return
	}
	p.expect("BY")
	if p.peek().is("RANK") && p.after(1).kind == wordToken {
		p.fail(unsupported(p.peek(), "ORDER BY RANK"))
	}
	for {
		t := p.peek()
		o := ordering{of: p.expression()}
		if !isPath(o.of) && p.err == nil {
			p.fail(failf("2206", t.from, p.tokens[max(p.at-1, 0)].to,
				"Unsupported ORDER BY clause. ORDER BY item expression could not be mapped to a document path."))
		}
		switch {
		case p.accept("ASC"):
			o.direction = " ASC"
		case p.accept("DESC"):
			o.direction, o.descending = " DESC", true
		}
		q.order = append(q.order, o)
		if !p.accept(",") {
			break
		}
	}
	if p.scope.outer != nil && p.err == nil {
		p.fail(failf("SC2202", start.from, p.tokens[p.at-1].to, "'ORDER BY' is not supported in subqueries."))
	}
}

// isPath tells a property, whose steps are constant.
func isPath(x expr) bool {
	switch x := x.(type) {
	case *property:
		_, isRef := x.of.(*ref)
		return isRef || isPath(x.of)
	case *index:
		_, isRef := x.of.(*ref)
		return constant(x.at).defined() && (isRef || isPath(x.of))
	}
	return false
}

// constant is the value of a literal or parameter.
func constant(x expr) value {
	switch x := x.(type) {
	case *literal:
		return x.value
	case *param:
		return x.value
	}
	return value{}
}

func (p *parser) offsetLimit(q *query) {
	start := p.peek()
	if !p.accept("OFFSET") {
		return
	}
	q.offset = p.count("SC2062", "The OFFSET count value exceeds the maximum allowed value.")
	p.expect("LIMIT")
	q.limit = p.count("SC2061", "The LIMIT count value exceeds the maximum allowed value.")
	if p.scope.outer != nil && p.err == nil {
		p.fail(failf("SC2204", start.from, p.tokens[p.at-1].to, "'OFFSET LIMIT' clause is not supported in subqueries."))
	}
}

// check refuses what cannot stand together.
func (p *parser) check(q *query) {
	t := p.peek()
	if q.grouped() && q.star {
		p.fail(failf("SC2041", t.from, t.to, "'SELECT *' is not allowed with GROUP BY."))
		return
	}
	if len(q.groups) > 0 && len(q.order) > 0 {
		p.fail(unsupported(t, "ORDER BY together with GROUP BY, as the service does not,"))
	}
	groups := make(map[string]bool, len(q.groups))
	for _, g := range q.groups {
		groups[canonical(g)] = true
		walk(g, func(x expr) bool {
			if _, is := x.(*subquery); is {
				p.fail(unsupported(t, "subqueries in GROUP BY, as the service does not,"))
			}
			return true
		})
	}
	if !q.grouped() {
		return
	}
	for _, c := range q.columns {
		p.checkGrouped(c.of, groups)
	}
}

// checkGrouped wants that an expression is computed of aggregates and of what the groups have in common.
func (p *parser) checkGrouped(x expr, groups map[string]bool) {
	walk(x, func(x expr) bool {
		if groups[canonical(x)] {
			return false
		}
		switch x := x.(type) {
		case *aggregate:
			return false
		case *subquery:
			p.fail(unsupported(p.peek(), "subqueries beside aggregates or GROUP BY"))
		case *ref, *property, *index:
			if r := start(x); r != nil && !inGroups(x, groups) {
				p.fail(failf("SC2102", r.at.from, r.at.to, "Property reference '%s' is invalid in the select list because it is not "+
					"contained in either an aggregate function or the GROUP BY clause.", written(x)))
			}
		}
		return true
	})
}

// inner is what a path leads into; nil is its beginning.
func inner(x expr) expr {
	switch x := x.(type) {
	case *property:
		return x.of
	case *index:
		return x.of
	}
	return nil
}

// start is the name with which a path begins; nil if it begins otherwise.
func start(x expr) *ref {
	for inner(x) != nil {
		x = inner(x)
	}
	r, _ := x.(*ref)
	return r
}

// inGroups tells a path that begins with one by which the query groups.
func inGroups(x expr, groups map[string]bool) bool {
	for ; x != nil; x = inner(x) {
		if groups[canonical(x)] {
			return true
		}
	}
	return false
}

func upper(s string) string { return strings.ToUpper(s) }
