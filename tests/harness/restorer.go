package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Timeline is what `restorer points -o json` prints. Its points stay as they were printed.
type Timeline struct {
	Container       string            `json:"container"`
	RestorableUntil *time.Time        `json:"restorable_until"`
	Total           int               `json:"total"`
	Points          []json.RawMessage `json:"points"`
	Pending         []string          `json:"pending"`
}

// Points lists the newest restore points of a container; last 0 is all.
func (s *Stack) Points(ctx context.Context, container string, last int) (*Timeline, error) {
	t := new(Timeline)
	if _, err := s.Ask(ctx, t, "restorer", "points", "--container", container, "--last", fmt.Sprint(last)); err != nil {
		return nil, err
	}
	return t, nil
}

// Ask runs a program whose result is JSON and decodes it. An exit code is an error.
func (s *Stack) Ask(ctx context.Context, into any, program string, args ...string) (*Result, error) {
	r, err := s.Run(ctx, program, append(args, "-o", "json")...)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(r.Stdout, into); err != nil {
		return r, fmt.Errorf("read the result of %s %s: %w: %s", program, args[0], err, tailOf(string(r.Stdout)))
	}
	return r, nil
}

// Restorable waits until everything that was acknowledged before the time can be restored.
func (s *Stack) Restorable(ctx context.Context, container string, until time.Time) error {
	return Until(ctx, "a restore point of "+container+" that holds everything before "+until.UTC().Format(time.TimeOnly), func() (string, error) {
		t, err := s.Points(ctx, container, 1)
		switch {
		case err != nil:
			return err.Error(), s.Failed()
		case t.RestorableUntil == nil:
			return fmt.Sprintf("there is none: %v", t.Pending), s.Failed()
		case t.RestorableUntil.Before(until):
			return fmt.Sprintf("the newest holds everything before %s (%v)", t.RestorableUntil.UTC().Format(time.TimeOnly), t.Pending), s.Failed()
		}
		return "", nil
	})
}
