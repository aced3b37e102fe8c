package compactor

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/archive/archivetest"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

const (
	topic = "cosmos.shop.products"
	shop  = "shop.products"
)

// story is a world that is archived step by step.
type story struct {
	world  *archivetest.World
	topic  *archivetest.Topic
	root   blob.Store
	target Target
}

func newStory(t *testing.T, rng *rand.Rand, root blob.Store) *story {
	t.Helper()
	top, err := archivetest.NewTopic(t.Context(), root, topic)
	must(t, err)
	world, err := archivetest.NewWorld(top, shop, rng)
	must(t, err)
	rules, err := archivetest.SoftRules()
	must(t, err)
	return &story{world: world, topic: top, root: root, target: Target{Topic: topic, Container: shop, Rules: rules}}
}

func (s *story) tell(t *testing.T, steps int) {
	t.Helper()
	for i := range steps {
		s.world.Step()
		if i%30 == 29 {
			must(t, s.topic.Flush(t.Context()))
		}
	}
	s.world.Settle()
	must(t, s.topic.Flush(t.Context()))
}

func (s *story) points(t *testing.T) []archive.Point {
	t.Helper()
	changes, err := s.topic.Changes(t.Context())
	must(t, err)
	line, err := archive.LoadTimeline(t.Context(), changes, shop, s.target.Rules)
	must(t, err)
	return line.Points()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func noSleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func newCompactor(t *testing.T, root blob.Store) *Compactor {
	t.Helper()
	c, err := New(Options{Root: root, Split: 400, Spill: t.TempDir(), Sleep: noSleep})
	must(t, err)
	return c
}

func snapshot(ctx context.Context, c *Compactor, target Target, at string) (*Result, error) {
	plan, err := c.Plan(ctx, target, at)
	if err != nil {
		return nil, err
	}
	return c.Execute(ctx, plan)
}

// check reads `state` as any program would, and compares it with the truth of its newest snapshot. It answers the names of
// all snapshots.
func (s *story) check(t *testing.T) []string {
	t.Helper()
	ctx := t.Context()
	store := blob.Prefixed(s.root, schemas.StatePrefix(topic, shop, s.world.Incarnation))
	state, err := delta.Load(ctx, store, delta.Options{})
	must(t, err)
	names := archive.SnapshotNames(state)
	if len(names) == 0 {
		if state.Version != delta.NoTable {
			t.Fatalf("got version %d of state without a snapshot", state.Version)
		}
		return nil
	}
	if state.Metadata.Configuration["delta.deletedFileRetentionDuration"] != "interval 36525 days" {
		t.Errorf("got configuration %v", state.Metadata.Configuration)
	}
	m, err := archive.ReadManifestOf(ctx, s.root, topic, shop, s.world.Incarnation, names[len(names)-1])
	must(t, err)
	var files []string
	for _, file := range m.Files {
		files = append(files, file.Path)
	}
	var live []string
	for _, add := range state.Files {
		live = append(live, add.Path)
	}
	slices.Sort(files)
	if !slices.Equal(files, live) {
		t.Fatalf("got files of state %v want those of the manifest %v", live, files)
	}
	got := archivetest.Truth{}
	var last *archive.Key
	for i, file := range m.Files {
		if i > 0 && m.Files[i-1].Last.Compare(file.First) >= 0 {
			t.Errorf("file %d begins at %v, the one before ends at %v", i, file.First, m.Files[i-1].Last)
		}
		r, err := archive.OpenFile(ctx, store, file.Path, file.Size, archive.Columns{})
		must(t, err)
		var row archive.Row
		for {
			more, err := r.Next(&row)
			must(t, err)
			if !more {
				break
			}
			key := archive.Key{PartitionKey: string(row.PartitionKey), ID: string(row.ID)}
			if last != nil && last.Compare(key) >= 0 {
				t.Errorf("got %v after %v", key, *last)
			}
			last, got[key] = &key, string(row.Document)
		}
		r.Close()
	}
	want, ok := s.world.Truth(&m.Point)
	if !ok || len(got) != len(want) || m.Rows != int64(len(want)) {
		t.Fatalf("got %d documents, the manifest says %d, want %d", len(got), m.Rows, len(want))
	}
	for key, document := range want {
		if got[key] != document {
			t.Errorf("document %v: got %q want %q", key, got[key], document)
		}
	}
	return names
}

func TestSnapshots(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	based, taken := 0, 0
	for round := range 12 {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		s := newStory(t, rng, mem.New())
		c := newCompactor(t, s.root)
		for range 5 {
			s.tell(t, 60)
			plan, err := c.Plan(t.Context(), s.target, "")
			must(t, err)
			result, err := c.Execute(t.Context(), plan)
			must(t, err)
			if names := s.check(t); names[len(names)-1] != plan.Point.Name || result.Point != plan.Point.Name || !result.Fresh {
				t.Fatalf("seed %d round %d: got snapshots %v, result %+v want %s", seed, round, names, result, plan.Point.Name)
			}
			taken++
			if result.Base != "" {
				based++
			}
			again, err := c.Plan(t.Context(), s.target, plan.Point.Name)
			must(t, err)
			if result, err = c.Execute(t.Context(), again); err != nil || !again.Exists || result.Fresh {
				t.Errorf("again: got plan %+v, %v want one that exists", again, err)
			}
		}
	}
	t.Logf("%d of %d snapshots upon the one before", based, taken)
	if based == 0 || based == taken {
		t.Errorf("got %d of %d upon a base want some", based, taken)
	}
}

func TestPlanSaysUnchanged(t *testing.T) {
	s := newStory(t, rand.New(rand.NewPCG(1, 2)), mem.New())
	s.tell(t, 100)
	c := newCompactor(t, s.root)
	if _, err := snapshot(t.Context(), c, s.target, ""); err != nil {
		t.Fatal(err)
	}
	s.world.Settle() // new marks at the same cuts
	must(t, s.topic.Flush(t.Context()))
	plan, err := c.Plan(t.Context(), s.target, "")
	must(t, err)
	if plan.Exists || !plan.Unchanged {
		t.Errorf("got %+v want a plan of a new point that is unchanged", plan)
	}
	var text strings.Builder
	must(t, plan.Print(&text))
	for _, want := range []string{plan.Point.Name, "merges the snapshot", "exact", "same documents"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("got %s want %q in it", text.String(), want)
		}
	}
	s.world.Write(5)
	s.world.Settle()
	must(t, s.topic.Flush(t.Context()))
	plan, err = c.Plan(t.Context(), s.target, "")
	must(t, err)
	if plan.Unchanged {
		t.Error("got unchanged after writes")
	}
}

