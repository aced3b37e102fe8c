package sql

import (
	"math"
	"math/rand/v2"
	"slices"
)

func mathFunction(name string) (function, bool) {
	switch name {
	case "ABS":
		return ofNumber(math.Abs)
	case "ACOS":
		return ofNumber(math.Acos)
	case "ASIN":
		return ofNumber(math.Asin)
	case "ATAN":
		return ofNumber(math.Atan)
	case "ATN2":
		return ofNumbers(math.Atan2)
	case "CEILING":
		return ofNumber(math.Ceil)
	case "COS":
		return ofNumber(math.Cos)
	case "COT":
		return ofNumber(func(x float64) float64 { return 1 / math.Tan(x) })
	case "DEGREES":
		return ofNumber(func(x float64) float64 { return x * (180 / math.Pi) })
	case "EXP":
		return ofNumber(math.Exp)
	case "FLOOR":
		return ofNumber(math.Floor)
	case "LOG":
		return function{1, 2, false, logarithm}, true
	case "LOG10":
		return ofNumber(math.Log10)
	case "NUMBERBIN":
		return function{1, 2, false, numberBin}, true
	case "PI":
		return noArguments(func(*env) value { return number(math.Pi) })
	case "POWER":
		return ofNumbers(math.Pow)
	case "RADIANS":
		return ofNumber(func(x float64) float64 { return x * math.Pi / 180 })
	case "RAND":
		return noArguments(func(*env) value { return number(rand.Float64()) })
	case "ROUND":
		return ofNumber(math.Round)
	case "SIGN":
		return ofNumber(func(x float64) float64 { return float64(compare(number(x), number(0))) })
	case "SIN":
		return ofNumber(math.Sin)
	case "SQRT":
		return ofNumber(math.Sqrt)
	case "SQUARE":
		return ofNumber(func(x float64) float64 { return x * x })
	case "TAN":
		return ofNumber(math.Tan)
	case "TRUNC":
		return ofNumber(math.Trunc)
	}
	return function{}, false
}

func logarithm(_ *env, args []value) value {
	switch {
	case !areAll(isNumber, args):
		return value{}
	case len(args) == 1:
		return number(math.Log(args[0].num))
	case args[1].num == 10:
		return number(math.Log10(args[0].num))
	case args[1].num == 2:
		return number(math.Log2(args[0].num))
	}
	return number(math.Log(args[0].num) / math.Log(args[1].num))
}

// numberBin rounds a number down to a multiple.
func numberBin(_ *env, args []value) value {
	size := 1.0
	if len(args) == 2 {
		size = args[1].num
	}
	if !areAll(isNumber, args) || size == 0 {
		return value{}
	}
	return number(math.Floor(args[0].num/size) * size)
}

func sortedNumbers(list []value) []float64 {
	numbers := make([]float64, len(list))
	for i, v := range list {
		numbers[i] = v.num
	}
	slices.Sort(numbers)
	return numbers
}

// integerFunction are the functions of 64-bit whole numbers; of others they are undefined.
func integerFunction(name string) (function, bool) {
	switch name {
	case "INTADD":
		return ofIntegers(func(a, b int64) (int64, bool) { return a + b, true })
	case "INTSUB":
		return ofIntegers(func(a, b int64) (int64, bool) { return a - b, true })
	case "INTMUL":
		return ofIntegers(func(a, b int64) (int64, bool) { return a * b, true })
	case "INTDIV":
		return ofIntegers(func(a, b int64) (int64, bool) {
			if b == 0 {
				return 0, false
			}
			return a / b, true
		})
	case "INTMOD":
		return ofIntegers(func(a, b int64) (int64, bool) {
			if b == 0 {
				return 0, false
			}
			return a % b, true
		})
	case "INTBITAND":
		return ofIntegers(func(a, b int64) (int64, bool) { return a & b, true })
	case "INTBITOR":
		return ofIntegers(func(a, b int64) (int64, bool) { return a | b, true })
	case "INTBITXOR":
		return ofIntegers(func(a, b int64) (int64, bool) { return a ^ b, true })
	case "INTBITLEFTSHIFT":
		return ofIntegers(func(a, b int64) (int64, bool) { return a << uint64(b&63), b >= 0 })
	case "INTBITRIGHTSHIFT":
		return ofIntegers(func(a, b int64) (int64, bool) { return a >> uint64(b&63), b >= 0 })
	case "INTBITNOT":
		return function{1, 1, false, func(_ *env, args []value) value {
			n, ok := integers(args)
			if !ok {
				return value{}
			}
			return number(float64(^n[0]))
		}}, true
	}
	return function{}, false
}

func ofIntegers(f func(a, b int64) (int64, bool)) (function, bool) {
	return function{2, 2, false, func(_ *env, args []value) value {
		n, ok := integers(args)
		if !ok {
			return value{}
		}
		result, ok := f(int64(n[0]), int64(n[1]))
		if !ok {
			return value{}
		}
		return number(float64(result))
	}}, true
}
