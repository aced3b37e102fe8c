// Package sleep waits for a time, or for an answer, or until a context ends.
package sleep

import (
	"context"
	"time"
)

// For waits, or returns the context's error.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
