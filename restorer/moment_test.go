package restorer

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
)

// points are a timeline of points that are a minute apart, from 10:00 on.
type points []archive.Point

func pointAt(minute int, taints ...string) archive.Point {
	latest := time.Date(2026, 11, 20, 10, minute, 0, 0, time.UTC)
	return archive.Point{Name: latest.Format("20060102T150405.000Z") + "-0000000a", Latest: latest, Claim: archive.Claim{Taints: taints}}
}

func (p points) All() iter.Seq[archive.Point] { return slices.Values(p) }

func (p points) find(ok func(archive.Point) bool) (archive.Point, error) {
	for _, point := range p {
		if ok(point) {
			return point, nil
		}
	}
	return archive.Point{}, errors.New("none")
}

func (p points) ByName(name string) (archive.Point, error) {
	return p.find(func(p archive.Point) bool { return p.Name == name })
}

func (p points) At(t time.Time) (archive.Point, error) {
	return p.find(func(p archive.Point) bool { return p.Latest.Equal(t) })
}

func (p points) Before(t time.Time) (archive.Point, error) {
	return p.find(func(p archive.Point) bool { return !p.Latest.After(t) })
}

func TestMomentResolves(t *testing.T) {
	exact := points{pointAt(0)}
	tainted := points{pointAt(0), pointAt(1), pointAt(2, "a gap", "a loss"), pointAt(3, "a gap"), pointAt(4), pointAt(5)}
	tests := []struct {
		name string
		in   points
		moment
		want, refused string
	}{
		{"by name", exact, moment{At: "20261120T100000.000Z-0000000a"}, "20261120T100000.000Z-0000000a", ""},
		{"by exact time", exact, moment{At: "2026-11-20T10:00:00Z"}, "20261120T100000.000Z-0000000a", ""},
		{"by time elsewhere", exact, moment{At: "2026-11-20T11:00:00.000+01:00"}, "20261120T100000.000Z-0000000a", ""},
		{"before", exact, moment{Before: "2026-11-20T10:00:00.5Z"}, "20261120T100000.000Z-0000000a", ""},
		{
			"tainted", tainted,
			moment{At: "2026-11-20T10:02:00Z"},
			"",
			"point 20261120T100200.000Z-0000000a is not exact: a gap; a loss; nearest: 20261120T100100.000Z-0000000a, 20261120T100400.000Z-0000000a",
		},
		{"all tainted", points{pointAt(0, "a gap")}, moment{At: "2026-11-20T10:00:00Z"}, "", "is not exact: a gap"},
		{"no time", exact, moment{Before: "10:00"}, "", "RFC 3339"},
		{"neither name nor time", exact, moment{At: "20261120T100000.000Z"}, "", "neither a point"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.resolve(test.in)
			if got.Name != test.want || (err == nil) != (test.refused == "") {
				t.Fatalf("got %q, %v, want %q", got.Name, err, test.want)
			}
			if err == nil {
				return
			}
			var coded interface{ ExitCode() int }
			if !strings.Contains(err.Error(), test.refused) || !errors.As(err, &coded) || coded.ExitCode() != 2 {
				t.Errorf("got %v, want exit code 2 and %s", err, test.refused)
			}
		})
	}
}

func TestTargetNames(t *testing.T) {
	tests := []struct{ text, source, want string }{
		{"shop.copy", "shop", "shop|copy"},
		{"shop.copy.2", "shop", "shop|copy.2"},
		{"my.db.copy", "my.db", "my.db|copy"},
		{"other.copy", "my.db", "other|copy"},
		{"copy", "shop", "error"},
		{".copy", "shop", "error"},
		{"shop.", "shop", "error"},
		{"shop.a/b", "shop", "error"},
		{"shop." + strings.Repeat("x", 256), "shop", "error"},
	}
	for _, test := range tests {
		got, err := parseTarget(test.text, test.source)
		text := fmt.Sprintf("%s|%s", got.Database, got.Container)
		if err != nil {
			text = "error"
		}
		if text != test.want {
			t.Errorf("%.30s: got %s, %v, want %s", test.text, text, err, test.want)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d): got %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1500: "1.5 KB", 2_000_000: "2.0 MB", 3_200_000_000_000: "3.2 TB"} {
		if got := sized(n); got != want {
			t.Errorf("sized(%d): got %s, want %s", n, got, want)
		}
	}
}
