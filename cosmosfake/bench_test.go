package cosmosfake_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// The emulator must not be what a benchmark of its clients measures.

func BenchmarkBatchUpsert(b *testing.B) {
	for _, with := range []struct {
		name    string
		options func(folder string) cosmosfake.Options
	}{
		{"plain", func(string) cosmosfake.Options { return cosmosfake.Options{} }},
		{"ledger", func(string) cosmosfake.Options { return cosmosfake.Options{Ledger: io.Discard} }},
		{"directory", func(folder string) cosmosfake.Options { return cosmosfake.Options{Dir: folder} }},
	} {
		b.Run(with.name, func(b *testing.B) {
			s := startServer(b, with.options(b.TempDir()))
			c := rest{b, s}
			c.makeOrders(5)
			filler := strings.Repeat("x", 400)
			batches := make([]string, 64)
			for i := range batches {
				var list []string
				for j := range 100 {
					list = append(list, fmt.Sprintf(`{"id":"%d","pk":"k%d","price":12.5,"filler":"%s"}`, j, i, filler))
				}
				batches[i] = batchOf(list...)
			}
			b.SetBytes(int64(len(batches[0])))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.must(200, "POST", docs, batches[i%64], "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True",
					pkH, fmt.Sprintf(`["k%d"]`, i%64), "Prefer", "return=minimal")
				i++
			}
			b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "upserts/s")
		})
	}
}

func BenchmarkFeedPage(b *testing.B) {
	s := startServer(b, cosmosfake.Options{})
	c := rest{b, s}
	c.makeOrders(1)
	filler := strings.Repeat("x", 900)
	for i := range 20 {
		var list []string
		for j := range 100 {
			list = append(list, fmt.Sprintf(`{"id":"%d.%d","pk":"a","filler":"%s"}`, i, j, filler))
		}
		c.must(200, "POST", docs, batchOf(list...), "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`)
	}
	size := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		res, err := s.Client().Do(c.request("GET", docs, "", "A-IM", "Incremental Feed", rangH, "0", "x-ms-max-item-count", "10000"))
		if err != nil {
			b.Fatal(err)
		}
		if size, err = io.Copy(io.Discard, res.Body); err != nil {
			b.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(size)
}

// BenchmarkQueryScan filters 20,000 documents of 1 KB in one range, which gives one row.
func BenchmarkQueryScan(b *testing.B) {
	s := startServer(b, cosmosfake.Options{})
	c := rest{b, s}
	c.makeOrders(1)
	filler := strings.Repeat("x", 300)
	for i := range 200 {
		var list []string
		for j := range 100 {
			list = append(list, fmt.Sprintf(`{"id":"%d.%d","pk":"a","n":%d,"a":"%s","b":{"c":["%s"]},"d":"%s"}`, i, j, 100*i+j, filler, filler, filler))
		}
		c.must(200, "POST", docs, batchOf(list...), "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`)
	}
	for _, query := range []string{"SELECT VALUE c.n FROM c WHERE c.n = 19999 AND c.d > 'a'", "SELECT VALUE COUNT(1) FROM c WHERE c.n >= 0"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				if rows, _ := c.query(query, rangH, "0", "x-ms-max-item-count", "1000"); len(rows) != 1 {
					b.Fatalf("got %d rows", len(rows))
				}
			}
			b.ReportMetric(float64(20_000*b.N)/b.Elapsed().Seconds(), "documents/s")
		})
	}
}

// BenchmarkMemory stores documents and reports the heap that each stored byte takes.
func BenchmarkMemory(b *testing.B) {
	for _, size := range []int{256, 1024, 4096} {
		b.Run(fmt.Sprintf("documents of %d", size), func(b *testing.B) {
			s := startServer(b, cosmosfake.Options{})
			c := rest{b, s}
			c.makeOrders(5)
			heap := func() float64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return float64(m.HeapAlloc)
			}
			before, stored := heap(), 0
			for i := 0; b.Loop(); i++ {
				var list []string
				for j := range 100 {
					text := fmt.Sprintf(`{"id":"%d.%d","pk":"k%d","filler":"`, i, j, i)
					list = append(list, text+strings.Repeat("x", size-len(text)-2)+`"}`)
				}
				c.must(200, "POST", docs, batchOf(list...), "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True",
					pkH, fmt.Sprintf(`["k%d"]`, i), "Prefer", "return=minimal")
				stored += 100 * size
			}
			b.ReportMetric((heap()-before)/float64(stored), "bytes/stored")
		})
	}
}
