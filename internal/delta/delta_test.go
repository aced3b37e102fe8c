package delta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
)

const testSchema = `{"type":"struct","fields":[{"name":"id","type":"string","nullable":true,"metadata":{}},{"name":"day","type":"string","nullable":true,"metadata":{}}]}`

func testMetadata() *Metadata {
	return &Metadata{ID: "0f3a1f1e-8b6a-4f0e-9d43-0c2a7c6b1e55", Schema: json.RawMessage(testSchema), PartitionColumns: []string{"day"}}
}

func testAdd(path string) Add {
	return Add{
		Path: path, Partition: map[string]string{"day": "2026-11-20"}, Size: 10, DataChange: true,
		Modified: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC), Stats: json.RawMessage(`{"numRecords":1}`),
	}
}

// addTo prepares a commit of one file, and the table where there is none.
func addTo(path string) func(context.Context, *Snapshot) (Actions, error) {
	return func(_ context.Context, below *Snapshot) (Actions, error) {
		actions := Actions{Adds: []Add{testAdd(path)}, Txns: []Txn{{AppID: "app", Version: below.Version + 1}}}
		if below.Version < 0 {
			actions.Metadata = testMetadata()
		}
		return actions, nil
	}
}

func mustCommit(t *testing.T, store blob.Store, base *Snapshot, prepare func(context.Context, *Snapshot) (Actions, error), opts Options) *Snapshot {
	t.Helper()
	s, err := Commit(t.Context(), store, base, prepare, opts)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return s
}

func stores(t *testing.T) map[string]blob.Store {
	folder, err := dir.New(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]blob.Store{"mem": mem.New(), "dir": folder}
}

// describe prints all that two equal snapshots have in common.
func describe(s *Snapshot) string {
	var out strings.Builder
	metadata, _ := json.Marshal(s.Metadata)
	fmt.Fprintf(&out, "version %d\nprotocol %+v\nmetadata %s\ntxns %v\n", s.Version, s.Protocol, metadata, s.Txns)
	for _, add := range s.Files {
		add.DataChange = false // lost in checkpoints, by design of the format
		line, _ := json.Marshal(add)
		fmt.Fprintf(&out, "%s\n", line)
	}
	return out.String()
}

func TestCommitLoadRefresh(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			empty, err := Load(ctx, store, Options{})
			if err != nil || empty.Version != NoTable {
				t.Fatalf("load of nothing: got version %v, error %v, want %d and none", empty, err, NoTable)
			}
			s, old := empty, empty
			for i := range 25 {
				s = mustCommit(t, store, s, addTo(fmt.Sprintf("day=a/%03d.parquet", i)), Options{CheckpointEvery: 10})
				if i == 3 {
					old = s
				}
			}
			loaded, err := Load(ctx, store, Options{})
			if err != nil {
				t.Fatal(err)
			}
			refreshed, err := old.Refresh(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for what, got := range map[string]*Snapshot{"loaded": loaded, "refreshed": refreshed} {
				if describe(got) != describe(s) {
					t.Errorf("%s: got\n%s\nwant\n%s", what, describe(got), describe(s))
				}
			}
			small, err := Load(ctx, store, Options{WithoutFiles: true})
			if err != nil || small.Version != 24 || small.Txns["app"] != 24 || len(small.Files) != 0 {
				t.Errorf("load without files: got %+v, %v, want version 24, txn 24, no files", small, err)
			}
			_, err = Commit(ctx, store, s, func(context.Context, *Snapshot) (Actions, error) { return Actions{}, ErrNothing }, Options{})
			if !errors.Is(err, ErrNothing) {
				t.Errorf("commit of nothing: got %v, want %v", err, ErrNothing)
			}
		})
	}
}
