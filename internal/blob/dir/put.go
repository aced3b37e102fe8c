package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, body io.Reader, cond blob.Condition) (blob.Info, error) {
	if err := check(ctx, name); err != nil {
		return blob.Info{}, err
	}
	if version, ok := cond.Version(); ok && version == "" {
		return blob.Info{}, fmt.Errorf("put %s: the version to replace is unknown; objects above %d bytes have none", name, blob.MaxConditional)
	}
	path := s.path(name)
	stat, err := os.Lstat(path)
	if err == nil && stat.IsDir() {
		return blob.Info{}, fmt.Errorf("put %s: a folder of that name holds other objects; choose another name", name)
	}
	if err == nil && cond.Absent() {
		return blob.Info{}, conditionFailed(name, cond)
	}
	if err := s.makeFolder(filepath.Dir(path)); err != nil {
		return blob.Info{}, explain("put", name, s.root, err)
	}
	temp, err := s.newTemp()
	if err != nil {
		return blob.Info{}, explain("put", name, s.root, err)
	}
	info, err := temp.fill(ctx, body)
	if err == nil {
		info.Name = name
		err = s.give(ctx, name, temp.path(), cond)
	}
	temp.discard()
	if errors.Is(err, blob.ErrCondition) {
		return blob.Info{}, err
	}
	if err != nil {
		return blob.Info{}, explain("put", name, s.root, err)
	}
	info.Now = time.Now()
	return info, nil
}

// give gives a synced temporary file its name, when the condition holds.
func (s *Store) give(ctx context.Context, name, temp string, cond blob.Condition) error {
	path := s.path(name)
	if cond.Absent() {
		err := os.Link(temp, path)
		if errors.Is(err, fs.ErrExist) {
			return conditionFailed(name, cond)
		}
		if err != nil {
			return err
		}
		return syncFolder(filepath.Dir(path))
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	if want, ok := cond.Version(); ok {
		got, err := currentVersion(path)
		if err != nil {
			return err
		}
		if got != want {
			return conditionFailed(name, cond)
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func conditionFailed(name string, cond blob.Condition) error {
	return fmt.Errorf("put %s %v: %w", name, cond, blob.ErrCondition)
}

// currentVersion is empty when there is no object, or none that has a version.
func currentVersion(path string) (string, error) {
	file, err := os.Open(path)
	if isAbsent(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	stat, err := file.Stat()
	version := ""
	if err == nil && stat.Size() <= blob.MaxConditional {
		version, err = versionOf(file)
	}
	return version, errors.Join(err, file.Close())
}

// versionOf hashes a file from its beginning, wherever its reader stands.
func versionOf(file *os.File) (string, error) {
	sum := newVersioner()
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, blob.MaxConditional+1)); err != nil {
		return "", err
	}
	return sum.version(), nil
}

// versioner hashes what is written to it, and stops when that is too much to have a version.
type versioner struct {
	hash hash.Hash
	n    int64
}

func newVersioner() *versioner { return &versioner{hash: sha256.New()} }

func (v *versioner) Write(p []byte) (int, error) {
	v.n += int64(len(p))
	if v.n <= blob.MaxConditional {
		v.hash.Write(p)
	}
	return len(p), nil
}

func (v *versioner) version() string {
	if v.n > blob.MaxConditional {
		return ""
	}
	return hex.EncodeToString(v.hash.Sum(nil))
}
