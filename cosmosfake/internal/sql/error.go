package sql

import "fmt"

const (
	// maxQuery is the service's limit of a query's text (service limits).
	maxQuery = 512 << 10
	// maxNesting bounds the recursion of parsing, and maxOperators that of computing.
	maxNesting   = 128
	maxOperators = 4000
	// maxSteps is how many rows, elements, or 256 bytes of arrays and objects a query may look at for one document.
	maxSteps = 20_000_000
	// maxText is the longest text that may be computed.
	maxText = 4 << 20
)

// Error says why a query cannot be run.
type Error struct {
	Code       string // of the service; "" is none of its own
	Message    string
	Start, End int // in the query's text, in characters of UTF-16; both 0 is nowhere
}

func (e *Error) Error() string {
	if e.End == 0 {
		return e.Message
	}
	return fmt.Sprintf("%s (at %d)", e.Message, e.Start)
}

// failf makes an error at a place.
func failf(code string, from, to int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Start: from, End: to}
}

// unsupported names what is refused.
func unsupported(t token, what string) *Error {
	return failf("", t.from, t.to, "cosmosfake does not implement %s in queries", what)
}
