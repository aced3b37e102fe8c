package sql

import (
	"fmt"
	"strings"
)

// not marks what follows, or what comes before IN, BETWEEN or LIKE, as negated.
func (w *rewriter) not() error {
	w.at++
	if n := w.peek(0); n.is("IN") || n.is("BETWEEN") || n.is("LIKE") {
		operand := append([]string(nil), w.operand()...)
		w.out = w.out[:len(w.out)-len(operand)]
		w.emit(notName, "AND")
		w.emit(operand...)
		return nil
	}
	w.emit(notName, "AND")
	return nil
}

// operand is the one that was written last: a path, a parameter or a function call.
func (w *rewriter) operand() []string {
	i, depth := len(w.out), 0
	for i > 0 {
		i--
		switch s := w.out[i]; {
		case s == ")":
			depth++
		case s == "(":
			depth--
			if depth == 0 && i > 0 && isFunction(w.out[i-1]) {
				return w.out[i-1:]
			}
		case depth > 0, strings.HasPrefix(s, "."), strings.HasPrefix(s, "["):
		default:
			return w.out[i:]
		}
		if depth < 0 {
			break
		}
	}
	return w.out[i:]
}

func (w *rewriter) endBetween() error {
	for n := len(w.between); n > 0 && w.between[n-1].depth == w.depth; n = len(w.between) {
		if !w.between[n-1].second {
			return fmt.Errorf("BETWEEN is not followed by two values joined by AND")
		}
		w.emit(")")
		w.between = w.between[:n-1]
	}
	return nil
}

// like is a comparison, or the search for what stands between percent signs at the ends.
func (w *rewriter) like() error {
	w.at++
	t := w.peek(0)
	value := t.value
	if t.kind == parameter {
		value = w.params[t.text]
	}
	pattern, ok := value.(string)
	if !ok || w.peek(1).is("ESCAPE") {
		return unsupported("LIKE with other than a text")
	}
	w.at++
	middle := strings.TrimSuffix(strings.TrimPrefix(pattern, "%"), "%")
	if strings.ContainsAny(middle, "%_[]^") {
		return unsupported(fmt.Sprintf("the LIKE pattern %q", pattern))
	}
	operand := append([]string(nil), w.operand()...)
	w.out = w.out[:len(w.out)-len(operand)]
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