// contradict archives a row of the same order as one that is there, with another etag.
func (s *story) contradict(t *testing.T) {
	t.Helper()
	s.world.Settle()
	must(t, s.topic.Flush(t.Context()))
	points := s.points(t)
	newest := points[len(points)-1]
	rows, err := s.topic.Naive(&newest, &s.target.Rules)
	must(t, err)
	for _, row := range rows {
		row.ETag = []byte("another")
		s.topic.Publish(0, shop, row)
		break
	}
	s.world.Settle() // publishes marks to partition 0,
	s.world.Settle() // and marks that name these
	must(t, s.topic.Flush(t.Context()))
}

func TestContradictionHaltsUntilCleared(t *testing.T) {
	s := newStory(t, rand.New(rand.NewPCG(3, 9)), mem.New())
	s.tell(t, 100)
	s.contradict(t)
	_, err := snapshot(t.Context(), newCompactor(t, s.root), s.target, "")
	var halt *schemas.Halt
	if !errors.As(err, &halt) || halt.ExitCode() != 3 {
		t.Fatalf("got %v want a halt", err)
	}
	first := *halt
	c := newCompactor(t, s.root)
	for range 2 { // also after a restart, without looking at the rows
		if _, err := c.Plan(t.Context(), s.target, ""); !errors.As(err, &halt) || !halt.Since.Equal(first.Since) || halt.Evidence != first.Evidence {
			t.Fatalf("got %v want the first halt", err)
		}
	}
	cleared, err := c.Clear(t.Context(), s.target)
	if err != nil || len(cleared) != 1 || cleared[0].Evidence != first.Evidence {
		t.Fatalf("got %v, %v want one halt", cleared, err)
	}
	if cleared, err = c.Clear(t.Context(), s.target); err != nil || len(cleared) != 0 {
		t.Fatalf("got %v, %v want none", cleared, err)
	}
	if _, err := snapshot(t.Context(), c, s.target, ""); !errors.As(err, &halt) {
		t.Errorf("got %v want a halt: the rows are the same", err)
	}
}

