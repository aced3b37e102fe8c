package blob

import (
	"context"
	"fmt"
	"io"
	"sync"
)

const (
	readBlock  = 512 << 10
	readBlocks = 16
)

// NewReaderAt reads one object at any offset, by blocks of half a MiB of which it keeps the last few, so that a Parquet
// reader's many small reads become few requests in bounded memory (INV-9). The object must not change meanwhile. The
// context ends all reads to come. Safe for concurrent use; reads of absent blocks wait for each other.
func NewReaderAt(ctx context.Context, s Store, info Info) io.ReaderAt {
	return &readerAt{ctx: ctx, store: s, name: info.Name, size: info.Size, blocks: make(map[int64][]byte, readBlocks)}
}

type readerAt struct {
	ctx   context.Context //nolint:containedctx // io.ReaderAt has no place for it
	store Store
	name  string
	size  int64

	mu     sync.Mutex
	blocks map[int64][]byte
	order  []int64 // of blocks, oldest first
}

func (r *readerAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s: offset %d is negative", r.name, off)
	}
	n := 0
	for n < len(p) && off < r.size {
		block, err := r.block(off / readBlock)
		if err != nil {
			return n, err
		}
		copied := copy(p[n:], block[off%readBlock:])
		n, off = n+copied, off+int64(copied)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *readerAt) block(i int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if block, ok := r.blocks[i]; ok {
		return block, nil
	}
	block, err := r.read(i*readBlock, min(readBlock, r.size-i*readBlock))
	if err != nil {
		return nil, fmt.Errorf("read %s at %d: %w", r.name, i*readBlock, err)
	}
	if len(r.order) == readBlocks {
		delete(r.blocks, r.order[0])
		r.order = r.order[1:]
	}
	r.blocks[i] = block
	r.order = append(r.order, i)
	return block, nil
}

func (r *readerAt) read(off, n int64) ([]byte, error) {
	body, info, err := r.store.Get(r.ctx, r.name, off, n)
	if err != nil {
		return nil, err
	}
	block := make([]byte, n)
	if info.Size != r.size {
		err = fmt.Errorf("it has %d bytes now, it had %d", info.Size, r.size)
	} else {
		_, err = io.ReadFull(body, block)
	}
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	return block, err
}
