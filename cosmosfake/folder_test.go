package cosmosfake_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestFolderOfTwo: a second server of the process is refused while the first has the folder, and takes over what the
// first left.
func TestFolderOfTwo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := cosmosfake.New(cosmosfake.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rest{t, first}.makeOrders(1)
	second, err := cosmosfake.New(cosmosfake.Options{Dir: dir})
	if err == nil {
		_ = second.Close()
		t.Fatal("got no error for the second")
	}
	if want := "folder " + dir + " is in use by another server of this process"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want it to say %q", err, want)
	}
	c := rest{t, first}
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third := startServer(t, cosmosfake.Options{Dir: dir})
	rest{t, third}.must(200, "GET", docs+"/1", "", pkH, `["a"]`)
}

// TestFolderOfOthers: a folder with other things in it is no data directory, and is left as it is.
func TestFolderOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := cosmosfake.New(cosmosfake.Options{Dir: dir})
	if err == nil {
		_ = s.Close()
		t.Fatal("got no error")
	}
	if !strings.Contains(err.Error(), "holds other things (thesis.txt)") {
		t.Errorf("got %q, want it to name thesis.txt", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v, want nothing added", entries, err)
	}
}
