package replay

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Options say what is folded. Changes, Point and Rules are required.
type Options struct {
	Changes *archive.Changes
	Point   archive.Point // names the container
	Rules   archive.Rules
	Base    *archive.Manifest // nil: rows alone
	From    *archive.Key      // nil: from the first document; inclusive
	To      *archive.Key      // nil: to the last document; inclusive
	Memory  int64             // limit of the buffers in bytes; default 256 MiB, at least MemoryLeast
	Spill   string            // folder of runs; default the system's for temporary files

	fan int // sources of one merge at most, for tests of passes; default fanLimit
}

// Limits of memory in bytes.
const (
	MemoryDefault = 256 << 20
	MemoryLeast   = 8 << 20
)

// ErrBase says that rows at or below the base's cut are missing in it: the marks that it stands on promised too much.
// The fold must be begun again without a base.
var ErrBase = errors.New("base does not hold what the rows say")

// Iterator walks the documents of a container at a point. It is for one goroutine; Close must be called.
type Iterator struct {
	fold   *fold
	member *membership
	spill  *spill
	rows   int64
	done   bool
}

// Open begins a fold. A base that is none for the point is archive.ErrNoBase. Files that do not fit into memory together
// are merged in passes before Open answers. The context ends all reads to come.
func Open(ctx context.Context, opts Options) (*Iterator, error) {
	if opts.Memory == 0 {
		opts.Memory = MemoryDefault
	}
	opts.Memory = max(opts.Memory, MemoryLeast)
	if opts.Base != nil {
		if err := opts.Base.Usable(opts.Changes.UUID, &opts.Point, &opts.Rules); err != nil {
			return nil, fmt.Errorf("open replay: %w", err)
		}
	}
	it := &Iterator{member: newMembership(&opts), spill: newSpill(opts.Spill)}
	if err := it.open(ctx, &opts); err != nil {
		return nil, errors.Join(fmt.Errorf("open replay of %s at %s: %w", opts.Point.Container, opts.Point.Name, err), it.Close())
	}
	return it, nil
}

func (it *Iterator) open(ctx context.Context, opts *Options) error {
	want, err := archive.Without("topic", "published_at")
	if err != nil {
		return err
	}
	sources, err := changeSources(ctx, opts, want, it.member)
	if err != nil {
		return err
	}
	memory := opts.Memory
	var fixed []source
	if opts.Base != nil {
		if base, ok := baseSource(opts); ok {
			fixed = append(fixed, base)
			memory = max(memory-base.cost, memory/2)
		}
	}
	p := passes{memory: memory, fan: opts.fan, spill: it.spill, container: opts.Point.Container}
	if sources, err = p.reduce(ctx, sources); err != nil {
		return err
	}
	merge, err := openMerge(ctx, append(fixed, sources...))
	if err != nil {
		return err
	}
	it.fold = newFold(merge, opts)
	return nil
}

// Next is the next document; io.EOF at the end. The row is valid until the next call. Of its fields those of `state` are
// filled. After an error the iterator can only be closed.
func (it *Iterator) Next() (*archive.Row, error) {
	row, err := it.fold.next()
	if err == nil {
		it.rows++
		return row, nil
	}
	it.done = errors.Is(err, io.EOF)
	return nil, err
}

// Rows is the number of documents so far.
func (it *Iterator) Rows() int64 { return it.rows }

// LeftOut is, per topic partition, the lowest offset of a row at or below the point's offset that a later point may still
// take; where there is none, the point's offset and 1. Known after io.EOF of an iterator without From and To.
func (it *Iterator) LeftOut() (schemas.Offsets, bool) { return it.member.leftOut, it.done }

// Close frees files and memory, and removes the runs.
func (it *Iterator) Close() error {
	if it.fold != nil {
		it.fold.merge.close()
	}
	if err := it.spill.remove(); err != nil {
		return fmt.Errorf("close replay: %w", err)
	}
	return nil
}
