package sql

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pikami/cosmium/parsers"
	"github.com/pikami/cosmium/parsers/nosql"
)

const (
	// maxQuery is the service's limit of a query's text (service limits).
	maxQuery = 512 << 10
	// maxNesting and maxSteps bound the parser's stack and time.
	maxNesting = 128
	maxSteps   = 50_000_000
	// maxForgetful is how many times SELECT may stand in a query that is parsed without remembering.
	maxForgetful = 5
)

// Parameter is a named value, as a client sends it.
type Parameter struct {
	Name  string          `json:"name"` // with @
	Value json.RawMessage `json:"value"`
}

// Equality is a condition that every row fulfils: a property of the root equals a JSON value.
type Equality struct {
	Path  []string
	Value []byte
}

// Statement is a compiled query. It does not change and may be used by many goroutines.
type Statement struct {
	text     string
	tokens   []token
	base     parsers.SelectStmt // FROM, JOIN, WHERE; its only result is the array of exprs
	params   map[string]any
	computed []computed
	exprs    []parsers.SelectItem
	order    []ordering
	groups   []int // exprs
	columns  []column
	value    bool // SELECT VALUE
	equals   []Equality

	distinct   bool
	aggregates bool
	top        int
	offset     int
	limit      int
}

type ordering struct {
	expr       int
	descending bool
}

// column is a part of a result.
type column struct {
	name string
	node node
}

// node computes a value of a group of rows.
type node struct {
	expr      int // of the first row
	aggregate parsers.FunctionCallType
	array     []node
	object    []column
}

// Compile reads a query. Its errors say why it cannot be run.
func Compile(query string, parameters []Parameter) (*Statement, error) {
	if len(query) > maxQuery {
		return nil, fmt.Errorf("the query has %d bytes, at most %d are allowed", len(query), maxQuery)
	}
	list, err := tokens(query)
	if err != nil {
		return nil, err
	}
	w := &rewriter{in: list, params: make(map[string]any, len(parameters)), top: -1, limit: -1}
	for _, p := range parameters {
		value, _, err := decode(p.Value)
		if err != nil || p.Name == notName {
			return nil, fmt.Errorf("the parameter %s is invalid", p.Name)
		}
		w.params[p.Name] = value
	}
	if err := w.rewrite(); err != nil {
		return nil, err
	}
	w.params[notName] = true
	parsed, err := parse(w.out)
	if err != nil {
		return nil, err
	}
	s := &Statement{
		text: query, tokens: list, params: w.params, computed: w.computed,
		distinct: w.distinct, top: w.top, offset: w.offset, limit: w.limit,
	}
	f := &fixer{operators: w.operators, params: w.params, root: prefix + w.root}
	if parsed, err = f.statement(parsed, true); err != nil {
		return nil, err
	}
	s.equals = f.equals
	return s, s.arrange(parsed)
}

// parse hands the text to cosmium, in parentheses: its parser would ignore what follows a query.
func parse(out []string) (stmt parsers.SelectStmt, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the query cannot be parsed: %v", r)
		}
	}()
	query := "SELECT (" + join(out) + ")"
	// The parser's time doubles with every level of subqueries, unless it remembers what it tried; that makes long flat
	// queries ten times slower.
	memoize := nosql.Memoize(strings.Count(query, "SELECT") > maxForgetful)
	got, err := nosql.Parse("", []byte(query), nosql.MaxExpressions(maxSteps), memoize)
	if err != nil {
		return stmt, fmt.Errorf("syntax error, or a construct that cosmosfake does not implement: %w", err)
	}
	outer, ok := got.(parsers.SelectStmt)
	if ok && len(outer.SelectItems) == 1 {
		if inner, ok := outer.SelectItems[0].Value.(parsers.SelectStmt); ok && len(inner.SelectItems) > 0 {
			return inner, nil
		}
	}
	return stmt, fmt.Errorf("syntax error, or a construct that cosmosfake does not implement")
}

