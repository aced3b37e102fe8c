package archive

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// growing is a table that is written as an archiver writes it, one flush every 15 seconds.
type growing struct {
	t     *testing.T
	store blob.Store
	now   time.Time
	topic schemas.UUID
	table *delta.Snapshot
	next  schemas.Offsets
	last  map[int32]Row
	rng   *rand.Rand
}

func newGrowing(t *testing.T) *growing {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := &growing{
		t: t, now: time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC), topic: schemas.NewUUID(), next: schemas.Offsets{}, last: map[int32]Row{},
		rng: rand.New(rand.NewPCG(seed, 0)),
	}
	g.store = mem.NewAt(func() time.Time { return g.now })
	return g
}

// flush commits so many rows of partitions, in files of three containers.
func (g *growing) flush(counts map[int32]int) {
	g.t.Helper()
	rows := map[string][]Row{}
	actions := delta.Actions{}
	for partition, n := range counts {
		for range n {
			container := []string{"shop.orders", "shop.carts", schemas.ControlContainer}[g.rng.IntN(3)]
			row := Row{
				PartitionKey: fmt.Appendf(nil, "key-%d", g.rng.IntN(9)), ID: []byte("1"), Op: schemas.OpUpserted, Document: []byte(`{"n":1}`),
				EPK: []byte("00"), Topic: []byte(g.topic.String()), TopicPartition: partition, Offset: g.next[partition], PublishedAt: g.rng.Int64N(1e15),
			}
			rows[container] = append(rows[container], row)
			if container != schemas.ControlContainer {
				row.Document = nil
			}
			g.last[partition] = row
			g.next[partition]++
		}
		actions.Txns = append(actions.Txns, delta.Txn{AppID: schemas.TxnAppID(g.topic, partition), Version: g.next[partition] - 1, Updated: g.now})
	}
	for container, rows := range rows {
		actions.Adds = append(actions.Adds, g.upload(container, rows))
	}
	g.commit(actions)
	g.now = g.now.Add(15 * time.Second)
}

func (g *growing) upload(container string, rows []Row) delta.Add {
	g.t.Helper()
	slices.SortStableFunc(rows, func(a, b Row) int { return a.Compare(&b) })
	file, stats := writeFile(g.t, schemas.ChangeColumns(), rows)
	path, values := ChangeFile(container, g.now, schemas.NewUUID())
	info, err := g.store.Put(g.t.Context(), path, bytes.NewReader(file), blob.IfAbsent())
	if err != nil {
		g.t.Fatal(err)
	}
	text, err := stats.Delta()
	if err != nil {
		g.t.Fatal(err)
	}
	return delta.Add{Path: path, Partition: values, Size: stats.Bytes, Modified: info.Modified, DataChange: true, Stats: text}
}

func (g *growing) commit(actions delta.Actions) {
	g.t.Helper()
	prepare := func(_ context.Context, below *delta.Snapshot) (delta.Actions, error) {
		if below.Version < 0 {
			var err error
			actions.Metadata, err = ChangesMetadata("t", g.topic)
			return actions, err
		}
		return actions, nil
	}
	var err error
	if g.table, err = delta.Commit(g.t.Context(), g.store, g.table, prepare, delta.Options{CheckpointEvery: 50}); err != nil {
		g.t.Fatal(err)
	}
}

// check finds the last rows, and answers how many files were opened for that.
func (g *growing) check(partitions ...int32) (opened int) {
	g.t.Helper()
	var mu sync.Mutex
	names := map[string]bool{}
	watched := fault.NewHooked(g.store, func(_ context.Context, op fault.Op) fault.Fault {
		if op.Kind == fault.Get && strings.HasPrefix(op.Name, "container=") {
			mu.Lock()
			names[op.Name] = true

			mu.Unlock()
		}
		return fault.None
	})
	small, err := delta.Load(g.t.Context(), g.store, delta.Options{WithoutFiles: true})
	if err != nil {
		g.t.Fatal(err)
	}
	found, err := LastRows(g.t.Context(), watched, small, g.topic, partitions)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, partition := range partitions {
		want, known := g.last[partition]
		switch got := found[partition]; {
		case !known && got != nil:
			g.t.Errorf("partition %d: got %+v want none", partition, got)
		case known && (got == nil || fmt.Sprint(*got) != fmt.Sprint(want)):
			g.t.Errorf("partition %d: got %+v want %+v", partition, got, want)
		}
	}
	return len(names)
}

// TestLastRows finds the rows of the last offsets among thousands of files whose offsets overlap, and opens the files of their
// commits alone.
func TestLastRows(t *testing.T) {
	g := newGrowing(t)
	for i := range 600 { // from 22:00 past midnight
		counts := map[int32]int{0: 20, 1: 1}
		if i == 100 {
			counts[2] = 7 // and never again
		}
		g.flush(counts)
	}
	if n := g.check(0, 1, 2, 3); n > 7 { // groups of 1, 2 and 4 files hold the 6 of two commits
		t.Errorf("got %d files opened want those of two commits, and one beside them", n)
	}
	if n := g.check(); n > 0 {
		t.Errorf("got %d files opened for no partition", n)
	}
}

