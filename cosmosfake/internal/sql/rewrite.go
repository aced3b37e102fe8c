package sql

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// rewriter writes a query again, in the part of the language that cosmium's parser knows:
//
//   - every literal becomes a parameter, every name of a table or a result gets a prefix that no keyword begins with;
//   - the alias of the root takes the place of its name, and * becomes VALUE alias;
//   - TOP, DISTINCT, OFFSET and LIMIT of the outermost query are taken out and remembered;
//   - <= and >= are written as < and >, and remembered by their place among all comparisons;
//   - NOT becomes the marker notName followed by AND, which binds as tightly;
//   - BETWEEN and LIKE become what they mean; FullTextContains, and LIKE with wildcards inside, become parameters that
//     are computed for each document.
type rewriter struct {
	in    []token
	at    int
	out   []string
	depth int // of parentheses

	params    map[string]any
	made      int // parameters of our own
	operators []string
	computed  []computed
	root      string
	shadowed  bool // the root's name means something else in a subquery
	distinct  bool
	top       int // -1 is none
	offset    int
	limit     int // -1 is none
	between   []between
}

// between is one that was begun: its operand is compared with another bound after AND, and it ends after that.
type between struct {
	operand []string
	depth   int
	second  bool
}

const (
	prefix = "t_"
	// keyPrefix marks a key of an object in the projection that the parser does not know, in hexadecimal.
	keyPrefix = "k_"
	notName   = "@_not"
)

// unsupported names what is refused.
func unsupported(what string) error {
	return fmt.Errorf("cosmosfake does not implement %s in queries", what)
}

func (w *rewriter) emit(s ...string) { w.out = append(w.out, s...) }

// peek is the token n after the next; the end is an empty symbol.
func (w *rewriter) peek(n int) token {
	if w.at+n < len(w.in) {
		return w.in[w.at+n]
	}
	return token{kind: symbol}
}

// literal makes a parameter of a value.
func (w *rewriter) literal(v any) string {
	for {
		name := "@_" + strconv.Itoa(w.made)
		w.made++
		if _, taken := w.params[name]; !taken {
			w.params[name] = v
			return name
		}
	}
}

func (w *rewriter) rewrite() error {
	if !w.peek(0).is("SELECT") {
		return fmt.Errorf("a query begins with SELECT")
	}
	nesting := 0
	for _, t := range w.in {
		switch {
		case t.is("("), t.is("["), t.is("{"):
			nesting++
		case t.is(")"), t.is("]"), t.is("}"):
			nesting--
		}
		if nesting > maxNesting {
			return fmt.Errorf("the query nests deeper than %d levels", maxNesting)
		}
	}
	for w.at < len(w.in) {
		if err := w.step(); err != nil {
			return err
		}
	}
	if err := w.checkComputed(); err != nil {
		return err
	}
	return w.endBetween()
}

// step rewrites the next token, or the construct that it begins.
func (w *rewriter) step() error {
	t := w.peek(0)
	switch t.kind {
	case text, number:
		if t.kind == text && w.peek(1).is(":") {
			return w.objectKey(t.value.(string))
		}
		w.at++
		w.emit(w.literal(t.value))
		return nil
	case parameter:
		w.at++
		if _, ok := w.params[t.text]; !ok {
			return fmt.Errorf("the parameter %s is not given", t.text)
		}
		w.emit(t.text)
		return nil
	case symbol:
		return w.symbol(t)
	}
	return w.word(t)
}

func (w *rewriter) objectKey(name string) error {
	if !simple(name) || strings.HasPrefix(name, keyPrefix) {
		if w.depth > 0 || w.root != "" { // the executor would write it
			return unsupported(fmt.Sprintf("the object key %q within parentheses or behind FROM", name))
		}
		name = keyPrefix + hex.EncodeToString([]byte(name))
	}
	w.at++
	w.emit(name)
	return nil
}

func (w *rewriter) symbol(t token) error {
	w.at++
	switch t.text {
	case "(":
		w.depth++
		w.emit("(")
	case ")":
		if err := w.endBetween(); err != nil {
			return err
		}
		w.depth--
		if w.depth < 0 {
			return fmt.Errorf("a parenthesis is closed that was not opened")
		}
		w.emit(")")
	case "=", "!=", "<", ">", "<=", ">=", "<>":
		w.compare(t.text)
	case ",":
		w.emit(",")
	case "[", "]", "{", "}", ":":
		w.emit(t.text)
	case "-":
		if n := w.peek(0); n.kind == number && (len(w.out) == 0 || !isOperandEnd(w.out[len(w.out)-1])) {
			w.at++
			w.emit(w.literal(-n.value.(float64)))
			return nil
		}
		return unsupported("arithmetic")
	case "+", "*", "/", "%", "&", "|", "^", "~", "<<", ">>":
		return unsupported("arithmetic (" + t.text + ")")
	default:
		return unsupported("the operator " + t.text)
	}
	return nil
}

