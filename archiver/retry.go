package archiver

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"time"
)

const (
	retryAttempts = 8
	retryFirst    = 100 * time.Millisecond
	retryMost     = 5 * time.Second
)

// retry does what a store or a broker may refuse for a while. It gives up after retryAttempts, or at once when the error
// says that trying again changes nothing.
func (a *Archiver) retry(ctx context.Context, what string, do func(ctx context.Context) error) error {
	pause := retryFirst
	for attempt := 1; ; attempt++ {
		err := do(ctx)
		if err == nil || isPermanent(err) || ctx.Err() != nil || attempt == retryAttempts {
			return err
		}
		a.log.Warn("trying again", slog.String("what", what), slog.Int("attempt", attempt), slog.Any("error", err))
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		pause = min(2*pause, retryMost)
	}
}

// isPermanent recognizes errors that stay: those with an exit code of their own, what is marked so, and a store that may
// not be written.
func isPermanent(err error) bool {
	var coded interface{ ExitCode() int }
	var marked interface{ permanent() }
	return errors.As(err, &coded) || errors.As(err, &marked) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}
