package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// StateSplit is the size at which a file of `state` ends and the next begins.
const StateSplit = 256 << 20

// StateWriter writes the rows of a snapshot, which come sorted, into files of `state` of disjoint ranges. It streams: it
// holds one row group. Every file is decoded again from the store before Close answers. Either Close or Abort must be
// called; until a manifest names them its files are orphans.
type StateWriter struct {
	store blob.Store // the container's `state` table
	point string
	split int64

	open  *stateFile
	files []StateFile
}

// NewStateWriter begins a snapshot of a point. store is the container's `state` table; split 0 is StateSplit.
func NewStateWriter(store blob.Store, point *Point, split int64) *StateWriter {
	if split <= 0 {
		split = StateSplit
	}
	return &StateWriter{store: store, point: point.Name, split: split}
}

// Write appends a row and keeps nothing of it.
func (w *StateWriter) Write(ctx context.Context, row *Row) error {
	if w.open != nil && w.open.size() >= w.split {
		if err := w.closeFile(ctx); err != nil {
			return err
		}
	}
	if w.open == nil {
		if err := w.openFile(ctx); err != nil {
			return err
		}
	}
	if err := w.open.write(row); err != nil {
		return fmt.Errorf("write state file %s: %w", w.open.name, err)
	}
	return nil
}

// Close ends the last file, and answers all in their order.
func (w *StateWriter) Close(ctx context.Context) ([]StateFile, error) {
	if w.open != nil {
		if err := w.closeFile(ctx); err != nil {
			return nil, err
		}
	}
	return w.files, nil
}

// Abort ends the upload in flight and removes the files that are there, as far as that goes: they are orphans otherwise.
func (w *StateWriter) Abort(ctx context.Context) error {
	var errs []error
	if w.open != nil {
		name := w.open.name
		w.open.abort()
		w.open = nil
		errs = append(errs, w.store.Delete(ctx, name))
	}
	for _, file := range w.files {
		errs = append(errs, w.store.Delete(ctx, file.Path))
	}
	w.files = nil
	return errors.Join(errs...)
}

func (w *StateWriter) openFile(ctx context.Context) error {
	random := strings.ReplaceAll(schemas.NewUUID().String(), "-", "")[:16]
	f := &stateFile{name: fmt.Sprintf("%s-%04d-%s.parquet", w.point, len(w.files), random), hash: sha256.New(), done: make(chan put, 1)}
	reader, writer := io.Pipe()
	f.pipe = writer
	var err error
	if f.writer, err = NewFileWriter(io.MultiWriter(writer, f.hash), schemas.StateColumns()); err != nil {
		return err
	}
	go func() {
		info, err := w.store.Put(ctx, f.name, reader, blob.IfAbsent())
		_ = reader.CloseWithError(errors.Join(errUploadEnded, err)) // a writer that still writes gets it; it always answers nil
		f.done <- put{info, err}
	}()
	w.open = f
	return nil
}

func (w *StateWriter) closeFile(ctx context.Context) error {
	f := w.open
	w.open = nil
	file, err := f.close(ctx, w.store)
	if err != nil {
		return fmt.Errorf("write state file %s: %w", f.name, err)
	}
	w.files = append(w.files, file)
	return nil
}

var errUploadEnded = errors.New("upload ended early")

// stateFile is a file in its upload.
type stateFile struct {
	name   string
	pipe   *io.PipeWriter
	hash   hash.Hash
	writer *FileWriter
	first  Key
	last   keyBuffer
	done   chan put

	written  int64 // to the store
	buffered int64 // raw bytes since
}

type put struct {
	info blob.Info
	err  error
}

type keyBuffer struct{ partitionKey, id []byte }

// bufferedRatio is what a buffered byte will be in the file, roughly.
const bufferedRatio = 8

// size is what the file will have at least, roughly: whole row groups, and a part of the one that is buffered.
func (f *stateFile) size() int64 { return f.written + f.buffered/bufferedRatio }

func (f *stateFile) write(row *Row) error {
	if written := f.writer.Size(); written != f.written {
		f.written, f.buffered = written, 0
	}
	f.buffered += row.Size()
	if f.last.partitionKey == nil {
		f.first = Key{PartitionKey: string(row.PartitionKey), ID: string(row.ID)}
	}
	f.last.partitionKey = append(f.last.partitionKey[:0], row.PartitionKey...)
	f.last.id = append(f.last.id[:0], row.ID...)
	return f.writer.Write(row)
}

func (f *stateFile) abort() {
	_ = f.pipe.CloseWithError(errors.New("snapshot given up")) // always answers nil
	<-f.done
}

func (f *stateFile) close(ctx context.Context, store blob.Store) (StateFile, error) {
	stats, err := f.writer.Close()
	if err != nil {
		f.abort()
		return StateFile{}, err
	}
	_ = f.pipe.Close() // always answers nil
	answer := <-f.done
	if answer.err != nil {
		// It may have landed although the answer says otherwise. The name is ours alone, and what stands there is decoded.
		info, err := blob.Stat(ctx, store, f.name)
		if err != nil || info.Size != stats.Bytes {
			return StateFile{}, answer.err
		}
		answer.info = info
	}
	if err := verifyStored(ctx, store, f.name, &stats); err != nil {
		return StateFile{}, err
	}
	logged, err := stats.Delta()
	if err != nil {
		return StateFile{}, err
	}
	return StateFile{
		Path: f.name, Size: stats.Bytes, Rows: stats.Rows(), SHA256: hex.EncodeToString(f.hash.Sum(nil)),
		Modified: answer.info.Modified, First: f.first,
		Last: Key{PartitionKey: string(f.last.partitionKey), ID: string(f.last.id)}, Stats: logged,
	}, nil
}

// verifyStored decodes a file that was just uploaded and compares it with what was meant.
func verifyStored(ctx context.Context, store blob.Store, name string, meant *FileStats) error {
	r, err := OpenFile(ctx, store, name, meant.Bytes, Columns{})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnfaithful, err)
	}
	defer r.Close()
	return verifyRows(r, meant)
}

// Add is the file in the log of `state`.
func (f *StateFile) Add() delta.Add {
	return delta.Add{Path: f.Path, Size: f.Size, Modified: f.Modified, DataChange: true, Stats: f.Stats}
}

// StateMetadata is what a new `state` table of a container is. Removed files are kept for good, because snapshots refer
// to them: no VACUUM of anybody's may remove them.
func StateMetadata(container string, created time.Time) (*delta.Metadata, error) {
	schema, err := TableSchema(schemas.StateColumns())
	if err != nil {
		return nil, err
	}
	return &delta.Metadata{
		ID:          schemas.NewUUID().String(),
		Name:        "state",
		Description: "the content of " + container + " at the newest snapshot",
		Schema:      schema,
		Configuration: map[string]string{
			"delta.logRetentionDuration":         logRetention,
			"delta.deletedFileRetentionDuration": "interval 36525 days", // 100 years
		},
		Created: created,
	}, nil
}
