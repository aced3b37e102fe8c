package archiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// flush commits the buffered rows of a topic. Partitions whose rows lost to another archiver go on from the table; that
// is no error. After an error the rows are still in the buffer.
func (a *Archiver) flush(ctx context.Context, t *topic) error {
	var spans []span
	for _, p := range t.partitions {
		if p.buffered() {
			spans = append(spans, span{p.number, p.first, p.next - 1})
		}
	}
	if len(spans) == 0 {
		t.cadence.flushed()
		return nil
	}
	if may, err := a.mayCommit(ctx, t); err != nil || !may {
		return err
	}
	slices.SortFunc(spans, func(x, y span) int { return int(x.partition - y.partition) })
	began := time.Now()
	f := &flush{a: a, t: t, spans: spans}
	committed, err := f.commit(ctx)
	var halt *schemas.Halt
	if errors.As(err, &halt) {
		err = a.haltSpans(ctx, t, spans, halt)
	}
	if err != nil {
		return fmt.Errorf("flush topic %s: %w", t.name, err)
	}
	t.cadence.flushed()
	if committed {
		t.cadence.commit(a.now())
		a.metrics.flushed(t.name, f.rows, f.bytes, time.Since(began))
		a.log.Info("committed", slog.String("topic", t.name), slog.Int64("version", t.snapshot.Version), slog.Int64("rows", f.rows),
			slog.Int64("bytes", f.bytes), slog.Int("files", len(f.files)), slog.Duration("took", time.Since(began).Round(time.Millisecond)))
	}
	a.settleFlush(t, spans)
	return nil
}

// haltSpans halts the partitions of a flush for a reason that is the topic's.
func (a *Archiver) haltSpans(ctx context.Context, t *topic, spans []span, halt *schemas.Halt) error {
	for _, s := range spans {
		if err := a.haltPartition(ctx, t, t.partitions[s.partition], halt.Reason, halt.Evidence); err != nil {
			return err
		}
	}
	return nil
}

// settleFlush empties the buffer of the flushed rows. Partitions that do not stand behind them now go on from the table.
func (a *Archiver) settleFlush(t *topic, spans []span) {
	a.buffer.drop(func(g group, _ int32) bool { return g.topic == t.index })
	for _, s := range spans {
		p := t.partitions[s.partition]
		p.first = p.next
		if r := p.latest; r != nil && r.Offset == s.last && last(t.snapshot, t.uuid, p.number) == s.last {
			t.identity.witnesses[p.number] = &witness{offset: r.Offset, record: true, sum: sumOfWhole(r)}
		}
		p.latest = nil
		if p.phase != reading || last(t.snapshot, t.uuid, p.number) == s.last {
			continue
		}
		a.log.Warn("rows were not committed; going on from the table", slog.String("unit", unitOf(t.name, p.number)),
			slog.Int64("from", s.first), slog.Int64("to", s.last), slog.Int64("table", last(t.snapshot, t.uuid, p.number)))
		a.restart(t, p)
	}
}

// span is the offsets of one topic partition that a flush holds, both inclusive, without a hole.
type span struct {
	partition   int32
	first, last int64
}

// flush is one attempt to commit, with what it has uploaded so far.
type flush struct {
	a     *Archiver
	t     *topic
	spans []span
	files []delta.Add
	time  time.Time // of the files, by the store's clock
	rows  int64
	bytes int64
}

// commit writes one version; done is false when others were first everywhere, or when the answer never came. In either
// case the table says where the partitions go on, so the rows are let go: whatever lands later, they are read again and
// stand once (INV-3).
func (f *flush) commit(ctx context.Context) (done bool, err error) {
	err = f.a.retry(ctx, "commit", func(ctx context.Context) error {
		snapshot, err := delta.Commit(ctx, f.t.store, f.t.snapshot, f.prepare, f.a.deltaOptions())
		var uncertain *delta.UncertainError
		switch {
		case err == nil:
			f.t.snapshot, done = snapshot, true
			return nil
		case errors.Is(err, delta.ErrNothing):
			f.t.snapshot = snapshot
			return nil
		case errors.As(err, &uncertain):
			f.a.log.Warn("commit is not certain; the table will tell", slog.String("topic", f.t.name), slog.Any("error", err))
			return f.a.reload(ctx, f.t)
		}
		return err
	})
	return done, err
}

// reload reads the table from scratch.
func (a *Archiver) reload(ctx context.Context, t *topic) error {
	return a.retry(ctx, "load table", func(ctx context.Context) error {
		snapshot, err := delta.Load(ctx, t.store, a.deltaOptions())
		if err == nil {
			t.snapshot = snapshot
		}
		return err
	})
}

