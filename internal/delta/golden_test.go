package delta

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
)

var update = flag.Bool("update", false, "write the golden files anew")

func wantGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// TestGoldenCommits fixes the bytes of commits and of the hint.
func TestGoldenCommits(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 15, 0, 123_456_789, time.UTC)
	store := mem.NewAt(func() time.Time { return now })
	opts := Options{NewID: func() string { return "00000000-0000-4000-8000-000000000001" }, Clock: func() time.Time { return now }, CheckpointEvery: 1}
	file := Add{
		Path: "container=shop.orders/date=2026-11-20/a b%:ü<&>.parquet", Partition: map[string]string{"container": "shop.orders", "date": "2026-11-20"},
		Size: 1234, Modified: now, DataChange: true, Stats: json.RawMessage(`{"numRecords":3}`), Tags: map[string]string{"sha256": "00ff"},
	}
	first := Actions{
		Metadata: &Metadata{
			ID: "0f3a1f1e-8b6a-4f0e-9d43-0c2a7c6b1e55", Name: "changes", Schema: json.RawMessage(testSchema), PartitionColumns: []string{"container", "date"},
			Configuration: map[string]string{"delta.logRetentionDuration": "interval 7 days"}, Created: now,
		},
		Txns: []Txn{{AppID: "topic-0", Version: 41, Updated: now}, {AppID: "topic-1", Version: 7}},
		Adds: []Add{file},
		Info: CommitInfo{Operation: "STREAMING UPDATE", Parameters: map[string]string{"outputMode": "Append"}},
	}
	moved := RemoveOf(file)
	moved.DataChange = false
	second := Actions{Removes: []Remove{moved}, Adds: []Add{{Path: "b.parquet", Size: 9, Modified: now}}}

	var s *Snapshot
	for i, actions := range []Actions{first, second} {
		s = mustCommit(t, store, s, func(context.Context, *Snapshot) (Actions, error) { return actions, nil }, opts)
		data, _, err := blob.ReadAll(t.Context(), store, commitName(int64(i)), maxCommit)
		if err != nil {
			t.Fatal(err)
		}
		wantGolden(t, filepath.Base(commitName(int64(i))), data)
	}
	data, _, err := blob.ReadAll(t.Context(), store, hintName, maxHint)
	if err != nil {
		t.Fatal(err)
	}
	h := hint{}
	if err := json.Unmarshal(data, &h); err != nil || h.Version != 1 || h.Size != 6 || h.AddFiles != 1 || h.SizeInBytes == 0 {
		t.Errorf("hint: got %s, %v, want version 1 with 6 actions, 1 add", data, err)
	}
}

func TestPaths(t *testing.T) {
	for path, escaped := range map[string]string{
		"a.parquet":                     "a.parquet",
		"container=shop.orders/x":       "container=shop.orders/x",
		"container=_almanac/x":          "container=_almanac/x",
		"a b/100%/ü/x:y":                "a%20b/100%25/%C3%BC/x%3Ay",
		"date=2026-11-20/a%2Fb":         "date=2026-11-20/a%252Fb",
		"q?/#/[]{}|^`\"<>;,!'()*&=+$@~": "q%3F/%23/%5B%5D%7B%7D%7C%5E%60%22%3C%3E%3B%2C%21%27%28%29%2A&=+$@~",
	} {
		if got := escapePath(path); got != escaped {
			t.Errorf("escape %q: got %q, want %q", path, got, escaped)
		}
		if got, err := unescapePath(escaped); err != nil || got != path {
			t.Errorf("unescape %q: got %q, %v, want %q", escaped, got, err, path)
		}
	}
	for _, outside := range []string{"/a/b", "%2Fa", "file:///a/b", "s3://bucket/a", "abfss://c@a/b", "%zz"} {
		if got, err := unescapePath(outside); err == nil {
			t.Errorf("unescape %q: got %q, want an error", outside, got)
		}
	}
}
