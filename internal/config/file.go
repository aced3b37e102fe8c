package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ReferenceError is a setting that leads to nothing: to a file that cannot be read, or to a variable that is not set.
type ReferenceError struct {
	err    error
	remedy string
}

func (e *ReferenceError) Error() string { return e.err.Error() + "; " + e.remedy }
func (e *ReferenceError) Unwrap() error { return e.err }

// Advice is what is wrong, in one line, and what to do about it.
func (e *ReferenceError) Advice() (what, remedy string) { return e.err.Error(), e.remedy }

// ReadFile reads the file that a setting names. A relative path begins where the process was started, for all settings
// alike; its error is a *ReferenceError and says where that is.
func ReadFile(setting, path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return text, nil
	}
	remedy := "let this process read that file, or name another by " + setting
	if errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(path) {
		if here, failed := os.Getwd(); failed == nil {
			err = fmt.Errorf("%w in %s", err, here)
		}
		remedy = "give " + setting + " as an absolute path, or start the program where the path begins: it is not relative to almanac.yaml"
	}
	return nil, &ReferenceError{fmt.Errorf("read %s: %w", setting, err), remedy}
}
