package delta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

const (
	lastVersion = math.MaxInt64

	// maxHint bounds the hint; it is an object of a few numbers, but foreign writers add a schema.
	maxHint = 16 << 20

	// staleHint is the number of intervals behind a hinted checkpoint after which the log is listed for a newer one: the
	// hint may be one that could not be overwritten.
	staleHint = 3
)

// log finds its way through a table's log.
type log struct {
	store blob.Store
	opts  Options
}

type hint struct {
	Version     int64 `json:"version"`
	Size        int64 `json:"size"`
	SizeInBytes int64 `json:"sizeInBytes,omitempty"`
	AddFiles    int64 `json:"numOfAddFiles"`
}

// newest loads the newest version: from the hinted checkpoint, or from what a listing shows when there is no hint, or the
// hint leads nowhere, or only to the far past.
func (l log) newest(ctx context.Context) (*Snapshot, error) {
	if h, ok := l.readHint(ctx); ok {
		s, err := l.fromHint(ctx, h)
		if s != nil || err != nil {
			return s, err
		}
	}
	for attempt := 1; ; attempt++ {
		listing, err := l.list(ctx, lastVersion)
		if err != nil {
			return nil, err
		}
		if listing.empty() {
			return &Snapshot{Version: NoTable, store: l.store, opts: l.opts}, nil
		}
		s, err := l.load(ctx, listing, lastVersion)
		if (errors.Is(err, blob.ErrNotFound) || errors.Is(err, ErrNoVersion)) && attempt < 3 {
			continue // cleaned between the listing and the reading
		}
		return s, err
	}
}

// fromHint answers nil when the listing has to be asked.
func (l log) fromHint(ctx context.Context, h hint) (*Snapshot, error) {
	base, err := l.readCheckpoint(ctx, h.Version)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o := newOverlay(h.Version)
	limit := h.Version + staleHint*l.opts.CheckpointEvery
	if err := l.replay(ctx, o, limit); err != nil {
		return nil, err
	}
	if o.last >= limit {
		return nil, nil // stale
	}
	if same, _, err := base.stillStands(ctx); err != nil || !same {
		return nil, err // the log was, or is being, cleaned past the hint
	}
	return l.finish(o, base)
}

// readHint tells no hint when it is missing, torn or unreadable: it only saves time.
func (l log) readHint(ctx context.Context) (hint, bool) {
	data, _, err := blob.ReadAll(ctx, l.store, hintName, maxHint)
	if err != nil {
		return hint{}, false
	}
	h := hint{Version: NoTable}
	if json.Unmarshal(data, &h) != nil || h.Version < 0 {
		return hint{}, false
	}
	return h, true
}

// at loads one version.
func (l log) at(ctx context.Context, version int64) (*Snapshot, error) {
	listing, err := l.list(ctx, version)
	if err != nil {
		return nil, err
	}
	return l.load(ctx, listing, version)
}

// load reads the newest checkpoint of a listing and the versions after it, up to the target.
func (l log) load(ctx context.Context, listing listing, target int64) (*Snapshot, error) {
	base, o, err := l.read(ctx, listing, target)
	if err != nil {
		return nil, err
	}
	return l.finish(o, base)
}

// read is load before the two are laid upon each other.
func (l log) read(ctx context.Context, listing listing, target int64) (*Snapshot, *overlay, error) {
	base := &Snapshot{Version: NoTable, store: l.store, opts: l.opts}
	if listing.checkpoint >= 0 {
		var err error
		if base, err = l.readCheckpoint(ctx, listing.checkpoint); err != nil {
			return nil, nil, err
		}
	}
	o := newOverlay(base.Version)
	if err := l.replay(ctx, o, target); err != nil {
		return nil, nil, err
	}
	switch {
	case target != lastVersion && o.last != target:
		return nil, nil, fmt.Errorf("version %d follows nothing that can be read up to it%s: %w", target, listing.hidden(), ErrNoVersion)
	case o.last < listing.newest:
		return nil, nil, fmt.Errorf("version %d is missing although %d exists%s: the log has a hole; restore the missing file, or, "+
			"if %s is a stranger's, which no writer of this table put there, move it away: %w",
			o.last+1, listing.newest, listing.hidden(), commitName(listing.newest), ErrNoVersion)
	}
	return base, o, nil
}

func (l log) finish(o *overlay, base *Snapshot) (*Snapshot, error) {
	s, err := o.over(base)
	if err != nil {
		return nil, err
	}
	if s.unsupported != nil {
		return nil, s.unsupported
	}
	if s.Protocol == (Protocol{}) || s.Metadata.ID == "" {
		return nil, fmt.Errorf("version %d has no protocol or no metadata: it is not a Delta table, or its first versions were lost", s.Version)
	}
	return s, nil
}

// replay applies the versions after the overlay's last, up to the target or the end of the log.
func (l log) replay(ctx context.Context, o *overlay, target int64) error {
	for o.last < target {
		commit, err := readCommit(ctx, l.store, o.last+1)
		if errors.Is(err, blob.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := o.apply(o.last+1, commit.lines); err != nil {
			return err
		}
		o.tip = commit.info
	}
	return nil
}

// listing is what the names in the log tell.
type listing struct {
	checkpoint int64 // the newest single-file one at or below the target, or NoTable
	newest     int64 // version, up to the target
	unread     string
}

func (l listing) empty() bool { return l.newest < 0 && l.checkpoint < 0 && l.unread == "" }

// hidden names a checkpoint that this package does not read, which explains what seems to be missing.
func (l listing) hidden() string {
	if l.unread == "" {
		return ""
	}
	return fmt.Sprintf(" (%s is of a kind that this program does not read; write a classic checkpoint in one file)", l.unread)
}

func (l log) list(ctx context.Context, target int64) (listing, error) {
	found := listing{checkpoint: NoTable, newest: NoTable}
	err := l.store.List(ctx, logFolder, func(info blob.Info) error {
		version, suffix, ok := parseLogName(info.Name)
		if !ok || version > target {
			return nil
		}
		switch suffix {
		case commitSuffix:
			found.newest = version
		case singleSuffix:
			found.checkpoint = version
		default:
			if len(suffix) > len(".checkpoint.") && suffix[:len(".checkpoint.")] == ".checkpoint." {
				found.unread = info.Name
			}
		}
		return nil
	})
	if err != nil {
		return listing{}, fmt.Errorf("list log: %w", err)
	}
	return found, nil
}
