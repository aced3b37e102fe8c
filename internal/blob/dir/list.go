package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// listPage bounds the entries of one folder that a listing holds at once. A larger folder is read once per page: the
// kernel does not sort, and memory must not grow with the folder (INV-9).
const listPage = 16384

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string, visit func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	folder := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		folder = prefix[:i+1]
	}
	if reserved(folder) {
		return nil
	}
	l := lister{store: s, page: listPage, visit: visit}
	return l.list(ctx, folder, prefix[len(folder):])
}

type lister struct {
	store *Store
	page  int
	visit func(blob.Info) error
}

// list visits what lies in folder ("" or with a final slash) and begins with prefix there.
func (l *lister) list(ctx context.Context, folder, prefix string) error {
	for after := ""; ; {
		keys, more, err := l.read(folder, prefix, after)
		if err != nil {
			return explain("list", folder, l.store.root, err)
		}
		for _, key := range keys {
			if err := l.entry(ctx, folder+key); err != nil {
				return err
			}
			after = key
		}
		if !more {
			return nil
		}
	}
}

func (l *lister) entry(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if strings.HasSuffix(name, "/") {
		return l.list(ctx, name, "")
	}
	stat, err := os.Lstat(l.store.path(name))
	if isAbsent(err) || err == nil && !stat.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return explain("list", name, l.store.root, err)
	}
	return l.visit(describe(name, stat))
}

// read tells the next keys of a folder in order, beginning after a key. The key of a folder ends in a slash, because
// that is what the names below it compare by.
func (l *lister) read(folder, prefix, after string) (keys []string, more bool, err error) {
	dir, err := os.Open(filepath.Join(l.store.root, filepath.FromSlash(folder)))
	if isAbsent(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	for {
		entries, err := dir.ReadDir(1024)
		for _, entry := range entries {
			key := keyOf(entry)
			if key <= after || !strings.HasPrefix(key, prefix) || folder == "" && reserved(entry.Name()) {
				continue
			}
			keys = append(keys, key)
		}
		if len(keys) > 2*l.page {
			keys, more = l.smallest(keys), true
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ENOTDIR) {
			break
		}
		if err != nil {
			return nil, false, err
		}
	}
	if len(keys) > l.page {
		more = true
	}
	return l.smallest(keys), more, nil
}

func (l *lister) smallest(keys []string) []string {
	slices.Sort(keys)
	return keys[:min(len(keys), l.page)]
}

func keyOf(entry fs.DirEntry) string {
	if entry.IsDir() {
		return entry.Name() + "/"
	}
	return entry.Name()
}
