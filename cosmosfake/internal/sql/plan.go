package sql

// Plan is what a client needs to put together the rows of several ranges (queryInfo of the service's query plan; the
// rewritten queries are those of QueryPlanBaselineTests of the .NET client).
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

	// Features are what the client has to be able to do, as it names them.
	Features []string `json:"-"`
}

// orderPlaceholder is where a client puts the condition with which it resumes an ordered query.
const orderPlaceholder = "({documentdb-formattableorderbyquery-filter})"

// Plan makes a plan, or says why not.
func (s *Statement) Plan() (*Plan, error) {
	q := s.query
	p := &Plan{
		DistinctType: "None", OrderBy: []string{}, OrderByExpressions: []string{}, GroupByExpressions: []string{},
		GroupByAliases: []string{}, Aggregates: []string{}, AggregateTypes: map[string]*string{}, HasSelectValue: q.value,
	}
	if q.distinct {
		p.DistinctType = q.distinctType()
		p.needs("Distinct")
	}
	if q.top >= 0 {
		p.Top = &q.top
		p.needs("Top")
	}
	if q.limit >= 0 {
		p.Offset, p.Limit = &q.offset, &q.limit
		p.needs("OffsetAndLimit")
	}
	switch {
	case len(q.sources) > 0 && q.sources[0].query != nil && q.sources[0].query.whole() != "":
		return nil, &Error{Message: "The results of a subquery over all documents are not put together by clients."}
	case q.grouped():
		return p, p.group(q)
	case len(q.order) > 0:
		p.order(q)
	case q.distinct && (q.top >= 0 || q.limit >= 0):
		p.rewrite(q.unlimited())
	case q.limit >= 0:
		all := *q
		all.offset, all.limit = 0, q.offset+q.limit
		p.rewrite(&all)
	}
	return p, nil
}

func (p *Plan) needs(feature string) { p.Features = append(p.Features, feature) }

func (p *Plan) rewrite(q *query) {
	var w writer
	q.write(&w)
	p.RewrittenQuery = w.String()
}

// unlimited is a query without TOP, OFFSET and LIMIT: every range may hold all that the client keeps.
func (q *query) unlimited() *query {
	all := *q
	all.top, all.offset, all.limit = -1, 0, -1
	return &all
}

// distinctType says how a client finds rows that are equal: one after another if they are ordered by all that they hold.
func (q *query) distinctType() string {
	ordered := make(map[string]bool)
	for _, o := range q.order {
		ordered[canonical(o.of)] = true
	}
	for _, c := range q.columns {
		if !ordered[canonical(c.of)] {
			return "Unordered"
		}
	}
	if q.star {
		return "Unordered"
	}
	return "Ordered"
}

// items wraps expressions, as {"item": x}.
func items(list []expr) expr {
	all := &arrayOf{}
	for _, x := range list {
		all.list = append(all.list, &objectOf{[]string{"item"}, []expr{x}})
	}
	return all
}

// payload is the result of a row as one expression.
func (q *query) payload() expr {
	switch {
	case q.star:
		return q.rootRef()
	case q.value:
		return q.columns[0].of
	}
	x := &objectOf{}
	for _, c := range q.columns {
		x.names = append(x.names, c.name)
		x.values = append(x.values, c.of)
	}
	return x
}

func (q *query) rootRef() expr { return &ref{name: q.sources[0].name, slot: q.sources[0].slot} }

