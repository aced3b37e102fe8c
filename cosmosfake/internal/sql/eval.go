package sql

import (
	"math"
	"regexp"
	"time"
)

// env is what an expression is computed of: a row, and what is known while a query runs.
type env struct {
	slots   []value // by source; the first is the document
	results []value // of aggregates, of the group that is written
	now     time.Time
	steps   int
	err     *Error
	regexps map[string]*regexp.Regexp
}

// fail ends the computation; the first reason counts.
func (e *env) fail(format string, args ...any) value {
	if e.err == nil {
		e.err = failf("", 0, 0, format, args...)
	}
	return value{}
}

// step counts work, and tells whether to go on.
func (e *env) step(n int) bool {
	if e.steps += n; e.steps > maxSteps && e.err == nil {
		e.fail("the query takes more than %d steps for one document", maxSteps)
	}
	return e.err == nil
}

// reads counts the work of looking through an array or object.
func (e *env) reads(v value) bool {
	switch {
	case v.kind < isArray:
		return e.err == nil
	case v.made != nil:
		return e.step(len(v.made.list) + len(v.made.members))
	}
	return e.step(len(v.text) / 256)
}

func (x *literal) eval(*env) value { return x.value }

func (x *param) eval(*env) value { return x.value }

func (x *ref) eval(e *env) value { return e.slots[x.slot] }

func (x *property) eval(e *env) value {
	of := x.of.eval(e)
	if !e.reads(of) {
		return value{}
	}
	return of.field(x.name)
}

func (x *index) eval(e *env) value {
	of := x.of.eval(e)
	if !e.reads(of) {
		return value{}
	}
	return of.at(x.at.eval(e))
}

func (x *unary) eval(e *env) value {
	v := x.of.eval(e)
	switch {
	case x.operator == "NOT":
		return negate(v)
	case v.kind != isNumber:
		return value{}
	case x.operator == "-":
		return number(-v.num)
	case x.operator == "~":
		return number(float64(^int32Of(v.num)))
	}
	return v
}

func negate(v value) value {
	if v.kind != isBool {
		return value{}
	}
	return boolean(!v.isTrue())
}

// and is false if one is false, true if both are true, and else undefined.
func and(a, b value) value {
	switch {
	case a.isFalse() || b.isFalse():
		return boolean(false)
	case a.isTrue() && b.isTrue():
		return boolean(true)
	}
	return value{}
}

// or is true if one is true, false if both are false, and else undefined.
func or(a, b value) value { return negate(and(negate(a), negate(b))) }

func (x *binary) eval(e *env) value {
	left := x.left.eval(e)
	switch {
	case x.operator == "AND" && left.isFalse(), x.operator == "OR" && left.isTrue(), x.operator == "??" && left.defined():
		return left
	}
	right := x.right.eval(e)
	switch x.operator {
	case "AND":
		return and(left, right)
	case "OR":
		return or(left, right)
	case "??":
		return right
	case "=", "!=", "<", ">", "<=", ">=":
		if !e.reads(left) {
			return value{}
		}
		return relate(x.operator, left, right)
	case "||":
		if left.kind != isText || right.kind != isText {
			return value{}
		}
		return e.concat(left.text, right.text)
	}
	if left.kind != isNumber || right.kind != isNumber {
		return value{}
	}
	return number(calculate(x.operator, left.num, right.num))
}

// relate compares. Values of different types are not equal, and have no order; arrays and objects have none either.
func relate(operator string, a, b value) value {
	if !a.defined() || !b.defined() {
		return value{}
	}
	switch operator {
	case "=":
		return boolean(equal(a, b))
	case "!=":
		return boolean(!equal(a, b))
	}
	if a.kind != b.kind || a.kind == isArray || a.kind == isObject || math.IsNaN(a.num) || math.IsNaN(b.num) {
		return value{}
	}
	c := compare(a, b)
	return boolean(operator[0] == '<' && c < 0 || operator[0] == '>' && c > 0 || len(operator) == 2 && c == 0)
}

// calculate does arithmetic as JavaScript does (documentation, "Bitwise operators").
func calculate(operator string, a, b float64) float64 {
	switch operator {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "%":
		return math.Mod(a, b)
	case "&":
		return float64(int32Of(a) & int32Of(b))
	case "|":
		return float64(int32Of(a) | int32Of(b))
	case "^":
		return float64(int32Of(a) ^ int32Of(b))
	case "<<":
		return float64(int32Of(a) << (uint32(int32Of(b)) & 31))
	case ">>":
		return float64(int32Of(a) >> (uint32(int32Of(b)) & 31))
	case ">>>":
		return float64(uint32(int32Of(a)) >> (uint32(int32Of(b)) & 31))
	}
	return math.NaN() // there are no others
}

// int32Of takes a number's lowest 32 bits.
func int32Of(n float64) int32 {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return 0
	}
	return int32(uint32(int64(math.Mod(math.Trunc(n), 1<<32))))
}

func (x *between) eval(e *env) value {
	v := x.of.eval(e)
	result := and(relate(">=", v, x.low.eval(e)), relate("<=", v, x.high.eval(e)))
	if x.not {
		return negate(result)
	}
	return result
}

func (x *in) eval(e *env) value {
	v := x.of.eval(e)
	if !v.defined() {
		return v
	}
	for _, item := range x.list {
		if e.reads(v) && equal(v, item.eval(e)) {
			return boolean(!x.not)
		}
	}
	return boolean(x.not)
}

func (x *conditional) eval(e *env) value {
	if x.condition.eval(e).isTrue() {
		return x.then.eval(e)
	}
	return x.otherwise.eval(e)
}

func (x *arrayOf) eval(e *env) value {
	list := make([]value, 0, len(x.list))
	for _, item := range x.list {
		if v := item.eval(e); v.defined() {
			list = append(list, v)
		}
	}
	return array(list)
}

func (x *objectOf) eval(e *env) value {
	list := make([]member, 0, len(x.names))
	for i, name := range x.names {
		if v := x.values[i].eval(e); v.defined() {
			list = append(list, member{name, v})
		}
	}
	return object(list)
}

func (x *call) eval(e *env) value {
	var room [4]value
	args := room[:0]
	for _, arg := range x.args {
		v := arg.eval(e)
		if !v.defined() && !x.fn.takesUndefined {
			return v
		}
		args = append(args, v)
		e.reads(v)
	}
	if !e.step(1) {
		return value{}
	}
	return x.fn.call(e, args)
}

// concat joins texts, up to a length.
func (e *env) concat(parts ...string) value {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > maxText {
		return e.fail("a text of the query is longer than %d bytes", maxText)
	}
	out := make([]byte, 0, n)
	for _, p := range parts {
		out = append(out, p...)
	}
	return text(string(out))
}

func (x *subquery) eval(e *env) value {
	if x.keyword == "EXISTS" {
		found := false
		x.query.run(e, func(value) bool {
			found = true
			return false
		})
		return boolean(found)
	}
	var rows []value
	x.query.run(e, func(v value) bool {
		rows = append(rows, v)
		return x.keyword != "FIRST"
	})
	switch {
	case x.keyword == "ARRAY":
		return array(rows)
	case len(rows) == 0:
		return value{}
	case x.keyword == "" && len(rows) > 1:
		return e.fail("The cardinality of a scalar subquery result set cannot be greater than one.")
	}
	return rows[len(rows)-1]
}
