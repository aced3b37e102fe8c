package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ConfigError is a folder that cannot be used as a store, whatever is tried again.
type ConfigError struct{ err error }

func (e *ConfigError) Error() string { return e.err.Error() }

// Unwrap is what the system said.
func (e *ConfigError) Unwrap() error { return e.err }

// ExitCode is that of a wrong configuration.
func (e *ConfigError) ExitCode() int { return 2 }

// mayWrite is W_OK of access(2).
const mayWrite = 2

// NewWritable is New for a program that writes: a folder in which this user may not is a *ConfigError at once, rather than
// an error of the first object, which is tried again and again. It writes nothing. A folder further down that may not be
// written to is found when an object comes to it.
func NewWritable(root string, opts Options) (*Store, error) {
	s, err := New(root, opts)
	if err == nil {
		err = explain("open store", "for writing", s.root, access(s.root))
	}
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		return nil, &ConfigError{err}
	}
	return nil, err
}

func access(path string) error {
	if err := syscall.Access(path, mayWrite); err != nil {
		return fmt.Errorf("write to it: %w", err)
	}
	return nil
}
