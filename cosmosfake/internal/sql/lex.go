package sql

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	endToken tokenKind = iota
	wordToken
	textToken
	numberToken
	parameterToken
	symbolToken
)

// token is a piece of a query. Of a text or number, value is what it means.
type token struct {
	kind     tokenKind
	text     string
	value    value
	from, to int // in the query
}

// is compares a keyword or symbol.
func (t token) is(s string) bool {
	return (t.kind == wordToken || t.kind == symbolToken) && strings.EqualFold(t.text, s)
}

// isReserved tells words that name nothing (sql.g4 of the .NET client).
func isReserved(word string) bool {
	switch strings.ToUpper(word) {
	case "AND", "ARRAY", "AS", "ASC", "BETWEEN", "BY", "DESC", "DISTINCT", "ESCAPE", "EXISTS", "FALSE", "FROM", "GROUP", "IN",
		"JOIN", "LEFT", "LIKE", "LIMIT", "NOT", "NULL", "OFFSET", "OR", "ORDER", "RIGHT", "SELECT", "TOP", "TRUE", "UDF",
		"UNDEFINED", "VALUE", "WHERE":
		return true
	}
	return false
}

// syntax is the service's error for a token that may not stand where it does.
func syntax(t token) *Error {
	if t.kind == endToken {
		return failf("SC1001", t.from, t.to, "Syntax error, the query ends too early.")
	}
	return failf("SC1001", t.from, t.to, "Syntax error, incorrect syntax near '%s'.", t.text)
}

// tokens cuts a query. The last token is its end.
func tokens(query string) ([]token, *Error) {
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
		list = append(list, t)
		i = t.to
	}
	return append(list, token{from: len(query), to: len(query)}), nil
}

func isName(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// run is the index behind the characters of a name.
func run(query string, i int) int {
	for i < len(query) {
		r, size := utf8.DecodeRuneInString(query[i:])
		if !isName(r) {
			break
		}
		i += size
	}
	return i
}

func next(query string, i int) (token, *Error) {
	r, size := utf8.DecodeRuneInString(query[i:])
	switch {
	case r == '_' || unicode.IsLetter(r):
		end := run(query, i)
		return token{kind: wordToken, text: query[i:end], from: i, to: end}, nil
	case r == '@':
		end := run(query, i+1)
		return token{kind: parameterToken, text: query[i:end], from: i, to: end}, nil
	case r >= '0' && r <= '9', r == '.' && i+1 < len(query) && query[i+1] >= '0' && query[i+1] <= '9':
		return numeral(query, i)
	case r == '"' || r == '\'':
		return quoted(query, i)
	}
	for _, s := range []string{">>>", "<=", ">=", "!=", "<>", "??", "||", "<<", ">>"} {
		if strings.HasPrefix(query[i:], s) {
			return token{kind: symbolToken, text: s, from: i, to: i + len(s)}, nil
		}
	}
	t := token{kind: symbolToken, text: query[i : i+size], from: i, to: i + size}
	if size != 1 || !strings.Contains("()[]{},.:?=<>+-*/%&|^~", t.text) {
		return t, syntax(t)
	}
	return t, nil
}

func numeral(query string, i int) (token, *Error) {
	end := i
	for end < len(query) && (isName(rune(query[end])) && query[end] < utf8.RuneSelf || query[end] == '.' ||
		(query[end] == '-' || query[end] == '+') && (query[end-1] == 'e' || query[end-1] == 'E') && !isHex(query[i:end])) {
		end++
	}
	t := token{kind: numberToken, text: query[i:end], from: i, to: end}
	var n float64
	var err error
	switch {
	case strings.IndexByte(t.text, '_') >= 0:
		return t, syntax(t)
	case isHex(t.text):
		var whole uint64
		whole, err = strconv.ParseUint(t.text[2:], 16, 64)
		n = float64(whole)
	default:
		n, err = strconv.ParseFloat(t.text, 64)
	}
	if err != nil {
		return t, syntax(t)
	}
	t.value = number(n)
	return t, nil
}

func isHex(s string) bool { return strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") }

// quoted reads a text in single or double quotation marks, with the escapes of JSON and \'.
func quoted(query string, i int) (token, *Error) {
	mark := query[i]
	plain := []byte{'"'}
	for j := i + 1; j < len(query); j++ {
		switch c := query[j]; {
		case c == mark:
			t := token{kind: textToken, text: query[i : j+1], from: i, to: j + 1}
			var s string
			if err := json.Unmarshal(append(plain, '"'), &s); err != nil {
				return t, syntax(t)
			}
			t.value = text(s)
			return t, nil
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
			plain = append(plain, `\u00`...)
			plain = append(plain, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			plain = append(plain, c)
		}
	}
	return token{}, failf("SC1001", i, len(query), "Syntax error, the text that begins here does not end.")
}
