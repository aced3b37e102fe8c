package sql

import (
	"math"
	"strconv"
	"strings"
)

// expr is a compiled expression.
type expr interface {
	// eval computes the expression's value of the row in e.
	eval(e *env) value
	// write writes the expression as the service writes it in rewritten queries.
	write(w *writer)
	// children are the expressions that it is made of, but for those of subqueries.
	children() []expr
}

// writer writes queries again.
type writer struct {
	strings.Builder
	brackets bool // write all names of properties in brackets
}

func written(x expr) string {
	var w writer
	x.write(&w)
	return w.String()
}

// canonical writes expressions that mean the same property alike.
func canonical(x expr) string {
	w := writer{brackets: true}
	x.write(&w)
	return w.String()
}

func (w *writer) text(parts ...string) {
	for _, p := range parts {
		w.WriteString(p)
	}
}

func (w *writer) list(list []expr) {
	for i, x := range list {
		if i > 0 {
			w.text(", ")
		}
		x.write(w)
	}
}

type (
	// literal is a constant.
	literal struct{ value value }

	// param is a parameter of the query.
	param struct {
		name  string
		value value
	}

	// ref is the value of a source, or the document.
	ref struct {
		name string
		slot int
		at   token
	}

	// property is a member that is named in the text.
	property struct {
		of     expr
		name   string
		dotted bool // .name, not ["name"]
	}

	// index is a member or element whose name or place is computed.
	index struct{ of, at expr }

	unary struct {
		operator string
		of       expr
	}

	binary struct {
		operator    string
		left, right expr
	}

	between struct {
		of, low, high expr
		not           bool
	}

	in struct {
		of   expr
		list []expr
		not  bool
	}

	conditional struct{ condition, then, otherwise expr }

	arrayOf struct{ list []expr }

	objectOf struct {
		names  []string
		values []expr
	}

	call struct {
		name string
		fn   function
		args []expr
	}

	// subquery computes one value of the rows of a query.
	subquery struct {
		keyword string // EXISTS, ARRAY, FIRST, LAST; "" is its only row
		query   *query
	}
)

func (x *literal) children() []expr     { return nil }
func (x *param) children() []expr       { return nil }
func (x *ref) children() []expr         { return nil }
func (x *subquery) children() []expr    { return nil }
func (x *property) children() []expr    { return []expr{x.of} }
func (x *index) children() []expr       { return []expr{x.of, x.at} }
func (x *unary) children() []expr       { return []expr{x.of} }
func (x *binary) children() []expr      { return []expr{x.left, x.right} }
func (x *between) children() []expr     { return []expr{x.of, x.low, x.high} }
func (x *in) children() []expr          { return append([]expr{x.of}, x.list...) }
func (x *conditional) children() []expr { return []expr{x.condition, x.then, x.otherwise} }
func (x *arrayOf) children() []expr     { return x.list }
func (x *objectOf) children() []expr    { return x.values }
func (x *call) children() []expr        { return x.args }

// walk visits an expression and all that it is made of, until visit says no.
func walk(x expr, visit func(expr) bool) {
	if !visit(x) {
		return
	}
	for _, child := range x.children() {
		walk(child, visit)
	}
}

func (x *literal) write(w *writer) {
	switch n := x.value.num; {
	case !x.value.defined():
		w.text("undefined")
	case x.value.kind == isNumber && (math.IsInf(n, 0) || math.IsNaN(n)):
		w.text(notFinite(n))
	default:
		w.Write(appendJSON(nil, x.value))
	}
}

func (x *param) write(w *writer) { w.text(x.name) }

func (x *ref) write(w *writer) { w.text(x.name) }

func (x *property) write(w *writer) {
	x.of.write(w)
	if x.dotted && !w.brackets {
		w.text(".", x.name)
		return
	}
	w.text("[", string(appendText(nil, x.name)), "]")
}

func (x *index) write(w *writer) {
	x.of.write(w)
	w.text("[")
	x.at.write(w)
	w.text("]")
}

