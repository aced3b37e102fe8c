package archive

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/schemas"
)

// someRows makes rows of every kind, in file order: nulls, empty documents, repeats, large documents.
func someRows(seed uint64, n int) []Row {
	rng := rand.New(rand.NewPCG(seed, 1))
	text := func(n int) []byte {
		b := make([]byte, rng.IntN(n+1))
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz {}:\","[rng.IntN(32)]
		}
		return b
	}
	ops := []schemas.Op{schemas.OpUpserted, schemas.OpDeleted, schemas.OpRead, schemas.OpMark, schemas.OpQuarantined, "of a later version"}
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{
			PartitionKey: fmt.Appendf(nil, `["key-%d"]`, rng.IntN(max(n/4, 1))), ID: fmt.Appendf(nil, "id-%d", rng.IntN(n)), Op: ops[rng.IntN(len(ops))],
			TS: rng.Int64N(2e15), Generation: schemas.Generation(rng.Int64N(3)), Order: schemas.Order{LSN: schemas.LSN(rng.Int64N(1e6)), Ordinal: rng.Int32N(3)},
			EPK: []byte("05C1E02313E9B2AB43C6F3F0BA4F0A9C"), Incarnation: []byte("aXkBAKqh5wo="), RID: text(12), ETag: text(40), Document: text(600),
			Topic: []byte("6ba7b810-9dad-41d1-80b4-00c04fd430c8"), TopicPartition: rng.Int32N(4), Offset: int64(i), PublishedAt: rng.Int64N(2e15),
		}
		switch rng.IntN(10) {
		case 0:
			rows[i].Document = nil
		case 1:
			rows[i].Document = []byte{}
		case 2:
			rows[i].Document = bytes.Repeat([]byte(`{"x":"0123456789"}`), rng.IntN(4000))
		}
		if rng.IntN(2) == 0 {
			rows[i].TTL = schemas.TTL{Set: true, Seconds: rng.Int32N(100) - 1}
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Or(a.Compare(&b), cmp.Compare(a.Offset, b.Offset)) })
	return rows
}

func writeFile(t testing.TB, columns []schemas.Column, rows []Row) ([]byte, FileStats) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewFileWriter(&out, columns)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := w.Write(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), stats
}

func readFile(t testing.TB, file []byte, want Columns) []Row {
	t.Helper()
	store := mem.New()
	if _, err := store.Put(context.Background(), "f", bytes.NewReader(file), blob.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	r, err := OpenFile(context.Background(), store, "f", int64(len(file)), want)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var rows []Row
	for {
		var row Row
		more, err := r.Next(&row)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return rows
		}
		rows = append(rows, cloneRow(row))
	}
}

func cloneRow(r Row) Row {
	for _, b := range []*[]byte{&r.PartitionKey, &r.ID, &r.EPK, &r.Incarnation, &r.RID, &r.ETag, &r.Document, &r.Topic} {
		*b = bytes.Clone(*b)
	}
	return r
}

func TestFileKeepsRows(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 5000, 70_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			rows := someRows(uint64(n), n)
			if n > 10_000 { // several row groups by number
				for i := range rows {
					rows[i].Document = rows[i].Document[:min(len(rows[i].Document), 20)]
				}
			}
			file, stats := writeFile(t, schemas.ChangeColumns(), rows)
			if err := Verify(file, &stats); err != nil {
				t.Fatal(err)
			}
			got := readFile(t, file, Columns{})
			if len(got) != len(rows) || stats.Rows() != int64(len(rows)) {
				t.Fatalf("got %d rows, stats %d, want %d", len(got), stats.Rows(), len(rows))
			}
			for i := range rows {
				if !reflect.DeepEqual(got[i], rows[i]) {
					t.Fatalf("row %d: got %+v want %+v", i, got[i], rows[i])
				}
			}
		})
	}
}
