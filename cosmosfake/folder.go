package cosmosfake

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// folder is a data directory: snapshots and journals, by number. What a server did is in the last snapshot and in the
// journals of its number and of higher ones. Both are JSON, a record per line.
type folder struct {
	path string
	lock *os.File
}

const (
	snapshotSuffix = ".snapshot"
	journalSuffix  = ".journal"
)

// lockName is the file that says whose the folder is.
const lockName = "lock"

var errLocked = errors.New("it is in use")

// openFolder makes a folder if it is not there. One server at a time has it, of this process or of another.
func openFolder(path string) (folder, error) {
	if err := prepareFolder(path); err != nil {
		return folder{}, err
	}
	lock, err := lockFile(filepath.Join(path, lockName))
	if errors.Is(err, errLocked) {
		holder := "another server of this process"
		if pid := readPID(filepath.Join(path, lockName)); pid != os.Getpid() {
			holder = "process " + strconv.Itoa(pid)
		}
		return folder{}, fmt.Errorf("folder %s is in use by %s: end that, or take another folder%s", path, holder, lockRemedy)
	}
	if err != nil {
		return folder{}, err
	}
	return folder{path: path, lock: lock}, nil
}

// prepareFolder makes a folder that is not there, and refuses one that holds other things and nothing of a server's: the
// path may be a mistake.
func prepareFolder(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name == lockName || strings.HasSuffix(name, journalSuffix) || strings.HasSuffix(name, snapshotSuffix) {
			return nil
		}
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() > 0 || info.IsDir() { // a ledger may have just been made in it
			return fmt.Errorf("folder %s holds other things (%s): give a folder of its own, which is made if it is not there", path, e.Name())
		}
	}
	return nil
}

// writePID says who has a lock.
func writePID(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// readPID is 0 where nobody wrote it.
func readPID(name string) int {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

func (f folder) unlock() error { return unlockFile(f.lock) }

func (f folder) name(number int64, suffix string) string {
	return filepath.Join(f.path, fmt.Sprintf("%010d%s", number, suffix))
}

// create begins a journal.
func (f folder) create(number int64) (*os.File, error) {
	return os.OpenFile(f.name(number, journalSuffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
}

// numbers are those of the files with a suffix, ascending.
func (f folder) numbers(suffix string) ([]int64, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	var list []int64
	for _, e := range entries {
		plain, ok := strings.CutSuffix(e.Name(), suffix)
		if n, err := strconv.ParseInt(plain, 10, 64); ok && err == nil {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}

// write makes a snapshot and removes what it takes the place of. It returns its size.
func (f folder) write(number int64, write func(*json.Encoder) error) (size int64, err error) {
	file, err := os.CreateTemp(f.path, "snapshot-*.tmp")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}()
	out := bufio.NewWriterSize(file, 1<<20)
	if err := write(json.NewEncoder(out)); err != nil {
		return 0, err
	}
	if err := out.Flush(); err != nil {
		return 0, err
	}
	if size, err = file.Seek(0, io.SeekCurrent); err != nil {
		return 0, err
	}
	if err := file.Sync(); err != nil {
		return 0, err
	}
	if err := os.Rename(file.Name(), f.name(number, snapshotSuffix)); err != nil {
		return 0, err
	}
	if err := file.Close(); err != nil {
		return 0, fmt.Errorf("%s: %w", f.name(number, snapshotSuffix), err)
	}
	return size, f.removeBefore(number)
}

// removeBefore removes what a snapshot took the place of, and what others left half written.
func (f folder) removeBefore(number int64) error {
	for _, suffix := range []string{snapshotSuffix, journalSuffix} {
		list, err := f.numbers(suffix)
		if err != nil {
			return err
		}
		for _, n := range list {
			if n < number {
				if err := os.Remove(f.name(n, suffix)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// read calls take with every line of the last snapshot and of the journals since, and returns the last number; 0 is a
// new folder. A torn line at the very end is cut off: nobody was told that it was done.
func (f folder) read(take func(line []byte) error) (int64, error) {
	left, err := filepath.Glob(filepath.Join(f.path, "snapshot-*.tmp"))
	if err != nil {
		return 0, err
	}
	for _, name := range left { // of a server that was killed
		if err := os.Remove(name); err != nil {
			return 0, err
		}
	}
	snapshots, err := f.numbers(snapshotSuffix)
	if err != nil {
		return 0, err
	}
	journals, err := f.numbers(journalSuffix)
	if err != nil {
		return 0, err
	}
	from := int64(1)
	if n := len(snapshots); n > 0 {
		from = snapshots[n-1]
		if err := f.readFile(f.name(from, snapshotSuffix), take, mustBeWhole); err != nil {
			return 0, err
		}
	}
	journals = slices.DeleteFunc(journals, func(n int64) bool { return n < from })
	for i, n := range journals {
		if n != from+int64(i) {
			return 0, damaged(f.name(from+int64(i), journalSuffix), fs.ErrNotExist)
		}
		end := mustBeWhole
		if i == len(journals)-1 {
			end = mayBeTorn
		}
		if err := f.readFile(f.name(n, journalSuffix), take, end); err != nil {
			return 0, err
		}
	}
	if len(journals) == 0 {
		if len(snapshots) > 0 {
			return 0, damaged(f.name(from, journalSuffix), fs.ErrNotExist)
		}
		return 0, nil
	}
	return journals[len(journals)-1], nil
}

// ending says whether the last line of a file may be torn.
type ending int

const (
	mustBeWhole ending = iota
	mayBeTorn
)

var errTorn = errors.New("its last line is torn")

// damagedError says what to do about a folder that cannot be read.
type damagedError struct {
	where string
	err   error
}

func (e *damagedError) Error() string {
	return e.where + ": " + plain(e.err) + "; the folder is damaged: put it back from a copy, or move it away to begin with an empty account"
}
func (e *damagedError) Unwrap() error { return e.err }

func damaged(where string, err error) error { return &damagedError{where, err} }

func (f folder) readFile(name string, take func(line []byte) error, end ending) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // Truncate tells its errors itself
	lines := bufio.NewReaderSize(file, 1<<20)
	for number, whole := 1, int64(0); ; number++ {
		line, err := lines.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case errors.Is(err, io.EOF) && end == mayBeTorn:
			return file.Truncate(whole)
		case errors.Is(err, io.EOF):
			return damaged(name, errTorn)
		case err == nil:
			err = take(line)
		}
		if err != nil {
			return damaged(fmt.Sprintf("%s, line %d", name, number), err)
		}
		whole += int64(len(line))
	}
}
