package sql

import (
	"encoding/json"
	"strconv"
	"strings"
)

// The functions of this file read JSON that is known to be valid: documents were checked when they were written,
// parameters and the texts of functions are checked by decode.

// decode makes a value of JSON.
func decode(s string) (value, bool) {
	if !json.Valid([]byte(s)) {
		return value{}, false
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	v, _ := valueAt(s, skipBlank(s, 0))
	return v, true
}

func skipBlank(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\r' || s[i] == '\t') {
		i++
	}
	return i
}

// skipText is the index behind a text that opens at s[i].
func skipText(s string, i int) int {
	for i++; i < len(s); i++ {
		n := strings.IndexByte(s[i:], '"')
		if n < 0 {
			return len(s)
		}
		escapes := 0
		for j := i + n - 1; j >= i && s[j] == '\\'; j-- {
			escapes++
		}
		if i += n; escapes%2 == 0 {
			return i + 1
		}
	}
	return i
}

// skipValue is the index behind the value that begins at s[i].
func skipValue(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch s[i] {
		case '"':
			if i = skipText(s, i); depth == 0 {
				return i
			}
		case '{', '[':
			depth++
			i++
		case '}', ']':
			i++
			if depth--; depth <= 0 {
				return i
			}
		default:
			if depth > 0 {
				i++
				continue
			}
			for i < len(s) && s[i] != ',' && s[i] != '}' && s[i] != ']' && s[i] > ' ' {
				i++
			}
			return i
		}
	}
	return i
}

// valueAt reads the value that begins at s[i], and tells the index behind it.
func valueAt(s string, i int) (value, int) {
	if i >= len(s) {
		return value{}, i
	}
	end := skipValue(s, i)
	switch s[i] {
	case '{':
		return value{kind: isObject, text: s[i:end]}, end
	case '[':
		return value{kind: isArray, text: s[i:end]}, end
	case '"':
		return text(unquote(s[i:end])), end
	case 't':
		return boolean(true), end
	case 'f':
		return boolean(false), end
	case 'n':
		return null(), end
	}
	n, _ := strconv.ParseFloat(s[i:end], 64) // what is beyond a float64 is infinite
	return number(n), end
}

// unquote reads a text with its quotation marks.
func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1]
	}
	var out string
	if err := json.Unmarshal([]byte(s), &out); err != nil { // it is valid
		return s[1 : len(s)-1]
	}
	return out
}

func eachElement(s string, visit func(value) bool) {
	for i := skipBlank(s, 1); i < len(s) && s[i] != ']'; {
		v, end := valueAt(s, i)
		if !visit(v) {
			return
		}
		if i = skipBlank(s, end); i < len(s) && s[i] == ',' {
			i = skipBlank(s, i+1)
		}
	}
}

// members finds the names and values of an object, as offsets. A name includes its quotation marks.
func members(s string, visit func(name string, start int) (next int)) {
	for i := skipBlank(s, 1); i < len(s) && s[i] == '"'; {
		end := skipText(s, i)
		name := s[i:end]
		i = skipBlank(s, end)
		if i = visit(name, skipBlank(s, i+1)); i < 0 {
			return
		}
		if i = skipBlank(s, i); i < len(s) && s[i] == ',' {
			i = skipBlank(s, i+1)
		}
	}
}

func eachMember(s string, visit func(name string, member value) bool) {
	members(s, func(name string, start int) int {
		v, end := valueAt(s, start)
		if !visit(unquote(name), v) {
			return -1
		}
		return end
	})
}

// memberOf is the value of a member; only it is read.
func memberOf(s, want string) value {
	var found value
	members(s, func(name string, start int) int {
		if len(name) == len(want)+2 && name[1:len(name)-1] == want || strings.IndexByte(name, '\\') >= 0 && unquote(name) == want {
			found, _ = valueAt(s, start)
			return -1
		}
		return skipValue(s, start)
	})
	return found
}
