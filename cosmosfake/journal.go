package cosmosfake

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// foldAfter is the least size of a journal that is folded into a snapshot while the server runs.
const foldAfter = 64 << 20

// journal is what a data directory keeps since its last snapshot: a line for everything that was done, written before
// it is visible to anybody and before it is acknowledged. The nil journal keeps nothing.
//
// A line is with the operating system when it is acknowledged, so it outlives the program, however that ends; it is
// forced to the disk when the server is closed and with a snapshot only.
type journal struct {
	folder folder
	folds  sync.WaitGroup

	mu      sync.Mutex
	file    *os.File
	number  int64 // of the file
	size    int64 // of its whole lines
	limit   int64 // from which on it is folded
	least   int64 // of limit
	folding bool
	broken  error // set when a torn line could not be cut off, or the server was closed
	failed  error // of the last fold
}

var errClosed = errors.New("the server is closed")

// append writes a line, then calls also, without which the line is taken back. It tells whether to fold.
func (j *journal) append(r *record, also func() error) (full bool, _ error) {
	line, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("encode journal record: %w", err)
	}
	line = append(line, '\n')
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return false, fmt.Errorf("write journal: %w", j.broken)
	}
	_, err = j.file.Write(line)
	if err != nil {
		err = fmt.Errorf("write journal: %w", err)
	} else {
		err = also()
	}
	if err != nil {
		if e := j.file.Truncate(j.size); e != nil {
			j.broken = e
		}
		return false, err
	}
	j.size += int64(len(line))
	full = j.size >= j.limit && !j.folding
	j.folding = j.folding || full
	return full, nil
}

// turn goes on in another file, of the next number. The caller holds all locks of the server.
func (j *journal) turn() (int64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return 0, j.broken
	}
	next, err := j.folder.create(j.number + 1)
	if err != nil {
		return 0, err
	}
	old := j.file
	j.file, j.size = next, 0
	j.number++
	if old == nil {
		return j.number, nil
	}
	return j.number, old.Close()
}

// folded notes the size of a snapshot: the journal may grow to as much before the next one.
func (j *journal) folded(size int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.folding, j.failed = false, err
	j.limit = max(j.least, size)
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	j.folds.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	if errors.Is(j.broken, errClosed) {
		return nil
	}
	j.broken = errClosed
	return errors.Join(j.failed, j.file.Sync(), j.file.Close(), j.folder.unlock())
}

// keep writes what is done into the journal and the ledger; after an error it is in neither and must not be done. The
// ledger's lines come second, and stand in the journal too: what a kill between the two kept out of the ledger is
// written there by the next start.
func (s *Server) keep(r *record, entries ...Entry) error {
	return s.ledger.encode(entries, func(lines []byte) error { return s.keepLines(r, lines) })
}

func (s *Server) keepLines(r *record, lines []byte) error {
	j := s.journal
	if j == nil {
		return s.ledger.append(lines)
	}
	r.Ledger = string(lines)
	if r.Time == 0 {
		r.Time = s.clock.last.Load()
	}
	full, err := j.append(r, func() error { return s.ledger.append(lines) })
	if full {
		j.folds.Go(func() { j.folded(s.fold()) })
	}
	return err
}

// note is keep for handlers.
func (s *Server) note(r *record, entries ...Entry) *Error {
	if err := s.keep(r, entries...); err != nil {
		return &Error{Status: 500, Code: "InternalServerError", Message: err.Error()}
	}
	return nil
}

// fold begins a new journal and writes a snapshot of everything before it. The server goes on meanwhile: what is written
// here never changes, and was collected under all locks. It returns the snapshot's size.
func (s *Server) fold() (int64, error) {
	image, number, err := s.image(s.journal.turn)
	if err != nil {
		return 0, fmt.Errorf("fold journal: %w", err)
	}
	size, err := s.journal.folder.write(number, image)
	if err != nil {
		return 0, fmt.Errorf("fold journal: %w", err)
	}
	return size, nil
}

// openJournal reads the data directory and begins a journal in it, with a snapshot of what was read.
func (s *Server) openJournal() error {
	f, err := openFolder(s.options.Dir)
	if err != nil {
		return wrong("Dir", "cannot be used: %w", err)
	}
	last, err := s.replayAll(f)
	s.clock.catchUp()
	if err == nil {
		s.journal = &journal{folder: f, number: last, least: foldAfter}
		var size int64
		size, err = s.fold()
		s.journal.folded(size, nil)
	}
	if err != nil {
		return errors.Join(wrong("Dir", "cannot be read: %w", err), f.unlock())
	}
	return nil
}
