package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// The feed's documents are read in place: this file walks JSON text without decoding it, because a document must
// stay byte for byte what it was (INV-6) and no record may cost an allocation. It trusts the service to send JSON
// and reports what it cannot walk.

var (
	errTorn      = errors.New("JSON text ends early")
	errSurrogate = errors.New("string holds half a surrogate pair")
)

// maxDepth bounds nesting; the service refuses documents deeper than 128 levels.
const maxDepth = 256

func skipBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index behind the string that begins at b[i] == '"'. Most strings hold no escape, so it
// leaps from quotation mark to quotation mark.
func skipString(b []byte, i int) (int, error) {
	for i++; i < len(b); {
		quote := bytes.IndexByte(b[i:], '"')
		if quote < 0 {
			return 0, errTorn
		}
		escape := bytes.IndexByte(b[i:i+quote], '\\')
		if escape < 0 {
			return i + quote + 1, nil
		}
		i += escape + 2
	}
	return 0, errTorn
}

// skipValue returns the index behind the value that begins at b[i].
func skipValue(b []byte, i int) (int, error) {
	if i >= len(b) {
		return 0, errTorn
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	if i == start {
		return 0, fmt.Errorf("JSON value wanted at byte %d", start)
	}
	return i, nil
}

func skipNested(b []byte, i int) (int, error) {
	var closers [maxDepth]byte
	depth := 0
	for i < len(b) {
		switch c := b[i]; c {
		case '"':
			end, err := skipString(b, i)
			if err != nil {
				return 0, err
			}
			i = end
			continue
		case '{', '[':
			if depth == maxDepth {
				return 0, fmt.Errorf("JSON nested deeper than %d", maxDepth)
			}
			closers[depth] = c + 2 // '{'+2 == '}' and '['+2 == ']'
			depth++
		case '}', ']':
			if depth--; closers[depth] != c {
				return 0, fmt.Errorf("JSON bracket %q at byte %d closes nothing", c, i)
			}
			if depth == 0 {
				return i + 1, nil
			}
		}
		i++
	}
	return 0, errTorn
}

// member is one name and value of an object, as offsets into the text that holds it.
type member struct {
	name       []byte // without quotes, still escaped
	start, end int    // the value
	from       int    // the name's opening quote
	comma      int    // the comma before it; -1 for the first
}

// walkObject calls visit for each member of the object that b is, in order, and returns the offset of its closing
// brace. Blanks may stand around it; anything else after it is an error.
func walkObject(b []byte, visit func(m member) error) (int, error) {
	i := skipBlank(b, 0)
	if i >= len(b) || b[i] != '{' {
		return 0, errors.New("JSON object wanted")
	}
	i = skipBlank(b, i+1)
	if i < len(b) && b[i] == '}' {
		return closeObject(b, i)
	}
	comma := -1
	for i < len(b) {
		if b[i] != '"' {
			return 0, fmt.Errorf("JSON name wanted at byte %d", i)
		}
		end, err := skipString(b, i)
		if err != nil {
			return 0, err
		}
		m := member{name: b[i+1 : end-1], from: i, comma: comma}
		i = skipBlank(b, end)
		if i >= len(b) || b[i] != ':' {
			return 0, fmt.Errorf("JSON colon wanted at byte %d", i)
		}
		m.start = skipBlank(b, i+1)
		if m.end, err = skipValue(b, m.start); err != nil {
			return 0, err
		}
		if err := visit(m); err != nil {
			return 0, err
		}
		i = skipBlank(b, m.end)
		switch {
		case i >= len(b):
			return 0, errTorn
		case b[i] == '}':
			return closeObject(b, i)
		case b[i] != ',':
			return 0, fmt.Errorf("JSON comma wanted at byte %d", i)
		}
		comma = i
		i = skipBlank(b, i+1)
	}
	return 0, errTorn
}

func closeObject(b []byte, i int) (int, error) {
	if end := skipBlank(b, i+1); end != len(b) {
		return 0, fmt.Errorf("JSON object is followed by more at byte %d", end)
	}
	return i, nil
}

// nameIs reports whether an escaped member name spells want. Escapes are rare in names: only those are decoded.
func nameIs(name []byte, want string) bool {
	for _, c := range name {
		if c == '\\' {
			plain, err := appendUnescaped(nil, name)
			return err == nil && string(plain) == want
		}
	}
	return string(name) == want
}

// appendUnescaped appends the characters that the inside of a JSON string stands for, in UTF-8.
func appendUnescaped(dst, s []byte) ([]byte, error) {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			i++
			continue
		}
		if i+1 >= len(s) {
			return dst, errTorn
		}
		switch c := s[i+1]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, n, err := unescapeRune(s[i:])
			if err != nil {
				return dst, err
			}
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		default:
			return dst, fmt.Errorf("JSON escape \\%c is not known", c)
		}
		i += 2
	}
	return dst, nil
}

// unescapeRune reads \uXXXX, or a surrogate pair of two, from the start of s.
func unescapeRune(s []byte) (rune, int, error) {
	r, err := hex4(s)
	if err != nil {
		return 0, 0, err
	}
	if !utf16.IsSurrogate(r) {
		return r, 6, nil
	}
	low, err := hex4(s[6:])
	if err != nil {
		return 0, 0, errSurrogate
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0, errSurrogate
	}
	return r, 12, nil
}

func hex4(s []byte) (rune, error) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, errTorn
	}
	var r rune
	for _, c := range s[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, fmt.Errorf("JSON escape holds %q", c)
		}
		r = r<<4 | rune(c)
	}
	return r, nil
}

// appendQuoted appends s as a JSON string, minimally escaped: only what JSON demands.
func appendQuoted(dst, s []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(dst, '"')
}
