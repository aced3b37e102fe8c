package replay

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/archive/archivetest"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/schemas"
)

const (
	topic = "cosmos.shop.products"
	shop  = "shop.products"
)

// story is a world that was archived.
type story struct {
	world   *archivetest.World
	changes *archive.Changes
	rules   archive.Rules
	points  []archive.Point
}

func tell(t *testing.T, rng *rand.Rand, steps int) *story {
	t.Helper()
	ctx := t.Context()
	top, err := archivetest.NewTopic(ctx, mem.New(), topic)
	must(t, err)
	world, err := archivetest.NewWorld(top, shop, rng)
	must(t, err)
	for range steps {
		world.Step()
		if rng.IntN(25) == 0 {
			must(t, top.Flush(ctx))
		}
	}
	world.Settle()
	must(t, top.Flush(ctx))
	changes, err := top.Changes(ctx)
	must(t, err)
	rules, err := archivetest.SoftRules()
	must(t, err)
	line, err := archive.LoadTimeline(ctx, changes, shop, rules)
	must(t, err)
	return &story{world: world, changes: changes, rules: rules, points: line.Points()}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *story) options(p archive.Point) Options {
	return Options{Changes: s.changes, Point: p, Rules: s.rules}
}

// content reads an iterator to its end, and checks its order.
func content(t *testing.T, opts Options) (map[archive.Key]string, schemas.Offsets) {
	t.Helper()
	got, leftOut, err := contentOf(t, opts)
	must(t, err)
	return got, leftOut
}

func contentOf(t *testing.T, opts Options) (map[archive.Key]string, schemas.Offsets, error) {
	t.Helper()
	if opts.Spill == "" {
		opts.Spill = t.TempDir()
	}
	it, err := Open(t.Context(), opts)
	if err != nil {
		return nil, nil, err
	}
	got := map[archive.Key]string{}
	var last archive.Key
	for {
		row, err := it.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, errors.Join(err, it.Close())
		}
		key := archive.Key{PartitionKey: string(row.PartitionKey), ID: string(row.ID)}
		if len(got) > 0 && last.Compare(key) >= 0 {
			t.Fatalf("got %v after %v", key, last)
		}
		last, got[key] = key, string(row.Document)
	}
	leftOut, ok := it.LeftOut()
	if !ok {
		t.Fatal("the offsets left out are not known at the end")
	}
	must(t, it.Close())
	if left, err := os.ReadDir(opts.Spill); err != nil || len(left) > 0 {
		t.Fatalf("got %d things in the spill folder, %v want none", len(left), err)
	}
	return got, leftOut, nil
}

func compare(t *testing.T, what string, got map[archive.Key]string, want archivetest.Truth) {
	t.Helper()
	for key, document := range want {
		if got[key] != document {
			t.Errorf("%s: document %v: got %q want %q", what, key, got[key], document)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s: document %v: got %q want none", what, key, got[key])
		}
	}
}

// snapshot writes the content of a point as a base.
func (s *story) snapshot(t *testing.T, p archive.Point, base *archive.Manifest) *archive.Manifest {
	t.Helper()
	ctx := t.Context()
	opts := s.options(p)
	opts.Base = base
	it, err := Open(ctx, opts)
	must(t, err)
	store := blob.Prefixed(s.changes.Root(), schemas.StatePrefix(topic, shop, p.Incarnation))
	w := archive.NewStateWriter(store, &p, 1)
	for {
		row, err := it.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		must(t, w.Write(ctx, row))
	}
	files, err := w.Close(ctx)
	must(t, err)
	leftOut, _ := it.LeftOut()
	must(t, it.Close())
	return &archive.Manifest{Format: 1, Topic: s.changes.UUID, Point: p, Rules: s.rules, Files: files, LeftOut: leftOut}
}

