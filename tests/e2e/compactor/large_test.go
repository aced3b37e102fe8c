// Package compactor_test runs the compactor's binary on archives that are large beside its memory.
package compactor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
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
	topic      = "cosmos.shop.products"
	shop       = "shop.products"
	generation = schemas.Generation(1_795_168_800_000)
)

// large is an archive of documents with one mark over them.
type large struct {
	root  string
	topic *archivetest.Topic
	rng   *rand.Rand
	lsn   schemas.LSN
	raw   int64
}

func newLarge(ctx context.Context, folder string, seed uint64) (*large, error) {
	store, err := dir.New(folder, dir.Options{})
	if err != nil {
		return nil, err
	}
	top, err := archivetest.NewTopic(ctx, store, topic)
	return &large{root: folder, topic: top, rng: rand.New(rand.NewPCG(seed, 0))}, err
}

// file archives one file: of n documents those that chance picks, with bodies of about size bytes. Every document of the
// container is in it with the given probability.
func (l *large) file(ctx context.Context, n int, share float64, size int) error {
	return l.topic.FlushSorted(ctx, 0, shop, func(yield func(archive.Row) bool) {
		for i := range n {
			if l.rng.Float64() >= share {
				continue
			}
			l.lsn++
			row := l.row(i, size)
			l.raw += row.Size()
			if !yield(row) {
				return
			}
		}
	})
}

func (l *large) row(i, size int) archive.Row {
	deleted := l.rng.IntN(50) == 0
	noise := make([]byte, size/2+l.rng.IntN(size/2+1))
	for j := range noise {
		noise[j] = "0123456789abcdefghijklmnopqrstuvwxyz -_.,;:ABCDEFGHIJKLMNOPQRSTU"[l.rng.IntN(64)]
	}
	id := fmt.Sprintf("document-%07d", i)
	return archive.Row{
		PartitionKey: fmt.Appendf(nil, `["customer-%06d"]`, i/10), ID: []byte(id), Op: schemas.OpUpserted,
		TS: 1_795_168_800_000_000 + int64(l.lsn), Generation: generation, Order: schemas.Order{LSN: l.lsn},
		EPK: fmt.Appendf(nil, "%032X", i/10), Incarnation: []byte("inc=="), RID: fmt.Appendf(nil, "AbCdEf%09dAAAA==", i),
		ETag:     fmt.Appendf(nil, `"%08x-0000-0d00-0000-%012x"`, i, l.lsn),
		Document: fmt.Appendf(nil, `{"id":%q,"deleted":%v,"lsn":%d,"text":%q}`, id, deleted, l.lsn, noise),
	}
}

// mark ends the archive with a definition and a mark.
func (l *large) mark(ctx context.Context) error {
	definition := l.topic.Publish(1, schemas.ControlContainer, archive.Row{
		PartitionKey: schemas.ControlKey(schemas.OpDefinition, shop, schemas.FeedRange{}), ID: []byte(shop), Op: schemas.OpDefinition,
		Incarnation: []byte("inc=="), Document: []byte(`{"id":"products","partitionKey":{"paths":["/pk"],"kind":"Hash","version":2}}`),
	})
	changes, err := l.topic.Changes(ctx)
	if err != nil {
		return err
	}
	offsets := changes.Offsets()
	offsets.Raise(1, definition)
	latest := time.Date(2026, 11, 20, 10, 0, 0, int(999*time.Millisecond), time.UTC).Add(time.Duration(l.lsn) * time.Second)
	value, err := json.Marshal(schemas.Mark{
		Container: shop, Incarnation: "inc==", Range: schemas.WholeRange(), Mode: schemas.LatestVersion, Generation: generation,
		Basis: schemas.BasisComplete, LSN: l.lsn, Newest: l.lsn, Drained: true, Latest: latest, CompleteTo: latest.Add(-11 * time.Second), Offsets: offsets,
	})
	if err != nil {
		return err
	}
	l.topic.Publish(1, schemas.ControlContainer, archive.Row{
		PartitionKey: schemas.ControlKey(schemas.OpMark, shop, schemas.WholeRange()), ID: []byte(shop), Op: schemas.OpMark,
		Incarnation: []byte("inc=="), Document: value,
	})
	return l.topic.Flush(ctx)
}

// expect is the number of documents that the last row of each leaves.
func expect(ctx context.Context, l *large) (int64, error) {
	changes, err := l.topic.Changes(ctx)
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
		make   func(ctx context.Context, l *large) error
	}{
		{"large files", 64 * MiB, func(ctx context.Context, l *large) error {
			for range 6 {
				if err := l.file(ctx, 110_000, 0.5, 1000); err != nil {
					return err
				}
			}
			return nil
		}},
		{"many small files", 64 * MiB, func(ctx context.Context, l *large) error {
			for range 300 {
				if err := l.file(ctx, 20_000, 0.02, 2000); err != nil {
					return err
				}
			}
			return nil
		}},
		{"large documents", 64 * MiB, func(ctx context.Context, l *large) error {
			for range 12 {
				if err := l.file(ctx, 30, 0.5, 2*MiB); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			l, err := newLarge(ctx, t.TempDir(), 1)
			must(t, err)
			must(t, c.make(ctx, l))
			must(t, l.mark(ctx))
			want, err := expect(ctx, l)
			must(t, err)
			r, peak := run(t, program, l.root, strconv.FormatInt(c.memory, 10))
			t.Logf("%d MiB of rows, %d documents of %d MiB in %d files, %v; memory %d MiB, peak RSS %d MiB",
				l.raw/MiB, r.Rows, r.Bytes/MiB, r.Files, r.Took.Round(time.Millisecond), c.memory/MiB, peak/MiB)
			if r.Rows != want {
				t.Errorf("got %d documents want %d", r.Rows, want)
			}
			if peak > 2*c.memory {
				t.Errorf("got a peak of %d MiB want at most %d MiB", peak/MiB, 2*c.memory/MiB)
			}
		})
	}
}