func (x *unary) write(w *writer) {
	w.text("(", x.operator, " ")
	x.of.write(w)
	w.text(")")
}

func (x *binary) write(w *writer) {
	w.text("(")
	x.left.write(w)
	w.text(" ", x.operator, " ")
	x.right.write(w)
	w.text(")")
}

// not writes NOT before a keyword.
func not(yes bool) string {
	if yes {
		return " NOT"
	}
	return ""
}

func (x *between) write(w *writer) {
	w.text("(")
	x.of.write(w)
	w.text(not(x.not), " BETWEEN ")
	x.low.write(w)
	w.text(" AND ")
	x.high.write(w)
	w.text(")")
}

func (x *in) write(w *writer) {
	w.text("(")
	x.of.write(w)
	w.text(not(x.not), " IN (")
	w.list(x.list)
	w.text("))")
}

func (x *like) write(w *writer) {
	w.text("(")
	x.of.write(w)
	w.text(not(x.not), " LIKE ")
	x.pattern.write(w)
	if x.escape != "" {
		w.text(" ESCAPE ", string(appendText(nil, x.escape)))
	}
	w.text(")")
}

func (x *conditional) write(w *writer) {
	w.text("(")
	x.condition.write(w)
	w.text(" ? ")
	x.then.write(w)
	w.text(" : ")
	x.otherwise.write(w)
	w.text(")")
}

func (x *arrayOf) write(w *writer) {
	w.text("[")
	w.list(x.list)
	w.text("]")
}

func (x *objectOf) write(w *writer) {
	w.text("{")
	for i, name := range x.names {
		if i > 0 {
			w.text(", ")
		}
		w.text(string(appendText(nil, name)), ": ")
		x.values[i].write(w)
	}
	w.text("}")
}

func (x *call) write(w *writer) {
	w.text(x.name, "(")
	w.list(x.args)
	w.text(")")
}

func (x *subquery) write(w *writer) {
	w.text(x.keyword, "(")
	x.query.write(w)
	w.text(")")
}

func (x *aggregate) write(w *writer) {
	w.text(x.name, "(")
	x.of.write(w)
	w.text(")")
}

// write writes a query in the order of its clauses.
func (q *query) write(w *writer) {
	w.text("SELECT ")
	if q.distinct {
		w.text("DISTINCT ")
	}
	if q.top >= 0 {
		w.text("TOP ", strconv.Itoa(q.top), " ")
	}
	switch {
	case q.star:
		w.text("*")
	case q.value:
		w.text("VALUE ")
		q.columns[0].of.write(w)
	default:
		for i, c := range q.columns {
			if i > 0 {
				w.text(", ")
			}
			c.of.write(w)
			if c.named {
				w.text(" AS ", c.name)
			}
		}
	}
	q.writeFrom(w)
	if q.where != nil {
		w.text(" WHERE ")
		q.where.write(w)
	}
	q.writeRest(w)
	if q.limit >= 0 {
		w.text(" OFFSET ", strconv.Itoa(q.offset), " LIMIT ", strconv.Itoa(q.limit))
	}
}

func (q *query) writeFrom(w *writer) {
	for i, s := range q.sources {
		if i == 0 {
			w.text(" FROM ")
		} else {
			w.text(" JOIN ")
		}
		if s.each {
			w.text(s.name, " IN ")
		}
		if s.query != nil {
			w.text("(")
			s.query.write(w)
			w.text(")")
		} else {
			s.of.write(w)
		}
		if !s.each && s.named {
			w.text(" AS ", s.name)
		}
	}
}

// writeRest writes GROUP BY and ORDER BY.
func (q *query) writeRest(w *writer) {
	if len(q.groups) > 0 {
		w.text(" GROUP BY ")
		w.list(q.groups)
	}
	for i, o := range q.order {
		if i == 0 {
			w.text(" ORDER BY ")
		} else {
			w.text(", ")
		}
		o.of.write(w)
		w.text(o.direction)
	}
}
