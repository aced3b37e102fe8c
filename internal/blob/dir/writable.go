package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ConfigError is a folder that cannot be used as a store, whatever is tried again.
type ConfigError struct{ err error }

func (e *ConfigError) Error() string { return e.err.Error() }

// Unwrap is what the system said.
func (e *ConfigError) Unwrap() error { return e.err }

// ExitCode is that of a wrong configuration.
func (e *ConfigError) ExitCode() int { return 2 }

// Modes of access(2).
const (
	mayRead  = 4 | 1 // R_OK and X_OK, which a folder needs for its files to be opened
	mayWrite = 2
)

// NewWritable is New for a program that writes: a folder in which this user may not is a *ConfigError at once, rather than
// an error of the first object, which is tried again and again. It writes nothing. A folder further down that may not be
// written to is found when an object comes to it.
func NewWritable(root string, opts Options) (*Store, error) {
	s, err := New(root, opts)
	if err != nil {
		return nil, err
	}
	if err := access(s.root, "for writing", mayWrite); err != nil {
		return nil, err
	}
	return s, nil
}

// look finds out whether the folder is one, and may be read.
func look(root string) error {
	stat, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &ConfigError{fmt.Errorf("open store %s: the folder does not exist: mount the volume that it lies on, or make it with mkdir -p %s", root, root)}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOTDIR):
		return &ConfigError{explain("open store", "for reading", root, err)}
	case err != nil:
		return explain("open store", "for reading", root, err)
	case !stat.IsDir():
		return &ConfigError{fmt.Errorf("open store %s: it is a file, want a folder: %w", root, syscall.ENOTDIR)}
	}
	return access(root, "for reading", mayRead)
}

func access(root, purpose string, mode uint32) error {
	err := syscall.Access(root, mode)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &ConfigError{explain("open store", purpose, root, err)}
	}
	return explain("open store", purpose, root, err)
}
