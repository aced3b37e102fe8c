package sql

func arrayFunction(name string) (function, bool) {
	switch name {
	case "ARRAY_CONCAT":
		return function{2, -1, false, arrayConcat}, true
	case "ARRAY_CONTAINS":
		return function{2, 3, true, arrayContains}, true
	case "ARRAY_CONTAINS_ANY":
		return arrayHolds(or, false)
	case "ARRAY_CONTAINS_ALL":
		return arrayHolds(and, true)
	case "ARRAY_LENGTH":
		return function{1, 1, false, func(_ *env, args []value) value {
			if args[0].kind != isArray {
				return value{}
			}
			n := 0
			args[0].each(func(value) bool {
				n++
				return true
			})
			return number(float64(n))
		}}, true
	case "ARRAY_SLICE":
		return function{2, 3, false, arraySlice}, true
	case "ARRAY_SUM":
		return arrayAggregate("Sum")
	case "ARRAY_AVG":
		return arrayAggregate("Average")
	case "ARRAY_MIN":
		return arrayAggregate("Min")
	case "ARRAY_MAX":
		return arrayAggregate("Max")
	case "ARRAY_MEDIAN":
		return function{1, 1, false, arrayMedian}, true
	case "CHOOSE":
		return function{2, -1, true, func(_ *env, args []value) value {
			n, ok := args[0].integer()
			if !ok || n < 1 || n >= len(args) {
				return value{}
			}
			return args[n]
		}}, true
	case "OBJECTTOARRAY":
		return function{1, 3, false, objectToArray}, true
	case "SETINTERSECT":
		return ofSets(func(e *env, a, b value) []value { return distinct(e, b, elements(a), true) })
	case "SETUNION":
		return ofSets(func(e *env, a, b value) []value {
			return append(distinct(e, a, nil, false), distinct(e, b, elements(a), false)...)
		})
	case "SETDIFFERENCE":
		return ofSets(func(e *env, a, b value) []value { return distinct(e, a, elements(b), false) })
	}
	return function{}, false
}

func arrayConcat(e *env, args []value) value {
	if !areAll(isArray, args) {
		return value{}
	}
	list := []value{}
	for _, a := range args {
		more := a.list()
		if !e.step(len(more)) {
			return value{}
		}
		list = append(list, more...)
	}
	return array(list)
}

// arrayContains looks for a value; with true as third argument, also for an object whose members it has.
func arrayContains(_ *env, args []value) value {
	partial := false
	if len(args) == 3 && args[2].defined() {
		if args[2].kind != isBool {
			return value{}
		}
		partial = args[2].isTrue()
	}
	if args[0].kind != isArray || !args[1].defined() {
		return value{}
	}
	return boolean(holds(args[0], args[1], partial))
}

func holds(list, what value, partial bool) bool {
	is := false
	list.each(func(element value) bool {
		if partial && what.kind == isObject {
			is = element.kind == isObject
			what.eachMember(func(name string, member value) bool {
				is = is && equal(element.field(name), member)
				return is
			})
		} else {
			is = equal(element, what)
		}
		return !is
	})
	return is
}

// arrayHolds is what ARRAY_CONTAINS of each of the values, joined by AND or OR, would be.
func arrayHolds(join func(a, b value) value, unit bool) (function, bool) {
	return function{2, -1, true, func(_ *env, args []value) value {
		if args[0].kind != isArray {
			return value{}
		}
		result := boolean(unit)
		for _, what := range args[1:] {
			v := value{}
			if what.defined() {
				v = boolean(holds(args[0], what, false))
			}
			result = join(result, v)
		}
		return result
	}}, true
}

func arraySlice(_ *env, args []value) value {
	n, ok := integers(args[1:])
	if args[0].kind != isArray || !ok {
		return value{}
	}
	list := args[0].list()
	from, count := n[0], len(list)
	if from < 0 {
		from = max(from+len(list), 0)
	}
	from = min(from, len(list))
	if len(n) == 2 {
		count = max(n[1], 0)
	}
	return array(list[from:min(from+min(count, len(list)), len(list))])
}

// arrayAggregate is an aggregate of the elements of an array.
func arrayAggregate(operator string) (function, bool) {
	return function{1, 1, false, func(_ *env, args []value) value {
		if args[0].kind != isArray {
			return value{}
		}
		sum := accumulator{name: operator}
		args[0].each(func(element value) bool {
			sum.add(element)
			return true
		})
		return sum.value()
	}}, true
}

func arrayMedian(_ *env, args []value) value {
	list := args[0].list()
	if args[0].kind != isArray || len(list) == 0 || !areAll(isNumber, list) {
		return value{}
	}
	sorted := sortedNumbers(list)
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return number(sorted[middle])
	}
	return number((sorted[middle-1] + sorted[middle]) / 2)
}

func objectToArray(_ *env, args []value) value {
	if args[0].kind != isObject || !areAll(isText, args[1:]) {
		return value{}
	}
	names := [2]string{"k", "v"}
	for i, a := range args[1:] {
		names[i] = a.text
	}
	list := []value{}
	args[0].eachMember(func(name string, v value) bool {
		list = append(list, object([]member{{names[0], text(name)}, {names[1], v}}))
		return true
	})
	return array(list)
}

func ofSets(f func(e *env, a, b value) []value) (function, bool) {
	return function{2, 2, false, func(e *env, args []value) value {
		if !areAll(isArray, args) {
			return value{}
		}
		return array(f(e, args[0], args[1]))
	}}, true
}

// elements are the elements of an array, as appendCanonical writes them.
func elements(v value) map[string]bool {
	set := make(map[string]bool)
	v.each(func(element value) bool {
		set[string(appendCanonical(nil, element))] = true
		return true
	})
	return set
}

// distinct are the elements of an array, once each, that are, or are not, in a set.
func distinct(e *env, v value, set map[string]bool, want bool) []value {
	list := []value{}
	seen := make(map[string]bool)
	v.each(func(element value) bool {
		key := string(appendCanonical(nil, element))
		if set[key] == want && !seen[key] {
			list = append(list, element)
		}
		seen[key] = true
		return e.step(1)
	})
	return list
}
