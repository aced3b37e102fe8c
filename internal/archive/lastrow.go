package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// LastRows finds the rows of the offsets that a version of the table holds last of these partitions: what was archived
// there, or the gap row that stands for it. A row that the table holds no more is not among them. Of a change it reads all
// but the document.
//
// Only files are opened that can hold such a row: those of the day of its commit whose statistics let it in, the nearest
// in time first, which is the commit's own unless it was compacted. None is opened twice.
func LastRows(ctx context.Context, table blob.Store, snapshot *delta.Snapshot, topic schemas.UUID, partitions []int32) (map[int32]*Row, error) {
	find := &lastRows{table: table, want: map[int32]delta.Txn{}, days: map[string]bool{}, found: map[int32]*Row{}, opened: map[string]bool{}}
	for _, partition := range partitions {
		if txn, ok := snapshot.Txn(schemas.TxnAppID(topic, partition)); ok {
			find.want[partition], find.days[dayOf(txn)] = txn, true
		}
	}
	var err error
	if find.files, err = delta.Find(ctx, table, find.mayHoldAny); err != nil {
		return nil, fmt.Errorf("find last rows: %w", err)
	}
	for partition := range find.want {
		if err := find.look(ctx, partition); err != nil {
			return nil, fmt.Errorf("find last row of partition %d: %w", partition, err)
		}
	}
	return find.found, nil
}

type lastRows struct {
	table  blob.Store
	want   map[int32]delta.Txn
	days   map[string]bool // of their commits
	files  []delta.Add
	opened map[string]bool
	found  map[int32]*Row
}

// dayOf is the day of a commit, which is the date of its rows.
func dayOf(txn delta.Txn) string { return txn.Updated.UTC().Format(time.DateOnly) }

func (l *lastRows) mayHoldAny(add delta.Add) bool {
	if !l.days[add.Partition["date"]] {
		return false
	}
	span := offsetsOf(add)
	for _, txn := range l.want {
		if span.mayHold(txn) {
			return true
		}
	}
	return false
}

// offsets are what a file's statistics say of the offsets in it.
type offsets struct {
	date        string
	least, most int64
}

// offsetsOf takes a gap row for all offsets behind its own. Without statistics, as others may write a file anew, it may
// hold any.
func offsetsOf(add delta.Add) offsets {
	span := offsets{add.Partition["date"], 0, math.MaxInt64}
	var stats struct{ MinValues, MaxValues struct{ Offset *int64 } }
	if json.Unmarshal(add.Stats, &stats) != nil || stats.MinValues.Offset == nil || stats.MaxValues.Offset == nil {
		return span
	}
	span.least = *stats.MinValues.Offset
	if add.Partition["container"] != schemas.ControlContainer {
		span.most = *stats.MaxValues.Offset
	}
	return span
}

func (o offsets) mayHold(txn delta.Txn) bool {
	return o.date == dayOf(txn) && o.least <= txn.Version && txn.Version <= o.most
}

// nearMost bounds the files that are opened for one row: further away it is not, or a compaction dropped it as a repeat.
const nearMost = 64

func (l *lastRows) look(ctx context.Context, partition int32) error {
	txn := l.want[partition]
	distance := func(add delta.Add) time.Duration { return add.Modified.Sub(txn.Updated).Abs() }
	near := slices.DeleteFunc(slices.Clone(l.files), func(add delta.Add) bool { return !offsetsOf(add).mayHold(txn) })
	slices.SortStableFunc(near, func(x, y delta.Add) int { return cmp.Compare(distance(x), distance(y)) })
	for _, add := range near[:min(len(near), nearMost)] {
		if l.found[partition] != nil {
			return nil
		}
		if l.opened[add.Path] {
			continue
		}
		l.opened[add.Path] = true
		if err := l.read(ctx, add); err != nil {
			return err
		}
	}
	return nil
}

// read takes the rows of all partitions that a file holds.
func (l *lastRows) read(ctx context.Context, add delta.Add) error {
	var columns Columns // of control rows the document says what they are
	if add.Partition["container"] != schemas.ControlContainer {
		var err error
		if columns, err = Without("document"); err != nil {
			return err
		}
	}
	file, err := OpenFile(ctx, l.table, add.Path, add.Size, columns)
	if err != nil {
		return err
	}
	defer file.Close()
	var row Row
	for len(l.found) < len(l.want) {
		more, err := file.Next(&row)
		if err != nil {
			return fmt.Errorf("read file %s: %w", add.Path, err)
		}
		if !more {
			return nil
		}
		if txn, ok := l.want[row.TopicPartition]; ok && row.covers(txn.Version) {
			l.found[row.TopicPartition] = row.clone()
		}
	}
	return nil
}

// covers tells whether the row stands for an offset of its topic partition.
func (r *Row) covers(offset int64) bool {
	if r.Op != schemas.OpGap {
		return r.Offset == offset
	}
	var gap schemas.Gap
	return json.Unmarshal(r.Document, &gap) == nil && gap.From <= offset && offset <= gap.To
}

func (r *Row) clone() *Row {
	c := *r
	for _, text := range []*[]byte{&c.PartitionKey, &c.ID, &c.EPK, &c.Incarnation, &c.RID, &c.ETag, &c.Document, &c.Topic} {
		*text = slices.Clone(*text)
	}
	return &c
}
