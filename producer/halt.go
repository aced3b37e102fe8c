package producer

import (
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Why a range halts, each with the remedy.
const (
	reasonTopology    = "the service split, merged or moved the range, which this version does not follow; its history ends here until a version that does takes over"
	reasonIncarnation = "another container stands under this name: archive it under a topic of its own, or put the old one back, then clear the halt"
	reasonFormat      = "the feed shows what this version cannot publish without loss"
	reasonTopic       = "the topic is not the one that earlier changes went to, or it lost some that it had acknowledged: archive the container under another topic name, from the beginning"
	reasonMissing     = "the range's checkpoint is missing: put it back from a copy, or begin the container anew under another topic name"
	reasonUnreadable  = "the range's checkpoint cannot be read by this version: use the version that wrote it, or put it back from a copy"
)

// haltError asks the reader to halt its range.
type haltError struct{ reason, evidence string }

func (e *haltError) Error() string { return e.reason + ": " + e.evidence }

func halted(reason, format string, args ...any) error {
	return &haltError{reason, fmt.Sprintf(format, args...)}
}

// haltOf is a new halt of a range.
func haltOf(container string, r schemas.FeedRange, now time.Time, reason, evidence string) *schemas.Halt {
	return &schemas.Halt{Unit: "range " + container + " " + r.String(), Reason: reason, Evidence: evidence, Since: now.UTC()}
}

// usageError is what only another configuration mends.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// ExitCode is that of a wrong configuration.
func (e *usageError) ExitCode() int { return 2 }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }
