package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Clear removes the halt of a container's range, or of all of them when span is nil, by compare-and-set. It returns the
// halts that it removed. A reader notices within seconds.
func Clear(ctx context.Context, root blob.Store, c config.Container, span *schemas.FeedRange, now time.Time) ([]*schemas.Halt, error) {
	var names []string
	prefix := schemas.CheckpointPrefix(c.Topic, c.Name())
	err := root.List(ctx, prefix, func(info blob.Info) error {
		if span == nil || info.Name == schemas.CheckpointFile(c.Topic, c.Name(), *span) {
			names = append(names, info.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list checkpoints %s: %w", prefix, err)
	}
	if len(names) == 0 {
		return nil, usagef("container %s has no such checkpoint below %s: name a range as the log does, MIN-MAX, or all", c.Name(), prefix)
	}
	var cleared []*schemas.Halt
	for _, name := range names {
		halt, err := clearOne(ctx, root, name, now)
		if err != nil {
			return cleared, err
		}
		if halt != nil {
			cleared = append(cleared, halt)
		}
	}
	if len(cleared) == 0 {
		return nil, usagef("nothing of container %s that you named is halted", c.Name())
	}
	return cleared, nil
}

func clearOne(ctx context.Context, root blob.Store, name string, now time.Time) (*schemas.Halt, error) {
	for range settleAttempts {
		l, err := openLine(ctx, root, name, "clear")
		if err != nil {
			return nil, err
		}
		halt := l.Checkpoint.Halt
		if halt == nil {
			return nil, nil
		}
		next := clone(l.Checkpoint)
		next.Halt = nil
		if err := l.save(ctx, next, now); !errors.Is(err, errLost) {
			return halt, err
		}
	}
	return nil, fmt.Errorf("clear %s: other writers were always first", name)
}
