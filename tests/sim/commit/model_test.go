package commit

import (
	"flag"
	"strings"
	"testing"
)

var seed = flag.Uint64("seed", 1, "first seed of the random schedules")

const limit = 2_000_000

// TestEverySchedule tries all schedules of small worlds with all rules in place.
func TestEverySchedule(t *testing.T) {
	for name, b := range map[string]Bounds{
		"zombie":     {Archivers: 2, Partitions: 1, Records: 2, Moves: 2, Faults: 1},
		"faults":     {Archivers: 2, Partitions: 1, Records: 2, Moves: 1, Faults: 2},
		"partitions": {Archivers: 2, Partitions: 2, Records: 1, Moves: 2, Faults: 1},
		"three":      {Archivers: 3, Partitions: 1, Records: 2, Moves: 2, Faults: 0},
		"cleaned":    {Archivers: 2, Partitions: 1, Records: 3, Moves: 1, Faults: 1, Cleanings: 2},
		"any order":  {Archivers: 2, Partitions: 1, Records: 3, Moves: 1, Faults: 1, Cleanings: 2, AnyOrder: true},
		"swept":      {Archivers: 2, Partitions: 1, Records: 1, Moves: 1, Faults: 1, Sweeps: 1},
	} {
		t.Run(name, func(t *testing.T) {
			found, states, complete := Exhaust(New(b), limit)
			if found != nil {
				t.Fatalf("got %s, want no schedule that breaks a promise:\n%s", found.Broken, strings.Join(found.Schedule, "\n"))
			}
			if !complete {
				t.Fatalf("got %d states and no end, want all", states)
			}
			t.Logf("%d states", states)
		})
	}
}

// TestEveryGuardMatters leaves out one rule after the other, and finds a schedule that needs it. The rarest are looked for
// behind a start that leads towards them.
func TestEveryGuardMatters(t *testing.T) {
	zombies := []string{
		"A begins a flush", "A puts version 0", "A looks at the version below 0",
		"partition 0 moves to B", "B begins a flush", "partition 1 moves to C", "C begins a flush",
		"A begins a flush", "A puts version 1", "A looks at the version below 1",
		"C puts version 1", "C reads version 1", // and is paused before it reads what was committed since
		"A begins a flush", "A puts version 2", "A looks at the version below 2",
		"A begins a flush", "A puts version 3", "A looks at the version below 3",
	}
	for name, test := range map[string]struct {
		bounds Bounds
		start  []string
		want   string
	}{
		"compare-and-set":       {bounds: Bounds{Archivers: 2, Partitions: 1, Records: 2, Moves: 1, Without: CAS}, want: "INV-3"},
		"read again":            {bounds: Bounds{Archivers: 2, Partitions: 1, Records: 2, Moves: 1, Without: Again}, want: "INV-3"},
		"every version":         {bounds: Bounds{Archivers: 2, Partitions: 1, Records: 2, Moves: 1, Sweeps: 1, Without: Every}, want: "INV-3"},
		"same version":          {bounds: Bounds{Archivers: 1, Partitions: 1, Records: 1, Faults: 1, Without: SameSlot}, want: "INV-3"},
		"own taken for other's": {bounds: Bounds{Archivers: 1, Partitions: 1, Records: 1, Faults: 1, Without: IsMine}, want: "told"},
		"other's taken for own": {bounds: Bounds{Archivers: 2, Partitions: 1, Records: 2, Moves: 1, Without: IsNotMine}, want: "told"},
		"keep files":            {bounds: Bounds{Archivers: 1, Partitions: 1, Records: 1, Faults: 1, Without: KeepFile}, want: "INV-8"},
		"version below":         {bounds: Bounds{Archivers: 2, Partitions: 1, Records: 4, Moves: 1, Cleanings: 3, Without: Void}, want: "told"},
		"same version below": {
			bounds: Bounds{Archivers: 3, Partitions: 1, Records: 3, Moves: 2, Cleanings: 2, Without: SameBelow},
			start:  []string{"A begins a flush", "partition 0 moves to B", "B begins a flush"}, want: "told",
		},
		"same base": {
			bounds: Bounds{Archivers: 3, Partitions: 2, Records: 4, Moves: 2, Cleanings: 3, Without: SameBase},
			start:  zombies, want: "told",
		},
		"reload":             {bounds: Bounds{Archivers: 2, Partitions: 1, Records: 4, Moves: 1, Cleanings: 2, AnyOrder: true, Without: Reload}, want: "told"},
		"barrier":            {bounds: Bounds{Archivers: 1, Partitions: 1, Records: 1, Sweeps: 1, Without: Barrier}, want: "INV-8"},
		"barrier just below": {bounds: Bounds{Archivers: 1, Partitions: 1, Records: 1, Sweeps: 1, Without: BarrierNow}, want: "INV-8"},
	} {
		t.Run(name, func(t *testing.T) {
			first, err := Start(test.bounds, test.start...)
			if err != nil {
				t.Fatal(err)
			}
			found, states, _ := Exhaust(first, limit)
			if found == nil {
				t.Fatalf("got no schedule in %d states, want one that breaks %s", states, test.want)
			}
			if !strings.HasPrefix(found.Broken, test.want) {
				t.Errorf("got %s, want one that breaks %s", found.Broken, test.want)
			}
			t.Logf("%d states: %s\n%s", states, found.Broken, strings.Join(found.Schedule, "\n"))

			test.bounds.Without = None
			if first, err = Start(test.bounds, test.start...); err != nil {
				t.Fatal(err)
			}
			if found, _, _ := Exhaust(first, 100_000); found != nil {
				t.Errorf("with the rule: got %s, want no schedule that breaks a promise:\n%s", found.Broken, strings.Join(found.Schedule, "\n"))
			}
		})
	}
}

// TestRandomSchedules walks larger worlds than can be exhausted.
func TestRandomSchedules(t *testing.T) {
	b := Bounds{Archivers: 3, Partitions: 3, Records: 4, Moves: 6, Faults: 6, Cleanings: 4, Sweeps: 2}
	for s := *seed; s < *seed+20_000; s++ {
		if found := Walk(b, s); found != nil {
			t.Fatalf("seed %d: %s\n%s", s, found.Broken, strings.Join(found.Schedule, "\n"))
		}
	}
}
