package harness

import (
	"context"
	"fmt"
	"time"
)

// interval is the time between two looks at a condition.
const interval = 25 * time.Millisecond

// Until looks at a condition until it holds, or until the context ends: then its error says what was waited for and
// what the condition said last. check returns an empty text when it holds, and an error to give up.
func Until(ctx context.Context, what string, check func() (missing string, err error)) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		missing, err := check()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %s: %w", what, missing, ctx.Err())
		case <-ticker.C:
		}
	}
}
