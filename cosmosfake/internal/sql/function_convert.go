package sql

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
)

// convertFunction are the functions that make texts of values, and values of texts.
func convertFunction(name string) (function, bool) {
	switch name {
	case "TOSTRING":
		return function{1, 1, false, func(_ *env, args []value) value { return text(toText(args[0])) }}, true
	case "STRINGTOARRAY":
		return parsed(isArray)
	case "STRINGTOBOOLEAN":
		return parsed(isBool)
	case "STRINGTONULL":
		return parsed(isNull)
	case "STRINGTONUMBER":
		return parsed(isNumber)
	case "STRINGTOOBJECT":
		return parsed(isObject)
	}
	return function{}, false
}

// parsed reads JSON of one type; of others it is undefined.
func parsed(want kind) (function, bool) {
	return ofText(func(e *env, s string) value {
		e.step(len(s))
		v, ok := decode(strings.TrimSpace(s))
		if !ok || v.kind != want {
			return value{}
		}
		return v
	})
}

// toText writes a value as JSON without blanks; a text is itself.
func toText(v value) string {
	switch {
	case v.kind == isText:
		return v.text
	case v.kind == isNumber && (math.IsInf(v.num, 0) || math.IsNaN(v.num)):
		return notFinite(v.num)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, appendJSON(nil, v)); err != nil { // it is valid
		return ""
	}
	return b.String()
}
