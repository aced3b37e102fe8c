package delta

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// checkpointRows bounds the rows of a checkpoint that are decoded at once.
const checkpointRows = 512

// smallLine is wireLine without files: a reader of it touches no column of theirs.
type smallLine struct {
	Protocol *wireProtocol `parquet:"protocol,optional"`
	MetaData *wireMetadata `parquet:"metaData,optional"`
	Txn      *wireTxn      `parquet:"txn,optional"`
}

// readCheckpoint is the snapshot that a checkpoint holds.
func (l log) readCheckpoint(ctx context.Context, version int64) (*Snapshot, error) {
	o := newOverlay(version)
	var files []Add
	visit := func(line wireLine) error {
		if line.Add == nil {
			return o.applyLine(line)
		}
		add, err := line.Add.add()
		if err == nil && l.opts.keep(add) {
			files = append(files, add)
		}
		return err
	}
	if err := l.visitCheckpoint(ctx, version, visit); err != nil {
		return nil, err
	}
	// The version's own file, by which a later look tells that the log was not cleaned up to here. Where it is gone
	// already that look fails, and the table is loaded anew.
	var err error
	if o.tip, err = blob.Stat(ctx, l.store, commitName(version)); err != nil && !errors.Is(err, blob.ErrNotFound) {
		return nil, err
	}
	clear(o.files) // tombstones
	s, err := o.over(&Snapshot{store: l.store, opts: l.opts})
	if err != nil {
		return nil, err
	}
	sortAdds(files)
	s.Files = files
	return s, nil
}

// visitCheckpoint decodes a checkpoint row by row; without those of files when the options say so. What visit is given
// is its own.
func (l log) visitCheckpoint(ctx context.Context, version int64, visit func(wireLine) error) error {
	name := checkpointName(version)
	info, err := blob.Stat(ctx, l.store, name)
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	file, err := parquet.OpenFile(blob.NewReaderAt(ctx, l.store, info), info.Size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("read checkpoint %s: %w", name, err)
	}
	if l.opts.WithoutFiles {
		err = visitRows(file, func(s smallLine) error {
			return visit(wireLine{Protocol: s.Protocol, MetaData: s.MetaData, Txn: s.Txn})
		})
	} else {
		err = visitRows(file, visit)
	}
	if err != nil {
		return fmt.Errorf("read checkpoint %s: %w", name, err)
	}
	return nil
}

func visitRows[T any](file *parquet.File, visit func(T) error) (err error) {
	reader := parquet.NewGenericReader[T](file)
	defer func() { err = errors.Join(err, reader.Close()) }()
	rows := make([]T, checkpointRows)
	for {
		clear(rows)
		n, err := reader.Read(rows)
		for _, row := range rows[:n] {
			if err := visit(row); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
