package sql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pikami/cosmium/parsers"
)

// Plan is what a client needs to put together the rows of several ranges (queryInfo of the service's query plan).
type Plan struct {
	DistinctType         string             `json:"distinctType"`
	Top                  *int               `json:"top"`
	Offset               *int               `json:"offset"`
	Limit                *int               `json:"limit"`
	OrderBy              []string           `json:"orderBy"`
	OrderByExpressions   []string           `json:"orderByExpressions"`
	GroupByExpressions   []string           `json:"groupByExpressions"`
	GroupByAliases       []string           `json:"groupByAliases"`
	Aggregates           []string           `json:"aggregates"`
	AggregateTypes       map[string]*string `json:"groupByAliasToAggregateType"`
	RewrittenQuery       string             `json:"rewrittenQuery"`
	HasSelectValue       bool               `json:"hasSelectValue"`
	DCountInfo           *struct{}          `json:"dCountInfo"`
	HasNonStreamingOrder bool               `json:"hasNonStreamingOrderBy"`
}

// orderPlaceholder is where a client puts the condition with which it resumes an ordered query.
const orderPlaceholder = "{documentdb-formattableorderbyquery-filter}"

// Plan makes a plan, or says why not.
func (s *Statement) Plan() (*Plan, error) {
	p := &Plan{
		DistinctType: "None", OrderBy: []string{}, OrderByExpressions: []string{}, GroupByExpressions: []string{},
		GroupByAliases: []string{}, Aggregates: []string{}, AggregateTypes: map[string]*string{}, HasSelectValue: s.value,
	}
	if s.distinct {
		p.DistinctType = "Unordered"
		if len(s.order) > 0 {
			p.DistinctType = "Ordered"
		}
	}
	if s.top >= 0 {
		p.Top = &s.top
	}
	if s.limit >= 0 {
		p.Offset, p.Limit = &s.offset, &s.limit
	}
	switch {
	case len(s.groups) > 0, s.aggregates:
		return p, s.planGroups(p)
	case len(s.order) > 0:
		s.planOrder(p)
	case s.top >= 0 || s.limit >= 0 || s.distinct:
		p.RewrittenQuery = s.withoutLimits()
	}
	return p, nil
}

// clause is the text of a clause of the outermost query, from its keyword to the next clause; "" if there is none.
func (s *Statement) clause(keyword string) string {
	from, to := s.clauseAt(keyword)
	return strings.TrimSpace(s.text[from:to])
}

func (s *Statement) clauseAt(keyword string) (from, to int) {
	depth := 0
	from = -1
	for _, t := range s.tokens {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && from < 0 && t.is(keyword):
			from = t.from
		case depth == 0 && from >= 0 && (t.is("FROM") || t.is("WHERE") || t.is("ORDER") || t.is("GROUP") || t.is("OFFSET")):
			return from, t.from
		}
	}
	if from < 0 {
		return 0, 0
	}
	return from, len(s.text)
}

// withoutLimits is the query of one range: every one may hold all that the client keeps.
func (s *Statement) withoutLimits() string {
	head := s.clause("SELECT")
	if s.top >= 0 {
		head = fmt.Sprintf("%s TOP %d %s", s.text[s.tokens[0].from:s.tokens[0].to], s.top, s.text[s.columnsFrom():s.columnsTo()])
		if s.distinct {
			head = strings.Replace(head, " TOP", " DISTINCT TOP", 1)
		}
	}
	query := join2(head, s.clause("FROM"), s.clause("WHERE"))
	if s.limit >= 0 {
		query += fmt.Sprintf(" OFFSET 0 LIMIT %d", s.offset+s.limit)
	}
	return query
}

func join2(parts ...string) string {
	kept := parts[:0:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, " ")
}

// columnsFrom and columnsTo bound what stands between SELECT [DISTINCT] [TOP n] and FROM.
func (s *Statement) columnsFrom() int {
	i := 1
	for i < len(s.tokens) && s.tokens[i].is("DISTINCT") {
		i++
	}
	if i+1 < len(s.tokens) && s.tokens[i].is("TOP") && s.tokens[i+1].kind != symbol {
		i += 2
	}
	return s.tokens[min(i, len(s.tokens)-1)].from
}

func (s *Statement) columnsTo() int {
	head := s.clause("SELECT")
	return s.tokens[0].from + len(head)
}

// columnsText is the projection as one expression.
func (s *Statement) columnsText() string {
	text := strings.TrimSpace(s.text[s.columnsFrom():s.columnsTo()])
	if text == "*" {
		return strings.TrimPrefix(s.base.Table.Value, prefix)
	}
	if s.value {
		return strings.TrimSpace(text[len("VALUE"):])
	}
	return s.object()
}

// object is the projection of columns, written as an object. Only paths are columns there.
func (s *Statement) object() string {
	members := make([]string, 0, len(s.columns))
	for _, c := range s.columns {
		members = append(members, fmt.Sprintf("%q: %s", c.name, s.path(s.exprs[c.node.expr])))
	}
	return "{" + strings.Join(members, ", ") + "}"
}

// path is an expression's text, of a path.
func (s *Statement) path(item parsers.SelectItem) string {
	if len(item.Path) == 0 {
		return ""
	}
	text := strings.TrimPrefix(item.Path[0], prefix)
	for _, step := range item.Path[1:] {
		text += fmt.Sprintf("[%q]", s.step(step))
	}
	return text
}

