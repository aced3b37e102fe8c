// Package compactor_test runs the compactor's binary on archives that are large beside its memory.
package compactor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/archive/archivetest"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/schemas"
)

const (
	shop = archivetest.LargeContainer
)

// expect is the number of documents that the last row of each leaves.
func expect(ctx context.Context, l *archivetest.Large) (int64, error) {
	changes, err := l.Topic.Changes(ctx)
	if err != nil {
		return 0, err
	}
	live := map[string]struct {
		lsn     schemas.LSN
		deleted bool
	}{}
	for row, err := range rowsOf(ctx, changes) {
		if err != nil {
			return 0, err
		}
		if have, ok := live[string(row.ID)]; !ok || row.Order.LSN > have.lsn {
			have.lsn, have.deleted = row.Order.LSN, bytes.Contains(row.Document, []byte(`"deleted":true`))
			live[string(row.ID)] = have
		}
	}
	n := int64(0)
	for _, one := range live {
		if !one.deleted {
			n++
		}
	}
	return n, nil
}

func rowsOf(ctx context.Context, changes *archive.Changes) iter.Seq2[*archive.Row, error] {
	return func(yield func(*archive.Row, error) bool) {
		var row archive.Row
		for _, file := range changes.Files(shop) {
			r, err := changes.Open(ctx, file, archive.Columns{})
			if err != nil {
				yield(nil, err)
				return
			}
			defer r.Close()
			for {
				more, err := r.Next(&row)
				if err != nil || more && !yield(&row, nil) {
					if err != nil {
						yield(nil, err)
					}
					return
				}
				if !more {
					break
				}
			}
		}
	}
}

// binary builds the compactor.
func binary(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "almanac-compactor")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", out, "github.com/cosmos-almanac/almanac/compactor/cmd/almanac-compactor")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	return out
}

// result is what the program prints.
type result struct {
	Point string        `json:"point"`
	Rows  int64         `json:"rows"`
	Bytes int64         `json:"bytes"`
	Files int           `json:"files"`
	Base  string        `json:"base"`
	Took  time.Duration `json:"took_ns"`
}

// run takes a snapshot by the binary, and answers what it printed and its peak of resident memory.
func run(t *testing.T, program, root, memory string) (result, int64) {
	t.Helper()
	spill := t.TempDir()
	config := filepath.Join(t.TempDir(), "almanac.yaml")
	text := fmt.Sprintf("archive: {root: %q}\ncompactor: {memory: %s, spill: %q}\ncontainers:\n"+
		"  - {database: shop, container: products, deletes: soft, soft_delete: {path: /deleted, value: true}}\n", root, memory, spill)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "snapshot", "--config", config, "-o", "json")
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	peak, err := watch(cmd.Process.Pid, ended)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if left, err := os.ReadDir(spill); err != nil || len(left) > 0 {
		t.Errorf("got %d things in the spill folder, %v want none", len(left), err)
	}
	return r, peak
}

// watch reads the peak again and again until the program has ended. It is the program's own, unlike ru_maxrss, in which
// the memory of the parent counts.
func watch(pid int, ended <-chan error) (peak int64, err error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return peak, err
		case <-tick.C:
			peak = max(peak, highWater(pid))
		}
	}
}

func highWater(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, _ := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			return kib << 10
		}
	}
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Logf("no /proc: the rows are checked, the memory is not")
	}
	program := binary(t)
	const MiB = 1 << 20
	for _, c := range []struct {
		name   string
		memory int64
		make   func(ctx context.Context, l *archivetest.Large) error
	}{
		{"large files", 64 * MiB, func(ctx context.Context, l *archivetest.Large) error {
			for range 6 {
				if err := l.File(ctx, 110_000, 0.5, 1000); err != nil {
					return err
				}
			}
			return nil
		}},
		{"many small files", 64 * MiB, func(ctx context.Context, l *archivetest.Large) error {
			for range 300 {
				if err := l.File(ctx, 20_000, 0.02, 2000); err != nil {
					return err
				}
			}
			return nil
		}},
		{"large documents", 64 * MiB, func(ctx context.Context, l *archivetest.Large) error {
			for range 12 {
				if err := l.File(ctx, 30, 0.5, 2*MiB); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			root := t.TempDir()
			store, err := dir.New(root, dir.Options{})
			must(t, err)
			l, err := archivetest.NewLarge(ctx, store, 1)
			must(t, err)
			must(t, c.make(ctx, l))
			must(t, l.Mark(ctx))
			want, err := expect(ctx, l)
			must(t, err)
			r, peak := run(t, program, root, strconv.FormatInt(c.memory, 10))
			t.Logf("%d MiB of rows, %d documents of %d MiB in %d files, %v; memory %d MiB, peak RSS %d MiB",
				l.Raw/MiB, r.Rows, r.Bytes/MiB, r.Files, r.Took.Round(time.Millisecond), c.memory/MiB, peak/MiB)
			if r.Rows != want {
				t.Errorf("got %d documents want %d", r.Rows, want)
			}
			if peak > 2*c.memory {
				t.Errorf("got a peak of %d MiB want at most %d MiB", peak/MiB, 2*c.memory/MiB)
			}
		})
	}
}
