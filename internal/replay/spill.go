package replay

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/klauspost/compress/s2"

	"github.com/cosmos-almanac/almanac/schemas"
)

// spill is the folder of runs. It is made when the first run is.
type spill struct {
	parent string
	folder string
	runs   int
}

func newSpill(parent string) *spill { return &spill{parent: parent} }

func (s *spill) create() (*os.File, error) {
	if s.folder == "" {
		folder, err := os.MkdirTemp(s.parent, "almanac-replay-")
		if err != nil {
			return nil, fmt.Errorf("make folder for spilled runs: %w", err)
		}
		s.folder = folder
	}
	s.runs++
	file, err := os.Create(filepath.Join(s.folder, strconv.Itoa(s.runs)+".run"))
	if err != nil {
		return nil, fmt.Errorf("make spilled run: %w", err)
	}
	return file, nil
}

func (s *spill) remove() error {
	if s.folder == "" {
		return nil
	}
	if err := os.RemoveAll(s.folder); err != nil {
		return fmt.Errorf("remove spilled runs: %w", err)
	}
	s.folder = ""
	return nil
}

// blockSize is the unit of compression in a run; an open run costs runCost and its greatest row.
const (
	blockSize = 128 << 10
	runCost   = 5 * blockSize
)

// runWriter writes entries into a run: S2 blocks (with checksums) of frames. A frame is its length and the entry's fields,
// numbers as varints and texts behind their lengths. Nothing but this process reads it.
type runWriter struct {
	file     *os.File
	out      *s2.Writer
	frame    []byte
	greatest int64
	size     int64
}

func newRunWriter(file *os.File) *runWriter {
	return &runWriter{file: file, out: s2.NewWriter(file, s2.WriterBlockSize(blockSize), s2.WriterConcurrency(1))}
}

func (w *runWriter) write(e *entry, stripped bool) error {
	f := append(w.frame[:0], 0, 0, 0, 0)
	flags := byte(e.role)
	if stripped {
		flags |= flagStripped
	}
	if e.Document != nil && !stripped {
		flags |= flagDocument
	}
	if e.TTL.Set {
		flags |= flagTTL
	}
	f = append(f, flags)
	for _, n := range [...]int64{
		e.TS, int64(e.Generation), int64(e.Order.LSN), int64(e.Order.Ordinal), int64(e.TTL.Seconds), int64(e.TopicPartition), e.Offset, e.PublishedAt,
	} {
		f = binary.AppendVarint(f, n)
	}
	for _, text := range [...][]byte{e.PartitionKey, e.ID, []byte(e.Op), e.EPK, e.Incarnation, e.RID, e.ETag, e.Topic} {
		f = binary.AppendUvarint(f, uint64(len(text)))
		f = append(f, text...)
	}
	if flags&flagDocument != 0 {
		f = append(f, e.Document...)
	}
	binary.LittleEndian.PutUint32(f, uint32(len(f)-4))
	w.frame = f
	w.greatest = max(w.greatest, int64(len(f)))
	w.size += int64(len(f))
	_, err := w.out.Write(f)
	return err
}

const (
	roleMask     = 3
	flagStripped = 4
	flagDocument = 8
	flagTTL      = 16
)

// close ends the run and answers it as a source.
func (w *runWriter) close() (source, error) {
	name := w.file.Name()
	if err := errors.Join(w.out.Close(), w.file.Close()); err != nil {
		return source{}, fmt.Errorf("write spilled run: %w", err)
	}
	return source{name: "spilled run", size: w.size, cost: runCost + 2*w.greatest, open: func(context.Context) (cursor, error) {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("open spilled run: %w", err)
		}
		// A run is read once: without its name its space is freed when it is closed, whatever happens.
		if err := os.Remove(name); err != nil {
			return nil, errors.Join(fmt.Errorf("open spilled run: %w", err), file.Close())
		}
		in := s2.NewReader(file, s2.ReaderMaxBlockSize(blockSize), s2.ReaderAllocBlock(blockSize))
		return &runReader{file: file, in: bufio.NewReaderSize(in, 4<<10)}, nil
	}}, nil
}

func (w *runWriter) abandon() { _ = w.file.Close() } // the folder goes as a whole

type runReader struct {
	file  *os.File
	in    *bufio.Reader
	frame []byte
	now   entry
}

func (r *runReader) next() (bool, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, fmt.Errorf("read spilled run: %w", err)
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	r.frame = slices.Grow(r.frame[:0], n)[:n]
	if _, err := io.ReadFull(r.in, r.frame); err != nil {
		return false, fmt.Errorf("read spilled run: %w", err)
	}
	r.decode()
	return true, nil
}

// decode trusts the frame: this process wrote it, and every block has a checksum.
func (r *runReader) decode() {
	flags, rest := r.frame[0], r.frame[1:]
	var numbers [8]int64
	for i := range numbers {
		v, n := binary.Varint(rest)
		numbers[i], rest = v, rest[n:]
	}
	var texts [8][]byte
	for i := range texts {
		length, n := binary.Uvarint(rest)
		end := n + int(length)
		texts[i], rest = rest[n:end:end], rest[end:]
	}
	e := &r.now
	e.role, e.stripped = role(flags&roleMask), flags&flagStripped != 0
	e.TS, e.Generation = numbers[0], schemas.Generation(numbers[1])
	e.Order = schemas.Order{LSN: schemas.LSN(numbers[2]), Ordinal: int32(numbers[3])}
	e.TTL = schemas.TTL{Seconds: int32(numbers[4]), Set: flags&flagTTL != 0}
	e.TopicPartition, e.Offset, e.PublishedAt = int32(numbers[5]), numbers[6], numbers[7]
	e.PartitionKey, e.ID, e.EPK, e.Incarnation = texts[0], texts[1], texts[3], texts[4]
	if string(texts[2]) != string(e.Op) {
		e.Op = schemas.Op(texts[2])
	}
	e.RID, e.ETag, e.Topic = texts[5], texts[6], texts[7]
	if e.Document = nil; flags&flagDocument != 0 {
		e.Document = rest
	}
}

func (r *runReader) entry() *entry { return &r.now }
func (r *runReader) close()        { _ = r.file.Close() } // opened for reading
