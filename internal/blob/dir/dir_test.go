package dir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/blobtest"
)

func openStore(t *testing.T, root string) *Store {
	t.Helper()
	s, err := New(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return openStore(t, t.TempDir()) })
}

// The variables that make the test binary one process of a race.
const (
	envRace  = "BLOBTEST_RACE"
	envRoot  = "BLOBTEST_ROOT"
	envRacer = "BLOBTEST_RACER"
)

func TestMain(m *testing.M) {
	race := os.Getenv(envRace)
	if race == "" {
		os.Exit(m.Run())
	}
	if err := runRacer(race); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runRacer(race string) error {
	racer, err := strconv.Atoi(os.Getenv(envRacer))
	if err != nil {
		return err
	}
	s, err := New(os.Getenv(envRoot), Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	switch race {
	case "absent":
		return blobtest.RaceAbsent(ctx, s, racer)
	case "version":
		return blobtest.RaceVersion(ctx, s, racer)
	case "hold": // holds a lock and a temporary file until it is killed
		unlock, err := s.lock(ctx, "held")
		if err != nil {
			return err
		}
		defer unlock()
		temp, err := s.newTemp()
		if err != nil {
			return err
		}
		defer temp.discard()
		fmt.Println("held")
		_, err = os.Stdin.Read(make([]byte, 1))
		return err
	}
	return fmt.Errorf("no race %q", race)
}

func racerCommand(t *testing.T, race, root string, racer int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), envRace+"="+race, envRoot+"="+root, envRacer+"="+strconv.Itoa(racer))
	return cmd
}

// TestProcesses runs the races between processes.
func TestProcesses(t *testing.T) {
	for race, check := range map[string]func(*testing.T, blob.Store){"absent": blobtest.CheckAbsent, "version": blobtest.CheckVersion} {
		t.Run(race, func(t *testing.T) {
			root := t.TempDir()
			racers := make([]*exec.Cmd, blobtest.Racers)
			outputs := make([]strings.Builder, blobtest.Racers)
			for i := range racers {
				racers[i] = racerCommand(t, race, root, i)
				racers[i].Stderr = &outputs[i]
				if err := racers[i].Start(); err != nil {
					t.Fatal(err)
				}
			}
			for i, cmd := range racers {
				if err := cmd.Wait(); err != nil {
					t.Errorf("racer %d: %v: %s", i, err, outputs[i].String())
				}
			}
			check(t, openStore(t, root))
		})
	}
}

// TestKilled kills a process that holds a lock and a temporary file: neither outlives it for long, and both are respected
// while it lives.
func TestKilled(t *testing.T) {
	root := t.TempDir()
	cmd := racerCommand(t, "hold", root, 0)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	temps := func() []string {
		found, err := filepath.Glob(filepath.Join(root, ownFolder, "tmp", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, temp := range temps() {
		old := time.Now().Add(-2 * time.Hour)
		if err := os.Chtimes(temp, old, old); err != nil {
			t.Fatal(err)
		}
	}

	s := openStore(t, root)
	if got := len(temps()); got != 1 {
		t.Errorf("temporary files while their writer lives: got %d, want 1", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Put(ctx, "held", strings.NewReader("x"), blob.Always()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("put under a lock that is held: got %v, want %v", err, context.DeadlineExceeded)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	if _, err := s.Put(t.Context(), "held", strings.NewReader("x"), blob.Always()); err != nil {
		t.Errorf("put after the lock's holder was killed: %v", err)
	}
	openStore(t, root)
	if got := temps(); len(got) != 0 {
		t.Errorf("temporary files after their writer was killed: got %q, want none", got)
	}
}

func TestOwnFolderIsInvisible(t *testing.T) {
	s := openStore(t, t.TempDir())
	if _, err := s.Put(t.Context(), ownFolder+"/tmp/x", strings.NewReader("x"), blob.Always()); err == nil {
		t.Error("put into the store's own folder: got no error")
	}
	if _, err := s.Put(t.Context(), "x", strings.NewReader("x"), blob.Always()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, prefix := range []string{"", ".", ownFolder, ownFolder + "/"} {
		err := s.List(t.Context(), prefix, func(info blob.Info) error { names = append(names, info.Name); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(names, []string{"x"}) {
		t.Errorf("list: got %q, want x alone", names)
	}
}

// TestListPages lists a folder that is larger than a page.
func TestListPages(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	want := make([]string, 0, 1000)
	for i := range 1000 {
		name := fmt.Sprintf("f/%04d", i*7919%1000)
		if i%10 == 0 {
			name += "/x"
		}
		want = append(want, name)
		if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path(name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	for _, page := range []int{1, 7, 499, 500, 999, 1000, 1001} {
		if page == 1 && testing.Short() {
			continue
		}
		var got []string
		l := lister{store: s, page: page, visit: func(info blob.Info) error { got = append(got, info.Name); return nil }}
		if err := l.list(t.Context(), "f/", ""); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: got %d names, want %d in order", page, len(got), len(want))
		}
	}
}

func TestLargeObjectsHaveNoVersion(t *testing.T) {
	s := openStore(t, t.TempDir())
	for size, versioned := range map[int]bool{blob.MaxConditional: true, blob.MaxConditional + 1: false} {
		info, err := s.Put(t.Context(), "o", strings.NewReader(strings.Repeat("x", size)), blob.Always())
		if err != nil || (info.Version != "") != versioned {
			t.Errorf("put of %d bytes: got version %q, %v, want one: %v", size, info.Version, err, versioned)
		}
		stat, err := blob.Stat(t.Context(), s, "o")
		if err != nil || stat.Version != info.Version {
			t.Errorf("get of %d bytes: got version %q, %v, want %q", size, stat.Version, err, info.Version)
		}
	}
}

// TestRemedies makes sure that an error says what its reader can do.
func TestRemedies(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{syscall.EROFS, "mount it for writing"},
		{syscall.EACCES, "give it read and write permission"},
		{syscall.ENOSPC, "free space"},
		{syscall.EDQUOT, "free space"},
		{syscall.EXDEV, "keep the whole store in one"},
		{syscall.ENOTSUP, "choose another file system"},
	} {
		err := explain("put", "a/b", "/root", &os.PathError{Op: "open", Path: "/root/a/b", Err: test.err})
		if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "put a/b in /root") || !errors.Is(err, test.err) {
			t.Errorf("got %q, want the object and %q", err, test.want)
		}
		var adviser interface{ Advice() (what, remedy string) }
		if !errors.As(err, &adviser) {
			t.Fatalf("got %q, want advice in it", err)
		}
		if what, remedy := adviser.Advice(); !strings.Contains(remedy, test.want) || strings.Contains(what, test.want) {
			t.Errorf("got %q -> %q, want %q in the remedy alone", what, remedy, test.want)
		}
	}
	if os.Getuid() == 0 {
		return // may write everywhere
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, root)
	_, err := s.Put(t.Context(), "o", strings.NewReader("x"), blob.IfAbsent())
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), root) {
		t.Errorf("put into a folder that cannot be written: got %v, want %v and the folder", err, os.ErrPermission)
	}
}
