package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
)

// Library remembers every document that was written, by the SHA-256 under which the ledger knows it. Its zero value is
// empty; it may be used by several goroutines.
type Library struct {
	mu    sync.Mutex
	books map[string][]byte
}

// Keep remembers a document and returns its digest.
func (l *Library) Keep(document []byte) string {
	sum := sha256.Sum256(document)
	name := hex.EncodeToString(sum[:])
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.books == nil {
		l.books = map[string][]byte{}
	}
	l.books[name] = document
	return name
}

// Get returns the document, or nil when nobody kept it.
func (l *Library) Get(sha256 string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.books[sha256]
}

// Gone reports whether the document says {"deleted": true}, which means that it is deleted softly. Of a name that
// stands twice the last counts; names are compared exactly.
func (l *Library) Gone(sha256 string) bool {
	var members map[string]json.RawMessage
	err := json.Unmarshal(l.Get(sha256), &members)
	return err == nil && string(members["deleted"]) == "true"
}