// compare writes a comparison that the parser knows and remembers which was meant.
func (w *rewriter) compare(operator string) {
	if operator == "<>" {
		operator = "!="
	}
	w.operators = append(w.operators, operator)
	if operator != "!=" {
		operator = operator[:1]
	}
	w.emit(operator)
}

func isOperandEnd(s string) bool {
	return s == ")" || s == "]" || strings.HasPrefix(s, "@") || strings.HasPrefix(s, prefix) || strings.HasPrefix(s, ".")
}

func (w *rewriter) word(t token) error {
	switch keyword := strings.ToUpper(t.text); keyword {
	case "SELECT":
		return w.selection()
	case "FROM":
		w.at++
		return w.from()
	case "TRUE", "FALSE":
		w.at++
		w.emit(w.literal(keyword == "TRUE"))
	case "NULL":
		w.at++
		w.emit(w.literal(null{}))
	case "UNDEFINED":
		w.at++
		w.emit(w.literal(nil))
	case "NOT":
		return w.not()
	case "BETWEEN":
		w.at++
		operand := append([]string(nil), w.operand()...)
		w.out = append(w.out[:len(w.out)-len(operand)], "(")
		w.emit(operand...)
		w.compare(">=")
		w.between = append(w.between, between{operand: operand, depth: w.depth})
	case "LIKE":
		return w.like()
	case "AND", "OR":
		w.at++
		if n := len(w.between); keyword == "AND" && n > 0 && w.between[n-1].depth == w.depth && !w.between[n-1].second {
			w.between[n-1].second = true
			w.emit("AND")
			w.emit(w.between[n-1].operand...)
			w.compare("<=")
			return nil
		}
		if err := w.endBetween(); err != nil {
			return err
		}
		w.emit(keyword)
	case "ORDER", "GROUP":
		if err := w.endBetween(); err != nil {
			return err
		}
		w.at++
		if !w.peek(0).is("BY") {
			return fmt.Errorf("%s is not followed by BY", keyword)
		}
		w.at++
		if w.peek(0).is("RANK") {
			return unsupported("ORDER BY RANK")
		}
		w.emit(keyword, "BY")
	case "OFFSET", "LIMIT":
		if err := w.endBetween(); err != nil {
			return err
		}
		return w.limits(keyword)
	case "AS":
		w.at++
		if w.peek(0).kind != word {
			return fmt.Errorf("AS is not followed by a name")
		}
		w.emit("AS", prefix+w.peek(0).text)
		w.at++
	case "WHERE", "JOIN", "IN", "ASC", "DESC", "EXISTS", "VALUE":
		w.at++
		w.emit(keyword)
	case "ARRAY":
		w.at++ // a subquery is an array to the executor
		if !w.peek(0).is("(") || !w.peek(1).is("SELECT") {
			return fmt.Errorf("ARRAY is not followed by a subquery")
		}
	default:
		return w.name(t)
	}
	return nil
}

// selection begins a query: what stands between SELECT and its columns.
func (w *rewriter) selection() error {
	outer := w.at == 0
	if !outer && (len(w.out) == 0 || w.out[len(w.out)-1] != "(") {
		return fmt.Errorf("SELECT is neither at the beginning nor in parentheses")
	}
	if !outer && !w.subqueryAllowed() {
		return unsupported("subqueries other than EXISTS, ARRAY and JOIN")
	}
	w.at++
	w.emit("SELECT")
	if w.peek(0).is("DISTINCT") {
		w.at++
		if outer {
			w.distinct = true
		} else {
			w.emit("DISTINCT")
		}
	}
	if w.peek(0).is("TOP") && w.peek(1).kind != symbol {
		if !outer {
			return unsupported("TOP in subqueries")
		}
		w.at++
		n, err := w.count("TOP")
		if err != nil {
			return err
		}
		w.top = n
	}
	if w.peek(0).is("*") {
		w.at++
		if w.peek(0).kind != word || !w.peek(0).is("FROM") {
			return fmt.Errorf("'SELECT *' is only valid with a single input set")
		}
		w.emit("VALUE", "*")
	}
	return nil
}

