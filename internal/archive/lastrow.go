package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// LastRows finds the rows of the offsets that a version of the table holds last of these partitions: what was archived
// there, or the gap row that stands for it. Of a change it reads all but the document. A row that is not among them is not
// in the table: no file that may hold it is passed over.
//
// Such files are those of the day of the row's commit whose statistics let it in, the nearest in time first, which is the
// commit's own unless it was compacted. Of most of them only the places of their rows are read, of several at a time.
func LastRows(ctx context.Context, table blob.Store, snapshot *delta.Snapshot, topic schemas.UUID, partitions []int32) (map[int32]*Row, error) {
	find := &lastRows{table: table, want: map[int32]delta.Txn{}, found: map[int32]*Row{}}
	for _, partition := range partitions {
		if txn, ok := snapshot.Txn(schemas.TxnAppID(topic, partition)); ok {
			find.want[partition] = txn
		}
	}
	if len(find.want) == 0 {
		return find.found, nil
	}
	files, err := delta.Find(ctx, table, func(add delta.Add) bool { return len(find.missing(offsetsOf(add))) > 0 })
	if err != nil {
		return nil, fmt.Errorf("find last rows: %w", err)
	}
	if err := find.search(ctx, files); err != nil {
		return nil, fmt.Errorf("find last rows: %w", err)
	}
	return find.found, nil
}

type lastRows struct {
	table blob.Store
	want  map[int32]delta.Txn
	found map[int32]*Row
}

// missing are the partitions whose row was not found yet and may be in such a file.
func (l *lastRows) missing(in offsets) (partitions []int32) {
	for partition, txn := range l.want {
		if l.found[partition] == nil && in.mayHold(txn) {
			partitions = append(partitions, partition)
		}
	}
	return partitions
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

// mayHold goes by the day of the commit, which is the date of its rows; a commit that does not tell its time may be of any.
func (o offsets) mayHold(txn delta.Txn) bool {
	return (txn.Updated.IsZero() || o.date == txn.Updated.UTC().Format(time.DateOnly)) && o.least <= txn.Version && txn.Version <= o.most
}

// filesAtOnce are looked into side by side at most, of one at first: each takes some hundred KiB, and most often the first has it.
const filesAtOnce = 16

// candidate is a file that may hold a wanted row.
type candidate struct {
	delta.Add
	offsets  offsets
	distance time.Duration // to the nearest commit whose row it may hold
	wanted   []int32
	rows     []*Row // that were found in it
}

func (l *lastRows) search(ctx context.Context, files []delta.Add) error {
	rest := l.candidates(files)
	for width := 1; len(rest) > 0; width = min(2*width, filesAtOnce) {
		var next []*candidate
		for len(rest) > 0 && len(next) < width {
			if rest[0].wanted = l.missing(rest[0].offsets); len(rest[0].wanted) > 0 {
				next = append(next, rest[0])
			}
			rest = rest[1:]
		}
		group, groupCtx := errgroup.WithContext(ctx)
		for _, c := range next {
			group.Go(func() error { return l.look(groupCtx, c) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for _, c := range next {
			for _, row := range c.rows {
				l.found[row.TopicPartition] = row
			}
		}
	}
	return nil
}

// candidates are the files in the order in which they are looked into. What does not tell its time was as likely committed
// last.
func (l *lastRows) candidates(files []delta.Add) []*candidate {
	var newest time.Time
	for _, add := range files {
		if add.Modified.After(newest) {
			newest = add.Modified
		}
	}
	var all []*candidate
	for _, add := range files {
		c := &candidate{Add: add, offsets: offsetsOf(add), distance: math.MaxInt64}
		for _, partition := range l.missing(c.offsets) {
			at := l.want[partition].Updated
			if at.IsZero() {
				at = newest
			}
			c.distance = min(c.distance, add.Modified.Sub(at).Abs())
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(x, y *candidate) int { return cmp.Compare(x.distance, y.distance) })
	return all
}

// look reads what is wanted of a file. Control rows are few, and of a gap row the document says what it stands for; of
// others it is looked first whether any is there.
func (l *lastRows) look(ctx context.Context, c *candidate) error {
	if c.Partition["container"] == schemas.ControlContainer {
		return l.read(ctx, c, Columns{})
	}
	places, err := NewColumns(fieldTopicPartition.name(), fieldOffset.name())
	if err != nil {
		return err
	}
	if err := l.read(ctx, c, places); err != nil || len(c.rows) == 0 {
		return err
	}
	whole, err := Without(fieldDocument.name())
	if err != nil {
		return err
	}
	return l.read(ctx, c, whole)
}

func (l *lastRows) read(ctx context.Context, c *candidate, columns Columns) error {
	c.rows = nil
	file, err := OpenFile(ctx, l.table, c.Path, c.Size, columns)
	if err != nil {
		return err
	}
	defer file.Close()
	var row Row
	for len(c.rows) < len(c.wanted) {
		more, err := file.Next(&row)
		if err != nil {
			return fmt.Errorf("read file %s: %w", c.Path, err)
		}
		if !more {
			return nil
		}
		if slices.Contains(c.wanted, row.TopicPartition) && row.covers(l.want[row.TopicPartition].Version) {
			c.rows = append(c.rows, row.clone())
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
