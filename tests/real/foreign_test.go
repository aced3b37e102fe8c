package real_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	deltaRS := azureReaders()[0]
	for _, test := range []struct {
		name, raise, feature string
		by, undoneBy         reader
	}{
		{"deletion vectors by delta-rs", "DeletionVectors", "deletionVectors", deltaRS, deltaRS},
		{"deletion vectors by Spark", "'delta.enableDeletionVectors' = 'true'", "deletionVectors", sparkReader(), sparkReader()},
		{"column mapping by Spark", "'delta.columnMapping.mode' = 'name'", "columnMapping", sparkReader(), sparkReader()},
		{"change data feed by Spark", "'delta.enableChangeDataFeed' = 'true'", "changeDataFeed", sparkReader(), deltaRS},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			written := writeChanges(t, openFolder(t, root), *seed)
			path := filepath.Join(root, topicName, "changes")
			must(t, test.by.worker).mustAsk(t, request{"do": "raise", "table": path, "feature": test.raise}, nil)
			_, loadErr := delta.Load(t.Context(), openFolder(t, path), delta.Options{})
			_, refreshErr := written.snapshot.Refresh(t.Context())
			undo := fmt.Sprintf("TO VERSION AS OF %d", written.snapshot.Version)
			for how, err := range map[string]error{"load": loadErr, "refresh": refreshErr} {
				var unsupported *delta.UnsupportedError
				if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), test.feature) || !strings.Contains(err.Error(), undo) {
					t.Fatalf("%s: got %v want a refusal with %s and %s", how, err, test.feature, undo)
				}
			}
			must(t, test.undoneBy.worker).mustAsk(t, request{"do": "restore", "table": path, "version": written.snapshot.Version}, nil)
			s, err := delta.Load(t.Context(), openFolder(t, path), delta.Options{})
			if err != nil {
				t.Fatalf("after it was undone: %v", err)
			}
			if s.Protocol != (delta.Protocol{MinReader: 1, MinWriter: 2}) || len(s.Files) != len(written.snapshot.Files) || !maps.Equal(s.Txns, written.snapshot.Txns) {
				t.Errorf("got protocol %+v, %d files, %v want reader 1, writer 2, %d files, %v", s.Protocol, len(s.Files), s.Txns, len(written.snapshot.Files), written.snapshot.Txns)
			}
			for _, r := range allReaders() {
				r.rows(folder(t, path), written)
			}
		})
	}
}