// subqueryAllowed looks at what stands before the parenthesis.
func (w *rewriter) subqueryAllowed() bool {
	before := w.in[:w.at-1]
	if len(before) == 0 {
		return false
	}
	last := before[len(before)-1]
	return last.is("EXISTS") || last.is("ARRAY") || last.is("JOIN")
}

// count reads a number or a parameter.
func (w *rewriter) count(what string) (int, error) {
	t := w.peek(0)
	value := t.value
	if t.kind == parameter {
		value = w.params[t.text]
	}
	n, ok := value.(float64)
	if !ok || n < 0 || n != float64(int(n)) {
		return 0, fmt.Errorf("%s is not followed by a whole number", what)
	}
	w.at++
	return int(n), nil
}

func (w *rewriter) limits(keyword string) error {
	if w.depth > 0 {
		return unsupported(keyword + " in subqueries")
	}
	w.at++
	n, err := w.count(keyword)
	if err != nil {
		return err
	}
	if keyword == "OFFSET" {
		w.offset = n
		if !w.peek(0).is("LIMIT") {
			return fmt.Errorf("OFFSET is not followed by LIMIT")
		}
	} else {
		w.limit = n
	}
	return nil
}

// from reads the source: name [AS] alias, or name IN path.
func (w *rewriter) from() error {
	t := w.peek(0)
	if t.kind != word {
		return unsupported("a subquery in FROM")
	}
	w.at++
	w.shadowed = w.shadowed || w.depth > 0 && t.text == w.root
	if w.peek(0).is("IN") {
		if w.depth > 0 {
			w.emit("FROM", prefix+t.text)
			return nil
		}
		source := w.peek(1)
		if source.kind != word {
			return fmt.Errorf("IN is not followed by a path")
		}
		w.root = source.text
		w.emit("FROM", prefix+source.text, "JOIN", prefix+t.text)
		w.star(t.text)
		return nil
	}
	if n := w.peek(0); n.is(".") || n.is("[") {
		return unsupported("a path in FROM")
	}
	alias := t.text
	if w.peek(0).is("AS") {
		w.at++
	}
	if n := w.peek(0); n.kind == word && !isClause(n.text) {
		alias = n.text
		w.at++
	}
	if w.depth == 0 {
		w.root = alias
	}
	w.star(alias)
	w.emit("FROM", prefix+alias)
	return nil
}

// star gives the last * the alias that it stands for.
func (w *rewriter) star(alias string) {
	for i := len(w.out) - 1; i >= 0; i-- {
		if w.out[i] == "*" {
			w.out[i] = prefix + alias
			return
		}
	}
}

func isClause(s string) bool {
	switch strings.ToUpper(s) {
	case "WHERE", "JOIN", "ORDER", "GROUP", "OFFSET", "LIMIT", "IN":
		return true
	}
	return false
}

// name reads a function call, or a path.
func (w *rewriter) name(t token) error {
	if w.peek(1).is(":") {
		return w.objectKey(t.text)
	}
	if strings.EqualFold(t.text, "udf") && w.peek(1).is(".") {
		return unsupported("user-defined functions")
	}
	if w.peek(1).is("(") {
		return w.call(t)
	}
	w.at++
	w.emit(prefix + t.text)
	return w.path()
}

// path reads what follows a name: .name, ["name"], [0].
func (w *rewriter) path() error {
	for {
		switch {
		case w.peek(0).is("."):
			if w.peek(1).kind != word {
				return fmt.Errorf("a point is not followed by a name")
			}
			w.access(w.peek(1).text)
			w.at += 2
		case w.peek(0).is("["):
			key := w.peek(1)
			switch {
			case !w.peek(2).is("]"):
				return unsupported("an expression in brackets behind a path")
			case key.kind == text:
				w.access(key.value.(string))
			case key.kind == number && key.value.(float64) == float64(int(key.value.(float64))):
				w.emit("[" + strconv.Itoa(int(key.value.(float64))) + "]")
			case key.kind == parameter:
				name, ok := w.params[key.text].(string)
				if !ok {
					return fmt.Errorf("%s in brackets is no text", key.text)
				}
				w.access(name)
			default:
				return fmt.Errorf("the brackets behind a path hold neither a name nor an index")
			}
			w.at += 3
		default:
			return nil
		}
	}
}

// access writes a step of a path.
func (w *rewriter) access(name string) {
	if simple(name) {
		w.emit("." + name)
		return
	}
	w.emit("[" + w.literal(name) + "]")
}

// simple tells that the parser takes a name as an identifier.
func simple(name string) bool {
	for i, c := range []byte(name) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