// join writes the pieces as the parser wants them: no blanks within paths, behind functions and inside parentheses.
func join(out []string) string {
	var b strings.Builder
	for i, s := range out {
		switch {
		case i == 0, s == ")", strings.HasPrefix(s, "."), len(s) > 1 && s[0] == '[', out[i-1] == "(",
			s == "(" && isFunction(out[i-1]):
		default:
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return b.String()
}

// arrange splits a query into what the executor computes for each document and what is made of that.
func (s *Statement) arrange(parsed parsers.SelectStmt) error {
	s.value = parsed.SelectItems[0].IsTopLevel
	for _, o := range parsed.OrderExpressions {
		s.order = append(s.order, ordering{s.expr(o.SelectItem), o.Direction == parsers.OrderDirectionDesc})
	}
	for _, g := range parsed.GroupBy {
		s.groups = append(s.groups, s.expr(g))
	}
	unnamed := 0
	for _, item := range parsed.SelectItems {
		name := s.name(item)
		if name == "" {
			unnamed++
			name = fmt.Sprintf("$%d", unnamed)
		}
		n, err := s.node(item)
		if err != nil {
			return err
		}
		s.columns = append(s.columns, column{name, n})
	}
	if len(s.order) > 0 && (s.aggregates || len(s.groups) > 0) {
		return unsupported("ORDER BY together with aggregates or GROUP BY")
	}
	s.base = parsers.SelectStmt{
		Table: parsed.Table, JoinItems: parsed.JoinItems, Filters: parsed.Filters,
		SelectItems: []parsers.SelectItem{{Type: parsers.SelectItemTypeArray, IsTopLevel: true, SelectItems: s.exprs}},
	}
	return nil
}

func (s *Statement) expr(item parsers.SelectItem) int {
	item.IsTopLevel, item.Alias = false, ""
	s.exprs = append(s.exprs, item)
	return len(s.exprs) - 1
}

// name is that of a column: its alias, or the last step of its path.
func (s *Statement) name(item parsers.SelectItem) string {
	if item.Alias != "" {
		return strings.TrimPrefix(item.Alias, prefix)
	}
	if item.Type != parsers.SelectItemTypeField || len(item.Path) == 0 {
		return ""
	}
	last := item.Path[len(item.Path)-1]
	if len(item.Path) == 1 {
		return strings.TrimPrefix(last, prefix)
	}
	return s.step(last)
}

// step is a name in a path.
func (s *Statement) step(name string) string {
	if strings.HasPrefix(name, "@") {
		text, _ := s.params[name].(string)
		return text
	}
	return name
}

func (s *Statement) node(item parsers.SelectItem) (node, error) {
	if call, ok := item.Value.(parsers.FunctionCall); ok && item.Type == parsers.SelectItemTypeFunctionCall && isAggregate(call.Type) {
		s.aggregates = true
		arg, ok := call.Arguments[0].(parsers.SelectItem)
		if !ok || holdsAggregate(arg) {
			return node{}, unsupported("an aggregate of an aggregate")
		}
		return node{aggregate: call.Type, expr: s.expr(arg)}, nil
	}
	if !holdsAggregate(item) && !holdsKey(item) {
		return node{expr: s.expr(item)}, nil
	}
	var n node
	switch item.Type {
	case parsers.SelectItemTypeArray:
		n.array = make([]node, 0, len(item.SelectItems))
	case parsers.SelectItemTypeObject:
		n.object = make([]column, 0, len(item.SelectItems))
	default:
		return n, unsupported("an aggregate within another function")
	}
	for _, child := range item.SelectItems {
		c, err := s.node(child)
		if err != nil {
			return n, err
		}
		if n.array != nil {
			n.array = append(n.array, c)
		} else {
			n.object = append(n.object, column{keyOf(child.Alias), c})
		}
	}
	return n, nil
}

// holdsKey tells whether an object in it has a key that the parser does not know.
func holdsKey(item parsers.SelectItem) bool {
	return slices.ContainsFunc(item.SelectItems, func(child parsers.SelectItem) bool {
		return strings.HasPrefix(child.Alias, keyPrefix) || holdsKey(child)
	})
}

// keyOf is an object's key as it was meant.
func keyOf(alias string) string {
	if text, ok := strings.CutPrefix(alias, keyPrefix); ok {
		if name, err := hex.DecodeString(text); err == nil {
			return string(name)
		}
	}
	return alias
}

func isAggregate(f parsers.FunctionCallType) bool {
	for _, a := range parsers.AggregateFunctions {
		if a == f {
			return true
		}
	}
	return false
}

func holdsAggregate(item parsers.SelectItem) bool {
	for _, child := range item.SelectItems {
		if holdsAggregate(child) {
			return true
		}
	}
	call, ok := item.Value.(parsers.FunctionCall)
	if !ok || item.Type != parsers.SelectItemTypeFunctionCall {
		return false
	}
	if isAggregate(call.Type) {
		return true
	}
	for _, arg := range call.Arguments {
		if child, ok := arg.(parsers.SelectItem); ok && holdsAggregate(child) {
			return true
		}
	}
	return false
}

// Equalities are the conditions on which the whole filter depends.
func (s *Statement) Equalities() []Equality { return s.equals }

// Whole says why the query needs all documents before its first row is known; "" if it streams.
func (s *Statement) Whole() string {
	switch {
	case len(s.order) > 0:
		return "ORDER BY"
	case s.aggregates:
		return "aggregates"
	case len(s.groups) > 0:
		return "GROUP BY"
	case s.distinct:
		return "DISTINCT"
	case s.top >= 0:
		return "TOP"
	case s.limit >= 0:
		return "OFFSET LIMIT"
	}
	return ""
}
