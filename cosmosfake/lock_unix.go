//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package cosmosfake

import (
	"errors"
	"os"
	"syscall"
)

const lockRemedy = ""

// lockFile opens a file that one server at a time has, or says errLocked. The lock ends with the process, however it
// ends; the file stays.
func lockFile(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = errLocked
	case err == nil:
		err = writePID(file)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// unlockFile leaves the file: whoever waits for another may have it open.
func unlockFile(file *os.File) error { return file.Close() }
