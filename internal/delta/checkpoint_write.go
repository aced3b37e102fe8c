package delta

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/snappy"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// WriteCheckpoint writes the checkpoint of a version and makes the hint point there. It is idempotent: a checkpoint that
// stands is left alone. The checkpoint below is copied row by row with what changed since laid over it, so memory is that
// of the versions since, not that of the table (INV-9).
func WriteCheckpoint(ctx context.Context, store blob.Store, version int64, opts Options) error {
	opts.WithoutFiles = false
	w := checkpointWriter{log: log{store: store, opts: opts.withDefaults()}, version: version}
	if err := w.write(ctx); err != nil {
		return fmt.Errorf("write checkpoint of version %d: %w", version, err)
	}
	return nil
}

type checkpointWriter struct {
	log
	version int64

	base    int64 // the checkpoint below, or NoTable
	overlay *overlay
	head    *Snapshot // of the version, without files
	cutoff  int64     // tombstones before it are left out, in ms

	out     *parquet.GenericWriter[wireLine]
	written int64
	adds    int64
}

func (w *checkpointWriter) write(ctx context.Context) error {
	info, err := blob.Stat(ctx, w.store, checkpointName(w.version))
	if err == nil {
		return w.hintAtStanding(ctx, info)
	}
	if !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	info, err = w.upload(ctx)
	if errors.Is(err, blob.ErrCondition) {
		info, err = blob.Stat(ctx, w.store, checkpointName(w.version))
	}
	if err != nil {
		return err
	}
	return w.putHint(ctx, hint{Version: w.version, Size: w.written, SizeInBytes: info.Size, AddFiles: w.adds})
}

// prepare reads all that is small: what changed since the checkpoint below, and everything but files.
func (w *checkpointWriter) prepare(ctx context.Context) error {
	listing, err := w.list(ctx, w.version)
	if err != nil {
		return err
	}
	small := w.log
	small.opts.WithoutFiles = true
	base, o, err := small.read(ctx, listing, w.version)
	if err != nil {
		return err
	}
	if w.head, err = small.finish(o, base); err != nil {
		return err
	}
	w.base, w.overlay = listing.checkpoint, o
	retention, known := tombstoneRetention(w.head.Metadata.Configuration)
	if known && !w.head.Checked.IsZero() {
		w.cutoff = w.head.Checked.Add(-retention).UnixMilli()
	}
	return nil
}

// upload streams the rows into the store.
func (w *checkpointWriter) upload(ctx context.Context) (blob.Info, error) {
	body, pipe := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = pipe.CloseWithError(w.encode(ctx, pipe))
	}()
	info, err := w.store.Put(ctx, checkpointName(w.version), body, blob.IfAbsent())
	_ = body.Close() // ends the encoder when Put did not read to the end
	<-done
	return info, err
}

func (w *checkpointWriter) encode(ctx context.Context, to io.Writer) error {
	w.out = parquet.NewGenericWriter[wireLine](to,
		parquet.Compression(&snappy.Codec{}), parquet.DataPageVersion(1), parquet.MaxRowsPerRowGroup(64<<10), parquet.CreatedBy("almanac", "1", ""))
	w.written, w.adds = 0, 0
	head := []wireLine{{Protocol: w.head.Protocol.wire()}, {MetaData: w.head.Metadata.wire()}}
	for _, app := range slices.Sorted(maps.Keys(w.head.txns)) {
		txn := w.head.txns[app]
		head = append(head, wireLine{Txn: &txn})
	}
	for _, line := range head {
		if err := w.row(line); err != nil {
			return err
		}
	}
	if w.base >= 0 {
		if err := w.visitCheckpoint(ctx, w.base, w.copyRow); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(w.overlay.files)) {
		if err := w.fileRow(wireLine{Add: w.overlay.files[path].add, Remove: w.overlay.files[path].remove}); err != nil {
			return err
		}
	}
	return w.out.Close()
}

// copyRow copies a file's row from the checkpoint below, unless the versions since have a word on it.
func (w *checkpointWriter) copyRow(line wireLine) error {
	var escaped string
	switch {
	case line.Add != nil:
		escaped = line.Add.Path
	case line.Remove != nil:
		escaped = line.Remove.Path
	default:
		return nil // the head says it
	}
	path, err := unescapePath(escaped)
	if err != nil {
		return err
	}
	if _, changed := w.overlay.files[path]; changed {
		return nil
	}
	return w.fileRow(line)
}

func (w *checkpointWriter) fileRow(line wireLine) error {
	switch {
	case line.Add != nil:
		add := *line.Add
		add.DataChange = false // a checkpoint changes nothing
		w.adds++
		return w.row(wireLine{Add: &add})
	case line.Remove.DeletionTimestamp <= w.cutoff:
		return nil
	default:
		remove := *line.Remove
		remove.DataChange = false
		return w.row(wireLine{Remove: &remove})
	}
}

func (w *checkpointWriter) row(line wireLine) error {
	w.written++
	_, err := w.out.Write([]wireLine{line})
	return err
}

// hintAtStanding points to a checkpoint that somebody else wrote, or we did before we could say so.
func (w *checkpointWriter) hintAtStanding(ctx context.Context, info blob.Info) error {
	if h, ok := w.readHint(ctx); ok && h.Version >= w.version {
		return nil
	}
	file, err := parquet.OpenFile(blob.NewReaderAt(ctx, w.store, info), info.Size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("read checkpoint %s: %w", info.Name, err)
	}
	return w.putHint(ctx, hint{Version: w.version, Size: file.NumRows(), SizeInBytes: info.Size})
}

// putHint overwrites the hint. Two writers of it may leave the older one standing, which costs readers some time.
func (w *checkpointWriter) putHint(ctx context.Context, h hint) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := w.store.Put(ctx, hintName, bytes.NewReader(data), blob.Always()); err != nil {
		return fmt.Errorf("write hint: %w", err)
	}
	return nil
}

// tombstoneRetention reads the table's property; what cannot be read keeps all tombstones.
func tombstoneRetention(configuration map[string]string) (retention time.Duration, known bool) {
	property, ok := configuration["delta.deletedFileRetentionDuration"]
	if !ok {
		return 7 * 24 * time.Hour, true
	}
	fields := strings.Fields(strings.ToLower(property))
	if len(fields) != 3 || fields[0] != "interval" {
		return 0, false
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	unit := map[string]time.Duration{
		"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour,
	}[strings.TrimSuffix(fields[2], "s")]
	if err != nil || n < 0 || unit == 0 || n > int64(1<<62)/int64(unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
