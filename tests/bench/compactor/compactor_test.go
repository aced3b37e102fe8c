// Package compactor_test measures snapshots beside the obvious loop over the same libraries: parquet-go's generic reader
// into a map of the container, and its generic writer, without contradictions, proof of the file, or a bound on anything.
package compactor_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/cosmos-almanac/almanac/compactor"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/archive/archivetest"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
)

const (
	documents = 60_000
	files     = 6
	share     = 0.5 // of the documents, in every file
	size      = 1000
)

// BenchmarkSnapshot is a plan and its execution, from the files of `changes` to the commit of `state`. Memory 0 is as much
// as all files need together; the others merge in passes.
func BenchmarkSnapshot(b *testing.B) {
	ctx := b.Context()
	root := b.TempDir()
	large, rows := archived(b, root)
	target := compactor.Target{Topic: archivetest.LargeTopic, Container: archivetest.LargeContainer, Rules: soft(b)}
	for _, c := range []struct {
		name   string
		memory int64
	}{{"almanac", 256 << 20}, {"almanac-memory-32MiB", 32 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(large.Raw)
			for b.Loop() {
				b.StopTimer()
				copied := overlay(b, large.Topic.Root)
				one, err := compactor.New(compactor.Options{Root: copied, Memory: c.memory, Spill: b.TempDir()})
				must(b, err)
				b.StartTimer()
				plan, err := one.Plan(ctx, target, "")
				must(b, err)
				result, err := one.Execute(ctx, plan)
				must(b, err)
				if result.Rows == 0 {
					b.Fatal("no documents")
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	b.Run("obvious", func(b *testing.B) {
		b.SetBytes(large.Raw)
		for b.Loop() {
			must(b, obvious(ctx, large))
		}
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

func archived(b *testing.B, root string) (large *archivetest.Large, rows int64) {
	b.Helper()
	store, err := dir.New(root, dir.Options{})
	must(b, err)
	large, err = archivetest.NewLarge(b.Context(), store, 1)
	must(b, err)
	for range files {
		must(b, large.File(b.Context(), documents, share, size))
	}
	must(b, large.Mark(b.Context()))
	changes, err := large.Topic.Changes(b.Context())
	must(b, err)
	for _, file := range changes.Files(archivetest.LargeContainer) {
		var stats struct {
			Rows int64 `json:"numRecords"`
		}
		must(b, json.Unmarshal(file.Stats, &stats))
		rows += stats.Rows
	}
	return large, rows
}

// overlay is the archive in memory, so that a round leaves nothing behind and no disk is measured.
func overlay(b *testing.B, from blob.Store) blob.Store {
	b.Helper()
	ctx := b.Context()
	to := mem.New()
	must(b, from.List(ctx, "", func(info blob.Info) error {
		body, _, err := blob.ReadAll(ctx, from, info.Name, 1<<30)
		if err != nil {
			return err
		}
		_, err = to.Put(ctx, info.Name, bytes.NewReader(body), blob.Always())
		return err
	}))
	return to
}

func soft(b *testing.B) archive.Rules {
	b.Helper()
	rules, err := archivetest.SoftRules()
	must(b, err)
	return rules
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// state is a row as the obvious loop knows it.
type state struct {
	PartitionKey string `parquet:"partition_key,dict"`
	ID           string `parquet:"id"`
	TS           int64  `parquet:"ts,timestamp(microsecond)"`
	Generation   int64  `parquet:"generation"`
	LSN          int64  `parquet:"lsn"`
	Ordinal      int32  `parquet:"ordinal"`
	EPK          string `parquet:"epk"`
	RID          string `parquet:"rid"`
	ETag         string `parquet:"etag"`
	TTL          *int32 `parquet:"ttl,optional"`
	Document     string `parquet:"document,optional"`
}

func obvious(ctx context.Context, large *archivetest.Large) error {
	changes, err := large.Topic.Changes(ctx)
	if err != nil {
		return err
	}
	winners := map[[2]string]state{}
	for _, file := range changes.Files(archivetest.LargeContainer) {
		body, _, err := blob.ReadAll(ctx, changes.Store(), file.Path, 1<<30)
		if err != nil {
			return err
		}
		rows, err := parquet.Read[state](bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return err
		}
		for _, row := range rows {
			key := [2]string{row.PartitionKey, row.ID}
			if have, ok := winners[key]; !ok || row.LSN > have.LSN {
				winners[key] = row
			}
		}
	}
	var rows []state
	for _, row := range winners {
		var document struct{ Deleted bool }
		if err := json.Unmarshal([]byte(row.Document), &document); err != nil {
			return err
		}
		if !document.Deleted {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b state) int {
		return cmp.Or(cmp.Compare(a.PartitionKey, b.PartitionKey), cmp.Compare(a.ID, b.ID))
	})
	var out bytes.Buffer
	w := parquet.NewGenericWriter[state](&out, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}))
	if _, err := w.Write(rows); err != nil {
		return err
	}
	return w.Close()
}
