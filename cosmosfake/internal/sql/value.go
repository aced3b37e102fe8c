package sql

import (
	"cmp"
	"strings"
)

// kind is a value's type. Their order is that of ORDER BY.
type kind uint8

const (
	isUndefined kind = iota
	isNull
	isBool
	isNumber
	isText
	isArray
	isObject
)

// value is one of JSON, or undefined, which is the zero value.
type value struct {
	kind kind
	num  float64   // of a number; of a bool, 1 is true
	text string    // of a text; of an array or object of a document, what stands there
	made *composed // of an array or object that was computed
}

// composed is an array or an object that was computed.
type composed struct {
	list    []value
	members []member
}

type member struct {
	name  string
	value value
}

func number(n float64) value { return value{kind: isNumber, num: n} }

func text(s string) value { return value{kind: isText, text: s} }

func null() value { return value{kind: isNull} }

func boolean(b bool) value {
	if b {
		return value{kind: isBool, num: 1}
	}
	return value{kind: isBool}
}

func array(list []value) value { return value{kind: isArray, made: &composed{list: list}} }

func object(members []member) value { return value{kind: isObject, made: &composed{members: members}} }

func (v value) defined() bool { return v.kind != isUndefined }

func (v value) isTrue() bool { return v.kind == isBool && v.num == 1 }

func (v value) isFalse() bool { return v.kind == isBool && v.num == 0 }

// integer is a whole number.
func (v value) integer() (int, bool) {
	n := int(v.num)
	return n, v.kind == isNumber && v.num >= -1<<62 && v.num <= 1<<62 && float64(n) == v.num
}

// each calls visit for the elements of an array until it returns false.
func (v value) each(visit func(value) bool) {
	switch {
	case v.kind != isArray:
	case v.made == nil:
		eachElement(v.text, visit)
	default:
		for _, element := range v.made.list {
			if !visit(element) {
				return
			}
		}
	}
}

// eachMember calls visit for the members of an object until it returns false.
func (v value) eachMember(visit func(name string, member value) bool) {
	switch {
	case v.kind != isObject:
	case v.made == nil:
		eachMember(v.text, visit)
	default:
		for _, m := range v.made.members {
			if !visit(m.name, m.value) {
				return
			}
		}
	}
}

// list are the elements of an array.
func (v value) list() []value {
	if v.kind == isArray && v.made != nil {
		return v.made.list
	}
	list := []value{}
	v.each(func(element value) bool {
		list = append(list, element)
		return true
	})
	return list
}

// field is a member of an object.
func (v value) field(name string) value {
	if v.kind == isObject && v.made == nil {
		return memberOf(v.text, name)
	}
	var found value
	v.eachMember(func(n string, member value) bool {
		if n == name {
			found = member
		}
		return true
	})
	return found
}

// at is what an index leads to: a name of an object, or a place in an array.
func (v value) at(index value) value {
	switch {
	case v.kind == isObject && index.kind == isText:
		return v.field(index.text)
	case v.kind == isArray && index.kind == isNumber:
		n, whole := index.integer()
		if !whole || n < 0 {
			return value{}
		}
		var found value
		v.each(func(element value) bool {
			if n == 0 {
				found = element
			}
			n--
			return n >= 0
		})
		return found
	}
	return value{}
}

// equal compares two values; members of objects have no order.
func equal(a, b value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case isBool, isNumber:
		return a.num == b.num
	case isText:
		return a.text == b.text
	case isArray:
		if a.made == nil && b.made == nil && a.text == b.text {
			return true
		}
		x, y := a.list(), b.list()
		if len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(x[i], y[i]) {
				return false
			}
		}
	case isObject:
		if a.made == nil && b.made == nil && a.text == b.text {
			return true
		}
		return string(appendCanonical(nil, a)) == string(appendCanonical(nil, b))
	}
	return true
}

// compare orders two values of any types. Arrays and objects are ordered by their text.
func compare(a, b value) int {
	if c := cmp.Compare(a.kind, b.kind); c != 0 {
		return c
	}
	switch a.kind {
	case isBool, isNumber:
		return cmp.Compare(a.num, b.num)
	case isText:
		return strings.Compare(a.text, b.text)
	case isArray, isObject:
		return strings.Compare(string(appendCanonical(nil, a)), string(appendCanonical(nil, b)))
	}
	return 0
}
