package sql

import (
	"fmt"
	"strings"

	"github.com/pikami/cosmium/parsers"
)

// Plan is what a client needs to put together the rows of several ranges (queryInfo of the service's query plan).
type Plan struct {
	DistinctType         string            `json:"distinctType"`
	Top                  *int              `json:"top"`
	Offset               *int              `json:"offset"`
	Limit                *int              `json:"limit"`
	OrderBy              []string          `json:"orderBy"`
	OrderByExpressions   []string          `json:"orderByExpressions"`
	GroupByExpressions   []string          `json:"groupByExpressions"`
	GroupByAliases       []string          `json:"groupByAliases"`
	Aggregates           []string          `json:"aggregates"`
	AggregateTypes       map[string]string `json:"groupByAliasToAggregateType"`
	RewrittenQuery       string            `json:"rewrittenQuery"`
	HasSelectValue       bool              `json:"hasSelectValue"`
	DCountInfo           *struct{}         `json:"dCountInfo"`
	HasNonStreamingOrder bool              `json:"hasNonStreamingOrderBy"`
}

// orderPlaceholder is where a client puts the condition with which it resumes an ordered query.
const orderPlaceholder = "{documentdb-formattableorderbyquery-filter}"

// Plan makes a plan, or says why not.
func (s *Statement) Plan() (*Plan, error) {
	p := &Plan{
		DistinctType: "None", OrderBy: []string{}, OrderByExpressions: []string{}, GroupByExpressions: []string{},
		GroupByAliases: []string{}, Aggregates: []string{}, AggregateTypes: map[string]string{}, HasSelectValue: s.value,
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
	case len(s.groups) > 0:
		return nil, unsupported("the plan of GROUP BY over several ranges")
	case s.aggregates:
		return p, s.planAggregate(p)
	case len(s.order) > 0:
		s.planOrder(p)
	case s.top >= 0 || s.limit >= 0 || s.distinct:
		p.RewrittenQuery = s.withoutLimits()
	}
	return p, nil
}

// clause is the text of a clause of the outermost query, from its keyword to the next clause; "" if there is none.
func (s *Statement) clause(keyword string) string {
	depth, from := 0, -1
	for _, t := range s.tokens {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && from < 0 && t.is(keyword):
			from = t.from
		case depth == 0 && from >= 0 && (t.is("FROM") || t.is("WHERE") || t.is("ORDER") || t.is("GROUP") || t.is("OFFSET")):
			return strings.TrimSpace(s.text[from:t.from])
		}
	}
	if from < 0 {
		return ""
	}
	return strings.TrimSpace(s.text[from:])
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

// planAggregate asks each range for the parts of one aggregate.
func (s *Statement) planAggregate(p *Plan) error {
	n := s.columns[0].node
	if !s.value || n.aggregate == "" || len(s.columns) != 1 {
		return unsupported("the plan of aggregates other than SELECT VALUE of one over several ranges")
	}
	text := strings.TrimSpace(s.text[s.columnsFrom():s.columnsTo()])
	call := strings.TrimSpace(text[len("VALUE"):])
	arg := call[strings.IndexByte(call, '('):]
	item := call
	switch n.aggregate {
	case parsers.FunctionCallAggregateAvg:
		p.Aggregates = []string{"Average"}
		item = fmt.Sprintf(`{"sum": SUM%s, "count": COUNT%s}`, arg, arg)
	case parsers.FunctionCallAggregateCount:
		p.Aggregates = []string{"Count"}
	case parsers.FunctionCallAggregateSum:
		p.Aggregates = []string{"Sum"}
	case parsers.FunctionCallAggregateMin:
		p.Aggregates = []string{"Min"}
		item = fmt.Sprintf(`{"min": MIN%s, "count": COUNT%s}`, arg, arg)
	case parsers.FunctionCallAggregateMax:
		p.Aggregates = []string{"Max"}
		item = fmt.Sprintf(`{"max": MAX%s, "count": COUNT%s}`, arg, arg)
	}
	p.RewrittenQuery = join2(fmt.Sprintf(`SELECT VALUE [{"item": %s}]`, item), s.clause("FROM"), s.clause("WHERE"))
	return nil
}
