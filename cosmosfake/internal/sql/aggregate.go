package sql

import "strings"

// aggregate is a call of an aggregate function: its value is that of the group of rows that is written.
type aggregate struct {
	name     string // as it was written
	operator string // as plans name it
	of       expr
	id       int
}

func (x *aggregate) eval(e *env) value { return e.results[x.id] }

func (x *aggregate) children() []expr { return []expr{x.of} }

// aggregateOperator is how plans name an aggregate function; "" is none.
func aggregateOperator(name string) string {
	switch strings.ToUpper(name) {
	case "COUNT":
		return "Count"
	case "COUNTIF":
		return "CountIf"
	case "SUM":
		return "Sum"
	case "AVG":
		return "Average"
	case "MIN":
		return "Min"
	case "MAX":
		return "Max"
	}
	return ""
}

// accumulator computes an aggregate. What is undefined does not count; one value of a wrong type makes SUM, AVG, MIN and
// MAX undefined (documentation, and AggregateQueryTests.AggregateMixedTypes of the .NET client).
type accumulator struct {
	name  string
	count float64
	sum   float64
	best  value
	wrong bool
}

func (a *accumulator) add(v value) {
	if !v.defined() {
		return
	}
	switch a.name {
	case "CountIf":
		if !v.isTrue() {
			return
		}
	case "Sum", "Average":
		a.wrong = a.wrong || v.kind != isNumber
		a.sum += v.num
	case "Min", "Max":
		a.wrong = a.wrong || v.kind > isText
		c := compare(v, a.best)
		if a.count == 0 || a.name == "Min" && c < 0 || a.name == "Max" && c > 0 {
			a.best = v
		}
	}
	a.count++
}

func (a *accumulator) value() value {
	switch {
	case a.wrong:
		return value{}
	case a.name == "Sum":
		return number(a.sum)
	case a.name == "Average" && a.count == 0:
		return value{}
	case a.name == "Average":
		return number(a.sum / a.count)
	case a.name == "Min" || a.name == "Max":
		return a.best
	}
	return number(a.count)
}
