package delta

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
)

// bigLog is a log of n commits of one file each, without checkpoints.
func bigLog(b *testing.B, n int) blob.Store {
	b.Helper()
	store := mem.New()
	for v := range n {
		a, err := addTo(fmt.Sprintf("container=shop.orders/date=2026-11-20/%09d.parquet", v))(b.Context(), &Snapshot{Version: int64(v - 1)})
		if err != nil {
			b.Fatal(err)
		}
		if v == 0 {
			a.Protocol = &Protocol{MinReader: 1, MinWriter: 2}
		}
		data, err := encodeCommit(a, newID(), "almanac", a.Adds[0].Modified)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := store.Put(b.Context(), commitName(int64(v)), strings.NewReader(string(data)), blob.IfAbsent()); err != nil {
			b.Fatal(err)
		}
	}
	return store
}

// BenchmarkLoad10000 loads a table of 10,000 commits.
func BenchmarkLoad10000(b *testing.B) {
	const n = 10_000
	plain, checkpointed := bigLog(b, n), bigLog(b, n)
	if err := WriteCheckpoint(b.Context(), checkpointed, n-100, Options{}); err != nil {
		b.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		store blob.Store
		opts  Options
	}{
		{"replayed", plain, Options{}},
		{"through a checkpoint", checkpointed, Options{}},
		{"through a checkpoint without files", checkpointed, Options{WithoutFiles: true}},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s, err := Load(b.Context(), test.store, test.opts); err != nil || s.Version != n-1 {
					b.Fatalf("got %v, %v, want version %d", s, err, n-1)
				}
			}
		})
	}
}

// BenchmarkCheckpoint writes the checkpoint of 10,000 files.
func BenchmarkCheckpoint(b *testing.B) {
	const n = 10_000
	store := bigLog(b, n)
	if err := WriteCheckpoint(b.Context(), store, n-100, Options{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := store.Delete(b.Context(), checkpointName(n-1)); err != nil {
			b.Fatal(err)
		}
		if err := WriteCheckpoint(b.Context(), store, n-1, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit is one commit of one file into a folder, all synced.
func BenchmarkCommit(b *testing.B) {
	store, err := dir.New(b.TempDir(), dir.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var s *Snapshot
	for b.Loop() {
		version := int64(0)
		if s != nil {
			version = s.Version + 1
		}
		if s, err = Commit(b.Context(), store, s, addTo(fmt.Sprint(version)), Options{WithoutFiles: true}); err != nil {
			b.Fatal(err)
		}
	}
}
