package dir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
)

// Permissions are tried by tests/accept, with programs that run as another user: root meets none of them.
func TestNewWritable(t *testing.T) {
	root := t.TempDir()
	if _, err := dir.NewWritable(root, dir.Options{}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, root, want string }{
		{"a folder that is not there", filepath.Join(root, "typo"), "mount the volume that it lies on, or make it with mkdir -p " + filepath.Join(root, "typo")},
		{"a folder below one", filepath.Join(root, "no", "where"), "mkdir -p"},
		{"a file", file, "it is a file"},
		{"below a file", filepath.Join(file, "store"), file},
	} {
		for _, open := range []func(string, dir.Options) (*dir.Store, error){dir.New, dir.NewWritable} {
			_, err := open(test.root, dir.Options{})
			var config *dir.ConfigError
			if !errors.As(err, &config) || config.ExitCode() != 2 || !strings.Contains(err.Error(), test.root) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v want an error of the configuration with %s and %q", test.name, err, test.root, test.want)
			}
		}
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
		t.Errorf("got %v (%v) want nothing but the file", left, err)
	}
}

// A volume that is unmounted under a running program must not come back as an empty folder.
func TestRootThatVanishesIsNotMadeAgain(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := dir.NewWritable(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	for _, when := range []blob.Condition{blob.IfAbsent(), blob.Always()} {
		if _, err := s.Put(t.Context(), "a/b", strings.NewReader("x"), when); err == nil {
			t.Error("got a put into a folder that is gone")
		}
	}
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v want the folder to be gone still", err)
	}
}
