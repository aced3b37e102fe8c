package dir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob/dir"
)

// A file stands where a folder must: the one refusal that root meets too. Permissions are tried by tests/accept, with
// programs that run as another user.
func TestNewWritable(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	if _, err := dir.NewWritable(root, dir.Options{}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := dir.NewWritable(filepath.Join(file, "store"), dir.Options{})
	var config *dir.ConfigError
	if !errors.As(err, &config) || config.ExitCode() != 2 || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v want an error of the configuration that names %s", err, file)
	}
}
