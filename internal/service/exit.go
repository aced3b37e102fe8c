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

// IsLasting says whether an error without an exit code of its own says, by a method Lasting() bool, that it stays until
// somebody mends the configuration, or the rights that it stands on.
func IsLasting(err error) bool {
	var lasting interface{ Lasting() bool }
	return ExitCode(err) == Retryable && errors.As(err, &lasting) && lasting.Lasting()
}

// Refused marks an error that IsLasting as one of configuration, and leaves all others as they are. Run does so to what ends
// a command that prints a result; one that goes on until it is stopped does so while it starts, and not later: what was
// granted once may be granted again.
func Refused(err error) error {
	if IsLasting(err) {
		return Usage(err)
	}
	return err
}

type exitError struct {
	err  error
	code int
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }
func (e *exitError) ExitCode() int { return e.code }
