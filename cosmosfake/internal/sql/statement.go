package sql

import (
	"encoding/json"
	"maps"
	"regexp"
	"time"
)

// Parameter is a named value, as a client sends it.
type Parameter struct {
	Name  string          `json:"name"` // with @
	Value json.RawMessage `json:"value"`
}

// Equality is a condition that every row fulfils: a property of the document equals a JSON value.
type Equality struct {
	Path  []string
	Value []byte
}

// Statement is a compiled query. It does not change and may be used by many goroutines.
type Statement struct {
	query      *query
	slots      int
	aggregates int
	equals     []Equality
	now        time.Time
	regexps    map[string]*regexp.Regexp // of constant patterns
}

// Compile reads a query. Its errors are of type *Error and say why it cannot be run.
func Compile(text string, parameters []Parameter) (*Statement, error) {
	s, err := compile(text, parameters)
	if err != nil { // its place is counted as texts are
		err.Start, err.End = length(text[:err.Start]), length(text[:err.End])
		return nil, err
	}
	return s, nil
}

func compile(text string, parameters []Parameter) (*Statement, *Error) {
	if len(text) > maxQuery {
		return nil, failf("", 0, 0, "the query has %d bytes, at most %d are allowed", len(text), maxQuery)
	}
	params := make(map[string]value, len(parameters))
	for _, p := range parameters {
		v, ok := decode(string(p.Value))
		if !ok && len(p.Value) > 0 { // one without a value is undefined
			return nil, failf("", 0, 0, "the parameter %s is invalid", p.Name)
		}
		params[p.Name] = v
	}
	list, err := tokens(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: list, params: params, regexps: make(map[string]*regexp.Regexp)}
	q := p.parse()
	if p.err != nil {
		return nil, p.err
	}
	s := &Statement{query: q, slots: p.slots, aggregates: p.aggregates, now: time.Now()}
	s.equals = q.equalities()
	s.regexps = p.regexps
	return s, nil
}

// At is the statement with another present time than that of its compilation.
func (s *Statement) At(now time.Time) *Statement {
	at := *s
	at.now = now
	return &at
}

// ReadsDocuments tells whether the query has a FROM. One that has none has one row.
func (s *Statement) ReadsDocuments() bool { return s.query.readsDocuments() }

func (q *query) readsDocuments() bool {
	return len(q.sources) > 0 && (q.sources[0].query == nil || q.sources[0].query.readsDocuments())
}

// Equalities are the conditions on which the whole filter depends.
func (s *Statement) Equalities() []Equality { return s.equals }

// Whole says why the query needs all documents before its first row is known; "" if it streams.
func (s *Statement) Whole() string { return s.query.whole() }

func (q *query) whole() string {
	switch {
	case len(q.groups) > 0:
		return "GROUP BY"
	case len(q.aggregates) > 0:
		return "aggregates"
	case len(q.order) > 0:
		return "ORDER BY"
	case q.distinct:
		return "DISTINCT"
	case q.top >= 0:
		return "TOP"
	case q.limit >= 0:
		return "OFFSET LIMIT"
	case len(q.sources) > 0 && q.sources[0].query != nil:
		return q.sources[0].query.whole()
	}
	return ""
}

func (s *Statement) env() *env {
	return &env{slots: make([]value, s.slots), results: make([]value, s.aggregates), now: s.now, regexps: maps.Clone(s.regexps)}
}

// document begins with the next document.
func (e *env) document(text []byte) {
	e.slots[0], _ = valueAt(string(text), 0)
	e.steps = 0
}

// failed is the reason for which the computation ended.
func (e *env) failed() error {
	if e.err == nil {
		return nil
	}
	return e.err
}

// Rows are the results of one document, of a query that streams; of another they are not final.
func (s *Statement) Rows(document []byte) ([][]byte, error) {
	e := s.env()
	e.document(document)
	var rows [][]byte
	s.query.rows(e, 0, func() bool {
		if v := s.query.project(e); v.defined() {
			rows = append(rows, appendJSON(nil, v))
		}
		return true
	})
	return rows, e.failed()
}

// Run computes all results over documents.
func (s *Statement) Run(documents [][]byte) ([][]byte, error) {
	e := s.env()
	if !s.ReadsDocuments() {
		documents = [][]byte{nil}
	}
	rows := [][]byte{}
	for _, v := range s.query.over(e, documents) {
		rows = append(rows, appendJSON(nil, v))
	}
	return rows, e.failed()
}

// over are the results of a query over documents, or over what the subquery makes of them from which it selects.
func (q *query) over(e *env, documents [][]byte) []value {
	c := collector{query: q}
	if len(q.sources) > 0 && q.sources[0].query != nil && q.sources[0].query.whole() != "" {
		for _, v := range q.sources[0].query.over(e, documents) {
			e.steps = 0
			if !q.bind(e, 0, v, func() bool { return c.add(e) }) {
				break
			}
		}
		return c.finish(e)
	}
	for _, document := range documents {
		e.document(document)
		if !q.rows(e, 0, func() bool { return c.add(e) }) {
			break
		}
	}
	return c.finish(e)
}

// equalities are those that the filter joins by AND.
func (q *query) equalities() []Equality {
	if len(q.sources) == 0 || q.sources[0].each || q.sources[0].query != nil {
		return nil
	}
	prefix, _ := names(q.sources[0].of, 0)
	var list []Equality
	var find func(expr)
	find = func(x expr) {
		b, ok := x.(*binary)
		if !ok {
			return
		}
		switch b.operator {
		case "AND":
			find(b.left)
			find(b.right)
		case "=":
			for _, side := range [][2]expr{{b.left, b.right}, {b.right, b.left}} {
				path, ok := names(side[0], q.sources[0].slot)
				if v := constant(side[1]); ok && v.defined() {
					list = append(list, Equality{append(append([]string{}, prefix...), path...), appendJSON(nil, v)})
				}
			}
		}
	}
	find(q.where)
	return list
}

// names are the steps of a path that begins at a slot.
func names(x expr, slot int) ([]string, bool) {
	switch x := x.(type) {
	case *ref:
		return nil, x.slot == slot
	case *property:
		path, ok := names(x.of, slot)
		return append(path, x.name), ok
	case *index:
		path, ok := names(x.of, slot)
		at := constant(x.at)
		return append(path, at.text), ok && at.kind == isText
	}
	return nil, false
}
