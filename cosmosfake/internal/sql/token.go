package sql

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind int

const (
	word kind = iota
	text
	number
	parameter
	symbol
)

// token is a piece of a query. Of a text or number, value is what it means.
type token struct {
	kind     kind
	text     string
	value    any
	from, to int // in the query
}

// is compares a keyword or symbol.
func (t token) is(s string) bool {
	return (t.kind == word || t.kind == symbol) && strings.EqualFold(t.text, s)
}

// tokens cuts a query.
func tokens(query string) ([]token, error) {
	var list []token
	for i := 0; i < len(query); {
		r, size := utf8.DecodeRuneInString(query[i:])
		switch {
		case unicode.IsSpace(r):
			i += size
			continue
		case strings.HasPrefix(query[i:], "--"):
			if end := strings.IndexByte(query[i:], '\n'); end >= 0 {
				i += end
			} else {
				i = len(query)
			}
			continue
		}
		t, err := next(query, i)
		if err != nil {
			return nil, err
		}
		t.from = i
		list = append(list, t)
		i = t.to
	}
	return list, nil
}

func next(query string, i int) (token, error) {
	r, size := utf8.DecodeRuneInString(query[i:])
	run := func(from int, also func(rune) bool) int {
		end := from
		for end < len(query) {
			r, size := utf8.DecodeRuneInString(query[end:])
			if !also(r) {
				break
			}
			end += size
		}
		return end
	}
	name := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	switch {
	case r == '_' || unicode.IsLetter(r):
		end := run(i, name)
		return token{kind: word, text: query[i:end], to: end}, nil
	case r == '@':
		end := run(i+1, name)
		return token{kind: parameter, text: query[i:end], to: end}, nil
	case unicode.IsDigit(r):
		return numeral(query, i)
	case r == '"' || r == '\'':
		return quoted(query, i)
	}
	for _, two := range []string{"<=", ">=", "!=", "<>", "??", "||", "<<", ">>"} {
		if strings.HasPrefix(query[i:], two) {
			return token{kind: symbol, text: two, to: i + 2}, nil
		}
	}
	return token{kind: symbol, text: query[i : i+size], to: i + size}, nil
}

func numeral(query string, i int) (token, error) {
	end := i
	for end < len(query) && (strings.IndexByte("0123456789.eE", query[end]) >= 0 ||
		(query[end] == '-' || query[end] == '+') && (query[end-1] == 'e' || query[end-1] == 'E')) {
		end++
	}
	value, err := strconv.ParseFloat(query[i:end], 64)
	if err != nil {
		return token{}, fmt.Errorf("the number %s is invalid", query[i:end])
	}
	return token{kind: number, text: query[i:end], value: value, to: end}, nil
}

// quoted reads a text in single or double quotation marks, with the escapes of JSON and \'.
func quoted(query string, i int) (token, error) {
	mark := query[i]
	plain := []byte{'"'}
	for j := i + 1; j < len(query); j++ {
		switch c := query[j]; {
		case c == mark:
			var value string
			if err := json.Unmarshal(append(plain, '"'), &value); err != nil {
				return token{}, fmt.Errorf("the text %s is invalid", query[i:j+1])
			}
			return token{kind: text, text: query[i : j+1], value: value, to: j + 1}, nil
		case c == '\\' && j+1 < len(query):
			j++
			if query[j] == '\'' {
				plain = append(plain, '\'')
			} else {
				plain = append(plain, '\\', query[j])
			}
		case c == '"':
			plain = append(plain, '\\', '"')
		case c < ' ':
			plain = fmt.Appendf(plain, `\u%04x`, c)
		default:
			plain = append(plain, c)
		}
	}
	return token{}, fmt.Errorf("the text that begins at character %d does not end", i+1)
}
