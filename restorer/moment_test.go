package restorer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// history are marks of the whole key space, one a minute from 10:00 on.
type history struct {
	*archive.Control
}

func at(minute int) time.Time { return time.Date(2026, 11, 20, 10, minute, 0, 0, time.UTC) }

func newHistory() history {
	c := archive.NewControl("shop.products", schemas.Offsets{0: 100})
	c.Definitions = []archive.DefinitionRow{{Incarnation: "a", Observed: at(0), Resource: []byte("{}")}}
	return history{c}
}

// mark adds a mark that has acknowledged the offset.
func (h history) mark(minute int, generation schemas.Generation, lsn schemas.LSN, offset int64) history {
	m := archive.MarkRow{
		Incarnation: "a", Range: schemas.WholeRange(), Mode: schemas.LatestVersion, Drained: true, Basis: schemas.BasisComplete,
		Generation: generation, LSN: lsn, Newest: lsn, Latest: at(minute).UnixNano(), CompleteTo: at(minute).Add(-10 * time.Second).UnixNano(), Offsets: []int64{offset},
	}
	if lsn == 0 {
		m.Drained, m.Basis = false, schemas.BasisLoading
	}
	h.Marks = append(h.Marks, m)
	return h
}

func (h history) lose(from, to int64, reason string) history {
	h.Losses = append(h.Losses, archive.LossRow{From: from, To: to, Reason: reason})
	return h
}

func (h history) fold() *archive.Timeline {
	return archive.Fold(h.Control, archive.Rules{Deletes: archive.DeletesNone})
}

// A point is taken when it is exact; else it is refused, and so are the points that are offered instead never (INV-5).
func TestMomentResolves(t *testing.T) {
	exact := newHistory().mark(0, 1, 5, 1).fold()
	tainted := newHistory().mark(0, 1, 5, 1).mark(1, 1, 6, 2).
		lose(5, 6, "a gap").lose(7, 7, "a loss").mark(2, 1, 7, 8).mark(3, 1, 8, 9).
		mark(3, 2, 0, 9).mark(4, 2, 9, 10).mark(5, 2, 10, 11).fold()
	all := newHistory().lose(1, 2, "a gap").mark(0, 1, 5, 3).mark(1, 1, 6, 3).fold()
	names := func(line *archive.Timeline) (names []string) {
		for p := range line.All() {
			names = append(names, p.Name)
		}
		return names
	}
	of, first := names(tainted), names(exact)[0]
	if len(of) != 6 {
		t.Fatalf("got %d points %s, want 6", len(of), of)
	}
	none := "no restore point of shop.products is exact"
	tests := []struct {
		name string
		in   *archive.Timeline
		moment
		want, refused string
	}{
		{"by name", exact, moment{At: first}, first, ""},
		{"by exact time", exact, moment{At: "2026-11-20T10:00:00Z"}, first, ""},
		{"by time elsewhere", exact, moment{At: "2026-11-20T11:00:00.000+01:00"}, first, ""},
		{"before", tainted, moment{Before: "2026-11-20T10:01:00.5Z"}, of[1], ""},
		{"tainted", tainted, moment{At: "2026-11-20T10:02:00Z"}, "", "point " + of[2] + " is not exact: a gap; a loss; nearest: " + of[1] + ", " + of[4]},
		{"tainted, by name", tainted, moment{At: of[3]}, "", "nearest: " + of[1] + ", " + of[4]},
		{"between tainted ones", tainted, moment{At: "2026-11-20T10:02:30Z"}, "", "nearest: " + of[1] + ", " + of[4]},
		{"after the newest", tainted, moment{Before: "2026-11-20T11:00:00Z"}, "", "nearest: " + of[5] + "; take a point by --at NAME, or wait for a later one; `points` shows"},
		{"before the first", tainted, moment{Before: "2026-11-20T09:00:00Z"}, "", "nearest: " + of[0] + "; the archive reaches no further back"},
		{"all tainted", all, moment{At: "2026-11-20T10:00:00Z"}, "", "is not exact: a gap; " + none},
		{"all tainted, after the newest", all, moment{Before: "2026-11-20T11:00:00Z"}, "", none},
		{"all tainted, no such time", all, moment{At: "2026-11-20T10:00:30Z"}, "", none},
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
			if strings.Contains(test.refused, none) && strings.Contains(err.Error(), "nearest") {
				t.Errorf("got points offered that would be refused: %v", err)
			}
		})
	}
}

// Only what can be restored counts as restorable, and a list says why it ends where it does.
func TestPointsSayWhatCanBeRestored(t *testing.T) {
	tests := []struct {
		name  string
		in    history
		until string // minute:second of restorable_until
		words []string
	}{
		{"exact", newHistory().mark(0, 1, 5, 1).mark(1, 1, 6, 2), "00:50", []string{"exact, may still move\n"}},
		{"tainted at the end", newHistory().mark(0, 1, 5, 1).lose(5, 6, "a gap").mark(1, 1, 6, 7), "59:50", []string{"2026-11-20T09:59:50", "exact\n", "tainted: a gap, may still move\n"}},
		{"tainted", newHistory().lose(1, 2, "a gap").mark(0, 1, 5, 3), "", []string{"there is no exact point"}},
		{"no point", newHistory(), "", []string{"there is no exact point", "there is no restore point:"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := viewTimeline("shop.products", "topic", archive.Rules{Deletes: archive.DeletesNone}, test.in.fold(), []string{"partition 2 is halted: a hole"}, 0)
			until := ""
			if v.RestorableUntil != nil {
				until = v.RestorableUntil.Format("04:05")
			}
			if until != test.until {
				t.Errorf("got restorable until %q, want %q", until, test.until)
			}
			for i, p := range v.Points {
				if p.Settled != (i+1 < len(v.Points)) {
					t.Errorf("point %s: got settled %v, want all but the newest", p.Name, p.Settled)
				}
			}
			if !slices.Contains(v.Pending, "partition 2 is halted: a hole") {
				t.Errorf("got pending %q, want the halt too", v.Pending)
			}
			var out strings.Builder
			if err := v.write(&out); err != nil {
				t.Fatal(err)
			}
			for _, word := range append(test.words, "partition 2 is halted: a hole") {
				if !strings.Contains(out.String(), word) {
					t.Errorf("got no %q in\n%s", word, out.String())
				}
			}
			if strings.Contains(out.String(), " \n") {
				t.Errorf("got a line that ends in blanks:\n%q", out.String())
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
