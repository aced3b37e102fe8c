package cosmosfake

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"
)

// Ledger operations.
const (
	OpCreate           = "create"
	OpReplace          = "replace"
	OpUpsert           = "upsert"
	OpDelete           = "delete"
	OpPurge            = "purge"
	OpFailover         = "failover"
	OpSplit            = "split"
	OpMerge            = "merge"
	OpCreateContainer  = "create_container"
	OpReplaceContainer = "replace_container"
	OpDeleteContainer  = "delete_container"
	// OpRestoreContainer brings back what OpDeleteContainer of the same RID ended.
	OpRestoreContainer = "restore_container"
)

// Entry is one line of the ledger. The operations of one transaction are lines with one LSN, in their order. A
// failover has Config (the new number) and UndoneFrom (the first LSN undone: that and all later ones of this range
// are void); a container's lines have no range. A purge is the removal of a document whose time to live was over. A
// split has a line for every range that comes to be, a merge one: Parents are the ranges that end with it, and LSN is
// the newest one that it begins with. What a merge keeps gets new LSNs; its etags stay. What was alive
// at a time follows from the times to live: an item's own, else its container's at that time, from its _ts.
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
	TS         int64     `json:"ts,omitempty"` // `_ts`, where the range's clock is another (Server.Skew)
	PK         string    `json:"pk,omitempty"` // canonical JSON array
	ID         string    `json:"id,omitempty"`
	SHA256     string    `json:"sha256,omitempty"`      // of the user's bytes as kept; none for a deletion
	ETag       string    `json:"etag,omitempty"`        // the value of _etag
	TTL        int32     `json:"ttl,omitempty"`         // the item's own time to live
	DefaultTTL int64     `json:"default_ttl,omitempty"` // the container's, of its creation, replacement and restore; 0 is none
}

// ledger writes entries, one Write call per transaction. After a Write that failed in the middle nothing may follow: a
// torn line would swallow the next one, and whole lines of a transaction that was refused would stand for one that was
// done. So what was written is taken back where the ledger is a file; else every later transaction is refused.
type ledger struct {
	w    io.Writer
	file ledgerFile // the same; nil is none

	lines sync.Pool // of *[]byte

	mu     sync.Mutex
	size   int64 // of the file's whole lines
	broken error // why nothing is written any more
}

// ledgerFile is what *os.File can.
type ledgerFile interface {
	io.Writer
	io.ReaderAt
	io.Seeker
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

// openLedger cuts a torn last line off, of a program that was killed, where the ledger is a file that can be read.
func openLedger(w io.Writer) (*ledger, error) {
	l := &ledger{w: w}
	file, ok := w.(ledgerFile)
	if !ok {
		return l, nil
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return l, err
	}
	l.file, l.size = file, info.Size()
	whole, err := wholeLines(file, l.size)
	if err != nil || whole == l.size { // with an error it is for writing only
		return l, nil
	}
	return l, l.cut(whole)
}

// wholeLines is the size of a file without a last line that has no end.
func wholeLines(file io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for size > 0 {
		from := max(0, size-int64(len(block)))
		part := block[:size-from]
		if _, err := file.ReadAt(part, from); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		size = from
	}
	return 0, nil
}

// cut leaves the first size bytes of the file.
func (l *ledger) cut(size int64) error {
	if err := l.file.Truncate(size); err != nil {
		return err
	}
	l.size = size
	_, err := l.file.Seek(size, io.SeekStart)
	return err
}

// encode calls use with the lines of a transaction, which are good for that long; without a ledger there are none.
func (l *ledger) encode(entries []Entry, use func(lines []byte) error) error {
	if l.w == nil {
		return use(nil)
	}
	buf, ok := l.lines.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer l.lines.Put(buf)
	lines := (*buf)[:0]
	for i := range entries {
		line, err := json.Marshal(&entries[i])
		if err != nil {
			return fmt.Errorf("encode ledger entry: %w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	*buf = lines
	return use(lines)
}

// append writes lines before their effects become visible. After an error the caller must not apply them.
func (l *ledger) append(lines []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.broken != nil:
		return fmt.Errorf("write ledger: %w", l.broken)
	case len(lines) == 0:
		return nil
	}
	n, err := l.w.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if err == nil {
		l.size += int64(n)
		return nil
	}
	if n > 0 && !l.takeBack(n) {
		l.broken = fmt.Errorf("a transaction was written in part, so that nothing can follow: %w", err)
	}
	return fmt.Errorf("write ledger: %w", err)
}

// takeBack removes the last n bytes, if they are the file's last ones.
func (l *ledger) takeBack(n int) bool {
	if l.file == nil {
		return false
	}
	info, err := l.file.Stat()
	return err == nil && info.Size() == l.size+int64(n) && l.cut(l.size) == nil
}

// complete appends the last lines of a data directory that a kill between the two kept out of the ledger, where that is
// a file that can be read. An empty one is new and begins here; one that other directories share has them further up.
func (l *ledger) complete(lines []byte) error {
	if l.file == nil || l.size == 0 || len(lines) == 0 {
		return nil
	}
	tail := make([]byte, min(l.size, max(int64(len(lines)), sharedTail)))
	if _, err := l.file.ReadAt(tail, l.size-int64(len(tail))); err != nil {
		return nil // it is for writing only
	}
	if bytes.Contains(tail, lines) {
		return nil
	}
	for have := len(lines); ; {
		if bytes.HasSuffix(tail, lines[:have]) {
			return l.append(lines[have:])
		}
		have = bytes.LastIndexByte(lines[:have-1], '\n') + 1
	}
}

// sharedTail is how far up complete looks.
const sharedTail = 1 << 20

// close refuses what comes later. The writer is its owner's.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = errClosed
}

// wanted tells whether entries are worth computing.
func (l *ledger) wanted() bool { return l.w != nil }

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
