package replay

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// source is one sorted input of a merge that was not opened yet.
type source struct {
	name string
	size int64 // bytes to read, to take the small ones first
	cost int64 // bytes of memory while it is open
	open func(ctx context.Context) (cursor, error)
}

// cursor steps through the rows of a source in the order of archive.Row.Compare.
type cursor interface {
	// next moves to the next entry; false at the end. The entry is valid until the next call.
	next() (bool, error)
	entry() *entry
	close()
}

// entry is a row in the merge.
type entry struct {
	archive.Row
	role     role
	stripped bool // its document is gone, because another one of the same document is known to be later
}

// What an open Parquet file costs: its windows and one page of every column. Of a small file the pages are all of it, raw;
// of one with large documents a page is above the usual size by a document.
const (
	fileCost      = 160 << 10
	fileCostLimit = 9 << 20
	rawPerByte    = 6       // of a compressed file, roughly
	largest       = 2 << 20 // a document, in bytes
)

func costOf(size, rows int64) int64 {
	return min(fileCost+rawPerByte*size, fileCostLimit+rawPerByte*min(size/max(1, rows), largest))
}

// changeSources are the files of `changes` that may hold members within the bounds. Where one document is asked for, only
// those that hold it: their keys are looked through first, which leaves most documents undecoded.
func changeSources(ctx context.Context, opts *Options, want archive.Columns, member *membership) ([]source, error) {
	var sources []source
	one := opts.From != nil && opts.To != nil && *opts.From == *opts.To
	for _, file := range opts.Changes.Files(opts.Point.Container) {
		stats, err := readStats(file)
		if err != nil {
			return nil, err
		}
		if !stats.overlaps(opts.From, opts.To) || !stats.mayHoldMembers(opts) {
			continue
		}
		if one {
			if held, err := holds(ctx, opts.Changes, file, opts.From); err != nil {
				return nil, err
			} else if !held {
				continue
			}
		}
		sources = append(sources, source{name: file.Path, size: file.Size, cost: costOf(file.Size, stats.Rows), open: func(ctx context.Context) (cursor, error) {
			return openChangeFile(ctx, opts.Changes, file, want, opts.To, member.judge)
		}})
	}
	return sources, nil
}

// holds tells whether a file has a row of a document.
func holds(ctx context.Context, changes *archive.Changes, file delta.Add, key *archive.Key) (bool, error) {
	want, err := archive.NewColumns("partition_key", "id")
	if err != nil {
		return false, err
	}
	reader, err := changes.Open(ctx, file, want)
	if err != nil {
		return false, err
	}
	defer reader.Close()
	var row archive.Row
	for {
		more, err := reader.Next(&row)
		if err != nil {
			return false, fmt.Errorf("read file %s: %w", file.Path, err)
		}
		if !more {
			return false, nil
		}
		if c := compareKey(&row, key); c >= 0 {
			return c == 0, nil
		}
	}
}

// fileStats are the bounds of a file in the table's log. A bound that is missing bounds nothing.
type fileStats struct {
	Rows     int64  `json:"numRecords"`
	Least    bounds `json:"minValues"`
	Greatest bounds `json:"maxValues"`
}

type bounds struct {
	PartitionKey *string             `json:"partition_key"`
	ID           *string             `json:"id"`
	Generation   *schemas.Generation `json:"generation"`
	Offset       *int64              `json:"offset"`
}

func readStats(file delta.Add) (*fileStats, error) {
	s := new(fileStats)
	if len(file.Stats) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(file.Stats, s); err != nil {
		return nil, fmt.Errorf("read statistics of file %s: %w", file.Path, err)
	}
	return s, nil
}

// overlaps tells whether documents between the keys, inclusive, may stand in the file. Its bounds of ids hold for the
// whole file, so they say something only where one partition key is asked for.
func (s *fileStats) overlaps(from, to *archive.Key) bool {
	if from != nil && s.Greatest.PartitionKey != nil && *s.Greatest.PartitionKey < from.PartitionKey {
		return false
	}
	if to != nil && s.Least.PartitionKey != nil && *s.Least.PartitionKey > to.PartitionKey {
		return false
	}
	if from == nil || to == nil || from.PartitionKey != to.PartitionKey {
		return true
	}
	return (s.Greatest.ID == nil || *s.Greatest.ID >= from.ID) && (s.Least.ID == nil || *s.Least.ID <= to.ID)
}

