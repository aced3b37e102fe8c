package sql

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// appendJSON writes a value; undefined is to be left out by the caller. Arrays and objects of a document are written as
// they stand there.
func appendJSON(dst []byte, v value) []byte {
	switch v.kind {
	case isBool:
		return strconv.AppendBool(dst, v.isTrue())
	case isNumber:
		return appendNumber(dst, v.num)
	case isText:
		return appendText(dst, v.text)
	case isArray:
		if v.made == nil {
			return append(dst, v.text...)
		}
		dst = append(dst, '[')
		for i, element := range v.made.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, element)
		}
		return append(dst, ']')
	case isObject:
		if v.made == nil {
			return append(dst, v.text...)
		}
		return appendMembers(dst, v.made.members, appendJSON)
	}
	return append(dst, "null"...)
}

func appendMembers(dst []byte, members []member, write func([]byte, value) []byte) []byte {
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, m.name), ':')
		dst = write(dst, m.value)
	}
	return append(dst, '}')
}

// appendCanonical writes equal values alike.
func appendCanonical(dst []byte, v value) []byte {
	switch v.kind {
	case isUndefined:
		return append(dst, "undefined"...)
	case isNumber:
		if math.IsInf(v.num, 0) || math.IsNaN(v.num) {
			return append(dst, notFinite(v.num)...)
		}
	case isArray:
		dst = append(dst, '[')
		first := true
		v.each(func(element value) bool {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = appendCanonical(dst, element)
			return true
		})
		return append(dst, ']')
	case isObject:
		var list []member
		v.eachMember(func(name string, m value) bool {
			list = append(list, member{name, m})
			return true
		})
		slices.SortStableFunc(list, func(a, b member) int { return strings.Compare(a.name, b.name) })
		return appendMembers(dst, list, appendCanonical)
	}
	return appendJSON(dst, v)
}

// appendNumber writes a number as encoding/json does. What JSON has no number for is a text, as the service writes it.
func appendNumber(dst []byte, n float64) []byte {
	if math.IsInf(n, 0) || math.IsNaN(n) {
		return append(append(append(dst, '"'), notFinite(n)...), '"')
	}
	if n == 0 {
		return append(dst, '0') // also of minus zero
	}
	format := byte('f')
	if a := math.Abs(n); a < 1e-6 || a >= 1e21 {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, n, format, -1, 64)
	if k := len(dst); format == 'e' && k >= 4 && dst[k-4] == 'e' && dst[k-3] == '-' && dst[k-2] == '0' {
		dst[k-2] = dst[k-1] // e-09 is e-9
		dst = dst[:k-1]
	}
	return dst
}

func notFinite(n float64) string {
	switch {
	case math.IsNaN(n):
		return "NaN"
	case n > 0:
		return "Infinity"
	}
	return "-Infinity"
}

func appendText(dst []byte, s string) []byte {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] != '"' && s[i] != '\\' && s[i] < utf8.RuneSelf
	}
	if plain {
		return append(append(append(dst, '"'), s...), '"')
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a string always encodes
		panic(err)
	}
	return append(dst, bytes.TrimRight(b.Bytes(), "\n")...)
}
