package sql

import (
	"strings"

	"github.com/pikami/cosmium/parsers"
)

// fixer gives a parsed query the service's meaning. The executor compares values of different types as if the left one
// were greater, and knows no difference between a missing value and null.
type fixer struct {
	operators []string // in the order of the text
	params    map[string]any
	root      string
	equals    []Equality
}

// statement fixes a query and all below it, in the order of its text.
func (f *fixer) statement(s parsers.SelectStmt, outer bool) (parsers.SelectStmt, error) {
	var err error
	if !outer {
		for _, item := range s.SelectItems {
			if holdsAggregate(item) {
				return s, unsupported("aggregates in subqueries")
			}
		}
		if len(s.OrderExpressions) > 0 || len(s.GroupBy) > 0 {
			return s, unsupported("ORDER BY and GROUP BY in subqueries")
		}
	}
	if s.SelectItems, err = f.items(s.SelectItems); err != nil {
		return s, err
	}
	if s.Table.SelectItem, err = f.item(s.Table.SelectItem); err != nil {
		return s, err
	}
	for i := range s.JoinItems {
		if s.JoinItems[i].SelectItem, err = f.item(s.JoinItems[i].SelectItem); err != nil {
			return s, err
		}
	}
	if s.Filters != nil {
		s.Filters, err = f.filter(s.Filters, plain, outer)
	}
	return s, err
}

func (f *fixer) items(list []parsers.SelectItem) ([]parsers.SelectItem, error) {
	var err error
	for i := range list {
		if list[i], err = f.item(list[i]); err != nil {
			return list, err
		}
	}
	return list, nil
}

// item fixes the queries below an expression.
func (f *fixer) item(item parsers.SelectItem) (parsers.SelectItem, error) {
	var err error
	if item.SelectItems, err = f.items(item.SelectItems); err != nil {
		return item, err
	}
	switch v := item.Value.(type) {
	case parsers.SelectStmt:
		item.Value, err = f.statement(v, false)
	case parsers.FunctionCall:
		if v.Type == parsers.FunctionCallIsNull || v.Type == parsers.FunctionCallIsPrimitive {
			return item, unsupported("IS_NULL and IS_PRIMITIVE outside of a filter")
		}
		if n := len(v.Arguments); v.Type == parsers.FunctionCallArrayContains && v.Arguments[n-1] == nil {
			v.Arguments[n-1] = fixed(false)
		}
		for i, arg := range v.Arguments {
			if child, ok := arg.(parsers.SelectItem); ok {
				if v.Arguments[i], err = f.item(child); err != nil {
					return item, err
				}
			}
		}
	}
	return item, err
}

// sense tells whether a condition stands behind NOT.
type sense bool

const (
	plain   sense = false
	negated sense = true
)

// filter fixes a condition. conjunct tells that no row fulfils the query without it.
func (f *fixer) filter(expr any, sense sense, conjunct bool) (any, error) {
	switch e := expr.(type) {
	case parsers.LogicalExpression:
		return f.logical(e, sense, conjunct)
	case parsers.ComparisonExpression:
		return f.comparison(e, sense, conjunct)
	case parsers.Constant:
		return f.truth(parsers.SelectItem{Type: parsers.SelectItemTypeConstant, Value: e}, sense)
	case parsers.SelectItem:
		return f.truth(e, sense)
	}
	return nil, unsupported("this condition")
}

// logical takes the markers of NOT out: each negates the condition that follows it.
func (f *fixer) logical(e parsers.LogicalExpression, s sense, conjunct bool) (any, error) {
	and := e.Operation == parsers.LogicalExpressionTypeAnd
	conjunct = conjunct && and && s == plain
	var (
		list []any
		next = s
	)
	for _, child := range e.Expressions {
		if item, ok := child.(parsers.SelectItem); ok && constant(item) == notName {
			next = !next
			continue
		}
		fixed, err := f.filter(child, next, conjunct && next == plain)
		if err != nil {
			return nil, err
		}
		list, next = append(list, fixed), s
	}
	switch {
	case len(list) == 0 || next != s:
		return nil, unsupported("NOT without a condition")
	case len(list) == 1:
		return list[0], nil
	}
	if and == (s == plain) {
		return all(list...), nil
	}
	return some(list...), nil
}

