//go:build !linux

package harness

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// attributes keep the terminal's signals from a child.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// peakRSS is known on Linux only.
func peakRSS(int) (int64, error) { return 0, errors.ErrUnsupported }

// Graveyard works on Linux only; elsewhere a member that is killed while it waits for a rebalance keeps its partitions
// until the next one.
type Graveyard struct{}

// Bury buries nobody.
func (*Graveyard) Bury(context.Context, *Stack, time.Duration) (int, error) { return 0, nil }
