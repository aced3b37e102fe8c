package cosmosfake

import (
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"time"
)

// DefaultKey is the well-known key of Microsoft's own emulator. It protects nothing.
const DefaultKey = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="

// MaxRanges is the greatest number of physical ranges of one container.
const MaxRanges = 1024

// Options of a Server. The zero value listens on a free port of 127.0.0.1 with DefaultKey, gives containers one
// physical range, and keeps no ledger. New refuses values that make no sense.
type Options struct {
	// Addr is host:port to listen on. Default "127.0.0.1:0".
	Addr string
	// Key is the account's master key in base64. Default DefaultKey.
	Key string
	// Ranges is the number of physical ranges of a container that is created without the header
	// "x-ms-cosmosfake-ranges". Default 1.
	Ranges int
	// ComputeAddr is host:port of the account's second gateway, which takes every id in a path as it was escaped; the
	// first one, like the service's, cannot reach items whose ids end with blanks or hold some characters. Default none.
	ComputeAddr string
	// Region is the name of the account's region. Default DefaultRegion.
	Region string
	// SecondRegion is the name of another region, see SecondURL and FailOverRegion. Default none.
	SecondRegion string
	// SecondAddr is host:port that the second region listens on. Default a free port of Addr's host.
	SecondAddr string
	// Consistency is the account's default consistency level, which clients are told: Strong, BoundedStaleness, Session,
	// ConsistentPrefix or Eventual. Default DefaultConsistency.
	Consistency string
	// Dir is a folder that everything is written to before it is acknowledged, and read from at start; it is made if it
	// is not there. Default none: the account is forgotten.
	Dir string
	// Hosts are further names and addresses that the server's certificate is for; it always is for localhost, 127.0.0.1,
	// ::1 and Addr's host. An authority that is made at start signs it, and Dir keeps that.
	Hosts []string
	// TLS is the server's certificate, if it is not to be made: its chain, and its key. Default none.
	TLS *tls.Certificate
	// Clock is the service's time. Default time.Now. The server never lets it go back. With a clock of its own the
	// server does not check how old a request's date is.
	Clock func() time.Time
	// Ledger receives one write per transaction, whole JSON lines. Default none.
	Ledger io.Writer
	// Retention is how long the account keeps all versions and deletions, as one with continuous backup and the
	// all-versions-and-deletes change feed does. Default 0: it does not, and that feed is refused.
	Retention time.Duration
	// Deletion is the shape of deletions in that feed.
	Deletion DeletionShape
	// Throughput in RU/s turns the limit on: what is beyond it is refused with 429. A container has what its own offer
	// says, and this when it is created without one, whatever /offers shows for it (400, as in the service). It is shared
	// evenly by the physical ranges. Default 0: there is no limit, and offers are only remembered.
	Throughput float64
	// SplitBytes is the size of a physical range, in bytes of live documents, from which on it is split by itself.
	// Default 0: never.
	SplitBytes int64
	// PurgeEvery is how often documents whose time to live is over are removed for good; they are not seen from the
	// moment on in which it is over. Default 0: by Purge only.
	PurgeEvery time.Duration
	// Hook is asked about every request, see SetHook. Default none.
	Hook Hook
}

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
	case o.Deletion != DeletionObject && o.Deletion != DeletionArray:
		return wrong("Deletion", "is %d, want DeletionObject or DeletionArray", o.Deletion)
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
