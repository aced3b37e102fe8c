package service

import "errors"

// Exit codes of all programs.
const (
	Done      = 0 // finished, or stopped when asked to
	Retryable = 1 // may succeed when it is started again: network, storage, interrupted
	BadUsage  = 2 // usage or configuration: the same command fails again
	Halted    = 3 // data contradicts the format, or an operator must decide; a restart changes nothing
	Different = 4 // compared, and different
)

// ExitCode is the code for an error: that of the outermost error in its chain
// that has a method ExitCode() int (so that packages which do not know service
// have a say), Done for nil, Retryable for all others.
func ExitCode(err error) int {
	if err == nil {
		return Done
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return Retryable
}

// Usage marks an error as one of usage or configuration.
func Usage(err error) error { return &exitError{err, BadUsage} }

// Halt marks an error after which a restart changes nothing.
func Halt(err error) error { return &exitError{err, Halted} }

// Differ marks the finding that what was compared is different.
func Differ(err error) error { return &exitError{err, Different} }

type exitError struct {
	err  error
	code int
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }
func (e *exitError) ExitCode() int { return e.code }