func TestReplayAgainstTruth(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	points, based := 0, 0
	for round := range 30 {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		s := tell(t, rng, 100+rng.IntN(400))
		for range min(4, len(s.points)) {
			p := s.points[rng.IntN(len(s.points))]
			want, ok := s.world.Truth(&p)
			if !ok {
				t.Fatalf("seed %d round %d: no truth of %v", seed, round, p.Cuts)
			}
			points++
			naive, err := s.world.Topic.Naive(&p, &s.rules)
			must(t, err)
			byHand := map[archive.Key]string{}
			for key, row := range naive {
				byHand[key] = string(row.Document)
			}
			compare(t, "naive", byHand, want)
			opts := s.options(p)
			got, leftOut := content(t, opts)
			compare(t, "rows alone", got, want)
			opts.fan = 2 + rng.IntN(3)
			got, _ = content(t, opts)
			compare(t, "in passes", got, want)
			opts.fan = 2 * rng.IntN(3)
			if old := s.points[rng.IntN(len(s.points))]; len(opts.Point.Cuts) > 0 {
				base := s.snapshot(t, old, nil)
				opts.Base = base
				got, leftOutWithBase, err := contentOf(t, opts)
				if usable := base.Usable(s.changes.UUID, &p, &s.rules); usable != nil {
					if !errors.Is(err, archive.ErrNoBase) {
						t.Errorf("got %v want %v", err, usable)
					}
					continue
				}
				must(t, err)
				based++
				compare(t, "base and rows", got, want)
				for partition, offset := range leftOut {
					if leftOutWithBase[partition] != offset {
						t.Errorf("left out of topic partition %d: got %d with a base want %d", partition, leftOutWithBase[partition], offset)
					}
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d round %d, point %s", seed, round, p.Name)
			}
		}
	}
	t.Logf("%d points, %d with a base", points, based)
	if points < 30 || based < 5 {
		t.Errorf("got %d points and %d bases: the worlds try too little", points, based)
	}
}

func TestBaseUponBase(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := tell(t, rng, 900)
	var base *archive.Manifest
	chained := 0
	for i := 0; i < len(s.points); i += 1 + rng.IntN(len(s.points)/8+1) {
		p := s.points[i]
		if base != nil && base.Usable(s.changes.UUID, &p, &s.rules) != nil {
			base = nil
		} else if base != nil {
			chained++
		}
		base = s.snapshot(t, p, base)
		opts := s.options(p)
		opts.Base = base
		got, _ := content(t, opts)
		want, _ := s.world.Truth(&p)
		compare(t, p.Name, got, want)
	}
	t.Logf("%d points of %d upon the one before", chained, len(s.points))
}

func TestBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	s := tell(t, rng, 500)
	p := s.points[len(s.points)-1]
	all, _ := content(t, s.options(p))
	base := s.snapshot(t, s.points[len(s.points)/2], nil)
	found := 0
	for range 40 {
		from, to := randomKey(rng, all), randomKey(rng, all)
		if rng.IntN(2) == 0 {
			to = from // one document
		}
		want := archivetest.Truth{}
		for key, document := range all {
			if from.Compare(key) <= 0 && key.Compare(to) <= 0 {
				want[key] = document
			}
		}
		found += len(want)
		opts := s.options(p)
		opts.From, opts.To = &from, &to
		got, _ := content(t, opts)
		compare(t, "bounds", got, want)
		if base.Usable(s.changes.UUID, &p, &s.rules) == nil {
			opts.Base = base
			got, _ = content(t, opts)
			compare(t, "bounds with a base", got, want)
		}
	}
	if found == 0 {
		t.Error("got no documents within bounds")
	}
}

func randomKey(rng *rand.Rand, all map[archive.Key]string) archive.Key {
	n := rng.IntN(len(all))
	for key := range all {
		if n--; n < 0 {
			return key
		}
	}
	return archive.Key{}
}

func TestHistory(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 7))
	s := tell(t, rng, 600)
	counts := map[archive.Key]int{}
	for _, row := range s.world.Topic.Of(shop) {
		counts[archive.Key{PartitionKey: string(row.PartitionKey), ID: string(row.ID)}]++
	}
	counts[archive.Key{PartitionKey: `["nobody"]`, ID: "x"}] = 0
	for key, want := range counts {
		v, err := History(t.Context(), s.changes, shop, key)
		must(t, err)
		var last archive.Row
		n := 0
		for ; ; n++ {
			row, err := v.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			if n > 0 && (last.Compare(row) > 0 || last.Compare(row) == 0 && last.TopicPartition == row.TopicPartition && last.Offset >= row.Offset) {
				t.Errorf("history of %v: row %d stands before its predecessor", key, n)
			}
			if len(row.Topic) == 0 || row.PublishedAt == 0 || string(row.ID) != key.ID {
				t.Errorf("history of %v: got a row with topic %q, published at %d", key, row.Topic, row.PublishedAt)
			}
			last = *row
			last.PartitionKey, last.ID = []byte(key.PartitionKey), []byte(key.ID)
		}
		must(t, v.Close())
		if n != want {
			t.Errorf("history of %v: got %d rows want %d", key, n, want)
		}
	}
}

func TestCancel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	s := tell(t, rng, 300)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	opts := s.options(s.points[len(s.points)-1])
	opts.fan, opts.Spill = 2, t.TempDir()
	if _, err := Open(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v want %v", err, context.Canceled)
	}
	if left, err := os.ReadDir(opts.Spill); err != nil || len(left) > 0 {
		t.Errorf("got %d things in the spill folder, %v want none", len(left), err)
	}
}
