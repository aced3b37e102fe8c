package sql

import "slices"

// like is LIKE: % is any text, _ one character, [a-c] and [^a-c] one of a set (documentation, "Keywords").
type like struct {
	of, pattern expr
	escape      string // one character; "" is none
	not         bool
	fixed       []wildcard // of a pattern that is a constant
}

func (x *like) children() []expr { return []expr{x.of, x.pattern} }

func (x *like) eval(e *env) value {
	v := x.of.eval(e)
	pattern := x.fixed
	if pattern == nil {
		p := x.pattern.eval(e)
		if p.kind != isText {
			return value{}
		}
		pattern = wildcards(p.text, x.escape)
	}
	if v.kind != isText {
		return value{}
	}
	return boolean(matches(e, pattern, []rune(v.text)) != x.not)
}

// wildcard is a piece of a pattern: any text, or one character of a set.
type wildcard struct {
	any     bool
	single  rune      // of a set of one
	ranges  [][2]rune // or
	negated bool
}

// wildcards cuts a pattern; a bracket that does not close stands for itself.
func wildcards(pattern, escape string) []wildcard {
	list := make([]wildcard, 0, len(pattern))
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		c := runes[i]
		switch end := slices.Index(runes[i:], ']'); {
		case escape != "" && string(c) == escape && i+1 < len(runes):
			i++
			list = append(list, wildcard{single: runes[i]})
		case c == '%':
			list = append(list, wildcard{any: true})
		case c == '_':
			list = append(list, wildcard{negated: true})
		case c == '[' && end > 1:
			list = append(list, set(runes[i+1:i+end]))
			i += end
		default:
			list = append(list, wildcard{single: c})
		}
	}
	return list
}

func set(inner []rune) wildcard {
	w := wildcard{}
	if len(inner) > 1 && inner[0] == '^' {
		w.negated = true
		inner = inner[1:]
	}
	for i := 0; i < len(inner); i++ {
		last := i
		if i+2 < len(inner) && inner[i+1] == '-' {
			last = i + 2
		}
		w.ranges = append(w.ranges, [2]rune{inner[i], inner[last]})
		i = last
	}
	return w
}

func (w wildcard) holds(r rune) bool {
	if w.ranges == nil && !w.negated {
		return r == w.single
	}
	in := slices.ContainsFunc(w.ranges, func(b [2]rune) bool { return b[0] <= r && r <= b[1] })
	return in != w.negated
}

// matches compares a text from left to right, and goes back to the last % only.
func matches(e *env, pattern []wildcard, s []rune) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) && e.step(1) {
		switch {
		case p < len(pattern) && pattern[p].any:
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p].holds(s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p].any {
		p++
	}
	return p == len(pattern)
}
