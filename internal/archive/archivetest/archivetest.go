// Package archivetest makes archives for tests without a broker: Topic writes rows as the archiver does, and World is a
// container whose readers fail, lag, speak late and begin again, and which knows what it held at every moment.
package archivetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Topic is a topic and its archive. Rows are published to it at once and archived by Flush.
type Topic struct {
	Root blob.Store // the archive's
	Name string
	UUID schemas.UUID
	Rows []archive.Row // everything that was published, in no order of any meaning

	containers []string // by row
	archived   int      // rows that stand in the table
	next       map[int32]int64
	snapshot   *delta.Snapshot
}

// NewTopic begins a topic of that name in the archive.
func NewTopic(ctx context.Context, root blob.Store, name string) (*Topic, error) {
	identity, err := topicid.Identify(ctx, root, name)
	if err != nil {
		return nil, err
	}
	return &Topic{Root: root, Name: name, UUID: identity.UUID, next: map[int32]int64{}}, nil
}

// Publish gives the row the next offset of the topic partition and answers it. The row's slices are kept.
func (t *Topic) Publish(partition int32, container string, row archive.Row) int64 {
	offset := t.next[partition]
	t.next[partition]++
	row.Topic, row.TopicPartition, row.Offset = []byte(t.UUID.String()), partition, offset
	row.PublishedAt = 1_700_000_000_000_000 + offset
	t.Rows = append(t.Rows, row)
	t.containers = append(t.containers, container)
	return offset
}

// Flush archives what was published since: one file per container, one commit.
func (t *Topic) Flush(ctx context.Context) error {
	if t.archived == len(t.Rows) {
		return nil
	}
	store := blob.Prefixed(t.Root, schemas.ChangesPrefix(t.Name))
	by := map[string][]*archive.Row{}
	txns := map[int32]int64{}
	for i := t.archived; i < len(t.Rows); i++ {
		row := &t.Rows[i]
		by[t.containers[i]] = append(by[t.containers[i]], row)
		txns[row.TopicPartition] = max(txns[row.TopicPartition], row.Offset)
	}
	var actions delta.Actions
	for container, rows := range by {
		add, err := writeFile(ctx, store, container, rows)
		if err != nil {
			return err
		}
		actions.Adds = append(actions.Adds, add)
	}
	for partition, last := range txns {
		actions.Txns = append(actions.Txns, delta.Txn{AppID: schemas.TxnAppID(t.UUID, partition), Version: last})
	}
	if err := t.commit(ctx, actions); err != nil {
		return err
	}
	t.archived = len(t.Rows)
	return nil
}

func (t *Topic) commit(ctx context.Context, actions delta.Actions) error {
	if t.snapshot == nil {
		metadata, err := archive.ChangesMetadata(t.Name, t.UUID)
		if err != nil {
			return err
		}
		actions.Metadata = metadata
	}
	store := blob.Prefixed(t.Root, schemas.ChangesPrefix(t.Name))
	snapshot, err := delta.Commit(ctx, store, t.snapshot, func(context.Context, *delta.Snapshot) (delta.Actions, error) { return actions, nil }, delta.Options{})
	if err != nil {
		return err
	}
	t.snapshot = snapshot
	return nil
}

// FlushSorted archives rows that come sorted, as one file of the container and one commit, without holding them: they do
// not stand in Rows. What was published before must have been flushed.
func (t *Topic) FlushSorted(ctx context.Context, partition int32, container string, rows iter.Seq[archive.Row]) error {
	store := blob.Prefixed(t.Root, schemas.ChangesPrefix(t.Name))
	uuid := []byte(t.UUID.String())
	add, err := writeRows(ctx, store, container, func(yield func(*archive.Row) bool) {
		for row := range rows {
			row.Topic, row.TopicPartition, row.Offset = uuid, partition, t.next[partition]
			t.next[partition]++
			if !yield(&row) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return t.commit(ctx, delta.Actions{
		Adds: []delta.Add{add}, Txns: []delta.Txn{{AppID: schemas.TxnAppID(t.UUID, partition), Version: t.next[partition] - 1}},
	})
}

func writeFile(ctx context.Context, store blob.Store, container string, rows []*archive.Row) (delta.Add, error) {
	slices.SortFunc(rows, (*archive.Row).Compare)
	return writeRows(ctx, store, container, slices.Values(rows))
}

func writeRows(ctx context.Context, store blob.Store, container string, rows iter.Seq[*archive.Row]) (delta.Add, error) {
	var file bytes.Buffer
	w, err := archive.NewFileWriter(&file, schemas.ChangeColumns())
	if err != nil {
		return delta.Add{}, err
	}
	for row := range rows {
		if err := w.Write(row); err != nil {
			return delta.Add{}, err
		}
	}
	stats, err := w.Close()
	if err != nil {
		return delta.Add{}, err
	}
	logged, err := stats.Delta()
	if err != nil {
		return delta.Add{}, err
	}
	path, partition := archive.ChangeFile(container, time.Now(), schemas.NewUUID())
	info, err := store.Put(ctx, path, bytes.NewReader(file.Bytes()), blob.IfAbsent())
	if err != nil {
		return delta.Add{}, err
	}
	return delta.Add{Path: path, Partition: partition, Size: stats.Bytes, Modified: info.Modified, DataChange: true, Stats: logged}, nil
}

// Changes opens the table.
func (t *Topic) Changes(ctx context.Context) (*archive.Changes, error) {
	return archive.OpenChanges(ctx, t.Root, t.Name)
}

// Of are the published rows of a container.
func (t *Topic) Of(container string) []archive.Row {
	var rows []archive.Row
	for i := range t.Rows {
		if t.containers[i] == container {
			rows = append(rows, t.Rows[i])
		}
	}
	return rows
}

// Naive is the content of a container at a point by the words of the definition, from all rows in memory: rows of the
// point's offsets, generation and order; of each document the greatest order; without what the rules take for deleted. It
// shares nothing with package replay. By partition key and id.
func (t *Topic) Naive(p *archive.Point, rules *archive.Rules) (map[archive.Key]archive.Row, error) {
	winners := map[archive.Key]archive.Row{}
	for _, row := range t.Of(p.Container) {
		last, ok := p.Offsets[row.TopicPartition]
		if !ok || row.Offset > last || string(row.Incarnation) != p.Incarnation {
			continue
		}
		var within bool
		for _, cut := range p.Cuts {
			if cut.Range.Contains(string(row.EPK)) {
				within = row.Generation == cut.Generation && row.Order.LSN <= cut.LSN
			}
		}
		key := archive.Key{PartitionKey: string(row.PartitionKey), ID: string(row.ID)}
		have, ok := winners[key]
		if within && ok && have.Order == row.Order && !bytes.Equal(have.ETag, row.ETag) {
			return nil, fmt.Errorf("contradiction at %v: %w", key, ErrContradiction)
		}
		if within && (!ok || row.Order.Compare(have.Order) > 0) {
			winners[key] = row
		}
	}
	for key, row := range winners {
		deleted := row.Document == nil
		if !deleted {
			var err error
			if deleted, err = rules.Deleted(row.Document); err != nil {
				return nil, err
			}
		}
		if deleted {
			delete(winners, key)
		}
	}
	return winners, nil
}

// ErrContradiction says that two rows of one document and order have different etags.
var ErrContradiction = errors.New("contradiction")
