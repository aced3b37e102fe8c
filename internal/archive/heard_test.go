package archive

import (
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

func ofRange(lo, hi string) func(*schemas.Mark) {
	return func(m *schemas.Mark) { m.Range = schemas.FeedRange{Min: lo, Max: hi} }
}

func TestQuiet(t *testing.T) {
	low, high, whole := ofRange("", "1F"), ofRange("1F", "FF"), ofRange("", "FF")
	cases := []struct {
		name    string
		history *history
		now     int // second
		want    string
	}{
		{"lively", simple(markAt(0, 5, 1, low), markAt(0, 5, 2, high)), 60, ""},
		{"one range", simple(markAt(0, 5, 1, low), markAt(50, 5, 2, high)), 100, "no mark of range -1F since 2026-11-20T10:00:00.999Z: is a producer running, and the archiver?"},
		{"all", simple(markAt(0, 5, 1, low), markAt(50, 5, 2, high)), 200, "no mark of any range since 2026-11-20T10:00:50.999Z: is a producer running, and the archiver?"},
		{"the only one", simple(markAt(0, 5, 1, whole)), 200, "no mark of range -FF since"},
		{"merged", simple(markAt(0, 5, 1, low), markAt(0, 5, 2, high), markAt(90, 9, 3, whole)), 100, ""},
		{"split", simple(markAt(0, 5, 1, whole), markAt(90, 6, 2, low), markAt(90, 6, 3, high)), 100, ""},
		{"nothing", &history{}, 100, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(foldOf(t, c.history).Quiet(epoch.Add(time.Duration(c.now)*time.Second), time.Minute), "; ")
			if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("got %q want %q", got, c.want)
			}
		})
	}
}

// A name that is refused later was listed as one that may still move, and the refusal names what took its place.
func TestNamesThatMove(t *testing.T) {
	low, high := ofRange("", "1F"), ofRange("1F", "FF")
	marks := []placed[schemas.Mark]{markAt(0, 5, 1, low), markAt(0, 5, 2, high), markAt(10, 6, 3, low)}
	first := foldOf(t, simple(marks...))
	before := first.Points()
	if len(before) != 2 {
		t.Fatalf("got %d points want 2: %s", len(before), namesOf(before))
	}
	later := foldOf(t, simple(append(marks, markAt(5, 7, 4, high), markAt(12, 8, 5, high))...))
	after := later.Points()
	for i := range before {
		if first.Settled(&before[i]) {
			t.Errorf("point %s: got settled before range 1F-FF had a later mark", before[i].Name)
		}
	}
	if !later.Settled(&after[0]) || later.Settled(&after[len(after)-1]) {
		t.Errorf("got settled %v, %v of the first and the last want true, false", later.Settled(&after[0]), later.Settled(&after[len(after)-1]))
	}
	successor := ""
	for i := range after {
		if after[i].Latest.Equal(before[1].Latest) {
			successor = after[i].Name
		}
	}
	_, err := later.ByName(before[1].Name)
	if err == nil || !strings.Contains(err.Error(), "the point of its time is now "+successor+" (exact)") {
		t.Errorf("got %v want a refusal of %s that names %s", err, before[1].Name, successor)
	}
}

// Whatever is archived after it, a settled name still folds: histories cut off at any mark of a topic's partition.
func TestSettledNamesStay(t *testing.T) {
	low, high := ofRange("", "1F"), ofRange("1F", "FF")
	sides := [][]placed[schemas.Mark]{nil, nil}
	for second := range 12 {
		sides[0] = append(sides[0], markAt(second*second%7+second*3, schemas.LSN(second+5), int64(second+1), low))
		sides[1] = append(sides[1], markAt(second*4, schemas.LSN(second+5), int64(second+30), high))
	}
	for _, side := range sides { // a range's marks come in the order of their times
		for i := 1; i < len(side); i++ {
			if side[i].what.Latest.Before(side[i-1].what.Latest) {
				side[i].what.Latest = side[i-1].what.Latest
			}
		}
	}
	all := foldOf(t, simple(append(append([]placed[schemas.Mark]{}, sides[0]...), sides[1]...)...))
	settled := 0
	for n := range sides[0] {
		for m := range sides[1] {
			some := append(append([]placed[schemas.Mark]{}, sides[0][:n]...), sides[1][:m]...)
			line := foldOf(t, simple(some...))
			for p := range line.All() {
				if !line.Settled(&p) {
					continue
				}
				settled++
				if _, err := all.ByName(p.Name); err != nil {
					t.Fatalf("with %d and %d marks %s was settled: %v", n, m, p.Name, err)
				}
			}
		}
	}
	if settled < 100 {
		t.Errorf("got %d settled points tried, want more", settled)
	}
}