// TestLastRowsOfGaps finds the gap row that stands for the last offset, far behind its own.
func TestLastRowsOfGaps(t *testing.T) {
	g := newGrowing(t)
	for range 60 {
		g.flush(map[int32]int{0: 5, 1: 3})
	}
	gap := schemas.Gap{From: g.next[1], To: g.next[1] + 1_000_000}
	row := Row{Op: schemas.OpGap, Document: mustJSON(gap), Topic: []byte(g.topic.String()), TopicPartition: 1, Offset: gap.From}
	g.commit(delta.Actions{
		Adds: []delta.Add{g.upload(schemas.ControlContainer, []Row{row})},
		Txns: []delta.Txn{{AppID: schemas.TxnAppID(g.topic, 1), Version: gap.To, Updated: g.now}},
	})
	g.last[1] = row
	g.now = g.now.Add(15 * time.Second)
	for range 60 {
		g.flush(map[int32]int{0: 5})
	}
	if n := g.check(1); n > 3 {
		t.Errorf("got %d files opened want the gap's and what was committed beside it", n)
	}
	g.check(0, 1)
}

// TestLastRowsAmongMany: the row is in the last of a thousand files of one commit, whose statistics let two partitions in
// everywhere; or nowhere in them.
func TestLastRowsAmongMany(t *testing.T) {
	const files = 1000
	for name, lost := range map[string]bool{"there": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			g := newGrowing(t)
			g.next[1] = 10_000
			began := g.now
			actions := delta.Actions{}
			for i := range files {
				var rows []Row
				for partition := range int32(2) {
					row := Row{
						PartitionKey: []byte("k"), ID: []byte("1"), Op: schemas.OpUpserted, Document: []byte(`{"n":1}`), EPK: []byte("00"),
						Topic: []byte(g.topic.String()), TopicPartition: partition, Offset: g.next[partition], PublishedAt: 1,
					}
					rows = append(rows, row)
					row.Document = nil
					g.last[partition] = row
					g.next[partition]++
				}
				if lost && i == files-1 {
					rows = rows[:1] // of partition 0
					delete(g.last, 1)
				}
				g.now = g.now.Add(20 * time.Millisecond)
				actions.Adds = append(actions.Adds, g.upload(fmt.Sprintf("shop.c%04d", i), rows))
			}
			for partition := range int32(2) {
				actions.Txns = append(actions.Txns, delta.Txn{AppID: schemas.TxnAppID(g.topic, partition), Version: g.next[partition] - 1, Updated: began})
			}
			g.commit(actions)
			start := time.Now()
			opened := g.check(0, 1)
			t.Logf("%d files opened in %v", opened, time.Since(start))
		})
	}
}

// TestLastRowsWithoutTime: the last commits do not say when they were.
func TestLastRowsWithoutTime(t *testing.T) {
	g := newGrowing(t)
	for range 200 {
		g.flush(map[int32]int{0: 5, 1: 3})
	}
	g.commit(delta.Actions{Txns: []delta.Txn{
		{AppID: schemas.TxnAppID(g.topic, 0), Version: g.next[0] - 1}, {AppID: schemas.TxnAppID(g.topic, 1), Version: g.next[1] - 1},
	}})
	if n := g.check(0, 1); n > 7 {
		t.Errorf("got %d files opened want the newest", n)
	}
}

// TestLastRowsElsewhere: the files of the last commits were compacted by others, without statistics, or their rows are gone.
func TestLastRowsElsewhere(t *testing.T) {
	g := newGrowing(t)
	for range 40 {
		g.flush(map[int32]int{0: 5, 1: 3})
	}
	compacted := map[string][]Row{}
	actions := delta.Actions{}
	for _, add := range g.table.Files {
		file, err := OpenFile(t.Context(), g.store, add.Path, add.Size, Columns{})
		if err != nil {
			t.Fatal(err)
		}
		var row Row
		for {
			more, err := file.Next(&row)
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				break
			}
			if row.TopicPartition == 0 { // of partition 1 nothing is left
				compacted[add.Partition["container"]] = append(compacted[add.Partition["container"]], cloneRow(row))
			}
		}
		file.Close()
		actions.Removes = append(actions.Removes, delta.RemoveOf(add))
	}
	g.now = g.now.Add(time.Hour)
	for container, rows := range compacted {
		add := g.upload(container, rows)
		add.Stats = nil
		actions.Adds = append(actions.Adds, add)
	}
	g.commit(actions)
	delete(g.last, 1)
	g.check(0, 1)
}
