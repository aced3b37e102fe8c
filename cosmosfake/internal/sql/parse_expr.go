package sql

import (
	"math"
	"regexp"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// expressions reads a list of at least one.
func (p *parser) expressions() []expr {
	list := []expr{p.expression()}
	for p.accept(",") {
		list = append(list, p.expression())
	}
	return list
}

// expression reads the operators that bind least: ?: and ??.
func (p *parser) expression() expr {
	if !p.enter() {
		return &literal{}
	}
	defer p.leave()
	x := p.level(0)
	if !p.accept("?") {
		return x
	}
	then := p.expression()
	p.expect(":")
	return &conditional{x, then, p.expression()}
}

// operators are those of each level, from those that bind least on, as in sql.g4: bits bind less than comparisons, as in
// JavaScript. Between AND and || stand NOT, BETWEEN, IN and LIKE.
func operators(level int) []string {
	switch level {
	case 0:
		return []string{"??"}
	case 1:
		return []string{"OR"}
	case 2:
		return []string{"AND"}
	case 4:
		return []string{"||"}
	case 5:
		return []string{"|"}
	case 6:
		return []string{"^"}
	case 7:
		return []string{"&"}
	case 8:
		return []string{"=", "!=", "<>"}
	case 9:
		return []string{"<", ">", "<=", ">="}
	case 10:
		return []string{"<<", ">>", ">>>"}
	case 11:
		return []string{"+", "-"}
	case 12:
		return []string{"*", "/", "%"}
	}
	return nil
}

const (
	conditions = 3
	unaries    = 13
)

// level reads binary operators of a level and of those that bind more.
func (p *parser) level(n int) expr {
	switch n {
	case unaries:
		return p.unary()
	case conditions:
		return p.condition()
	}
	x := p.level(n + 1)
	for count := 0; ; count++ {
		operator := p.operator(n)
		if operator == "" {
			return x
		}
		if count >= maxOperators {
			p.fail(failf("", p.peek().from, p.peek().to, "The query has more than %d operators in a row.", maxOperators))
		}
		x = &binary{operator, x, p.level(n + 1)}
	}
}

// condition reads NOT, BETWEEN, IN and LIKE.
func (p *parser) condition() expr {
	if p.peek().is("NOT") {
		if !p.enter() {
			return &literal{}
		}
		defer p.leave()
		p.take()
		return &unary{"NOT", p.condition()}
	}
	return p.suffix(p.level(conditions + 1))
}

func (p *parser) operator(level int) string {
	for _, s := range operators(level) {
		if p.accept(s) {
			if s == "<>" {
				return "!="
			}
			return s
		}
	}
	return ""
}

// suffix reads [NOT] BETWEEN, IN or LIKE behind what it compares.
func (p *parser) suffix(x expr) expr {
	not := false
	if n := p.after(1); p.peek().is("NOT") && (n.is("BETWEEN") || n.is("IN") || n.is("LIKE")) {
		p.take()
		not = true
	}
	switch {
	case p.accept("BETWEEN"):
		low := p.level(conditions + 1)
		p.expect("AND")
		return &between{x, low, p.level(conditions + 1), not}
	case p.accept("IN"):
		p.expect("(")
		list := p.expressions()
		p.expect(")")
		return &in{x, list, not}
	case p.accept("LIKE"):
		return p.like(x, not)
	}
	return x
}

func (p *parser) like(x expr, not bool) expr {
	l := &like{of: x, pattern: p.level(conditions + 1), not: not}
	if p.accept("ESCAPE") {
		t := p.take()
		v := t.value
		if t.kind == parameterToken {
			v = p.params[t.text]
		}
		if l.escape = v.text; v.kind != isText || len([]rune(v.text)) != 1 {
			p.fail(failf("SC1001", t.from, t.to, "Syntax error, ESCAPE is not followed by one character."))
		}
	}
	if v := constant(l.pattern); v.kind == isText {
		l.fixed = wildcards(v.text, l.escape)
	}
	return l
}

func (p *parser) unary() expr {
	t := p.peek()
	for _, operator := range []string{"-", "+", "~", "NOT"} {
		if !t.is(operator) {
			continue
		}
		if !p.enter() {
			return &literal{}
		}
		defer p.leave()
		p.take()
		if n := p.peek(); operator == "-" && n.kind == numberToken {
			p.take()
			return p.steps(&literal{number(-n.value.num)})
		}
		return &unary{operator, p.unary()}
	}
	return p.steps(p.primary())
}

// steps reads the path behind a value.
func (p *parser) steps(x expr) expr {
	for count := 0; ; count++ {
		if count >= maxOperators {
			p.fail(failf("", p.peek().from, p.peek().to, "The query has a path of more than %d steps.", maxOperators))
		}
		switch {
		case p.accept("."):
			x = &property{of: x, name: p.identifier(), dotted: true}
		case p.accept("["):
			at := p.expression()
			p.expect("]")
			if v := constant(at); v.kind == isText {
				if _, written := at.(*literal); written {
					x = &property{of: x, name: v.text}
					continue
				}
			}
			x = &index{x, at}
		default:
			return x
		}
	}
}

func (p *parser) primary() expr {
	t := p.peek()
	switch t.kind {
	case textToken, numberToken:
		return &literal{p.take().value}
	case parameterToken:
		v, ok := p.params[t.text]
		if !ok {
			p.fail(failf("", t.from, t.to, "The parameter %s is not given.", t.text))
		}
		p.take()
		return &param{t.text, v}
	case wordToken:
		return p.word(t)
	}
	switch {
	case p.accept("("):
		if p.peek().is("SELECT") {
			return p.subquery("", ")")
		}
		x := p.expression()
		p.expect(")")
		return x
	case p.accept("["):
		list := []expr{}
		if !p.peek().is("]") {
			list = p.expressions()
		}
		p.expect("]")
		return &arrayOf{list}
	case p.accept("{"):
		return p.object()
	}
	p.fail(syntax(t))
	return &literal{}
}

func (p *parser) object() expr {
	x := &objectOf{}
	for !p.peek().is("}") || len(x.names) > 0 {
		t := p.take()
		switch t.kind {
		case textToken:
			x.names = append(x.names, t.value.text)
		case wordToken:
			x.names = append(x.names, t.text)
		default:
			p.fail(syntax(t))
			return x
		}
		p.expect(":")
		x.values = append(x.values, p.expression())
		if !p.accept(",") {
			break
		}
	}
	p.expect("}")
	return x
}

// subquery reads a query and what closes it.
func (p *parser) subquery(keyword, end string) expr {
	q, open := p.query(scope{})
	p.scope.open = append(p.scope.open, open...)
	p.expect(end)
	return &subquery{keyword, q}
}

func (p *parser) word(t token) expr {
	p.take()
	switch upper(t.text) {
	case "TRUE", "FALSE":
		return &literal{boolean(t.is("TRUE"))}
	case "NULL":
		return &literal{null()}
	case "UNDEFINED":
		return &literal{}
	case "EXISTS", "ARRAY", "FIRST", "LAST", "ALL":
		if p.peek().is("(") && p.after(1).is("SELECT") {
			if t.is("ALL") {
				p.fail(unsupported(t, "ALL of a subquery"))
			}
			p.take()
			return p.subquery(upper(t.text), ")")
		}
	case "UDF":
		p.fail(unsupported(t, "user-defined functions: scripts are not executed,"))
	}
	if p.peek().is("(") && (!isReserved(t.text) || t.is("LEFT") || t.is("RIGHT")) {
		return p.call(t)
	}
	if isReserved(t.text) {
		p.fail(syntax(t))
		return &literal{}
	}
	r := &ref{name: t.text, at: t}
	if v := constantOf(t.text); v.defined() && !p.known(t.text) {
		return &literal{v}
	}
	p.scope.open = append(p.scope.open, r)
	return r
}

// constantOf are the numbers that have names (documentation, examples of ToString).
func constantOf(name string) value {
	switch name {
	case "NaN":
		return number(math.NaN())
	case "Infinity":
		return number(math.Inf(1))
	}
	return value{}
}

// known tells names of sources that were read already.
func (p *parser) known(name string) bool {
	for s := p.scope; s != nil; s = s.outer {
		if _, ok := s.names[name]; ok {
			return true
		}
	}
	return false
}

// call reads the arguments of a function.
func (p *parser) call(t token) expr {
	p.expect("(")
	operator := aggregateOperator(t.text)
	if operator != "" {
		return p.aggregate(t, operator)
	}
	fn, found := lookup(upper(t.text))
	if !found {
		p.fail(unknown(t))
	}
	args := []expr{}
	if !p.peek().is(")") {
		args = p.expressions()
	}
	end := p.peek()
	p.expect(")")
	if p.err == nil && (len(args) < fn.least || fn.most >= 0 && len(args) > fn.most) {
		p.fail(failf("SC2050", t.from, end.to, "The %s function requires %s argument(s).", upper(t.text), fn.wants()))
	}
	if p.err == nil && t.is("REGEXMATCH") {
		p.regexp(args)
	}
	return &call{t.text, fn, args}
}

// regexp compiles the pattern of RegexMatch, if it is a constant.
func (p *parser) regexp(args []expr) {
	var values []value
	for _, arg := range args[1:] {
		values = append(values, constant(arg))
	}
	if !areAll(isText, values) {
		return
	}
	if pattern, ok := expression(values); ok {
		if compiled, err := regexp.Compile(pattern); err == nil { // else it fails where it is used
			p.regexps[pattern] = compiled
		}
	}
}

func (p *parser) aggregate(t token, operator string) expr {
	if p.scope.noAggregate && p.err == nil {
		p.fail(failf("SC2101", t.from, t.to, "Cannot perform an aggregate function on an expression containing an aggregate or a "+
			"subquery, nor in another clause than SELECT."))
	}
	p.scope.noAggregate = true
	a := &aggregate{name: t.text, operator: operator, of: p.expression(), id: p.aggregates}
	p.scope.noAggregate = false
	p.expect(")")
	walk(a.of, func(x expr) bool {
		if _, is := x.(*subquery); is {
			p.fail(failf("SC2101", t.from, t.to, "Cannot perform an aggregate function on an expression containing an aggregate or a subquery."))
		}
		return true
	})
	p.aggregates++
	p.scope.query.aggregates = append(p.scope.query.aggregates, a)
	return a
}