// mayHoldMembers tells whether a row of the file may belong to the point and not to the base. One file holds rows of many
// topic partitions, so its bounds of offsets are compared with the greatest and the lowest of all.
func (s *fileStats) mayHoldMembers(opts *Options) bool {
	if s.Least.Generation != nil && s.Greatest.Generation != nil {
		hit := false
		for _, cut := range opts.Point.Cuts {
			hit = hit || *s.Least.Generation <= cut.Generation && cut.Generation <= *s.Greatest.Generation
		}
		if !hit {
			return false
		}
	}
	greatest, leftOut := int64(-1), int64(1<<62)
	for partition, offset := range opts.Point.Offsets {
		greatest = max(greatest, offset)
		if opts.Base != nil {
			leftOut = min(leftOut, opts.Base.LeftOut[partition]) // absent is 0: none of its rows is in the base
		}
	}
	if s.Least.Offset != nil && *s.Least.Offset > greatest {
		return false
	}
	return opts.Base == nil || s.Greatest.Offset == nil || *s.Greatest.Offset >= leftOut
}

// changeFile is a cursor over the members in a file of `changes`.
type changeFile struct {
	name   string
	reader *archive.FileReader
	to     *archive.Key // nil: none
	judge  func(*archive.Row) (role, error)
	now    entry
}

func openChangeFile(
	ctx context.Context, changes *archive.Changes, file delta.Add, want archive.Columns, to *archive.Key, judge func(*archive.Row) (role, error),
) (cursor, error) {
	reader, err := changes.Open(ctx, file, want)
	if err != nil {
		return nil, err
	}
	return &changeFile{name: file.Path, reader: reader, to: to, judge: judge}, nil
}

func (c *changeFile) next() (bool, error) {
	for {
		more, err := c.reader.Next(&c.now.Row)
		if err != nil || !more {
			if err != nil {
				err = fmt.Errorf("read file %s: %w", c.name, err)
			}
			return false, err
		}
		if c.to != nil && compareKey(&c.now.Row, c.to) > 0 {
			return false, nil
		}
		if c.now.role, err = c.judge(&c.now.Row); err != nil {
			return false, fmt.Errorf("read file %s: %w", c.name, err)
		}
		if c.now.role == witness {
			c.now.Document, c.now.stripped = nil, true
		} else {
			c.now.stripped = false
		}
		if c.now.role != stranger {
			return true, nil
		}
	}
}

func (c *changeFile) entry() *entry { return &c.now }
func (c *changeFile) close()        { c.reader.Close() }

// baseSource is the files of the base within the bounds, one after the other: they are disjoint and ascending.
func baseSource(opts *Options) (source, bool) {
	b := &baseFiles{}
	s := source{name: "base " + opts.Base.Point.Name}
	for _, file := range opts.Base.Files {
		before := opts.From != nil && file.Last.Compare(*opts.From) < 0
		after := opts.To != nil && file.First.Compare(*opts.To) > 0
		if !before && !after {
			b.files = append(b.files, file)
			s.size += file.Size
			s.cost = max(s.cost, costOf(file.Size, file.Rows))
		}
	}
	prefix := schemas.StatePrefix(opts.Changes.Topic, opts.Point.Container, opts.Point.Incarnation)
	store := blob.Prefixed(opts.Changes.Root(), prefix)
	bound := &membership{from: opts.From, to: opts.To}
	s.open = func(ctx context.Context) (cursor, error) {
		b.outside = bound.outside
		b.open = func(file archive.StateFile) (*archive.FileReader, error) {
			return archive.OpenFile(ctx, store, file.Path, file.Size, archive.Columns{})
		}
		return b, nil
	}
	return s, len(b.files) > 0
}

// baseFiles is a cursor over the files of a snapshot.
type baseFiles struct {
	files   []archive.StateFile
	open    func(archive.StateFile) (*archive.FileReader, error)
	outside func(*archive.Row) bool
	reader  *archive.FileReader
	now     entry
}

func (c *baseFiles) next() (bool, error) {
	for {
		if c.reader == nil {
			if len(c.files) == 0 {
				return false, nil
			}
			var err error
			if c.reader, err = c.open(c.files[0]); err != nil {
				return false, fmt.Errorf("read base: %w", err)
			}
			if have := c.reader.Rows(); have != c.files[0].Rows {
				return false, fmt.Errorf("read base file %s: it has %d rows, its manifest says %d", c.files[0].Path, have, c.files[0].Rows)
			}
		}
		more, err := c.reader.Next(&c.now.Row)
		if err != nil {
			return false, fmt.Errorf("read base file %s: %w", c.files[0].Path, err)
		}
		if !more {
			c.reader.Close()
			c.reader, c.files = nil, c.files[1:]
			continue
		}
		if !c.outside(&c.now.Row) {
			c.now.role = based
			return true, nil
		}
	}
}

func (c *baseFiles) entry() *entry { return &c.now }

func (c *baseFiles) close() {
	if c.reader != nil {
		c.reader.Close()
	}
}
