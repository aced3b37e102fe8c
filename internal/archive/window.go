package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// source reads whole ranges of one object.
type source struct {
	size int64
	get  func(p []byte, off int64) error
}

// memorySource is a file that was not uploaded yet.
func memorySource(file *bytes.Reader) source {
	return source{size: file.Size(), get: func(p []byte, off int64) error {
		n, err := file.ReadAt(p, off)
		if n == len(p) {
			return nil
		}
		return err
	}}
}

// readRange fills p from the object; a short answer is an error, never a short file.
func readRange(ctx context.Context, store blob.Store, name string, p []byte, off int64) error {
	body, _, err := store.Get(ctx, name, off, int64(len(p)))
	if err != nil {
		return err
	}
	_, err = io.ReadFull(body, p)
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read %d bytes at %d: %w", len(p), off, err)
	}
	return nil
}

// window is an io.ReaderAt over one span of a source that reads ahead: one request brings chunkWindow bytes, or the whole
// span if that is less.
type window struct {
	source source
	limit  int64 // where the span ends
	start  int64 // where buffer begins
	buffer []byte
}

// open begins another span. The buffer is used again.
func (w *window) open(off, size int64) {
	w.limit = min(off+size, w.source.size)
	w.start = off
	if want := int(min(size, chunkWindow)); cap(w.buffer) < want {
		w.buffer = make([]byte, 0, want)
	}
	w.buffer = w.buffer[:0]
}

// ReadAt is io.ReaderAt's.
func (w *window) ReadAt(p []byte, off int64) (int, error) {
	if off >= w.source.size {
		return 0, io.EOF
	}
	end := io.EOF
	if off+int64(len(p)) <= w.source.size {
		end = nil
	} else {
		p = p[:w.source.size-off]
	}
	total := len(p)
	for len(p) > 0 {
		if at := off - w.start; at >= 0 && at < int64(len(w.buffer)) {
			n := copy(p, w.buffer[at:])
			p, off = p[n:], off+int64(n)
			continue
		}
		if len(p) >= cap(w.buffer) {
			if err := w.source.get(p, off); err != nil {
				return total - len(p), err
			}
			break
		}
		if err := w.fill(off); err != nil {
			return total - len(p), err
		}
	}
	return total, end
}

// fill reads from off on as much as fits.
func (w *window) fill(off int64) error {
	n := min(int64(cap(w.buffer)), max(w.limit, off+1)-off)
	w.start, w.buffer = off, w.buffer[:n]
	if err := w.source.get(w.buffer, off); err != nil {
		w.buffer = w.buffer[:0]
		return err
	}
	return nil
}
