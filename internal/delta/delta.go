// Package delta reads and writes the log of a Delta Lake table: reader version 1, writer version 2, no table features. It
// knows no column of anybody's rows; it says which files are the table.
//
// Nouns. A *table* is a folder; its *log* is `_delta_log/`, one JSON file per *version*, 0, 1, 2 …, each a list of
// *actions*: an *add* makes a file part of the table, a *remove* takes it out (its *tombstone* stays for a while), a *txn*
// keeps one number for one application, *metadata* is schema, partition columns and properties, *protocol* is what a
// reader and a writer must know. A *checkpoint* is everything up to one version in one Parquet file, and
// `_last_checkpoint` a hint where the newest one is. A *snapshot* is the table at one version.
//
// Guarantees.
//
//   - Commit writes all its actions as one version, or none of them. A version is written once, by a put that fails where
//     something stands; whoever loses is shown every version since its base and prepares again upon the one just below
//     its own (the compare-and-set of INV-3 is the caller's, on the txns of that snapshot).
//   - An answer that never came is no answer: the same bytes go to the same version until something stands there, and a
//     random id in it tells whose it is. Nothing is written at a later version before that is known.
//   - A commit into a hole of a log that was cleaned meanwhile is found out and reported as UncertainError. This needs
//     a cleaner that removes versions in ascending order.
//   - No file that a sweep may have removed is committed (INV-8): an add that the store wrote at or before the horizon in
//     the version just below is refused with SweptError.
//   - Memory grows with the live files of the table, or not even with these under Options.WithoutFiles (INV-9).
package delta

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/cosmos-almanac/almanac/internal/sleep"
)

// SweepAppID is the txn whose version is the sweep horizon, in milliseconds since 1970 by the store's clock. Files that
// were written at or before it and that no retained version refers to may be gone. It only grows.
const SweepAppID = "almanac.sweep"

// NoTable is the version of a snapshot where there is no table yet.
const NoTable = -1

// Options of loading and committing; the zero value is the documented default.
type Options struct {
	// WithoutFiles loads no adds: Snapshot.Files stays empty. For writers that only look at txns.
	WithoutFiles bool

	// CheckpointEvery is the number of versions between checkpoints. Default 100.
	CheckpointEvery int64

	// MaxAttempts bounds the versions that Commit tries for, and the attempts at each whose answer stays unclear.
	// Default 64 and, for the latter, at most 10.
	MaxAttempts int

	// MaxBaseAge is the age by the store's clock at which a base is loaded anew before a commit. Default a day. It must
	// stay well below the time that the log is kept.
	MaxBaseAge time.Duration

	// Background runs a checkpoint off the commit's path; its owner waits for it before it ends. The task reports what
	// goes wrong to Logger; nothing depends on it but the time that readers need. Default: within Commit.
	Background func(task func(ctx context.Context))

	// Engine names the writer in the history of the table. Default "almanac".
	Engine string

	// Logger gets what does not reach the caller: checkpoints that could not be written. Default: none.
	Logger *slog.Logger

	// Wait passes the time between attempts. Default: a timer.
	Wait func(ctx context.Context, d time.Duration) error

	// Clock is asked where the store has told no time yet: in a table's first commit. Default time.Now.
	Clock func() time.Time

	// NewID makes the random id of a commit attempt. Default: 128 bits of crypto/rand.
	NewID func() string

	keep func(Add) bool // Find's
}

func (o Options) withDefaults() Options {
	if o.CheckpointEvery <= 0 {
		o.CheckpointEvery = 100
	}
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = 64
	}
	if o.MaxBaseAge <= 0 {
		o.MaxBaseAge = 24 * time.Hour
	}
	if o.keep == nil {
		o.keep = func(Add) bool { return true }
	}
	if o.Engine == "" {
		o.Engine = "almanac"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Wait == nil {
		o.Wait = sleep.For
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.NewID == nil {
		o.NewID = newID
	}
	return o
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails, by its contract
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

var (
	// ErrNothing is what prepare answers when there is nothing to commit any more. Commit passes it on.
	ErrNothing = errors.New("nothing to commit")

	// ErrContended says that other writers were first at every attempt. Nothing was committed.
	ErrContended = errors.New("other writers were first at every attempt")

	// ErrNoVersion says that a version cannot be loaded: it does not exist, or the log no longer holds it.
	ErrNoVersion = errors.New("version is not in the log")

	// errCleaned is why a commit is uncertain whose place was cleaned around it.
	errCleaned = errors.New("the log was cleaned meanwhile, or has a checkpoint already: the commit is part of the table, or lies where no reader looks")
)

// UncertainError says that a commit may stand, now or later. Whoever gets it loads the table again and looks; it removes
// no file that the commit named. It is the only error of Commit after which the commit may stand.
type UncertainError struct {
	Version int64
	ID      string // of the commit
	Err     error
}

func (e *UncertainError) Error() string {
	return fmt.Sprintf("commit version %d (id %s): the answer is not known, it may stand now or later; load the table again: %v", e.Version, e.ID, e.Err)
}

func (e *UncertainError) Unwrap() error { return e.Err }

// SweptError says that files of a commit are so old that a sweep may have removed them. Nothing was written. Upload them
// again under new names.
type SweptError struct {
	Horizon time.Time
	Adds    []Add // those at or before the horizon
}

func (e *SweptError) Error() string {
	return fmt.Sprintf("commit: %d files, the first %s of %s, are not newer than the sweep horizon %s; upload them again under new names",
		len(e.Adds), e.Adds[0].Path, e.Adds[0].Modified.UTC().Format(time.RFC3339Nano), e.Horizon.UTC().Format(time.RFC3339Nano))
}

// UnsupportedError says that a table needs what this package does not know.
type UnsupportedError struct {
	Property string
	Since    int64 // the version that brought it; 0 where that is not known
}

func (e *UnsupportedError) Error() string {
	since, before := "", "<the last version before it>"
	if e.Since > 0 {
		since, before = fmt.Sprintf(" since version %d", e.Since), strconv.FormatInt(e.Since-1, 10)
	}
	return fmt.Sprintf("table needs %s%s; this program reads and writes Delta tables of reader version 1 and writer version 2 without table features. "+
		"Another program has upgraded the table. To undo that, restore the version before: in Spark, SET spark.databricks.delta.restore.protocolDowngradeAllowed = true; "+
		"RESTORE TABLE delta.`<the table's folder>` TO VERSION AS OF %[3]s; or with delta-rs, DeltaTable(<the table's folder>).restore(%[3]s, protocol_downgrade_allowed=True)",
		e.Property, since, before)
}

// unsupportedSince adds the version to an UnsupportedError.
func unsupportedSince(err error, version int64) error {
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		return &UnsupportedError{Property: unsupported.Property, Since: version}
	}
	return err
}
