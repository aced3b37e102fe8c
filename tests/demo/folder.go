package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockName is the file in the demo's folder that a running demo holds. It is not removed: another demo may wait at it.
const lockName = "lock"

// openFolder takes the folder for this run and empties it, after leave, which ends what still works in it. Another run that
// still has it is an error: two of them would take each other's archive for their own. The system releases the folder when
// the process ends, however it ends.
func openFolder(dir string, leave func() error) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock folder: another demo runs in %s; stop it, or wait for its end: %w", dir, err), lock.Close())
	}
	if err := leave(); err != nil {
		return nil, errors.Join(fmt.Errorf("clean folder: %w", err), lock.Close())
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("clean folder: %w", err), lock.Close())
	}
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return nil, errors.Join(fmt.Errorf("clean folder: %w", err), lock.Close())
		}
	}
	return lock.Close, nil
}
