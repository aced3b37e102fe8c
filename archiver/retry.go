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
	fewAttempts  = 8   // some ten seconds
	manyAttempts = 120 // ten minutes at least
	retryFirst   = 100 * time.Millisecond
	retryMost    = 5 * time.Second
)

// retry does what a store may refuse for a while: no other process could do more meanwhile, what is in the buffer waits
// and nothing is fetched beside it (INV-9). It gives up after manyAttempts, or at once when the error says that trying
// again changes nothing. After fewAttempts the process is not ready, until the store answers.
func (a *Archiver) retry(ctx context.Context, what string, do func(ctx context.Context) error) error {
	return a.attempt(ctx, what, manyAttempts, do)
}

// try is retry that gives up after fewAttempts.
func (a *Archiver) try(ctx context.Context, what string, do func(ctx context.Context) error) error {
	return a.attempt(ctx, what, fewAttempts, do)
}

func (a *Archiver) attempt(ctx context.Context, what string, most int, do func(ctx context.Context) error) error {
	pause := retryFirst
	for attempt := 1; ; attempt++ {
		err := do(ctx)
		if err == nil && attempt > fewAttempts {
			a.report("archive", nil)
		}
		if err == nil || isPermanent(err) || ctx.Err() != nil || attempt == most {
			return err
		}
		if attempt >= fewAttempts {
			a.report("archive", err)
		}
		a.log.Warn("trying again", slog.String("what", what), slog.Int("attempt", attempt), slog.Any("error", err))
		if a.sleep(ctx, pause/2+rand.N(pause)) != nil {
			return err
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
