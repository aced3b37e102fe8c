package sql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"

	memoryexecutor "github.com/pikami/cosmium/query_executors/memory_executor"
)

// null is JSON's null. To the executor it is a value like others; nil is one that is missing.
type null struct{}

// origins are the bytes of decoded objects, by the address of their maps.
type origins map[uintptr][]byte

// decode makes of JSON what the executor takes: numbers are float64, null is null{}.
func decode(text []byte) (any, origins, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	from := make(origins)
	v, err := value(d, text, from)
	if err != nil {
		return nil, nil, fmt.Errorf("decode JSON: %w", err)
	}
	return v, from, nil
}

func value(d *json.Decoder, text []byte, from origins) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case nil:
		return null{}, nil
	case json.Number:
		f, _ := strconv.ParseFloat(string(t), 64) // what is beyond a float64 is infinite
		return f, nil
	case json.Delim:
		if t == '[' {
			list := make([]any, 0)
			for d.More() {
				v, err := value(d, text, from)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		start := d.InputOffset() - 1
		object := make(map[string]any)
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := value(d, text, from)
			if err != nil {
				return nil, err
			}
			object[name.(string)] = v
		}
		_, err := d.Token()
		from[reflect.ValueOf(object).Pointer()] = text[start:d.InputOffset()]
		return object, err
	}
	return t, nil
}

// appendJSON writes a value. Objects of a document are written as they stood there. Missing values are left out.
func appendJSON(dst []byte, v any, from origins) []byte {
	switch v := v.(type) {
	case nil, null:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case float64:
		switch {
		case math.IsInf(v, 1):
			return append(dst, "1e999"...)
		case math.IsInf(v, -1):
			return append(dst, "-1e999"...)
		case math.IsNaN(v):
			return append(dst, `"NaN"`...)
		}
	}
	switch v := v.(type) {
	case []any:
		return appendList(dst, len(v), func(i int) any { return v[i] }, from)
	case []memoryexecutor.RowType:
		return appendList(dst, len(v), func(i int) any { return v[i] }, from)
	case map[string]any:
		if text, ok := from[reflect.ValueOf(v).Pointer()]; ok {
			return append(dst, text...)
		}
		names := make([]string, 0, len(v))
		for name, member := range v {
			if member != nil {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		dst = append(dst, '{')
		for i, name := range names {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, name), ':')
			dst = appendJSON(dst, v[name], from)
		}
		return append(dst, '}')
	case string:
		return appendText(dst, v)
	}
	text, err := json.Marshal(v)
	if err != nil { // the executor makes nothing that cannot be encoded
		return append(dst, "null"...)
	}
	return append(dst, text...)
}

func appendList(dst []byte, n int, at func(int) any, from origins) []byte {
	dst = append(dst, '[')
	first := true
	for i := range n {
		v := at(i)
		if v == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendJSON(dst, v, from)
	}
	return append(dst, ']')
}

func appendText(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a string always encodes
		panic(err)
	}
	return append(dst, bytes.TrimRight(b.Bytes(), "\n")...)
}

// rank orders the types as ORDER BY does.
func rank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case null:
		return 1
	case bool:
		return 2
	case float64, int:
		return 3
	case string:
		return 4
	case []any:
		return 5
	}
	return 6
}

// compare orders two values of any type. Arrays and objects are ordered by their text.
func compare(a, b any) int {
	if ra, rb := rank(a), rank(b); ra != rb {
		return ra - rb
	}
	switch a := a.(type) {
	case nil, null:
		return 0
	case bool:
		switch {
		case a == b.(bool):
			return 0
		case a:
			return 1
		}
		return -1
	case string:
		return bytes.Compare([]byte(a), []byte(b.(string)))
	case float64, int:
		x, y := asFloat(a), asFloat(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return bytes.Compare(appendJSON(nil, a, nil), appendJSON(nil, b, nil))
}

func asFloat(v any) float64 {
	if n, ok := v.(int); ok {
		return float64(n)
	}
	f, _ := v.(float64)
	return f
}
