package compactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/replay"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Result is a snapshot that exists.
type Result struct {
	Point string        `json:"point"`
	Rows  int64         `json:"rows"`
	Bytes int64         `json:"bytes"`
	Files int           `json:"files"`
	Base  string        `json:"base,omitempty"`
	Took  time.Duration `json:"took_ns"`
	Fresh bool          `json:"fresh"` // this execution made it exist
}

// ErrOvertaken says that another snapshot was committed since the plan was made. Nothing was committed; plan again.
var ErrOvertaken = errors.New("another snapshot was committed first")

// Execute carries a plan out. It may be interrupted at any step, and be repeated. A contradiction in the rows halts the
// container and is answered as *schemas.Halt.
func (c *Compactor) Execute(ctx context.Context, p *Plan) (*Result, error) {
	begin := c.opts.Clock()
	result, err := c.execute(ctx, p)
	var halt *schemas.Halt
	if errors.As(err, &halt) {
		if haltErr := archive.WriteFoldHalt(ctx, c.opts.Root, p.Topic, p.Point.Container, p.Point.Incarnation, halt); haltErr != nil {
			err = errors.Join(err, haltErr)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("take snapshot %s of %s: %w", p.Point.Name, p.Point.Container, err)
	}
	result.Took = c.opts.Clock().Sub(begin)
	c.metrics.taken(p.Point.Container, result, p.Point.Latest)
	if result.Fresh {
		c.opts.Log.Info("snapshot taken", "container", p.Point.Container, "point", result.Point, "rows", result.Rows,
			"bytes", result.Bytes, "files", result.Files, "base", result.Base, "took", result.Took.Round(time.Millisecond))
	}
	return result, nil
}

func (c *Compactor) execute(ctx context.Context, p *Plan) (*Result, error) {
	if p.Exists {
		manifest, err := archive.ReadManifest(ctx, c.opts.Root, p.Topic, &p.Point)
		if err != nil {
			return nil, err
		}
		return resultOf(manifest), nil
	}
	manifest := p.resume
	if manifest == nil {
		var err error
		if manifest, err = c.build(ctx, p); err != nil {
			return nil, err
		}
	} else if err := c.complete(ctx, p, manifest); err != nil {
		return nil, err
	}
	result := resultOf(manifest)
	result.Base = p.Base
	fresh, err := c.commit(ctx, p, manifest)
	if swept := new(delta.SweptError); errors.As(err, &swept) {
		return nil, burned(p, err)
	}
	result.Fresh = fresh
	return result, err
}

// burned says that a manifest stands whose files a sweep may have removed. It is never replaced, because another compactor
// may hold it; nobody can commit it either (INV-8). Newer points come as long as the producers run.
func burned(p *Plan, cause error) error {
	return fmt.Errorf("an earlier run left the files of point %s, and they are too old to be committed: take a newer point, or remove %s and try again: %w",
		p.Point.Name, archive.ManifestFile(p.Topic, &p.Point), cause)
}

func resultOf(m *archive.Manifest) *Result {
	return &Result{Point: m.Point.Name, Rows: m.Rows, Bytes: m.Bytes, Files: len(m.Files)}
}

// complete checks that the files of a manifest that was left are there as they were when it was written.
func (c *Compactor) complete(ctx context.Context, p *Plan, m *archive.Manifest) error {
	for _, file := range m.Files {
		info, err := blob.Stat(ctx, c.stateStore(p), file.Path)
		if errors.Is(err, blob.ErrNotFound) {
			return burned(p, fmt.Errorf("file %s: %w", file.Path, err))
		}
		if err != nil {
			return err
		}
		if info.Size != file.Size {
			return fmt.Errorf("file %s has %d bytes, its manifest says %d: the store changed it", file.Path, info.Size, file.Size)
		}
	}
	return nil
}

// build writes the files and the manifest.
func (c *Compactor) build(ctx context.Context, p *Plan) (*archive.Manifest, error) {
	manifest, err := c.fold(ctx, p)
	if errors.Is(err, replay.ErrBase) {
		c.opts.Log.Warn("base does not agree with the rows; building from rows alone", "container", p.Point.Container, "base", p.Base, "error", err.Error())
		p.base, p.Base = nil, ""
		manifest, err = c.fold(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	stands, err := archive.PutManifest(ctx, c.opts.Root, p.Topic, manifest)
	if err != nil {
		return nil, err // ours may have landed: the files stay
	}
	if !sameFiles(stands, manifest) {
		// Another compactor was first with this point, so ours is named by nobody and never will be.
		if !stands.Rules.Equal(&p.Rules) {
			return nil, fmt.Errorf("%w: point %s is being taken under other rules (%s)", ErrOvertaken, p.Point.Name, stands.Rules.String())
		}
		for _, file := range manifest.Files {
			if err := c.stateStore(p).Delete(ctx, file.Path); err != nil {
				c.opts.Log.Warn("file of an overtaken snapshot not removed; it is an orphan", "file", file.Path, "error", err.Error())
			}
		}
	}
	return stands, nil
}

func sameFiles(a, b *archive.Manifest) bool {
	return slices.EqualFunc(a.Files, b.Files, func(x, y archive.StateFile) bool { return x.Path == y.Path })
}

// fold merges the rows into files. On an error its files are removed.
func (c *Compactor) fold(ctx context.Context, p *Plan) (_ *archive.Manifest, err error) {
	documents, err := replay.Open(ctx, replay.Options{
		Changes: p.changes, Point: p.Point, Rules: p.Rules, Base: p.base, Memory: mergeMemory(c.opts.Memory), Spill: c.opts.Spill,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, documents.Close()) }()
	w := archive.NewStateWriter(c.stateStore(p), &p.Point, c.opts.Split)
	if err := copyAll(ctx, documents, w); err != nil {
		return nil, errors.Join(err, c.abort(ctx, w))
	}
	files, err := w.Close(ctx)
	if err != nil {
		return nil, errors.Join(err, c.abort(ctx, w))
	}
	m := &archive.Manifest{
		Format: schemas.FormatVersion, Topic: p.changes.UUID, Point: p.Point, Rules: p.Rules, Files: files, Taken: c.opts.Clock().UTC(),
	}
	if m.Files == nil {
		m.Files = []archive.StateFile{}
	}
	for _, file := range files {
		m.Rows += file.Rows
		m.Bytes += file.Size
	}
	if m.LeftOut, err = leftOut(documents); err != nil {
		return nil, errors.Join(err, c.abort(ctx, w))
	}
	return m, nil
}

// writerMemory is what a file of `state` takes while it is written: a row group and its pages.
const writerMemory = 40 << 20

// mergeMemory leaves the merge what the writer does not need, and a quarter where that is too little.
func mergeMemory(memory int64) int64 {
	if memory == 0 {
		memory = replay.MemoryDefault
	}
	return max(memory/4, memory-writerMemory)
}

func copyAll(ctx context.Context, from *replay.Iterator, to *archive.StateWriter) error {
	for {
		row, err := from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := to.Write(ctx, row); err != nil {
			return err
		}
	}
}

func leftOut(documents *replay.Iterator) (schemas.Offsets, error) {
	offsets, ok := documents.LeftOut()
	if !ok {
		return nil, errors.New("the merge did not come to its end: this is a defect of the program")
	}
	return offsets, nil
}

// abortGrace is how long the files of a snapshot that failed are removed for, even if the program is asked to end.
const abortGrace = 5 * time.Second

func (c *Compactor) abort(ctx context.Context, w *archive.StateWriter) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortGrace)
	defer cancel()
	if err := w.Abort(ctx); err != nil {
		c.opts.Log.Warn("files of a snapshot that failed not removed; they are orphans", "error", err.Error())
	}
	return nil
}

// commit makes the snapshot exist: one version of `state` in which its files take the place of all others. It answers
// false when another compactor has committed the same manifest.
func (c *Compactor) commit(ctx context.Context, p *Plan, m *archive.Manifest) (bool, error) {
	app := archive.SnapshotAppID(p.Point.Name)
	prepare := func(_ context.Context, below *delta.Snapshot) (delta.Actions, error) {
		if _, stands := below.Txns[app]; stands {
			return delta.Actions{}, delta.ErrNothing
		}
		for _, name := range archive.SnapshotNames(below) {
			if !slices.Contains(p.known, name) {
				return delta.Actions{}, fmt.Errorf("%w: %s", ErrOvertaken, name)
			}
		}
		return c.actions(p, m, below)
	}
	_, err := delta.Commit(ctx, c.stateStore(p), p.state, prepare, c.deltaOptions())
	if errors.Is(err, delta.ErrNothing) {
		return false, nil
	}
	return err == nil, err
}

func (c *Compactor) actions(p *Plan, m *archive.Manifest, below *delta.Snapshot) (delta.Actions, error) {
	a := delta.Actions{
		Txns: []delta.Txn{{AppID: archive.SnapshotAppID(p.Point.Name), Version: p.Point.Latest.UnixMilli(), Updated: c.opts.Clock()}},
		Info: delta.CommitInfo{Operation: "WRITE", Parameters: map[string]string{"mode": "Overwrite", "snapshot": p.Point.Name}},
	}
	if below.Version < 0 {
		metadata, err := archive.StateMetadata(p.Point.Container, c.opts.Clock())
		if err != nil {
			return a, err
		}
		a.Metadata = metadata
	}
	for _, old := range below.Files {
		r := delta.RemoveOf(old)
		r.DataChange = true
		a.Removes = append(a.Removes, r)
	}
	for i := range m.Files {
		a.Adds = append(a.Adds, m.Files[i].Add())
	}
	return a, nil
}
