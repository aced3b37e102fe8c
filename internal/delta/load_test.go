package delta

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
)

// write puts an object past the package.
func write(t *testing.T, store blob.Store, name, data string) {
	t.Helper()
	if _, err := store.Put(t.Context(), name, strings.NewReader(data), blob.Always()); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, store blob.Store, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := store.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

func logNames(t *testing.T, store blob.Store) []string {
	t.Helper()
	var names []string
	err := store.List(t.Context(), logFolder, func(info blob.Info) error { names = append(names, info.Name); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// grow commits n versions of one file each.
func grow(t *testing.T, store blob.Store, n int, opts Options) *Snapshot {
	t.Helper()
	s, err := Load(t.Context(), store, opts)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		s = mustCommit(t, store, s, addTo(fmt.Sprintf("%04d.parquet", s.Version+1)), opts)
	}
	return s
}

// TestLoadFinds loads from logs whose hint, checkpoints or old versions are not what they should be.
func TestLoadFinds(t *testing.T) {
	ten := Options{CheckpointEvery: 10}
	for name, harm := range map[string]func(t *testing.T, store blob.Store){
		"all well":               func(*testing.T, blob.Store) {},
		"no hint":                func(t *testing.T, s blob.Store) { remove(t, s, hintName) },
		"torn hint":              func(t *testing.T, s blob.Store) { write(t, s, hintName, `{"version":4`) },
		"empty hint":             func(t *testing.T, s blob.Store) { write(t, s, hintName, ``) },
		"hint without a version": func(t *testing.T, s blob.Store) { write(t, s, hintName, `{}`) },
		"hint to nothing":        func(t *testing.T, s blob.Store) { write(t, s, hintName, `{"version":77,"size":1}`) },
		"stale hint":             func(t *testing.T, s blob.Store) { write(t, s, hintName, `{"version":10,"size":1}`) },
		"foreign hint": func(t *testing.T, s blob.Store) {
			write(t, s, hintName, `{"version":40,"size":1,"checksum":"x","v2":{"a":[1]}}`)
		},
		"no checkpoint": func(t *testing.T, s blob.Store) {
			remove(t, s, checkpointName(10), checkpointName(20), checkpointName(30), checkpointName(40))
		},
		"cleaned": func(t *testing.T, s blob.Store) {
			for v := range int64(40) {
				remove(t, s, commitName(v), checkpointName(v))
			}
		},
		"cleaned, stale hint": func(t *testing.T, s blob.Store) {
			for v := range int64(40) {
				remove(t, s, commitName(v))
			}
			write(t, s, hintName, `{"version":10,"size":1}`)
		},
		"strangers in the log": func(t *testing.T, s blob.Store) {
			write(t, s, logFolder+"00000000000000000003.crc", "{}")
			write(t, s, logFolder+".s3-optimization-0", "")
			write(t, s, logFolder+"_commits/x", "")
			write(t, s, logFolder+"00000000000000000044.00000000000000000045.compacted.json", "{}")
			write(t, s, logFolder+"00000000000000000040.checkpoint.0000000001.0000000002.parquet", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := mem.New()
			want := grow(t, store, 46, ten)
			harm(t, store)
			got, err := Load(t.Context(), store, ten)
			if err != nil {
				t.Fatal(err)
			}
			if describe(got) != describe(want) {
				t.Errorf("got\n%s\nwant\n%s", describe(got), describe(want))
			}
			next := mustCommit(t, store, got, addTo("next"), ten)
			if next.Version != 46 {
				t.Errorf("next version: got %d, want 46", next.Version)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	begin := `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}` + "\n" +
		`{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{}","partitionColumns":[],"configuration":{}}}` + "\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"reader version":  {map[string]string{commitName(0): begin, commitName(1): `{"protocol":{"minReaderVersion":2,"minWriterVersion":5}}`}, "minReaderVersion 2"},
		"writer version":  {map[string]string{commitName(0): begin, commitName(1): `{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}`}, "minWriterVersion 4"},
		"reader feature":  {map[string]string{commitName(0): `{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}`}, `"deletionVectors"`},
		"writer feature":  {map[string]string{commitName(0): `{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["appendOnly"]}}`}, `"appendOnly"`},
		"deletion vector": {map[string]string{commitName(0): begin + `{"add":{"path":"a","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true,"deletionVector":{"storageType":"u"}}}`}, "deletion vectors"},
		"format":          {map[string]string{commitName(0): `{"metaData":{"id":"x","format":{"provider":"orc"}}}`}, `"orc"`},
		"shallow clone":   {map[string]string{commitName(0): begin + `{"add":{"path":"s3://b/a","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}`}, "outside the table"},
		"torn version":    {map[string]string{commitName(0): begin + `{"add":{"pa`}, commitName(0)},
		"hole":            {map[string]string{commitName(0): begin, commitName(2): "{}"}, "version 1 is missing although 2 exists"},
		"a stranger's":    {map[string]string{commitName(0): begin, commitName(500): "{}"}, "restore the missing file, or, if " + commitName(500) + " is a stranger's"},
		"beginning lost":  {map[string]string{commitName(3): "{}"}, "version 0 is missing although 3 exists"},
		"other checkpoints": {
			map[string]string{commitName(3): "{}", logFolder + "00000000000000000002.checkpoint.0000000001.0000000002.parquet": ""},
			"write a classic checkpoint",
		},
		"no metadata":        {map[string]string{commitName(0): `{"commitInfo":{}}`}, "no protocol or no metadata"},
		"broken checkpoint":  {map[string]string{commitName(0): begin, checkpointName(0): "not Parquet"}, checkpointName(0)},
		"truncated versions": {map[string]string{commitName(0): begin[:40]}, commitName(0)},
	} {
		t.Run(name, func(t *testing.T) {
			store := mem.New()
			for file, data := range test.files {
				write(t, store, file, data)
			}
			s, err := Load(t.Context(), store, Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v, want an error that says %q", s, err, test.want)
			}
		})
	}
}

func TestLoadAt(t *testing.T) {
	store := mem.New()
	opts := Options{CheckpointEvery: 10}
	var want []string
	s, err := Load(t.Context(), store, opts)
	if err != nil {
		t.Fatal(err)
	}
	for range 35 {
		s = mustCommit(t, store, s, addTo(fmt.Sprintf("%04d", s.Version+1)), opts)
		want = append(want, describe(s))
	}
	for v := range int64(13) {
		remove(t, store, commitName(v))
	}
	for v := range int64(36) {
		got, err := LoadAt(t.Context(), store, v, opts)
		if v < 10 || v > 10 && v < 20 || v == 35 {
			if !errors.Is(err, ErrNoVersion) {
				t.Errorf("version %d, which is not there: got %v, want %v", v, err, ErrNoVersion)
			}
			continue
		}
		if err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		if describe(got) != want[v] {
			t.Errorf("version %d: got\n%s\nwant\n%s", v, describe(got), want[v])
		}
	}
}

// TestRefreshPastCleaning refreshes a snapshot whose successors are gone, and one that would follow what a paused writer
// put into the hole.
func TestRefreshPastCleaning(t *testing.T) {
	for name, intruder := range map[string]string{"hole": "", "intruder": `{"txn":{"appId":"app","version":99}}`} {
		t.Run(name, func(t *testing.T) {
			store := mem.New()
			opts := Options{CheckpointEvery: 10}
			old := grow(t, store, 6, opts)
			want := grow(t, store, 19, opts)
			for v := range int64(20) {
				remove(t, store, commitName(v), checkpointName(v))
			}
			if intruder != "" {
				write(t, store, commitName(6), intruder)
			}
			got, err := old.Refresh(t.Context())
			if err != nil || describe(got) != describe(want) {
				t.Errorf("got %v and\n%s\nwant\n%s", err, describe(got), describe(want))
			}
		})
	}
}

// TestCheckpointsChangeNothing compares, after random actions, what is loaded through checkpoints with what is replayed
// from the first version on.
func TestCheckpointsChangeNothing(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
			store := mem.NewAt(func() time.Time { return now })
			opts := Options{CheckpointEvery: 1 + random.Int64N(9)}
			s := grow(t, store, 1, opts)
			for range 60 {
				now = now.Add(time.Duration(random.IntN(24)) * time.Hour) // tombstones grow old as well
				s = mustCommit(t, store, s, func(_ context.Context, below *Snapshot) (Actions, error) {
					return randomActions(random, below, now), nil
				}, opts)
			}
			through, err := Load(t.Context(), store, Options{})
			if err != nil {
				t.Fatal(err)
			}
			small, err := Load(t.Context(), store, Options{WithoutFiles: true})
			if err != nil {
				t.Fatal(err)
			}
			odd := func(add Add) bool { return len(add.Path)%2 == 1 }
			found, err := Find(t.Context(), store, odd)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range logNames(t, store) {
				if !strings.HasSuffix(name, commitSuffix) {
					remove(t, store, name)
				}
			}
			replayed, err := Load(t.Context(), store, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for what, got := range map[string]*Snapshot{"written": s, "through checkpoints": through} {
				if describe(got) != describe(replayed) {
					t.Errorf("%s: got\n%s\nwant, replayed,\n%s", what, describe(got), describe(replayed))
				}
			}
			want := slices.DeleteFunc(slices.Clone(replayed.Files), func(add Add) bool { return !odd(add) })
			if got, want := describe(&Snapshot{Files: found}), describe(&Snapshot{Files: want}); got != want {
				t.Errorf("found: got\n%s\nwant\n%s", got, want)
			}
			for app := range replayed.Txns {
				got, known := through.Txn(app)
				if want, _ := replayed.Txn(app); !known || got != want || want.Updated.IsZero() != (app == "app") {
					t.Errorf("got txn %+v want %+v, of a time", got, want)
				}
			}
			small.Files = replayed.Files
			if describe(small) != describe(replayed) {
				t.Errorf("without files: got\n%s\nwant\n%s", describe(small), describe(replayed))
			}
		})
	}
}

func randomActions(random *rand.Rand, below *Snapshot, now time.Time) Actions {
	var a Actions
	for i := range random.IntN(4) {
		add := testAdd(fmt.Sprintf("day=%d/%d-%d ü", random.IntN(3), below.Version, i))
		add.Modified = now
		switch random.IntN(3) {
		case 0:
			add.Stats, add.Tags = nil, map[string]string{"a": "", "ü": "b"}
		case 1:
			add.Partition = map[string]string{"day": "", "other": "x"}
		}
		a.Adds = append(a.Adds, add)
	}
	if random.IntN(2) == 0 && len(below.Files) > 0 {
		a.Removes = append(a.Removes, RemoveOf(below.Files[random.IntN(len(below.Files))]))
	}
	a.Txns = append(a.Txns, Txn{AppID: fmt.Sprint("app", random.IntN(5)), Version: random.Int64(), Updated: now})
	if random.IntN(20) == 0 {
		a.Metadata = testMetadata()
		a.Metadata.Configuration = map[string]string{"x": fmt.Sprint(random.Int()), "delta.deletedFileRetentionDuration": "interval 2 days"}
		a.Metadata.Created = now
	}
	return a
}

// TestTombstones makes sure that a checkpoint holds the removes of the retention, and no older ones.
func TestTombstones(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	store := mem.NewAt(func() time.Time { return now })
	opts := Options{CheckpointEvery: 5}
	s := grow(t, store, 20, opts)
	for day := range 14 {
		now = now.Add(24 * time.Hour)
		s = mustCommit(t, store, s, func(_ context.Context, below *Snapshot) (Actions, error) {
			return Actions{Removes: []Remove{RemoveOf(below.Files[0])}, Txns: []Txn{{AppID: "day", Version: int64(day)}}}, nil
		}, Options{CheckpointEvery: 1})
	}
	var days []string
	l := log{store: store, opts: opts.withDefaults()}
	err := l.visitCheckpoint(t.Context(), s.Version, func(line wireLine) error {
		if line.Remove != nil {
			days = append(days, fromMillis(line.Remove.DeletionTimestamp).Format("02"))
		}
		return nil
	})
	slices.Sort(days)
	if want := []string{"09", "10", "11", "12", "13", "14", "15"}; err != nil || !slices.Equal(days, want) {
		t.Errorf("days of tombstones on the 15th, kept 7 days: got %v, %v, want %v", days, err, want)
	}
}

func TestTombstoneRetention(t *testing.T) {
	for property, want := range map[string]time.Duration{
		"interval 7 days": 7 * 24 * time.Hour, "interval 1 week": 7 * 24 * time.Hour, "INTERVAL 36500 DAYS": 36500 * 24 * time.Hour,
		"interval 90 seconds": 90 * time.Second, "interval 100 years": 0, "7 days": 0, "": 0, "interval 9223372036854775807 days": 0, "interval -1 days": 0,
	} {
		got, known := tombstoneRetention(map[string]string{"delta.deletedFileRetentionDuration": property})
		if got != want || known != (want != 0) {
			t.Errorf("%q: got %v, %v, want %v", property, got, known, want)
		}
	}
	if got, known := tombstoneRetention(nil); got != 7*24*time.Hour || !known {
		t.Errorf("no property: got %v, %v, want 7 days", got, known)
	}
}