// planOrder asks for each row with the values by which it is ordered.
func (s *Statement) planOrder(p *Plan) {
	items := make([]string, 0, len(s.order))
	for _, o := range s.order {
		direction := "Ascending"
		if o.descending {
			direction = "Descending"
		}
		text := s.path(s.exprs[o.expr])
		p.OrderBy = append(p.OrderBy, direction)
		p.OrderByExpressions = append(p.OrderByExpressions, text)
		items = append(items, fmt.Sprintf(`{"item": %s}`, text))
	}
	where := "WHERE (" + orderPlaceholder + ")"
	if w := s.clause("WHERE"); w != "" {
		where = "WHERE ((" + strings.TrimSpace(w[len("WHERE"):]) + ") AND (" + orderPlaceholder + "))"
	}
	root := strings.TrimPrefix(s.base.Table.Value, prefix)
	limit := ""
	if s.top >= 0 {
		limit = fmt.Sprintf("TOP %d ", s.top)
	}
	p.RewrittenQuery = join2(fmt.Sprintf("SELECT %s%s._rid, [%s] AS orderByItems, %s AS payload", limit, root, strings.Join(items, ", "), s.columnsText()),
		s.clause("FROM"), where, s.clause("ORDER"))
	if s.limit >= 0 {
		p.RewrittenQuery += fmt.Sprintf(" OFFSET 0 LIMIT %d", s.offset+s.limit)
	}
}

// aggregateOf is the part of an aggregate that a range computes, and the client's name of what puts the parts together.
func aggregateOf(f parsers.FunctionCallType, call string) (name, item string) {
	arg := call[strings.IndexByte(call, '('):]
	switch f {
	case parsers.FunctionCallAggregateAvg:
		return "Average", fmt.Sprintf(`{"sum": SUM%s, "count": COUNT%s}`, arg, arg)
	case parsers.FunctionCallAggregateSum:
		return "Sum", call
	case parsers.FunctionCallAggregateMin:
		return "Min", fmt.Sprintf(`{"min": MIN%s, "count": COUNT%s}`, arg, arg)
	case parsers.FunctionCallAggregateMax:
		return "Max", fmt.Sprintf(`{"max": MAX%s, "count": COUNT%s}`, arg, arg)
	}
	return "Count", call
}

// planGroups asks each range for its groups, or without GROUP BY for one: what they are grouped by, and their columns,
// of which aggregates are parts (source of the .NET SDK, GroupByQueryPipelineStage).
func (s *Statement) planGroups(p *Plan) error {
	from, to := s.columnsFrom(), s.columnsTo()
	if s.value {
		from += len("VALUE")
	}
	texts := s.list(from, to)
	if len(texts) != len(s.columns) {
		return unsupported("the plan of this projection over several ranges")
	}
	members := make([]string, len(texts))
	for i, c := range s.columns {
		members[i] = texts[i]
		var kind *string
		switch {
		case c.node.aggregate != "":
			name, item := aggregateOf(c.node.aggregate, texts[i])
			kind, members[i] = &name, fmt.Sprintf(`{"item": %s}`, item)
			if s.value {
				p.Aggregates = []string{name}
			}
		case c.node.holdsAggregate():
			return unsupported("the plan of an aggregate within an object or array over several ranges")
		}
		if !s.value {
			p.GroupByAliases = append(p.GroupByAliases, c.name)
			p.AggregateTypes[c.name] = kind
			members[i] = fmt.Sprintf("%q: %s", c.name, members[i])
		}
	}
	payload := "{" + strings.Join(members, ", ") + "}"
	if s.value {
		if payload = members[0]; len(p.Aggregates) > 0 {
			payload = "[" + payload + "]"
		}
	}
	var items []string
	if len(s.groups) > 0 {
		from, to := s.clauseAt("GROUP")
		p.GroupByExpressions = s.list(from+len("GROUP"), to)
		p.GroupByExpressions[0] = strings.TrimSpace(p.GroupByExpressions[0][len("BY"):])
		for _, text := range p.GroupByExpressions {
			items = append(items, fmt.Sprintf(`{"item": %s}`, text))
		}
	}
	switch {
	case len(items) > 0:
		payload = "[" + strings.Join(items, ", ") + "] AS groupByItems, " + payload + " AS payload"
	case s.value:
		payload = "VALUE " + payload
	default:
		payload += " AS payload"
	}
	p.RewrittenQuery = join2("SELECT "+payload, s.clause("FROM"), s.clause("WHERE"), s.clause("GROUP"))
	return nil
}

// list are the texts between the commas of what stands from one place of the query to another, without their names.
func (s *Statement) list(from, to int) []string {
	var (
		texts []string
		depth int
		begin = -1
		end   int
		named bool
	)
	for _, t := range s.tokens {
		if t.from < from || t.to > to {
			continue
		}
		switch {
		case t.is("("), t.is("["), t.is("{"):
			depth++
		case t.is(")"), t.is("]"), t.is("}"):
			depth--
		case depth == 0 && t.is(","):
			texts, begin, named = append(texts, s.text[max(begin, 0):end]), -1, false
			continue
		case depth == 0 && t.is("AS"):
			named = true
		}
		if named {
			continue
		}
		if begin < 0 {
			begin = t.from
		}
		end = t.to
	}
	return append(texts, s.text[max(begin, 0):end])
}

// holdsAggregate tells whether some value in it is one of a group.
func (n node) holdsAggregate() bool {
	if n.aggregate != "" || slices.ContainsFunc(n.array, node.holdsAggregate) {
		return true
	}
	return slices.ContainsFunc(n.object, func(c column) bool { return c.node.holdsAggregate() })
}
