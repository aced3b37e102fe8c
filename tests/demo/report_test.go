package main

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
)

func TestNumbers(t *testing.T) {
	moment := time.Date(2026, 11, 21, 2, 3, 4, 999_999_999, time.UTC)
	for _, test := range []struct{ got, want string }{
		{count(1, "act", "acts"), "1 act"},
		{count(0, "act", "acts"), "0 acts"},
		{count(int64(1234567), "act", "acts"), "1,234,567 acts"},
		{grouped(-1000), "-1,000"},
		{grouped(999), "999"},
		{sized(1), "1 byte"},
		{sized(999), "999 bytes"},
		{sized(1500), "1.5 KB"},
		{sized(2_340_000), "2.3 MB"},
		{rate(832, 2*time.Second), "416/s"},
		{rate(832, 0), "–"},
		{seconds(1234 * time.Millisecond), "1.2 s"},
		{clock(moment), "02:03:04.999"},
		{stamp(moment), "2026-11-21T02:03:04.999Z"}, // never later than the moment
		{shortened("a→b", 3), "a→b"},
		{shortened("a→bc", 3), "a→…"},
		{wrapped("a→b c  d", 5), "a→b c\nd"},
		{wrapped("longer than a line", 4), "longer\nthan\na\nline"},
		{wrapped("", 4), ""},
	} {
		if test.got != test.want {
			t.Errorf("got %q want %q", test.got, test.want)
		}
	}
}

// TestFarewell: the settings of a run on Azurite lead nowhere afterwards.
func TestFarewell(t *testing.T) {
	for _, test := range []struct {
		account *account
		want    bool
	}{{nil, false}, {new(account), true}} {
		s := story{place: &place{}, account: test.account}
		if got := s.farewell(); strings.Contains(got, "--archive-root "+s.place.short("archive")) != test.want || !strings.HasPrefix(got, "the archive is in ") {
			t.Errorf("got %q want --archive-root in it: %v", got, test.want)
		}
	}
}

func TestCovers(t *testing.T) {
	low, high := oracle.Span{Min: "", Max: "80"}, oracle.Span{Min: "80", Max: "FF"}
	at := func(a, b int64) *point {
		return &point{Point: oracle.Point{Cuts: []oracle.Cut{{Range: low, LSN: a}, {Range: high, LSN: b}}}}
	}
	h := heads{low: 7} // nothing was written to the other
	for _, test := range []struct {
		name string
		p    *point
		want bool
	}{
		{"at the head", at(7, 0), true},
		{"past it", at(8, 3), true},
		{"below", at(6, 9), false},
	} {
		if got := h.covers(test.p) == ""; got != test.want {
			t.Errorf("%s: got %v want %v", test.name, got, test.want)
		}
	}
}

func TestBetween(t *testing.T) {
	began := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	span := oracle.Span{Max: "FF"}
	history := &oracle.History{Ranges: []*oracle.Range{{Span: span, Lines: []oracle.Entry{
		{LSN: 1, Time: began.Add(-2 * time.Second)}, // in the point
		{LSN: 2, Time: began.Add(-time.Second)},
		{LSN: 2, Time: began.Add(-time.Second)}, // of one transaction
		{LSN: 3, Time: began},
		{LSN: 4, Time: began.Add(1)},
	}}}}
	if got := between(history, &oracle.Point{Cuts: []oracle.Cut{{Range: span, LSN: 1}}}, began); got != 3 {
		t.Errorf("got %d want 3", got)
	}
}

func TestCompareContent(t *testing.T) {
	a, b := oracle.Doc{PK: `["x"]`, ID: "a"}, oracle.Doc{PK: `["x"]`, ID: "b"}
	want := map[oracle.Doc]string{a: "1", b: "2"}
	for _, test := range []struct {
		name  string
		got   map[oracle.Doc]string
		found int
	}{
		{"equal", map[oracle.Doc]string{a: "1", b: "2"}, 0},
		{"other bytes", map[oracle.Doc]string{a: "1", b: "3"}, 1},
		{"missing", map[oracle.Doc]string{a: "1"}, 2},
		{"one too many", map[oracle.Doc]string{a: "1", b: "2", {PK: `["y"]`, ID: "a"}: "1"}, 1},
	} {
		report := new(oracle.Report)
		if compareContent(want, test.got, report); report.Total() != test.found {
			t.Errorf("%s: got %d findings want %d: %s", test.name, report.Total(), test.found, report)
		}
	}
}

func TestCommandLines(t *testing.T) {
	for _, test := range []struct {
		name string
		most int
		args []string
		want []string
	}{
		{"fits", 40, []string{"$ tool", "run", "--to", "x.y"}, []string{"$ tool run --to x.y"}},
		{"a flag keeps its value", 18, []string{"$ tool", "run", "--to", "x.y"}, []string{`$ tool run \`, "    --to x.y"}},
		{"quoted and never broken", 24, []string{"$ tool", "get", "--partition-key", `["a b, c d, it's"]`}, []string{`$ tool get \`, `    --partition-key '["a b, c d, it'\''s"]'`}},
	} {
		if got := commandLines(test.most, test.args...); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %q want %q", test.name, got, test.want)
		}
	}
}

// TestScreen: a stage is named once, and without a terminal or with NO_COLOR nothing is coloured.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := &screen{w: &out, origin: time.Now()}
	s.say("ONE", "a\nb")
	s.say("ONE", "%s", s.paint(red, "c"))
	s.say("TWO", "d")
	want := "\n  0.0 s  ONE      a\n                  b\n  0.0 s           c\n\n  0.0 s  TWO      d\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.color = true
	if got := s.paint(red, "c"); !strings.Contains(got, "\x1b[1;31mc") {
		t.Errorf("got %q want red", got)
	}
}