func TestRefusals(t *testing.T) {
	refused := func(t *testing.T, err error, want string) {
		t.Helper()
		var r *archive.RefusedError
		if !errors.As(err, &r) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v want a refusal with %q", err, want)
		}
	}
	ctx := t.Context()
	root := mem.New()
	s := newStory(t, rand.New(rand.NewPCG(4, 4)), root)
	c := newCompactor(t, root)
	if _, err := c.Plan(ctx, Target{Topic: "nobody", Container: shop}, ""); !errors.Is(err, topicid.ErrNoTopic) {
		t.Errorf("got %v want %v", err, topicid.ErrNoTopic)
	}
	_, err := c.Plan(ctx, s.target, "")
	refused(t, err, "no exact restore point")
	s.tell(t, 80)
	old := s.points(t)[0]
	if _, err := snapshot(ctx, c, s.target, ""); err != nil {
		t.Fatal(err)
	}
	_, err = c.Plan(ctx, s.target, old.Name)
	refused(t, err, "newer than point")
	_, err = c.Plan(ctx, s.target, "20261120T101500.999Z-1a2b3c4d")
	refused(t, err, "does not fold")
	none, err := archive.NewRules(archive.DeletesNone, "", nil)
	must(t, err)
	s.tell(t, 30)
	plan, err := c.Plan(ctx, Target{Topic: topic, Container: shop, Rules: none}, "")
	if err != nil || plan.Base != "" {
		t.Errorf("other rules: got base %q, %v want none", plan.Base, err)
	}
	s.topic.Publish(0, schemas.ControlContainer, archive.Row{Op: schemas.OpQuarantined, Document: []byte(`{"reason":"torn"}`)})
	s.world.Settle()
	s.world.Settle()
	must(t, s.topic.Flush(ctx))
	tainted := s.points(t)
	newest := tainted[len(tainted)-1]
	_, err = c.Plan(ctx, s.target, newest.Name)
	refused(t, err, "tainted")
}

func TestRunGoesOn(t *testing.T) {
	root := mem.New()
	good, bad := newStory(t, rand.New(rand.NewPCG(4, 5)), root), Target{Topic: "nobody", Container: "shop.nothing"}
	good.tell(t, 60)
	ctx, cancel := context.WithCancel(t.Context())
	var pauses []time.Duration
	reports := map[string]int{}
	c, err := New(Options{
		Root: root, Spill: t.TempDir(),
		Report: func(part string, err error) {
			if err == nil {
				reports[part]++
			}
		},
		Sleep: func(ctx context.Context, d time.Duration) error {
			if d >= time.Second {
				pauses = append(pauses, d)
				good.tell(t, 20)
			}
			if len(pauses) == 3 {
				cancel()
			}
			return ctx.Err()
		},
	})
	must(t, err)
	must(t, c.Run(ctx, []Target{bad, good.target}, time.Hour))
	if names := good.check(t); len(names) != 3 || reports[shop] != 3 || reports["shop.nothing"] != 3 {
		t.Errorf("got snapshots %v, reports %v want 3", names, reports)
	}
	if pauses[0] != firstRetry {
		t.Errorf("got a pause of %v want %v, as one container has no point", pauses[0], firstRetry)
	}
	good.contradict(t)
	err = c.Run(t.Context(), []Target{good.target}, time.Hour)
	if !errors.As(err, new(*schemas.Halt)) {
		t.Errorf("got %v want a halt, as every container is halted", err)
	}
}

func TestEmptyContainer(t *testing.T) {
	s := newStory(t, rand.New(rand.NewPCG(4, 5)), mem.New())
	s.world.Settle()
	must(t, s.topic.Flush(t.Context()))
	result, err := snapshot(t.Context(), newCompactor(t, s.root), s.target, "")
	if err != nil || result.Rows != 0 || result.Files != 0 {
		t.Fatalf("got %+v, %v want an empty snapshot", result, err)
	}
	s.check(t)
	s.world.Write(30)
	s.world.Settle()
	must(t, s.topic.Flush(t.Context()))
	if result, err = snapshot(t.Context(), newCompactor(t, s.root), s.target, ""); err != nil || result.Rows == 0 || result.Base == "" {
		t.Fatalf("got %+v, %v want documents upon the empty base", result, err)
	}
	s.check(t)
}

func TestSmallContainersNeedNoSpill(t *testing.T) {
	s := newStory(t, rand.New(rand.NewPCG(4, 5)), mem.New())
	s.tell(t, 60)
	c := newCompactor(t, s.root)
	c.opts.Spill = "/nowhere/at/all"
	if _, err := snapshot(t.Context(), c, s.target, ""); err != nil {
		t.Errorf("got %v want none", err)
	}
}