func (f *fixer) comparison(e parsers.ComparisonExpression, s sense, conjunct bool) (any, error) {
	left, ok1 := e.Left.(parsers.SelectItem)
	right, ok2 := e.Right.(parsers.SelectItem)
	if !ok1 || !ok2 || len(f.operators) == 0 {
		return nil, unsupported("this comparison")
	}
	left, err := f.item(left)
	if err != nil {
		return nil, err
	}
	op := f.operators[0]
	f.operators = f.operators[1:]
	if right, err = f.item(right); err != nil {
		return nil, err
	}
	if conjunct && op == "=" {
		f.note(left, right)
		f.note(right, left)
	}
	if s == negated {
		op = map[string]string{"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}[op]
	}
	if left, right, err = integers(f.params, left, right); err != nil {
		return nil, err
	}
	compare := parsers.ComparisonExpression{Left: left, Right: right, Operation: op}
	if op == "=" || op == "!=" {
		return all(defined(left), defined(right), compare), nil
	}
	both := func(is parsers.FunctionCallType) any { return all(call(is, left), call(is, right), compare) }
	return some(both(parsers.FunctionCallIsNumber), both(parsers.FunctionCallIsString), both(parsers.FunctionCallIsBool)), nil
}

// note remembers that a property equals a constant.
func (f *fixer) note(path, value parsers.SelectItem) {
	name := constant(value)
	if path.Type != parsers.SelectItemTypeField || len(path.Path) < 2 || path.Path[0] != f.root || name == "" {
		return
	}
	names := make([]string, len(path.Path)-1)
	for i, step := range path.Path[1:] {
		names[i] = step
		if text, ok := f.params[step].(string); ok {
			names[i] = text
		}
	}
	if v := f.params[name]; v != nil {
		f.equals = append(f.equals, Equality{Path: names, Value: appendJSON(nil, v, nil)})
	}
}

// truth is a condition that is an expression: it holds if that is true, and its negation if that is false.
func (f *fixer) truth(item parsers.SelectItem, s sense) (any, error) {
	if fn, ok := item.Value.(parsers.FunctionCall); ok && item.Type == parsers.SelectItemTypeFunctionCall {
		return f.function(item, fn, s)
	}
	item, err := f.item(item)
	if err != nil {
		return nil, err
	}
	return equals(item, s == plain), nil
}

func (f *fixer) function(item parsers.SelectItem, fn parsers.FunctionCall, s sense) (any, error) {
	var first parsers.SelectItem
	if len(fn.Arguments) > 0 {
		first, _ = fn.Arguments[0].(parsers.SelectItem)
	}
	isNull := parsers.ComparisonExpression{Left: first, Right: fixed(null{}), Operation: "="}
	switch fn.Type {
	case parsers.FunctionCallIsNull:
		if s == negated {
			isNull.Operation = "!="
		}
		return isNull, nil
	case parsers.FunctionCallIsPrimitive:
		if s == plain {
			return some(isNull, equals(item, true)), nil
		}
		isNull.Operation = "!="
		return all(isNull, equals(item, false)), nil
	}
	item, err := f.item(item)
	if err != nil {
		return nil, err
	}
	switch fn.Type {
	case parsers.FunctionCallIsDefined, parsers.FunctionCallIsArray, parsers.FunctionCallIsBool, parsers.FunctionCallIsFiniteNumber,
		parsers.FunctionCallIsNumber, parsers.FunctionCallIsObject, parsers.FunctionCallIsString:
		return equals(item, s == plain), nil
	}
	guard := defined(first)
	switch {
	case strings.HasPrefix(string(fn.Type), "Array"):
		guard = call(parsers.FunctionCallIsArray, first)
	case fn.Type != parsers.FunctionCallIn:
		guard = call(parsers.FunctionCallIsString, first)
	}
	return all(guard, equals(item, s == plain)), nil
}

// integers makes a number that is compared with a length or a place an int, as the executor's functions return.
func integers(params map[string]any, left, right parsers.SelectItem) (parsers.SelectItem, parsers.SelectItem, error) {
	var err error
	convert := func(item parsers.SelectItem) parsers.SelectItem {
		n, ok := params[constant(item)].(float64)
		if !ok || n != float64(int(n)) {
			err = unsupported("the comparison of a length with other than a whole number")
		}
		return fixed(int(n))
	}
	l, r := counts(left), counts(right)
	switch {
	case l && !r:
		right = convert(right)
	case r && !l:
		left = convert(left)
	}
	return left, right, err
}

func counts(item parsers.SelectItem) bool {
	fn, _ := item.Value.(parsers.FunctionCall)
	switch fn.Type {
	case parsers.FunctionCallLength, parsers.FunctionCallIndexOf, parsers.FunctionCallArrayLength, parsers.FunctionCallMathSign:
		return item.Type == parsers.SelectItemTypeFunctionCall
	}
	return false
}

// constant is the name of the parameter that an expression is; "" if it is none.
func constant(item parsers.SelectItem) string {
	c, ok := item.Value.(parsers.Constant)
	if !ok || item.Type != parsers.SelectItemTypeConstant || c.Type != parsers.ConstantTypeParameterConstant {
		return ""
	}
	name, _ := c.Value.(string)
	return name
}

func all(list ...any) any {
	return parsers.LogicalExpression{Operation: parsers.LogicalExpressionTypeAnd, Expressions: list}
}

func some(list ...any) any {
	return parsers.LogicalExpression{Operation: parsers.LogicalExpressionTypeOr, Expressions: list}
}

func call(name parsers.FunctionCallType, args ...any) parsers.SelectItem {
	return parsers.SelectItem{Type: parsers.SelectItemTypeFunctionCall, Value: parsers.FunctionCall{Type: name, Arguments: args}}
}

func defined(item parsers.SelectItem) any { return call(parsers.FunctionCallIsDefined, item) }

// fixed is a value that no parameter holds.
func fixed(v any) parsers.SelectItem {
	return parsers.SelectItem{Type: parsers.SelectItemTypeConstant, Value: parsers.Constant{Type: parsers.ConstantTypeString, Value: v}}
}

func equals(item parsers.SelectItem, want any) any {
	return parsers.ComparisonExpression{Left: item, Right: fixed(want), Operation: "="}
}
