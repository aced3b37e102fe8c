package dir

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// ownFolder is where the store keeps what is no object. List does not show it.
const ownFolder = ".almanac-store"

func reserved(name string) bool { return name == ownFolder || strings.HasPrefix(name, ownFolder+"/") }

// own makes a folder of the store's own, but never the root: that of a volume which was unmounted is not to come back empty.
func (s *Store) own(name string) (string, error) {
	folder := filepath.Join(s.root, ownFolder, name)
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	for _, one := range []string{filepath.Dir(folder), folder} {
		if err := os.Mkdir(one, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	return folder, nil
}

// temporary is a file that has no name yet. Its flock shows that its writer lives.
type temporary struct{ file *os.File }

func (s *Store) newTemp() (temporary, error) {
	folder, err := s.own("tmp")
	if err != nil {
		return temporary{}, err
	}
	file, err := os.CreateTemp(folder, "put-*")
	if err != nil {
		return temporary{}, err
	}
	// Nobody else knows the name, or it is too young to be looked at, so this waits for nobody.
	err = flock(file, syscall.LOCK_EX)
	if err == nil {
		err = file.Chmod(0o644)
	}
	if err != nil {
		temporary{file}.discard()
		return temporary{}, err
	}
	return temporary{file}, nil
}

func (t temporary) path() string { return t.file.Name() }

// fill writes and syncs the body. It tells everything of the object but its name and the time of the answer.
func (t temporary) fill(ctx context.Context, body io.Reader) (blob.Info, error) {
	sum := newVersioner()
	if _, err := io.Copy(io.MultiWriter(t.file, sum), cancelled{ctx, body}); err != nil {
		return blob.Info{}, err
	}
	if err := t.file.Sync(); err != nil {
		return blob.Info{}, err
	}
	stat, err := t.file.Stat()
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Size: stat.Size(), Version: sum.version(), Modified: stat.ModTime()}, nil
}

// discard removes the temporary name, if it still stands, and lets go of the file. What it leaves behind when that fails
// is removed as stale later, so there is nothing to report.
func (t temporary) discard() {
	_ = os.Remove(t.path())
	_ = t.file.Close()
}

// cancelled ends a body when the context ends.
type cancelled struct {
	ctx  context.Context //nolint:containedctx // an io.Reader for the length of one Put
	body io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.body.Read(p)
}

// removeStale removes temporary files that are old and that nobody holds. It does what it can: whatever it cannot remove
// costs space, nothing else. A paused writer that lives holds its file's lock.
func (s *Store) removeStale(age time.Duration) {
	folder := filepath.Join(s.root, ownFolder, "tmp")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		stat, err := entry.Info()
		if err != nil || time.Since(stat.ModTime()) < age {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		if flock(file, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.Remove(path)
		}
		_ = file.Close()
	}
}

// lock excludes every other change of an existing object of that name, in this process and all others, until unlock is
// called or the process dies. A holder that is paused keeps everybody waiting, so waiting ends with ctx.
func (s *Store) lock(ctx context.Context, name string) (unlock func(), err error) {
	folder, err := s.own("locks")
	if err != nil {
		return nil, err
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(name))
	path := filepath.Join(folder, fmt.Sprintf("%02x", sum.Sum32()%256))
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err = flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // closing the only descriptor unlocks
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for lock %s: %w", path, ctx.Err()), file.Close())
		case <-time.After(wait):
		}
	}
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
