package delta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// Snapshot is the table at one version. It never changes; Refresh and Commit make new ones that share what is the same.
type Snapshot struct {
	Version  int64 // NoTable where there is none
	Protocol Protocol
	Metadata Metadata
	Txns     map[string]int64 // by appId; shared, not to be written to
	Files    []Add            // the live files in the order of their paths; empty under Options.WithoutFiles; shared

	// Checked is the store's clock when this was known to stand in the log. Zero where there is no table.
	Checked time.Time

	txns  map[string]wireTxn
	seen  blob.Info // the file of this version
	store blob.Store

	// unsupported is why this version cannot be used; a snapshot that has it only serves to build later versions upon.
	unsupported error
	opts        Options
}

// Load reads the newest version. The store is the table's folder; a folder without a log is a snapshot of NoTable.
func Load(ctx context.Context, store blob.Store, opts Options) (*Snapshot, error) {
	l := log{store: store, opts: opts.withDefaults()}
	s, err := l.newest(ctx)
	if err != nil {
		return nil, fmt.Errorf("load table: %w", err)
	}
	return s, nil
}

// Find answers the live files that keep wants, in the order of their paths. Memory grows with these alone, but for the
// versions since the last checkpoint (INV-9).
func Find(ctx context.Context, store blob.Store, keep func(Add) bool) ([]Add, error) {
	s, err := Load(ctx, store, Options{keep: keep})
	if err != nil {
		return nil, err
	}
	return s.Files, nil
}

// LoadAt reads one version; ErrNoVersion when the log does not hold it (any more).
func LoadAt(ctx context.Context, store blob.Store, version int64, opts Options) (*Snapshot, error) {
	l := log{store: store, opts: opts.withDefaults()}
	s, err := l.at(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("load table at version %d: %w", version, err)
	}
	return s, nil
}

// Refresh reads what was committed since, version by version. It answers s itself's successor, at the same version when
// there is nothing newer.
func (s *Snapshot) Refresh(ctx context.Context) (*Snapshot, error) {
	if s.Version < 0 {
		return Load(ctx, s.store, s.opts)
	}
	l := log{store: s.store, opts: s.opts}
	o := newOverlay(s.Version)
	if err := l.replay(ctx, o, lastVersion); err != nil {
		return nil, fmt.Errorf("refresh table from version %d: %w", s.Version, err)
	}
	// What was read is the log only if this version still stands below it. Nothing above may also mean that the log was
	// cleaned past us, and what stands above may have been written into the hole.
	same, now, err := s.stillStands(ctx)
	if err != nil {
		return nil, fmt.Errorf("refresh table from version %d: %w", s.Version, err)
	}
	if !same {
		return Load(ctx, s.store, s.opts)
	}
	next, err := o.over(s)
	if err == nil {
		err = next.unsupported
	}
	if err != nil {
		return nil, fmt.Errorf("refresh table from version %d: %w", s.Version, err)
	}
	next.Checked = now
	return next, nil
}

// stillStands tells whether the file of this version is the very object that was read or written, and the store's clock.
// An object of the same name, even of the same bytes, may be one that a paused writer put where the log was cleaned.
func (s *Snapshot) stillStands(ctx context.Context) (same bool, now time.Time, err error) {
	info, err := blob.Stat(ctx, s.store, commitName(s.Version))
	if errors.Is(err, blob.ErrNotFound) {
		return false, time.Time{}, nil
	}
	if err != nil {
		return false, time.Time{}, err
	}
	return info.Size == s.seen.Size && info.Version == s.seen.Version && info.Modified.Equal(s.seen.Modified), info.Now, nil
}

// SweepHorizon is the time at or before which unreferenced files may be gone; zero when there was no sweep.
func (s *Snapshot) SweepHorizon() time.Time { return fromMillis(s.Txns[SweepAppID]) }

// Swept tells whether a file that the store wrote at that time must be uploaded again before it is committed on top of
// this version. The log keeps milliseconds rounded down, so this compares those.
func (s *Snapshot) Swept(modified time.Time) bool {
	horizon, swept := s.Txns[SweepAppID]
	return swept && modified.UnixMilli() <= horizon
}

// Txn is what an application keeps, with when it was updated.
func (s *Snapshot) Txn(appID string) (Txn, bool) {
	t, ok := s.txns[appID]
	return Txn{AppID: t.AppID, Version: t.Version, Updated: fromMillis(t.LastUpdated)}, ok
}

// File finds a live file by its path. It finds none under Options.WithoutFiles.
func (s *Snapshot) File(path string) (Add, bool) {
	i, found := slices.BinarySearchFunc(s.Files, path, func(a Add, path string) int { return strings.Compare(a.Path, path) })
	if !found {
		return Add{}, false
	}
	return s.Files[i], true
}
