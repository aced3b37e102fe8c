package checkpoint

import (
	"os"
	"strconv"
	"testing"
	"time"
)

const schedules = 20_000

// seeds begin at a number of the day, so that every run tries others; ALMANAC_SEED repeats one.
func firstSeed(t *testing.T) uint64 {
	if text := os.Getenv("ALMANAC_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("ALMANAC_SEED: %v", err)
		}
		return seed
	}
	return uint64(time.Now().UnixNano())
}

func TestProtocolHolds(t *testing.T) {
	first := firstSeed(t)
	t.Logf("seeds from %d on (ALMANAC_SEED)", first)
	var sum Result
	for seed := first; seed < first+schedules; seed++ {
		r := Run(seed, "")
		if r.Violation != "" {
			t.Fatalf("seed %d: %s", seed, r.Violation)
		}
		sum.Drained += r.Drained
		sum.Rebases += r.Rebases
		sum.Conflicts += r.Conflicts
		sum.Crashes += r.Crashes
	}
	t.Logf("%d schedules: %+v", schedules, sum)
	if sum.Drained < schedules || sum.Rebases < schedules || sum.Conflicts < schedules || sum.Crashes < schedules {
		t.Errorf("got %+v, want at least one of each per schedule: the schedules try too little", sum)
	}
}

// TestEveryGuardIsNeeded takes the rules away one by one.
func TestEveryGuardIsNeeded(t *testing.T) {
	for _, guard := range Guards() {
		t.Run(string(guard), func(t *testing.T) {
			for seed := uint64(1); seed <= schedules; seed++ {
				if r := Run(seed, guard); r.Violation != "" {
					t.Logf("seed %d: %s", seed, r.Violation)
					return
				}
			}
			t.Errorf("got no violation in %d schedules without it, want one", schedules)
		})
	}
}
