package sql

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// computed is a condition on a property of the root that the executor does not know. It is a parameter, whose value is
// computed for each document.
type computed struct {
	parameter string
	root      string // what the path begins with, which must be the query's root
	path      []any  // names and indexes
	of        func(value any) any
}

// compute puts a computed parameter in the place of what was written since mark.
func (w *rewriter) compute(mark int, root string, path []any, of func(any) any) {
	w.out = w.out[:mark]
	c := computed{parameter: w.literal(false), root: root, path: path, of: of}
	w.computed = append(w.computed, c)
	w.emit(c.parameter)
}

// checkComputed refuses what is not computed from the document as a whole.
func (w *rewriter) checkComputed() error {
	for _, c := range w.computed {
		if c.root != prefix+w.root || w.shadowed {
			return unsupported("full-text search and LIKE patterns with wildcards inside, of other than the root's properties,")
		}
	}
	return nil
}

// value is the parameter's for a document; nil is undefined.
func (c computed) value(doc any) any {
	for _, step := range c.path {
		switch at := doc.(type) {
		case map[string]any:
			name, _ := step.(string)
			doc = at[name]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(at) {
				return c.of(nil)
			}
			doc = at[i]
		default:
			return c.of(nil)
		}
	}
	return c.of(doc)
}

// pathOf is a path that was written: its root and its steps.
func (w *rewriter) pathOf(written []string) (root string, path []any, ok bool) {
	if len(written) < 2 || !strings.HasPrefix(written[0], prefix) {
		return "", nil, false
	}
	for _, step := range written[1:] {
		if name, isName := strings.CutPrefix(step, "."); isName {
			path = append(path, name)
			continue
		}
		inner := strings.Trim(step, "[]")
		var index int
		if name, isText := w.params[inner].(string); isText {
			path = append(path, name)
		} else if _, err := fmt.Sscanf(inner, "%d", &index); err == nil {
			path = append(path, index)
		} else {
			return "", nil, false
		}
	}
	return written[0], path, true
}

// fullTextCall reads FullTextContains, All or Any.
func (w *rewriter) fullTextCall(name string) error {
	mark := len(w.out)
	if w.peek(0).kind != word {
		return fmt.Errorf("%s wants a path", name)
	}
	w.emit(prefix + w.peek(0).text)
	w.at++
	if err := w.path(); err != nil {
		return err
	}
	root, path, ok := w.pathOf(w.out[mark:])
	var terms []string
	for w.peek(0).is(",") {
		t := w.peek(1)
		value := t.value
		if t.kind == parameter {
			value = w.params[t.text]
		}
		term, isText := value.(string)
		if !isText {
			return unsupported(name + " of other than texts")
		}
		terms = append(terms, term)
		w.at += 2
	}
	if !w.peek(0).is(")") || !ok || len(terms) == 0 {
		return unsupported(name + " of other than a path and texts")
	}
	w.at++
	w.compute(mark, root, path, func(value any) any {
		text, _ := value.(string)
		found := func(term string) bool { return strings.Contains(words(text), words(term)) }
		if name == "FULLTEXTCONTAINSANY" {
			return slices.ContainsFunc(terms, found)
		}
		return !slices.ContainsFunc(terms, func(term string) bool { return !found(term) })
	})
	return nil
}

// words are a text's words between blanks, in lower case.
func words(s string) string {
	list := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return " " + strings.Join(list, " ") + " "
}

// like reads LIKE 'pattern' [ESCAPE 'c']. A pattern with percent signs at its ends only is a search that the executor knows.
func (w *rewriter) like() error {
	w.at++
	pattern, err := w.text("LIKE")
	if err != nil {
		return err
	}
	escape := ""
	if w.peek(0).is("ESCAPE") {
		w.at++
		if escape, err = w.text("ESCAPE"); err != nil {
			return err
		}
		if len([]rune(escape)) != 1 {
			return fmt.Errorf("ESCAPE is not followed by one character")
		}
	}
	operand := append([]string(nil), w.operand()...)
	mark := len(w.out) - len(operand)
	middle := strings.TrimSuffix(strings.TrimPrefix(pattern, "%"), "%")
	if escape != "" || strings.ContainsAny(middle, "%_[]^") {
		root, path, ok := w.pathOf(operand)
		if !ok {
			return unsupported(fmt.Sprintf("the LIKE pattern %q of other than a path", pattern))
		}
		expression, err := regexp.Compile(likeExpression(pattern, escape))
		if err != nil {
			return fmt.Errorf("the LIKE pattern %q is invalid", pattern)
		}
		w.compute(mark, root, path, func(value any) any {
			if text, ok := value.(string); ok {
				return expression.MatchString(text)
			}
			return nil
		})
		return nil
	}
	w.out = w.out[:mark]
	head, tail := strings.HasPrefix(pattern, "%"), strings.HasSuffix(pattern, "%")
	name := "STRINGEQUALS"
	switch {
	case head && tail:
		name = "CONTAINS"
	case head:
		name = "ENDSWITH"
	case tail:
		name = "STARTSWITH"
	}
	w.emit(name, "(")
	w.emit(operand...)
	w.emit(",", w.literal(middle), ")")
	return nil
}

// text reads a text or a parameter that is one.
func (w *rewriter) text(keyword string) (string, error) {
	t := w.peek(0)
	value := t.value
	if t.kind == parameter {
		value = w.params[t.text]
	}
	s, ok := value.(string)
	if !ok {
		return "", unsupported(keyword + " with other than a text")
	}
	w.at++
	return s, nil
}

// likeExpression writes a pattern as a regular expression: % is any text, _ one character, [a-c] and [^a-c] one of a set.
func likeExpression(pattern, escape string) string {
	var b strings.Builder
	b.WriteString("(?s)^")
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		c := string(runes[i])
		switch end := slices.Index(runes[i:], ']'); {
		case c == escape && i+1 < len(runes):
			i++
			b.WriteString(regexp.QuoteMeta(string(runes[i])))
		case c == "%":
			b.WriteString(".*")
		case c == "_":
			b.WriteString(".")
		case c == "[" && end > 1:
			set := string(runes[i+1 : i+end])
			i += end
			negated, isNegated := strings.CutPrefix(set, "^")
			b.WriteByte('[')
			if isNegated {
				b.WriteByte('^')
			}
			b.WriteString(strings.NewReplacer(`\`, `\\`, "[", `\[`, "^", `\^`).Replace(negated))
			b.WriteByte(']')
		default:
			b.WriteString(regexp.QuoteMeta(c))
		}
	}
	b.WriteString("$")
	return b.String()
}
