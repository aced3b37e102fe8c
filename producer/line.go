package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
)

// errLost reports that another reader wrote the checkpoint: whatever was known of the range is void.
var errLost = errors.New("checkpoint was written by another reader")

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
	version string // of the object as this line knows it
	writer  string // for people

	Checkpoint schemas.Checkpoint
}

// openLine reads a checkpoint. blob.ErrNotFound where there is none.
func openLine(ctx context.Context, store blob.Store, name, writer string) (*line, error) {
	l := &line{store: store, name: name, writer: writer}
	if err := l.read(ctx, &l.Checkpoint); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *line) read(ctx context.Context, into *schemas.Checkpoint) error {
	body, info, err := blob.ReadAll(ctx, l.store, l.name, checkpointLimit)
	if err != nil {
		return fmt.Errorf("read checkpoint %s: %w", l.name, err)
	}
	c, err := schemas.DecodeCheckpoint(body)
	if err != nil {
		return fmt.Errorf("read checkpoint %s: %w", l.name, err)
	}
	*into, l.version = *c, info.Version
	if into.Offsets == nil {
		into.Offsets = schemas.Offsets{}
	}
	return nil
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
	base := l.Checkpoint.WriteID
	wait := settleWait
	for range settleAttempts {
		info, putErr := l.store.Put(ctx, l.name, bytes.NewReader(body), blob.IfVersion(l.version))
		if putErr == nil {
			l.Checkpoint, l.version = next, info.Version
			return nil
		}
		var stands schemas.Checkpoint
		readErr := l.read(ctx, &stands)
		switch {
		case readErr == nil && stands.WriteID == next.WriteID:
			l.Checkpoint = next
			return nil
		case errors.Is(readErr, blob.ErrNotFound), readErr == nil && stands.WriteID != base:
			return fmt.Errorf("write checkpoint %s: %w", l.name, errLost)
		}
		if err := pause(ctx, wait); err != nil {
			return fmt.Errorf("write checkpoint %s: %w", l.name, errors.Join(putErr, readErr, err))
		}
		wait = min(2*wait, settleMost)
	}
	return fmt.Errorf("write checkpoint %s: the store did not take it in %d attempts", l.name, settleAttempts)
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
