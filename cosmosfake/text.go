package cosmosfake

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep the service lets documents nest (service limits).
const maxDepth = 128

var errSyntax = errors.New("invalid JSON")

// member is one name and value of an object, as offsets into the text that holds it.
type member struct {
	comma      int // before the name; -1 for the first member
	from       int // the name's opening quote
	nameEnd    int // behind the name's closing quote
	start, end int // the value
}

// scanObject checks that b is one JSON object with nothing but blanks around it, and calls visit for each of its
// members. It accepts exactly what encoding/json accepts, up to maxDepth levels.
func scanObject(b []byte, visit func(m member) error) error {
	i := skipBlank(b, 0)
	if i >= len(b) || b[i] != '{' {
		return fmt.Errorf("%w: want an object", errSyntax)
	}
	end, err := scanMembers(b, i, 1, visit)
	if err != nil {
		return err
	}
	if skipBlank(b, end) != len(b) {
		return fmt.Errorf("%w: text after the object at byte %d", errSyntax, end)
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("%w: not UTF-8", errSyntax)
	}
	return nil
}

// scanArray is scanObject for an array; visit gets the bounds of each element.
func scanArray(b []byte, visit func(start, end int) error) error {
	i := skipBlank(b, 0)
	if i >= len(b) || b[i] != '[' {
		return fmt.Errorf("%w: want an array", errSyntax)
	}
	end, err := scanElements(b, i, 1, visit)
	if err != nil {
		return err
	}
	if skipBlank(b, end) != len(b) {
		return fmt.Errorf("%w: text after the array at byte %d", errSyntax, end)
	}
	return nil
}

func skipBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

func unexpected(b []byte, i int) error {
	if i >= len(b) {
		return fmt.Errorf("%w: it ends early", errSyntax)
	}
	return fmt.Errorf("%w: unexpected %q at byte %d", errSyntax, b[i], i)
}

// scanMembers scans the object that opens at b[i] and returns the index behind it.
func scanMembers(b []byte, i, depth int, visit func(m member) error) (int, error) {
	comma := -1
	if i = skipBlank(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		m := member{comma: comma, from: i}
		end, err := scanString(b, i)
		if err != nil {
			return 0, err
		}
		m.nameEnd = end
		if i = skipBlank(b, end); i >= len(b) || b[i] != ':' {
			return 0, unexpected(b, i)
		}
		m.start = skipBlank(b, i+1)
		if m.end, err = scanValue(b, m.start, depth); err != nil {
			return 0, err
		}
		if visit != nil {
			if err := visit(m); err != nil {
				return 0, err
			}
		}
		i = skipBlank(b, m.end)
		switch {
		case i < len(b) && b[i] == '}':
			return i + 1, nil
		case i >= len(b) || b[i] != ',':
			return 0, unexpected(b, i)
		}
		comma = i
		i = skipBlank(b, i+1)
	}
}

func scanElements(b []byte, i, depth int, visit func(start, end int) error) (int, error) {
	if i = skipBlank(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for {
		end, err := scanValue(b, i, depth)
		if err != nil {
			return 0, err
		}
		if visit != nil {
			if err := visit(i, end); err != nil {
				return 0, err
			}
		}
		i = skipBlank(b, end)
		switch {
		case i < len(b) && b[i] == ']':
			return i + 1, nil
		case i >= len(b) || b[i] != ',':
			return 0, unexpected(b, i)
		}
		i = skipBlank(b, i+1)
	}
}

// scanValue scans the value that begins at b[i], inside depth levels, and returns the index behind it.
func scanValue(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return 0, unexpected(b, i)
	}
	switch c := b[i]; {
	case c == '"':
		return scanString(b, i)
	case c == '{' || c == '[':
		if depth >= maxDepth {
			return 0, fmt.Errorf("%w: nested deeper than %d levels", errSyntax, maxDepth)
		}
		if c == '{' {
			return scanMembers(b, i, depth+1, nil)
		}
		return scanElements(b, i, depth+1, nil)
	case c == 't':
		return scanWord(b, i, "true")
	case c == 'f':
		return scanWord(b, i, "false")
	case c == 'n':
		return scanWord(b, i, "null")
	}
	return scanNumber(b, i)
}

func scanWord(b []byte, i int, word string) (int, error) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return 0, unexpected(b, i)
	}
	return i + len(word), nil
}

func scanString(b []byte, i int) (int, error) {
	if i >= len(b) || b[i] != '"' {
		return 0, unexpected(b, i)
	}
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c < ' ':
			return 0, unexpected(b, i)
		case c == '\\':
			i++
			if i >= len(b) {
				return 0, unexpected(b, i)
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(b) || !isHex(b[i]) {
						return 0, unexpected(b, i)
					}
				}
			default:
				return 0, unexpected(b, i)
			}
		}
	}
	return 0, unexpected(b, i)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func scanNumber(b []byte, i int) (int, error) {
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	case i < len(b) && b[i] >= '1' && b[i] <= '9':
		i = skipDigits(b, i)
	default:
		return 0, unexpected(b, i)
	}
	if i < len(b) && b[i] == '.' {
		end := skipDigits(b, i+1)
		if end == i+1 {
			return 0, unexpected(b, end)
		}
		i = end
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		end := skipDigits(b, i)
		if end == i {
			return 0, unexpected(b, end)
		}
		i = end
	}
	return i, nil
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}
