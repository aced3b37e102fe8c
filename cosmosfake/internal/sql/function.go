package sql

import (
	"fmt"
	"strings"
	"unicode"
)

// isFunction tells the names that cosmium's parser knows. Others, and those of its functions that compute unlike the
// service, are refused.
func isFunction(name string) bool {
	switch strings.ToUpper(name) {
	case "STRINGEQUALS", "CONCAT", "CONTAINS", "ENDSWITH", "STARTSWITH", "INDEX_OF", "TOSTRING", "UPPER", "LOWER", "LEFT",
		"LENGTH", "LTRIM", "REPLACE", "REPLICATE", "REVERSE", "RIGHT", "RTRIM", "SUBSTRING", "TRIM",
		"IS_DEFINED", "IS_ARRAY", "IS_BOOL", "IS_FINITE_NUMBER", "IS_NULL", "IS_NUMBER", "IS_OBJECT",
		"IS_PRIMITIVE", "IS_STRING",
		"ARRAY_CONCAT", "ARRAY_CONTAINS", "ARRAY_CONTAINS_ANY", "ARRAY_CONTAINS_ALL", "ARRAY_LENGTH", "ARRAY_SLICE",
		"SETINTERSECT", "SETUNION",
		"ABS", "ACOS", "ASIN", "ATAN", "CEILING", "COS", "COT", "DEGREES", "EXP", "FLOOR", "LOG10", "RADIANS", "ROUND", "SIGN",
		"SIN", "SQRT", "SQUARE", "TAN", "TRUNC", "ATN2", "POWER", "LOG", "PI", "RAND",
		"AVG", "COUNT", "MAX", "MIN", "SUM":
		return true
	}
	return false
}

// takesIntegers names the functions whose constant numbers the executor wants as integers.
func takesIntegers(name string) bool {
	switch strings.ToUpper(name) {
	case "LEFT", "RIGHT", "REPLICATE", "SUBSTRING", "ARRAY_SLICE":
		return true
	}
	return false
}

// call reads a function's name and its opening parenthesis; of FullTextContains, all of it.
func (w *rewriter) call(t token) error {
	name := strings.ToUpper(t.text)
	switch name {
	case "FULLTEXTCONTAINS", "FULLTEXTCONTAINSALL", "FULLTEXTCONTAINSANY":
		w.at += 2
		return w.fullTextCall(name)
	}
	if !isFunction(name) {
		return unsupported("the function " + t.text)
	}
	w.at += 2
	w.depth++
	w.emit(t.text, "(")
	if name == "PI" || name == "RAND" {
		return nil
	}
	if takesIntegers(name) {
		return w.integers()
	}
	return nil
}

// integers writes the numbers among a function's arguments as the parser's own integers, which are not compared.
func (w *rewriter) integers() error {
	for depth := w.depth; w.depth >= depth; {
		t := w.peek(0)
		value := t.value
		if t.kind == parameter {
			value = w.params[t.text]
		}
		if n, ok := value.(float64); ok && w.depth == depth {
			if n < 0 || n != float64(int(n)) {
				return unsupported(fmt.Sprintf("the number %v as argument of this function", n))
			}
			w.at++
			w.emit(fmt.Sprint(int(n)))
			continue
		}
		if w.at >= len(w.in) {
			return fmt.Errorf("a parenthesis is not closed")
		}
		if err := w.step(); err != nil {
			return err
		}
	}
	return nil
}

// fullText is a FullTextContains, All or Any over a property of the root. It is computed for each document.
type fullText struct {
	parameter string
	path      []string
	terms     []string
	any       bool
}

func (w *rewriter) fullTextCall(name string) error {
	if w.peek(0).kind != word {
		return fmt.Errorf("%s wants a path", name)
	}
	mark := len(w.out)
	f := fullText{any: name == "FULLTEXTCONTAINSANY"}
	w.at++
	for w.peek(0).is(".") && w.peek(1).kind == word {
		f.path = append(f.path, w.peek(1).text)
		w.at += 2
	}
	for w.peek(0).is(",") {
		t := w.peek(1)
		value := t.value
		if t.kind == parameter {
			value = w.params[t.text]
		}
		term, ok := value.(string)
		if !ok {
			return unsupported(name + " of other than texts")
		}
		f.terms = append(f.terms, term)
		w.at += 2
	}
	if !w.peek(0).is(")") || len(f.path) == 0 || len(f.terms) == 0 {
		return unsupported(name + " of other than a path and texts")
	}
	w.at++
	w.out = w.out[:mark]
	f.parameter = w.literal(false)
	w.fullText = append(w.fullText, f)
	w.emit(f.parameter)
	return nil
}

// holds computes it for a document: whole words, whatever their case.
func (f fullText) holds(doc any) bool {
	for _, name := range f.path {
		object, ok := doc.(map[string]any)
		if !ok {
			return false
		}
		doc = object[name]
	}
	value, ok := doc.(string)
	if !ok {
		return false
	}
	found := 0
	for _, term := range f.terms {
		if strings.Contains(words(value), words(term)) {
			found++
		}
	}
	return found == len(f.terms) || f.any && found > 0
}

// words are a text's words between blanks, in lower case.
func words(s string) string {
	list := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return " " + strings.Join(list, " ") + " "
}
