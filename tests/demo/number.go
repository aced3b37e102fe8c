package main

import (
	"fmt"
	"strconv"
	"time"
)

// count writes a number with its noun, thousands apart.
func count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

func grouped[N int | int64](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// sized writes a number of bytes.
func sized[N int | int64](n N) string {
	switch b := float64(n); {
	case b < 1e3:
		return count(n, "byte", "bytes")
	case b < 1e6:
		return strconv.FormatFloat(b/1e3, 'f', 1, 64) + " KB"
	default:
		return strconv.FormatFloat(b/1e6, 'f', 1, 64) + " MB"
	}
}

// rate is how many a second; the time may be too short to tell.
func rate[N int | int64](n N, took time.Duration) string {
	if took <= 0 {
		return "–"
	}
	return grouped(int64(float64(n)/took.Seconds())) + "/s"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// clock is a time of day in UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// stamp is a time as the programs take it. It is cut to milliseconds, so it is never later than the time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
