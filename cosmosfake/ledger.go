package cosmosfake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Ledger operations.
const (
	OpCreate          = "create"
	OpReplace         = "replace"
	OpUpsert          = "upsert"
	OpDelete          = "delete"
	OpPurge           = "purge"
	OpFailover        = "failover"
	OpSplit           = "split"
	OpMerge           = "merge"
	OpCreateContainer = "create_container"
	OpDeleteContainer = "delete_container"
	// OpRestoreContainer brings back what OpDeleteContainer of the same RID ended.
	OpRestoreContainer = "restore_container"
)

// Entry is one line of the ledger. The operations of one transaction are lines with one LSN, in their order. A
// failover has Config (the new number) and UndoneFrom (the first LSN undone: that and all later ones of this range
// are void); a container's lines have no range. A purge is the removal of a document whose time to live was over. A
// split has a line for every range that comes to be, a merge one: Parents are the ranges that end with it, and LSN is
// the newest one that it begins with. What a merge keeps gets new LSNs; its etags stay.
type Entry struct {
	Op         string    `json:"op"`
	Container  string    `json:"container"` // database.container
	RID        string    `json:"rid"`
	Range      string    `json:"range,omitempty"`
	Parents    []string  `json:"parents,omitempty"`
	Min        string    `json:"min"`
	Max        string    `json:"max"`
	Config     int64     `json:"config,omitempty"`
	LSN        int64     `json:"lsn,omitempty"`
	UndoneFrom int64     `json:"undone_from,omitempty"`
	Time       time.Time `json:"time"`         // RFC 3339 with nanoseconds, the service's clock
	PK         string    `json:"pk,omitempty"` // canonical JSON array
	ID         string    `json:"id,omitempty"`
	SHA256     string    `json:"sha256,omitempty"` // of the user's bytes as kept; none for a deletion
	ETag       string    `json:"etag,omitempty"`   // the value of _etag
}

// ledger writes entries. One Write call per transaction, so that no reader sees a torn line of a file opened for
// appending.
type ledger struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

// append writes the entries before their effects become visible. After an error the caller must not apply them.
func (l *ledger) append(entries []Entry) error {
	if l.w == nil || len(entries) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = l.buf[:0]
	for i := range entries {
		line, err := json.Marshal(&entries[i])
		if err != nil {
			return fmt.Errorf("encode ledger entry: %w", err)
		}
		l.buf = append(append(l.buf, line...), '\n')
	}
	if _, err := l.w.Write(l.buf); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

// wanted tells whether entries are worth computing.
func (l *ledger) wanted() bool { return l.w != nil }

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
