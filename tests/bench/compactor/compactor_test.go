// Package compactor_test measures snapshots beside the obvious loop over the same libraries (parquet-go's generic reader
// into a map of the container, and its generic writer, without contradictions, proof of the file, or a bound on anything),
// and beside DuckDB where its Python package is installed (by deploy/dev/install; or ALMANAC_DUCKDB_PYTHON names a Python
// that has it).
package compactor_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/cosmos-almanac/almanac/compactor"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/archive/archivetest"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/tests/bench/peer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	documents = 60_000
	files     = 6
	share     = 0.5 // of the documents, in every file
	size      = 1000
)

func TestMain(m *testing.M) {
	peer.Main(m, map[string]func(context.Context, []string) error{"almanac": almanac, "obvious": obvious})
}

// BenchmarkSnapshot is a process that makes one snapshot: from the files of `changes` to the commit of `state`, or to one
// file by the others. Merge buffers of 256 MiB hold all; with fewer it merges in passes.
func BenchmarkSnapshot(b *testing.B) {
	source := b.TempDir()
	large, rows := archived(b, source)
	var compared peer.Comparison
	for _, one := range contenders(b) {
		b.Run(one.name, func(b *testing.B) {
			var used peer.Usage
			n := 0
			for b.Loop() {
				n++
				folder := b.TempDir()
				must(b, os.CopyFS(folder, os.DirFS(source)))
				run, err := peer.Run(one.command(b, folder), nil)
				must(b, err)
				used.Add(run)
			}
			compared.Report(b, used, n, rows, large.Raw)
		})
	}
}

type contender struct {
	name    string
	command func(b *testing.B, folder string) *exec.Cmd // works on the archive in the folder, and may write there
}

func contenders(b *testing.B) []contender {
	b.Helper()
	role := func(name string, args ...string) func(*testing.B, string) *exec.Cmd {
		return func(b *testing.B, folder string) *exec.Cmd {
			b.Helper()
			command, err := peer.Role(b.Context(), name, append([]string{folder}, args...)...)
			must(b, err)
			return command
		}
	}
	all := []contender{
		{"almanac", role("almanac", strconv.Itoa(256<<20))},
		{"almanac-memory-32MiB", role("almanac", strconv.Itoa(32<<20))},
		{"obvious", role("obvious")},
	}
	if duckdb := findDuckDB(b); duckdb != "" {
		all = append(all, contender{"duckdb", func(b *testing.B, folder string) *exec.Cmd {
			b.Helper()
			return exec.CommandContext(b.Context(), duckdb, "-c", duckdbScript, folder)
		}})
	}
	return all
}

func findDuckDB(b *testing.B) string {
	b.Helper()
	if python := os.Getenv("ALMANAC_DUCKDB_PYTHON"); python != "" {
		return python
	}
	root, err := harness.Root()
	must(b, err)
	installed := filepath.Join(root, ".tools", "python", "bin", "python")
	if _, err := os.Stat(installed); err != nil {
		return ""
	}
	return installed
}

// duckdbScript makes the same rows of the same files, and sorts them as state is sorted.
const duckdbScript = `
import duckdb, sys
folder = sys.argv[1]
duckdb.execute(f"""
COPY (
  SELECT partition_key, id, ts, generation, lsn, ordinal, epk, rid, etag, ttl, document
  FROM (
    SELECT * FROM read_parquet('{folder}/*/changes/**/*.parquet', hive_partitioning = false) WHERE op NOT LIKE 'almanac.%'
    QUALIFY row_number() OVER (PARTITION BY partition_key, id ORDER BY generation DESC, lsn DESC, ordinal DESC) = 1
  )
  WHERE document IS NOT NULL AND NOT (document::JSON ->> 'deleted')::BOOLEAN
  ORDER BY partition_key, id
) TO '{folder}/state.parquet' (FORMAT parquet, COMPRESSION zstd)
""")
rows = duckdb.execute(f"SELECT count(*) FROM '{folder}/state.parquet'").fetchone()[0]
assert rows > 10000, rows
`

// almanac is the role: its arguments are the archive's folder and the bytes of merge buffers.
func almanac(ctx context.Context, args []string) error {
	memory, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := dir.New(args[0], dir.Options{})
	if err != nil {
		return err
	}
	rules, err := archivetest.SoftRules()
	if err != nil {
		return err
	}
	one, err := compactor.New(compactor.Options{Root: root, Memory: memory, Spill: args[0]})
	if err != nil {
		return err
	}
	plan, err := one.Plan(ctx, compactor.Target{Topic: archivetest.LargeTopic, Container: archivetest.LargeContainer, Rules: rules}, "")
	if err != nil {
		return err
	}
	result, err := one.Execute(ctx, plan)
	if err == nil && result.Rows == 0 {
		err = errors.New("no documents")
	}
	return err
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

// obvious is the role: its argument is the archive's folder.
func obvious(ctx context.Context, args []string) error {
	store, err := dir.New(args[0], dir.Options{})
	if err != nil {
		return err
	}
	changes, err := archive.OpenChanges(ctx, store, archivetest.LargeTopic)
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
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(args[0], "state.parquet"), out.Bytes(), 0o600)
}
