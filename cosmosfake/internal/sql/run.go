package sql

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pikami/cosmium/parsers"
	memoryexecutor "github.com/pikami/cosmium/query_executors/memory_executor"
)

// tuple is what the executor computed for one row: the values of exprs.
type tuple struct {
	values []any
	from   origins
}

// Rows are the results of one document, of a query that streams; of another they are not final.
func (s *Statement) Rows(document []byte) ([][]byte, error) {
	tuples, err := s.tuples(document)
	if err != nil {
		return nil, err
	}
	rows := make([][]byte, 0, len(tuples))
	for _, t := range tuples {
		rows = s.appendRow(rows, []tuple{t})
	}
	return rows, nil
}

// Run computes all results over documents.
func (s *Statement) Run(documents [][]byte) ([][]byte, error) {
	var all []tuple
	for _, document := range documents {
		tuples, err := s.tuples(document)
		if err != nil {
			return nil, err
		}
		all = append(all, tuples...)
	}
	if len(s.order) > 0 {
		slices.SortStableFunc(all, func(a, b tuple) int {
			for _, o := range s.order {
				c := compare(a.values[o.expr], b.values[o.expr])
				if o.descending {
					c = -c
				}
				if c != 0 {
					return c
				}
			}
			return 0
		})
	}
	rows := [][]byte{}
	for _, group := range s.group(all) {
		rows = s.appendRow(rows, group)
	}
	if s.distinct {
		rows = distinct(rows)
	}
	if s.top >= 0 {
		rows = rows[:min(s.top, len(rows))]
	}
	rows = rows[min(s.offset, len(rows)):]
	if s.limit >= 0 {
		rows = rows[:min(s.limit, len(rows))]
	}
	return rows, nil
}

// group puts together the tuples of one result.
func (s *Statement) group(all []tuple) [][]tuple {
	var groups [][]tuple
	switch {
	case len(s.groups) > 0:
		at := make(map[string]int)
		for _, t := range all {
			var key []byte
			for _, g := range s.groups {
				if t.values[g] == nil {
					key = append(key, "undefined"...)
				} else {
					key = appendJSON(key, t.values[g], nil)
				}
				key = append(key, ',')
			}
			i, ok := at[string(key)]
			if !ok {
				i = len(groups)
				at[string(key)] = i
				groups = append(groups, nil)
			}
			groups[i] = append(groups[i], t)
		}
	case s.aggregates:
		groups = [][]tuple{all}
	default:
		groups = make([][]tuple, len(all))
		for i := range all {
			groups[i] = all[i : i+1]
		}
	}
	return groups
}

func distinct(rows [][]byte) [][]byte {
	seen := make(map[string]bool, len(rows))
	return slices.DeleteFunc(rows, func(row []byte) bool {
		was := seen[string(row)]
		seen[string(row)] = true
		return was
	})
}

// tuples runs the executor over one document.
func (s *Statement) tuples(document []byte) (tuples []tuple, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the query cannot be executed: %v", r)
		}
	}()
	doc, from, err := decode(document)
	if err != nil {
		return nil, err
	}
	stmt := s.base
	stmt.Parameters = s.params
	if len(s.fullText) > 0 {
		stmt.Parameters = maps.Clone(s.params)
		for _, f := range s.fullText {
			stmt.Parameters[f.parameter] = f.holds(doc)
		}
	}
	for _, row := range memoryexecutor.ExecuteQuery(stmt, []memoryexecutor.RowType{doc}) {
		values, ok := row.([]any)
		if !ok {
			return nil, fmt.Errorf("the query cannot be executed: its result is a %T", row)
		}
		tuples = append(tuples, tuple{values, from})
	}
	return tuples, nil
}

// appendRow writes the result of a group, unless it is missing.
func (s *Statement) appendRow(rows [][]byte, group []tuple) [][]byte {
	if s.value {
		if row, ok := s.columns[0].node.append(nil, group); ok {
			rows = append(rows, row)
		}
		return rows
	}
	row, _ := node{object: s.columns}.append(nil, group)
	return append(rows, row)
}

// append writes a node's value, or tells that it is missing.
func (n node) append(dst []byte, group []tuple) ([]byte, bool) {
	switch {
	case n.object != nil:
		dst = append(dst, '{')
		first := true
		for _, c := range n.object {
			mark := len(dst)
			if !first {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, c.name), ':')
			written, ok := c.node.append(dst, group)
			if dst = written; !ok {
				dst = dst[:mark]
				continue
			}
			first = false
		}
		return append(dst, '}'), true
	case n.array != nil:
		dst = append(dst, '[')
		first := true
		for _, child := range n.array {
			mark := len(dst)
			if !first {
				dst = append(dst, ',')
			}
			written, ok := child.append(dst, group)
			if dst = written; !ok {
				dst = dst[:mark]
				continue
			}
			first = false
		}
		return append(dst, ']'), true
	case n.aggregate != "":
		v := aggregate(n.aggregate, n.expr, group)
		return appendJSON(dst, v, nil), v != nil
	case len(group) == 0:
		return dst, false
	}
	v := group[0].values[n.expr]
	if v == nil {
		return dst, false
	}
	return appendJSON(dst, v, group[0].from), true
}

// aggregate is the value of an aggregate function; nil is missing, as of values that it does not take.
func aggregate(f parsers.FunctionCallType, expr int, group []tuple) any {
	var (
		count, sum float64
		best       any
	)
	for _, t := range group {
		v := t.values[expr]
		if v == nil {
			continue
		}
		count++
		switch f {
		case parsers.FunctionCallAggregateSum, parsers.FunctionCallAggregateAvg:
			if rank(v) != 3 {
				return nil
			}
			sum += asFloat(v)
		case parsers.FunctionCallAggregateMin, parsers.FunctionCallAggregateMax:
			if rank(v) > 4 {
				return nil
			}
			c := compare(v, best)
			if best == nil || f == parsers.FunctionCallAggregateMin && c < 0 || f == parsers.FunctionCallAggregateMax && c > 0 {
				best = v
			}
		}
	}
	switch f {
	case parsers.FunctionCallAggregateCount:
		return count
	case parsers.FunctionCallAggregateSum:
		return sum
	case parsers.FunctionCallAggregateAvg:
		if count == 0 {
			return nil
		}
		return sum / count
	}
	return best
}
