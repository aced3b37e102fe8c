// Package dir is a blob.Store in a folder of a POSIX file system: the embedded default.
//
// An object is a file of the same name, so that foreign readers find Parquet where the table's log says it is. What a
// folder lacks is made from these parts, and holds across processes and against kill -9 and power failure:
//
//   - Bytes go to a temporary file in <root>/.almanac-store/tmp and are synced before they get their name, so a name
//     never shows a part of an object. Then the folder is synced, and every folder that was made for it.
//   - *Put if absent* is link(2), which fails where the name exists.
//   - *Put if version*, *always* and *Delete* take a lock (flock on one of 256 files in <root>/.almanac-store/locks); the
//     kernel frees it when its holder dies. Under it the version is compared and the file renamed.
//   - The *version* of an object up to blob.MaxConditional bytes is the SHA-256 of its content, told by Get and Put; it
//     is never a time. Larger objects have none and cannot be replaced conditionally, so no data file is ever hashed.
//   - *Modified* is the file's modification time; *Now* is the clock of this host. On a network file system keep both
//     clocks together.
//
// Leftover temporary files of dead processes go when the next process opens the store. Folders are never removed. All
// objects must lie in one file system, which must know hard links and flock.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// Options of a Store; the zero value is the documented default.
type Options struct {
	// StaleAfter is the age at which a temporary file that no living process holds is removed. Default one hour.
	StaleAfter time.Duration
}

// Store keeps objects in a folder.
type Store struct {
	root string

	mu      sync.Mutex
	durable map[string]struct{} // folders whose own entries are known to be on disk
}

// New opens the store in folder root. It never makes that folder: one that is missing is a slip of the pen, or a volume
// that is not mounted, and an archive begun in its place would be taken for the whole one. A folder that can only be read
// is a store that can only be read.
func New(root string, opts Options) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, err)
	}
	if err := look(root); err != nil {
		return nil, err
	}
	s := &Store{root: root, durable: make(map[string]struct{})}
	if opts.StaleAfter <= 0 {
		opts.StaleAfter = time.Hour
	}
	s.removeStale(opts.StaleAfter)
	return s, nil
}

// Root is the folder that the store lies in.
func (s *Store) Root() string { return s.root }

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, blob.Info, error) {
	if err := check(ctx, name); err != nil {
		return nil, blob.Info{}, err
	}
	if off < 0 {
		return nil, blob.Info{}, fmt.Errorf("get %s: offset %d is negative", name, off)
	}
	file, err := os.Open(s.path(name))
	if isAbsent(err) {
		return nil, blob.Info{}, fmt.Errorf("get %s: %w", name, blob.ErrNotFound)
	}
	if err != nil {
		return nil, blob.Info{}, explain("get", name, s.root, err)
	}
	body, info, err := open(file, name, off, n)
	if err != nil {
		return nil, blob.Info{}, errors.Join(err, file.Close())
	}
	return body, info, nil
}

// open reads what Get answers from an open file. The file keeps its bytes when its name is given to another.
func open(file *os.File, name string, off, n int64) (io.ReadCloser, blob.Info, error) {
	stat, err := file.Stat()
	if err != nil {
		return nil, blob.Info{}, fmt.Errorf("get %s: %w", name, err)
	}
	if !stat.Mode().IsRegular() {
		return nil, blob.Info{}, fmt.Errorf("get %s: it is no file: %w", name, blob.ErrNotFound)
	}
	info := describe(name, stat)
	if info.Size <= blob.MaxConditional {
		if info.Version, err = versionOf(file); err != nil {
			return nil, blob.Info{}, fmt.Errorf("get %s: %w", name, err)
		}
	}
	off = min(off, info.Size)
	if n < 0 || n > info.Size-off {
		n = info.Size - off
	}
	return section{Reader: io.NewSectionReader(file, off, n), Closer: file}, info, nil
}

type section struct {
	io.Reader
	io.Closer
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	path := s.path(name)
	if stat, err := os.Lstat(path); isAbsent(err) || err == nil && stat.IsDir() {
		return nil
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return explain("delete", name, s.root, err)
	}
	defer unlock()
	if err := os.Remove(path); err != nil && !isAbsent(err) {
		return explain("delete", name, s.root, err)
	}
	return explain("delete", name, s.root, syncFolder(filepath.Dir(path)))
}

func (s *Store) path(name string) string { return filepath.Join(s.root, filepath.FromSlash(name)) }

func describe(name string, stat fs.FileInfo) blob.Info {
	return blob.Info{Name: name, Size: stat.Size(), Modified: stat.ModTime(), Now: time.Now()}
}

func check(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := blob.CheckName(name); err != nil {
		return err
	}
	if reserved(name) {
		return fmt.Errorf("check object name %q: %s is the store's own folder", name, ownFolder)
	}
	return nil
}
