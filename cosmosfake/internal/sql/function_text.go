package sql

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxReplicate is the longest text that REPLICATE makes (documentation).
const maxReplicate = 10_000

// A text's characters are counted as UTF-16 does, like those of JavaScript, whose types the language takes over.

func length(s string) int {
	n := len(s)
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return len(utf16.Encode([]rune(s)))
		}
	}
	return n
}

// part is length characters of a text from a place on, as much as there is of them.
func part(s string, from, count int) string {
	n := length(s)
	from = min(max(from, 0), n)
	count = min(max(count, 0), n-from)
	if n == len(s) {
		return s[from : from+count]
	}
	return string(utf16.Decode(utf16.Encode([]rune(s))[from : from+count]))
}

// found makes a place among bytes one among characters.
func found(s string, at int) value {
	if at > 0 {
		at = length(s[:at])
	}
	return number(float64(at))
}

// search is a function of two texts, and whether to ignore case.
func search(holds func(s, what string) bool) (function, bool) {
	return function{2, 3, false, func(_ *env, args []value) value {
		if !areAll(isText, args[:2]) || len(args) == 3 && args[2].kind != isBool {
			return value{}
		}
		s, what := args[0].text, args[1].text
		if len(args) == 3 && args[2].isTrue() {
			s, what = strings.ToLower(s), strings.ToLower(what)
		}
		return boolean(holds(s, what))
	}}, true
}

// searchList is what CONTAINS of each of the texts, joined by AND or OR, would be.
func searchList(join func(a, b value) value, unit bool, fold func(string) string) (function, bool) {
	return function{2, -1, true, func(_ *env, args []value) value {
		result := boolean(unit)
		for _, what := range args[1:] {
			v := value{}
			if args[0].kind == isText && what.kind == isText {
				v = boolean(strings.Contains(fold(args[0].text), fold(what.text)))
			}
			result = join(result, v)
		}
		return result
	}}, true
}

func same(s string) string { return s }

// trim is TRIM, LTRIM or RTRIM: of blanks, or of the characters of a second text.
func trim(blanks func(string, func(rune) bool) string, set func(s, cut string) string) (function, bool) {
	return function{1, 2, false, func(_ *env, args []value) value {
		switch {
		case !areAll(isText, args):
			return value{}
		case len(args) == 2:
			return text(set(args[0].text, args[1].text))
		}
		return text(blanks(args[0].text, unicode.IsSpace))
	}}, true
}

func textFunction(name string) (function, bool) {
	switch name {
	case "CONCAT":
		return function{2, -1, false, func(e *env, args []value) value {
			parts := make([]string, len(args))
			for i, a := range args {
				parts[i] = a.text
			}
			if !areAll(isText, args) {
				return value{}
			}
			return e.concat(parts...)
		}}, true
	case "CONTAINS":
		return search(strings.Contains)
	case "STARTSWITH":
		return search(strings.HasPrefix)
	case "ENDSWITH":
		return search(strings.HasSuffix)
	case "STRINGEQUALS":
		return search(func(a, b string) bool { return a == b })
	case "CONTAINS_ALL_CI":
		return searchList(and, true, strings.ToLower)
	case "CONTAINS_ALL_CS":
		return searchList(and, true, same)
	case "CONTAINS_ANY_CI":
		return searchList(or, false, strings.ToLower)
	case "CONTAINS_ANY_CS":
		return searchList(or, false, same)
	case "UPPER":
		return ofText(func(_ *env, s string) value { return text(strings.ToUpper(s)) })
	case "LOWER":
		return ofText(func(_ *env, s string) value { return text(strings.ToLower(s)) })
	case "LENGTH":
		return ofText(func(_ *env, s string) value { return number(float64(length(s))) })
	case "REVERSE":
		return ofText(func(_ *env, s string) value { return text(reverse(s)) })
	case "TRIM":
		return trim(strings.TrimFunc, strings.Trim)
	case "LTRIM":
		return trim(strings.TrimLeftFunc, strings.TrimLeft)
	case "RTRIM":
		return trim(strings.TrimRightFunc, strings.TrimRight)
	case "INDEX_OF":
		return function{2, 3, false, indexOf}, true
	case "LASTINDEXOF":
		return function{2, 3, false, lastIndexOf}, true
	case "LEFT":
		return cut(func(s string, n int) string { return part(s, 0, n) })
	case "RIGHT":
		return cut(func(s string, n int) string { return part(s, length(s)-max(n, 0), n) })
	case "SUBSTRING":
		return function{3, 3, false, substring}, true
	case "REPLACE":
		return function{3, 3, false, replace}, true
	case "REPLICATE":
		return function{2, 2, false, replicate}, true
	case "STRINGJOIN":
		return function{2, 2, false, join}, true
	case "STRINGSPLIT":
		return function{2, 2, false, split}, true
	case "REGEXMATCH":
		return function{2, 3, false, regexMatch}, true
	case "FULLTEXTCONTAINS":
		return function{2, 2, true, fullText(true)}, true
	case "FULLTEXTCONTAINSALL":
		return function{2, -1, true, fullText(true)}, true
	case "FULLTEXTCONTAINSANY":
		return function{2, -1, true, fullText(false)}, true
	}
	return function{}, false
}

