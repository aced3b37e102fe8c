package cosmosfake

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
)

// levels are the service's consistency levels.
func levels() []string {
	return []string{"Strong", "BoundedStaleness", "Session", "ConsistentPrefix", "Eventual"}
}

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Key == "" {
		o.Key = DefaultKey
	}
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	if o.Consistency == "" {
		o.Consistency = DefaultConsistency
	}
	if o.Ranges == 0 {
		o.Ranges = 1
	}
	return o
}

// check refuses what makes no sense.
func (o *Options) check() error {
	switch {
	case o.Ranges < 1 || o.Ranges > MaxRanges:
		return wrong("Ranges", "is %d, want 1 to %d", o.Ranges, MaxRanges)
	case !slices.Contains(levels(), o.Consistency):
		return wrong("Consistency", "is %q, want one of %s", o.Consistency, strings.Join(levels(), ", "))
	case o.SecondRegion == o.Region:
		return wrong("SecondRegion", "is %q, as the first region is: want another name", o.SecondRegion)
	case o.SecondAddr != "" && o.SecondRegion == "":
		return wrong("SecondAddr", "is %q, but there is no second region: name it", o.SecondAddr)
	case o.Retention < 0:
		return wrong("Retention", "is %s, want 0 or more", o.Retention)
	case o.PurgeEvery < 0:
		return wrong("PurgeEvery", "is %s, want 0 or more", o.PurgeEvery)
	case o.SplitBytes < 0:
		return wrong("SplitBytes", "is %d, want 0 or more", o.SplitBytes)
	case o.Deletion < DeletionObject || o.Deletion > DeletionDocumented:
		return wrong("Deletion", "is %d, want DeletionObject, DeletionArray or DeletionDocumented", o.Deletion)
	case o.Scan < ScanByLSN || o.Scan > ScanByRID:
		return wrong("Scan", "is %d, want ScanByLSN or ScanByRID", o.Scan)
	case o.Session < SessionVector || o.Session > SessionUnnumbered:
		return wrong("Session", "is %d, want SessionVector, SessionSimple or SessionUnnumbered", o.Session)
	}
	return checkRate("Throughput", o.Throughput)
}

// checkRate refuses what is no number of RU/s.
func checkRate(name string, ru float64) error {
	if ru < 0 || math.IsNaN(ru) || math.IsInf(ru, 0) {
		return wrong(name, "is %g, want a number of RU/s, or 0 for no limit", ru)
	}
	return nil
}

// optionError is an option that is refused. The program names its flag instead.
type optionError struct {
	option string
	err    error
}

func (e *optionError) Error() string { return e.option + " " + e.err.Error() }
func (e *optionError) Unwrap() error { return e.err }

func wrong(option, format string, args ...any) error {
	return &optionError{option, fmt.Errorf(format, args...)}
}

// listen says what to do when somebody else listens there.
func listen(option, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil && (strings.Contains(err.Error(), "in use") || strings.Contains(err.Error(), "Only one usage")) { // on Windows
		return nil, wrong(option, "%s is in use, perhaps by another emulator: end that, or choose another port; port 0 takes any (%w)", addr, err)
	}
	if err != nil {
		return nil, wrong(option, "%s cannot be listened on: %w", addr, err)
	}
	return greeter{l}, nil
}
