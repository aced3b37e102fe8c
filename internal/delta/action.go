package delta

import (
	"encoding/json"
	"time"
)

// Actions are what one version does to the table. Which of them may stand together is checked by Commit.
type Actions struct {
	Protocol *Protocol // default in the first version: reader 1, writer 2
	Metadata *Metadata // required in the first version
	Txns     []Txn
	Removes  []Remove
	Adds     []Add
	Info     CommitInfo
}

// Protocol is what a program must know to read or write the table.
type Protocol struct {
	MinReader int32
	MinWriter int32
}

// Metadata is what the table is.
type Metadata struct {
	ID               string // a uuid, the table's own for good
	Name             string
	Description      string
	Schema           json.RawMessage // a struct type, as the Delta protocol writes it
	PartitionColumns []string
	Configuration    map[string]string
	Created          time.Time
}

// Txn keeps one number for one application: the compare-and-set of whoever reads it in the snapshot just below.
type Txn struct {
	AppID   string
	Version int64
	Updated time.Time // optional
}

// Add makes a file part of the table. Its bytes never change.
type Add struct {
	Path       string            // relative to the table, not escaped; in the log it is, as a URI reference
	Partition  map[string]string // column to value as the Delta protocol writes it; a null reads as ""
	Size       int64
	Modified   time.Time // what the store answered to the upload; the log keeps milliseconds, rounded down
	DataChange bool      // false when the rows only moved here from other files of the table
	Stats      json.RawMessage
	Tags       map[string]string
}

// Remove takes a file out of the table. The file itself stays.
type Remove struct {
	Path       string
	Deleted    time.Time // default: the store's clock
	DataChange bool
	Partition  map[string]string
	Size       int64
}

// RemoveOf is the remove of a live file.
func RemoveOf(add Add) Remove {
	return Remove{Path: add.Path, DataChange: add.DataChange, Partition: add.Partition, Size: add.Size}
}

// CommitInfo tells people what a version was; nothing depends on it.
type CommitInfo struct {
	Operation  string // default WRITE
	Parameters map[string]string
}
