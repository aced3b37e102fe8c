//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package cosmosfake

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes a file for this process, or says that another has it. The lock ends with the process.
func lockFile(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
