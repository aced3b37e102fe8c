//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package cosmosfake

import (
	"errors"
	"io/fs"
	"os"
)

const lockRemedy = "; if there is no such program any more, remove " + lockName + " from it"

// lockFile makes a file that one server at a time has, or says errLocked. The file names its process: of one that is not
// alive any more it is taken over. Where the system cannot tell, whoever knows better removes the file.
func lockFile(name string) (*os.File, error) {
	for range 2 {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
		if err == nil {
			if err := writePID(file); err != nil {
				return nil, errors.Join(err, unlockFile(file))
			}
			return file, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		holder, err := os.FindProcess(readPID(name)) // which fails on Windows when there is none
		if err == nil {
			return nil, errors.Join(errLocked, holder.Release())
		}
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	return nil, errLocked
}

func unlockFile(file *os.File) error { return errors.Join(file.Close(), os.Remove(file.Name())) }
