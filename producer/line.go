package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/sleep"
	"github.com/cosmos-almanac/almanac/schemas"
)

var (
	// errLost reports that another reader wrote the checkpoint: whatever was known of the range is void.
	errLost = errors.New("checkpoint was written by another reader")

	// errUnreadable reports a checkpoint that this version cannot decode. It is nobody's to overwrite.
	errUnreadable = errors.New("checkpoint cannot be decoded")
)

const (
	checkpointLimit = 256 << 10 // bytes
	settleAttempts  = 20
	settleWait      = 250 * time.Millisecond
	settleMost      = 5 * time.Second
)

// line is the right to write one range's checkpoint, and what stands there. Only a line whose last write stands in the
// store may write again: that is the fence between two readers (tests/sim/checkpoint).
type line struct {
	store   blob.Store
	name    string
	version string                              // of the object as this line knows it
	writer  string                              // for people
	refused func(err error, wait time.Duration) // told when the store did not take a write that is tried again; may be nil

	Checkpoint schemas.Checkpoint
}

// openLine reads a checkpoint. blob.ErrNotFound where there is none, errUnreadable where it is none.
func openLine(ctx context.Context, store blob.Store, name, writer string) (*line, error) {
	l := &line{store: store, name: name, writer: writer}
	stands, version, err := l.load(ctx)
	if err != nil {
		return nil, err
	}
	l.Checkpoint, l.version = *stands, version
	return l, nil
}

func (l *line) load(ctx context.Context) (*schemas.Checkpoint, string, error) {
	body, info, err := blob.ReadAll(ctx, l.store, l.name, checkpointLimit)
	if err != nil {
		return nil, "", fmt.Errorf("read checkpoint %s: %w", l.name, err)
	}
	c, err := schemas.DecodeCheckpoint(body)
	if err != nil {
		return nil, "", fmt.Errorf("read checkpoint %s: %w: %w", l.name, errUnreadable, err)
	}
	if c.Offsets == nil {
		c.Offsets = schemas.Offsets{}
	}
	return c, info.Version, nil
}

// save writes next over what this line knows (INV-1). After any answer but success it reads the object back: its own
// write id means that the write landed; the write id that the line began from means that it did not, and the same write
// is tried again; anything else is errLost. now is the time that the object tells people.
func (l *line) save(ctx context.Context, next schemas.Checkpoint, now time.Time) error {
	next.WriteID, next.WrittenBy, next.WrittenAt = schemas.NewUUID(), l.writer, now.UTC()
	body, err := next.Encode()
	if err != nil {
		return fmt.Errorf("write checkpoint %s: %w", l.name, err)
	}
	wait := settleWait
	for range settleAttempts {
		info, putErr := l.store.Put(ctx, l.name, bytes.NewReader(body), blob.IfVersion(l.version))
		if putErr == nil {
			l.Checkpoint, l.version = next, info.Version
			return nil
		}
		stands, version, readErr := l.load(ctx)
		switch {
		case readErr == nil && stands.WriteID == next.WriteID:
			l.Checkpoint, l.version = next, version
			return nil
		case readErr == nil && stands.WriteID != l.Checkpoint.WriteID,
			errors.Is(readErr, blob.ErrNotFound), errors.Is(readErr, errUnreadable):
			return fmt.Errorf("write checkpoint %s: %w", l.name, errLost)
		}
		err = errors.Join(putErr, readErr)
		if l.refused != nil {
			l.refused(err, wait)
		}
		if pauseErr := sleep.For(ctx, wait); pauseErr != nil {
			return fmt.Errorf("write checkpoint %s: %w", l.name, errors.Join(err, pauseErr))
		}
		wait = min(2*wait, settleMost)
	}
	return fmt.Errorf("write checkpoint %s: the store did not take it in %d attempts: %w", l.name, settleAttempts, err)
}
