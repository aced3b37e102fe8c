package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cosmos-almanac/almanac/internal/archive"
)

// Versions walks all rows of one document. It is for one goroutine; Close must be called.
type Versions struct {
	merge *merge
	spill *spill
	equal []held // rows of one generation and order, by offset
	next  int
}

// History is every row of one document in `changes`: all incarnations, generations and repeats, in the order of
// (generation, lsn, ordinal), repeats by topic partition and offset. The key is a canonical JSON array
// (schemas.KeyDefinition.ParsePartitionKey). Memory holds the repeats of one change, and historyMemory at most of files.
func History(ctx context.Context, changes *archive.Changes, container string, key archive.Key) (*Versions, error) {
	v := &Versions{spill: newSpill("")}
	if err := v.open(ctx, changes, container, key); err != nil {
		return nil, errors.Join(fmt.Errorf("read history of %q %q in %s: %w", key.PartitionKey, key.ID, container, err), v.Close())
	}
	return v, nil
}

const historyMemory = 64 << 20

func (v *Versions) open(ctx context.Context, changes *archive.Changes, container string, key archive.Key) error {
	judge := func(row *archive.Row) (role, error) {
		if compareKey(row, &key) != 0 {
			return stranger, nil
		}
		return change, nil
	}
	var sources []source
	for _, file := range changes.Files(container) {
		stats, err := readStats(file)
		if err != nil {
			return err
		}
		held := stats.overlaps(&key, &key)
		if held {
			if held, err = holds(ctx, changes, file, &key); err != nil {
				return err
			}
		}
		if held {
			sources = append(sources, source{name: file.Path, size: file.Size, cost: costOf(file.Size, stats.Rows), open: func(ctx context.Context) (cursor, error) {
				return openChangeFile(ctx, changes, file, archive.Columns{}, &key, judge)
			}})
		}
	}
	p := passes{memory: historyMemory, spill: v.spill, container: container, keep: true}
	sources, err := p.reduce(ctx, sources)
	if err != nil {
		return err
	}
	v.merge, err = openMerge(ctx, sources)
	return err
}

// Next is the next row; io.EOF at the end. The row is valid until the next call.
func (v *Versions) Next() (*archive.Row, error) {
	if v.next == len(v.equal) {
		if err := v.fill(); err != nil {
			return nil, err
		}
	}
	v.next++
	return &v.equal[v.next-1].Row, nil
}

func (v *Versions) fill() error {
	v.equal, v.next = v.equal[:0], 0
	for e := v.merge.peek(); e != nil; e = v.merge.peek() {
		if len(v.equal) > 0 && v.equal[0].Compare(&e.Row) != 0 {
			break
		}
		v.equal = append(v.equal, held{})
		v.equal[len(v.equal)-1].hold(e)
		if err := v.merge.advance(); err != nil {
			return err
		}
	}
	if len(v.equal) == 0 {
		return io.EOF
	}
	slices.SortStableFunc(v.equal, func(a, b held) int {
		return cmp.Or(cmp.Compare(a.TopicPartition, b.TopicPartition), cmp.Compare(a.Offset, b.Offset))
	})
	return nil
}

// Close frees files and memory.
func (v *Versions) Close() error {
	if v.merge != nil {
		v.merge.close()
	}
	if err := v.spill.remove(); err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}
