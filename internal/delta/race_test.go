package delta

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
)

// racer is one of several writers who all write all partitions, record by record, as archivers would that never learn of
// a reassignment. What keeps the table right is the compare-and-set in prepare alone (INV-3).
type racer struct {
	store      blob.Store
	name       string
	partitions int
	records    int64
	opts       Options
}

// run writes until every partition has all its records. It answers the versions that it was told are its own.
func (r racer) run(ctx context.Context) (mine []int64, err error) {
	var base *Snapshot
	for turn := 0; ; turn++ {
		s, err := Commit(ctx, r.store, base, func(_ context.Context, below *Snapshot) (Actions, error) { return r.prepare(turn, below) }, r.opts)
		var uncertain *UncertainError
		switch {
		case err == nil:
			mine, base = append(mine, s.Version), s
		case errors.Is(err, ErrNothing):
			return mine, nil
		case errors.As(err, &uncertain):
			base = nil // load, and look
		case errors.Is(err, fault.ErrFault), errors.Is(err, ErrContended):
		default:
			return mine, fmt.Errorf("%s: %w", r.name, err)
		}
		if ctx.Err() != nil {
			return mine, ctx.Err()
		}
	}
}

// prepare takes the next record of every second partition, beginning where the partitions stand below.
func (r racer) prepare(turn int, below *Snapshot) (Actions, error) {
	var a Actions
	left := false
	spans := make(map[string]string)
	for p := range r.partitions {
		app := fmt.Sprint("partition-", p)
		next := int64(0)
		if last, ok := below.Txns[app]; ok {
			next = last + 1
		}
		if next == r.records {
			continue
		}
		left = true
		if (p+turn)%2 == 0 || r.partitions == 1 {
			a.Txns = append(a.Txns, Txn{AppID: app, Version: next})
			spans[app] = strconv.FormatInt(next, 10)
		}
	}
	if !left {
		return a, ErrNothing
	}
	if below.Version < 0 {
		a.Metadata = testMetadata()
	}
	add := testAdd(fmt.Sprintf("%s-%04d-%d", r.name, turn, below.Version))
	add.Tags = spans
	a.Adds = append(a.Adds, add)
	return a, nil
}

// wantExactlyOnce reads the log without this package's loader, and counts.
func wantExactlyOnce(t *testing.T, store blob.Store, partitions int, records int64, told map[int64]string) {
	t.Helper()
	next := make(map[string]int64)
	version := int64(0)
	for ; ; version++ {
		commit, err := readCommit(t.Context(), store, version)
		if errors.Is(err, blob.ErrNotFound) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commit.lines {
			if line.Add == nil {
				continue
			}
			if who, ok := told[version]; ok && !strings.HasPrefix(line.Add.Path, who+"-") {
				t.Errorf("version %d: got the file %s, but %s was told that it is its own", version, line.Add.Path, who)
			}
			delete(told, version)
			for app, record := range line.Add.Tags {
				if record != strconv.FormatInt(next[app], 10) {
					t.Errorf("version %d: got record %s of %s, want %d", version, record, app, next[app])
				}
				next[app]++
			}
		}
	}
	for p := range partitions {
		if app := fmt.Sprint("partition-", p); next[app] != records {
			t.Errorf("records of %s: got %d, want %d", app, next[app], records)
		}
	}
	if len(told) > 0 {
		t.Errorf("commits that were reported done and do not stand: %v", told)
	}
	s, err := Load(t.Context(), store, Options{})
	if err != nil || s.Version != version-1 {
		t.Errorf("load: got version %v, %v, want %d", s, err, version-1)
	}
}

// TestRacersOverFaults lets twelve writers commit through a store that fails at every tenth operation or so.
func TestRacersOverFaults(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			const partitions, records = 4, 12
			inner := mem.New()
			store := fault.New(inner, seed, fault.Evenly(0.04))
			var mu sync.Mutex
			told := make(map[int64]string)
			var group sync.WaitGroup
			for i := range 12 {
				r := racer{store: store, name: fmt.Sprint("racer", i), partitions: partitions, records: records}
				r.opts = Options{CheckpointEvery: 5, WithoutFiles: i%2 == 0, Wait: func(ctx context.Context, _ time.Duration) error {
					runtime.Gosched()
					return ctx.Err()
				}}
				group.Go(func() {
					mine, err := r.run(t.Context())
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					for _, version := range mine {
						if other, twice := told[version]; twice {
							t.Errorf("version %d: both %s and %s were told that it is theirs", version, r.name, other)
						}
						told[version] = r.name
					}
				})
			}
			group.Wait()
			if err := store.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantExactlyOnce(t, inner, partitions, records, told)
			t.Logf("faults by kind: %v", store.Faults())
		})
	}
}

// The variables that make the test binary one writer of TestRacersAsProcesses.
const (
	envRoot  = "DELTATEST_ROOT"
	envRacer = "DELTATEST_RACER"
)

func TestMain(m *testing.M) {
	if os.Getenv(envRoot) == "" {
		os.Exit(m.Run())
	}
	store, err := dir.New(os.Getenv(envRoot), dir.Options{})
	if err == nil {
		r := racer{store: store, name: os.Getenv(envRacer), partitions: processPartitions, records: processRecords}
		r.opts = Options{CheckpointEvery: 5}
		_, err = r.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

const (
	processPartitions = 4
	processRecords    = 25
)

// TestRacersAsProcesses lets six processes commit to one folder, and kills two of them where they stand.
func TestRacersAsProcesses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	store, err := dir.New(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	racers := make([]*exec.Cmd, 6)
	outputs := make([]strings.Builder, len(racers))
	for i := range racers {
		racers[i] = exec.CommandContext(t.Context(), self)
		racers[i].Env = append(os.Environ(), envRoot+"="+root, envRacer+"="+fmt.Sprint("process", i))
		racers[i].Stderr = &outputs[i]
		if err := racers[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for version, victim := range []int{0, 1} {
		waitForVersion(t, store, int64(version*5+3))
		if err := racers[victim].Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range racers {
		if err := cmd.Wait(); err != nil && i > 1 {
			t.Errorf("process %d: %v: %s", i, err, outputs[i].String())
		}
	}
	wantExactlyOnce(t, store, processPartitions, processRecords, nil)
}

func waitForVersion(t *testing.T, store blob.Store, version int64) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for {
		if _, err := blob.Stat(t.Context(), store, commitName(version)); err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("version %d did not come within 20 s", version)
		}
	}
}
