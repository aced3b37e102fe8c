//go:build unix && !linux

package harness

import (
	"errors"
	"syscall"
)

// attributes keep the terminal's signals from a child.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// peakRSS is known on Linux only.
func peakRSS(int) (int64, error) { return 0, errors.ErrUnsupported }
