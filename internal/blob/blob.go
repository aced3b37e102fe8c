// Package blob keeps named objects: the one thing that Almanac asks of the storage that its user owns.
//
// An *object* is a name and its bytes. It is written whole or not at all, and read in ranges; nobody ever sees a part of
// a Put. A *version* names the bytes that a name holds, so that a later Put can be made conditional on them; it is
// compared for equality only, and an empty version means that the store cannot tell it cheaply (List, large objects).
// *Modified* and *Now* are times of the store's own clock, so that programs whose clocks differ agree on an object's age.
//
// A conditional Put that is answered with ErrCondition did not happen in this attempt. It may have happened in an earlier
// one whose answer was lost (ARCHITECTURE.md, Non-obvious), so whoever needs to know reads the object back and compares something random
// in it. Every other error of a Put is ambiguous: the object may or may not have landed, now or later.
//
// Subpackages: dir (a folder, the embedded default), mem (a map, for tests), fault (a decorator that fails as a network
// does), blobtest (the conformance suite that all of them pass).
package blob

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store keeps named objects. All methods are safe for concurrent use, by any number of processes where the store is
// shared by processes.
type Store interface {
	// Get reads n bytes of an object from offset off on; n < 0 reads to its end, and a range past the end is empty.
	// Info describes the whole object. The caller closes the reader. An absent object is ErrNotFound.
	Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, Info, error)

	// Put writes an object atomically, when cond holds. A body that fails writes nothing.
	Put(ctx context.Context, name string, body io.Reader, cond Condition) (Info, error)

	// List visits every object whose name begins with prefix, in the order of their names' bytes, in bounded memory.
	// The prefix need not end at a slash. Objects written or deleted meanwhile may or may not be seen. An error of visit
	// ends the listing and is returned as it is.
	List(ctx context.Context, prefix string, visit func(Info) error) error

	// Delete removes an object; it is not an error that there is none.
	Delete(ctx context.Context, name string) error
}

// Info describes an object as the store saw it when it answered.
type Info struct {
	Name     string
	Size     int64
	Version  string    // empty: not told (see the package comment); Get tells it of every object up to MaxConditional bytes
	Modified time.Time // when the object's bytes were written
	Now      time.Time // the store's clock at the time of the answer
}

// MaxConditional is the greatest object, in bytes, that can be replaced by IfVersion. Conditions are for small objects
// (checkpoints, leases); this bound spares a folder from hashing data files.
const MaxConditional = 1 << 20

var (
	// ErrNotFound says that there is no object of that name.
	ErrNotFound = errors.New("object not found")

	// ErrCondition says that the condition of a Put did not hold.
	ErrCondition = errors.New("condition does not hold")
)

// Condition is what must hold for a Put to happen. Its zero value is Always.
type Condition struct {
	kind    conditionKind
	version string
}

type conditionKind uint8

const (
	always conditionKind = iota
	ifAbsent
	ifVersion
)

// Always writes whatever stands there.
func Always() Condition { return Condition{} }

// IfAbsent writes only where no object of that name exists.
func IfAbsent() Condition { return Condition{kind: ifAbsent} }

// IfVersion writes only where the object still has the version that an earlier answer told.
func IfVersion(version string) Condition { return Condition{kind: ifVersion, version: version} }

// Absent tells whether the condition is IfAbsent.
func (c Condition) Absent() bool { return c.kind == ifAbsent }

// Version tells the version that the condition asks for, if it is IfVersion.
func (c Condition) Version() (version string, ok bool) { return c.version, c.kind == ifVersion }

func (c Condition) String() string {
	switch c.kind {
	case ifAbsent:
		return "if absent"
	case ifVersion:
		return "if version " + c.version
	}
	return "always"
}
