package real_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/delta"
)

// foreignVersion is what a foreign writer says of its table at one version.
type foreignVersion struct {
	Version int64
	Paths   []string
	Rows    int64
	Txn     *int64
}

// writers are foreign ones; each writes a table with all that it does at reader 1, writer 2.
func writers() []reader { return []reader{azureReaders()[0], sparkReader()} }

// write makes a foreign table, its paths as names in the table's folder.
func (r reader) write(t *testing.T, path string) []foreignVersion {
	t.Helper()
	var versions []foreignVersion
	must(t, r.worker).mustAsk(t, request{"do": "write", "table": path}, &versions)
	for _, v := range versions {
		for i, name := range v.Paths {
			plain, err := url.PathUnescape(strings.TrimPrefix(name, "file:"+path+"/"))
			if err != nil {
				t.Fatal(err)
			}
			v.Paths[i] = plain
		}
		slices.Sort(v.Paths)
	}
	return versions
}

func openFolder(t *testing.T, path string) *dir.Store {
	t.Helper()
	return must(t, func() (*dir.Store, error) { return dir.New(path, dir.Options{}) })
}

func TestWeReadForeignTables(t *testing.T) {
	onRequest(t)
	for _, w := range writers() {
		t.Run(w.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "table")
			versions := w.write(t, path)
			store := openFolder(t, path)
			for _, want := range versions {
				s, err := delta.LoadAt(t.Context(), store, want.Version, delta.Options{})
				if err != nil {
					t.Fatal(err)
				}
				checkForeign(t, path, s, want)
			}
			newest := versions[len(versions)-1]
			s, err := delta.Load(t.Context(), store, delta.Options{})
			if err != nil {
				t.Fatal(err)
			}
			checkForeign(t, path, s, newest)
			if got := s.Metadata.PartitionColumns; !slices.Equal(got, []string{"part"}) {
				t.Errorf("partition columns: got %v want part", got)
			}
			weWriteOn(t, path, s, newest)
		})
	}
}

func checkForeign(t *testing.T, path string, s *delta.Snapshot, want foreignVersion) {
	t.Helper()
	var paths []string
	var rows int64
	for _, add := range s.Files {
		paths = append(paths, add.Path)
		rows += rowsOf(t, filepath.Join(path, add.Path))
		if add.Partition["part"] == "" {
			t.Errorf("%s: got no partition value", add.Path)
		}
	}
	slices.Sort(paths)
	if s.Version != want.Version || !slices.Equal(paths, want.Paths) || rows != want.Rows {
		t.Errorf("got version %d, %d rows in %q want %d, %d, %q", s.Version, rows, paths, want.Version, want.Rows, want.Paths)
	}
	if want.Txn != nil && s.Txns["app"] != *want.Txn {
		t.Errorf("version %d: got txn %d want %d", s.Version, s.Txns["app"], *want.Txn)
	}
}

func rowsOf(t *testing.T, path string) int64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	opened, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return opened.NumRows()
}

// weWriteOn commits on top of a foreign table, with a checkpoint of ours over theirs: they go on reading it.
func weWriteOn(t *testing.T, path string, s *delta.Snapshot, want foreignVersion) {
	t.Helper()
	gone := s.Files[0]
	next, err := delta.Commit(t.Context(), openFolder(t, path), s, func(context.Context, *delta.Snapshot) (delta.Actions, error) {
		return delta.Actions{Removes: []delta.Remove{delta.RemoveOf(gone)}, Txns: []delta.Txn{{AppID: "ours", Version: 7}}}, nil
	}, delta.Options{CheckpointEvery: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, "_delta_log", "_last_checkpoint")); err != nil {
		t.Fatal(err)
	}
	left := want.Rows - rowsOf(t, filepath.Join(path, gone.Path))
	for _, r := range allReaders() {
		var got int64
		if r.ask(folder(t, path), "count", request{"where": "id >= 0"}, &got); got != left {
			t.Errorf("%s after version %d of ours: got %d rows want %d", r.name, next.Version, got, left)
		}
	}
}

// TestARaisedProtocolIsRefused lets other programs upgrade a table of ours, undoes it as the error says, and goes on.
func TestARaisedProtocolIsRefused(t *testing.T) {
	onRequest(t)
	for _, test := range []struct {
		name, raise string
		writer      reader
		want        []string
		undo        string // the feature, where Spark can drop it
	}{
		{"deletion vectors by delta-rs", "DeletionVectors", azureReaders()[0], []string{"deletionVectors"}, "deletionVectors"},
		{"deletion vectors by Spark", "'delta.enableDeletionVectors' = 'true'", sparkReader(), []string{"deletionVectors"}, "deletionVectors"},
		{"column mapping by Spark", "'delta.columnMapping.mode' = 'name'", sparkReader(), []string{"columnMapping"}, ""},
		{"change data feed by Spark", "'delta.enableChangeDataFeed' = 'true'", sparkReader(), []string{"changeDataFeed"}, "changeDataFeed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			written := writeChanges(t, openFolder(t, root), *seed)
			path := filepath.Join(root, topicName, "changes")
			must(t, test.writer.worker).mustAsk(t, request{"do": "raise", "table": path, "feature": test.raise}, nil)
			_, err := delta.Load(t.Context(), openFolder(t, path), delta.Options{})
			var unsupported *delta.UnsupportedError
			if !errors.As(err, &unsupported) {
				t.Fatalf("load: got %v want a refusal", err)
			}
			_, err = written.snapshot.Refresh(t.Context())
			if !errors.As(err, &unsupported) {
				t.Fatalf("refresh: got %v want a refusal", err)
			}
			for _, word := range append(test.want, "DROP FEATURE") {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("got %q want %q in it", err, word)
				}
			}
			t.Logf("refused: %v", err)
			if test.undo == "" {
				return
			}
			undone := undo(t, path, test.undo)
			s, err := delta.Load(t.Context(), openFolder(t, path), delta.Options{})
			if err != nil {
				t.Fatalf("after it was undone (%+v): %v", undone, err)
			}
			if s.Protocol != (delta.Protocol{MinReader: 1, MinWriter: 2}) || len(s.Files) != len(written.snapshot.Files) {
				t.Errorf("got protocol %+v with %d files want reader 1, writer 2, %d files", s.Protocol, len(s.Files), len(written.snapshot.Files))
			}
			for app, last := range written.offsets {
				if s.Txns[app] != last {
					t.Errorf("%s: got %d want %d", app, s.Txns[app], last)
				}
			}
			polarsReader().rows(folder(t, path), written)
		})
	}
}

// undo drops a feature as the error says: at once, and, when Spark wants to wait for a day, a day later.
func undo(t *testing.T, path, feature string) (protocol struct{ Reader, Writer int }) {
	t.Helper()
	w := must(t, components.spark)
	if _, err := w.ask(request{"do": "lower", "table": path, "feature": feature}, &protocol); err == nil {
		return protocol
	}
	log := filepath.Join(path, "_delta_log")
	names, err := os.ReadDir(log)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		then := time.Now().Add(-72*time.Hour + time.Duration(i)*time.Second)
		if err := os.Chtimes(filepath.Join(log, name.Name()), then, then); err != nil {
			t.Fatal(err)
		}
	}
	w.mustAsk(t, request{"do": "lower", "table": path, "feature": feature}, &protocol)
	return protocol
}
