package archivetest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
)

// What a Large is of.
const (
	LargeTopic      = "cosmos.shop.products"
	LargeContainer  = "shop.products"
	largeGeneration = schemas.Generation(1_795_168_800_000)
)

// Large is an archive of many documents, each written again and again, some deleted softly ("deleted":true), with one mark
// over them all. It holds none of them.
type Large struct {
	Topic *Topic
	Raw   int64 // bytes of rows so far (archive.Row.Size)

	rng *rand.Rand
	lsn schemas.LSN
}

// NewLarge begins the archive.
func NewLarge(ctx context.Context, root blob.Store, seed uint64) (*Large, error) {
	topic, err := NewTopic(ctx, root, LargeTopic)
	return &Large{Topic: topic, rng: rand.New(rand.NewPCG(seed, 0))}, err
}

// File archives one file: of n documents those that chance picks, with bodies of about size bytes. Every document of the
// container is in it with the given probability.
func (l *Large) File(ctx context.Context, n int, share float64, size int) error {
	return l.Topic.FlushSorted(ctx, 0, LargeContainer, func(yield func(archive.Row) bool) {
		for i := range n {
			if l.rng.Float64() >= share {
				continue
			}
			l.lsn++
			row := l.row(i, size)
			l.Raw += row.Size()
			if !yield(row) {
				return
			}
		}
	})
}

func (l *Large) row(i, size int) archive.Row {
	deleted := l.rng.IntN(50) == 0
	noise := make([]byte, size/2+l.rng.IntN(size/2+1))
	for j := range noise {
		noise[j] = "0123456789abcdefghijklmnopqrstuvwxyz -_.,;:ABCDEFGHIJKLMNOPQRSTU"[l.rng.IntN(64)]
	}
	id := fmt.Sprintf("document-%07d", i)
	return archive.Row{
		PartitionKey: fmt.Appendf(nil, `["customer-%06d"]`, i/10), ID: []byte(id), Op: schemas.OpUpserted,
		TS: 1_795_168_800_000_000 + int64(l.lsn), Generation: largeGeneration, Order: schemas.Order{LSN: l.lsn},
		EPK: fmt.Appendf(nil, "%032X", i/10), Incarnation: []byte("inc=="), RID: fmt.Appendf(nil, "AbCdEf%09dAAAA==", i),
		ETag:     fmt.Appendf(nil, `"%08x-0000-0d00-0000-%012x"`, i, l.lsn),
		Document: fmt.Appendf(nil, `{"id":%q,"deleted":%v,"lsn":%d,"text":%q}`, id, deleted, l.lsn, noise),
	}
}

// Mark ends the archive with a definition and a mark.
func (l *Large) Mark(ctx context.Context) error {
	definition := l.Topic.Publish(1, schemas.ControlContainer, archive.Row{
		PartitionKey: schemas.ControlKey(schemas.OpDefinition, LargeContainer, schemas.FeedRange{}), ID: []byte(LargeContainer), Op: schemas.OpDefinition,
		Incarnation: []byte("inc=="), Document: []byte(`{"id":"products","partitionKey":{"paths":["/pk"],"kind":"Hash","version":2}}`),
	})
	changes, err := l.Topic.Changes(ctx)
	if err != nil {
		return err
	}
	offsets := changes.Offsets()
	offsets.Raise(1, definition)
	latest := time.Date(2026, 11, 20, 10, 0, 0, int(999*time.Millisecond), time.UTC).Add(time.Duration(l.lsn) * time.Second)
	value, err := json.Marshal(schemas.Mark{
		Container: LargeContainer, Incarnation: "inc==", Range: schemas.WholeRange(), Mode: schemas.LatestVersion, Generation: largeGeneration,
		Basis: schemas.BasisComplete, LSN: l.lsn, Newest: l.lsn, Drained: true, Latest: latest, CompleteTo: latest.Add(-11 * time.Second), Offsets: offsets,
	})
	if err != nil {
		return err
	}
	l.Topic.Publish(1, schemas.ControlContainer, archive.Row{
		PartitionKey: schemas.ControlKey(schemas.OpMark, LargeContainer, schemas.WholeRange()), ID: []byte(LargeContainer), Op: schemas.OpMark,
		Incarnation: []byte("inc=="), Document: value,
	})
	return l.Topic.Flush(ctx)
}
