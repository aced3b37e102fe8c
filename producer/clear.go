package producer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Clear removes the halt of a container's range, or of all of them when span is nil, by compare-and-set. It returns the
// halts that it removed, which may be none. A reader notices within seconds.
func Clear(ctx context.Context, root blob.Store, c config.Container, span *schemas.FeedRange, now time.Time) ([]*schemas.Halt, error) {
	var names, known []string
	prefix := schemas.CheckpointPrefix(c.Topic, c.Name())
	err := root.List(ctx, prefix, func(info blob.Info) error {
		known = append(known, strings.TrimSuffix(strings.TrimPrefix(info.Name, prefix), ".json"))
		if span == nil || info.Name == schemas.CheckpointFile(c.Topic, c.Name(), *span) {
			names = append(names, info.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list checkpoints %s: %w", prefix, err)
	}
	switch {
	case len(known) == 0:
		return nil, usagef("container %s has no checkpoint below %s: the producer has not run with this producer.root", c.Name(), prefix)
	case len(names) == 0:
		return nil, usagef("container %s has no range %s; known: %s; or say all", c.Name(), span, strings.Join(known, ", "))
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
