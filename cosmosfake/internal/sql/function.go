package sql

import (
	"math"
	"strings"
)

// function is one of the service's functions. What a wrong type is computed of is undefined.
type function struct {
	least, most    int  // arguments; most -1 is any number
	takesUndefined bool // others are undefined if an argument is
	call           func(e *env, args []value) value
}

// wants words how many arguments a function takes.
func (f function) wants() string {
	switch {
	case f.most < 0:
		return "at least " + itoa(f.least)
	case f.most != f.least:
		return itoa(f.least) + " to " + itoa(f.most)
	}
	return itoa(f.least)
}

// lookup finds a function by its name in capitals.
func lookup(name string) (function, bool) {
	for _, family := range []func(string) (function, bool){
		typeFunction, textFunction, convertFunction, arrayFunction, mathFunction, integerFunction, timeFunction,
	} {
		if f, ok := family(name); ok {
			return f, true
		}
	}
	return function{}, false
}

// unknown tells functions that the service has from names that it does not know.
func unknown(t token) *Error {
	name := upper(t.text)
	if strings.HasPrefix(name, "ST_") {
		return unsupported(t, "the function "+t.text)
	}
	switch name {
	case "VECTORDISTANCE", "FULLTEXTSCORE", "RRF", "DOCUMENTID", "MAKELIST", "MAKESET", "DATETIMEFORMAT", "AGO", "SETEQUAL",
		"SUBSTRINGAFTER", "SUBSTRINGBEFORE", "LASTSUBSTRINGAFTER", "LASTSUBSTRINGBEFORE", "LEFTPAD", "RIGHTPAD", "TOHEX":
		return unsupported(t, "the function "+t.text)
	}
	return failf("SC2005", t.from, t.to, "'%s' is not a recognized built-in function name.", t.text)
}

// The functions below make functions of the most common shapes.

func ofNumber(f func(float64) float64) (function, bool) {
	return function{1, 1, false, func(_ *env, args []value) value {
		if args[0].kind != isNumber {
			return value{}
		}
		return number(f(args[0].num))
	}}, true
}

func ofNumbers(f func(a, b float64) float64) (function, bool) {
	return function{2, 2, false, func(_ *env, args []value) value {
		if args[0].kind != isNumber || args[1].kind != isNumber {
			return value{}
		}
		return number(f(args[0].num, args[1].num))
	}}, true
}

func ofText(f func(e *env, s string) value) (function, bool) {
	return function{1, 1, false, func(e *env, args []value) value {
		if args[0].kind != isText {
			return value{}
		}
		return f(e, args[0].text)
	}}, true
}

func ofType(is func(value) bool) (function, bool) {
	return function{1, 1, true, func(_ *env, args []value) value { return boolean(is(args[0])) }}, true
}

func noArguments(f func(e *env) value) (function, bool) {
	return function{0, 0, false, func(e *env, _ []value) value { return f(e) }}, true
}

// areAll tells whether all arguments have a type.
func areAll(k kind, args []value) bool {
	for _, a := range args {
		if a.kind != k {
			return false
		}
	}
	return true
}

// integers are the whole numbers among arguments, if all are.
func integers(args []value) ([]int, bool) {
	list := make([]int, len(args))
	for i, a := range args {
		n, ok := a.integer()
		if !ok {
			return nil, false
		}
		list[i] = n
	}
	return list, true
}

func typeFunction(name string) (function, bool) {
	is := func(k kind) (function, bool) { return ofType(func(v value) bool { return v.kind == k }) }
	switch name {
	case "IS_ARRAY":
		return is(isArray)
	case "IS_BOOL":
		return is(isBool)
	case "IS_NULL":
		return is(isNull)
	case "IS_NUMBER":
		return is(isNumber)
	case "IS_OBJECT":
		return is(isObject)
	case "IS_STRING":
		return is(isText)
	case "IS_DEFINED":
		return ofType(value.defined)
	case "IS_PRIMITIVE":
		return ofType(func(v value) bool { return v.kind >= isNull && v.kind <= isText })
	case "IS_FINITE_NUMBER":
		return ofType(func(v value) bool { return v.kind == isNumber && !math.IsInf(v.num, 0) && !math.IsNaN(v.num) })
	case "IS_INTEGER":
		return ofType(func(v value) bool {
			return v.kind == isNumber && v.num == math.Trunc(v.num) && math.Abs(v.num) <= 1<<63
		})
	case "IIF":
		return function{3, 3, true, func(_ *env, args []value) value {
			if args[0].isTrue() {
				return args[1]
			}
			return args[2]
		}}, true
	}
	return function{}, false
}