// cut is LEFT or RIGHT.
func cut(of func(s string, n int) string) (function, bool) {
	return function{2, 2, false, func(_ *env, args []value) value {
		n, ok := args[1].integer()
		if args[0].kind != isText || !ok {
			return value{}
		}
		return text(of(args[0].text, n))
	}}, true
}

func reverse(s string) string {
	runes := []rune(s)
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}

func indexOf(_ *env, args []value) value {
	from, ok := integers(args[2:])
	if !areAll(isText, args[:2]) || !ok {
		return value{}
	}
	s, what := args[0].text, args[1].text
	skipped := 0
	if len(from) > 0 {
		rest := part(s, from[0], len(s))
		skipped = length(s) - length(rest)
		s = rest
	}
	at := found(s, strings.Index(s, what))
	if at.num >= 0 {
		at.num += float64(skipped)
	}
	return at
}

// lastIndexOf looks, from a place on, to the left: what it finds ends there at the latest.
func lastIndexOf(_ *env, args []value) value {
	last, ok := integers(args[2:])
	if !areAll(isText, args[:2]) || !ok {
		return value{}
	}
	s := args[0].text
	if len(last) > 0 {
		s = part(s, 0, last[0]+1)
	}
	return found(s, strings.LastIndex(s, args[1].text))
}

func substring(_ *env, args []value) value {
	n, ok := integers(args[1:])
	switch {
	case args[0].kind != isText || !ok:
		return value{}
	case n[0] < 0:
		return text("")
	}
	return text(part(args[0].text, n[0], n[1]))
}

func replace(e *env, args []value) value {
	if !areAll(isText, args) || args[1].text == "" {
		return value{}
	}
	s, what, by := args[0].text, args[1].text, args[2].text
	if len(s)+strings.Count(s, what)*(len(by)-len(what)) > maxText {
		return e.fail("a text of the query is longer than %d bytes", maxText)
	}
	return text(strings.ReplaceAll(s, what, by))
}

func replicate(_ *env, args []value) value {
	n, ok := args[1].integer()
	if args[0].kind != isText || !ok || n < 0 || n > 0 && length(args[0].text) > maxReplicate/n {
		return value{}
	}
	return text(strings.Repeat(args[0].text, n))
}

func join(e *env, args []value) value {
	if args[0].kind != isArray || args[1].kind != isText {
		return value{}
	}
	var parts []string
	for i, part := range args[0].list() {
		if part.kind != isText {
			return value{}
		}
		if i > 0 {
			parts = append(parts, args[1].text)
		}
		parts = append(parts, part.text)
	}
	return e.concat(parts...)
}

func split(e *env, args []value) value {
	if !areAll(isText, args) {
		return value{}
	}
	parts := []string{args[0].text}
	if args[1].text != "" {
		parts = strings.Split(args[0].text, args[1].text)
	}
	list := make([]value, len(parts))
	for i, p := range parts {
		list[i] = text(p)
	}
	e.step(len(list))
	return array(list)
}

// regexMatch uses Go's regular expressions, whose time is linear.
func regexMatch(e *env, args []value) value {
	if !areAll(isText, args) {
		return value{}
	}
	pattern, ok := expression(args[1:])
	if !ok {
		return e.fail("RegexMatch does not know the modifiers %q", args[2].text)
	}
	compiled, known := e.regexps[pattern]
	if !known {
		var err error
		if compiled, err = regexp.Compile(pattern); err != nil {
			return e.fail("RegexMatch: %v", err)
		}
		e.regexps[pattern] = compiled
		e.step(len(pattern))
	}
	e.step(len(args[0].text) / 16)
	return boolean(compiled.MatchString(args[0].text))
}

// expression is a regular expression of a pattern and modifiers.
func expression(args []value) (string, bool) {
	pattern := args[0].text
	if len(args) == 1 {
		return pattern, true
	}
	flags := args[1].text
	if strings.Trim(flags, "imsx") != "" {
		return "", false
	}
	if strings.Contains(flags, "x") {
		pattern = strings.Join(strings.Fields(pattern), "")
	}
	if flags = strings.ReplaceAll(flags, "x", ""); flags != "" {
		pattern = "(?" + flags + ")" + pattern
	}
	return pattern, true
}

// fullText looks for words, or rows of them, without regard to case.
func fullText(all bool) func(*env, []value) value {
	return func(_ *env, args []value) value {
		s := words(args[0].text)
		for _, term := range args[1:] {
			if held := strings.Contains(s, words(term.text)) && args[0].kind == isText && term.kind == isText; held != all {
				return boolean(held)
			}
		}
		return boolean(all)
	}
}

// words are a text's words between blanks, in lower case.
func words(s string) string {
	list := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return " " + strings.Join(list, " ") + " "
}