// prepare makes the actions of the version above below (INV-3): a topic partition that does not stand there exactly one
// before its first row is taken out, and the files are made again without it.
func (f *flush) prepare(ctx context.Context, below *delta.Snapshot) (delta.Actions, error) {
	if err := archive.CheckUUID(below, f.t.uuid); err != nil {
		return delta.Actions{}, &schemas.Halt{Unit: "topic " + f.t.name, Reason: reasonUUID, Evidence: err.Error(), Since: f.a.now()}
	}
	kept := slices.DeleteFunc(slices.Clone(f.spans), func(s span) bool {
		return last(below, f.t.uuid, s.partition) != s.first-1
	})
	if len(kept) == 0 {
		return delta.Actions{}, delta.ErrNothing
	}
	// INV-8: a file that a sweep may have taken for an orphan is uploaded again, under a new name.
	swept := slices.ContainsFunc(f.files, func(add delta.Add) bool { return below.Swept(add.Modified) })
	if len(f.files) == 0 || swept || len(kept) != len(f.spans) {
		f.spans = kept
		if err := f.upload(ctx); err != nil {
			return delta.Actions{}, err
		}
	}
	actions := delta.Actions{Adds: f.files, Info: delta.CommitInfo{Operation: "STREAMING UPDATE"}}
	for _, s := range f.spans {
		actions.Txns = append(actions.Txns, delta.Txn{AppID: schemas.TxnAppID(f.t.uuid, s.partition), Version: s.last, Updated: f.time})
	}
	if below.Version < 0 {
		metadata, err := archive.ChangesMetadata(f.t.name, f.t.uuid)
		if err != nil {
			return delta.Actions{}, err
		}
		actions.Metadata = metadata
	}
	return actions, nil
}

// upload writes one file per container with the rows of the spans. Files of an earlier attempt stay behind: nothing
// refers to them, and an ambiguous commit might (delta-rs issue 3645: clean-up removed a file that was uploaded and not yet committed).
func (f *flush) upload(ctx context.Context) error {
	now, err := f.a.storeTime(ctx, f.t)
	if err != nil {
		return err
	}
	f.files, f.rows, f.bytes = nil, 0, 0
	uploaded, err := f.uploadFiles(ctx, now)
	if err != nil {
		return err
	}
	if want := f.covered(); f.rows != want {
		return fmt.Errorf("the buffer holds %d rows of %d offsets: this is a bug, nothing was committed", f.rows, want)
	}
	f.files, f.time = uploaded, now // all of them, or none: prepare may be called again
	return nil
}

func (f *flush) uploadFiles(ctx context.Context, now time.Time) (uploaded []delta.Add, err error) {
	b := f.a.buffer
	b.sort()
	for from := 0; from < len(b.refs); {
		to := from + 1
		for to < len(b.refs) && b.refs[to].group == b.refs[from].group {
			to++
		}
		if g := b.groups[b.refs[from].group]; g.topic == f.t.index {
			add, rows, err := f.uploadFile(ctx, now, g.container, b.refs[from:to])
			if err != nil {
				return nil, err
			}
			if rows > 0 {
				uploaded = append(uploaded, add)
			}
			f.rows, f.bytes = f.rows+rows, f.bytes+add.Size
		}
		from = to
	}
	return uploaded, nil
}

// covered is the number of offsets in the spans; each must be one row.
func (f *flush) covered() (n int64) {
	for _, s := range f.spans {
		n += s.last - s.first + 1
	}
	return n
}

// uploadFile makes the file of one container, proves it and uploads it; no rows, no file.
func (f *flush) uploadFile(ctx context.Context, now time.Time, container string, refs []ref) (add delta.Add, rows int64, err error) {
	a := f.a
	a.file.Reset()
	stats, err := f.encode(&a.file, refs)
	if err != nil || stats.Rows() == 0 {
		return add, 0, err
	}
	add, err = uploadChangeFile(ctx, f.t.store, container, now, a.file.Bytes(), &stats)
	return add, stats.Rows(), err
}

// uploadChangeFile proves a file and uploads it under a new name.
func uploadChangeFile(
	ctx context.Context, store blob.Store, container string, now time.Time, file []byte, stats *archive.FileStats,
) (delta.Add, error) {
	if err := archive.Verify(file, stats); err != nil {
		return delta.Add{}, err
	}
	statistics, err := stats.Delta()
	if err != nil {
		return delta.Add{}, err
	}
	path, values := archive.ChangeFile(container, now, schemas.NewUUID())
	info, err := store.Put(ctx, path, bytes.NewReader(file), blob.IfAbsent())
	if err != nil {
		return delta.Add{}, fmt.Errorf("upload %s: %w", path, err)
	}
	return delta.Add{
		Path: path, Partition: values, Size: stats.Bytes, Modified: info.Modified, DataChange: true, Stats: statistics,
	}, nil
}

// encode writes the rows that belong to the spans.
func (f *flush) encode(out *bytes.Buffer, refs []ref) (archive.FileStats, error) {
	b := f.a.buffer
	w, err := archive.NewFileWriterFor(out, schemas.ChangeColumns(), b.weight(refs))
	if err != nil {
		return archive.FileStats{}, err
	}
	var row archive.Row
	for _, r := range refs {
		number := b.partition(r)
		if !slices.ContainsFunc(f.spans, func(s span) bool { return s.partition == number }) {
			continue
		}
		b.row(r.at, &row)
		row.Topic = f.t.uuidText
		if err := w.Write(&row); err != nil {
			return archive.FileStats{}, err
		}
	}
	return w.Close()
}
