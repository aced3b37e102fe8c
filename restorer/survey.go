package restorer

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/cosmos-almanac/almanac/schemas"
)

// entry is what a survey keeps of a document.
type entry struct {
	key, id []byte
	lsn     schemas.LSN
	hash    [sha256.Size]byte
	deleted bool // the rules take it for deleted
}

func (e *entry) compare(other *entry) int { return compareNames(e.key, e.id, other.key, other.id) }

func compareNames(key, id, otherKey, otherID []byte) int {
	if c := bytes.Compare(key, otherKey); c != 0 {
		return c
	}
	return bytes.Compare(id, otherID)
}

// fanIn is how many spilled runs are merged into one; it bounds open files to a few times itself (INV-9).
const fanIn = 32

// survey sorts entries in bounded memory: what does not fit goes to files that vanish with the process. Of entries of
// one name the one of the greatest LSN stays, because a feed shows a document again when it changes during the reading.
// Not safe for concurrent use.
type survey struct {
	folder string
	limit  int // bytes of arena and index
	arena  []byte
	index  []int64      // where the entries in the arena begin
	levels [][]*os.File // of each level less than fanIn runs; a run of level n+1 was fanIn of level n
	size   map[*os.File]int64
	count  atomic.Int64 // entries added; may be read meanwhile
}

// newSurvey makes one that holds about memory bytes; folder is for spilled runs.
func newSurvey(memory int64, folder string) *survey {
	const growth = 3 // append doubles, and for a moment holds both
	return &survey{folder: folder, limit: int(max(memory/growth, 64<<10)), size: map[*os.File]int64{}}
}

func (s *survey) put(e *entry) error {
	s.index = append(s.index, int64(len(s.arena)))
	s.arena = e.append(s.arena)
	s.count.Add(1)
	if len(s.arena)+8*len(s.index) < s.limit {
		return nil
	}
	return s.spill()
}

func (e *entry) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(e.key)))
	dst = append(dst, e.key...)
	dst = binary.AppendUvarint(dst, uint64(len(e.id)))
	dst = append(dst, e.id...)
	standing := uint64(e.lsn) << 1 // an LSN is not negative
	if e.deleted {
		standing |= 1
	}
	dst = binary.AppendUvarint(dst, standing)
	return append(dst, e.hash[:]...)
}

// parse reads the entry that begins at b; its slices point into b. The survey wrote b itself.
func (e *entry) parse(b []byte) {
	text := func() []byte {
		n, used := binary.Uvarint(b)
		t := b[used : used+int(n)]
		b = b[used+int(n):]
		return t
	}
	e.key, e.id = text(), text()
	standing, used := binary.Uvarint(b)
	e.lsn, e.deleted = schemas.LSN(standing>>1), standing&1 != 0
	copy(e.hash[:], b[used:])
}

// sort orders the index by name, and entries of one name by falling LSN.
func (s *survey) sort() {
	slices.SortFunc(s.index, func(a, b int64) int {
		var x, y entry
		x.parse(s.arena[a:])
		y.parse(s.arena[b:])
		if c := x.compare(&y); c != 0 {
			return c
		}
		return cmp.Compare(y.lsn, x.lsn)
	})
}

func (s *survey) spill() error {
	if len(s.index) == 0 {
		return nil
	}
	s.sort()
	file, err := s.write(&memoryRun{arena: s.arena, index: s.index})
	if err != nil {
		return err
	}
	s.arena, s.index = s.arena[:0], s.index[:0]
	return s.keep(0, file)
}

// keep files a run under its level, and merges a full level into one run of the next.
func (s *survey) keep(level int, file *os.File) error {
	if level == len(s.levels) {
		s.levels = append(s.levels, nil)
	}
	s.levels[level] = append(s.levels[level], file)
	if len(s.levels[level]) < fanIn {
		return nil
	}
	full := s.levels[level]
	merged, err := merge(s.open(full))
	if err != nil {
		return err
	}
	next, err := s.write(merged)
	if err != nil {
		return err
	}
	s.levels[level] = nil
	if err := s.remove(full); err != nil {
		return err
	}
	return s.keep(level+1, next)
}