// order asks for each row with the values by which it is ordered.
func (p *Plan) order(q *query) {
	p.needs("OrderBy")
	if len(q.order) > 1 {
		p.needs("MultipleOrderBy")
	}
	keys := make([]expr, 0, len(q.order))
	for _, o := range q.order {
		direction := "Ascending"
		if o.descending {
			direction = "Descending"
		}
		p.OrderBy = append(p.OrderBy, direction)
		p.OrderByExpressions = append(p.OrderByExpressions, written(o.of))
		keys = append(keys, o.of)
	}
	all := *q
	all.distinct, all.star, all.value = false, false, false
	all.columns = []column{
		{of: &property{of: q.rootRef(), name: "_rid", dotted: true}},
		{name: "orderByItems", named: true, of: items(keys)},
		{name: "payload", named: true, of: q.payload()},
	}
	var where expr = &verbatim{orderPlaceholder}
	if q.where != nil {
		where = &binary{"AND", q.where, where}
	}
	if q.value {
		where = &binary{"AND", where, &verbatim{"IS_DEFINED(" + written(q.payload()) + ")"}}
	}
	all.where = where
	if q.limit >= 0 {
		all.offset, all.limit = 0, q.offset+q.limit
	}
	if q.distinct {
		all.top, all.limit = -1, -1
	}
	p.rewrite(&all)
}

// verbatim is a text that is written as it is.
type verbatim struct{ text string }

func (x *verbatim) eval(*env) value  { return value{} }
func (x *verbatim) children() []expr { return nil }
func (x *verbatim) write(w *writer)  { w.text(x.text) }

// group asks each range for its groups, with the parts of their aggregates.
func (p *Plan) group(q *query) error {
	all := q.unlimited()
	all.distinct, all.value = false, false
	all.columns = nil
	if len(q.groups) > 0 {
		p.needs("GroupBy")
		for _, g := range q.groups {
			p.GroupByExpressions = append(p.GroupByExpressions, written(g))
		}
		all.columns = append(all.columns, column{name: "groupByItems", named: true, of: items(q.groups)})
	}
	var payload expr
	switch a, is := q.columns[0].of.(*aggregate); {
	case q.value && is:
		p.aggregate(a, "Aggregate")
		p.Aggregates = []string{a.operator}
		payload = &arrayOf{[]expr{a.parts()}}
	case q.value && composes(q.columns[0].of):
		return compositions()
	case q.value:
		payload = q.columns[0].of
	default:
		x := &objectOf{}
		for _, c := range q.columns {
			p.GroupByAliases = append(p.GroupByAliases, c.name)
			p.AggregateTypes[c.name] = nil
			of := c.of
			if a, is := of.(*aggregate); is {
				p.aggregate(a, "NonValueAggregate")
				p.AggregateTypes[c.name] = &a.operator
				of = a.parts()
			} else if composes(of) {
				return compositions()
			}
			x.names = append(x.names, c.name)
			x.values = append(x.values, of)
		}
		payload = x
	}
	if q.value && len(q.groups) == 0 {
		all.value, all.columns = true, []column{{of: payload}}
	} else {
		all.columns = append(all.columns, column{name: "payload", named: true, of: payload})
	}
	p.rewrite(all)
	return nil
}

func (p *Plan) aggregate(a *aggregate, feature string) {
	p.needs(feature)
	if a.operator == "CountIf" {
		p.needs("CountIf")
	}
}

func compositions() error {
	return &Error{Message: "Compositions of aggregates and other expressions are not allowed."}
}

// composes tells an expression that holds an aggregate.
func composes(x expr) bool {
	found := false
	walk(x, func(x expr) bool {
		_, is := x.(*aggregate)
		found = found || is
		return !found
	})
	return found
}

// parts are what a client makes an aggregate of: its value in each range, or what that is computed of.
func (x *aggregate) parts() expr {
	of := func(name string) expr { return &aggregate{name: name, of: x.of} }
	whole := &objectOf{[]string{"item"}, []expr{x}}
	switch x.operator {
	case "Average":
		whole.values[0] = &objectOf{[]string{"sum", "count"}, []expr{of("SUM"), of("COUNT")}}
	case "Min":
		return &objectOf{[]string{"item", "item2"}, []expr{x, &objectOf{[]string{"min", "count"}, []expr{x, of("COUNT")}}}}
	case "Max":
		return &objectOf{[]string{"item", "item2"}, []expr{x, &objectOf{[]string{"max", "count"}, []expr{x, of("COUNT")}}}}
	}
	return whole
}
