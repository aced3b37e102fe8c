package sql

import (
	"math"
	"strings"
	"time"
)

// timeFormat is how the service writes times; ticks are 100 ns since 1970.
const timeFormat = "2006-01-02T15:04:05.0000000Z"

func formatted(t time.Time) value {
	if t.Year() < 1 || t.Year() > 9999 {
		return value{}
	}
	return text(t.UTC().Format(timeFormat))
}

// parseTime reads a time of ISO 8601 in UTC (documentation, remarks of IS_DATETIME).
func parseTime(v value) (time.Time, bool) {
	s := strings.TrimSuffix(v.text, "Z")
	if v.kind != isText || len(s) >= len(timeFormat) || strings.IndexByte(s, ',') >= 0 {
		return time.Time{}, false
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// unit is a part of a time: months, or a duration.
type unit struct {
	months int
	length time.Duration
	of     func(time.Time) int
}

func parseUnit(v value) (unit, bool) {
	const day = 24 * time.Hour
	if v.kind != isText {
		return unit{}, false
	}
	switch strings.ToLower(v.text) {
	case "year", "yyyy", "yy":
		return unit{12, 0, time.Time.Year}, true
	case "month", "mm", "m":
		return unit{1, 0, func(t time.Time) int { return int(t.Month()) }}, true
	case "day", "dd", "d":
		return unit{0, day, time.Time.Day}, true
	case "hour", "hh":
		return unit{0, time.Hour, time.Time.Hour}, true
	case "minute", "mi", "n":
		return unit{0, time.Minute, time.Time.Minute}, true
	case "second", "ss", "s":
		return unit{0, time.Second, time.Time.Second}, true
	case "millisecond", "ms":
		return unit{0, time.Millisecond, func(t time.Time) int { return t.Nanosecond() / 1e6 }}, true
	case "microsecond", "mcs":
		return unit{0, time.Microsecond, func(t time.Time) int { return t.Nanosecond() / 1e3 }}, true
	case "nanosecond", "ns":
		return unit{0, time.Nanosecond, time.Time.Nanosecond}, true
	}
	return unit{}, false
}

// index counts units since the beginning of 1970 as whole numbers, rounded down.
func (u unit) index(t time.Time) float64 {
	if u.months > 0 {
		return math.Floor(float64((t.Year()-1970)*12+int(t.Month())-1) / float64(u.months))
	}
	if u.length >= time.Second {
		return math.Floor(float64(t.Unix()) / u.length.Seconds())
	}
	per := int64(time.Second / u.length)
	return float64(t.Unix()*per + int64(t.Nanosecond())/int64(u.length))
}

// add goes n units on. A day that a month does not have is its last.
func (u unit) add(t time.Time, n int) (time.Time, bool) {
	if u.months > 0 {
		if n < -120_000 || n > 120_000 {
			return t, false
		}
		first := time.Date(t.Year(), t.Month()+time.Month(n*u.months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
		last := first.AddDate(0, 1, -1).Day()
		return first.AddDate(0, 0, min(t.Day(), last)-1), true
	}
	return after(t, u.length, n)
}

// after adds n times a duration, which may be more than a time.Duration holds.
func after(t time.Time, d time.Duration, n int) (time.Time, bool) {
	const span = 400_000_000_000 // seconds, more than there are years
	var seconds, rest int
	if d >= time.Second {
		k := int(d / time.Second)
		if n > span/k || n < -span/k {
			return t, false
		}
		seconds = n * k
	} else {
		per := int(time.Second / d)
		seconds, rest = n/per, n%per*int(d)
		if seconds > span || seconds < -span {
			return t, false
		}
	}
	return time.Unix(t.Unix()+int64(seconds), int64(t.Nanosecond()+rest)).UTC(), true
}

func timeFunction(name string) (function, bool) {
	switch name {
	case "GETCURRENTDATETIME", "GETCURRENTDATETIMESTATIC":
		return noArguments(func(e *env) value { return formatted(e.now) })
	case "GETCURRENTTICKS", "GETCURRENTTICKSSTATIC":
		return noArguments(func(e *env) value { return number(ticks(e.now)) })
	case "GETCURRENTTIMESTAMP", "GETCURRENTTIMESTAMPSTATIC":
		return noArguments(func(e *env) value { return number(float64(e.now.UnixMilli())) })
	case "DATETIMEADD":
		return function{3, 3, false, dateTimeAdd}, true
	case "DATETIMEBIN":
		return function{2, 4, false, dateTimeBin}, true
	case "DATETIMEDIFF":
		return function{3, 3, false, dateTimeDiff}, true
	case "DATETIMEFROMPARTS":
		return function{3, 7, false, dateTimeFromParts}, true
	case "DATETIMEPART":
		return function{2, 2, false, func(_ *env, args []value) value { return dateTimePart(args[0], args[1]) }}, true
	case "YEAR", "MONTH", "DAY":
		return function{1, 1, false, func(_ *env, args []value) value { return dateTimePart(text(name), args[0]) }}, true
	case "IS_DATETIME":
		return ofType(func(v value) bool {
			_, ok := parseTime(v)
			return ok
		})
	case "DATETIMETOTICKS":
		return ofTime(ticks)
	case "DATETIMETOTIMESTAMP":
		return ofTime(func(t time.Time) float64 { return float64(t.UnixMilli()) })
	case "TICKSTODATETIME":
		return toTime(100 * time.Nanosecond)
	case "TIMESTAMPTODATETIME":
		return toTime(time.Millisecond)
	}
	return function{}, false
}

func ticks(t time.Time) float64 { return float64(t.Unix()*1e7 + int64(t.Nanosecond())/100) }

func ofTime(f func(time.Time) float64) (function, bool) {
	return function{1, 1, false, func(_ *env, args []value) value {
		t, ok := parseTime(args[0])
		if !ok {
			return value{}
		}
		return number(f(t))
	}}, true
}

func toTime(d time.Duration) (function, bool) {
	return function{1, 1, false, func(_ *env, args []value) value {
		n, ok := args[0].integer()
		if !ok {
			return value{}
		}
		t, ok := after(time.Unix(0, 0), d, n)
		if !ok {
			return value{}
		}
		return formatted(t)
	}}, true
}

func dateTimeAdd(_ *env, args []value) value {
	u, ok1 := parseUnit(args[0])
	n, ok2 := args[1].integer()
	t, ok3 := parseTime(args[2])
	if !ok1 || !ok2 || !ok3 {
		return value{}
	}
	t, ok := u.add(t, n)
	if !ok {
		return value{}
	}
	return formatted(t)
}

func dateTimePart(part, of value) value {
	u, ok1 := parseUnit(part)
	t, ok2 := parseTime(of)
	if !ok1 || !ok2 {
		return value{}
	}
	return number(float64(u.of(t)))
}

// dateTimeDiff counts the bounds of units between two times.
func dateTimeDiff(_ *env, args []value) value {
	u, ok1 := parseUnit(args[0])
	from, ok2 := parseTime(args[1])
	to, ok3 := parseTime(args[2])
	if !ok1 || !ok2 || !ok3 {
		return value{}
	}
	return number(u.index(to) - u.index(from))
}

// dateTimeBin is the beginning of the bin of some units in which a time is, counted from an origin.
func dateTimeBin(_ *env, args []value) value {
	t, ok1 := parseTime(args[0])
	u, ok2 := parseUnit(args[1])
	size, origin := 1, time.Unix(0, 0).UTC()
	ok3, ok4 := true, true
	if len(args) > 2 {
		size, ok3 = args[2].integer()
	}
	if len(args) > 3 {
		origin, ok4 = parseTime(args[3])
	}
	if !ok1 || !ok2 || !ok3 || !ok4 || size < 1 {
		return value{}
	}
	n := math.Floor((u.index(t) - u.index(origin)) / float64(size))
	begin, ok := u.add(origin, int(n)*size)
	if ok && begin.After(t) { // the origin lies within its unit behind where the time lies within its
		begin, ok = u.add(origin, (int(n)-1)*size)
	}
	if !ok {
		return value{}
	}
	return formatted(begin)
}

func dateTimeFromParts(_ *env, args []value) value {
	n, ok := integers(args)
	for len(n) < 7 {
		n = append(n, 0)
	}
	if !ok || n[0] < 1 || n[0] > 9999 || n[1] < 1 || n[1] > 12 || n[2] < 1 || n[3] < 0 || n[3] > 23 || n[4] < 0 || n[4] > 59 ||
		n[5] < 0 || n[5] > 59 || n[6] < 0 || n[6] > 9_999_999 {
		return value{}
	}
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], n[6]*100, time.UTC)
	if t.Day() != n[2] {
		return value{}
	}
	return formatted(t)
}
