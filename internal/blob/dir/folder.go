package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// maxDurable bounds what is remembered of folders; beyond it everything is forgotten and synced once more.
const maxDurable = 4096

// makeFolder makes a folder and all above it, down from the root, so that they survive a power failure. A folder that
// another process made may not be on disk yet, so each is synced once by every process that writes into it.
func (s *Store) makeFolder(folder string) error {
	s.mu.Lock()
	_, done := s.durable[folder]
	s.mu.Unlock()
	if done || folder == s.root {
		return nil
	}
	if err := s.makeFolder(filepath.Dir(folder)); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncFolder(filepath.Dir(folder)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.durable) >= maxDurable {
		clear(s.durable)
	}
	s.durable[folder] = struct{}{}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// explain names the operation, the object, and what its user can do about it.
func explain(op, name, root string, err error) error {
	remedy := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EROFS):
		remedy = "the file system is mounted read-only: mount it for writing, or choose another folder"
	case errors.Is(err, fs.ErrPermission):
		remedy = "this user may not do that: give it read and write permission on the folder and all below it"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "the disk or quota is full: free space; the object was not changed"
	case errors.Is(err, syscall.EXDEV):
		remedy = "part of the folder is another file system: keep the whole store in one"
	case errors.Is(err, syscall.EMLINK), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK):
		remedy = "the file system lacks hard links or locks, which conditional writes need: choose another file system"
	case errors.Is(err, syscall.ENAMETOOLONG):
		remedy = "the folder's own path is too long for this name: choose a shorter one"
	}
	return blob.Advise(fmt.Errorf("%s %s in %s: %w", op, name, root, err), remedy)
}
