package accept

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// nobody is a user to whom permission bits apply; to root they do not.
const nobody = 65534

// readOnly lets the programs write to a store that may only be read.
func (w *ward) readOnly() {
	w.chmod(0o555, 0o444)
	defer w.chmod(0o755, 0o644)
	for _, dir := range []string{bin, w.Stack.Dir} {
		w.Must(os.Chmod(dir, 0o755)) // so that nobody finds the programs and their configuration
	}
	for _, test := range []struct {
		program string
		args    []string
		exit    int
	}{
		{"producer", []string{"run"}, 2},
		{"archiver", []string{"run"}, 2},
		{"compactor", []string{"snapshot", "--container", w.orders.Name()}, 2},
	} {
		w.Run(test.program, func(t *testing.T) {
			w := w.in(t)
			w.judge(w.asNobody(test.program, test.args...), test.exit, "archive.root", w.Stack.Archive)
		})
	}
	w.Run("restorer", func(t *testing.T) { // it only reads
		w := w.in(t)
		w.judge(w.asNobody("restorer", "points", "--container", w.orders.Name()), 0)
	})
	w.Must(os.Chmod(w.Stack.Archive, 0o300))
	for _, program := range harness.Programs() {
		args := []string{"run"}
		if program == "restorer" {
			args = []string{"points", "--container", w.orders.Name()}
		}
		w.Run("nor read by a "+program, func(t *testing.T) {
			w := w.in(t)
			w.judge(w.asNobody(program, args...), 2, "archive.root", w.Stack.Archive, "permission")
		})
	}
	w.Must(os.Chmod(w.Stack.Archive, 0o755))
}

func (w *ward) chmod(dir, file fs.FileMode) {
	w.Must(filepath.WalkDir(w.Stack.Archive, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return os.Chmod(path, dir)
		}
		return os.Chmod(path, file)
	}))
}

// asNobody runs a program as a user who is not root.
func (w *ward) asNobody(program string, args ...string) *harness.Result {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Ctx, 6*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "almanac-"+program), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, "/"
	cmd.Env = append(os.Environ(), "ALMANAC_CONFIG="+w.Stack.Config, "COSMOS_KEY="+w.Stack.Cosmos.Key(), "ALMANAC_COMPACTOR_SPILL=/tmp")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		w.Fatal(err)
	}
	return &harness.Result{Args: append([]string{program}, args...), Exit: cmd.ProcessState.ExitCode(), Stdout: out.Bytes(), Stderr: errs.Bytes()}
}
