package check

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// TestFolderOfAFullDisk: to make the folder, which is there, is no remedy.
func TestFolderOfAFullDisk(t *testing.T) {
	for err, want := range map[error]string{syscall.ENOSPC: "free space", syscall.EDQUOT: "free space", syscall.ENOENT: "make the folder"} {
		got := folderFailed("compactor.spill", &fs.PathError{Op: "write", Path: "x", Err: err})
		if got.Severity != Stop || !strings.Contains(got.Remedy, want) {
			t.Errorf("%v: got %+v want %q", err, got, want)
		}
	}
}
