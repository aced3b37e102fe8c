// Package mem is a blob.Store in a map, for tests and simulations. Versions are counters, and the clock can be given.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// Store keeps objects in memory.
type Store struct {
	clock func() time.Time

	mu      sync.Mutex
	counter int64
	objects map[string]object
}

type object struct {
	data     []byte // never changed once it stands here
	version  string
	modified time.Time
}

// New makes an empty store that takes its time from the machine.
func New() *Store { return NewAt(time.Now) }

// NewAt makes an empty store whose clock is the given one.
func NewAt(clock func() time.Time) *Store {
	return &Store{clock: clock, objects: make(map[string]object)}
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, blob.Info, error) {
	if err := check(ctx, name); err != nil {
		return nil, blob.Info{}, err
	}
	if off < 0 {
		return nil, blob.Info{}, fmt.Errorf("get %s: offset %d is negative", name, off)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[name]
	if !ok {
		return nil, blob.Info{}, fmt.Errorf("get %s: %w", name, blob.ErrNotFound)
	}
	size := int64(len(o.data))
	from, to := min(off, size), size
	if n >= 0 {
		to = min(size, from+n)
	}
	return io.NopCloser(bytes.NewReader(o.data[from:to])), s.info(name, o), nil
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, body io.Reader, cond blob.Condition) (blob.Info, error) {
	if err := check(ctx, name); err != nil {
		return blob.Info{}, err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return blob.Info{}, fmt.Errorf("put %s: read body: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, exists := s.objects[name]
	version, versioned := cond.Version()
	if versioned && version == "" {
		return blob.Info{}, fmt.Errorf("put %s: the version to replace is unknown", name)
	}
	if cond.Absent() && exists || versioned && (!exists || old.version != version) {
		return blob.Info{}, fmt.Errorf("put %s %v: %w", name, cond, blob.ErrCondition)
	}
	s.counter++
	o := object{data: data, version: strconv.FormatInt(s.counter, 10), modified: s.clock()}
	s.objects[name] = o
	return s.info(name, o), nil
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string, visit func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.objects))
	s.mu.Unlock()
	first, _ := slices.BinarySearch(names, prefix)
	for _, name := range names[first:] {
		if !strings.HasPrefix(name, prefix) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		o, ok := s.objects[name]
		info := s.info(name, o)
		s.mu.Unlock()
		if !ok {
			continue
		}
		if err := visit(info); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, name)
	return nil
}

func (s *Store) info(name string, o object) blob.Info {
	return blob.Info{Name: name, Size: int64(len(o.data)), Version: o.version, Modified: o.modified, Now: s.clock()}
}

func check(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return blob.CheckName(name)
}