// write makes a run of sorted entries.
func (s *survey) write(entries entries) (*os.File, error) {
	file, err := os.CreateTemp(s.folder, "almanac-survey-*")
	if err != nil {
		return nil, fmt.Errorf("spill survey: %w; set restorer.spill to a folder with space", err)
	}
	_ = os.Remove(file.Name()) // so that nothing stays behind a kill; where open files cannot be removed, close does
	w := bufio.NewWriterSize(file, 256<<10)
	var size int64
	var length, text []byte
	for {
		e, err := entries.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		text = e.append(text[:0])
		length = binary.AppendUvarint(length[:0], uint64(len(text)))
		size += int64(len(length) + len(text))
		_, _ = w.Write(length) // a bufio.Writer keeps its first error for the next write, and Flush
		_, _ = w.Write(text)
	}
	if err := w.Flush(); err != nil {
		return nil, errors.Join(fmt.Errorf("spill survey: %w", err), file.Close())
	}
	s.size[file] = size
	return file, nil
}

func (s *survey) open(files []*os.File) []entries {
	var runs []entries
	for _, file := range files {
		runs = append(runs, &fileRun{r: bufio.NewReaderSize(io.NewSectionReader(file, 0, s.size[file]), 64<<10)})
	}
	return runs
}

func (s *survey) remove(files []*os.File) error {
	var errs []error
	for _, file := range files {
		delete(s.size, file)
		errs = append(errs, file.Close())
		if err := os.Remove(file.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sorted reads the entries in order, each name once. It may be called again for another pass, but not during one.
func (s *survey) sorted() (entries, error) {
	s.sort()
	runs := []entries{&memoryRun{arena: s.arena, index: s.index}}
	for _, level := range s.levels {
		runs = append(runs, s.open(level)...)
	}
	return merge(runs)
}

// close removes what was spilled.
func (s *survey) close() error {
	var errs []error
	for _, level := range s.levels {
		errs = append(errs, s.remove(level))
	}
	s.levels, s.arena, s.index = nil, nil, nil
	return errors.Join(errs...)
}

// entries are in ascending order; next ends with io.EOF, and what it returned is valid until the next call.
type entries interface {
	next() (*entry, error)
}

type memoryRun struct {
	arena []byte
	index []int64
	at    entry
}

func (r *memoryRun) next() (*entry, error) {
	if len(r.index) == 0 {
		return nil, io.EOF
	}
	r.at.parse(r.arena[r.index[0]:])
	r.index = r.index[1:]
	return &r.at, nil
}

type fileRun struct {
	r      *bufio.Reader
	buffer []byte
	at     entry
}

func (r *fileRun) next() (*entry, error) {
	n, err := binary.ReadUvarint(r.r)
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err == nil {
		r.buffer = slices.Grow(r.buffer[:0], int(n))[:n]
		_, err = io.ReadFull(r.r, r.buffer)
	}
	if err != nil {
		return nil, fmt.Errorf("read spilled survey: %w", err)
	}
	r.at.parse(r.buffer)
	return &r.at, nil
}

// merged is a k-way merge that drops all but the first of equal names.
type merged struct {
	heap runHeap
	last entry
	some bool
}

type head struct {
	at  *entry
	run entries
}

type runHeap []head

func (h runHeap) Len() int      { return len(h) }
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)   { *h = append(*h, x.(head)) }
func (h *runHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (h runHeap) Less(i, j int) bool {
	if c := h[i].at.compare(h[j].at); c != 0 {
		return c < 0
	}
	return h[i].at.lsn > h[j].at.lsn
}

func merge(runs []entries) (entries, error) {
	m := &merged{}
	for _, run := range runs {
		e, err := run.next()
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m.heap = append(m.heap, head{e, run})
	}
	heap.Init(&m.heap)
	return m, nil
}

func (m *merged) next() (*entry, error) {
	for len(m.heap) > 0 {
		top := m.heap[0]
		repeated := m.some && top.at.compare(&m.last) == 0
		if !repeated {
			m.some = true
			m.last.key = append(m.last.key[:0], top.at.key...)
			m.last.id = append(m.last.id[:0], top.at.id...)
			m.last.lsn, m.last.hash, m.last.deleted = top.at.lsn, top.at.hash, top.at.deleted
		}
		if err := m.advance(); err != nil {
			return nil, err
		}
		if !repeated {
			return &m.last, nil
		}
	}
	return nil, io.EOF
}

func (m *merged) advance() error {
	e, err := m.heap[0].run.next()
	switch {
	case errors.Is(err, io.EOF):
		heap.Pop(&m.heap)
		return nil
	case err != nil:
		return err
	}
	m.heap[0].at = e
	heap.Fix(&m.heap, 0)
	return nil
}
